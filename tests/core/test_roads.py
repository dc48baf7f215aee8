# SPDX-License-Identifier: Apache-2.0

"""The two roads of the funnel give the same: the driver's cursor, and ``Connection.execute`` when somebody listens."""

from __future__ import annotations

import datetime
import itertools
from typing import TYPE_CHECKING, Any

import pymysql
import pytest
import sqlalchemy as sa

from nova_sqlcore import exceptions, get_admin_context, tables, tx
from nova_sqlcore.core import roads

if TYPE_CHECKING:
    from collections.abc import Callable

    from nova_sqlcore.core.transaction import Transaction
    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock

    Work = Callable[[Transaction], Any]
    Both = Callable[[Work], Any]

CELLS, SERVICES, NODES, MIGRATIONS = tables.cells, tables.services, tables.compute_nodes, tables.migrations
NETWORKS, CONSOLES, TAGS = tables.networks, tables.consoles, tables.tags
MOMENT = datetime.datetime(2016, 4, 7, 12, 30, 15)

NODE: dict[str, Any] = {
    "vcpus": 1,
    "memory_mb": 2,
    "local_gb": 3,
    "vcpus_used": 0,
    "memory_mb_used": 0,
    "local_gb_used": 0,
}
NODE |= {"hypervisor_type": "kvm", "hypervisor_version": 1, "cpu_info": ""}
#: A row for each kind of column.
FULL: list[tuple[sa.Table, dict[str, Any]]] = [
    (SERVICES, {"host": "h", "binary": "b", "topic": "t", "disabled": True, "last_seen_up": MOMENT, "version": "7"}),
    (NODES, {**NODE, "host_ip": "2001:0db8::0001", "ram_allocation_ratio": 1.5, "stats": '{"ä": 1}'}),
    (NODES, {**NODE, "host_ip": "10.0.0.1", "ram_allocation_ratio": 2, "cpu_info": "x" * 70000}),
    (MIGRATIONS, {"migration_type": "live-migration", "memory_total": 2**40, "hidden": True, "deleted": 3}),
    (NETWORKS, {"cidr": "192.168.3.7/24", "cidr_v6": "2001:0db8::1/64", "gateway": "192.168.3.1", "injected": False}),
    (tables.instances, {"uuid": "u", "memory_mb": 5, "launched_at": MOMENT, "vm_state": None}),
    (tables.block_device_mapping, {"source_type": "volume", "boot_index": -1, "no_device": False}),
]


@pytest.fixture(autouse=True)
def _clock_stands(frozen_clock: FrozenClock) -> None:
    """Let both roads write the same times."""


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch, empty_tables: Callable[[], None]) -> Both:
    """Return a function that runs work in a writer on either road, compares the outcomes, and returns one of them."""

    def run(work: Work) -> Any:
        outcomes = []
        for road in (roads.DRIVER, roads.CORE):
            monkeypatch.setattr(roads, "USUAL", road)
            empty_tables()
            try:
                with tx.writer(get_admin_context()) as transaction:
                    outcomes.append(work(transaction))
            except (exceptions.DBError, TypeError) as error:
                outcomes.append(error)
        driver, core = outcomes
        assert exact(driver) == exact(core)
        return driver

    return run


def exact(value: Any) -> Any:
    """Return ``value`` in a form whose equality means equal types too; ids count on from test to test."""
    match value:
        case dict():
            return [(name, type(one) if name == "id" else exact(one)) for name, one in value.items()]
        case list() | tuple():
            return [exact(one) for one in value]
        case BaseException():
            about = {name: one for name, one in vars(value).items() if name != "inner_exception"}
            cause = getattr(value, "inner_exception", None)
            return type(value), exact(about), None if isinstance(value, exceptions.DBDataError) else type(cause)
    return type(value), value


def select(table: sa.Table, *where: sa.ColumnElement[bool]) -> sa.Select[Any]:
    return sa.select(*tables.row_columns(table)).where(*where).order_by(table.c.id)


