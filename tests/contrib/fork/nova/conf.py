# SPDX-License-Identifier: Apache-2.0

"""The fork's options: those that its database layer registers in Nova 13."""

from __future__ import annotations

from oslo_config import cfg
from oslo_db import options

CONF = cfg.CONF

CONF.register_opts(
    [
        cfg.BoolOpt("enable_new_services", default=True),
        cfg.StrOpt("instance_name_template", default="instance-%08x"),
        cfg.StrOpt("snapshot_name_template", default="snapshot-%s"),
        cfg.StrOpt("osapi_compute_unique_server_name_scope", default=""),
        cfg.IntOpt("until_refresh", default=0),
        cfg.IntOpt("max_age", default=0),
        cfg.IntOpt("reservation_expire", default=86400),
    ]
)
CONF.register_opts([cfg.StrOpt("connection", secret=True), cfg.StrOpt("slave_connection")], "api_database")
options.set_defaults(CONF)
