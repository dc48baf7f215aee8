# SPDX-License-Identifier: Apache-2.0

"""Runs a part of the tests on private servers whose settings are hostile: ``make test-odd-servers``.

    python -m tests.odd_servers [--servers NAME,...] [PYTEST-ARGUMENT ...]

Settings of a session that the library pins must not matter; others, such as the distance between ids, must not either.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests import servers

#: What the chosen part has: every kind of statement, many rows at once, dates, filters, patterns, upserts and guards.
PART = [
    "tests/core/test_roads.py",
    "tests/core/test_engines.py",
    "tests/core/test_sessions.py",
    "tests/core/test_savepoints.py",
    "tests/queries/hosts/test_services.py",
    "tests/queries/hosts/test_aggregates.py",
    "tests/queries/hosts/test_task_log.py",
    "tests/queries/compute/test_instances_filters.py",
    "tests/queries/compute/test_instance_metadata.py",
    "tests/queries/compute/test_instance_tags.py",
    "tests/queries/flavors",
    "tests/queries/network/test_floating_ips.py",
    "tests/queries/quota",
    "tests/queries/security",
    "tests/recorded",
    "tests/schema/test_migrate.py",
]
_ZONE = "+05:45"
_MYSQL = {
    "auto_increment_increment": "7",
    "auto_increment_offset": "5",
    "default_time_zone": _ZONE,
    "transaction_isolation": "SERIALIZABLE",
    "group_concat_max_len": "1024",
    "lower_case_table_names": "1",
}
_POSTGRESQL = {
    "default_transaction_isolation": "repeatable read",
    "datestyle": "SQL, DMY",
    "intervalstyle": "sql_standard",
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    "timezone": "Asia/Kathmandu",
    "client_encoding": "LATIN1",
    "transform_null_equals": "on",
    "extra_float_digits": "-10",
    "lock_timeout": "1s",
}
#: A server of each kind: name, product, settings.
ODD: dict[str, tuple[str, dict[str, str]]] = {
    "mariadb-oracle-latin1": (
        "mariadb",
        _MYSQL | {"sql_mode": "ORACLE", "character_set_server": "latin1", "collation_server": "latin1_general_cs"},
    ),
    "mariadb-maxdb-utf8mb4": (
        "mariadb",
        _MYSQL | {"sql_mode": "MAXDB", "character_set_server": "utf8mb4", "collation_server": "utf8mb4_bin"},
    ),
    "mysql-ansi-utf8mb4": (
        "mysql",
        _MYSQL | {"sql_mode": "ANSI", "character_set_server": "utf8mb4", "collation_server": "utf8mb4_0900_ai_ci"},
    ),
    "postgresql-snapshots": ("postgresql", _POSTGRESQL),
    "postgresql-serializable": ("postgresql", _POSTGRESQL | {"default_transaction_isolation": "serializable"}),
}


def main(arguments: list[str]) -> int:
    """Run the part on every server, or on those named; return the first exit code that is not 0."""
    names = list(ODD)
    if arguments[:1] == ["--servers"]:
        names, arguments = arguments[1].split(","), arguments[2:]
    codes = {name: _run(name, arguments) for name in names}
    for name, code in codes.items():
        print(f"{name}: {'passed' if code == 0 else f'FAILED ({code})'}")
    return next((code for code in codes.values() if code), 0)


def _run(name: str, arguments: list[str]) -> int:
    product, settings = ODD[name]
    paths = [one for one in arguments if one.startswith("tests/")] or PART
    options = [one for one in arguments if not one.startswith("tests/")]
    with servers.PRODUCTS[product](None, **settings) as server:
        print(f"{name}: {server.version}, {settings}", flush=True)
        environment = os.environ | {server.variable: server.url().render_as_string(hide_password=False)}
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--backends", product, *options, *paths]
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
