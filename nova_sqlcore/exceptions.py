# SPDX-License-Identifier: Apache-2.0

"""Every error and warning that the library raises: database errors first, then what a call can refuse.

Domain errors keep the reference's names, parents, codes and arguments; their wording is ours.
"""

from __future__ import annotations

import logging
import pickle
import re
from typing import TYPE_CHECKING, Any, ClassVar

from nova_sqlcore.core.texts import argument
from nova_sqlcore.settings import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger(__name__)


class UnknownColumnWarning(UserWarning):
    """A value was given for a column that the table does not have; it is not stored."""


class UnknownFilterWarning(UserWarning):
    """A list was asked for with a filter that does not exist; it leaves out nothing."""


class HiddenRowWarning(UserWarning):
    """A user stores a row that users of the project can't see, because it belongs to none or to another one."""


class NoContext(TypeError, AttributeError):
    """Something else stands where the request context belongs; in the reference that ends in an AttributeError."""


# -- database errors --------------------------------------------------------------------------------------------------


class DBError(Exception):
    """A database error; ``inner_exception`` is the driver's error, or the text that it was made from."""

    def __init__(self, inner_exception: BaseException | str | None = None) -> None:
        """Take the driver's error or a text."""
        self.inner_exception = inner_exception
        super().__init__(_text(inner_exception))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the constructor, whose arguments are others than the text.

        Of a driver's error that can't travel, as it holds a connection or the like, the text remains.
        """
        state = dict(self.__dict__)
        try:
            pickle.loads(pickle.dumps(self.inner_exception))
        except Exception:
            state["inner_exception"] = str(self.inner_exception)
        return _rebuilt, (type(self), self.args, state)


class DBDuplicateEntry(DBError):
    """A unique key is taken; ``columns`` are those of the key, ``value`` is the value in question where it is known."""

    def __init__(
        self,
        columns: list[str] | None = None,
        inner_exception: BaseException | str | None = None,
        value: Any = None,
    ) -> None:
        """Take the key's columns."""
        self.columns = list(columns or [])
        self.value = value
        super().__init__(inner_exception)


class DBDeadlock(DBError):
    """The transaction lost against another one and may be run again: deadlock, lock timeout, serialization failure."""


class DBTimeout(DBError):
    """A statement ran longer than it may (``statement_timeout``), or an operator has cancelled it; not run again."""


class DBLockTimeout(DBDeadlock, DBTimeout):
    """A lock was not to be had within ``lock_timeout``; run again as other conflicts are while that time lasts."""


class DBReferenceError(DBError):
    """A row refers to one that does not exist, or is referred to; all names are None where the server tells none."""

    def __init__(
        self,
        table: str | None,
        constraint: str | None,
        key: str | None,
        key_table: str | None,
        inner_exception: BaseException | str | None = None,
    ) -> None:
        """Take the referring table, its constraint, its column, and the table referred to."""
        self.table = table
        self.constraint = constraint
        self.key = key
        self.key_table = key_table
        super().__init__(inner_exception)


class DBConstraintError(DBError):
    """A CHECK constraint is violated."""

    def __init__(
        self, table: str | None, check_name: str | None, inner_exception: BaseException | str | None = None
    ) -> None:
        """Take the table and the name of the constraint."""
        self.table = table
        self.check_name = check_name
        super().__init__(inner_exception)


class DBDataError(DBError):
    """A value does not fit into its column."""


class BadArgument(DBDataError, TypeError):
    """An argument is not the mapping or the list that is needed; the text names it."""


class DBKeyClash(DBDataError):
    """Two keys differ only in case, accents or trailing blanks, and a unique key of the server takes them for one."""

    def __init__(self, text: str, inner_exception: BaseException | str | None = None) -> None:
        """Take the text that names the keys."""
        super().__init__(text)
        self.inner_exception = inner_exception or text


class DBTransactionTooLarge(DBError):
    """The transaction changes more rows or bytes than a node of a Galera cluster sends to the others; it is undone.

    The limits are the server's: ``wsrep_max_ws_rows`` and ``wsrep_max_ws_size``.
    """


class DBConnectionError(DBError):
    """The server can't be reached, refuses the login, or has closed the connection."""


class DBReadOnly(DBConnectionError):
    """The server takes no writes, as after a fail-over: the address leads to a standby, or a primary has become one."""


