"""Who may see what: a :class:`~ragjp.types.View` becomes one bit per row, once per generation."""

from __future__ import annotations

import sqlite3

import numpy as np

from ragjp.types import BoolArray, IntArray, View

#: True for rows that are current in generation :g.
ALIVE = "born <= :g AND (died IS NULL OR died > :g)"


def visible_documents(connection: sqlite3.Connection, view: View, generation: int) -> set[int]:
    """Numbers of the documents that some principal of the view may read; nothing for a view without principals."""
    visible: set[int] = set()
    for principal in view.principals:
        rows = connection.execute(
            f"SELECT doc_no FROM access WHERE principal = :p AND {ALIVE}",
            {"p": principal, "g": generation},
        )
        visible.update(doc_no for (doc_no,) in rows)
    return visible


def allowed_rows(
    connection: sqlite3.Connection,
    view: View,
    generation: int,
    row_documents: IntArray,
    alive: BoolArray,
) -> BoolArray:
    """Resolve a view to a bitmap.

    Parameters
    ----------
    row_documents
        (N,) the document number of each row.
    alive
        (N,) False for rows whose document has been removed or replaced.
    """
    if view.unrestricted:
        return alive.copy()
    readable = np.zeros(int(row_documents.max(initial=-1)) + 1, dtype=np.bool_)
    visible = np.fromiter(visible_documents(connection, view, generation), dtype=np.int64)
    readable[visible[visible < len(readable)]] = True
    # A dead row's document is -1: whatever it would read here, it is not alive.
    return alive & readable[row_documents] if len(readable) else alive.copy()
