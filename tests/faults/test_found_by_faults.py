"""Faults that the harnesses of this folder have found, each with its shortest form, so that it is named when it comes back."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from library import batch_of, held, open_writer, remember_recipe

from ragjp.errors import StorageFailed
from ragjp.index import writer as writer_module


def full_disk(*arguments: object) -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorname = "SQLITE_FULL"
    raise error


def test_a_deletion_that_cannot_be_committed_keeps_every_segment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch without chunks has no segment folder: tidying up after it removed the folder "", which was that of all segments."""
    path = folder / "index"
    with open_writer(path) as writer:
        remember_recipe(writer)
        writer.commit(batch_of(writer, {0: 1, 1: 1}))
        removal = batch_of(writer, {}, removed=(0,))
        monkeypatch.setattr(writer_module, "set_values", full_disk)
        with pytest.raises(StorageFailed):
            writer.commit(removal)
    assert held(path) == {"000.md": 1, "001.md": 1}
