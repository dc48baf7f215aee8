# SPDX-License-Identifier: Apache-2.0

"""Key pairs: public keys of a user, each under a name.  Table ``key_pairs``."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nova_sqlcore import exceptions, tx
from nova_sqlcore.context import require_context
from nova_sqlcore.queries.common.clauses import select_statement, visible
from nova_sqlcore.queries.common.lookups import Shape, equal, rows_by, shape_of, soft_delete_by
from nova_sqlcore.tables import key_pairs as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.handles import Select


@functools.cache
def _one_statement(read_deleted: str, shape: Shape) -> Select[rows.KeyPair]:
    """Return the SELECT of a key pair: of several with the name the live one, else the newest."""
    live_first = sa.case((t.c.deleted == 0, 0), else_=1)
    where = (*equal(t, shape), *visible(t, read_deleted))
    return select_statement(t).where(*where).order_by(live_first, t.c.id.desc()).limit(1)


@functools.cache
def _count_statement(shape: Shape) -> sa.Select[Any]:
    return sa.select(sa.func.count().label("count")).where(*equal(t, shape), *visible(t, "no"))


@require_context
@tx.main.reader
def key_pair_get(context: Context, user_id: str, name: str) -> rows.KeyPair:
    """Return the user's key pair of this name, if the context may see it: the live one, else the newest.

    Cost: 1 statement in 1 round trip.
    Raises: KeypairNotFound(user_id, name).
    """
    shape, params = shape_of({"user_id": user_id, "name": name})
    row = current(context).row(_one_statement(context.read_deleted, shape), **params)
    if row is None:
        raise exceptions.KeypairNotFound(user_id=user_id, name=name)
    return row


@require_context
@tx.main.reader
def key_pair_get_all_by_user(context: Context, user_id: str) -> list[rows.KeyPair]:
    """Return the user's live key pairs, by id.

    Cost: 1 statement in 1 round trip.
    """
    return rows_by(current(context), t, "no", user_id=user_id)


@require_context
@tx.main.reader
def key_pair_count_by_user(context: Context, user_id: str) -> int:
    """Return the number of the user's live key pairs.

    Cost: 1 statement in 1 round trip.
    """
    shape, params = shape_of({"user_id": user_id})
    count: int = current(context).scalar(_count_statement(shape), **params)
    return count


@require_context
@tx.main.writer
def key_pair_create(context: Context, values: Mapping[str, Any]) -> rows.KeyPair:
    """Store a new key pair and return it; its type is "ssh" unless given.

    Cost: 1 statement in 1 round trip.
    Raises: KeyPairExists(key_name) if the user has a live key pair of this name.
    """
    row = current(context).last().insert_absent(t, values)
    if row is None:
        raise exceptions.KeyPairExists(key_name=values["name"])
    return row


@require_context
@tx.main.writer
def key_pair_destroy(context: Context, user_id: str, name: str) -> None:
    """Soft-delete the user's key pair of this name, if the context may see it.

    Cost: 1 statement in 1 round trip.
    Raises: KeypairNotFound(user_id, name).
    """
    if not soft_delete_by(current(context).last(), t, context.read_deleted, user_id=user_id, name=name):
        raise exceptions.KeypairNotFound(user_id=user_id, name=name)
