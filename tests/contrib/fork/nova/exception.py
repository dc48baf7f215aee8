# SPDX-License-Identifier: Apache-2.0

"""A stand-in for ``nova.exception`` of a fork: Nova itself can't be installed beside the libraries of today.

Names, parents, codes and arguments are those of Nova 13. So is the wording of the errors that are met most; the others
have a template with the same arguments.
"""

from __future__ import annotations

from typing import Any, ClassVar


class NovaException(Exception):
    """As the reference's: a template and its arguments, or a ready message."""

    msg_fmt: ClassVar[str] = "An unknown exception occurred."
    code: ClassVar[int] = 500

    def __init__(self, message: Any = None, **kwargs: Any) -> None:
        self.kwargs = kwargs
        self.kwargs.setdefault("code", self.code)
        self.message = message or self.msg_fmt % kwargs
        super().__init__(self.message)

    def format_message(self) -> str:
        return str(self.args[0])


class Invalid(NovaException):
    msg_fmt = "Bad Request - Invalid Parameters"
    code = 400


class NotFound(NovaException):
    msg_fmt = "Resource could not be found."
    code = 404


class HostNotFound(NotFound):
    msg_fmt = "Host %(host)s could not be found."


class QuotaNotFound(NotFound):
    msg_fmt = "Quota could not be found"


class InvalidBDM(Invalid):
    msg_fmt = "Block Device Mapping is Invalid."


class Forbidden(NovaException):
    msg_fmt = "Forbidden"
    code = 403


class AdminRequired(Forbidden):
    msg_fmt = "Admin required."


class AgentBuildExists(NovaException):
    msg_fmt = "Agent build exists, hypervisor %(hypervisor)s, os %(os)s, architecture %(architecture)s."


class AgentBuildNotFound(NotFound):
    msg_fmt = "Agent build not found, id %(id)s."


class AggregateHostExists(NovaException):
    msg_fmt = "Aggregate %(aggregate_id)s already has host %(host)s."


class AggregateHostNotFound(NotFound):
    msg_fmt = "Aggregate host not found, aggregate_id %(aggregate_id)s, host %(host)s."


class AggregateMetadataNotFound(NotFound):
    msg_fmt = "Aggregate metadata not found, aggregate_id %(aggregate_id)s, metadata_key %(metadata_key)s."


class AggregateNameExists(NovaException):
    msg_fmt = "Aggregate %(aggregate_name)s already exists."


class AggregateNotFound(NotFound):
    msg_fmt = "Aggregate %(aggregate_id)s could not be found."


class CellExists(NovaException):
    msg_fmt = "Cell exists, name %(name)s."


class CellNotFound(NotFound):
    msg_fmt = "Cell not found, cell_name %(cell_name)s."


class ComputeHostNotFound(HostNotFound):
    msg_fmt = "Compute host %(host)s could not be found."


class ConsoleNotFound(NotFound):
    msg_fmt = "Console not found, console_id %(console_id)s."


class ConsoleNotFoundForInstance(ConsoleNotFound):
    msg_fmt = "Console not found for instance, console_id %(console_id)s, instance_uuid %(instance_uuid)s."


class ConsoleNotFoundInPoolForInstance(ConsoleNotFound):
    msg_fmt = "Console not found in pool for instance, pool_id %(pool_id)s, instance_uuid %(instance_uuid)s."


class ConsolePoolExists(NovaException):
    msg_fmt = "Console pool exists, host %(host)s, console_type %(console_type)s, compute_host %(compute_host)s."


class ConsolePoolNotFoundForHostType(NotFound):
    msg_fmt = "No %(console_type)s console pool of %(compute_host)s on %(host)s."


class ConstraintNotMet(NovaException):
    msg_fmt = "Constraint not met."
    code = 412


class DuplicateVlan(NovaException):
    msg_fmt = "Duplicate vlan, vlan %(vlan)s."
    code = 409


class FixedIpAlreadyInUse(NovaException):
    msg_fmt = "Fixed ip already in use, address %(address)s, instance_uuid %(instance_uuid)s."


class FixedIpAssociateFailed(NovaException):
    msg_fmt = "Fixed ip associate failed, net %(net)s."


class FixedIpExists(NovaException):
    msg_fmt = "Fixed ip exists, address %(address)s."


class FixedIpInvalid(Invalid):
    msg_fmt = "Fixed IP address %(address)s is invalid."


class FixedIpNotFound(NotFound):
    msg_fmt = "Fixed ip not found, id %(id)s."


class FixedIpNotFoundForAddress(FixedIpNotFound):
    msg_fmt = "Fixed ip not found for address, address %(address)s."


class FixedIpNotFoundForInstance(FixedIpNotFound):
    msg_fmt = "Fixed ip not found for instance, instance_uuid %(instance_uuid)s."


class FixedIpNotFoundForNetwork(FixedIpNotFound):
    msg_fmt = "Fixed ip not found for network, address %(address)s, network_uuid %(network_uuid)s."


