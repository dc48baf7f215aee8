# SPDX-License-Identifier: Apache-2.0

"""Runs private servers until Ctrl-C or SIGTERM; prints their URLs as the tests take them from the environment."""

import signal
import sys

from tests import servers


def main(names: list[str]) -> None:
    """Run the servers named, or all."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        with servers.running(*(names or servers.PRODUCTS)) as up:
            for server in up.values():
                url = server.url().render_as_string(hide_password=False)
                print(f"export {server.variable}='{url}'  # {server.version}, {server.directory}", flush=True)
            print("Ctrl-C stops them and removes their data.", flush=True)
            signal.pause()
    except (servers.ServerError, servers.MissingServer) as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main(sys.argv[1:])
