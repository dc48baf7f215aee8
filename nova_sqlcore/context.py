# SPDX-License-Identifier: Apache-2.0

"""Who asks, and what hangs on it: the request context, its guards, and its open transactions."""

from __future__ import annotations

import contextlib
import copy
import datetime
import functools
import uuid
import warnings
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, cast

from nova_sqlcore import clock, exceptions, tx
from nova_sqlcore.core.scopes import (
    HOLDER,
    Context,
    by_name,
    check_context,
    current,
    new_scopes,
    scopes_of,
    with_attributes,
)
from nova_sqlcore.core.texts import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import sqlalchemy as sa

    from nova_sqlcore.core.transaction import Transaction
    from nova_sqlcore.tx import Database

__all__ = [
    "Context",
    "RequestContext",
    "admin_by_roles",
    "authorize_project_context",
    "authorize_quota_class_context",
    "authorize_user_context",
    "elevated",
    "get_admin_context",
    "is_user_context",
    "require_admin_context",
    "require_context",
    "target_cell",
]

P = ParamSpec("P")
R = TypeVar("R")
ReadDeleted = Literal["no", "yes", "only"]

_READ_DELETED = ("no", "yes", "only")


def admin_by_roles(context: RequestContext) -> bool:
    """Tell whether the context's roles make it an admin; replace this attribute to plug in another policy."""
    return any(role.lower() == "admin" for role in context.roles)