class FixedIpNotFoundForNetworkHost(FixedIpNotFound):
    msg_fmt = "Fixed ip not found for network host, network_id %(network_id)s, host %(host)s."


class FlavorAccessExists(NovaException):
    msg_fmt = "Flavor access exists, flavor_id %(flavor_id)s, project_id %(project_id)s."


class FlavorAccessNotFound(NotFound):
    msg_fmt = "Flavor access not found, flavor_id %(flavor_id)s, project_id %(project_id)s."


class FlavorExists(NovaException):
    msg_fmt = "Flavor with name %(name)s already exists."


class FlavorExtraSpecUpdateCreateFailed(NovaException):
    msg_fmt = "Flavor extra spec update create failed, id %(id)s, retries %(retries)s."


class FlavorExtraSpecsNotFound(NotFound):
    msg_fmt = "Flavor %(flavor_id)s has no extra specs with key %(extra_specs_key)s."


class FlavorIdExists(NovaException):
    msg_fmt = "Flavor with ID %(flavor_id)s already exists."


class FlavorNotFound(NotFound):
    msg_fmt = "Flavor %(flavor_id)s could not be found."


class FlavorNotFoundByName(FlavorNotFound):
    msg_fmt = "Flavor with name %(flavor_name)s could not be found."


class FloatingIpAllocateFailed(NovaException):
    msg_fmt = "Floating ip allocate failed."


class FloatingIpAssociateFailed(NovaException):
    msg_fmt = "Floating ip associate failed, address %(address)s."


class FloatingIpExists(NovaException):
    msg_fmt = "Floating ip exists, address %(address)s."


class FloatingIpNotFound(NotFound):
    msg_fmt = "Floating ip not found, id %(id)s."


class FloatingIpNotFoundForAddress(FloatingIpNotFound):
    msg_fmt = "Floating ip not found for address, address %(address)s."


class FloatingIpNotFoundForHost(FloatingIpNotFound):
    msg_fmt = "Floating ip not found for host, host %(host)s."


class HostBinaryNotFound(NotFound):
    msg_fmt = "Could not find binary %(binary)s on host %(host)s."


class ImageNotFound(NotFound):
    msg_fmt = "Image not found, image_id %(image_id)s."


class InstanceActionEventNotFound(NovaException):
    msg_fmt = "Instance action event not found, action_id %(action_id)s, event %(event)s."


class InstanceActionNotFound(NovaException):
    msg_fmt = "Instance action not found, request_id %(request_id)s, instance_uuid %(instance_uuid)s."


class InstanceExists(NovaException):
    msg_fmt = "Instance exists, name %(name)s."


class InstanceGroupIdExists(NovaException):
    msg_fmt = "Instance group id exists, group_uuid %(group_uuid)s."


class InstanceGroupMemberNotFound(NotFound):
    msg_fmt = "Instance group member not found, group_uuid %(group_uuid)s, instance_id %(instance_id)s."


class InstanceGroupNotFound(NotFound):
    msg_fmt = "Instance group not found, group_uuid %(group_uuid)s."


class InstanceInfoCacheNotFound(NotFound):
    msg_fmt = "Instance info cache not found, instance_uuid %(instance_uuid)s."


class InstanceNotFound(NotFound):
    msg_fmt = "Instance %(instance_id)s could not be found."


class InstanceTagNotFound(NotFound):
    msg_fmt = "Instance tag not found, instance_id %(instance_id)s, tag %(tag)s."


class InstanceUpdateConflict(NovaException):
    msg_fmt = "Conflict updating instance %(instance_uuid)s. Expected: %(expected)s. Actual: %(actual)s"


class InvalidBDMFormat(InvalidBDM):
    msg_fmt = "Block Device Mapping is Invalid: %(details)s"


class InvalidID(Invalid):
    msg_fmt = "Invalid ID received %(id)s."


class InvalidInput(Invalid):
    msg_fmt = "Invalid input received: %(reason)s"


class InvalidIpAddressError(Invalid):
    msg_fmt = "%(address)s is not a valid IP v4/6 address."


class InvalidParameterValue(Invalid):
    msg_fmt = "Invalid parameter value, err %(err)s."


class InvalidSortKey(Invalid):
    msg_fmt = "Sort key supplied was not valid."


class InvalidUUID(Invalid):
    msg_fmt = "Expected a uuid but received %(uuid)s."


class KeyPairExists(NovaException):
    msg_fmt = "Key pair '%(key_name)s' already exists."


class KeypairNotFound(NotFound):
    msg_fmt = "Keypair %(name)s not found for user %(user_id)s"


class MarkerNotFound(NotFound):
    msg_fmt = "Marker %(marker)s could not be found."


class MigrationNotFound(NotFound):
    msg_fmt = "Migration %(migration_id)s could not be found."


class MigrationNotFoundByStatus(MigrationNotFound):
    msg_fmt = "Migration not found by status, instance_id %(instance_id)s, status %(status)s."


