# SPDX-License-Identifier: Apache-2.0

"""Runs every kind on every server, on as many keys as wanted; see the package."""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import sys
import tempfile
import time
import traceback
from typing import TYPE_CHECKING

import sqlalchemy as sa

from nova_sqlcore import tables, tx
from tests import servers
from tests.plugins.backend import Cleaner
from tests.queries.processes import Processes, eight_processes
from tests.servers.galera import Galera
from tests.stress import figures
from tests.stress.kinds import KINDS, Kind
from tests.stress.running import Figures, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SERVERS = ("sqlite", *servers.PRODUCTS, "galera")


def main(arguments: Sequence[str]) -> int:
    """Return 1 if anything was lost or doubled."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress", description=__doc__)
    parser.add_argument("--servers", default=",".join(SERVERS), help=f"some of {', '.join(SERVERS)}")
    parser.add_argument("--keys", type=int, default=50, help="how many keys each process asks for")
    parser.add_argument("--only", default="", metavar="NAME", help="kinds whose name contains this")
    parser.add_argument("--write", action="store_true", help=f"put the figures into {figures.PAGE}")
    wanted = parser.parse_args(arguments)
    names = wanted.servers.split(",")
    if set(names) - set(SERVERS):
        parser.error(f"the servers are {', '.join(SERVERS)}")
    kinds = [kind for kind in KINDS if wanted.only in kind.name]
    found: figures.Run = {}
    versions: dict[str, str] = {}
    failed = 0
    with eight_processes() as processes:
        for name in names:
            with _database(name) as (version, urls):
                print(f"\n{version}", flush=True)
                versions[name] = version
                found[name], failures = _run_all(kinds, urls, processes, wanted.keys)
                failed += failures
    left_out = [name for name in SERVERS if name not in names]
    print(f"\n{len(kinds)} kinds ran on {', '.join(versions.values())}.", end="")
    print(f" NOT RUN ON: {', '.join(left_out)}." if left_out else "", f"{failed} failed." if failed else "All is well.")
    if wanted.write and not failed:
        figures.PAGE.write_text(figures.page(kinds, found, versions))
    return min(failed, 1)


def _run_all(
    kinds: Sequence[Kind], urls: list[sa.URL], processes: Processes, keys: int
) -> tuple[dict[str, Figures], int]:
    cleaner = Cleaner(urls[0])
    found: dict[str, Figures] = {}
    for kind in kinds:
        began = time.perf_counter()
        try:
            found[kind.name] = run(kind, urls, processes, keys)
        except Exception:
            print(f"{kind.name}: FAILED\n{traceback.format_exc()}", flush=True)
        else:
            seconds = time.perf_counter() - began
            print(f"{figures.line(kind, found[kind.name])}   ({seconds:.1f} s)", flush=True)
        cleaner.clean()
    return found, len(kinds) - len(found)


@contextlib.contextmanager
def _database(name: str) -> Iterator[tuple[str, list[sa.URL]]]:
    """Configure the library with an empty database; give the server's version, and the addresses for the processes."""
    with contextlib.ExitStack() as stack:
        if name == "sqlite":
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="nova-stress-"))
            version, urls = f"sqlite {sqlite3.sqlite_version}", [sa.make_url(f"sqlite:///{directory}/nova.sqlite")]
        elif name == "galera":
            cluster = stack.enter_context(Galera())
            version, urls = f"Galera, three nodes of {cluster.nodes[0].version}", cluster.create_database("nova")
        else:
            server = stack.enter_context(servers.running(name))[name]
            version, urls = server.version, [server.create_database("nova_stress")]
            stack.callback(server.drop_database, "nova_stress")
        if urls[0].get_backend_name() == "mysql":
            urls = [url.update_query_dict({"ssl_disabled": "1"}) for url in urls]
        stack.callback(tx.close)
        # what one node has committed is to be seen on the one that is asked
        tx.configure(urls[0], wsrep_sync_wait=1 if name == "galera" else None)
        tables.metadata.create_all(tx.main.engine)
        yield version, urls


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
