# SPDX-License-Identifier: Apache-2.0

"""The IMPL of a fork of Nova: a module to name in place of ``nova.db.sqlalchemy.api``; needs what the fork has anyway.

It has the names of ``nova_sqlcore.api``. They raise the fork's own ``nova.exception`` and ``oslo_db.exception``, found
by name and made with the same arguments; the library's error is the ``__cause__``. Knobs are read from the fork's CONF
at each look. Inside a scope the fork's errors become the library's again, so that conflicts start over and
refusals count as such.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

from oslo_config import cfg
from oslo_db import exception as oslo_exception

from nova_sqlcore import api, exceptions, tx
from nova_sqlcore.settings import Settings, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType, TracebackType

#: The fork's domain errors.
_fork: Final = importlib.import_module("nova.exception")

#: Where options live, by release: Mitaka's are all in [DEFAULT], and ``None`` stands for that.
_SECTIONS: Final = (None, "quota", "compute", "database")
#: Options of [database] that Mitaka calls otherwise.
_RENAMED: Final = {"idle_timeout": "connection_recycle_time"}
_DATABASE_OPTIONS: Final = (
    "connection",
    "slave_connection",
    "idle_timeout",
    "max_pool_size",
    "max_overflow",
    "pool_timeout",
    "mysql_sql_mode",
    "sqlite_synchronous",
    "max_retries",
    "retry_interval",
    "connection_debug",
)
#: Names of ``nova_sqlcore.api`` that have a form of their own here.
_OWN: Final = {"configure", "get_backend", "create_context_manager", "get_context_manager"}
#: What takes a function and returns it as one that runs in a scope, or behind a check.
_DECORATORS: Final = {
    "pick_context_manager_reader",
    "pick_context_manager_reader_allow_async",
    "pick_context_manager_writer",
    "require_aggregate_exists",
    "require_context",
    "require_instance_exists_using_uuid",
    "select_db_reader_mode",
}


def get_backend() -> ModuleType:
    """Return this module, as ``oslo_db.api.DBAPI`` asks for it; the databases are configured if nobody has done so."""
    if tx.main.url is None:
        configure(cfg.CONF)
    return sys.modules[__name__]


# -- configuration ----------------------------------------------------------------------------------------------------


def configure(conf: Any) -> None:
    """Take the databases from ``[database]`` and ``[api_database]``, and all knobs from ``conf`` from now on.

    Raises: TypeError if a database is in use already.
    """
    _Followed.conf = conf
    settings.__class__ = _Followed  # every module holds this object
    api.configure(_Groups(_Group(conf, "database"), _Group(conf, "api_database")))


class _Groups:
    """The two groups that ``api.configure`` reads."""

    def __init__(self, database: _Group, api_database: _Group) -> None:
        self.database = database
        self.api_database = api_database


class _Group:
    """A group of options of a database, by Mitaka's names; what the fork does not have is None."""

    def __init__(self, conf: Any, name: str) -> None:
        for option in _DATABASE_OPTIONS:
            setattr(self, option, _option(conf, name, _RENAMED.get(option, option), _option(conf, name, option, None)))


def _option(conf: Any, section: str | None, name: str, default: Any) -> Any:
    """Return the value of an option, or ``default`` if there is no such option or section."""
    try:
        return getattr(conf if section is None else getattr(conf, section), name)
    except (cfg.NoSuchOptError, cfg.NoSuchGroupError):
        return default


class _Followed(Settings):
    """Knobs that are read from CONF at each look: it may change while the service runs, and does in a fork's tests."""

    __slots__ = ()
    conf: Any = None
    _missing = object()

    def __getattribute__(self, name: str) -> Any:
        own = object.__getattribute__(self, name)
        if name not in Settings.__dataclass_fields__:
            return own
        for section in _SECTIONS:
            value = _option(_Followed.conf, section, name, _Followed._missing)
            if value is not _Followed._missing:
                return value
        return own


# -- errors -----------------------------------------------------------------------------------------------------------


def fork_error(error: Exception) -> Exception:
    """Return the fork's error for one of the library's, or the error itself if it has no counterpart."""
    if isinstance(error, exceptions.NovaException):
        return _domain_error(error)
    if isinstance(error, exceptions.RetryRequest):
        return _caused(oslo_exception.RetryRequest(fork_error(error.inner_exc)), error)
    for ours in type(error).__mro__:
        theirs = getattr(oslo_exception, ours.__name__, None) if ours.__module__ == exceptions.__name__ else None
        if theirs is not None:
            return _caused(_oslo_error(theirs, error), error)
    return error


def _domain_error(error: exceptions.NovaException) -> Exception:
    for ours in type(error).__mro__:
        theirs = getattr(_fork, ours.__name__, None)
        if theirs is not None and ours is not Exception:
            return _caused(_filled(theirs, error), error)
    return error


def _filled(theirs: Any, error: exceptions.NovaException) -> Exception:
    """Return the fork's error with the arguments of ours, or with its text where the fork's template needs more."""
    arguments = {name: value for name, value in error.kwargs.items() if name != "code"}
    ready = bool(error.args) and error.message != type(error).msg_fmt
    try:
        filled: Exception = theirs(**arguments) if arguments or not ready else theirs(error.message)
    except KeyError:  # fatal_exception_format_errors
        filled = theirs(error.message, **arguments)
    return filled