class DBPoolExhausted(DBConnectionError):
    """All connections of the pool are in use, and none came free within ``pool_timeout`` seconds."""

    def __init__(self, pool_size: int, max_overflow: int, pool_timeout: float, checked_out: int) -> None:
        """Take the options of the pool, and how many of its connections are in use."""
        self.pool_size = pool_size
        self.max_overflow = max_overflow
        self.pool_timeout = pool_timeout
        self.checked_out = checked_out
        super().__init__(
            f"no connection came free within {pool_timeout:g} s: {checked_out} are in use, the pool may open "
            f"{pool_size} (pool_size) and {max_overflow} more (max_overflow); make it greater, or look for "
            "transactions that stay open for long"
        )


class DBCommitUncertain(DBConnectionError):
    """The connection was lost between COMMIT and the server's answer: the transaction is kept whole, or not at all.

    Nobody knows which, so it is never run again; whoever catches this has to look.
    """


class CantStartEngineError(DBError):
    """A database is used that has not been configured."""


class DatabaseNotMigrated(DBError):
    """A table or a column is missing: the database has not been migrated."""

    def __init__(self, inner_exception: BaseException | str | None = None) -> None:
        """Add the remedy to the server's text."""
        super().__init__(inner_exception)
        self.args = (f"{_text(inner_exception)}; create or update the schema: nova-sqlcore migrate --url URL",)


class DBMigrationError(DBError):
    """The schema can't be migrated; the text says why, and what to do."""


class SchemaDiffers(DBMigrationError):
    """A database is not what it should be; ``differences`` and ``notes`` hold one line for each finding."""

    def __init__(self, text: str, differences: Sequence[str], notes: Sequence[str]) -> None:
        """Take what is wrong, and what is only worth a look."""
        self.differences = tuple(differences)
        self.notes = tuple(notes)
        super().__init__(text)


class RetryRequest(Exception):
    """A function asks to be run again in a new transaction; ``inner_exc`` is raised when no attempt is left."""

    def __init__(self, inner_exc: Exception) -> None:
        """Take the error that stands for this one in the end."""
        self.inner_exc = inner_exc
        super().__init__(str(inner_exc))


class NoEngineContextEstablished(AttributeError):
    """A context was asked for its transaction outside any scope."""


def _rebuilt(kind: type[Exception], args: tuple[Any, ...], state: dict[str, Any]) -> Exception:
    """Return the error that was pickled."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


def _text(error: BaseException | str | None) -> str:
    return "" if error is None else str(error)


def columns_of_key(name: str) -> list[str]:
    """Return the columns that the name of a unique key tells: ``uniq_services0host0deleted`` has host and deleted.

    A key without that form is given back by its name; MySQL 8 puts the table before it.
    """
    key = name.rpartition(".")[2]
    found = re.fullmatch(r"uniq_[^0]+0(.+)", key)
    return found.group(1).split("0") if found else [key]


# -- domain errors: the base classes ----------------------------------------------------------------------------------


class NovaException(Exception):
    """The base of all domain errors: a template filled with the keyword arguments, or a ready message."""

    msg_fmt: ClassVar[str] = "something went wrong"
    code: ClassVar[int] = 500
    headers: ClassVar[dict[str, str]] = {}
    safe: ClassVar[bool] = False

    def __init__(self, message: Any = None, **kwargs: Any) -> None:
        """Take the arguments of the template, or a message in its place."""
        self.kwargs = {"code": self.code, **kwargs}
        self.message = message or self._filled()
        super().__init__(self.message)

    def _filled(self) -> str:
        try:
            return self.msg_fmt % {name: argument(value) for name, value in self.kwargs.items()}
        except (KeyError, TypeError, ValueError):
            logger.exception("%s: no message can be made of %s", type(self).__name__, sorted(self.kwargs))
            if settings.fatal_exception_format_errors:
                raise
            return self.msg_fmt

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the constructor, whose arguments are others than the message."""
        return _rebuilt, (type(self), self.args, self.__dict__)

    def format_message(self) -> Any:
        """Return the message."""
        return self.message


class Forbidden(NovaException):
    """Neither an admin nor a complete user asks, or another project's user."""

    msg_fmt = "the context may not do this"
    code = 403


class AdminRequired(Forbidden):
    """An admin's right is needed."""

    msg_fmt = "only an admin may do this"


class Invalid(NovaException):
    """The base of errors about what the caller gave."""

    msg_fmt = "bad input"
    code = 400


class NotFound(NovaException):
    """The base of errors about what does not exist, or is not visible."""

    msg_fmt = "not found"
    code = 404


class HostNotFound(NotFound):
    """No such host."""

    msg_fmt = "host %(host)s not found"


