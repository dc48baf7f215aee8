# SPDX-License-Identifier: Apache-2.0

"""Names, keys, uuids and project ids are compared exactly on every back-end (docs/equality.rst)."""

from __future__ import annotations

import uuid as uuids
from typing import TYPE_CHECKING, Any, cast

import pytest

from nova_sqlcore import RequestContext, api, exceptions, get_admin_context, tables, tx
from tests.queries import instance_factory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.plugins.backend import Backend

pytestmark = pytest.mark.usefixtures("backend")

#: What the usual collations of the MySQL family take for "Café".
ALIKE = ("café", "Cafe", "Café ", "CAFÉ")
NAME = "Café"
TENANT = RequestContext("user", "project")


def folds(backend: Backend) -> bool:
    """Tell whether a unique key of this back-end takes the names above for one."""
    return backend.family == "mysql"


def instance(**values: Any) -> str:
    return cast("str", instance_factory.instance(**values)["uuid"])


def metadata_of(uuid: str) -> dict[str, str | None]:
    return api.instance_metadata_get(TENANT, uuid)


class TestInstances:
    def test_metadata_of_one_key_goes(self) -> None:
        uuid = instance(metadata={NAME: "1"} | dict.fromkeys(ALIKE, "2"))
        api.instance_metadata_delete(TENANT, uuid, NAME)
        assert metadata_of(uuid) == dict.fromkeys(ALIKE, "2")

    @pytest.mark.parametrize("delete", [False, True])
    def test_metadata_is_merged_by_key(self, delete: bool) -> None:
        uuid = instance(metadata={"a": "1", "b": "1"})
        api.instance_metadata_update(TENANT, uuid, {"A": "2", "a ": "3"}, delete)
        rest = {} if delete else {"a": "1", "b": "1"}
        assert metadata_of(uuid) == {**rest, "A": "2", "a ": "3"}
        api.instance_system_metadata_update(TENANT, uuid, {"x": "1", "X": "2"}, False)
        assert api.instance_system_metadata_get(TENANT, uuid) == {"x": "1", "X": "2"}

    def test_another_spelling_of_a_uuid_is_no_instance(self, admin: RequestContext) -> None:
        uuid = instance(metadata={"a": "1"}, tags=["a"])
        for wrong in (uuid.upper(), f"{uuid[:-1]} "):
            with pytest.raises(exceptions.InstanceNotFound):
                api.instance_get_by_uuid(admin, wrong)
            with pytest.raises((exceptions.InstanceNotFound, exceptions.InvalidUUID)):
                api.instance_update(admin, wrong, {"host": "h"})
            with pytest.raises((exceptions.InstanceNotFound, exceptions.InvalidUUID)):
                api.instance_destroy(admin, wrong)
            with pytest.raises(exceptions.InstanceNotFound):
                api.instance_tag_get_by_instance_uuid(admin, wrong)
            assert metadata_of(wrong) == {}
            assert api.instance_get_all_by_filters(admin, {"uuid": [wrong]}) == []
            assert api.instance_get_all_by_filters(admin, {"uuid": wrong}) == []

    def test_children_come_with_the_uuid_they_name(self, admin: RequestContext) -> None:
        uuid = instance(metadata={"a": "1"})
        (row,) = api.instance_get_all_by_filters(admin, {"uuid": [uuid.upper(), uuid]}, columns_to_join=["metadata"])
        assert [pair["key"] for pair in row["metadata"]] == ["a"]

    def test_a_project_sees_its_own(self) -> None:
        theirs = instance(project_id="proj_a")
        other = RequestContext("user", "PROJ_A")
        assert api.instance_get_all(other) == []
        assert api.instance_get_all_by_filters(other, {}) == []
        with pytest.raises(exceptions.InstanceNotFound):
            api.instance_get_by_uuid(other, theirs)
        with pytest.raises(exceptions.InstanceNotFound):
            api.instance_tag_add(other, theirs, "a")
        assert [row["uuid"] for row in api.instance_get_all(RequestContext("user", "proj_a"))] == [theirs]

    @pytest.mark.parametrize("name", ["host", "project_id", "user_id", "image_ref", "vm_state", "task_state"])
    def test_filters_by_value(self, admin: RequestContext, name: str) -> None:
        uuid = instance(**{"project_id": "p", name: NAME})
        for value, found in ((NAME, [uuid]), ([NAME, "x"], [uuid]), *((other, []) for other in ALIKE), (ALIKE, [])):
            assert [row["uuid"] for row in api.instance_get_all_by_filters(admin, {name: value})] == found

    @pytest.mark.parametrize("name", ["metadata", "system_metadata"])
    def test_filters_by_metadata(self, admin: RequestContext, name: str) -> None:
        uuid = instance(**{name: {NAME: NAME}})
        assert [row["uuid"] for row in api.instance_get_all_by_filters(admin, {name: {NAME: NAME}})] == [uuid]
        for other in ALIKE:
            assert api.instance_get_all_by_filters(admin, {name: {other: NAME}}) == []
            assert api.instance_get_all_by_filters(admin, {name: {NAME: other}}) == []
            if name == "metadata":
                blocks = [{"name": f"tag:{NAME}", "value": [other]}]
                assert api.instance_get_all_by_filters(admin, {"filter": blocks}) == []
                assert api.instance_get_all_by_filters(admin, {"filter": [{"name": "tag-key", "value": [other]}]}) == []

    def test_filters_by_tags(self, admin: RequestContext) -> None:
        uuid = instance(tags=[NAME, "b"])
        for name in ("tags", "tags-any"):
            assert [row["uuid"] for row in api.instance_get_all_by_filters(admin, {name: [NAME]})] == [uuid]
            for other in ALIKE:
                assert api.instance_get_all_by_filters(admin, {name: [other]}) == []
        assert api.instance_get_all_by_filters(admin, {"tags": [NAME, ALIKE[0]]}) == []
        assert len(api.instance_get_all_by_filters(admin, {"tags-any": [NAME, ALIKE[0]]})) == 1

    def test_hosts_and_nodes(self, admin: RequestContext) -> None:
        instance(host=NAME, node=NAME)
        assert len(api.instance_get_all_by_host_and_node(admin, NAME, NAME)) == 1
        for other in ALIKE:
            assert api.instance_get_all_by_host(admin, other) == []
            assert api.instance_get_all_by_host_and_node(admin, NAME, other) == []

    def test_pages_follow_the_order_of_the_collation(self, admin: RequestContext) -> None:
        names = [NAME, *ALIKE, "b", "d"]
        for name in names:
            instance(display_name=name)
        given: dict[str, Any] = {"sort_keys": ["display_name", "id"], "sort_dirs": ["asc", "asc"]}
        whole = [row["uuid"] for row in api.instance_get_all_by_filters_sort(admin, {}, **given)]
        assert len(whole) == len(names)
        pages: list[str] = []
        for _ in names:
            marker = pages[-1] if pages else None
            page = api.instance_get_all_by_filters_sort(admin, {}, limit=1, marker=marker, **given)
            pages += [row["uuid"] for row in page]
        assert pages == whole


