# SPDX-License-Identifier: Apache-2.0

"""The operations by hand: DB-API code as a good engineer writes it, on the same driver, with the same answers.

Reads are in autocommit mode, writes of several statements between BEGIN and COMMIT, rows that must not change meanwhile
are locked. Statements that can share a trip only by means that drivers do not offer are sent one by one.
"""

from __future__ import annotations

import contextlib
import uuid
from typing import TYPE_CHECKING, Any

from benchmarks.driver import Driver, Row
from nova_sqlcore import tables
from nova_sqlcore.core import dialects
from nova_sqlcore.core.values import complete
from nova_sqlcore.queries.common.lookups import shape_of
from nova_sqlcore.queries.hosts import compute_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import sqlalchemy as sa

_t = tables.instances
_CHILDREN = {
    "security_group_instance_association": "instance_uuid",
    "instance_info_caches": "instance_uuid",
    "instance_metadata": "instance_uuid",
    "instance_faults": "instance_uuid",
    "instance_extra": "instance_uuid",
    "instance_system_metadata": "instance_uuid",
    "instance_group_member": "instance_id",
    "instance_id_mappings": "uuid",
}


class ByHand:
    """The contestant."""

    def __init__(self, url: sa.URL) -> None:
        self._url = url
        self.driver = driver = Driver(url)
        self.mark = mark = driver.mark
        self._changes = {"vm_state": "active", "task_state": None, "progress": 50}
        where = f"uuid = {mark} AND deleted = 0"
        self._by_uuid = driver.select(_t, where)
        self._locked = driver.select(_t, where, driver.locks)
        self._info_cache = driver.select(tables.instance_info_caches, f"instance_uuid = {mark}")
        self._by_host = driver.select(_t, f"host = {mark} AND deleted = 0", " ORDER BY id")
        order = " ORDER BY created_at DESC, id DESC LIMIT 1000"
        if driver.name == "postgresql":
            order = order.replace("DESC", "DESC NULLS LAST", 1)
        self._page = driver.select(_t, f"deleted = 0 AND project_id = {mark}", order)
        self._services = driver.select(tables.services, "deleted = 0", " ORDER BY id")
        binary = driver.quote("binary")
        one = f"host = {mark} AND {binary} = {mark} AND deleted = 0"
        self._service = driver.select(tables.services, one, " ORDER BY id LIMIT 1")
        owned = f"instance_uuid = {mark} AND deleted = 0"
        self._devices = driver.select(tables.block_device_mapping, owned, " ORDER BY id")
        self._pairs = driver.select(tables.instance_metadata, owned, " ORDER BY id")
        self._usages = driver.select(
            tables.quota_usages,
            f"project_id = {mark} AND resource <> 'security_groups' AND deleted = 0",
            f" ORDER BY id{driver.locks}",
        )
        self._rules = driver.maker(tables.security_group_rules)
        self._templates: dict[str, Row] = {}
        self._nodes = self._nodes_statement()

    @property
    def statements(self) -> int:
        return self.driver.statements

    def close(self) -> None:
        self.driver.close()

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Stay in one transaction."""
        with self.driver.transaction(writes=False):
            yield

    def _rows(self, statement: tuple[str, Any], *params: Any) -> list[Row]:
        text, maker = statement
        return [maker(record) for record in self.driver.run(text, params).fetchall()]

    # -- reads --------------------------------------------------------------------------------------------------------

    def get_by_uuid(self, identity: str) -> Row:
        row = self._rows(self._by_uuid, identity)[0]
        return self._with_children(row)

    def _with_children(self, row: Row) -> Row:
        uuids = [row["uuid"]]
        row["name"] = f"instance-{row['id']:08x}"
        row["info_cache"] = next(iter(self._rows(self._info_cache, row["uuid"])), None)
        row["metadata"] = self._owned(tables.instance_metadata, uuids, live=True).get(row["uuid"], [])
        row["system_metadata"] = self._owned(tables.instance_system_metadata, uuids).get(row["uuid"], [])
        row["security_groups"] = groups = self._groups(uuids).get(row["uuid"], [])
        if groups:
            rules = self._rules_of([group["id"] for group in groups])
            for group in groups:
                group["rules"] = rules.get(group["id"], [])
        return row

    def _marks(self, values: Sequence[Any]) -> str:
        return ", ".join([self.mark] * len(values))

    def _owned(self, table: sa.Table, uuids: Sequence[str], *, live: bool = False) -> dict[str, list[Row]]:
        where = f"instance_uuid IN ({self._marks(uuids)}){' AND deleted = 0' if live else ''}"
        found: dict[str, list[Row]] = {}
        for row in self._rows(self.driver.select(table, where, " ORDER BY id"), *uuids):
            found.setdefault(row["instance_uuid"], []).append(row)
        return found

    def _groups(self, uuids: Sequence[str]) -> dict[str, list[Row]]:
        listed = self.driver.listed(tables.security_groups, "g.")
        text = (
            f"SELECT {listed}, m.instance_uuid FROM security_group_instance_association m "
            "JOIN security_groups g ON g.id = m.security_group_id "
            f"WHERE m.instance_uuid IN ({self._marks(uuids)}) AND m.deleted = 0 AND g.deleted = 0 ORDER BY g.id"
        )
        maker = self.driver.maker(tables.security_groups)
        found: dict[str, list[Row]] = {}
        for record in self.driver.run(text, uuids).fetchall():
            found.setdefault(record[-1], []).append(maker(record[:-1]))
        return found

    def _rules_of(self, ids: Sequence[int]) -> dict[int, list[Row]]:
        where = f"parent_group_id IN ({self._marks(ids)}) AND deleted = 0"
        found: dict[int, list[Row]] = {}
        for row in self._rows(self.driver.select(tables.security_group_rules, where, " ORDER BY id"), *ids):
            found.setdefault(row["parent_group_id"], []).append(row)
        return found

    def list_by_host(self, host: str) -> list[Row]:
        return self._filled(self._rows(self._by_host, host))

    def page(self, project: str) -> list[Row]:
        return self._filled(self._rows(self._page, project))

    def _filled(self, rows: list[Row]) -> list[Row]:
        uuids = [row["uuid"] for row in rows]
        caches = self._owned(tables.instance_info_caches, uuids)
        metadata = self._owned(tables.instance_metadata, uuids, live=True)
        system = self._owned(tables.instance_system_metadata, uuids)
        groups = self._groups(uuids)
        for row in rows:
            key = row["uuid"]
            row["name"] = f"instance-{row['id']:08x}"
            row["info_cache"] = caches[key][0] if key in caches else None
            row["metadata"] = metadata.get(key, [])
            row["system_metadata"] = system.get(key, [])
            row["security_groups"] = groups.get(key, [])
        return rows

    def get_service(self, host: str) -> Row:
        return self._rows(self._service, host, "nova-compute")[0]

    def service_get_all(self, _: None) -> list[Row]:
        return self._rows(self._services)

    def compute_node_get_all(self, _: None) -> list[Row]:
        return self._rows(self._nodes)

    def _nodes_statement(self) -> tuple[str, Any]:
        """Return the library's own text, whose parameters are two constants: there is no better one."""
        dialect = self.driver.engine.dialect
        core = compute_nodes._inventory_view_statement(True, shape_of({})[0], False, dialects.family(self._url))
        compiled = core.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
        names = [column.name for column in core.selected_columns]
        return str(compiled).replace("%%", "%"), self.driver.maker(tables.compute_nodes, names)

    def metadata(self, identity: str) -> dict[str, str | None]:
        return {row["key"]: row["value"] for row in self._rows(self._pairs, identity)}

    def devices(self, identity: str) -> list[Row]:
        return self._rows(self._devices, identity)

    # -- writes -------------------------------------------------------------------------------------------------------

    def _store(self, table: sa.Table, *given: Row) -> list[Row]:
        template = self._templates.get(table.name)
        if template is None:
            template = complete(table, {}, dialects.family(self._url))
            self._templates[table.name] = template
        return self.driver.store(table, {**template, "created_at": self.driver.moment()}, given) if given else []

    def create(self, values: Row) -> Row:
        given = dict(values)
        pairs = {kind: given.pop(kind) for kind in ("metadata", "system_metadata")}
        given["uuid"] = str(uuid.uuid4())
        whose = {"instance_uuid": given["uuid"]}
        with self.driver.transaction():
            self.driver.run(
                f"SELECT id FROM security_groups WHERE project_id = {self.mark} AND name = {self.mark} AND deleted = 0",
                (given["project_id"], "default"),
            ).fetchone()
            self._store(tables.instance_id_mappings, {"uuid": given["uuid"]})
            (row,) = self._store(_t, given)
            (row["info_cache"],) = self._store(tables.instance_info_caches, whose)
            (row["extra"],) = self._store(tables.instance_extra, whose)
            for kind, found in pairs.items():
                table = tables.metadata.tables[f"instance_{kind}"]
                row[kind] = self._store(table, *({**whose, "key": key, "value": one} for key, one in found.items()))
        row["name"], row["security_groups"] = f"instance-{row['id']:08x}", []
        return row

    def _assigned(self, names: Sequence[str]) -> str:
        return ", ".join(f"{name} = {self.mark}" for name in names)

    def update(self, identity: str, changes: Row | None = None) -> Row:
        given = {**(changes or self._changes), "updated_at": self.driver.moment()}
        text = f"UPDATE instances SET {self._assigned(tuple(given))} WHERE uuid = {self.mark} AND deleted = 0"
        params = (*given.values(), identity)
        if self.driver.returns:
            text, maker = f"{text} RETURNING {self.driver.listed(_t)}", self._by_uuid[1]
            row: Row = maker(self.driver.run(text, params).fetchone())
        else:
            self.driver.run(text, params)
            row = self._rows(self._by_uuid, identity)[0]
        row["name"] = f"instance-{row['id']:08x}"
        return row

    def update_and_get_original(self, identity: str) -> tuple[Row, Row]:
        given = {**self._changes, "updated_at": self.driver.moment()}
        with self.driver.transaction():
            old = self._with_children(self._rows(self._locked, identity)[0])
            if old["task_state"] not in (None, "spawning"):
                raise RuntimeError(old["task_state"])
            text = f"UPDATE instances SET {self._assigned(tuple(given))} WHERE id = {self.mark}"
            self.driver.run(text, (*given.values(), old["id"]))
        return old, {**old, **given}

    def destroy(self, identity: str) -> Row:
        now, mark, run = self.driver.moment(), self.mark, self.driver.run
        with self.driver.transaction():
            text = f"UPDATE instances SET deleted = id, deleted_at = {mark} WHERE uuid = {mark} AND deleted = 0"
            if self.driver.returns:
                text = f"{text} RETURNING {self.driver.listed(_t)}"
                row: Row = self._by_uuid[1](run(text, (now, identity)).fetchone())
            else:
                run(text, (now, identity))
                text, maker = self.driver.select(_t, f"uuid = {mark}")
                row = maker(run(text, (identity,)).fetchone())
            for table, key in _CHILDREN.items():
                change = f"UPDATE {table} SET deleted = id, deleted_at = {mark} WHERE {key} = {mark} AND deleted = 0"
                run(change, (now, identity))
            run(f"DELETE FROM tags WHERE resource_id = {mark}", (identity,))
        row["name"] = f"instance-{row['id']:08x}"
        return row

    def metadata_update(self, given: tuple[str, Row]) -> Row:
        identity, pairs = given
        now = self.driver.moment()
        with self.driver.transaction():
            self.driver.run(
                f"SELECT id FROM instances WHERE uuid = {self.mark}{self.driver.locks}", (identity,)
            ).fetchall()
            known = {row["key"]: row for row in self._rows(self._pairs, identity)}
            text = f"UPDATE instance_metadata SET value = {self.mark}, updated_at = {self.mark} WHERE id = {self.mark}"
            changed = [(value, now, known[key]["id"]) for key, value in pairs.items() if key in known]
            self.driver.run_many(text, changed)
            new = (
                {"instance_uuid": identity, "key": key, "value": value}
                for key, value in pairs.items()
                if key not in known
            )
            self._store(tables.instance_metadata, *new)
        return pairs

    def reserve_and_commit(self, project: str) -> int:
        return self._settle(project, self._reserve(project), in_use=1)

    def reserve_and_roll_back(self, project: str) -> int:
        return self._settle(project, self._reserve(project), in_use=0)

    def _reserve(self, project: str) -> list[str]:
        """Reserve one more of each resource, and return the uuids of the reservations."""
        text, usage = self._usages
        with self.driver.transaction():
            usages = [usage(record) for record in self.driver.run(text, (project,)).fetchall()]
            if any(one["in_use"] + one["reserved"] + 1 > 10**9 for one in usages):
                raise RuntimeError(project)
            rows = self._store(tables.reservations, *(self._reservation(one) for one in usages))
            more = f"UPDATE quota_usages SET reserved = reserved + 1, updated_at = {self.mark} WHERE id = {self.mark}"
            self.driver.run_many(more, [(self.driver.moment(), one["id"]) for one in usages])
        return [row["uuid"] for row in rows]

    def _reservation(self, usage: Row) -> Row:
        copied = {name: usage[name] for name in ("project_id", "user_id", "resource")}
        mine = {"uuid": str(uuid.uuid4()), "usage_id": usage["id"], "delta": 1, "expire": self.driver.moment()}
        return copied | mine

    def _settle(self, project: str, uuids: Sequence[str], in_use: int) -> int:
        """End reservations; each gives ``in_use`` times its delta to what is in use. Return how many there were."""
        run, mark, now = self.driver.run, self.mark, self.driver.moment()
        with self.driver.transaction():
            run(self._usages[0], (project,)).fetchall()  # locked, so that nobody else ends the reservations
            where = f"uuid IN ({self._marks(uuids)}) AND deleted = 0"
            text, maker = self.driver.select(tables.reservations, where, " ORDER BY id")
            found = [maker(record) for record in run(text, uuids).fetchall()]
            text = (
                f"UPDATE quota_usages SET in_use = in_use + {mark}, reserved = reserved - {mark}, updated_at = {mark} "
                f"WHERE id = {mark}"
            )
            changes = [(one["delta"] * in_use, one["delta"], now, one["usage_id"]) for one in found]
            self.driver.run_many(text, changes)
            text = f"UPDATE reservations SET deleted = id, deleted_at = {mark} WHERE id IN ({self._marks(found)})"
            run(text, (now, *(one["id"] for one in found)))
        return len(found)

    def _claimed(self, table: sa.Table, where: str, where_params: Sequence[Any], given: Row, order: str = "") -> Row:
        assigned, params = self._assigned(tuple(given)), tuple(given.values())
        first = f"{order} LIMIT 1{self.driver.locks} SKIP LOCKED" if self.driver.locks else f"{order} LIMIT 1"
        if self.driver.returns:
            text = (
                f"UPDATE {table.name} SET {assigned} WHERE id = "
                f"(SELECT id FROM {table.name} WHERE {where}{first}) RETURNING {self.driver.listed(table)}"
            )
            return self.driver.maker(table)(self.driver.run(text, (*params, *where_params)).fetchone())
        with self.driver.transaction():
            text, maker = self.driver.select(table, where, first)
            row = maker(self.driver.run(text, tuple(where_params)).fetchone())
            self.driver.run(f"UPDATE {table.name} SET {assigned} WHERE id = {self.mark}", (*params, row["id"]))
        return {**row, **given}

    def fixed_ip(self, network: int) -> Row:
        free = "instance_uuid IS NULL AND host IS NULL"
        false = "false" if self.driver.name == "postgresql" else "0"
        network_or_none = f"(network_id = {self.mark} OR network_id IS NULL)"
        where = f"{network_or_none} AND deleted = 0 AND reserved = {false} AND leased = {false} AND {free}"
        oldest = " ORDER BY updated_at" + (" NULLS FIRST" if self.driver.name == "postgresql" else "") + ", id"
        given = {"host": "h", "network_id": network, "updated_at": self.driver.moment()}
        return self._claimed(tables.fixed_ips, where, (network,), given, oldest)

    def floating_ip(self, pool: str) -> Any:
        where = f"pool = {self.mark} AND deleted = 0 AND fixed_ip_id IS NULL AND project_id IS NULL"
        given = {"project_id": "project", "auto_assigned": False, "updated_at": self.driver.moment()}
        return self._claimed(tables.floating_ips, where, (pool,), given)["address"]
