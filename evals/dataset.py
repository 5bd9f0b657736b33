"""Datasets in BEIR layout: questions, and which units answer them.

::

    DATASET/
      corpus.jsonl        a line is {"_id", "title", "text"}; absent when the dataset is about an
                          index built from files
      queries.jsonl       a line is {"_id", "text", "metadata": {"answers": [...],
                          "answerable": false, "kind": ..., "domain": ..., "split": ...}}
      qrels/<split>.tsv   query-id <tab> corpus-id <tab> score, with that header

What is retrieved and judged is a *unit*: a document of ``corpus.jsonl`` (by ``_id``), or, without
a corpus, one page of a file (``FILE#pN``, pages from 1). Everything is read and checked at once;
what is wrong is named with its file and line.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from ragjp.errors import RequestError

#: Keys of a query's metadata that every report is sliced by; others are where they tell a few groups apart.
SLICE_KEYS = ("kind", "domain")
#: Keys of a query's metadata that say something else than which group it is in.
_NOT_SLICES = frozenset({"answers", "answerable", "split", "status"})
#: Longest value of metadata that may name a group, in characters.
_LONGEST_VALUE = 60
QRELS_HEADER = ["query-id", "corpus-id", "score"]

UnitKind = Literal["document", "page"]
#: query id -> unit -> grade (0: judged and not relevant).
Qrels = Mapping[str, Mapping[str, int]]


class DatasetError(RequestError):
    """A dataset that is missing, incomplete, or says something impossible."""

    default_code: ClassVar[str] = "bad_dataset"


@dataclass(frozen=True, slots=True)
class Query:
    """One question: its gold answers, whether the documents answer it, the slices it is in."""

    query_id: str
    text: str
    answers: tuple[str, ...] = ()
    answerable: bool = True
    slices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Split:
    """The questions of one split, in the order of ``queries.jsonl``, and their judgements.

    ``qrels`` has an entry for every answerable question of ``queries`` and for no other: it is the
    denominator of every retrieval measure. ``digest`` is the SHA-256 of the bytes of queries,
    qrels and corpus.
    """

    dataset: str
    name: str
    unit: UnitKind
    queries: tuple[Query, ...]
    qrels: Qrels
    digest: str

    def first(self, limit: int | None) -> Split:
        """Keep the first ``limit`` questions (all of them for None)."""
        if limit is None or limit >= len(self.queries):
            return self
        queries = self.queries[:limit]
        qrels = {q.query_id: self.qrels[q.query_id] for q in queries if q.query_id in self.qrels}
        return Split(self.dataset, self.name, self.unit, queries, qrels, self.digest)


def unit_of(kind: UnitKind, doc_id: str, page: int) -> str:
    """Name the unit that a hit or a citation belongs to.

    >>> unit_of("page", "規程/経費.md", 2)
    '規程/経費.md#p2'
    >>> unit_of("document", "jsquad-00001", 1)
    'jsquad-00001'
    """
    return f"{doc_id}#p{page}" if kind == "page" else doc_id


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset's folder, looked at but not read: its splits, and its corpus if it has one."""

    path: Path
    splits: tuple[str, ...]
    corpus: Path | None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @property
    def unit(self) -> UnitKind:
        """What is judged: documents of the corpus, or pages of the files of an index."""
        return "page" if self.corpus is None else "document"

    def choose(self, split: str | None) -> str:
        """Return ``split``, or the only one there is.

        Raises
        ------
        DatasetError
            When there is no such split, or when several exist and none is named.
        """
        names = "、".join(self.splits)
        if split is None:
            if len(self.splits) == 1:
                return self.splits[0]
            raise DatasetError(
                f"データセット {self.path} には分割が複数あります（{names}）。"
                "--split でどれかを指定してください。",
                code="split_unnamed",
            )
        if split not in self.splits:
            raise DatasetError(
                f"データセット {self.path} に分割「{split}」はありません。"
                f"{names} から選んでください。",
                code="split_unknown",
            )
        return split

    def read(self, split: str | None = None) -> Split:
        """Read and check one split.

        An unanswerable question belongs to the split named by its ``metadata.split``, and to every
        split if it names none.

        Raises
        ------
        DatasetError
            Naming the file, the line and what is wrong with it.
        """
        name = self.choose(split)
        queries_path, qrels_path = self.path / "queries.jsonl", self.path / "qrels" / f"{name}.tsv"
        queries, home, drafts = _read_queries(queries_path)
        units = None if self.corpus is None else _read_corpus_ids(self.corpus)
        qrels = _read_qrels(qrels_path, queries, units)
        if query_id := next((name for name in qrels if name in drafts), None):
            raise DatasetError(
                f"{queries_path} の質問「{query_id}」は、まだ人が確かめていない下書きです。"
                "確かめてから ragjp eval-draft --accept で評価用データにしてください。",
                code="draft_unreviewed",
            )
        kept = tuple(
            query
            for query in queries.values()
            if query.query_id in qrels
            or (not query.answerable and home.get(query.query_id, name) == name)
        )
        paths = [queries_path, qrels_path, *([self.corpus] if self.corpus else [])]
        ordered = {q.query_id: qrels[q.query_id] for q in kept if q.answerable}
        return Split(self.name, name, self.unit, kept, ordered, digest(*paths))