def _oslo_error(theirs: Any, error: Exception) -> Exception:
    match error:
        case exceptions.DBDuplicateEntry():
            made = theirs(columns=error.columns, inner_exception=error.inner_exception, value=error.value)
        case exceptions.DBReferenceError():
            made = theirs(error.table, error.constraint, error.key, error.key_table, error.inner_exception)
        case exceptions.DBConstraintError():
            made = theirs(error.table, error.check_name, error.inner_exception)
        case exceptions.DBError():
            made = theirs(str(error))
            made.inner_exception = error.inner_exception
        case _:
            made = theirs(*error.args)
    result: Exception = made
    return result


def _caused(theirs: Exception, ours: Exception) -> Exception:
    theirs.__cause__ = ours
    return theirs


def own_error(error: BaseException) -> BaseException:
    """Return the library's error for one of the fork's: the one that it was made from, or one of the same name."""
    if isinstance(error.__cause__, exceptions.DBError | exceptions.NovaException | exceptions.RetryRequest):
        return error.__cause__
    if isinstance(error, oslo_exception.RetryRequest):
        return exceptions.RetryRequest(error.inner_exc)
    if isinstance(error, oslo_exception.DBDeadlock):
        return exceptions.DBDeadlock(error)
    return error


def _raise_forks(error: Exception) -> NoReturn:
    theirs = fork_error(error)
    try:
        if theirs is error:
            raise error
        raise theirs from error
    finally:
        del error, theirs  # a frame that keeps an error which keeps the frame is a circle


def translating(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``function`` as one that raises the fork's errors in place of the library's; for iterators too."""

    @functools.wraps(function)
    def translated(*args: Any, **kwargs: Any) -> Any:
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            _raise_forks(error)
        return _iterated(result) if inspect.isgenerator(result) else result

    return translated


def _iterated(rows: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from rows
    except Exception as error:
        _raise_forks(error)


def _scoped(run_in: Callable[..., Any]) -> Callable[..., Any]:
    """Return a decorator like ``run_in`` for a fork's function, which meets the fork's errors and raises them too."""

    @functools.wraps(run_in)
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                ours = own_error(error)
                if ours is error:
                    raise
            try:
                raise ours  # out of the handler: what it has for a cause stays
            finally:
                del ours

        return translating(run_in(inside))

    return decorate


# -- scopes -----------------------------------------------------------------------------------------------------------


class ContextManager:
    """A database as the reference's callers know it: ``writer`` and ``reader`` decorate, and are used for blocks."""

    def __init__(self, database: tx.Database) -> None:
        """Stand for ``database``; what is not here is the database's own."""
        self.database = database

    @property
    def writer(self) -> _Scope:
        """The scope that writes."""
        return _Scope(self.database.writer)

    @property
    def reader(self) -> _Scope:
        """The scope that reads."""
        return _Scope(self.database.reader)

    def __getattr__(self, name: str) -> Any:
        if name == "database":  # it is being copied and has nothing yet
            raise AttributeError(name)
        return getattr(self.database, name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ContextManager) and other.database is self.database

    def __hash__(self) -> int:
        return hash(self.database)


class _Scope:
    """A scope that raises the fork's errors."""

    def __init__(self, scope: tx.Scope[Any]) -> None:
        self._scope = scope

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a function."""
        decorated: Callable[..., Any] = _scoped(self._scope)(function)
        return decorated

    def using(self, context: Any) -> _Block:
        """Return a ``with`` block."""
        return _Block(self._scope.using(context))

    def __getattr__(self, name: str) -> _Scope:
        """Give ``independent``, ``savepoint``, ``allow_async``, ``async``, ``connection``."""
        found = getattr(self._scope, name)
        if not isinstance(found, tx.Scope):
            raise AttributeError(name)
        return _Scope(found)


class _Block:
    """A block that raises the fork's errors."""

    def __init__(self, block: Any) -> None:
        self._block = block
        self._enter = translating(block.__enter__)
        self._exit = translating(block.__exit__)

    def __enter__(self) -> Any:
        return self._enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Any:
        if error is None:
            return self._exit(None, None, None)
        ours = own_error(error)
        return self._exit(type(ours), ours, traceback)


main_context_manager: Final = ContextManager(tx.main)
api_context_manager: Final = ContextManager(tx.api)


def create_context_manager(connection: str | None = None) -> ContextManager:
    """Return the context manager of the database at a URL, for ``context.db_connection``."""
    return ContextManager(translating(tx.create_context_manager)(connection))


def get_context_manager(context: Any) -> ContextManager:
    """Return the context manager of the context's cell, or the main one."""
    return ContextManager(tx.database_of(context))


# -- the functions ----------------------------------------------------------------------------------------------------


def _take_over() -> list[str]:
    """Put every name of ``nova_sqlcore.api`` that is not defined above into this module."""
    own = globals()
    for name in api.__all__:
        if name in _OWN or name in own:
            continue
        found = getattr(api, name)
        if name in _DECORATORS:
            own[name] = _scoped(found)
        elif inspect.isfunction(found):
            own[name] = translating(found)
        else:
            own[name] = found
    return list(api.__all__)


__all__ = _take_over()  # noqa: PLE0605  # as ``api`` has them
