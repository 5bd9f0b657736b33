"""A corpus like a company's, made of encyclopedia paragraphs: ``python -m evals.fitting.study_corpus JAQUAD OUT``.

Encyclopedia paragraphs are clean, short and about one thing; the pages of a company's PDFs are not. To choose formulas for such
pages without looking at the set they are measured on, articles of JaQuAD ``train`` are made into files::

    a few articles -> one file (one title, ~30 pages) -> pages of several paragraphs, one corpus document each

Lines are cut inside words, some characters are misread or lost, each page repeats its file's title, and of every hundred
paragraphs fifteen become rows of a table and fifteen the scattered labels of a figure. A question's gold is its page;
Questions are
about held-out articles alone (:mod:`evals.fitting.held_out`); ``kind`` (paragraph, table, image) is in its metadata, as in the set that this stands for. Everything follows from one seed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evals.dataset import QRELS_HEADER, DatasetError, Query, open_dataset, read_corpus
from evals.fitting.held_out import held_out_documents, held_out_questions, spread
from ragjp.japanese.normalize import fold
from ragjp.japanese.terms import bigrams
from ragjp.types import FloatArray

#: Characters of a page: the middle half of real ones lies in this range.
_PAGE_CHARS = (450, 1600)
#: Paragraphs that a file is filled up to.
_FILE_PARAGRAPHS = 60
#: Share of characters that are misread or lost.
_MISREAD = 0.01
KINDS = {"paragraph": 0.70, "table": 0.15, "image": 0.15}
_LOOK_ALIKE = str.maketrans(
    "ー一0Oエ工ロ口カ力二ニソンシツはほばぱ日目未末土士夕タ卜トへヘ",
    "一ーO0工エ口ロ力カニ二ンソツシほはぱば目日末未士土タ夕ト卜ヘへ",
)
_CELLS = re.compile(r"[、。，．\n]+")
_LABELS = re.compile(r"[一-龥々ァ-ヴー0-9０-９A-Za-z]{2,}")
_ENDINGS = re.compile(
    r"(である|であった|されている|している|された|した|する|ている|は|が|を|に|で|と|も)$"
)
_WIDTH = 1 << 14


@dataclass(slots=True)
class _File:
    """A file in the making: its articles' paragraphs in reading order."""

    title: str
    paragraphs: list[tuple[str, str]] = field(default_factory=list)


def make(source: Path, target: Path, *, n_files: int, n_questions: int, seed: int) -> None:
    """Write the corpus, its questions and their gold pages in BEIR layout.

    Parameters
    ----------
    source
        JaQuAD in BEIR layout; only articles with questions in its split ``train`` and in no other are used.
    target
        Folder to write ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/train.tsv`` to.

    Raises
    ------
    DatasetError
        When the source is not what it should be.
    """
    dataset = open_dataset(source)
    if dataset.corpus is None:
        raise DatasetError(
            f"{source} に corpus.jsonl がありません。JaQuAD のフォルダを指定してください。"
        )
    rng = np.random.default_rng(seed)
    questions = dataset.read("train")
    measured = {
        unit
        for name in dataset.splits
        if not name.startswith("train")
        for judged in dataset.read(name).qrels.values()
        for unit in judged
    }
    articles = _articles(dataset.corpus, measured)
    asked = held_out_questions(dataset.corpus, questions)
    untrained = set(held_out_documents(dataset.corpus, questions).values()) & set(articles)
    files = _files(articles, untrained, n_files)
    kinds: dict[str, str] = {}
    pages: dict[str, str] = {}
    target.mkdir(parents=True, exist_ok=True)
    with (target / "corpus.jsonl").open("w", encoding="utf-8") as out:
        for number, one in enumerate(files):
            written = list(_pages(one, rng, kinds))
            for page, (text, names) in enumerate(written, start=1):
                unit = f"file-{number:03d}.pdf#p{page}"
                pages |= dict.fromkeys(names, unit)
                title = f"{one.title} (p.{page}/{len(written)})"
                record = {"_id": unit, "title": title, "text": text}
                out.write(json.dumps(record, ensure_ascii=False) + "\n")
    asked = [query for query in asked if set(questions.qrels[query.query_id]) <= set(pages)]
    chosen = spread(asked, n_questions, seed)
    _write_questions(target, chosen, questions.qrels, pages, kinds)


def _articles(corpus: Path, measured: set[str]) -> dict[str, list[tuple[str, str]]]:
    """Title → (id, text) of its paragraphs, without the articles that are measured on."""
    articles: dict[str, list[tuple[str, str]]] = {}
    for row in read_corpus(corpus):
        articles.setdefault(row.title, []).append((row.doc_id, row.text))
    return {
        title: paragraphs
        for title, paragraphs in articles.items()
        if not measured.intersection(name for name, _ in paragraphs)
    }


