# SPDX-License-Identifier: Apache-2.0

"""The configuration of a real Nova: what ``nova.conf`` says of the database, of quotas and of names."""

from __future__ import annotations

import configparser
import dataclasses
from types import SimpleNamespace
from typing import Any, Final

import click

from nova_sqlcore.queries import reference
from nova_sqlcore.settings import settings

_YES: Final = ("1", "true", "yes", "on")
_NO: Final = ("0", "false", "no", "off")

#: Options of [database] under their names of today, and what Mitaka calls them.
_RENAMED: Final = {"connection_recycle_time": "idle_timeout", "sql_connection": "connection"}
_TYPES: Final[dict[str, type]] = {
    "connection": str,
    "slave_connection": str,
    "idle_timeout": int,
    "max_pool_size": int,
    "max_overflow": int,
    "pool_timeout": float,
    "mysql_sql_mode": str,
    "sqlite_synchronous": bool,
    "max_retries": int,
    "retry_interval": float,
    "connection_debug": int,
}
#: Knobs of the library, and the sections beside [DEFAULT] in which releases after Mitaka have them.
_KNOBS: Final[dict[str, type]] = {field.name: type(field.default) for field in dataclasses.fields(settings)} | {
    "osapi_compute_unique_server_name_scope": str,
    "default_ephemeral_format": str,
}
_SECTIONS: Final = ("DEFAULT", "quota", "database", "compute")


@dataclasses.dataclass(frozen=True, slots=True)
class Config:
    """What a configuration file says."""

    #: options of [database], by their Mitaka names
    database: dict[str, Any]
    #: knobs of ``nova_sqlcore.settings``
    knobs: dict[str, Any]

    @property
    def url(self) -> str | None:
        """The address of the database."""
        found: str | None = self.database.get("connection")
        return found

    def apply(self, url: str) -> None:
        """Configure the main database at ``url`` with these options, and set the knobs."""
        for name, value in self.knobs.items():
            setattr(settings, name, value)
        options = SimpleNamespace(**{**dict.fromkeys(_TYPES), **self.database, "connection": url})
        reference.configure(SimpleNamespace(database=options, api_database=SimpleNamespace(connection=None)))


def read(path: str) -> Config:
    """Read a file in the format of oslo.config.

    Raises: click.UsageError naming the line or the option that can't be understood.
    """
    parser = configparser.RawConfigParser(
        strict=False, interpolation=None, default_section="\0", comment_prefixes=("#", ";"), allow_no_value=True
    )
    parser.optionxform = lambda name: name.replace("-", "_")  # type: ignore[assignment,method-assign]  # how it is meant
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path}: {' '.join(str(error).split())}") from None
    if parser.has_option("api_database", "connection"):
        click.echo(f"{path}: [api_database] is not used; all commands work on [database]", err=True)
    given = dict(parser.items("database")) if parser.has_section("database") else {}
    named = {_RENAMED.get(name, name): value for name, value in given.items()}
    database = {name: _value(path, name, named[name], kind) for name, kind in _TYPES.items() if named.get(name)}
    return Config(database, _knobs(path, parser))


def _knobs(path: str, parser: configparser.RawConfigParser) -> dict[str, Any]:
    found = {}
    for name, kind in _KNOBS.items():
        for section in _SECTIONS:
            if parser.has_option(section, name):
                found[name] = _value(path, name, parser.get(section, name) or "", kind)
    return found


def _value(path: str, name: str, text: str, kind: type) -> Any:
    """Return what an option's text stands for.

    Raises: click.UsageError.
    """
    plain = text.strip()
    if kind is bool:
        if plain.lower() not in (*_YES, *_NO):
            raise click.UsageError(f"{path}: {name} is true or false; got {plain!r}")
        return plain.lower() in _YES
    try:
        return kind(plain.strip("\"'") if kind is str else plain)
    except ValueError:
        raise click.UsageError(f"{path}: {name} is a number; got {plain!r}") from None