class TestRows:
    @pytest.mark.parametrize(("table", "values"), FULL, ids=lambda value: getattr(value, "name", None))
    def test_every_kind_of_column(self, both: Both, table: sa.Table, values: dict[str, Any]) -> None:
        def work(t: Transaction) -> Any:
            return t.insert(table, values), t.rows(select(table))

        row, found = both(work)
        assert found == [row]
        assert exact(found) == exact([row])

    def test_null_in_every_column(self, both: Both) -> None:
        empty = (SERVICES, MIGRATIONS, NETWORKS, tables.block_device_mapping)

        def work(t: Transaction) -> Any:
            return [t.insert(table, {}) for table in empty], [t.row(select(table)) for table in empty]

        rows, found = both(work)
        assert exact(found) == exact(rows)

    def test_of_one_statement(self, both: Both) -> None:
        names = sa.select(CELLS.c.name, CELLS.c.weight_scale).where(CELLS.c.weight_scale > sa.bindparam("least"))
        names = names.order_by(CELLS.c.id)

        def work(t: Transaction) -> Any:
            for name in "abc":
                t.insert(CELLS, {"name": name, "transport_url": "u"})
            every = [method(names, least=0.5) for method in (t.row, t.rows, t.scalar, t.scalars)]
            return every, [method(names, least=2) for method in (t.row, t.rows, t.scalar, t.scalars)]

        (row, rows, name, every), nothing = both(work)
        assert row == rows[0] == {"name": "a", "weight_scale": 1.0}
        assert (name, every, nothing) == ("a", ["a", "b", "c"], [None, [], None, []])

    def test_a_limit_is_a_parameter(self, both: Both) -> None:
        statement = sa.select(CELLS.c.name).order_by(CELLS.c.name).limit(sa.bindparam("most")).offset(1)

        def work(t: Transaction) -> Any:
            t.insert_many(CELLS, [{"name": name, "transport_url": "u"} for name in "abcd"])
            return t.scalars(statement, most=2)

        assert both(work) == ["b", "c"]

    def test_computed_columns(self, both: Both) -> None:
        total = sa.cast(sa.func.sum(SERVICES.c.report_count), sa.BigInteger).label("total")
        latest = sa.func.max(SERVICES.c.last_seen_up).label("latest")
        several = (SERVICES.c.report_count > 1).label("several")
        statement = sa.select(total, latest, sa.func.count().label("n"))

        def work(t: Transaction) -> Any:
            t.insert_many(SERVICES, [{"report_count": count, "last_seen_up": MOMENT} for count in (1, 2)])
            return t.row(statement), t.scalars(sa.select(several).order_by(SERVICES.c.id))

        assert both(work) == ({"total": 3, "latest": MOMENT, "n": 2}, [False, True])

    def test_text_by_hand(self, both: Both) -> None:
        statement = sa.text("SELECT name, weight_scale FROM cells WHERE name = :name")

        def work(t: Transaction) -> Any:
            t.insert(CELLS, {"name": "a", "transport_url": "u"})
            return t.rows(statement, name="a"), t.scalar(statement, name="b")

        assert both(work) == ([{"name": "a", "weight_scale": 1.0}], None)