class RequestContext:
    """Who asks, for which project, and which rows are visible."""

    def __init__(
        self,
        user_id: str | None = None,
        project_id: str | None = None,
        is_admin: bool | None = None,
        read_deleted: str = "no",
        roles: list[str] | None = None,
        remote_address: str | None = None,
        timestamp: datetime.datetime | str | None = None,
        request_id: str | None = None,
        auth_token: str | None = None,
        overwrite: bool = True,
        quota_class: str | None = None,
        user_name: str | None = None,
        project_name: str | None = None,
        service_catalog: list[dict[str, Any]] | None = None,
        instance_lock_checked: bool = False,
        user_auth_plugin: Any = None,
        **kwargs: Any,
    ) -> None:
        """Take the request's identity; unknown keywords are dropped with a warning.

        Raises: ValueError for an unknown ``read_deleted``.
        """
        if kwargs:
            warnings.warn(f"RequestContext drops unknown arguments: {', '.join(sorted(kwargs))}", stacklevel=2)
        setattr(self, HOLDER, new_scopes())
        self.user_id = user_id
        self.project_id = project_id
        self.read_deleted = read_deleted
        self.roles = list(roles or [])
        self.remote_address = remote_address
        self.timestamp = _moment(timestamp)
        self.request_id = request_id or f"req-{uuid.uuid4()}"
        self.auth_token = auth_token
        self.overwrite = overwrite
        self.quota_class = quota_class
        self.user_name = user_name
        self.project_name = project_name
        self.service_catalog = list(service_catalog or [])
        self.instance_lock_checked = instance_lock_checked
        self.user_auth_plugin = user_auth_plugin
        self.db_connection: Database | None = None
        self.is_admin = admin_by_roles(self) if is_admin is None else is_admin

    @property
    def read_deleted(self) -> ReadDeleted:
        """Which rows are visible: live ones (no), all (yes), soft-deleted ones (only)."""
        return self._read_deleted

    @read_deleted.setter
    def read_deleted(self, value: str) -> None:
        if value not in _READ_DELETED or not isinstance(value, str):
            raise ValueError(f"read_deleted is one of 'no', 'yes', 'only'; got {quoted(value)}")
        self._read_deleted = cast("ReadDeleted", value)

    @property
    def transaction(self) -> Transaction:
        """The open transaction of this context in this thread.

        Raises: NoEngineContextEstablished() outside any transaction.
        """
        return current(self)

    @property
    def session(self) -> Transaction:
        """The open transaction, under the reference's name."""
        return current(self)

    @property
    def connection(self) -> sa.Connection:
        """The SQLAlchemy connection of the open transaction."""
        return current(self).connection

    def elevated(self, read_deleted: str | None = None) -> RequestContext:
        """Return a copy with admin rights that joins this context's open transaction."""
        other = copy.copy(self)
        other.is_admin = True
        other.roles = [*self.roles]
        if "admin" not in other.roles:
            other.roles.append("admin")
        if read_deleted is not None:
            other.read_deleted = read_deleted
        return other

    def __getstate__(self) -> dict[str, Any]:
        """Pickle everything but the open transactions and the cell."""
        state = {key: value for key, value in self.__dict__.items() if key != HOLDER}
        return state | {"db_connection": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        setattr(self, HOLDER, new_scopes())

    def __copy__(self) -> RequestContext:
        """Return a copy that shares the open transactions."""
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def __deepcopy__(self, memo: dict[int, Any]) -> RequestContext:
        """Return a deep copy that shares the open transactions and the cell's database."""
        other = type(self).__new__(type(self))
        shared = (HOLDER, "db_connection")
        other.__dict__.update(
            {key: value if key in shared else copy.deepcopy(value, memo) for key, value in self.__dict__.items()}
        )
        return other

    def __repr__(self) -> str:
        """Show identity and visibility, never the token."""
        return (
            f"<RequestContext user_id={self.user_id!r} project_id={self.project_id!r} "
            f"is_admin={self.is_admin!r} read_deleted={self.read_deleted!r}>"
        )


def elevated(context: Any, read_deleted: str | None = None) -> Any:
    """Return a copy of a context of any class, with admin rights, that joins the context's open transaction.

    It sees what ``read_deleted`` shows, by default what the context sees.
    """
    elevate = getattr(context, "elevated", None)
    given: dict[str, Any] = {HOLDER: scopes_of(context)}
    if read_deleted is not None:
        given["read_deleted"] = read_deleted
    if elevate is None:
        return with_attributes(copy.copy(context), given | {"is_admin": True})
    return with_attributes(elevate(), given)


def _moment(timestamp: datetime.datetime | str | None) -> datetime.datetime:
    if timestamp is None:
        return clock.utcnow()
    try:
        return datetime.datetime.fromisoformat(timestamp) if isinstance(timestamp, str) else timestamp
    except ValueError as error:
        raise ValueError(f"timestamp is not a time: {error}") from None


def get_admin_context(read_deleted: str = "no") -> RequestContext:
    """Return a context with admin rights and neither user nor project."""
    return RequestContext(user_id=None, project_id=None, is_admin=True, read_deleted=read_deleted, overwrite=False)


@contextlib.contextmanager
def target_cell(context: Any, cell_mapping: Any) -> Iterator[Any]:
    """Let the calls of ``context`` go to the cell's database inside the block.

    ``cell_mapping`` has the database URL in ``database_connection`` (attribute or key). One pool is kept per URL.
    """
    url = cell_mapping["database_connection"] if isinstance(cell_mapping, dict) else cell_mapping.database_connection
    before = getattr(context, "db_connection", None)
    context.db_connection = tx.create_context_manager(url)
    try:
        yield context
    finally:
        context.db_connection = before


def is_user_context(context: Any) -> bool:
    """Tell whether an ordinary user asks: not an admin, and both user and project are known."""
    return bool(context) and not context.is_admin and bool(context.user_id) and bool(context.project_id)


def authorize_project_context(context: Any, project_id: str | None) -> None:
    """Refuse a user of another project.

    Raises: Forbidden().
    """
    if is_user_context(context) and context.project_id != project_id:
        raise exceptions.Forbidden(f"{_asker(context)} may not act for project {quoted(project_id)}")


def authorize_user_context(context: Any, user_id: str | None) -> None:
    """Refuse another user.

    Raises: Forbidden().
    """
    if is_user_context(context) and context.user_id != user_id:
        raise exceptions.Forbidden(f"{_asker(context)} may not act for user {quoted(user_id)}")


def authorize_quota_class_context(context: Any, class_name: str | None) -> None:
    """Refuse a user of another quota class.

    Raises: Forbidden().
    """
    if is_user_context(context) and (not context.quota_class or context.quota_class != class_name):
        raise exceptions.Forbidden(
            f"{_asker(context)}, of quota class {quoted(context.quota_class)}, may not act for quota class "
            f"{quoted(class_name)}"
        )


def require_admin_context(context: Any) -> None:
    """Refuse everybody but admins.

    Raises: AdminRequired().
    """
    if not context.is_admin:
        raise exceptions.AdminRequired(f"only an admin may do this, and {_asker(context)} is not an admin")


def _asker(context: Any) -> str:
    """Say who asks; nothing else of a context may appear in a message."""
    return f"user {quoted(context.user_id)} of project {quoted(context.project_id)}"


def require_context(f: Callable[P, R]) -> Callable[P, R]:
    """Decorate ``f`` so that only admins and complete users get in, before any transaction is opened.

    Raises: Forbidden().
    """

    @functools.wraps(f)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        context: Any = None
        try:
            context = args[0] if args else by_name(kwargs)
            try:
                is_known = context.is_admin or (context.user_id and context.project_id)
            except AttributeError:
                check_context(context)
                raise
            if not is_known:
                raise exceptions.Forbidden(
                    f"{f.__name__} is for admins, and for users with user_id and project_id; {_asker(context)} asks"
                )
        except Exception as error:
            tx.tell_of_refusal(f, context, error)
            raise
        return f(*args, **kwargs)

    return guarded