class TestTags:
    def words(self, uuid: str) -> list[str]:
        return [row["tag"] for row in api.instance_tag_get_by_instance_uuid(TENANT, uuid)]

    @pytest.mark.parametrize("other", ALIKE)
    def test_add(self, backend: Backend, other: str) -> None:
        uuid = instance(tags=[NAME])
        if folds(backend):
            with pytest.raises(exceptions.DBKeyClash) as caught:
                api.instance_tag_add(TENANT, uuid, other)
            assert f"tags.tag {other!r} differs from a stored one" in str(caught.value)
            assert self.words(uuid) == [NAME]
        else:
            assert api.instance_tag_add(TENANT, uuid, other)["tag"] == other
            assert set(self.words(uuid)) == {NAME, other}
        assert api.instance_tag_add(TENANT, uuid, NAME)["tag"] == NAME
        assert api.instance_tag_exists(TENANT, uuid, NAME)
        assert api.instance_tag_exists(TENANT, uuid, other) is not folds(backend)

    @pytest.mark.parametrize("other", ALIKE)
    def test_set(self, backend: Backend, other: str) -> None:
        uuid = instance(tags=[NAME])
        assert [row["tag"] for row in api.instance_tag_set(TENANT, uuid, [other])] == [other]
        assert self.words(uuid) == [other]
        if folds(backend):
            with pytest.raises(exceptions.DBKeyClash, match=r"tags\.tag"):
                api.instance_tag_set(TENANT, uuid, ["x", other, NAME])
            assert self.words(uuid) == [other]
        else:
            api.instance_tag_set(TENANT, uuid, ["x", other, NAME])
            assert set(self.words(uuid)) == {"x", other, NAME}

    def test_delete(self) -> None:
        uuid = instance(tags=[NAME])
        for other in ALIKE:
            with pytest.raises(exceptions.InstanceTagNotFound):
                api.instance_tag_delete(TENANT, uuid, other)
        api.instance_tag_delete(TENANT, uuid, NAME)
        assert self.words(uuid) == []


