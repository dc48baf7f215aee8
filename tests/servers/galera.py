# SPDX-License-Identifier: Apache-2.0

"""A Galera cluster: MariaDB nodes on the loopback interface that all take writes."""

from __future__ import annotations

import re
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.servers import base, software
from tests.servers.mysql import MariaDB

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import sqlalchemy as sa

#: Where packages put the library that replicates.
_PROVIDERS: Final = ("/usr/lib/galera/libgalera_smm.so", "/usr/lib64/galera-4/libgalera_smm.so")
_SETTINGS: Final = {
    "wsrep_on": "ON",
    "binlog_format": "ROW",
    "innodb_autoinc_lock_mode": "2",
    "innodb_flush_log_at_trx_commit": "2",  # a killed node finds all that it has committed
    "wsrep_slave_threads": "2",
    "wsrep_sst_method": "rsync",  # a new node gets all; one that comes back gets what it has missed, without rsync
}


class Node(MariaDB):
    """One member; it is started by its cluster."""

    def __init__(self, provider: Path, **options: str) -> None:
        super().__init__(**options)
        self._provider = provider
        self._position = ""
        self._joined: list[str] = []
        #: for the group, for what a node that comes back has missed, and for a whole copy
        self._ports = (base.free_port(), base.free_port(), base.free_port())
        self._replicates = False

    @property
    def address(self) -> str:
        """Where the other nodes find this one."""
        return f"{base.HOST}:{self._ports[0]}"

    def prepare(self) -> None:
        """Make the node's data, with the account of the tests in it, before there is a cluster."""
        self.start()
        self.kill(signal.SIGTERM)

    def copy(self, other: Node) -> None:
        """Begin with the account of another node that is prepared, and with its data as it is now."""
        self.password, self._user = other.password, other._user
        self.directory = base.new_directory(self._user)
        shutil.copytree(other.directory / "data", self.directory / "data")

    def join(self, addresses: Iterable[str], *, first: bool = False) -> None:
        """Start as a member of the cluster, or as its first one."""
        self._joined = [] if first else [address for address in addresses if address != self.address]
        self._replicates = True
        base.own(self.directory, self._user)
        self._start_on_free_port()

    def rejoin(self, addresses: Iterable[str]) -> None:
        """Start a killed node again and wait until it has what the others have committed meanwhile."""
        self._joined = [address for address in addresses if address != self.address]
        (self.directory / "log").write_text("")
        self.run_tool([*self._server_command(), "--wsrep-recover"])
        found = re.findall(r"Recovered position: (\S+)", (self.directory / "log").read_text(errors="replace"))
        self._position = found[-1]
        self.revive()

    def replace(self, addresses: Iterable[str]) -> None:
        """Start a killed node again as one whose data are gone, and wait until it has a copy of another node's."""
        self._joined = [address for address in addresses if address != self.address]
        self._position = ""
        (self.directory / "data/grastate.dat").unlink()
        self.revive()

    def _server_command(self) -> list[str]:
        command = super()._server_command()
        if not self._replicates:
            return command
        command = [word for word in command if not word.startswith("--init-file=")]
        group, missed, whole = self._ports
        provider_options: Mapping[str, Any] = {
            "gmcast.listen_addr": f"tcp://{base.HOST}:{group}",
            "base_port": group,
            "ist.recv_addr": f"{base.HOST}:{missed}",
            "gcache.size": "64M",
            "pc.recovery": "false",
        }
        joined = "; ".join(f"{name}={value}" for name, value in provider_options.items())
        settings = {
            **_SETTINGS,
            "wsrep_provider": str(self._provider),
            "wsrep_provider_options": joined,
            "wsrep_cluster_address": f"gcomm://{','.join(self._joined)}",
            "wsrep_node_address": f"{base.HOST}:{group}",
            "wsrep_sst_receive_address": f"{base.HOST}:{whole}",
        }
        if self._position:
            settings["wsrep_start_position"] = self._position
        return [*command, *(f"--{name}={value}" for name, value in settings.items())]


class Galera(base.Running):
    """A cluster of three nodes, from ``start`` to ``stop``."""

    def __init__(self, count: int = 3, **options: str) -> None:
        software.require(["mariadbd"], "mariadb-server")  # Debian's and Ubuntu's package brings galera-4
        provider = next((Path(name) for name in _PROVIDERS if Path(name).exists()), None)
        if provider is None:
            raise software.MissingServer("Galera's library is not installed (Debian and Ubuntu: galera-4).")
        self.nodes = [Node(provider, **options) for _ in range(count)]

    def start(self) -> None:
        """Start the nodes and wait until all of them take writes.

        Raises: ServerError(text).
        """
        first, *others = self.nodes
        try:
            first.prepare()
            for node in others:
                node.copy(first)
            first.join(self.addresses, first=True)
            for node in others:  # one after another: a node feeds one other at a time
                node.join([first.address])
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the nodes and remove their data."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda node: node.stop(), self.nodes))

    @property
    def addresses(self) -> list[str]:
        """Where the nodes find each other."""
        return [node.address for node in self.nodes]

    def create_database(self, name: str) -> list[sa.URL]:
        """Make an empty database and return its address on every node."""
        self.nodes[0].create_database(name)
        return [node.url(name) for node in self.nodes]
