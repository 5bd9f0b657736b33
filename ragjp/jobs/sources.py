"""Where documents come from: a folder of files, or a BEIR ``corpus.jsonl``. Each item can be hashed without being read."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ragjp.config import Recipe
from ragjp.config import Source as FolderChoice
from ragjp.documents import DocumentReader
from ragjp.documents.contents import Contents, Finding
from ragjp.errors import DocumentError, RecipeError
from ragjp.index.dense.derived import DERIVED_NAME
from ragjp.index.storage.catalog import CATALOG_NAME, SEGMENTS_NAME
from ragjp.index.storage.lock import LOCK_NAME
from ragjp.index.storage.seal import SEAL_NAME
from ragjp.jobs.seen import SEEN_NAME, FileState
from ragjp.types import Document, Page

REPORT_NAME = "report.jsonl"


class Item(Protocol):
    """One document to be: named and hashed now, read only when it has changed."""

    @property
    def doc_id(self) -> str:
        """The id that the document will have."""
        ...

    @property
    def access(self) -> tuple[str, ...]:
        """The principals that may read it."""
        ...

    def content_hash(self) -> str:
        """SHA-256 of what the document is made from. Raises DocumentError when it cannot be read."""
        ...

    def load(self, reader: DocumentReader) -> Contents:
        """Read it. What could not be read is in the findings."""
        ...


class DocumentSource(Protocol):
    """Anything that lists items."""

    def items(self) -> Iterator[Item]:
        """List the items in a fixed order."""
        ...


@dataclass(frozen=True, slots=True)
class FileItem:
    """A file of a folder source."""

    doc_id: str
    access: tuple[str, ...]
    path: Path
    max_bytes: int
    #: As it was when it was listed; None where that could not be told.
    state: FileState | None = field(default=None, compare=False)

    def content_hash(self) -> str:
        """Hash the file's bytes; a file over the limit is named by its size, so that reading it can refuse it."""
        try:
            size = self.path.stat().st_size
            if size > self.max_bytes:
                return f"too-large-{size}"
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DocumentError(
                f"{self.doc_id} を開けません（{error.strerror}）。ファイルの権限を確かめてください。",
                code="permission",
            ) from error

    def load(self, reader: DocumentReader) -> Contents:
        """Read the file in the reader's child process."""
        return reader.read_all(self.path, self.doc_id)


@dataclass(frozen=True, slots=True)
class FolderSource:
    """Every file of a folder that the patterns take, whatever its format: one without a reader is reported, not skipped."""

    root: Path
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    access: tuple[str, ...]
    max_bytes: int
    #: Folder of the index that is built from this source.
    index: Path

    def items(self) -> Iterator[FileItem]:
        """List files by path, and folders that cannot be looked into. Not taken: hidden files, links that leave the folder, the index.

        Raises
        ------
        RecipeError
            When the folder is not there, or holds nothing to index (an unmounted share looks like that); when a pattern is none.
        """
        if not self.root.is_dir():
            raise RecipeError(
                f"文書フォルダー {self.root} がありません。レシピの sources.path を確かめてください。",
                code="source_missing",
            )
        closed = self._closed_folders()
        inside = _Inside(self.root.resolve(), self.index.resolve())
        shortened = len(str(self.root / "x")) - 1
        taken = ((str(path)[shortened:].split("/"), path) for path in self._matching(closed))
        found = False
        # By cutting the root's length off and by one stat each: a tree of 10,000 files takes half a second.
        for parts, path in sorted(taken, key=lambda pair: pair[0]):
            if any(part.startswith(".") or not part for part in parts):
                continue
            is_taken, state = inside.look(path, is_folder=path in closed)
            if not is_taken:
                continue
            found = True
            doc_id = unicodedata.normalize("NFC", "/".join(map(_readable, parts)))
            yield FileItem(doc_id, self.access, path, self.max_bytes, state)
        if not found:
            raise RecipeError(
                f"文書フォルダー {self.root} に取り込む文書が一つもありません。共有フォルダーがつながっているか確かめてください。",
                code="source_empty",
            )

    def _closed_folders(self) -> set[Path]:
        """Folders that this user may not list: ``glob`` passes over them as if they were empty."""
        errors: list[OSError] = []
        for _ in os.walk(self.root, onerror=errors.append):
            pass
        return {Path(error.filename) for error in errors}

    def _matching(self, closed: set[Path]) -> set[Path]:
        try:
            taken = {path for pattern in self.include for path in self.root.glob(pattern)}
            dropped = {path for pattern in self.exclude for path in self.root.glob(pattern)}
        except (NotImplementedError, ValueError) as error:
            raise RecipeError(
                f"sources の include か exclude の書き方が正しくありません（{error}）。**/*.md のように、フォルダーの中の形で書いてください。",
                code="bad_pattern",
            ) from error
        return (taken | closed) - dropped