class TestAggregates:
    @pytest.mark.parametrize("other", ALIKE)
    def test_what_is_returned_is_what_is_stored(self, admin: RequestContext, backend: Backend, other: str) -> None:
        both = {NAME: "1", other: "2"}
        if folds(backend):
            with pytest.raises(exceptions.DBKeyClash) as caught:
                api.aggregate_create(admin, {"name": "a"}, both)
            assert repr(NAME) in str(caught.value)
            assert repr(other) in str(caught.value)
            assert api.aggregate_get_all(admin) == []
            return
        row = api.aggregate_create(admin, {"name": "a"}, both)
        assert row["metadetails"] == both == api.aggregate_get(admin, row["id"])["metadetails"]
        assert api.aggregate_metadata_add(admin, row["id"], {other: "3"}) == {other: "3"}
        assert api.aggregate_metadata_get(admin, row["id"]) == both | {other: "3"}

    @pytest.mark.parametrize("other", ALIKE)
    def test_one_more_key(self, admin: RequestContext, backend: Backend, other: str) -> None:
        number = api.aggregate_create(admin, {"name": "a"}, {NAME: "1", "x": "1"})["id"]
        calls: tuple[Callable[[], Any], ...] = (
            lambda: api.aggregate_metadata_add(admin, number, {"y": "2", other: "2"}),
            lambda: api.aggregate_metadata_add(admin, number, {NAME: "2", other: "2"}, set_delete=True),
            lambda: api.aggregate_update(admin, number, {"metadata": {NAME: "2", other: "2"}}),
        )
        for call in calls if folds(backend) else ():
            with pytest.raises(exceptions.DBKeyClash):
                call()
            assert api.aggregate_metadata_get(admin, number) == {NAME: "1", "x": "1"}
        api.aggregate_update(admin, number, {"metadata": {other: "4"}})
        assert api.aggregate_metadata_get(admin, number) == {other: "4"}
        with pytest.raises(exceptions.AggregateMetadataNotFound):
            api.aggregate_metadata_delete(admin, number, NAME)

    def test_names_hosts_and_keys(self, admin: RequestContext) -> None:
        number = api.aggregate_create(admin, {"name": NAME}, {NAME: "a"})["id"]
        other = api.aggregate_create(admin, {"name": ALIKE[0]}, {NAME: "A"})["id"]
        for one in (number, other):
            api.aggregate_host_add(admin, one, NAME)
        assert api.aggregate_metadata_get_by_host(admin, NAME) == {NAME: {"a", "A"}}
        assert api.aggregate_get_by_host(admin, ALIKE[0]) == []
        assert api.aggregate_get_by_metadata_key(admin, ALIKE[0]) == []
        with pytest.raises(exceptions.AggregateHostNotFound):
            api.aggregate_host_delete(admin, number, ALIKE[0])


