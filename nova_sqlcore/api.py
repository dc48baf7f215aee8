"""The reference module's names in one flat namespace: its 305 functions and what goes with them.

``from nova_sqlcore import api as db`` takes the place of the reference's back end. The modules of
``nova_sqlcore.queries`` hold the same functions by noun; they alone are looked into at a call, so whoever replaces a
function for a test replaces it there.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from nova_sqlcore.context import require_context
from nova_sqlcore.queries.agent_builds import (
    agent_build_create,
    agent_build_destroy,
    agent_build_get_all,
    agent_build_get_by_triple,
    agent_build_update,
)
from nova_sqlcore.queries.cells import (
    cell_create,
    cell_delete,
    cell_get,
    cell_get_all,
    cell_update,
)
from nova_sqlcore.queries.certificates import (
    certificate_create,
    certificate_get_all_by_project,
    certificate_get_all_by_user,
    certificate_get_all_by_user_and_project,
)
from nova_sqlcore.queries.compute_nodes import (
    _compute_node_select,
    compute_node_create,
    compute_node_delete,
    compute_node_get,
    compute_node_get_all,
    compute_node_get_all_by_host,
    compute_node_get_by_host_and_nodename,
    compute_node_get_model,
    compute_node_search_by_hypervisor,
    compute_node_statistics,
    compute_node_update,
    compute_nodes_get_by_service_id,
)
from nova_sqlcore.queries.consoles import (
    console_create,
    console_delete,
    console_get,
    console_get_all_by_instance,
    console_get_by_pool_instance,
    console_pool_create,
    console_pool_get_all_by_host_type,
    console_pool_get_by_host_type,
)
from nova_sqlcore.queries.constraints import (
    Constraint,
    EqualityCondition,
    InequalityCondition,
    constraint,
    equal_any,
    not_equal,
)
from nova_sqlcore.queries.infrastructure import (
    api_context_manager,
    configure,
    create_context_manager,
    get_api_engine,
    get_context_manager,
    get_engine,
    main_context_manager,
    model_query,
    pick_context_manager_reader,
    pick_context_manager_reader_allow_async,
    pick_context_manager_writer,
    require_instance_exists_using_uuid,
    select_db_reader_mode,
)
from nova_sqlcore.queries.instances import (
    instance_floating_address_get_all,
    instance_get,
    instance_get_active_by_window_joined,
    instance_get_all,
    instance_get_all_by_filters,
    instance_get_all_by_filters_sort,
    instance_get_all_by_grantee_security_groups,
    instance_get_all_by_host,
    instance_get_all_by_host_and_node,
    instance_get_all_by_host_and_not_type,
    instance_get_all_hung_in_rebooting,
    instance_get_by_uuid,
    process_sort_params,
)
from nova_sqlcore.queries.migrations import (
    migration_create,
    migration_get,
    migration_get_all_by_filters,
    migration_get_by_id_and_instance,
    migration_get_by_instance_and_status,
    migration_get_in_progress_by_host_and_node,
    migration_get_in_progress_by_instance,
    migration_get_unconfirmed_by_dest_compute,
    migration_update,
)
from nova_sqlcore.queries.services import (
    service_create,
    service_destroy,
    service_get,
    service_get_all,
    service_get_all_by_binary,
    service_get_all_by_host,
    service_get_all_by_topic,
    service_get_by_compute_host,
    service_get_by_host_and_binary,
    service_get_by_host_and_topic,
    service_get_minimum_version,
    service_update,
)
from nova_sqlcore.tx import wrap_db_retry
from nova_sqlcore.types import MAX_INT

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "MAX_INT",
    "Constraint",
    "EqualityCondition",
    "InequalityCondition",
    "_compute_node_select",
    "agent_build_create",
    "agent_build_destroy",
    "agent_build_get_all",
    "agent_build_get_by_triple",
    "agent_build_update",
    "api_context_manager",
    "cell_create",
    "cell_delete",
    "cell_get",
    "cell_get_all",
    "cell_update",
    "certificate_create",
    "certificate_get_all_by_project",
    "certificate_get_all_by_user",
    "certificate_get_all_by_user_and_project",
    "compute_node_create",
    "compute_node_delete",
    "compute_node_get",
    "compute_node_get_all",
    "compute_node_get_all_by_host",
    "compute_node_get_by_host_and_nodename",
    "compute_node_get_model",
    "compute_node_search_by_hypervisor",
    "compute_node_statistics",
    "compute_node_update",
    "compute_nodes_get_by_service_id",
    "configure",
    "console_create",
    "console_delete",
    "console_get",
    "console_get_all_by_instance",
    "console_get_by_pool_instance",
    "console_pool_create",
    "console_pool_get_all_by_host_type",
    "console_pool_get_by_host_type",
    "constraint",
    "create_context_manager",
    "equal_any",
    "get_api_engine",
    "get_backend",
    "get_context_manager",
    "get_engine",
    "instance_floating_address_get_all",
    "instance_get",
    "instance_get_active_by_window_joined",
    "instance_get_all",
    "instance_get_all_by_filters",
    "instance_get_all_by_filters_sort",
    "instance_get_all_by_grantee_security_groups",
    "instance_get_all_by_host",
    "instance_get_all_by_host_and_node",
    "instance_get_all_by_host_and_not_type",
    "instance_get_all_hung_in_rebooting",
    "instance_get_by_uuid",
    "main_context_manager",
    "migration_create",
    "migration_get",
    "migration_get_all_by_filters",
    "migration_get_by_id_and_instance",
    "migration_get_by_instance_and_status",
    "migration_get_in_progress_by_host_and_node",
    "migration_get_in_progress_by_instance",
    "migration_get_unconfirmed_by_dest_compute",
    "migration_update",
    "model_query",
    "not_equal",
    "pick_context_manager_reader",
    "pick_context_manager_reader_allow_async",
    "pick_context_manager_writer",
    "process_sort_params",
    "require_context",
    "require_instance_exists_using_uuid",
    "select_db_reader_mode",
    "service_create",
    "service_destroy",
    "service_get",
    "service_get_all",
    "service_get_all_by_binary",
    "service_get_all_by_host",
    "service_get_all_by_topic",
    "service_get_by_compute_host",
    "service_get_by_host_and_binary",
    "service_get_by_host_and_topic",
    "service_get_minimum_version",
    "service_update",
    "wrap_db_retry",
]


def get_backend() -> ModuleType:
    """Return this module."""
    return sys.modules[__name__]
