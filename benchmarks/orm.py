# SPDX-License-Identifier: Apache-2.0

"""The operations in the style of the reference: SQLAlchemy's ORM of today, a mapping as Nova's models have it.

One-to-one rows come by joins, collections by ``selectinload``; sessions flush by themselves, a session per call. What
the library gives as dicts is made of the objects' loaded state.
"""

from __future__ import annotations

import contextlib
import copy
import datetime
import uuid
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import orm

from benchmarks.driver import made_engine
from nova_sqlcore import tables
from nova_sqlcore.core import dialects, types
from nova_sqlcore.queries.common.lookups import shape_of
from nova_sqlcore.queries.hosts import compute_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Row = dict[str, Any]


class Model:
    """The base of the mapped classes."""

    deleted: Any
    id: Any
    uuid: Any

    def __init__(self, **given: Any) -> None:
        for name, value in given.items():
            setattr(self, name, value)


class Instance(Model):
    """With its children."""

    security_groups: Any
    info_cache: Any
    extra: Any
    system_metadata: Any
    metadata: Any


_registry = orm.registry()
_metadata = sa.MetaData()


def _plain(kind: Any) -> Any:
    """Return SQLAlchemy's own type for one of the library's; those that it has none for stay."""
    match kind:
        case types.Text():
            return sa.Text()
        case types.String():
            return sa.String(kind.length)
        case types.Integer():
            return sa.Integer()
        case types.Boolean():
            return sa.Boolean()
        case types.DateTime():
            return sa.DateTime()
        case types.Float():
            return sa.Float()
    return kind


def _copied(table: sa.Table) -> sa.Table:
    """Return a table with plain types, as models declare it."""
    columns = (
        sa.Column(column.name, _plain(column.type), primary_key=column.primary_key, default=_default(column))
        for column in tables.row_columns(table)
    )
    return sa.Table(table.name, _metadata, *columns)


def _default(column: sa.Column[Any]) -> Any:
    default: Any = column.default
    if default is None:
        return None
    return _now if default.is_callable else default.arg


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None, microsecond=0)


for _table in tables.metadata.tables.values():
    if not _table.name.startswith("shadow_"):
        _copied(_table)
_tables: Any = SimpleNamespace(**_metadata.tables)
_t = _tables.instances
_FOREIGN = _tables.security_group_instance_association


def _mapped(table: sa.Table, **properties: Any) -> Any:
    model = type("".join(map(str.capitalize, table.name.split("_"))), (Model,), {})
    _registry.map_imperatively(model, table, properties=properties)
    return model


def _owned(model: Any, table: sa.Table, *where: sa.ColumnElement[bool], **more: Any) -> Any:
    join = sa.and_(orm.foreign(table.c.instance_uuid) == _t.c.uuid, *where)
    return orm.relationship(model, primaryjoin=join, order_by=table.c.id, **more)


Rule = _mapped(_tables.security_group_rules)
Group = _mapped(
    _tables.security_groups,
    rules=orm.relationship(
        Rule,
        primaryjoin=sa.and_(
            orm.foreign(_tables.security_group_rules.c.parent_group_id) == _tables.security_groups.c.id,
            _tables.security_group_rules.c.deleted == 0,
        ),
        order_by=_tables.security_group_rules.c.id,
    ),
)
Metadata = _mapped(_tables.instance_metadata)
SystemMetadata = _mapped(_tables.instance_system_metadata)
InfoCache = _mapped(_tables.instance_info_caches)
Extra = _mapped(_tables.instance_extra)
Mapping = _mapped(_tables.instance_id_mappings)
Service = _mapped(_tables.services)
Device = _mapped(_tables.block_device_mapping)
Usage = _mapped(_tables.quota_usages)
Reservation = _mapped(_tables.reservations)
FixedIp = _mapped(_tables.fixed_ips)
FloatingIp = _mapped(_tables.floating_ips)
_CHILDREN = (
    (_FOREIGN, _FOREIGN.c.instance_uuid),
    *((table, table.c.instance_uuid) for table in (_tables.instance_info_caches, _tables.instance_metadata)),
    *((table, table.c.instance_uuid) for table in (_tables.instance_faults, _tables.instance_extra)),
    (_tables.instance_system_metadata, _tables.instance_system_metadata.c.instance_uuid),
    (_tables.instance_group_member, _tables.instance_group_member.c.instance_id),
    (_tables.instance_id_mappings, _tables.instance_id_mappings.c.uuid),
)
_registry.map_imperatively(
    Instance,
    _t,
    properties={
        "metadata": _owned(Metadata, _tables.instance_metadata, _tables.instance_metadata.c.deleted == 0),
        "system_metadata": _owned(SystemMetadata, _tables.instance_system_metadata),
        "info_cache": _owned(InfoCache, _tables.instance_info_caches, uselist=False),
        "extra": _owned(Extra, _tables.instance_extra, uselist=False),
        "security_groups": orm.relationship(
            Group,
            secondary=_FOREIGN,
            primaryjoin=sa.and_(_t.c.uuid == _FOREIGN.c.instance_uuid, _FOREIGN.c.deleted == 0),
            secondaryjoin=sa.and_(
                _FOREIGN.c.security_group_id == _tables.security_groups.c.id, _tables.security_groups.c.deleted == 0
            ),
            order_by=_tables.security_groups.c.id,
            viewonly=True,
        ),
    },
)
_LISTED = (
    orm.joinedload(Instance.info_cache),
    orm.selectinload(Instance.security_groups),
    orm.selectinload(Instance.metadata),
    orm.selectinload(Instance.system_metadata),
)
_WHOLE = (*_LISTED, orm.selectinload(Instance.security_groups).selectinload(Group.rules))