def open_dataset(path: Path) -> Dataset:
    """Look at a folder in BEIR layout.

    Raises
    ------
    DatasetError
        When the folder, its ``queries.jsonl`` or its ``qrels`` are not there.
    """
    if not path.is_dir():
        raise DatasetError(
            f"データセットのフォルダ {path} がありません。場所を確かめてください。",
            code="dataset_missing",
        )
    splits = tuple(sorted(file.stem for file in (path / "qrels").glob("*.tsv")))
    for present, what in (
        ((path / "queries.jsonl").is_file(), "queries.jsonl"),
        (bool(splits), "qrels/<分割>.tsv"),
    ):
        if not present:
            raise DatasetError(
                f"データセット {path} に {what} がありません。"
                "BEIR 形式のフォルダを指定してください。",
                code="dataset_incomplete",
            )
    corpus = path / "corpus.jsonl"
    return Dataset(path, splits, corpus if corpus.is_file() else None)


def digest(*paths: Path) -> str:
    """SHA-256 (hex) of the bytes of several files, each preceded by its length."""
    state = hashlib.sha256()
    for path in paths:
        state.update(path.stat().st_size.to_bytes(8, "little"))
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                state.update(block)
    return state.hexdigest()


def wrong_line(path: Path, line: int, what: str) -> DatasetError:
    """Say what is wrong with one line of a file, to be raised."""
    return DatasetError(
        f"{path} の {line} 行目: {what}。その行を直してください。", code="dataset_malformed"
    )


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Iterate over the lines of a UTF-8 file that are not blank, with their numbers."""
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path} が UTF-8 ではありません。UTF-8 で保存し直してください。",
            code="dataset_malformed",
        ) from error
    except OSError as error:
        raise DatasetError(
            f"{path} を読めません（{error.strerror}）。ファイルを確かめてください。"
        ) from error


def json_object(path: Path, number: int, line: str) -> dict[str, object]:
    """Read one line of a JSON Lines file.

    Raises
    ------
    DatasetError
        When it is no JSON, or not an object.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        said = getattr(error, "msg", "数が長すぎるか、入れ子が深すぎます")
        raise wrong_line(path, number, f"JSON として読めません（{said}）") from error
    if not isinstance(value, dict):
        raise wrong_line(path, number, "JSON のオブジェクトではありません")
    return value


