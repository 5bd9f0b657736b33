from __future__ import annotations

import pytest

from ragjp.encoders.e5_file import E5File
from ragjp.encoders.tokenizer_json import build_tokenizer

pytest.importorskip("tokenizers")


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("休暇を", ["▁", "休暇", "を"]),
        ("query: 休暇", ["▁query", ":", "▁", "休暇"]),
        # Half-width and full-width forms fold; the full-width tilde does not (nmt_nfkc keeps it).
        ("１㈱～", ["▁", "1", "(", "株", ")", "～"]),
        # A base and its combining mark compose.
        ("か\u3099", ["▁", "が"]),
        # Separators are blanks, controls are nothing, blanks at the end make no token.
        ("休\u200b暇\n", ["▁", "休", "▁", "暇"]),
        ("休\x07暇", ["▁", "休暇"]),
        ("a  b\u3000c ", ["▁", "a", "▁", "b", "▁", "c"]),
        ("", []),
    ],
)
def test_pieces(tiny_source: E5File, text: str, pieces: list[str]) -> None:
    """Guards against other tokens than the model was trained with."""
    tokenizer = build_tokenizer(tiny_source.pieces)
    assert tokenizer.encode(text, add_special_tokens=False).tokens == pieces


def test_special_tokens_have_their_trained_ids(tiny_source: E5File) -> None:
    """Guards against <s> and </s> swapped with padding (XLM-R's order is not BERT's)."""
    encoding = build_tokenizer(tiny_source.pieces).encode("休暇")
    assert (encoding.ids[0], encoding.ids[-1]) == (0, 2)
    assert encoding.special_tokens_mask == [1, 0, 0, 1]


def test_a_document_that_spells_a_control_token_is_text(tiny_source: E5File) -> None:
    """Guards against a document that ends its own passage, or hides behind it, by writing </s>."""
    tokenizer = build_tokenizer(tiny_source.pieces)
    tokenizer.encode_special_tokens = True
    assert tokenizer.encode("</s>a", add_special_tokens=False).tokens == [
        "▁",
        "<",
        "/",
        "s",
        ">",
        "a",
    ]
