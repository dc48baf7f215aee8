# SPDX-License-Identifier: Apache-2.0

"""The formats of block device mappings: the legacy one of EC2 requests, and the new one, which is stored.

A legacy mapping says what it is by ``virtual_name``, ``snapshot_id``, ``volume_id`` or ``no_device``; a new one by
``source_type`` and ``destination_type``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from nova_sqlcore import exceptions
from nova_sqlcore.core.texts import quoted
from nova_sqlcore.settings import settings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

#: Fields that both formats have.
_COMMON: Final = (
    "device_name",
    "delete_on_termination",
    "snapshot_id",
    "volume_id",
    "volume_size",
    "no_device",
    "connection_info",
)
#: Fields that a legacy mapping says nothing of: its conversion leaves them out unless it sets them.
_UNSAID: Final = ("boot_index", "disk_bus", "guest_format", "device_type")
_NEW: Final = ("source_type", "destination_type", "image_id", *_UNSAID, *_COMMON)
_DB_ONLY: Final = ("id", "instance_uuid", "created_at", "updated_at", "deleted_at", "deleted")

_EPHEMERAL: Final = re.compile(r"ephemeral(\d|[1-9]\d+)")
_TRUE_WORDS: Final = ("1", "t", "true", "on", "y", "yes")
_DEV: Final = "/dev/"
_LONGEST_NAME: Final = 255


class BlockDeviceDict(dict[str, Any]):
    """A mapping in the new format, checked and complete: fields that are missing are None.

    Raises: InvalidBDMFormat(details).
    """

    def __init__(
        self,
        bdm_dict: dict[str, Any] | None = None,
        do_not_default: Collection[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Take the fields; ``bdm_dict`` itself gets the keywords and the converted values too.

        Fields in ``do_not_default`` stay missing.
        """
        given = bdm_dict or {}
        given.update(kwargs)
        _check(given)
        if given.get("device_name"):
            given["device_name"] = _DEV + given["device_name"].removeprefix(_DEV)
        given["delete_on_termination"] = bool(given.get("delete_on_termination"))
        super().__init__((name, None) for name in _NEW if name not in (do_not_default or ()))
        self.update(given)

    @classmethod
    def from_legacy(cls, legacy_bdm: Mapping[str, Any]) -> BlockDeviceDict:
        """Return what a legacy mapping means in the new format; what the legacy format lacks is dropped.

        Raises: InvalidBDMFormat(details) for a mapping that does not say what it is.
        """
        copied = {name: legacy_bdm[name] for name in (*_COMMON, *_DB_ONLY) if name in legacy_bdm}
        return cls(copied | _meaning(legacy_bdm), do_not_default=_UNSAID)


def is_safe_for_update(bdm: Mapping[str, Any]) -> bool:
    """Tell whether all fields are such that an UPDATE can take them as they are."""
    return all(name in _NEW or name in _DB_ONLY for name in bdm)


def new_format_is_swap(bdm: Mapping[str, Any]) -> bool:
    """Tell whether a mapping in the new format is swap space."""
    return [bdm.get(name) for name in ("source_type", "destination_type", "guest_format")] == ["blank", "local", "swap"]


def _meaning(legacy: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the new format that follow from the legacy ones."""
    name = legacy.get("virtual_name")
    if isinstance(name, str) and (name == "swap" or _EPHEMERAL.fullmatch(name)):
        guest_format = "swap" if name == "swap" else settings.default_ephemeral_format
        blank = {"source_type": "blank", "destination_type": "local", "guest_format": guest_format}
        return blank | {"delete_on_termination": True}
    if legacy.get("snapshot_id"):
        return {"source_type": "snapshot", "destination_type": "volume"}
    if legacy.get("volume_id"):
        return {"source_type": "volume", "destination_type": "volume"}
    if legacy.get("no_device"):
        return {}
    raise exceptions.InvalidBDMFormat(details="neither virtual device, snapshot, volume nor no_device")


def _check(given: dict[str, Any]) -> None:
    """Refuse what no mapping can hold, and convert numbers and flags in place; ``no_device`` needs nothing else."""
    unknown = [str(name) for name in given if name not in _NEW and name not in _DB_ONLY]
    if unknown:
        raise exceptions.InvalidBDMFormat(details=f"unknown fields: {', '.join(unknown)}")
    if given.get("no_device"):
        return
    if "source_type" not in given:
        raise exceptions.InvalidBDMFormat(details="source_type is missing")
    if "delete_on_termination" in given:
        given["delete_on_termination"] = _is_true(given["delete_on_termination"])
    _check_name(given.get("device_name"))
    if given.get("volume_size"):
        given["volume_size"] = _number("volume_size", str(given["volume_size"]))
        if given["volume_size"] < 0:
            raise exceptions.InvalidBDMFormat(details="volume_size is negative")
    if given.get("boot_index"):
        given["boot_index"] = _number("boot_index", given["boot_index"])


def _is_true(value: Any) -> bool:
    return value if isinstance(value, bool) else str(value).strip().lower() in _TRUE_WORDS


def _check_name(name: Any) -> None:
    if name is None:
        return
    if not isinstance(name, str) or not 1 <= len(name) <= _LONGEST_NAME or " " in name:
        details = f"device_name is text of 1 to {_LONGEST_NAME} characters without a blank"
        raise exceptions.InvalidBDMFormat(details=details)


def _number(name: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise exceptions.InvalidBDMFormat(details=f"{name} is a whole number; got {quoted(value)}") from error