class TestLists:
    """Statements with IN lists are spelled out anew for each length."""

    @pytest.mark.parametrize(
        ("column", "given", "found"),
        [
            (SERVICES.c.host, ["a", "c"], "ac"),
            (SERVICES.c.host, ("b",), "b"),
            (SERVICES.c.host, [], ""),
            (SERVICES.c.host, ["x"] * 300 + ["a"], "a"),
            (SERVICES.c.report_count, [1, "2"], "ab"),
            (SERVICES.c.disabled, [True, False], "abc"),
            (SERVICES.c.disabled, [1], "b"),
            (SERVICES.c.last_seen_up, [MOMENT], "ab"),
        ],
    )
    def test_every_kind_of_item(self, both: Both, column: sa.Column[Any], given: Any, found: str) -> None:
        where = (column.in_(sa.bindparam("items", expanding=True)), SERVICES.c.topic == sa.bindparam("topic"))
        statement = sa.select(SERVICES.c.host).where(*where).order_by(SERVICES.c.id)

        def work(t: Transaction) -> Any:
            for count, host in enumerate("abc", 1):
                values = {"host": host, "topic": "t", "report_count": count, "disabled": host == "b"}
                t.insert(SERVICES, values | {"last_seen_up": MOMENT if host < "c" else None})
            return t.scalars(statement, items=given, topic="t")

        assert both(work) == list(found)

    def test_words_of_an_enum_and_addresses(self, both: Both) -> None:
        types = MIGRATIONS.c.migration_type.in_(sa.bindparam("types", expanding=True))
        addresses = NODES.c.host_ip.in_(sa.bindparam("addresses", expanding=True))

        def work(t: Transaction) -> Any:
            for table, values in FULL[1:4]:
                t.insert(table, values)
            return (
                t.scalars(sa.select(MIGRATIONS.c.memory_total).where(types), types=["resize", "live-migration"]),
                t.scalars(sa.select(NODES.c.host_ip).where(addresses), addresses=["2001:db8:0::1"]),
            )

        assert both(work) == ([2**40], ["2001:db8::1"])

    def test_in_an_update(self, both: Both) -> None:
        names = CELLS.c.name.in_(sa.bindparam("names", expanding=True))

        def work(t: Transaction) -> Any:
            t.insert_many(CELLS, [{"name": name, "transport_url": "u"} for name in "abc"])
            update = sa.update(CELLS).where(names).values(api_url=sa.bindparam("url"))
            return t.execute(update, names=["a", "c", "d"], url="x"), t.rows(select(CELLS))

        count, rows = both(work)
        assert count == 2
        assert [row["api_url"] for row in rows] == ["x", None, "x"]
        assert [row["updated_at"] is None for row in rows] == [False, True, False]

    def test_an_item_that_the_column_can_not_hold(self, both: Both) -> None:
        statement = select(SERVICES, SERVICES.c.report_count.in_(sa.bindparam("counts", expanding=True)))
        assert type(both(lambda t: t.rows(statement, counts=[1, "many"]))) is exceptions.DBDataError


