# SPDX-License-Identifier: Apache-2.0

"""The formats of block device mappings and the conversion between them (05, legacy conversion)."""

from __future__ import annotations

from typing import Any

import pytest

from nova_sqlcore import exceptions
from nova_sqlcore.queries.storage.block_device_format import BlockDeviceDict, is_safe_for_update, new_format_is_swap
from nova_sqlcore.settings import settings

Row = dict[str, Any]

NEW = {
    "source_type",
    "destination_type",
    "guest_format",
    "device_type",
    "disk_bus",
    "boot_index",
    "device_name",
    "delete_on_termination",
    "snapshot_id",
    "volume_id",
    "volume_size",
    "image_id",
    "no_device",
    "connection_info",
}
DB_ONLY = {"id", "instance_uuid", "created_at", "updated_at", "deleted_at", "deleted"}
UNSAID = {"boot_index", "disk_bus", "guest_format", "device_type"}
LEGACY: Row = dict.fromkeys(NEW - UNSAID) | {"delete_on_termination": False}


class TestFromLegacy:
    @pytest.mark.parametrize(
        ("legacy", "meaning"),
        [
            (
                {"virtual_name": "swap", "delete_on_termination": False, "snapshot_id": "s"},
                {"source_type": "blank", "destination_type": "local", "guest_format": "swap", "snapshot_id": "s"}
                | {"delete_on_termination": True},
            ),
            (
                {"virtual_name": "ephemeral0"},
                {"source_type": "blank", "destination_type": "local", "guest_format": "ext4"}
                | {"delete_on_termination": True},
            ),
            (
                {"virtual_name": "ephemeral12", "no_device": True},
                {"source_type": "blank", "destination_type": "local", "guest_format": "ext4", "no_device": True}
                | {"delete_on_termination": True},
            ),
            (
                {"virtual_name": "ephemeral01", "snapshot_id": "s", "volume_id": "v"},
                {"source_type": "snapshot", "destination_type": "volume", "snapshot_id": "s", "volume_id": "v"},
            ),
            (
                {"virtual_name": "", "snapshot_id": "", "volume_id": "v", "no_device": True},
                {"source_type": "volume", "destination_type": "volume", "snapshot_id": "", "volume_id": "v"}
                | {"no_device": True},
            ),
            ({"virtual_name": None, "no_device": True}, {"no_device": True}),
            (
                {"volume_id": "v", "image_id": "i", "boot_index": 3, "source_type": "image", "destination_type": "x"}
                | {"guest_format": "ntfs", "device_type": "disk", "disk_bus": "ide", "junk": 1},
                {"source_type": "volume", "destination_type": "volume", "volume_id": "v"},
            ),
            (
                {"volume_id": "v", "volume_size": "42", "connection_info": "{}", "device_name": "vda"}
                | {"delete_on_termination": " Yes "},
                {"source_type": "volume", "destination_type": "volume", "volume_id": "v", "volume_size": 42}
                | {"connection_info": "{}", "device_name": "/dev/vda", "delete_on_termination": True},
            ),
        ],
    )
    def test_the_first_rule_that_matches_wins(self, monkeypatch: pytest.MonkeyPatch, legacy: Row, meaning: Row) -> None:
        monkeypatch.setattr(settings, "default_ephemeral_format", "ext4")
        before = dict(legacy)
        assert BlockDeviceDict.from_legacy(legacy) == LEGACY | meaning
        assert legacy == before

    def test_ephemeral_disks_have_no_format_unless_set(self) -> None:
        found = BlockDeviceDict.from_legacy({"virtual_name": "ephemeral3"})
        assert found["guest_format"] is None

    def test_what_only_the_database_knows_is_kept(self) -> None:
        kept = dict.fromkeys(DB_ONLY, 7)
        assert BlockDeviceDict.from_legacy({"volume_id": "v", **kept}).items() >= kept.items()

    @pytest.mark.parametrize(
        "legacy",
        [
            {},
            {"virtual_name": "ephemeral"},
            {"virtual_name": "ephemeral01"},
            {"virtual_name": "ephemeral1\n"},
            {"virtual_name": 5},
            {"virtual_name": "root", "device_name": "vda"},
            {"snapshot_id": None, "volume_id": "", "no_device": False},
            {"source_type": "volume", "destination_type": "volume"},
            {"volume_id": "v", "device_name": "bad name"},
        ],
    )
    def test_what_means_nothing_is_refused(self, legacy: Row) -> None:
        with pytest.raises(exceptions.InvalidBDMFormat) as raised:
            BlockDeviceDict.from_legacy(legacy)
        assert raised.value.kwargs["details"]
        assert raised.value.code == 400
        assert isinstance(raised.value, exceptions.InvalidBDM | exceptions.Invalid)


