# SPDX-License-Identifier: Apache-2.0

"""Make hostile calls for some minutes, and list what they break."""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
import time

from tests import servers
from tests.fuzz import episodes, memory
from tests.fuzz.calls import FUNCTIONS
from tests.plugins.servers import BACKENDS


def main() -> int:
    """Return 1 if a promise was not kept."""
    options = _options()
    logging.disable()
    names = options.backends.split(",")
    starts = tuple((options.only or "").split(","))
    functions = tuple(name for name in FUNCTIONS if name.startswith(starts))
    seed = random.randrange(10**6) if options.seed is None else options.seed
    again = f"python -m tests.fuzz --seed {seed} --backends {options.backends}"
    again += f" --only {options.only}" if options.only else ""
    with servers.running(*(name for name in names if name != "sqlite")) as up:
        for server in up.values():
            os.environ[server.variable] = server.url().render_as_string(hide_password=False)
        with episodes.worlds_of(names) as worlds:
            fuzzer = episodes.Fuzzer(worlds, seed, functions)
            print(f"seed {seed}, {len(functions)} functions on {', '.join(world.name for world in worlds)}", flush=True)
            if options.case:
                _again(fuzzer, options.case, again)
            else:
                _run(fuzzer, options.minutes, options.most, again)
            print(f"{fuzzer.calls} calls, of which {fuzzer.returned} returned; {len(fuzzer.failures)} failures")
            print(f"{fuzzer.peak:.0f} MiB at most for a call, {memory.resident():.0f} MiB in all")
            return 1 if fuzzer.failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long")
    parser.add_argument("--seed", type=int, help="a random one, which is printed, without this")
    parser.add_argument(
        "--backends", default=",".join(BACKENDS), metavar="NAMES", help="a comma-separated part of them"
    )
    parser.add_argument("--only", metavar="NAMES", help="functions whose name begins with one of these")
    parser.add_argument(
        "--most", type=int, default=50, metavar="N", help="give up after so many failures of different kinds"
    )
    parser.add_argument("--case", metavar="N[.M]", help="an episode again, or one call of it on a fresh world")
    return parser.parse_args()


def _again(fuzzer: episodes.Fuzzer, case: str, again: str) -> None:
    number, _, place = case.partition(".")
    _tell(fuzzer.episode(int(number), [int(place)] if place else range(episodes.LENGTH)), again)


def _run(fuzzer: episodes.Fuzzer, minutes: float, most: int, again: str) -> None:
    ends = time.monotonic() + 60 * minutes
    number = 0
    known: set[str] = set()
    while time.monotonic() < ends and len(known) < most:
        new = [failure for failure in fuzzer.episode(number) if failure.key not in known]
        known |= {failure.key for failure in new}
        _tell(new, again)
        number += 1


def _tell(failures: list[episodes.Failure], again: str) -> None:
    for failure in failures:
        print(f"{again} --case {failure.case}\n    {failure.call}")
        for fault in failure.faults:
            print(f"    {fault}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