class TestChanges:
    def test_insert(self, both: Both) -> None:
        def work(t: Transaction) -> Any:
            rows = [
                t.insert(CELLS, {"transport_url": "u", **more}) for more in ({"name": "a"}, {"name": "b", "id": 90_010})
            ]
            return rows, t.rows(select(CELLS).order_by(None).order_by(CELLS.c.name))

        rows, found = both(work)
        assert rows == found
        assert rows[1]["id"] == 90_010

    def test_insert_into_a_table_without_id(self, both: Both) -> None:
        tags = [{"resource_id": "r", "tag": tag} for tag in "ab"]

        def work(t: Transaction) -> Any:
            return t.insert(TAGS, tags[0]), t.insert_absent(TAGS, tags[0]), t.insert_many(TAGS, tags[1:])

        assert both(work) == (tags[0], None, tags[1:])

    def test_insert_absent(self, both: Both) -> None:
        def work(t: Transaction) -> Any:
            given = {"name": "a", "transport_url": "u"}
            other = sa.exists().where(CELLS.alias().c.name == sa.bindparam("api_url"))
            rows = [t.insert_absent(CELLS, given), t.insert_absent(CELLS, given)]
            rows += [t.insert_absent(CELLS, {**given, "name": name, "api_url": name}, only_if=~other) for name in "ab"]
            return rows, t.rows(select(CELLS))

        (first, again, taken, second), rows = both(work)
        assert [first, second] == rows
        assert again is taken is None

    @pytest.mark.parametrize("ids", [(), (90_001, 90_003, 90_002)])
    def test_insert_many(self, both: Both, ids: tuple[int, ...]) -> None:
        def work(t: Transaction) -> Any:
            given = [{"name": name, "transport_url": "u"} for name in "cab"]
            rows = [{**one, "id": identity} for one, identity in zip(given, ids, strict=True)] if ids else given
            return t.insert_many(CELLS, rows), t.rows(select(CELLS)), t.insert_many(CELLS, [])

        rows, found, nothing = both(work)
        assert [row["name"] for row in rows] == ["c", "a", "b"]
        assert sorted(rows, key=lambda row: int(row["id"])) == found
        assert nothing == []

    @pytest.mark.only_on("mysql", why="PostgreSQL and sqlite know no such step, and their drivers split nothing")
    @pytest.mark.parametrize("size", [1_024_000, 6_000], ids=["one statement", "several statements"])
    def test_ids_at_a_distance(self, backend: Backend, both: Both, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pymysql.cursors.Cursor, "max_stmt_length", size)
        tx.close()
        tx.configure(backend.url.update_query_dict({"init_command": "SET SESSION auto_increment_increment = 7"}))
        given = [{"name": f"{number:03}", "transport_url": "ü" * 100} for number in range(150)]

        def work(t: Transaction) -> Any:
            return t.insert_many(CELLS, given), t.rows(sa.select(*tables.row_columns(CELLS)).order_by(CELLS.c.name))

        rows, found = both(work)
        assert rows == found
        assert {second["id"] - first["id"] for first, second in itertools.pairwise(rows)} == {7}

    def test_counts(self, both: Both) -> None:
        update = sa.update(CELLS).where(CELLS.c.name == sa.bindparam("by")).values(api_url=sa.bindparam("url"))
        delete = sa.delete(CELLS).where(CELLS.c.name >= sa.bindparam("least"))

        def work(t: Transaction) -> Any:
            t.insert_many(CELLS, [{"name": name, "transport_url": "u"} for name in "abc"])
            changed = [t.execute(update, by=name, url="x") for name in "aaz"]
            deleted = [t.execute(delete, least="b") for _ in range(2)]
            return changed, deleted, t.scalars(sa.select(CELLS.c.name))

        assert both(work) == ([1, 1, 0], [2, 0], ["a"])

    def test_an_insert_by_hand_takes_the_defaults(self, both: Both, frozen_clock: FrozenClock) -> None:
        insert = sa.insert(CELLS).values(name=sa.bindparam("cell"), transport_url="u")

        def work(t: Transaction) -> Any:
            count = t.execute(insert, cell="a")
            t.execute_many(insert, [{"cell": "b"}, {"cell": "c"}])
            return count, t.rows(select(CELLS))

        count, rows = both(work)
        assert count == 1
        assert [row["name"] for row in rows] == ["a", "b", "c"]
        for row in rows:
            assert (row["deleted"], row["weight_scale"], row["created_at"]) == (0, 1.0, frozen_clock.now)
            assert row["updated_at"] is None

    def test_execute_many(self, both: Both) -> None:
        update = sa.update(CELLS).where(CELLS.c.name == sa.bindparam("by")).values(weight_scale=sa.bindparam("scale"))

        def work(t: Transaction) -> Any:
            t.insert_many(CELLS, [{"name": name, "transport_url": "u"} for name in "ab"])
            t.execute_many(update, [{"by": "a", "scale": 2}, {"by": "b", "scale": "3.5"}])
            t.execute_many(update, [])
            return t.rows(select(CELLS))

        assert [row["weight_scale"] for row in both(work)] == [2.0, 3.5]

    def test_update_row(self, both: Both) -> None:
        named = CELLS.c.name == sa.bindparam("by_name")
        update, again = sa.update(CELLS).where(named).values(is_parent=sa.bindparam("parent")), select(CELLS, named)

        def work(t: Transaction) -> Any:
            t.insert(CELLS, {"name": "a", "transport_url": "u"})
            return [t.update_row(update, again, {"by_name": name}, {"parent": True}) for name in "ab"]

        changed, missing = both(work)
        assert changed["is_parent"] is True
        assert missing is None

    def test_upsert(self, both: Both) -> None:
        def work(t: Transaction) -> Any:
            binds: dict[str, Any] = {
                name: sa.bindparam(name) for name in ("name", "deleted", "transport_url", "weight_scale")
            }
            changes = {"weight_scale": CELLS.c.weight_scale + sa.bindparam("more"), "transport_url": "="}
            statement = t.dialect.upsert(CELLS, binds, ("name", "deleted"), changes).inline()
            for url in ("u", "v"):
                t.execute(statement, name="a", deleted=0, transport_url=url, weight_scale=1, more=0.5)
            return t.rows(select(CELLS))

        (row,) = both(work)
        assert (row["transport_url"], row["weight_scale"]) == ("v", 1.5)