def _files(
    articles: Mapping[str, Sequence[tuple[str, str]]], untrained: set[str], n_files: int
) -> list[_File]:
    """Put related articles together: the held-out ones are dealt out, then each file takes those nearest to its first."""
    titles = sorted(articles, key=lambda title: hashlib.sha256(title.encode()).hexdigest())
    vectors = np.stack([_vector(" ".join(text for _, text in articles[title])) for title in titles])
    vectors *= np.log(len(titles) / np.maximum(1, (vectors > 0).sum(axis=0)))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    asked = [place for place, title in enumerate(titles) if title in untrained]
    firsts = asked[:n_files]
    files = [_File(f"{titles[first]}等に関する資料") for first in firsts]
    members: list[list[int]] = [[first] for first in firsts]

    def size(own: Sequence[int]) -> int:
        return sum(len(articles[titles[place]]) for place in own)

    for place in asked[n_files:]:
        nearest = members[int(np.argmax([vectors[place] @ vectors[first] for first in firsts]))]
        if size(nearest) < _FILE_PARAGRAPHS:
            nearest.append(place)
    free = np.ones(len(titles), dtype=np.bool_)
    free[asked] = False
    for file, first, own in zip(files, firsts, members, strict=True):
        for near in np.argsort(-(vectors @ vectors[first]), kind="stable"):
            if free[near] and size(own) < _FILE_PARAGRAPHS:
                free[near] = False
                own.append(int(near))
        file.paragraphs += [pair for place in own for pair in articles[titles[place]]]
    return files


def _vector(text: str) -> FloatArray:
    """Square roots of hashed counts of character bigrams, (16384,) float32."""
    places = [hash_of(term) % _WIDTH for term in bigrams(fold(text))]
    return np.sqrt(np.bincount(places, minlength=_WIDTH)).astype(np.float32)


def hash_of(text: str) -> int:
    """The same number for the same text in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _pages(
    one: _File, rng: np.random.Generator, kinds: dict[str, str]
) -> Iterator[tuple[str, list[str]]]:
    """Yield each page's text and the paragraphs that stand on it; ``kinds`` is told what became of each."""
    width = int(rng.integers(32, 47))
    header = one.title if rng.random() < 0.6 else ""
    parts: list[str] = []
    names: list[str] = []
    wanted, number = int(rng.integers(*_PAGE_CHARS)), 1
    for place, (name, text) in enumerate(one.paragraphs):
        kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
        kinds[name] = kind
        parts.append(degrade(text, kind, width, rng))
        names.append(name)
        if sum(map(len, parts)) >= wanted or place == len(one.paragraphs) - 1:
            yield "\n".join(filter(None, [header, *parts, f"- {number} -"])), names
            parts, names, wanted = [], [], int(rng.integers(*_PAGE_CHARS))
            number += 1


def degrade(text: str, kind: str, width: int, rng: np.random.Generator) -> str:
    """A text as it comes out of a company's page: broken lines, rows of a ``table``, or the scattered labels of an ``image``."""
    if kind == "table":
        cells = [_ENDINGS.sub("", cell.strip()) for cell in _CELLS.split(text) if cell.strip()]
        columns = int(rng.integers(2, 4))
        lines = [" ".join(cells[i : i + columns]) for i in range(0, len(cells), columns)]
    elif kind == "image":
        lines = [label for label in _LABELS.findall(text) if rng.random() > 0.15]
        rng.shuffle(lines)
    else:
        flat = text.replace("\n", "")
        lines = [flat[i : i + width] for i in range(0, len(flat), width)]
    return "\n".join(_misread(line, rng) for line in lines)


def _misread(line: str, rng: np.random.Generator) -> str:
    chances = rng.random(len(line))
    return "".join(
        character
        if chance > _MISREAD
        else character.translate(_LOOK_ALIKE) * int(chance > _MISREAD / 2)
        for character, chance in zip(line, chances, strict=True)
    )


def _write_questions(
    target: Path,
    asked: Sequence[Query],
    qrels: Mapping[str, Mapping[str, int]],
    pages: Mapping[str, str],
    kinds: Mapping[str, str],
) -> None:
    (target / "qrels").mkdir(exist_ok=True)
    lines = ["\t".join(QRELS_HEADER)]
    with (target / "queries.jsonl").open("w", encoding="utf-8") as out:
        for query in asked:
            gold = next(name for name in qrels[query.query_id] if name in pages)
            lines.append(f"{query.query_id}\t{pages[gold]}\t1")
            metadata = {"answers": list(query.answers), "kind": kinds[gold]}
            record = {"_id": query.query_id, "text": query.text, "metadata": metadata}
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
    (target / "qrels" / "train.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Make the corpus; 0 when made."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.fitting.study_corpus",
        description="社内文書に似せた学習用の文書集を作る",
    )
    parser.add_argument("source", type=Path, metavar="JAQUAD")
    parser.add_argument("target", type=Path, metavar="OUT")
    parser.add_argument("--files", type=int, default=45, metavar="N")
    parser.add_argument("--questions", type=int, default=2000, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(argv)
    make(
        arguments.source,
        arguments.target,
        n_files=arguments.files,
        n_questions=arguments.questions,
        seed=arguments.seed,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