def _objects(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    for number, line in read_lines(path):
        value = json_object(path, number, line)
        for key in ("_id", "text"):
            if not isinstance(value.get(key), str):
                raise wrong_line(path, number, f"文字列の「{key}」がありません")
        yield number, value


class Passage(NamedTuple):
    """One line of ``corpus.jsonl``."""

    doc_id: str
    title: str
    text: str


def read_corpus(path: Path) -> Iterator[Passage]:
    """Iterate over the passages of a ``corpus.jsonl``; a title that is not there is empty.

    Raises
    ------
    DatasetError
        At a line that is no JSON object with texts under ``_id`` and ``text``.
    """
    for _, value in _objects(path):
        yield Passage(str(value["_id"]), str(value.get("title") or ""), str(value["text"]))


def _read_queries(path: Path) -> tuple[dict[str, Query], dict[str, str], set[str]]:
    """Read the queries by id, the split that each names for itself, if it does, and which nobody has reviewed."""
    queries: dict[str, Query] = {}
    home: dict[str, str] = {}
    drafts: set[str] = set()
    for number, value in _objects(path):
        query_id = str(value["_id"])
        if query_id in queries:
            raise wrong_line(path, number, f"_id「{query_id}」が重複しています")
        if not str(value["text"]).strip():
            raise wrong_line(path, number, f"質問「{query_id}」の text が空です")
        metadata = value.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise wrong_line(path, number, "metadata がオブジェクトではありません")
        if problem := _metadata_problem(metadata):
            raise wrong_line(path, number, problem)
        queries[query_id] = Query(
            query_id,
            str(value["text"]),
            tuple(metadata.get("answers", ())),
            metadata.get("answerable", True),
            _groups(metadata),
        )
        if isinstance(named := metadata.get("split"), str):
            home[query_id] = named
        if metadata.get("status") == "draft":
            drafts.add(query_id)
    if not queries:
        raise DatasetError(
            f"{path} に質問が一つもありません。ファイルを確かめてください。",
            code="dataset_malformed",
        )
    return queries, home, drafts


def _groups(metadata: Mapping[str, object]) -> dict[str, str]:
    """Give the metadata that may name a group of questions: short texts, whole numbers, yes and no."""
    found = {
        str(key): str(value)
        for key, value in metadata.items()
        if key not in _NOT_SLICES and isinstance(value, str | int)
    }
    return {key: value for key, value in found.items() if value and len(value) <= _LONGEST_VALUE}


def _metadata_problem(metadata: Mapping[str, object]) -> str | None:
    answers = metadata.get("answers", [])
    if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
        return "metadata.answers が文字列の配列ではありません"
    if not isinstance(metadata.get("answerable", True), bool):
        return "metadata.answerable が true か false ではありません"
    for key in SLICE_KEYS:
        if not isinstance(metadata.get(key), str | None):
            return f"metadata.{key} が文字列ではありません"
    return None


def _read_corpus_ids(path: Path) -> frozenset[str]:
    found: set[str] = set()
    for number, value in _objects(path):
        doc_id = str(value["_id"])
        if doc_id in found:
            raise wrong_line(path, number, f"_id「{doc_id}」が重複しています")
        found.add(doc_id)
    return frozenset(found)


def _read_qrels(
    path: Path, queries: Mapping[str, Query], units: frozenset[str] | None
) -> dict[str, dict[str, int]]:
    """Read the judgements by query, each with a unit of grade 1 or more.

    ``units`` are those of the corpus; None: pages, which are told by their form.
    """
    qrels: dict[str, dict[str, int]] = {}
    for number, line in read_lines(path):
        fields = line.split("\t")
        if number == 1 and fields == QRELS_HEADER:
            continue
        if len(fields) != 3 or not fields[2].strip().isdecimal():
            raise wrong_line(
                path, number, "「query-id<タブ>corpus-id<タブ>0以上の整数」の形ではありません"
            )
        query_id, unit, grade = fields[0], fields[1], int(fields[2])
        if units is None:
            unit = unicodedata.normalize("NFC", unit)
        if problem := _judgement_problem(query_id, unit, queries, units):
            raise wrong_line(path, number, problem)
        judged = qrels.setdefault(query_id, {})
        if unit in judged:
            raise wrong_line(path, number, f"質問「{query_id}」と「{unit}」の組が重複しています")
        judged[unit] = grade
    if nothing := [query_id for query_id, judged in qrels.items() if not any(judged.values())]:
        raise DatasetError(
            f"{path} の質問「{nothing[0]}」に正解（score が 1 以上の行）がありません。"
            "正解を足すか、その質問を除いてください。",
            code="dataset_malformed",
        )
    if not qrels:
        raise DatasetError(
            f"{path} に判定が一行もありません。ファイルを確かめてください。",
            code="dataset_malformed",
        )
    return qrels


def _judgement_problem(
    query_id: str, unit: str, queries: Mapping[str, Query], units: frozenset[str] | None
) -> str | None:
    if query_id not in queries:
        return f"質問「{query_id}」が queries.jsonl にありません"
    if not queries[query_id].answerable:
        return f"質問「{query_id}」は answerable が false なのに正解があります"
    if units is not None:
        return None if unit in units else f"文書「{unit}」が corpus.jsonl にありません"
    file, separator, page = unit.rpartition("#p")
    if not (separator and file and page.isdecimal() and int(page) >= 1):
        return f"「{unit}」が「ファイル名#pページ番号」の形ではありません"
    return None
