# SPDX-License-Identifier: Apache-2.0

"""Hostile calls of every public function on every back-end at the same time: ``make fuzz``.

    python -m tests.fuzz [--minutes 10] [--seed 7] [--backends sqlite,mariadb] [--only quota_reserve]
    python -m tests.fuzz --seed 7 --case 33         # an episode again
    python -m tests.fuzz --seed 7 --case 33.12      # one call of it, on a fresh world

A call is made from its seed, its episode and its place in it alone, so that each can be made again by itself. That, and
equal worlds on eight roads which no example may see twice, is why this is a generator of its own and not hypothesis:
what hypothesis adds is to make examples small, and a call is one line from the start.
"""