class _Inside:
    """Tells which paths are files of a source: not outside its root through a link, and no part of the index."""

    def __init__(self, root: Path, index: Path) -> None:
        self._root, self._index = root, index
        self._device = root.stat().st_dev
        #: Folder → where it really is, and whether every plain file in it is taken; asked once a folder.
        self._folders: dict[Path, tuple[Path, bool]] = {}

    def look(self, path: Path, *, is_folder: bool) -> tuple[bool, FileState | None]:
        """Whether to take a path, and the state of its file where that can be told."""
        folder = path.parent
        known = self._folders.get(folder)
        if known is None:
            really = folder.resolve()
            is_plain = really.is_relative_to(self._root) and not really.is_relative_to(self._index)
            known = self._folders[folder] = (really, is_plain)
        state = None
        if not is_folder:
            try:
                here = path.lstat()
                is_link = stat.S_ISLNK(here.st_mode)
                if is_link:
                    here = path.stat()
                if not stat.S_ISREG(here.st_mode):
                    return False, None
                state = FileState.of(here, self._device)
                if known[1] and not is_link:
                    return True, state
            except PermissionError:
                pass  # in a folder that may be listed but not entered: reading it will say so
            except OSError:  # a link to nothing, or gone since it was listed
                return False, None
        resolved = path.resolve()
        is_ours = resolved.is_relative_to(self._root)
        return is_ours and not _is_part_of(self._index, resolved), state


def _is_part_of(index: Path, path: Path) -> bool:
    """Whether a file is one of those that make up an index: its folder may hold the sources, or stand among them."""
    if not path.is_relative_to(index) or path == index:
        return False
    name = path.relative_to(index).parts[0]
    return name in (SEGMENTS_NAME, DERIVED_NAME) or name.startswith(
        (CATALOG_NAME, SEAL_NAME, LOCK_NAME, REPORT_NAME, SEEN_NAME)
    )


def _readable(name: str) -> str:
    """Spell a file's name that is not UTF-8: by CP932, as old shares have it, else with its bytes escaped."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raw = os.fsencode(name)
    else:
        return name
    try:
        return raw.decode("cp932")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class PassageItem:
    """A line of a BEIR corpus."""

    doc_id: str
    access: tuple[str, ...]
    title: str
    text: str

    def content_hash(self) -> str:
        """Hash title and text."""
        return hashlib.sha256(f"{self.title}\0{self.text}".encode()).hexdigest()

    def load(self, reader: DocumentReader) -> Contents:
        """Make a document of one page; nothing is read from disk."""
        document = Document(self.doc_id, self.title, (Page(1, self.text),), "passage")
        return Contents((document,), (Finding(self.doc_id, "indexed"),))


@dataclass(frozen=True, slots=True)
class CorpusSource:
    """A BEIR ``corpus.jsonl``: one document of one page per line, ``doc_id`` = ``_id``."""

    path: Path
    access: tuple[str, ...] = ("everyone",)

    def items(self) -> Iterator[PassageItem]:
        """List passages in file order.

        Raises
        ------
        RecipeError
            When the file is missing, or a line is not a JSON object in UTF-8 with ``_id`` and ``text``.
        """
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise RecipeError(
                f"{self.path} を開けません。場所を確かめてください。", code="source_missing"
            ) from error
        with file:
            for number, line in enumerate(file, 1):
                try:
                    record = json.loads(line)
                    item = PassageItem(
                        str(record["_id"]),
                        self.access,
                        str(record.get("title", "")),
                        str(record["text"]),
                    )
                    "".join((item.doc_id, item.title, item.text)).encode()  # no half of a character
                except (ValueError, KeyError, TypeError) as error:
                    raise RecipeError(
                        f"{self.path} の {number} 行目が正しくありません。UTF-8 で、_id と text のある JSON を 1 行に 1 件書いてください。",
                        code="corpus_malformed",
                    ) from error
                yield item


def folder_sources(recipe: Recipe, base: Path, index: Path) -> tuple[FolderSource, ...]:
    """Resolve a recipe's ``[[sources]]`` against the folder that the recipe lies in; ``index`` is built from them."""

    def resolve(choice: FolderChoice) -> FolderSource:
        return FolderSource(
            base / choice.path,
            choice.include,
            choice.exclude,
            choice.access,
            recipe.limits.max_bytes,
            index,
        )

    return tuple(resolve(choice) for choice in recipe.sources)


def list_items(sources: Sequence[DocumentSource]) -> list[Item]:
    """List the items of all sources.

    Raises
    ------
    RecipeError
        When there is no source, or two items have the same id.
    """
    items: dict[str, Item] = {}
    for source in sources:
        for item in source.items():
            if item.doc_id in items:
                raise RecipeError(
                    f"二つの文書が同じ名前 {item.doc_id} になります。sources の path を一つ上のフォルダーにまとめてください。",
                    code="duplicate_doc_id",
                )
            items[item.doc_id] = item
    if not sources:
        raise RecipeError(
            "レシピに [[sources]] がありません。文書フォルダーを path に書いてください。",
            code="no_sources",
        )
    return list(items.values())