class MigrationNotFoundForInstance(MigrationNotFound):
    msg_fmt = "Migration not found for instance, migration_id %(migration_id)s, instance_id %(instance_id)s."


class NetworkInUse(NovaException):
    msg_fmt = "Network %(network_id)s is still in use."


class NetworkNotFound(NotFound):
    msg_fmt = "Network %(network_id)s could not be found."


class NetworkNotFoundForCidr(NetworkNotFound):
    msg_fmt = "Network not found for cidr, cidr %(cidr)s."


class NetworkNotFoundForProject(NetworkNotFound):
    msg_fmt = "Network not found for project, network_uuid %(network_uuid)s, project_id %(project_id)s."


class NetworkNotFoundForUUID(NetworkNotFound):
    msg_fmt = "Network not found for u u i d, uuid %(uuid)s."


class NetworkSetHostFailed(NovaException):
    msg_fmt = "Network set host failed, network_id %(network_id)s."


class NoFixedIpsDefined(NotFound):
    msg_fmt = "No fixed ips defined."


class NoFloatingIpsDefined(NotFound):
    msg_fmt = "No floating ips defined."


class NoMoreFixedIps(NovaException):
    msg_fmt = "No fixed IP addresses available for network: %(net)s"


class NoMoreFloatingIps(FloatingIpNotFound):
    msg_fmt = "Zero floating IPs available."


class NoMoreNetworks(NovaException):
    msg_fmt = "No more networks."


class NoNetworksFound(NotFound):
    msg_fmt = "No networks found."


class OverQuota(NovaException):
    msg_fmt = "Quota exceeded for resources: %(overs)s"


class PciDeviceNotFound(NotFound):
    msg_fmt = "Pci device not found, node_id %(node_id)s, address %(address)s."


class PciDeviceNotFoundById(NotFound):
    msg_fmt = "Pci device not found by id, id %(id)s."


class ProjectQuotaNotFound(QuotaNotFound):
    msg_fmt = "Quota for project %(project_id)s could not be found."


class ProjectUserQuotaNotFound(QuotaNotFound):
    msg_fmt = "Project user quota not found, project_id %(project_id)s, user_id %(user_id)s."


class QuotaClassNotFound(QuotaNotFound):
    msg_fmt = "Quota class not found, class_name %(class_name)s."


class QuotaExists(NovaException):
    msg_fmt = "Quota exists for project %(project_id)s, resource %(resource)s"


class QuotaUsageNotFound(QuotaNotFound):
    msg_fmt = "Quota usage not found, project_id %(project_id)s."


class ReservationNotFound(QuotaNotFound):
    msg_fmt = "Reservation not found, uuid %(uuid)s."


class SecurityGroupDefaultRuleNotFound(Invalid):
    msg_fmt = "Security group default rule not found, rule_id %(rule_id)s."


class SecurityGroupExists(Invalid):
    msg_fmt = "Security group %(security_group_name)s already exists for project %(project_id)s."


class SecurityGroupNotFound(NotFound):
    msg_fmt = "Security group %(security_group_id)s not found."


class SecurityGroupNotFoundForProject(SecurityGroupNotFound):
    msg_fmt = "Security group %(security_group_id)s not found for project %(project_id)s."


class SecurityGroupNotFoundForRule(SecurityGroupNotFound):
    msg_fmt = "Security group not found for rule, rule_id %(rule_id)s."


class ServiceBinaryExists(NovaException):
    msg_fmt = "Service with host %(host)s binary %(binary)s exists."


class ServiceNotFound(NotFound):
    msg_fmt = "Service %(service_id)s could not be found."


class ServiceTopicExists(NovaException):
    msg_fmt = "Service with host %(host)s topic %(topic)s exists."


class SnapshotNotFound(NotFound):
    msg_fmt = "Snapshot not found, snapshot_id %(snapshot_id)s."


class TaskAlreadyRunning(NovaException):
    msg_fmt = "Task already running, task_name %(task_name)s, host %(host)s."


class TaskNotRunning(NovaException):
    msg_fmt = "Task not running, task_name %(task_name)s, host %(host)s."


class UnexpectedTaskStateError(InstanceUpdateConflict):
    msg_fmt = "Conflict updating instance %(instance_uuid)s. Expected: %(expected)s. Actual: %(actual)s"


class UnexpectedDeletingTaskStateError(UnexpectedTaskStateError):
    msg_fmt = "Conflict updating instance %(instance_uuid)s. Expected: %(expected)s. Actual: %(actual)s"


class UnknownInstanceUpdateConflict(InstanceUpdateConflict):
    msg_fmt = "Conflict updating instance %(instance_uuid)s, but we were unable to determine the cause"


class VirtualInterfaceCreateException(NovaException):
    msg_fmt = "Virtual interface create exception."


class VolumeNotFound(NotFound):
    msg_fmt = "Volume not found, volume_id %(volume_id)s."
