"""What a check finds, and how it goes on after a value that no sound index holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

#: Errors of SQLite about the disk or a lock: they say nothing about the contents.
_NOT_CONTENTS = (
    "SQLITE_BUSY",
    "SQLITE_LOCKED",
    "SQLITE_IOERR",
    "SQLITE_CANTOPEN",
    "SQLITE_FULL",
    "SQLITE_NOMEM",
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: a reason code, the file or row, and a sentence."""

    code: str
    where: str
    sentence: str


def guarded(
    where: str, examine: Callable[[], Iterable[Problem]], *, code: str = "catalog_damaged"
) -> Iterator[Problem]:
    """Pass on what an examination finds; that it stumbles over a value is a finding too.

    Raises
    ------
    sqlite3.OperationalError
        When the disk fails or the catalog is locked: not a matter of its contents.
    OSError
        Likewise.
    """
    try:
        yield from examine()
    except OSError:
        raise
    except sqlite3.Error as error:
        if (getattr(error, "sqlite_errorname", "") or "").startswith(_NOT_CONTENTS):
            raise
        yield Problem(code, where, f"{where} を読めません（{error}）。")
    except Exception as error:  # whatever a damaged value leads to
        yield Problem(
            code, where, f"{where} に読めない値があります（{type(error).__name__}: {error}）。"
        )
