import json
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evals.dataset import Query, open_dataset
from evals.slices import LENGTH_KEY, lengths, means, slices_of


def question(number: int, text: str, **metadata: str) -> Query:
    return Query(f"q{number}", text, slices=metadata)


def test_slices_are_kind_domain_length_and_any_key_that_tells_a_few_groups_apart() -> None:
    """Guards against a key of twelve hundred values cut into slices of one question, and a constant called a group."""
    queries = [
        question(
            n, "あ" * (n + 1), kind="表", author="甲" if n % 2 else "乙", serial=str(n), same="x"
        )
        for n in range(30)
    ]
    parts = slices_of(queries, minimum=15)
    assert list(dict.fromkeys(part.key for part in parts)) == ["kind", LENGTH_KEY, "author"]
    assert {part.value: (part.n, part.judged) for part in parts if part.key == "author"} == {
        "乙": (15, True),
        "甲": (15, True),
    }
    short, middle, long = (part for part in parts if part.key == LENGTH_KEY)
    assert (short.value, middle.value, long.value) == ("1-10", "11-20", "21-30")
    assert not short.judged
    assert "短い" in short.name
    values = {query.query_id: float(number < 10) for number, query in enumerate(queries)}
    assert (means(short, queries, values), means(long, queries, values)) == (1.0, 0.0)


@given(st.lists(st.integers(1, 40), max_size=60))
def test_lengths_are_a_partition_whatever_the_lengths(sizes: list[int]) -> None:
    """Guards against a question in two slices of length, or in none, where many have one length."""
    queries = [question(number, "あ" * size) for number, size in enumerate(sizes)]
    parts = [part for part in slices_of(queries) if part.key == LENGTH_KEY]
    if len(set(sizes)) < 2:
        assert not parts
        return
    assert all(part.n for part in parts)
    if parts:
        assert np.array_equal(sum(part.mask.astype(int) for part in parts), np.ones(len(sizes)))


def test_length_is_that_of_the_folded_question() -> None:
    """Guards against a half-width question counted longer than the same one in full width."""
    assert lengths([question(1, "ﾊﾟﾊﾟの休暇"), question(2, "パパの休暇")]).tolist() == [5, 5]


def test_a_dataset_hands_over_short_metadata_only(tmp_path: Path) -> None:
    """Guards against gold answers, notes and the review status taken for groups."""
    metadata = {
        "answers": ["十日"], "status": "accepted", "kind": "表", "year": 2024, "checked": True,
        "note": "長い" * 40, "none": None, "list": ["x"],
    }  # fmt: skip
    (tmp_path / "qrels").mkdir()
    row = {"_id": "q1", "text": "休暇は", "metadata": metadata}
    (tmp_path / "queries.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    (tmp_path / "qrels" / "test.tsv").write_text("q1\ta.md#p1\t1\n", encoding="utf-8")
    (query,) = open_dataset(tmp_path).read().queries
    assert query.slices == {"kind": "表", "year": "2024", "checked": "True"}