class TestBlockDeviceDict:
    def test_missing_fields_are_none(self) -> None:
        found = BlockDeviceDict({"source_type": "image"})
        assert found == dict.fromkeys(NEW) | {"source_type": "image", "delete_on_termination": False}
        assert BlockDeviceDict({"source_type": None}, do_not_default={"image_id", "boot_index"}).keys() == NEW - {
            "image_id",
            "boot_index",
        }

    def test_the_dict_that_is_passed_gets_it_all(self) -> None:
        passed = {"device_name": "vda", "volume_size": "5", "delete_on_termination": "no", "boot_index": "1"}
        found = BlockDeviceDict(passed, source_type="volume", id=3)
        expected = {"device_name": "/dev/vda", "volume_size": 5, "delete_on_termination": False, "boot_index": 1}
        assert passed == expected | {"source_type": "volume", "id": 3}
        assert found == dict.fromkeys(NEW) | passed

    @pytest.mark.parametrize("nothing", [None, {}])
    def test_nothing_is_replaced_by_a_fresh_dict(self, nothing: Row | None) -> None:
        assert BlockDeviceDict(nothing, source_type="blank")["source_type"] == "blank"
        assert not nothing

    @pytest.mark.parametrize(
        ("field", "value", "kept"),
        [
            ("delete_on_termination", True, True),
            ("delete_on_termination", " TRUE ", True),
            ("delete_on_termination", "on", True),
            ("delete_on_termination", "t", True),
            ("delete_on_termination", "y", True),
            ("delete_on_termination", 1, True),
            ("delete_on_termination", 2, False),
            ("delete_on_termination", "foo", False),
            ("delete_on_termination", None, False),
            ("device_name", "vda", "/dev/vda"),
            ("device_name", "/dev/vda", "/dev/vda"),
            ("device_name", "/dev//dev/vda", "/dev//dev/vda"),
            ("device_name", "x" * 255, "/dev/" + "x" * 255),
            ("device_name", None, None),
            ("volume_size", "42", 42),
            ("volume_size", 0, 0),
            ("volume_size", "", ""),
            ("volume_size", None, None),
            ("boot_index", "-1", -1),
            ("boot_index", 0, 0),
            ("boot_index", None, None),
        ],
    )
    def test_conversions(self, field: str, value: Any, kept: Any) -> None:
        passed = {"source_type": "blank", field: value}
        assert BlockDeviceDict(passed)[field] == kept
        assert passed[field] == kept

    @pytest.mark.parametrize(
        "bad",
        [
            {"device_name": ""},
            {"device_name": "a b"},
            {"device_name": "x" * 256},
            {"device_name": 5},
            {"volume_size": -1},
            {"volume_size": "big"},
            {"volume_size": 1.5},
            {"boot_index": "first"},
            {"boot_index": [1]},
            {"virtual_name": "swap"},
        ],
    )
    def test_refused(self, bad: Row) -> None:
        with pytest.raises(exceptions.InvalidBDMFormat):
            BlockDeviceDict({"source_type": "blank", **bad})

    def test_the_source_type_must_be_a_key(self) -> None:
        with pytest.raises(exceptions.InvalidBDMFormat):
            BlockDeviceDict({"device_name": "vda"})
        with pytest.raises(exceptions.InvalidBDMFormat):
            BlockDeviceDict()

    def test_without_a_device_nothing_else_is_checked(self) -> None:
        found = BlockDeviceDict(no_device=True, delete_on_termination="False", volume_size=-1, device_name="a b")
        assert (found["delete_on_termination"], found["volume_size"]) == (True, -1)
        assert found["device_name"] == "/dev/a b"
        with pytest.raises(exceptions.InvalidBDMFormat):
            BlockDeviceDict(no_device=True, junk=1)


@pytest.mark.parametrize(
    ("values", "is_safe"),
    [
        ({}, True),
        (dict.fromkeys(NEW | DB_ONLY), True),
        ({"virtual_name": None}, False),
        ({"device_name": "vda", "junk": 1}, False),
    ],
)
def test_is_safe_for_update(values: Row, is_safe: bool) -> None:
    assert is_safe_for_update(values) is is_safe


def test_swap() -> None:
    swap = {"source_type": "blank", "destination_type": "local", "guest_format": "swap"}
    assert new_format_is_swap(swap | {"device_name": "vda"})
    for name in swap:
        assert not new_format_is_swap({key: value for key, value in swap.items() if key != name})
        assert not new_format_is_swap(swap | {name: "other"})