class TestErrors:
    """Same class, same names, and the driver's own error inside."""

    def test_a_unique_key(self, both: Both) -> None:
        def work(t: Transaction) -> Any:
            for _ in range(2):
                t.insert(CELLS, {"name": "a", "transport_url": "u"})

        error = both(work)
        assert type(error) is exceptions.DBDuplicateEntry
        assert error.columns == ["name", "deleted"]

    def test_a_unique_key_in_many_rows(self, both: Both) -> None:
        error = both(lambda t: t.insert_many(CELLS, [{"name": "a", "transport_url": "u"}] * 2))
        assert type(error) is exceptions.DBDuplicateEntry
        assert error.columns == ["name", "deleted"]

    def test_a_foreign_key(self, both: Both) -> None:
        error = both(lambda t: t.insert(CONSOLES, {"pool_id": 4_000_000})["id"] and t.dialect.name)
        if error == "sqlite":
            return  # it checks none
        assert type(error) is exceptions.DBReferenceError
        assert (error.table, error.key, error.key_table) == ("consoles", "pool_id", "console_pools")
        assert error.constraint

    def test_not_null(self, both: Both) -> None:
        assert type(both(lambda t: t.insert(CELLS, {"name": "a"}))) is exceptions.DBError
        insert = sa.insert(CELLS).values(name=sa.bindparam("cell"))
        assert type(both(lambda t: t.execute(insert, cell="a"))) is exceptions.DBError

    def test_text_that_is_too_long(self, both: Both) -> None:
        outcome = both(lambda t: t.insert(CELLS, {"name": "a" * 256, "transport_url": "u"})["id"] and t.dialect.name)
        assert outcome == "sqlite" or type(outcome) is exceptions.DBDataError

    @pytest.mark.parametrize("count", ["many", 2**31, 10**30, [], 1.5])
    def test_a_value_that_the_column_can_not_hold(self, both: Both, count: Any) -> None:
        statement = select(SERVICES, SERVICES.c.report_count == sa.bindparam("count"))
        error = both(lambda t: t.rows(statement, count=count))
        assert type(error) is exceptions.DBDataError
        assert "holds a whole number" in str(error)

    def test_text_that_has_no_encoding(self, both: Both) -> None:
        statement = select(CELLS, CELLS.c.name == sa.bindparam("name"))
        assert both(lambda t: t.rows(statement, name="\ud800")) == []
        assert type(both(lambda t: t.insert(CELLS, {"name": "\ud800"}))) is exceptions.DBDataError

    def test_a_table_that_is_not_there(self, both: Both) -> None:
        statement: sa.Select[Any] = sa.select(sa.column("id")).select_from(sa.table("no_such_table"))
        assert type(both(lambda t: t.rows(statement))) is exceptions.DatabaseNotMigrated

    def test_after_an_error_the_transaction_is_spoiled(self, both: Both) -> None:
        def work(t: Transaction) -> Any:
            with pytest.raises(exceptions.DBError):
                t.insert(CELLS, {"name": "a"})
            return t.rows(select(CELLS))

        assert "can only be rolled back" in str(both(work))
