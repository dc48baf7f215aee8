# SPDX-License-Identifier: Apache-2.0

"""Make mutants, test them, and list those that survive."""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import hashlib
import json
import os
import queue
import random
import signal
import sys
import tomllib
from pathlib import Path

from tests import servers
from tests.mutants.faults import Fault, faults_of
from tests.mutants.running import KEPT, ROOT, Map, Outcome, Workshop, modules, path_of

#: Those that sqlite has no use for.
OF_SERVERS = (
    "batching", "carriers", "dialects/mysql", "dialects/postgresql", "psycopg_batch", "psycopg_cursor", "pymysql_batch",
    "pymysql_reader",
)  # fmt: skip
MODULES = tuple(name for name in modules() if name not in OF_SERVERS)
SURVIVORS = Path(__file__).with_name("survivors.toml")

Results = dict[str, Outcome]


def main() -> int:
    """Return 1 if a mutant without a reason has survived."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that copies are removed and test runs ended
    faults = _chosen(options)
    with servers.running(*_servers(options)) as running:
        os.environ |= {
            server.variable: server.url().render_as_string(hide_password=False) for server in running.values()
        }
        results = _tested(faults, options)
    return _report(faults, results)


def _servers(options: argparse.Namespace) -> list[str]:
    return [name for name in options.backends.split(",") if name in servers.PRODUCTS]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    names = (*MODULES, *OF_SERVERS)
    parser.add_argument("--only", action="append", choices=names, metavar="MODULE", help=", ".join(names))
    parser.add_argument("--backends", default="sqlite", help=f"sqlite has no use for {', '.join(OF_SERVERS)}")
    parser.add_argument("--limit", type=int, metavar="N", help="a random sample of so many")
    parser.add_argument("--seed", type=int, default=0, help="which sample")
    parser.add_argument("--match", default="", metavar="TEXT", help="those whose name contains the text")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--most", type=int, default=400, metavar="N", help="so many tests for one mutant")
    parser.add_argument("--seconds", type=float, default=300, help="the time that the tests of one mutant may take")
    parser.add_argument("--afresh", action="store_true", help="test those again that former runs have killed")
    parser.add_argument("--old-map", action="store_true", help="find tests by the last map, made before later changes")
    return parser.parse_args()


def _chosen(options: argparse.Namespace) -> list[Fault]:
    modules = options.only or ((*MODULES, *OF_SERVERS) if _servers(options) else MODULES)
    every = [fault for module in modules for fault in faults_of(module, (ROOT / path_of(module)).read_text())]
    faults = [fault for fault in every if options.match in fault.name]
    if options.limit is None or options.limit >= len(faults):
        return faults
    return random.Random(options.seed).sample(faults, options.limit)


def _tested(faults: list[Fault], options: argparse.Namespace) -> Results:
    """Return the outcome of each fault; what former runs have killed in the same module stays killed."""
    which = Map.load(options.backends, options.jobs, old=options.old_map)
    kept = KEPT / "results.json"
    killed: Results = json.loads(kept.read_text()) if kept.exists() and not options.afresh else {}
    results: Results = {fault.name: killed[_key(fault)] for fault in faults if _key(fault) in killed}
    left = [fault for fault in faults if fault.name not in results]
    with _Workers(options.jobs, options.backends) as workers:
        waiting = {workers.submit(fault, which.of(fault, options.most), options.seconds): fault for fault in left}
        for done in concurrent.futures.as_completed(waiting):
            fault, outcome = waiting[done], done.result()
            results[fault.name] = outcome
            print(f"{len(results)}/{len(faults)} {outcome}: {fault.name}", flush=True)
            if outcome == "killed":
                killed[_key(fault)] = outcome
                kept.write_text(json.dumps(killed, indent=0))
    return results


def _key(fault: Fault) -> str:
    """Return the name under which a result is kept: as long as the module is the same."""
    return f"{fault.name} | {hashlib.sha256(fault.source.encode()).hexdigest()[:16]}"


class _Workers:
    """Threads with a workshop each."""

    def __init__(self, jobs: int, backends: str) -> None:
        self._threads = concurrent.futures.ThreadPoolExecutor(jobs)
        self._workshops = [Workshop(backends) for _ in range(jobs)]
        self._free: queue.SimpleQueue[Workshop] = queue.SimpleQueue()

    def __enter__(self) -> _Workers:
        for workshop in self._workshops:
            self._free.put(workshop.__enter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        for workshop in self._workshops:
            workshop.__exit__(None, None, None)

    def submit(self, fault: Fault, tests: list[str], seconds: float) -> concurrent.futures.Future[Outcome]:
        return self._threads.submit(self._outcome, fault, tests, seconds)

    def _outcome(self, fault: Fault, tests: list[str], seconds: float) -> Outcome:
        workshop = self._free.get()
        try:
            return workshop.outcome(fault, tests, seconds)
        finally:
            self._free.put(workshop)


def reasons() -> dict[str, str]:
    """Return why the known survivors survive, by the name of the fault."""
    listed = tomllib.loads(SURVIVORS.read_text())["survivor"]
    return {f"{one['module']} | {one['function']} | {one['change']}": one["reason"] for one in listed}


def _report(faults: list[Fault], results: Results) -> int:
    known = reasons()
    alive = [fault.name for fault in faults if results[fault.name] in ("survived", "untested")]
    unargued = [name for name in alive if name not in known]
    for name in alive:
        print(f"{results[name]}: {name}\n    {known.get(name, 'NO REASON in ' + SURVIVORS.name)}")
    for name in known.keys() & results.keys() - set(alive):
        print(f"listed as a survivor, but {results[name]}: {name}")
    count = collections.Counter(results[fault.name] for fault in faults)
    print(
        f"{len(faults)} mutants: {count['killed']} killed, {count['survived']} survived, {count['untested']} run by no "
        f"test, {count['timed out']} timed out; {len(unargued)} survivors without a reason"
    )
    return 1 if unargued else 0


if __name__ == "__main__":
    sys.exit(main())
