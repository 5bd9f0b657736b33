"""Making the catalog of a new index."""

from __future__ import annotations

import shutil
from pathlib import Path

from ragjp.index.storage.catalog import (
    FORMAT_VERSION,
    OLD_NAME,
    RESTORING_NAME,
    SCHEMA,
    catalog_path,
    connect,
)
from ragjp.index.storage.digests import DigestKeeper
from ragjp.index.storage.disk import sync_file, sync_folder
from ragjp.index.storage.seal import SEAL_NAME

_LOGS = ("-wal", "-shm", "-journal")


def forget_logs(catalog: Path) -> None:
    """Remove the logs of a catalog that is gone: they would be played into the one that takes its place."""
    for suffix in _LOGS:
        catalog.with_name(catalog.name + suffix).unlink(missing_ok=True)


def sweep_catalogs(index: Path) -> None:
    """Remove what a killed creation or restore left beside the catalog. Only the writer may call this, once the catalog is sound."""
    draft = catalog_path(index).with_suffix(".sqlite.new")
    forget_logs(draft)
    for path in (draft, index / OLD_NAME):
        path.unlink(missing_ok=True)
    shutil.rmtree(index / RESTORING_NAME, ignore_errors=True)


def create_catalog(index: Path, meta: dict[str, str]) -> None:
    """Make an empty catalog of generation 0 that appears whole or not at all."""
    index.mkdir(parents=True, exist_ok=True)
    final = catalog_path(index)
    draft = final.with_suffix(".sqlite.new")
    draft.unlink(missing_ok=True)
    forget_logs(draft)
    forget_logs(final)
    (index / SEAL_NAME).unlink(missing_ok=True)
    connection = connect(draft, mode="rwc")
    try:
        # Nobody sees the draft before all of it has been forced to the disk below.
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(SCHEMA)
        rows = {**meta, "format_version": str(FORMAT_VERSION), "generation": "0"}
        with DigestKeeper(connection).writing():
            connection.executemany("INSERT INTO meta VALUES (?, ?)", rows.items())
    finally:
        connection.close()
    sync_file(draft)
    draft.rename(final)
    sync_folder(index)
    sync_folder(index.parent)