class TestFlavors:
    @pytest.mark.parametrize("other", ALIKE)
    def test_specs_and_projects(self, admin: RequestContext, backend: Backend, other: str) -> None:
        values = {"name": "f", "flavorid": "f", "memory_mb": 1, "vcpus": 1, "root_gb": 1, "ephemeral_gb": 0, "swap": 0}
        values |= {"rxtx_factor": 1.0, "is_public": False}
        both = [NAME, other]
        specs = dict.fromkeys(both, "1")
        if folds(backend) and other.endswith(" "):  # the collation of specs is binary, which still pads with blanks
            with pytest.raises(exceptions.DBKeyClash, match="key"):
                api.flavor_create(admin, values | {"extra_specs": specs})
            specs = {NAME: "1"}
        if folds(backend):
            with pytest.raises(exceptions.DBKeyClash, match="project_id"):
                api.flavor_create(admin, values, projects=both)
            api.flavor_create(admin, values | {"extra_specs": specs}, projects=[NAME])
            with pytest.raises(exceptions.FlavorAccessExists):
                api.flavor_access_add(admin, "f", other)
        else:
            api.flavor_create(admin, values | {"extra_specs": specs}, projects=both)
            api.flavor_access_remove(admin, "f", other)
        if other in specs:
            api.flavor_extra_specs_delete(admin, "f", other)
        else:
            with pytest.raises(exceptions.DBKeyClash, match="key"):
                api.flavor_extra_specs_update_or_create(admin, "f", {other: "2"})
        assert api.flavor_extra_specs_get(admin, "f") == {NAME: "1"}
        assert [row["project_id"] for row in api.flavor_access_get_by_flavor_id(admin, "f")] == [NAME]
        with pytest.raises(exceptions.FlavorNotFound):
            api.flavor_get_by_flavor_id(RequestContext("user", other), "f")
        with pytest.raises(exceptions.FlavorNotFound):
            api.flavor_get_by_flavor_id(admin, "F")