def row_of(thing: Any) -> Any:
    """Return the loaded state of an object as the library's dict."""
    if isinstance(thing, list):
        return [row_of(one) for one in thing]
    if not isinstance(thing, Model):
        return thing
    row = {name: row_of(value) for name, value in vars(thing).items() if name != "_sa_instance_state"}
    if isinstance(thing, Instance):
        row["name"] = f"instance-{row['id']:08x}"
    return row


class Orm:
    """The contestant."""

    def __init__(self, url: sa.URL) -> None:
        self.engine = made_engine(url)
        self.statements = 0
        self._session: orm.Session | None = None
        self._nodes = compute_nodes._inventory_view_statement(True, shape_of({})[0], False, dialects.family(url))

    def count(self) -> None:
        """Count statements from now on."""
        sa.event.listen(self.engine, "before_cursor_execute", self._note)

    def _note(self, *_: Any) -> None:
        self.statements += 1

    def close(self) -> None:
        self.engine.dispose()

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Stay in one transaction."""
        with orm.Session(self.engine) as session, session.begin():
            self._session = session
            try:
                yield
            finally:
                self._session = None

    @contextlib.contextmanager
    def _begun(self) -> Iterator[orm.Session]:
        if self._session is not None:
            yield self._session
            self._session.expunge_all()
        else:
            with orm.Session(self.engine, expire_on_commit=False) as session, session.begin():
                yield session

    # -- reads --------------------------------------------------------------------------------------------------------

    def get_by_uuid(self, identity: str) -> Row:
        with self._begun() as session:
            found = sa.select(Instance).where(_t.c.uuid == identity, _t.c.deleted == 0).options(*_WHOLE)
            row: Row = row_of(session.scalars(found).one())
            return row

    def list_by_host(self, host: str) -> list[Row]:
        return self._listed(sa.select(Instance).where(_t.c.host == host, _t.c.deleted == 0).order_by(_t.c.id))

    def page(self, project: str) -> list[Row]:
        found = sa.select(Instance).where(_t.c.deleted == 0, _t.c.project_id == project)
        return self._listed(found.order_by(_t.c.created_at.desc(), _t.c.id.desc()).limit(1000))

    def _listed(self, found: Any) -> list[Row]:
        with self._begun() as session:
            return [row_of(one) for one in session.scalars(found.options(*_LISTED)).all()]

    def _all(self, found: Any) -> list[Row]:
        with self._begun() as session:
            return [row_of(one) for one in session.scalars(found).all()]

    def get_service(self, host: str) -> Row:
        table = _tables.services
        wanted = (table.c.host == host, table.c.binary == "nova-compute", table.c.deleted == 0)
        return self._all(sa.select(Service).where(*wanted).order_by(table.c.id).limit(1))[0]

    def service_get_all(self, _: None) -> list[Row]:
        return self._all(sa.select(Service).where(_tables.services.c.deleted == 0).order_by(_tables.services.c.id))

    def compute_node_get_all(self, _: None) -> list[Row]:
        with self._begun() as session:  # the reference too asks for plain rows here
            return [dict(row) for row in session.execute(self._nodes).mappings()]

    def devices(self, identity: str) -> list[Row]:
        table = _tables.block_device_mapping
        where = (table.c.instance_uuid == identity, table.c.deleted == 0)
        return self._all(sa.select(Device).where(*where).order_by(table.c.id))

    # -- writes -------------------------------------------------------------------------------------------------------

    def create(self, values: Row) -> Row:
        given = {**values, "uuid": str(uuid.uuid4())}
        pairs = {kind: given.pop(kind) for kind in ("metadata", "system_metadata")}
        with self._begun() as session:
            table = _tables.security_groups
            named = (table.c.project_id == given["project_id"], table.c.name == "default", table.c.deleted == 0)
            session.scalars(sa.select(Group).where(*named)).one()
            session.add(Mapping(uuid=given["uuid"]))
            instance = Instance(**given)
            instance.metadata = [Metadata(key=key, value=value) for key, value in pairs["metadata"].items()]
            instance.system_metadata = [
                SystemMetadata(key=key, value=value) for key, value in pairs["system_metadata"].items()
            ]
            instance.info_cache, instance.extra = InfoCache(), Extra()
            session.add(instance)
            session.flush()
            row: Row = _all_columns(instance)
        return {**row, "security_groups": []}

    def _found(self, session: orm.Session, identity: str, *options: Any, lock: bool = False) -> Any:
        found = sa.select(Instance).where(_t.c.uuid == identity, _t.c.deleted == 0).options(*options)
        return session.scalars(found.with_for_update(of=_t) if lock else found).one()

    def update(self, identity: str) -> Row:
        with self._begun() as session:
            instance = self._found(session, identity)
            self._change(instance)
            session.flush()
            row: Row = row_of(instance)
        return row

    def _change(self, instance: Any) -> None:
        instance.vm_state, instance.task_state, instance.progress = "active", None, 50
        instance.updated_at = _now()

    def update_and_get_original(self, identity: str) -> tuple[Row, Row]:
        with self._begun() as session:
            instance = self._found(session, identity, *_WHOLE, lock=True)
            old: Row = row_of(instance)
            if old["task_state"] not in (None, "spawning"):
                raise RuntimeError(old["task_state"])
            self._change(instance)
            session.flush()
            new: Row = row_of(instance)
        return old, copy.copy(new)

    def destroy(self, identity: str) -> Row:
        with self._begun() as session:
            instance = self._found(session, identity)
            instance.deleted, instance.deleted_at = instance.id, _now()
            session.flush()
            for table, key in _CHILDREN:
                gone = sa.update(table).where(key == identity, table.c.deleted == 0)
                session.execute(gone.values(deleted=table.c.id, deleted_at=_now(), updated_at=table.c.updated_at))
            session.execute(sa.delete(_tables.tags).where(_tables.tags.c.resource_id == identity))
            row: Row = row_of(instance)
        return row

    def metadata_update(self, given: tuple[str, Row]) -> Row:
        identity, pairs = given
        with self._begun() as session:
            instance = self._found(session, identity, orm.selectinload(Instance.metadata), lock=True)
            known = {pair.key: pair for pair in instance.metadata}
            for key, value in pairs.items():
                if key in known:
                    known[key].value = value
                else:
                    instance.metadata.append(Metadata(key=key, value=value))
        return pairs

    def _usages(self, session: orm.Session, project: str) -> Sequence[Any]:
        table = _tables.quota_usages
        where = (table.c.project_id == project, table.c.resource != "security_groups", table.c.deleted == 0)
        return session.scalars(sa.select(Usage).where(*where).order_by(table.c.id).with_for_update()).all()

    def reserve_and_commit(self, project: str) -> int:
        uuids = [str(uuid.uuid4()) for _ in range(3)]
        with self._begun() as session:
            for usage, one in zip(self._usages(session, project), uuids, strict=True):
                if usage.in_use + usage.reserved + 1 > 10**9:
                    raise RuntimeError(project)
                usage.reserved += 1
                of = {"project_id": project, "user_id": usage.user_id, "resource": usage.resource}
                session.add(Reservation(uuid=one, usage_id=usage.id, delta=1, expire=_now(), **of))
        with self._begun() as session:
            usages = {usage.id: usage for usage in self._usages(session, project)}
            table = _tables.reservations
            found = session.scalars(sa.select(Reservation).where(table.c.uuid.in_(uuids), table.c.deleted == 0)).all()
            for one in found:
                usages[one.usage_id].in_use += one.delta
                usages[one.usage_id].reserved -= one.delta
                one.deleted, one.deleted_at = one.id, _now()
            return len(found)

    def _claimed(self, free: sa.Select[Any], given: Row) -> Row:
        with self._begun() as session:
            found = session.scalars(free.limit(1).with_for_update(skip_locked=True)).one()
            for name, value in given.items():
                setattr(found, name, value)
            session.flush()
            row: Row = row_of(found)
        return row

    def fixed_ip(self, network: int) -> Row:
        c = _tables.fixed_ips.c
        free = (c.instance_uuid.is_(None), c.host.is_(None), c.reserved == sa.false(), c.leased == sa.false())
        in_network = sa.or_(c.network_id == network, c.network_id.is_(None))
        is_postgresql = self.engine.dialect.name == "postgresql"
        age = c.updated_at.nulls_first() if is_postgresql else c.updated_at
        oldest = sa.select(FixedIp).where(in_network, c.deleted == 0, *free).order_by(age, c.id)
        return self._claimed(oldest, {"host": "h", "network_id": network, "updated_at": _now()})

    def floating_ip(self, pool: str) -> Any:
        c = _tables.floating_ips.c
        free = (c.fixed_ip_id.is_(None), c.project_id.is_(None))
        given = {"project_id": "project", "auto_assigned": False, "updated_at": _now()}
        return str(self._claimed(sa.select(FloatingIp).where(c.pool == pool, c.deleted == 0, *free), given)["address"])


def _all_columns(instance: Any) -> Row:
    """Return a new instance with its children as dicts of all columns."""

    def row(thing: Any) -> Row:
        return {column.key: getattr(thing, column.key) for column in orm.object_mapper(thing).columns if column.key}

    found = row(instance)
    for kind in ("metadata", "system_metadata"):
        found[kind] = [row(pair) for pair in getattr(instance, kind)]
    found["info_cache"], found["extra"] = row(instance.info_cache), row(instance.extra)
    found["name"] = f"instance-{found['id']:08x}"
    return found
