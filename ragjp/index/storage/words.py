"""The company's own words that an index was made with: its catalog has them, so that it goes nowhere without them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ragjp.errors import RagjpError
from ragjp.index.storage.catalog import meta_value, open_catalog
from ragjp.japanese.words import WordList


def stored_words(index: Path) -> WordList:
    """Read the words of an index; none when there is no index that can be read: whoever opens it says what is wrong."""
    try:
        connection = open_catalog(index)
    except RagjpError:
        return WordList()
    try:
        return WordList.of(meta_value(connection, "words"))
    except (sqlite3.DatabaseError, TypeError):
        return WordList()
    finally:
        connection.close()
