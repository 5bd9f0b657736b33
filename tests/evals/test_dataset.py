import json
from pathlib import Path

import pytest

from evals.dataset import DatasetError, open_dataset, unit_of

HEADER = "query-id\tcorpus-id\tscore"


def write(
    folder: Path,
    *,
    queries: list[dict[str, object]] | None = None,
    corpus: list[dict[str, object]] | None = None,
    qrels: dict[str, list[str]] | None = None,
) -> Path:
    """Write a dataset of two questions over pages, or whatever is said instead."""
    queries = queries or [{"_id": "q1", "text": "休暇は"}, {"_id": "q2", "text": "旅費は"}]
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    for name, rows in [("queries", queries), ("corpus", corpus)]:
        if rows is not None:
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    for split, lines in (qrels or {"test": ["q1\ta.md#p1\t1", "q2\tb.pdf#p12\t2"]}).items():
        text = "\n".join([HEADER, *lines]) + "\n"
        (folder / "qrels" / f"{split}.tsv").write_text(text, encoding="utf-8")
    return folder


CORPUS: list[dict[str, object]] = [{"_id": "d1", "text": "あ"}, {"_id": "d2", "text": "い"}]


def test_pages_without_a_corpus_documents_with_one(tmp_path: Path) -> None:
    """Guards against judging documents where pages are judged."""
    pages = open_dataset(write(tmp_path / "pages")).read()
    assert pages.unit == "page"
    assert pages.qrels == {"q1": {"a.md#p1": 1}, "q2": {"b.pdf#p12": 2}}
    rows = ["q1\td1\t1"]
    documents = open_dataset(write(tmp_path / "docs", corpus=CORPUS, qrels={"dev": rows})).read()
    assert (documents.unit, documents.name, documents.dataset) == ("document", "dev", "docs")
    assert [query.query_id for query in documents.queries] == ["q1"]
    assert unit_of(documents.unit, "d1", 1) == "d1"


def test_gold_pages_are_compared_in_nfc(tmp_path: Path) -> None:
    """Guards against a gold file name with split dakuten that no document id can equal."""
    decomposed = "カ\u3099イト\u3099.md#p1"
    split = open_dataset(write(tmp_path, qrels={"test": [f"q1\t{decomposed}\t1"]})).read()
    assert list(split.qrels["q1"]) == ["ガイド.md#p1"]


def test_the_split_must_be_named_when_there_are_two(tmp_path: Path) -> None:
    """Guards against measuring the training split because its name sorts first."""
    rows = ["q1\ta#p1\t1"]
    dataset = open_dataset(write(tmp_path, qrels={"train": rows, "dev": rows}))
    with pytest.raises(DatasetError, match="dev、train") as failure:
        dataset.read()
    assert failure.value.code == "split_unnamed"
    with pytest.raises(DatasetError, match="「test」はありません"):
        dataset.read("test")
    assert dataset.read("dev").name == "dev"


def test_unanswerable_questions_are_asked_and_never_in_the_denominator(tmp_path: Path) -> None:
    """Guards against refusals that pull recall down, and against losing them for want of qrels."""
    queries: list[dict[str, object]] = [
        {"_id": "q1", "text": "休暇は", "metadata": {"answers": ["10日"], "kind": "表"}},
        {"_id": "n1", "text": "社長の犬の名前は", "metadata": {"answerable": False}},
        {"_id": "n2", "text": "昼食は", "metadata": {"answerable": False, "split": "dev"}},
        {"_id": "unjudged", "text": "別の分割の質問"},
    ]
    rows = ["q1\ta#p1\t1"]
    dataset = open_dataset(write(tmp_path, queries=queries, qrels={"test": rows, "dev": rows}))
    split = dataset.read("test")
    assert [(q.query_id, q.answerable) for q in split.queries] == [("q1", True), ("n1", False)]
    assert set(split.qrels) == {"q1"}
    assert split.queries[0].slices == {"kind": "表"}
    assert split.queries[0].answers == ("10日",)
    assert [q.query_id for q in dataset.read("dev").queries] == ["q1", "n1", "n2"]


def test_a_limit_keeps_the_first_questions_and_their_judgements_only(tmp_path: Path) -> None:
    """Guards against a limited run divided by the whole split's questions."""
    split = open_dataset(write(tmp_path)).read().first(1)
    assert [q.query_id for q in split.queries] == list(split.qrels) == ["q1"]


