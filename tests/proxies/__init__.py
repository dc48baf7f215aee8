# SPDX-License-Identifier: Apache-2.0

"""Ways to a server: through PgBouncer and HAProxy, and with green threads."""
