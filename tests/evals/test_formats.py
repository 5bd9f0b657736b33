from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.dataset import DatasetError, open_dataset
from evals.exchange.formats import (
    FORMATS,
    Collection,
    Format,
    Record,
    read_collection,
    write_collection,
)
from evals.exchange.trec import (
    decode_id,
    decode_text,
    encode_id,
    encode_text,
    falling,
    read_run,
    run_lines,
)
from evals.measures import MEASURES, rank, reference

#: Ids as companies have them: blanks of every kind, percent signs, half of an escape, Japanese.
IDS = (
    "q1", "規程 2024.pdf#p1", "見積\u3000書.xlsx#p2", "100%", "a%20b", "%2520", "%E3%80%80", "%25", "\ufeffx", "a\u00a0b", "Q0",
)  # fmt: skip


def collection(*, corpus: bool = True, rest: bool = True) -> Collection:
    """A collection with everything that could be lost on the way."""
    metadata = {"answers": ["十日"], "kind": "表"}
    queries = tuple(
        Record(f"q{n}{name}", f"質問 {n}\t続き\n二行目 %0A", {"metadata": metadata} if rest else {})
        for n, name in enumerate(IDS)
    )
    passages = tuple(
        Record(name, f"本文\n{name}", {"title": "題", "url": None, "n": n} if rest else {})
        for n, name in enumerate(IDS)
    )
    judged = {
        query.record_id: {name: n % 3, "%20": 1}
        for n, (query, name) in enumerate(zip(queries, IDS, strict=True))
    }
    return Collection(
        passages if corpus else None, queries, {"dev": judged, "test-2": {"q0q1": {"100%": -1}}}
    )


def without_rest(records: tuple[Record, ...]) -> tuple[Record, ...]:
    return tuple(Record(one.record_id, one.text) for one in records)


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_written_is_read_again(form: Format, tmp_path: Path) -> None:
    """Guards against an id, a grade, an order or a key of somebody else's lost between two programs."""
    whole = collection()
    write_collection(whole, tmp_path / "a", form)
    read = read_collection(tmp_path / "a", form)
    kept = whole.queries if form != "trec" else without_rest(whole.queries)
    assert read == Collection(whole.corpus, kept, whole.qrels)
    write_collection(read, tmp_path / "b", form)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert files
    for name in files:
        assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "a" / name).read_bytes()


words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(
    lambda word: not set(word) & set("\t\r\n") and word.strip("\r\n")
)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(words, words.filter(str.strip), min_size=1, max_size=4),
    st.dictionaries(words, st.integers(-3, 9), min_size=1, max_size=3),
    st.sampled_from(FORMATS),
)
def test_any_names_and_texts_survive(
    tmp_path_factory: pytest.TempPathFactory,
    queries: dict[str, str],
    grades: dict[str, int],
    form: Format,
) -> None:
    """Guards against a character that one of the formats takes for its own."""
    records = tuple(Record(name, text) for name, text in queries.items())
    units = tuple(Record(name, "x") for name in grades)
    whole = Collection(units, records, {"s": {records[0].record_id: grades}})
    folder = tmp_path_factory.mktemp("round")
    write_collection(whole, folder, form)
    assert read_collection(folder, form) == whole


@given(st.text(st.characters(codec="utf-8")))
def test_names_without_blanks_are_their_own_writing(name: str) -> None:
    """Guards against a foreign id changed by reading and writing it, and against two ids with one writing."""
    for encode, decode in ((encode_id, decode_id), (encode_text, decode_text)):
        assert decode(encode(name)) == name
    assert len(f"x{encode_id(name)}x".split()) == 1
    column = "".join(name.split()).replace("\ufeff", "")
    assert encode_id(decode_id(column)) == column


@pytest.mark.parametrize(
    "written", ["%25", "%2520", "%20", "%252520", "%25E3%80%80", "100%", "%2", "%%20"]
)
def test_escapes_of_others_survive(written: str) -> None:
    """Guards against an id that another program has escaped, and that comes back once less escaped."""
    assert encode_id(decode_id(written)) == written
    assert decode_id(encode_id(written)) == written