class TestOtherNouns:
    @pytest.mark.parametrize("other", ALIKE)
    def test_services(self, admin: RequestContext, backend: Backend, other: str) -> None:
        given = {"host": NAME, "binary": "b", "topic": "t", "report_count": 0}
        number = api.service_create(admin, given)["id"]
        with pytest.raises(exceptions.HostBinaryNotFound):
            api.service_get_by_host_and_binary(admin, other, "b")
        assert api.service_get_all_by_host(admin, other) == []
        if folds(backend):
            with pytest.raises(exceptions.ServiceBinaryExists):
                api.service_create(admin, given | {"host": other, "topic": "T2"})
            with pytest.raises(exceptions.ServiceTopicExists):
                api.service_create(admin, given | {"host": other, "binary": "c"})
        else:
            api.service_create(admin, given | {"host": other})
            instance_factory.insert("compute_nodes", **_node(other, f"node of {other}"))
            api.service_destroy(admin, number)
            assert len(api.compute_node_get_all(admin)) == 1

    def test_nodes_of_another_spelling_stay(self, admin: RequestContext) -> None:
        number = api.service_create(admin, {"host": NAME, "binary": "nova-compute", "topic": "t"})["id"]
        instance_factory.insert("compute_nodes", **_node(ALIKE[0], "node"))
        api.service_destroy(admin, number)
        assert [row["host"] for row in api.compute_node_get_all(admin)] == [ALIKE[0]]

    @pytest.mark.parametrize("other", ALIKE)
    def test_names_of_a_project(self, admin: RequestContext, other: str) -> None:
        api.security_group_create(admin, {"name": NAME, "project_id": NAME, "user_id": "u"})
        api.key_pair_create(admin, {"name": NAME, "user_id": NAME, "type": "ssh"})
        api.quota_create(admin, NAME, NAME, 5)
        for project, name in ((NAME, other), (other, NAME)):
            with pytest.raises(exceptions.SecurityGroupNotFoundForProject):
                api.security_group_get_by_name(admin, project, name)
            with pytest.raises(exceptions.KeypairNotFound):
                api.key_pair_get(admin, project, name)
            with pytest.raises(exceptions.ProjectQuotaNotFound):
                api.quota_get(admin, project, name)
            with pytest.raises(exceptions.ProjectQuotaNotFound):
                api.quota_update(admin, project, name, 7)
        assert api.security_group_get_by_project(admin, other) == []
        assert api.key_pair_get_all_by_user(admin, other) == []
        assert api.quota_get_all_by_project(admin, other) == {"project_id": other}

    def test_dns_domains(self, admin: RequestContext, backend: Backend) -> None:
        api.dnsdomain_register_for_project(admin, "a.example", "p")
        if folds(backend):
            with pytest.raises(exceptions.DBKeyClash, match=r"dns_domains\.domain 'A\.example' differs"):
                api.dnsdomain_register_for_zone(admin, "A.example", "z")
        else:
            api.dnsdomain_register_for_zone(admin, "A.example", "z")
            api.dnsdomain_unregister(admin, "A.example")
        assert api.dnsdomain_get(admin, "A.example") is None
        assert [row["domain"] for row in api.dnsdomain_get_all(admin)] == ["a.example"]

    def test_pools_are_told_apart(self, admin: RequestContext) -> None:
        for number, pool in enumerate((NAME, *ALIKE, NAME)):
            api.floating_ip_create(admin, {"address": f"10.0.0.{number + 1}", "pool": pool})
        assert sorted(str(row["name"]) for row in api.floating_ip_get_pools(admin)) == sorted((NAME, *ALIKE))
        with pytest.raises(exceptions.NoMoreFloatingIps):
            api.floating_ip_allocate_address(admin, "p", "cafe")

    def test_usages_are_told_apart(self, admin: RequestContext) -> None:
        for number, resource in enumerate((NAME, *ALIKE)):
            row = {"project_id": "p", "user_id": "u", "resource": resource, "in_use": number, "reserved": 0}
            instance_factory.insert("quota_usages", **row)
        usages = api.quota_usage_get_all_by_project(admin, "p")
        found = [usages[name]["in_use"] for name in (NAME, *ALIKE)]
        assert found == [0, 1, 2, 3, 4]

    @pytest.mark.parametrize("latest", [False, True])
    def test_faults_under_each_spelling(self, admin: RequestContext, latest: bool) -> None:
        uuid = instance()
        fault = api.instance_fault_create(admin, {"instance_uuid": uuid, "code": 1})
        found = api.instance_fault_get_by_instance_uuids(admin, [uuid.upper(), uuid], latest=latest)
        assert found == {uuid.upper(): [], uuid: [fault]}


class TestCallersOwnStatements:
    """The rule holds for whatever a caller builds from the tables."""

    def count(self, *where: Any) -> int:
        t = tables.instances
        with tx.reader(get_admin_context()) as transaction:
            return len(transaction.rows(t.select().where(*where)))

    def test_operators(self) -> None:
        t = tables.instances
        uuid = instance(host=NAME)
        other = ALIKE[0]
        assert (
            self.count(t.c.host == NAME) == self.count(t.c.host != other) == self.count(t.c.host.in_([NAME, "x"])) == 1
        )
        assert self.count(t.c.host == other) == self.count(t.c.host.in_(ALIKE)) == self.count(t.c.host != NAME) == 0
        assert self.count(~(t.c.host == other)) == self.count(~t.c.host.in_(ALIKE)) == self.count(t.c.uuid == uuid) == 1
        assert self.count(t.c.host == None) == 0  # noqa: E711  # SQL's IS NULL
        assert self.count(t.c.host != t.c.host) == self.count(t.c.host.in_([])) == 0


def _node(host: str, name: str) -> dict[str, Any]:
    numbers: Iterable[str] = ("vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used")
    texts = {"hypervisor_type": "q", "cpu_info": "", "host": host, "hypervisor_hostname": name}
    return {**dict.fromkeys(numbers, 1), "hypervisor_version": 1, **texts, "uuid": str(uuids.uuid4())}
