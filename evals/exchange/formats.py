"""Datasets and runs as other programs write them: BEIR, the retrieval folders of MTEB, TREC.

A :class:`Collection` holds what all of them can say. What is read and written again is the same: every record, every key that
we do not know, every grade, in order. A wrong line is named with its file, its number and what is wrong with it.

=========  ========================================================================================================
``beir``   ``corpus.jsonl``, ``queries.jsonl`` (``_id``, ``text``, ``title``, ``metadata``), ``qrels/<split>.tsv``
``mteb``   the same records, ``qrels/<split>.jsonl`` (``query-id``, ``corpus-id``, ``score``), and a ``README.md`` that names
           the configs, as ``datasets.load_dataset(FOLDER, "corpus")`` and MTEB read them
``trec``   ``topics.tsv`` (id, text), ``qrels.<split>.txt`` (id, 0, unit, grade), ``corpus.jsonl`` where there is a corpus;
           nothing else of a question is kept, for the format has no place for it
=========  ========================================================================================================
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from evals.dataset import QRELS_HEADER, DatasetError, json_object, read_lines, wrong_line
from evals.exchange.trec import decode_id, decode_text, encode_id, encode_text
from evals.report import write

Format = Literal["beir", "mteb", "trec"]
FORMATS: Final[tuple[Format, ...]] = ("beir", "mteb", "trec")
_README: Final = "README.md"


@dataclass(frozen=True, slots=True)
class Record:
    """A passage of the corpus or a question. ``rest`` holds the other keys of its line as they stand there."""

    record_id: str
    text: str
    rest: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Collection:
    """What a dataset says: a corpus (None where it is about pages of files), questions, grades by split.

    ``qrels`` maps split -> query id -> unit -> grade.
    """

    corpus: tuple[Record, ...] | None
    queries: tuple[Record, ...]
    qrels: Mapping[str, Mapping[str, Mapping[str, int]]]


def read_collection(folder: Path, form: Format) -> Collection:
    """Read a folder.

    Raises
    ------
    DatasetError
        Naming the file, the line and what is wrong with it.
    """
    return _READERS[form](folder)


def write_collection(collection: Collection, folder: Path, form: Format) -> None:
    """Write a folder; what is there under the same names is replaced, each file as a whole.

    Raises
    ------
    DatasetError
        When a name cannot be one: a split with a separator of folders in it, an id that is empty.
    OSError
        When it cannot be written.
    """
    for split in collection.qrels:
        if not re.fullmatch(r"[\w.+-]+", split) or split.startswith("."):
            raise DatasetError(
                f"分割の名前「{split}」はファイル名にできません。文字、数字、「-」「_」だけの名前にしてください。",
                code="split_name",
            )
    _WRITERS[form](collection, folder)


def read_beir(folder: Path) -> Collection:
    """Read a BEIR folder; see :func:`read_collection`."""
    _require(folder, "queries.jsonl")
    qrels = {
        path.stem: _grades(_tsv_rows(path)) for path in sorted((folder / "qrels").glob("*.tsv"))
    }
    return Collection(_corpus(folder), _records(folder / "queries.jsonl"), _some(qrels, folder))


def write_beir(collection: Collection, folder: Path) -> None:
    """Write a BEIR folder; see :func:`write_collection`."""
    _write_records(collection, folder)
    for split, grades in collection.qrels.items():
        for query_id, unit, _ in _flat(grades):
            if bad := next(
                (name for name in (query_id, unit) if re.search(r"[\t\r\n]", name)), None
            ):
                raise DatasetError(
                    f"「{bad}」はタブか改行を含むため、TSV に書けません。名前を変えてください。",
                    code="id_unwritable",
                )
        lines = [QRELS_HEADER, *([q, unit, str(grade)] for q, unit, grade in _flat(grades))]
        write(folder / "qrels" / f"{split}.tsv", "".join("\t".join(row) + "\n" for row in lines))


def read_mteb(folder: Path) -> Collection:
    """Read a retrieval folder of MTEB in JSON lines; see :func:`read_collection`.

    Files lie beside one another (``corpus.jsonl``) or in folders of their own (``corpus/corpus.jsonl``); ids are called
    ``_id`` or ``id``, and may be whole numbers.
    """
    corpus, queries = _mteb_files(folder, "corpus"), _mteb_files(folder, "queries")
    qrels: dict[str, dict[str, dict[str, int]]] = {}
    for place in ("qrels", "default"):
        for path in sorted((folder / place).glob("*.jsonl")):
            qrels[path.stem] = _grades(_json_rows(path))
        for path in sorted((folder / place).glob("*.tsv")):
            qrels[path.stem] = _grades(_tsv_rows(path))
    return Collection(
        _records(*corpus, ids=("_id", "id")),
        _records(*queries, ids=("_id", "id")),
        _some(qrels, folder),
    )


def write_mteb(collection: Collection, folder: Path) -> None:
    """Write a retrieval folder that MTEB and ``datasets`` load; see :func:`write_collection`."""
    if collection.corpus is None:
        raise DatasetError(
            "MTEB の形式には corpus が要ります。ページで判定するデータセットは beir か trec で書き出してください。",
            code="corpus_needed",
        )
    _write_records(collection, folder)
    for split, grades in collection.qrels.items():
        rows = (dict(zip(QRELS_HEADER, row, strict=True)) for row in _flat(grades))
        write(folder / "qrels" / f"{split}.jsonl", "".join(map(_line, rows)))
    configs = [
        ("corpus", [("corpus", "corpus.jsonl")]),
        ("queries", [("queries", "queries.jsonl")]),
        ("default", [(split, f"qrels/{split}.jsonl") for split in collection.qrels]),
    ]
    lines = ["---", "language: ja", "task_categories:", "- text-retrieval", "configs:"]
    for name, files in configs:
        lines += [f"- config_name: {name}", "  data_files:"]
        for split, path in files:
            lines += [f"  - split: {json.dumps(split)}", f"    path: {json.dumps(path)}"]
    write(folder / _README, "\n".join([*lines, "---", ""]))


def read_trec(folder: Path) -> Collection:
    """Read a folder of TREC files; see :func:`read_collection`."""
    _require(folder, "topics.tsv")
    queries: dict[str, Record] = {}
    topics = folder / "topics.tsv"
    for number, line in read_lines(topics):
        query_id, separator, text = line.partition("\t")
        if not (separator and query_id.strip() and text.strip()):
            raise wrong_line(topics, number, "「番号<タブ>質問」の形ではありません")
        name = decode_id(query_id.strip())
        if name in queries:
            raise wrong_line(topics, number, f"質問「{name}」が重複しています")
        queries[name] = Record(name, decode_text(text))
    qrels = {
        path.name.removeprefix("qrels.").removesuffix(".txt"): _grades(_trec_rows(path))
        for path in sorted(folder.glob("qrels.*.txt"))
    }
    return Collection(_corpus(folder), tuple(queries.values()), _some(qrels, folder))


def write_trec(collection: Collection, folder: Path) -> None:
    """Write a folder of TREC files; see :func:`write_collection`.

    A blank inside an id, or a tab or line break inside a question, is written ``%20`` and the like, since the files are split
    at them; :func:`read_trec` and the runs undo it.
    """
    for query in collection.queries:
        if not query.text.strip():
            raise DatasetError(
                f"質問「{query.record_id}」の text が空なので、TREC 形式では書けません。その質問を除いてください。",
                code="text_unwritable",
            )
    topics = [f"{encode_id(q.record_id)}\t{encode_text(q.text)}\n" for q in collection.queries]
    write(folder / "topics.tsv", "".join(topics))
    for split, grades in collection.qrels.items():
        rows = [f"{encode_id(q)} 0 {encode_id(unit)} {grade}\n" for q, unit, grade in _flat(grades)]
        write(folder / f"qrels.{split}.txt", "".join(rows))
    if collection.corpus is not None:
        write(folder / "corpus.jsonl", _record_lines(collection.corpus))


_READERS: Final[Mapping[Format, Callable[[Path], Collection]]] = {
    "beir": read_beir,
    "mteb": read_mteb,
    "trec": read_trec,
}
_WRITERS: Final[Mapping[Format, Callable[[Collection, Path], None]]] = {
    "beir": write_beir,
    "mteb": write_mteb,
    "trec": write_trec,
}

#: A judgement with where it stands: file, line, query id, unit, grade.
_Row = tuple[Path, int, str, str, int]


def _require(folder: Path, name: str) -> None:
    if not (folder / name).is_file():
        raise DatasetError(
            f"{folder} に {name} がありません。フォルダと形式を確かめてください。",
            code="dataset_incomplete",
        )


def _some(
    qrels: dict[str, dict[str, dict[str, int]]], folder: Path
) -> dict[str, dict[str, dict[str, int]]]:
    if not qrels:
        raise DatasetError(
            f"{folder} に正解のファイル（qrels）がありません。フォルダと形式を確かめてください。",
            code="dataset_incomplete",
        )
    return qrels


def _corpus(folder: Path) -> tuple[Record, ...] | None:
    path = folder / "corpus.jsonl"
    return _records(path) if path.is_file() else None


def _mteb_files(folder: Path, name: str) -> list[Path]:
    """The file of that name, or all files of the folder of that name.

    Raises
    ------
    DatasetError
        When there is none, or only in another format.
    """
    beside = folder / f"{name}.jsonl"
    found = [beside] if beside.is_file() else sorted((folder / name).glob("*.jsonl"))
    if not found:
        parquet = next(folder.rglob("*.parquet"), None)
        if parquet is not None:
            raise DatasetError(
                f"{parquet} は Parquet です。JSON Lines（.jsonl）に直してから読み込んでください。",
                code="parquet_unread",
            )
        _require(folder, f"{name}.jsonl")
    return found


def _records(*paths: Path, ids: tuple[str, ...] = ("_id",)) -> tuple[Record, ...]:
    found: dict[str, Record] = {}
    lines = ((path, *numbered) for path in paths for numbered in read_lines(path))
    for path, number, line in lines:
        values = json_object(path, number, line)
        key = next((key for key in ids if key in values), ids[0])
        name, text = values.pop(key, None), values.pop("text", None)
        if isinstance(name, int) and not isinstance(name, bool) and len(ids) > 1:
            name = str(name)
        if not (isinstance(name, str) and name):
            raise wrong_line(path, number, f"文字列の「{key}」がありません")
        if not isinstance(text, str):
            raise wrong_line(path, number, "文字列の「text」がありません")
        if name in found:
            raise wrong_line(path, number, f"{key}「{name}」が重複しています")
        found[name] = Record(name, text, values)
    return tuple(found.values())


def _json_rows(path: Path) -> Iterator[_Row]:
    for number, line in read_lines(path):
        values = json_object(path, number, line)
        query_id, unit, score = (values.get(key) for key in QRELS_HEADER)
        names = [str(one) if isinstance(one, int) else one for one in (query_id, unit)]
        if not all(isinstance(one, str) and one for one in names):
            raise wrong_line(path, number, "「query-id」「corpus-id」がありません")
        if isinstance(score, bool) or not isinstance(score, int | float) or score % 1 != 0:
            raise wrong_line(path, number, "「score」が整数ではありません")
        yield path, number, str(names[0]), str(names[1]), int(score)


def _tsv_rows(path: Path) -> Iterator[_Row]:
    for number, line in read_lines(path):
        fields = line.split("\t")
        if number == 1 and fields == QRELS_HEADER:
            continue
        if len(fields) != 3 or not all(fields[:2]) or not _is_grade(fields[2]):
            raise wrong_line(
                path, number, "「query-id<タブ>corpus-id<タブ>整数」の形ではありません"
            )
        yield path, number, fields[0], fields[1], int(fields[2])


def _trec_rows(path: Path) -> Iterator[_Row]:
    for number, line in read_lines(path):
        fields = line.split()
        if len(fields) != 4 or not _is_grade(fields[3]):
            raise wrong_line(path, number, "「質問 0 文書 整数」の4つの欄ではありません")
        yield path, number, decode_id(fields[0]), decode_id(fields[2]), int(fields[3])


def _is_grade(text: str) -> bool:
    return re.fullmatch(r"\s*-?[0-9]{1,9}\s*", text) is not None


def _grades(rows: Iterable[_Row]) -> dict[str, dict[str, int]]:
    grades: dict[str, dict[str, int]] = {}
    for path, number, query_id, unit, grade in rows:
        judged = grades.setdefault(query_id, {})
        if unit in judged:
            raise wrong_line(path, number, f"質問「{query_id}」と「{unit}」の組が重複しています")
        judged[unit] = grade
    return grades


def _flat(grades: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[str, str, int]]:
    for query_id, judged in grades.items():
        for unit, grade in judged.items():
            yield query_id, unit, grade


def _write_records(collection: Collection, folder: Path) -> None:
    if collection.corpus is not None:
        write(folder / "corpus.jsonl", _record_lines(collection.corpus))
    write(folder / "queries.jsonl", _record_lines(collection.queries))


def _record_lines(records: Iterable[Record]) -> str:
    lines = []
    for record in records:
        rest = dict(record.rest)
        title = {"title": rest.pop("title")} if "title" in rest else {}
        lines.append(_line({"_id": record.record_id, **title, "text": record.text, **rest}))
    return "".join(lines)


def _line(values: object) -> str:
    line = json.dumps(values, ensure_ascii=False) + "\n"
    try:
        line.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can say and UTF-8 cannot
        line = json.dumps(values) + "\n"
    return line