def test_the_digest_follows_every_file(tmp_path: Path) -> None:
    """Guards against two different datasets reported under one digest."""
    rows = ["q1\td1\t1"]
    folder = write(tmp_path, corpus=CORPUS, qrels={"dev": rows})
    seen = {open_dataset(folder).read().digest}
    write(tmp_path, corpus=[*CORPUS, {"_id": "d3", "text": "う"}], qrels={"dev": rows})
    seen.add(open_dataset(folder).read().digest)
    write(tmp_path, qrels={"dev": ["q1\td1\t2"]})
    seen.add(open_dataset(folder).read().digest)
    write(tmp_path, queries=[{"_id": "q1", "text": "別の質問"}], qrels={"dev": rows})
    seen.add(open_dataset(folder).read().digest)
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("qrels", "where", "what"),
    [
        (["q1 a#p1 1"], "test.tsv の 2 行目", "タブ"),
        (["q1\ta#p1\t1", "q1\ta#p1\t1"], "test.tsv の 3 行目", "重複"),
        (["q9\ta#p1\t1"], "test.tsv の 2 行目", "「q9」が queries.jsonl にありません"),
        (["q1\ta.md\t1"], "test.tsv の 2 行目", "FILE|ファイル名#pページ番号"),
        (["q1\ta.md#p0\t1"], "test.tsv の 2 行目", "ページ番号"),
        (["q1\ta.md#p1\t-1"], "test.tsv の 2 行目", "0以上"),
        (["q1\ta.md#p1\t0"], "test.tsv", "正解"),
        ([], "test.tsv", "一行もありません"),
    ],
)
def test_wrong_judgements_are_named_with_file_and_line(
    tmp_path: Path, qrels: list[str], where: str, what: str
) -> None:
    """Guards against judgements dropped or misread in silence."""
    with pytest.raises(DatasetError, match=what) as failure:
        open_dataset(write(tmp_path, qrels={"test": qrels})).read()
    assert where in failure.value.sentence
    assert failure.value.exit_code == 2


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "JSON として読めません"),
        ("[1]", "オブジェクトではありません"),
        ('{"_id": "q1"}', "「text」がありません"),
        ('{"_id": 1, "text": "あ"}', "「_id」がありません"),
        ('{"_id": "q0", "text": "あ"}', "「q0」が重複"),
        ('{"_id": "q1", "text": "  "}', "text が空"),
        ('{"_id": "q1", "text": "あ", "metadata": []}', None),
        ('{"_id": "q1", "text": "あ", "metadata": [1]}', "metadata"),
        ('{"_id": "q1", "text": "あ", "metadata": {"answers": "い"}}', "answers"),
        ('{"_id": "q1", "text": "あ", "metadata": {"answerable": "no"}}', "answerable"),
        ('{"_id": "q1", "text": "あ", "metadata": {"kind": 3}}', "kind"),
    ],
)
def test_wrong_questions_are_named_with_file_and_line(
    tmp_path: Path, line: str, what: str | None
) -> None:
    """Guards against a malformed question that disappears from the denominator."""
    folder = write(tmp_path, qrels={"test": ["q0\ta#p1\t1"]})
    text = '{"_id": "q0", "text": "最初"}\n\n' + line + "\n"
    (folder / "queries.jsonl").write_text(text, encoding="utf-8")
    if what is None:
        assert len(open_dataset(folder).read().queries) == 1
        return
    with pytest.raises(DatasetError, match=what) as failure:
        open_dataset(folder).read()
    assert "queries.jsonl の 3 行目" in failure.value.sentence


def test_missing_pieces_are_named(tmp_path: Path) -> None:
    """Guards against a traceback where a sentence is owed."""
    with pytest.raises(DatasetError, match="ありません") as failure:
        open_dataset(tmp_path / "nowhere")
    assert failure.value.code == "dataset_missing"
    with pytest.raises(DatasetError, match=r"queries\.jsonl がありません"):
        open_dataset(tmp_path)
    (tmp_path / "queries.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(DatasetError, match="qrels"):
        open_dataset(tmp_path)


def test_a_gold_document_outside_the_corpus_is_refused(tmp_path: Path) -> None:
    """Guards against a ceiling below 1.0 that no system can explain."""
    folder = write(tmp_path, corpus=CORPUS, qrels={"test": ["q1\td9\t1"]})
    with pytest.raises(DatasetError, match="「d9」が corpus"):
        open_dataset(folder).read()


def test_a_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    """Guards against mojibake questions."""
    folder = write(tmp_path)
    (folder / "queries.jsonl").write_bytes('{"_id": "q1", "text": "日本"}\n'.encode("cp932"))
    with pytest.raises(DatasetError, match="UTF-8 ではありません"):
        open_dataset(folder).read()