class QuotaNotFound(NotFound):
    """The base of errors about missing limits and usages."""

    msg_fmt = "quota not found"


class ReservationNotFound(QuotaNotFound):
    """No such reservation."""

    msg_fmt = "reservation %(uuid)s not found"


class InvalidBDM(Invalid):
    """The base of errors about block device mappings."""

    msg_fmt = "bad block device mapping"


# -- domain errors by name --------------------------------------------------------------------------------------------


class AgentBuildExists(NovaException):
    """Raised by agent_build_create."""

    msg_fmt = "an agent build for hypervisor %(hypervisor)s, os %(os)s, architecture %(architecture)s exists"


class AgentBuildNotFound(NotFound):
    """Raised by agent_build_destroy, agent_build_update."""

    msg_fmt = "agent build %(id)s not found"


class AggregateHostExists(NovaException):
    """Raised by aggregate_host_add."""

    msg_fmt = "aggregate %(aggregate_id)s already has host %(host)s"


class AggregateHostNotFound(NotFound):
    """Raised by aggregate_host_delete."""

    msg_fmt = "aggregate %(aggregate_id)s has no host %(host)s"


class AggregateMetadataNotFound(NotFound):
    """Raised by aggregate_metadata_delete."""

    msg_fmt = "aggregate %(aggregate_id)s has no metadata %(metadata_key)s"


class AggregateNameExists(NovaException):
    """Raised by aggregate_create, aggregate_update."""

    msg_fmt = "an aggregate named %(aggregate_name)s exists"


class AggregateNotFound(NotFound):
    """Raised by aggregate_get/update/delete and the existence guard."""

    msg_fmt = "aggregate %(aggregate_id)s not found"


class CellExists(NovaException):
    """Raised by cell_create."""

    msg_fmt = "a cell named %(name)s exists"


class CellNotFound(NotFound):
    """Raised by cell_get, cell_update."""

    msg_fmt = "cell %(cell_name)s not found"


class ComputeHostNotFound(HostNotFound):
    """Raised by compute node getters/update/delete, service_get_by_compute_host."""

    msg_fmt = "compute host %(host)s not found"


class ConsoleNotFound(NotFound):
    """Raised by console_get."""

    msg_fmt = "console %(console_id)s not found"


class ConsoleNotFoundForInstance(ConsoleNotFound):
    """Raised by console_get with instance."""

    msg_fmt = "instance %(instance_uuid)s has no console %(console_id)s"


class ConsoleNotFoundInPoolForInstance(ConsoleNotFound):
    """Raised by console_get_by_pool_instance."""

    msg_fmt = "pool %(pool_id)s has no console for instance %(instance_uuid)s"


class ConsolePoolExists(NovaException):
    """Raised by console_pool_create."""

    msg_fmt = "host %(host)s has a %(console_type)s console pool for compute host %(compute_host)s already"


class ConsolePoolNotFoundForHostType(NotFound):
    """Raised by console_pool_get_by_host_type."""

    msg_fmt = "host %(host)s has no %(console_type)s console pool for compute host %(compute_host)s"


class ConstraintNotMet(NovaException):
    """The row is there, but not as a destroyer of an instance or of a compute node wants it."""

    msg_fmt = "the row is not in the state that the constraint demands"
    code = 412


class DuplicateVlan(NovaException):
    """Raised by network_create_safe, network_update."""

    msg_fmt = "VLAN %(vlan)s is in use by another network"
    code = 409


class FixedIpAlreadyInUse(NovaException):
    """Raised by fixed_ip_associate."""

    msg_fmt = "fixed IP %(address)s is in use by instance %(instance_uuid)s"


class FixedIpAssociateFailed(NovaException):
    """Raised by fixed_ip_associate, fixed_ip_associate_pool."""

    msg_fmt = "no fixed IP of network %(net)s could be taken: others were faster at every attempt"


class FixedIpExists(NovaException):
    """Raised by fixed_ip_create, fixed_ip_bulk_create."""

    msg_fmt = "fixed IP %(address)s exists"


class FixedIpInvalid(Invalid):
    """Raised by fixed IP lookup by address."""

    msg_fmt = "%(address)s is not a valid fixed IP address"


class FixedIpNotFound(NotFound):
    """Raised by fixed_ip_get."""

    msg_fmt = "fixed IP %(id)s not found"


class FixedIpNotFoundForAddress(FixedIpNotFound):
    """Raised by fixed IP lookup by address, floating_ip_fixed_ip_associate."""

    msg_fmt = "no fixed IP has the address %(address)s"


