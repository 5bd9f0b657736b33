"""Ways in which a file of an index can be wrong: each takes the index's folder, the file and the randomness of its case."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path

Mutation = Callable[[Path, Path, random.Random], None]


def _truncate(index: Path, file: Path, rng: random.Random) -> None:
    os.truncate(file, rng.randrange(max(file.stat().st_size, 1)))


def _empty(index: Path, file: Path, rng: random.Random) -> None:
    os.truncate(file, 0)


def _extend(index: Path, file: Path, rng: random.Random) -> None:
    with file.open("ab") as opened:
        opened.write(rng.randbytes(rng.choice((1, 7, 512, 4096, 65536))))


def _zero_range(index: Path, file: Path, rng: random.Random) -> None:
    _overwrite(file, rng, lambda length: bytes(length))


def _random_range(index: Path, file: Path, rng: random.Random) -> None:
    _overwrite(file, rng, rng.randbytes)


def _ones_range(index: Path, file: Path, rng: random.Random) -> None:
    _overwrite(file, rng, lambda length: b"\xff" * length)


def _overwrite(file: Path, rng: random.Random, filling: Callable[[int], bytes]) -> None:
    content = bytearray(file.read_bytes())
    if content:
        start = rng.randrange(len(content))
        length = rng.randint(1, len(content) - start)
        content[start : start + length] = filling(length)
        file.write_bytes(content)


def _random_content(index: Path, file: Path, rng: random.Random) -> None:
    file.write_bytes(rng.randbytes(file.stat().st_size))


def _swap(index: Path, file: Path, rng: random.Random) -> None:
    other = rng.choice([path for path in index.rglob("*") if path.is_file() and path != file])
    aside = file.with_name("aside")
    file.rename(aside)
    other.rename(file)
    aside.rename(other)


def _copy_of_another(index: Path, file: Path, rng: random.Random) -> None:
    files = [path for path in index.rglob("*") if path.is_file() and path != file]
    shutil.copyfile(rng.choice(files), file)


def _remove(index: Path, file: Path, rng: random.Random) -> None:
    file.unlink()


def _folder_instead(index: Path, file: Path, rng: random.Random) -> None:
    file.unlink()
    file.mkdir()
    if rng.random() < 0.5:
        (file / "inside").write_text("x")


def _fifo_instead(index: Path, file: Path, rng: random.Random) -> None:
    file.unlink()
    os.mkfifo(file)


def _socket_instead(index: Path, file: Path, rng: random.Random) -> None:
    file.unlink()
    here = Path.cwd()
    os.chdir(file.parent)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(file.name)
    os.chdir(here)


def _link_instead(index: Path, file: Path, rng: random.Random) -> None:
    file.unlink()
    targets = ("/dev/zero", "/dev/null", "/dev/full", "/nowhere", file.name, "..", "/proc/self/mem")
    file.symlink_to(rng.choice(targets))


def _folder_of_it_wrong(index: Path, file: Path, rng: random.Random) -> None:
    """The folder that holds the file becomes a file, a link to nowhere, a FIFO, or is gone."""
    folder = file.parent if file.parent != index else index / "segments"
    shutil.rmtree(folder)
    how = rng.randrange(4)
    if how == 0:
        folder.write_bytes(b"")
    elif how == 1:
        folder.symlink_to("/nowhere")
    elif how == 2:
        os.mkfifo(folder)


def _other_header(index: Path, file: Path, rng: random.Random) -> None:
    """Another ``.npy`` header of the same length: huge, negative or other shapes, object dtype, Fortran order, no literal."""
    content = file.read_bytes()
    if not content.startswith(b"\x93NUMPY"):
        _random_range(index, file, rng)
        return
    (length,) = struct.unpack_from("<H", content, 8)
    shape = rng.choice(
        (
            "(1000000000000,)",
            "(-1,)",
            "(0,)",
            "()",
            "(2, 2)",
            "(99999, 99999, 99999)",
            "(1.5,)",
            "7",
        )
    )
    descr = rng.choice(
        ("'|O'", "'<f8'", "'<i4'", "'|V9'", "'<U4'", "[('a', '<i8')]", "None", "'?'")
    )
    order = rng.choice(("True", "False", "0"))
    header = rng.choice(
        (
            f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}",
            f"{{'descr': '<f2', 'fortran_order': {order}, 'shape': {shape}, }}",
            "(" * 60,
            "__import__('os')",
            "{" + "[" * 40,
        )
    )
    written = header.encode()[: length - 1].ljust(length - 1) + b"\n"
    if rng.random() < 0.2:  # the length of the header itself
        content = content[:8] + struct.pack("<H", rng.randrange(65536)) + content[10:]
        file.write_bytes(content)
    else:
        file.write_bytes(content[:10] + written + content[10 + length :])


def _other_json(index: Path, file: Path, rng: random.Random) -> None:
    """For the small JSON files: other values, nesting, NaN, no text."""
    values = ("{}", "[]", "null", "[" * 100_000, '{"a": NaN}', '"\\ud800"', "\x00", "9" * 5000)
    file.write_text(rng.choice(values), encoding="utf-8")


def _no_database(index: Path, file: Path, rng: random.Random) -> None:
    """Another file in the catalog's place: no database, an empty one, one of somebody else's, one that is a log only."""
    catalog = index / "catalog.sqlite"
    catalog.unlink()
    how = rng.randrange(4)
    if how == 0:
        catalog.write_bytes(b"SQLite format 3\x00" + rng.randbytes(rng.choice((0, 84, 4080))))
    elif how == 1:
        catalog.write_text("これは目録ではありません。" * 300, encoding="utf-8")
    else:
        with sqlite3.connect(catalog) as connection:
            connection.execute("CREATE TABLE notes (a)" if how == 2 else "CREATE TABLE meta (a, b)")
        connection.close()


def _log_beside(index: Path, file: Path, rng: random.Random) -> None:
    """A journal or log of nobody's beside the catalog."""
    suffix = rng.choice(("-journal", "-wal", "-shm"))
    start = rng.choice((b"", b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7", b"\x37\x7f\x06\x82"))
    (index / f"catalog.sqlite{suffix}").write_bytes(
        start + rng.randbytes(rng.choice((0, 24, 504, 8192)))
    )


def _other_schema(index: Path, file: Path, rng: random.Random) -> None:
    """A table dropped, emptied, without a column, or with cells of other types."""
    with sqlite3.connect(index / "catalog.sqlite") as connection:
        tables = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        name, sql = rng.choice([row for row in tables if not row[0].startswith("sqlite_")])
        how = rng.choice(("drop", "empty", "types", "renamed"))
        if how == "empty":
            connection.execute(f"DELETE FROM {name}")
        elif how == "renamed":
            connection.execute(f"ALTER TABLE {name} RENAME TO {name}_old")
        else:
            rows = connection.execute(f"SELECT * FROM {name}").fetchall()
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute(f"DROP TABLE {name}")
            if how == "types":
                columns = sql[sql.index("(") :].replace(" STRICT", "")
                for typed in ("INTEGER PRIMARY KEY AUTOINCREMENT", "INTEGER", "TEXT"):
                    columns = columns.replace(typed, "BLOB")
                connection.execute(f"CREATE TABLE {name} {columns}")
                odd = ("x", b"\xff\xfe", -1, 2**62, None, "", 1.5, "９")
                for row in rows:
                    cells = [rng.choice(odd) if rng.random() < 0.3 else cell for cell in row]
                    marks = ",".join("?" * len(cells))
                    connection.execute(f"INSERT OR IGNORE INTO {name} VALUES ({marks})", cells)
    connection.close()


#: Cells of meta that the program reads, and what may stand there instead.
_META = {
    "recipe": ("{", "[]", "null", '{"name": 3}', "[" * 100_000, "\ud7ff", '{"name": "x", "a": 1}'),
    "fields": ("{", "[]", '["nowhere"]', "3", '["../x"]', "null", '[["a"]]', '"lemma"'),
    "dim": ("", "0", "-1", "1e9", "９", "99999999999999999999", "x", "33"),
    "token_dim": ("", "-5", "x", "99999999999999999999", "1", "0"),
    "generation": ("", "-1", "x", "99999999999999999999", "0", "1.5"),
    "format_version": ("", "0", "-1", "99", "x", "1.0", "２"),
    "analyzer": ("", "another"),
    "encoder": ("", "another"),
}


def _other_meta(index: Path, file: Path, rng: random.Random) -> None:
    key = rng.choice(list(_META))
    with sqlite3.connect(index / "catalog.sqlite") as connection:
        if rng.random() < 0.15:
            connection.execute("DELETE FROM meta WHERE key = ?", (key,))
        else:
            value = rng.choice(_META[key])
            connection.execute("UPDATE meta SET value = ? WHERE key = ?", (value, key))
    connection.close()


#: Cells of other tables, and what may stand there instead: SQL expressions.
_CELLS = (
    ("chunk", "heading_path", ("'{'", "'[1]'", "'null'", "printf('%.*c', 90000, '[')", "'3'")),
    ("chunk", "start", ("-5", "0", "99999", "start + 1")),
    ("chunk", "end", ("end + 99999", "end + 1")),
    ("chunk", "page", ("0", "9", "-1")),
    ("chunk", "row", ("row + 1000", "9223372036854775807")),
    ("chunk", "text_hash", ("''", "'x'")),
    ("document", "metadata", ("'{'", "'[]'", "'3'")),
    ("document", "born", ("born + 1", "-1", "99")),
    ("document", "died", ("1", "99", "born")),
    ("document", "doc_id", ("doc_id || 'x'", "''", "'../../etc/passwd'", "char(0)")),
    ("page", "text", ("''", "substr(text, 3)", "text || 'x'", "CAST(x'fffe' AS TEXT)")),
    ("access", "principal", ("'nobody'", "''")),
    ("segment", "name", ("'../segments/00000001'", "'nowhere'", "'/etc'", "''", "char(0)")),
    ("segment", "n_rows", ("1", "n_rows + 1", "9223372036854775807")),
    ("segment", "n_tokens", ("0", "n_tokens + 1", "9223372036854775807")),
    ("segment_file", "name", ("'../x.npy'", "'nowhere.npy'", "'/dev/zero'", "''", "name || 'x'")),
    ("segment_file", "n_bytes", ("0", "-1", "n_bytes + 1", "9223372036854775807")),
    ("segment_file", "sha256", ("''", "'x'")),
)


def _other_cell(index: Path, file: Path, rng: random.Random) -> None:
    table, column, values = rng.choice(_CELLS)
    connection = sqlite3.connect(index / "catalog.sqlite")
    rowids = [row for (row,) in connection.execute(f"SELECT rowid FROM {table}")]
    try:
        connection.execute(
            f"UPDATE {table} SET {column} = {rng.choice(values)} WHERE rowid = ?",
            (rng.choice(rowids),),
        )
        connection.commit()
    except sqlite3.DatabaseError:  # a constraint holds: nothing is damaged
        connection.rollback()
    connection.close()


def _seal_of_another(index: Path, file: Path, rng: random.Random) -> None:
    """A seal whose fields are of other types or values."""
    seal = index / "catalog.seal"
    values = json.loads(seal.read_text("utf-8")) if seal.exists() else {}
    if values:
        key = rng.choice(list(values))
        values[key] = rng.choice((None, -1, 2**70, "x", [], {}, True, 1.5))
    seal.write_text(json.dumps(values), encoding="utf-8")


#: What may happen to one file, in its bytes or its place.
OF_FILES: tuple[Mutation, ...] = (
    _truncate,
    _empty,
    _extend,
    _zero_range,
    _random_range,
    _ones_range,
    _random_content,
    _swap,
    _copy_of_another,
    _remove,
    _folder_instead,
    _fifo_instead,
    _socket_instead,
    _link_instead,
    _folder_of_it_wrong,
    _other_header,
    _other_json,
)
#: What may happen to the catalog as a database.
OF_CATALOGS: tuple[Mutation, ...] = (
    _no_database,
    _log_beside,
    _other_schema,
    _other_meta,
    _other_cell,
    _seal_of_another,
)
#: Those whose damage would hide if somebody made all checksums anew.
FORGEABLE: tuple[Mutation, ...] = (
    _other_header,
    _zero_range,
    _random_range,
    _ones_range,
    _truncate,
    _extend,
    _swap,
    _other_meta,
    _other_cell,
)
