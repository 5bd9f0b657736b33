"""From a cold start to the first right answer; the most memory of serving and of indexing; what one per cent more passages costs."""

from __future__ import annotations

import shutil
import statistics
from pathlib import Path
from typing import Any

from evals.bench.child import ChildReport, run_child
from evals.bench.lines import Line, Target
from evals.bench.material import EVERYONE, Material, data_folder, prepare, scratch
from evals.bench.results import Options, Result
from evals.bench.updating import equal_to_fresh, update_cost
from ragjp.config import Recipe

_FIRST_ANSWER = """
from pathlib import Path
from ragjp.engine import Engine
from ragjp.types import View
imported = since_start()
engine = Engine.open(Path(arguments["index"]))
opened = since_start()
found = engine.search(arguments["question"], view=View.of("everyone"), k=10)
answered = since_start()
print(json.dumps({"imported": imported, "opened": opened, "answered": answered,
                  "hits": [hit.chunk_id for hit in found.hits]}))
"""
_SERVE = """
from pathlib import Path
from ragjp.engine import Engine
from ragjp.types import View
engine = Engine.open(Path(arguments["index"]))
for question in arguments["questions"]:
    engine.search(question, view=View.of("everyone"), k=10)
print(json.dumps({"questions": len(arguments["questions"])}))
"""
_INDEX = """
from pathlib import Path
from ragjp.config import Recipe
from ragjp.jobs.build import build
from ragjp.jobs.sources import CorpusSource
recipe = Recipe.model_validate(arguments["recipe"])
report = build(recipe, base=Path(arguments["corpus"]).parent, into=Path(arguments["into"]),
               sources=[CorpusSource(Path(arguments["corpus"]))])
print(json.dumps({"seconds": report.seconds, "documents": report.n_documents, "chunks": report.n_chunks,
                  "embedded": report.embedded_chunks}))
"""
_MERGE = """
from pathlib import Path
from evals.bench.updating import writer_of
with writer_of(Path(arguments["index"])) as writer:
    print(json.dumps({"generation": writer.merge()}))
"""


def run(options: Options) -> Result:
    """Measure on JaQuAD; opening at 1M passages is measured by ``growth``, where that index is."""
    material = prepare("jaquad", "dev", 20 if options.quick else 500)
    questions = [query.text for query in material.questions]
    opening = first_answer(material.index, questions[0], repeats=2 if options.quick else 5)
    serving = serve(material.index, questions)
    indexing = _indexing(material, options)
    cost = update_cost(material, n_sample=60 if options.quick else 600, n_new=12 if options.quick else 111)  # fmt: skip
    equality = equal_to_fresh(
        data_folder() / "jaquad" / "corpus.jsonl",
        questions[: 20 if options.quick else 300],
        n_base=200 if options.quick else 3000,
        n_new=4 if options.quick else 30,
    )
    n_documents = material.n_documents
    size = f"{n_documents:,} 文書"
    same = equality["same"] == equality["compared"]
    lines = [
        Line(f"起動から最初の正しい答えまで（{size}）", "s", opening["answered_s"], target=Target("ours", "at most", 1.0),
             differs="" if opening["right"] else "最初の答えが、温まった索引の答えと違う"),
        Line(f"検索中の最大メモリー（{size}、{len(questions)} 問）", "MiB", serving["peak_rss_mib"], target=Target("ours", "at most", 1024.0)),
        Line(f"索引作成中の最大メモリー（{indexing['what']}）", "MiB", indexing["peak_mib"], target=Target("ours", "at most", 2560.0)),
        Line("1% 追加の費用（全体の構築に対して）", "%", cost["percent"], target=Target("ours", "at most", 1.5),
             equal=f"{equality['same']} / {equality['compared']} の順位で、作り直した索引と識別子も点も同じ" if same else "",
             differs="" if same else f"{equality['compared'] - equality['same']} / {equality['compared']} の順位が作り直した索引と違う"),
    ]  # fmt: skip
    return Result(
        "open",
        lines,
        {"documents": n_documents, "questions": len(questions)},
        {
            "opening": opening,
            "serving": serving,
            "indexing": indexing,
            "update": cost,
            "equality": equality,
        },
        [
            "opening: a fresh process, imports and the encoder's loading included; the files are in the page cache",
            "peak_rss is the kernel's VmHWM of the largest process; peak_pss adds the processes up, sampled every 0.1 s",
            "equality: hashing encoder, all four rankings of every question, ids and scores bit for bit",
        ],
    )


def first_answer(index: Path, question: str, *, repeats: int) -> dict[str, Any]:
    """Start, open, ask once; seconds since the process was started, medians of several processes."""
    from ragjp.engine import Engine

    with Engine.open(index) as engine:
        for _ in range(3):
            expected = [hit.chunk_id for hit in engine.search(question, view=EVERYONE, k=10).hits]
    runs = [
        run_child(_FIRST_ANSWER, {"index": str(index), "question": question}).values
        for _ in range(repeats)
    ]
    medians = {
        f"{name}_s": statistics.median(float(run[name]) for run in runs)
        for name in ("imported", "opened", "answered")
    }
    return {
        **medians,
        "right": all(run["hits"] == expected for run in runs),
        "all_answered_s": [run["answered"] for run in runs],
    }


def serve(index: Path, questions: list[str]) -> dict[str, Any]:
    """Memory of a process that opens an index and answers questions."""
    report = run_child(_SERVE, {"index": str(index), "questions": questions})
    return {**report.memory(), "questions": report.values["questions"]}


def _indexing(material: Material, options: Options) -> dict[str, Any]:
    """Memory of indexing: all passages with ``--full``; else some batches of them, and the merge of the whole index apart."""
    corpus = data_folder() / "jaquad" / "corpus.jsonl"
    folder = scratch() / "indexing"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    n_passages = 60 if options.quick else None if options.full else 2000
    part = _part_of(corpus, folder, n_passages)
    built = _index(part, folder / "index", material.recipe)
    found: dict[str, Any] = {"build": {**built.memory(), **built.values}, "full": options.full}
    found["peak_mib"] = found["build"]["peak_rss_mib"]
    found["what"] = f"{built.values['documents']:,} 文書"
    if not options.full:
        merged = _merge_copy(material.index, folder / "copy")
        found["merge_of_all"] = merged.memory()
        found["peak_mib"] = max(found["peak_mib"], found["merge_of_all"]["peak_rss_mib"])
        found["what"] += f"の構築と {material.n_documents:,} 文書のまとめ"
    shutil.rmtree(folder, ignore_errors=True)
    return found


def _index(corpus: Path, into: Path, recipe: Recipe) -> ChildReport:
    arguments = {
        "recipe": recipe.model_dump(mode="json"),
        "corpus": str(corpus),
        "into": str(into),
    }
    return run_child(_INDEX, arguments)


def _merge_copy(index: Path, copy: Path) -> ChildReport:
    """Merge a copy of an index (its files hard-linked, its catalog copied) in a process of its own."""
    from evals.bench.updating import copy_index

    copy_index(index, copy)
    return run_child(_MERGE, {"index": str(copy)})


def _part_of(corpus: Path, folder: Path, n_passages: int | None) -> Path:
    """The first passages of a corpus, in a file of their own."""
    if n_passages is None:
        return corpus
    part = folder / "corpus.jsonl"
    with corpus.open(encoding="utf-8") as lines, part.open("w", encoding="utf-8") as kept:
        for _, line in zip(range(n_passages), lines, strict=False):
            kept.write(line)
    return part