class FixedIpNotFoundForInstance(FixedIpNotFound):
    """Raised by fixed_ip_get_by_instance."""

    msg_fmt = "instance %(instance_uuid)s has no fixed IP"


class FixedIpNotFoundForNetwork(FixedIpNotFound):
    """Raised by fixed_ip_associate."""

    msg_fmt = "network %(network_uuid)s has no fixed IP %(address)s"


class FixedIpNotFoundForNetworkHost(FixedIpNotFound):
    """Raised by fixed_ip_get_by_network_host."""

    msg_fmt = "host %(host)s has no fixed IP in network %(network_id)s"


class FlavorAccessExists(NovaException):
    """Raised by flavor_access_add."""

    msg_fmt = "project %(project_id)s may use flavor %(flavor_id)s already"


class FlavorAccessNotFound(NotFound):
    """Raised by flavor_access_remove."""

    msg_fmt = "project %(project_id)s has no access to flavor %(flavor_id)s of its own"


class FlavorExists(NovaException):
    """Raised by flavor_create."""

    msg_fmt = "a flavor named %(name)s exists"


class FlavorExtraSpecUpdateCreateFailed(NovaException):
    """Raised by flavor_extra_specs_update_or_create."""

    msg_fmt = "the extra specs of flavor %(id)s could not be written in %(retries)s attempts"


class FlavorExtraSpecsNotFound(NotFound):
    """Raised by flavor_extra_specs_delete."""

    msg_fmt = "flavor %(flavor_id)s has no extra spec %(extra_specs_key)s"


class FlavorIdExists(NovaException):
    """Raised by flavor_create."""

    msg_fmt = "a flavor with the id %(flavor_id)s exists"


class FlavorNotFound(NotFound):
    """Raised by flavor getters and anything resolving a flavor id."""

    msg_fmt = "flavor %(flavor_id)s not found"


class FlavorNotFoundByName(FlavorNotFound):
    """Raised by flavor_get_by_name, flavor_destroy."""

    msg_fmt = "no flavor is named %(flavor_name)s"


class FloatingIpAllocateFailed(NovaException):
    """Raised by floating_ip_allocate_address."""

    msg_fmt = "no floating IP could be taken: others were faster at every attempt"


class FloatingIpAssociateFailed(NovaException):
    """Raised by floating_ip_fixed_ip_associate."""

    msg_fmt = "floating IP %(address)s could not be associated"


class FloatingIpExists(NovaException):
    """Raised by floating_ip_create, floating_ip_bulk_create, floating_ip_update."""

    msg_fmt = "floating IP %(address)s exists"


class FloatingIpNotFound(NotFound):
    """Raised by floating_ip_get."""

    msg_fmt = "floating IP %(id)s not found"


class FloatingIpNotFoundForAddress(FloatingIpNotFound):
    """Raised by floating IP lookup by address, floating_ip_disassociate."""

    msg_fmt = "no floating IP has the address %(address)s"


class FloatingIpNotFoundForHost(FloatingIpNotFound):
    """Raised by floating_ip_get_all_by_host."""

    msg_fmt = "host %(host)s has no floating IP"


class HostBinaryNotFound(NotFound):
    """Raised by service_get_by_host_and_binary."""

    msg_fmt = "host %(host)s has no service %(binary)s"


class ImageNotFound(NotFound):
    """Raised by s3_image_get, s3_image_get_by_uuid."""

    msg_fmt = "image %(image_id)s not found"


class InstanceActionEventNotFound(NovaException):
    """Raised by action_event_finish."""

    msg_fmt = "action %(action_id)s has no event %(event)s"


class InstanceActionNotFound(NovaException):
    """Raised by action_finish, action_event_start, action_event_finish."""

    msg_fmt = "instance %(instance_uuid)s has no action for request %(request_id)s"


class InstanceExists(NovaException):
    """Raised by unique server name check (instance create/update)."""

    msg_fmt = "an instance named %(name)s exists"


class InstanceGroupIdExists(NovaException):
    """Raised by instance_group_create."""

    msg_fmt = "a server group with the uuid %(group_uuid)s exists"


class InstanceGroupMemberNotFound(NotFound):
    """Raised by instance_group_member_delete."""

    msg_fmt = "server group %(group_uuid)s has no member %(instance_id)s"


class InstanceGroupNotFound(NotFound):
    """Raised by instance group functions."""

    msg_fmt = "server group %(group_uuid)s not found"


