"""JSON Lines: the reader of ``.jsonl`` and ``.ndjson``; see :mod:`ragjp.documents.json_values`."""

from __future__ import annotations

from ragjp.documents.json_values import read_lines as read

__all__ = ["read"]
