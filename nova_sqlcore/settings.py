# SPDX-License-Identifier: Apache-2.0

"""The knobs of the library: one object, ``settings``, whose attributes are read at each call."""

import dataclasses


@dataclasses.dataclass(slots=True)
class Settings:
    """Values that an operator may change; the defaults are the reference's."""

    #: False: new nova-compute services start disabled, with a reason
    enable_new_services: bool = True
    #: the computed ``name`` of an instance; takes the instance's columns, or its id alone
    instance_name_template: str = "instance-%08x"
    #: the name of a volume snapshot, for callers
    snapshot_name_template: str = "snapshot-%s"
    #: where a host name may occur only once: "project", "global", or "" for no rule
    osapi_compute_unique_server_name_scope: str | None = ""
    #: pairs, tags or values that one filter of a list of instances takes
    max_filter_values: int = 1000
    #: file system of ephemeral disks in converted block device mappings
    default_ephemeral_format: str | None = None
    #: reservations after which a usage is counted anew; 0: never
    until_refresh: int = 0
    #: seconds after the last change of a usage from which on it is counted anew; 0: never
    max_age: int = 0
    #: seconds until an uncommitted reservation expires
    reservation_expire: int = 86400
    #: raise, and not just log, when an error's message can't be filled in
    fatal_exception_format_errors: bool = False


settings = Settings()
