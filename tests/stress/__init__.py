# SPDX-License-Identifier: Apache-2.0

"""Eight processes on the functions that claim, count or merge: ``make test-stress``, and a short form in ``make test``.

    python -m tests.stress [--servers sqlite,mariadb,mysql,postgresql,galera] [--keys 50] [--only NAME] [--write]

``--write`` puts the figures where docs/reliability.rst takes them from.
"""