class InstanceInfoCacheNotFound(NotFound):
    """Raised by instance_info_cache_update."""

    msg_fmt = "instance %(instance_uuid)s has no info cache"


class InstanceNotFound(NotFound):
    """Raised by instance getters, tags, ec2 mappings."""

    msg_fmt = "instance %(instance_id)s not found"


class InstanceTagNotFound(NotFound):
    """Raised by instance_tag_delete."""

    msg_fmt = "instance %(instance_id)s has no tag %(tag)s"


class InstanceUpdateConflict(NovaException):
    """Raised by instance_update(_and_get_original)."""

    msg_fmt = "instance %(instance_uuid)s is not as expected: %(expected)s expected, %(actual)s found"


class InvalidBDMFormat(InvalidBDM):
    """Raised by block_device_mapping_create/update/update_or_create."""

    msg_fmt = "bad block device mapping: %(details)s"


class InvalidID(Invalid):
    """Raised by floating_ip_get, instance_get."""

    msg_fmt = "%(id)s is not a valid id"


class InvalidInput(Invalid):
    """Raised by process_sort_params."""

    msg_fmt = "bad input: %(reason)s"


class InvalidIpAddressError(Invalid):
    """Raised by floating IP / virtual interface lookup by address."""

    msg_fmt = "%(address)s is not a valid IP address"


class InvalidParameterValue(Invalid):
    """Raised by instance tag filter."""

    msg_fmt = "bad parameter: %(err)s"


class InvalidSortKey(Invalid):
    """A list was to be sorted by a key that is not a column; ``key`` is that key where it is known."""

    msg_fmt = "%(key)s is not a key to sort by"

    def __init__(self, key: Any = None, **kwargs: Any) -> None:
        """Take the key."""
        self.key = key
        super().__init__(**({"key": key} if key is not None else {"key": "the given key"}) | kwargs)


class InvalidUUID(Invalid):
    """Raised by functions taking an instance uuid."""

    msg_fmt = "%(uuid)s is not a valid uuid"


class KeyPairExists(NovaException):
    """Raised by key_pair_create."""

    msg_fmt = "a key pair named %(key_name)s exists"


class KeypairNotFound(NotFound):
    """Raised by key_pair_get, key_pair_destroy."""

    msg_fmt = "user %(user_id)s has no key pair %(name)s"


class MarkerNotFound(NotFound):
    """Raised by instance_get_all_by_filters_sort, flavor_get_all."""

    msg_fmt = "marker %(marker)s not found"


class MigrationNotFound(NotFound):
    """Raised by migration_get, migration_update."""

    msg_fmt = "migration %(migration_id)s not found"


class MigrationNotFoundByStatus(MigrationNotFound):
    """Raised by migration_get_by_instance_and_status."""

    msg_fmt = "instance %(instance_id)s has no migration in status %(status)s"


class MigrationNotFoundForInstance(MigrationNotFound):
    """Raised by migration_get_by_id_and_instance."""

    msg_fmt = "instance %(instance_id)s has no migration %(migration_id)s"


class NetworkInUse(NovaException):
    """Raised by network_delete_safe."""

    msg_fmt = "network %(network_id)s is in use"


class NetworkNotFound(NotFound):
    """Raised by network getters, network_set_host."""

    msg_fmt = "network %(network_id)s not found"


class NetworkNotFoundForCidr(NetworkNotFound):
    """Raised by network_get_by_cidr."""

    msg_fmt = "no network has the CIDR %(cidr)s"


class NetworkNotFoundForProject(NetworkNotFound):
    """Raised by network_get_all_by_uuids."""

    msg_fmt = "project %(project_id)s has no network %(network_uuid)s"


class NetworkNotFoundForUUID(NetworkNotFound):
    """Raised by network_get_by_uuid."""

    msg_fmt = "no network has the uuid %(uuid)s"


class NetworkSetHostFailed(NovaException):
    """Raised by network_set_host."""

    msg_fmt = "the host of network %(network_id)s could not be set: others were faster at every attempt"


class NoFixedIpsDefined(NotFound):
    """Raised by fixed_ip_get_all."""

    msg_fmt = "there are no fixed IPs"


class NoFloatingIpsDefined(NotFound):
    """Raised by floating_ip_get_all."""

    msg_fmt = "there are no floating IPs"


class NoMoreFixedIps(NovaException):
    """Raised by fixed_ip_associate_pool."""

    msg_fmt = "network %(net)s has no free fixed IP"


class NoMoreFloatingIps(FloatingIpNotFound):
    """Raised by floating_ip_allocate_address."""

    msg_fmt = "no floating IP is free"
    safe = True