def test_a_dataset_of_ours_survives_every_format(tmp_path: Path) -> None:
    """Guards against a collection that `ragjp eval` cannot open after a detour through another format."""
    whole = Collection(
        (Record("甲", "休暇は十日", {"title": "規程"}), Record("乙", "旅費は実費")),
        (Record("q1", "休暇は何日", {"metadata": {"kind": "表"}}),),
        {"test": {"q1": {"甲": 1}}},
    )
    write_collection(whole, tmp_path / "mteb", "mteb")
    write_collection(read_collection(tmp_path / "mteb", "mteb"), tmp_path / "beir", "beir")
    split = open_dataset(tmp_path / "beir").read()
    assert split.qrels == {"q1": {"甲": 1}}
    assert split.queries[0].slices == {"kind": "表"}
    write_collection(whole, tmp_path / "trec", "trec")
    assert (tmp_path / "trec" / "qrels.test.txt").read_text("utf-8") == "q1 0 甲 1\n"
    assert (tmp_path / "trec" / "topics.tsv").read_text("utf-8") == "q1\t休暇は何日\n"


def test_mteb_folders_as_others_write_them(tmp_path: Path) -> None:
    """Guards against a folder of MTEB that is refused for a spelling of the id, a folder a config, or grades as floats."""
    for name, rows in {
        "corpus/corpus-00001.jsonl": [{"id": 1, "title": "", "text": "甲"}],
        "corpus/corpus-00002.jsonl": [{"id": 2, "title": "", "text": "乙"}],
        "queries/queries.jsonl": [{"_id": "q", "text": "問"}],
        "default/test.jsonl": [{"query-id": "q", "corpus-id": 2, "score": 1.0}],
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    read = read_collection(tmp_path, "mteb")
    assert read.corpus is not None
    assert [one.record_id for one in read.corpus] == ["1", "2"]
    assert read.qrels == {"test": {"q": {"2": 1}}}
    (tmp_path / "queries" / "queries.jsonl").rename(tmp_path / "queries" / "queries.parquet")
    with pytest.raises(DatasetError, match="Parquet"):
        read_collection(tmp_path, "mteb")


@pytest.mark.parametrize(
    ("form", "name", "line", "said"),
    [
        ("beir", "queries.jsonl", '{"_id": "q"', "JSON として読めません"),
        ("beir", "queries.jsonl", "[" * 100_000, "JSON として読めません"),
        ("beir", "queries.jsonl", '{"_id": 3, "text": "x"}', "文字列の「_id」"),
        ("beir", "corpus.jsonl", '{"_id": "d", "text": ["x"]}', "文字列の「text」"),
        ("beir", "corpus.jsonl", '{"_id": "甲", "text": "x"}', "重複"),
        ("beir", "qrels/test.tsv", "q1\t甲", "タブ"),
        ("beir", "qrels/test.tsv", "q1\t乙\t1.5", "整数"),
        ("beir", "qrels/test.tsv", "q1\t甲\t1", "重複"),
        ("mteb", "qrels/test.jsonl", '{"query-id": "q1", "corpus-id": "乙", "score": NaN}', "整数"),
        ("mteb", "qrels/test.jsonl", '{"query-id": "q1", "score": 1}', "corpus-id"),
        ("trec", "topics.tsv", "q9", "タブ"),
        ("trec", "topics.tsv", "q1\tもう一度", "重複"),
        ("trec", "qrels.test.txt", "q1 甲 1", "4つ"),
        ("trec", "qrels.test.txt", "q1 0 甲 1", "重複"),
    ],
)
def test_wrong_lines_are_named(
    form: Format, name: str, line: str, said: str, tmp_path: Path
) -> None:
    """Guards against an import that fails without saying where, or that skips what it cannot read."""
    good = Collection((Record("甲", "x"),), (Record("q1", "問"),), {"test": {"q1": {"甲": 1}}})
    write_collection(good, tmp_path, form)
    with (tmp_path / name).open("a", encoding="utf-8") as file:
        file.write("\n" + line + "\n")
    number = len((tmp_path / name).read_text("utf-8").split("\n")) - 1
    with pytest.raises(DatasetError, match=said) as failure:
        read_collection(tmp_path, form)
    assert f"{tmp_path / name} の {number} 行目" in failure.value.sentence


def test_what_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    """Guards against a file that says something else than what it was made of."""
    one = Collection(None, (Record("q", "問"),), {"test": {"q": {"a\tb": 1}}})
    with pytest.raises(DatasetError, match="タブ"):
        write_collection(one, tmp_path, "beir")
    with pytest.raises(DatasetError, match="corpus"):
        write_collection(one, tmp_path, "mteb")
    with pytest.raises(DatasetError, match="分割"):
        write_collection(Collection(None, (), {"../x": {}}), tmp_path, "beir")
    with pytest.raises(DatasetError, match="空"):
        write_collection(Collection(None, (Record("q", " "),), {"test": {}}), tmp_path, "trec")
    with pytest.raises(DatasetError, match="得点"):
        list(run_lines({"q": [("a", float("nan"))]}, tag="t"))


scores = st.floats(-100, 100) | st.sampled_from([0.0, -0.0, 0.5, 1e-40, 0.1, 0.1 + 1e-12])


@given(st.lists(scores, min_size=1, max_size=30))
def test_written_scores_fall_in_single_precision_and_stay_near(values: list[float]) -> None:
    """Guards against ties, which trec_eval breaks by the id, and against scores that are no longer the scores."""
    ordered = sorted(values, reverse=True)
    written = falling(ordered)
    assert all(a > b for a, b in pairwise(written))
    assert written == pytest.approx(ordered, rel=1e-5, abs=1e-30 * len(values))


def test_our_order_is_the_order_that_trec_eval_measures(tmp_path: Path) -> None:
    """Guards against a re-sort: ties, ids in both directions, scores that differ beyond single precision only."""
    ir_measures = pytest.importorskip("ir_measures", reason="the eval extra is not installed")
    units = [f"{name} {n}" for name in "あzA0" for n in range(6)]
    run = {
        "q 1": [(unit, 1.0) for unit in units],
        "q\u30002": [(unit, 1.0 - n * 1e-12) for n, unit in enumerate(reversed(units))],
        "q3": [(unit, 0.3 - 0.01 * n) for n, unit in enumerate(units)],
    }
    qrels = {query: {units[7]: 2, units[3]: 1, units[20]: 1, units[0]: 0} for query in run}
    path = tmp_path / "run.trec"
    path.write_text("".join(run_lines(run, tag="ragjp")), "utf-8")
    assert {q: [u for u, _ in pairs] for q, pairs in read_run(path).items()} == {
        q: [u for u, _ in pairs] for q, pairs in run.items()
    }
    judged = [
        ir_measures.Qrel(encode_id(query), encode_id(unit), grade)
        for query, grades in qrels.items()
        for unit, grade in grades.items()
    ]
    ours = reference(qrels, {query: [unit for unit, _ in pairs] for query, pairs in run.items()})
    theirs = {ir_measures.nDCG @ 10: "nDCG@10", ir_measures.R @ 5: "R@5", ir_measures.R @ 1: "R@1"}
    found = ir_measures.pytrec_eval.iter_calc(
        list(theirs), judged, list(ir_measures.read_trec_run(str(path)))
    )
    seen = [
        (metric.value, ours[theirs[metric.measure]][decode_id(metric.query_id)]) for metric in found
    ]
    assert len(seen) == 9
    assert [a for a, _ in seen] == pytest.approx([b for _, b in seen], abs=1e-9)
    assert set(theirs.values()) <= set(MEASURES)


def test_a_foreign_run_is_read_in_the_order_of_trec_eval(tmp_path: Path) -> None:
    """Guards against a peer's run measured in another order than trec_eval would; its ties go by id, last one first."""
    path = tmp_path / "run.txt"
    path.write_text(
        "q Q0 a 1 0.5 x\nq Q0 b 2 0.5 x\nq\tQ0\tc 3 0.50000000001 x\n\nq Q0 d 4 9 x\n", "utf-8"
    )
    assert [unit for unit, _ in read_run(path)["q"]] == ["d", "c", "b", "a"]
    assert rank(dict(read_run(path)["q"])) != ("d", "c", "b", "a")
    path.write_text("q Q0 a 1 0.5 x\nq Q0 a 2 0.4 x\n", "utf-8")
    with pytest.raises(DatasetError, match=r"2 行目.*重複"):
        read_run(path)
    for line, said in (
        ("q Q0 a 1 x", "6つ"),
        ("q Q0 a 1 nan x", "数ではありません"),
        ("q Q0 a 1 1e99 x", "数"),
    ):
        path.write_text(line + "\n", "utf-8")
        with pytest.raises(DatasetError, match=said):
            read_run(path)