class NoMoreNetworks(NovaException):
    """Raised by network_associate."""

    msg_fmt = "no network is free"


class NoNetworksFound(NotFound):
    """Raised by network_get_all, network_get_all_by_uuids."""

    msg_fmt = "there are no networks"


class OverQuota(NovaException):
    """Raised by quota_reserve."""

    msg_fmt = "over quota for %(overs)s; quotas %(quotas)s, usages %(usages)s"


class PciDeviceNotFound(NotFound):
    """Raised by pci_device_get_by_addr, pci_device_destroy."""

    msg_fmt = "compute node %(node_id)s has no PCI device at %(address)s"


class PciDeviceNotFoundById(NotFound):
    """Raised by pci_device_get_by_id."""

    msg_fmt = "PCI device %(id)s not found"


class ProjectQuotaNotFound(QuotaNotFound):
    """Raised by quota_get, quota_update."""

    msg_fmt = "project %(project_id)s has no such quota"


class ProjectUserQuotaNotFound(QuotaNotFound):
    """Raised by quota_get, quota_update."""

    msg_fmt = "user %(user_id)s has no such quota in project %(project_id)s"


class QuotaClassNotFound(QuotaNotFound):
    """Raised by quota_class_get, quota_class_update."""

    msg_fmt = "quota class %(class_name)s not found"


class QuotaExists(NovaException):
    """Raised by quota_create."""

    msg_fmt = "project %(project_id)s has a quota for %(resource)s already"


class QuotaUsageNotFound(QuotaNotFound):
    """Raised by quota_usage_get, quota_usage_update."""

    msg_fmt = "project %(project_id)s has no such quota usage"


class SecurityGroupDefaultRuleNotFound(Invalid):
    """Raised by security_group_default_rule_get/destroy."""

    msg_fmt = "default rule %(rule_id)s of security groups not found"


class SecurityGroupExists(Invalid):
    """Raised by security_group_create, security_group_update."""

    msg_fmt = "project %(project_id)s has a security group named %(security_group_name)s already"


class SecurityGroupNotFound(NotFound):
    """Raised by security_group_get, security_group_update."""

    msg_fmt = "security group %(security_group_id)s not found"


class SecurityGroupNotFoundForProject(SecurityGroupNotFound):
    """Raised by security group lookup by name."""

    msg_fmt = "project %(project_id)s has no security group %(security_group_id)s"


class SecurityGroupNotFoundForRule(SecurityGroupNotFound):
    """Raised by security_group_rule_get/destroy."""

    msg_fmt = "security group rule %(rule_id)s not found"


class ServiceBinaryExists(NovaException):
    """Raised by service_create."""

    msg_fmt = "host %(host)s has a service %(binary)s already"


class ServiceNotFound(NotFound):
    """Raised by service_get/update/destroy, compute_nodes_get_by_service_id."""

    msg_fmt = "service %(service_id)s not found"


class ServiceTopicExists(NovaException):
    """Raised by service_create."""

    msg_fmt = "host %(host)s has a service of topic %(topic)s already"


class SnapshotNotFound(NotFound):
    """Raised by ec2 snapshot getters."""

    msg_fmt = "snapshot %(snapshot_id)s not found"


class TaskAlreadyRunning(NovaException):
    """Raised by task_log_begin_task."""

    msg_fmt = "task %(task_name)s runs on host %(host)s already"


class TaskNotRunning(NovaException):
    """Raised by task_log_end_task."""

    msg_fmt = "task %(task_name)s does not run on host %(host)s"


class UnexpectedTaskStateError(InstanceUpdateConflict):
    """Raised by instance_update."""

    msg_fmt = "instance %(instance_uuid)s is in another task state: %(expected)s expected, %(actual)s found"


class UnexpectedDeletingTaskStateError(UnexpectedTaskStateError):
    """Raised by instance_update."""

    msg_fmt = "instance %(instance_uuid)s is being deleted: %(expected)s expected, %(actual)s found"


class UnknownInstanceUpdateConflict(InstanceUpdateConflict):
    """Raised by instance_update."""

    msg_fmt = "instance %(instance_uuid)s changed meanwhile in an unknown way"


class VirtualInterfaceCreateException(NovaException):
    """Raised by virtual_interface_create."""

    msg_fmt = "the virtual interface could not be stored"


class VolumeNotFound(NotFound):
    """Raised by ec2 volume getters."""

    msg_fmt = "volume %(volume_id)s not found"
