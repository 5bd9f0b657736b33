"""The training code: its arithmetic is the product's, its batches keep apart what must be kept apart."""

from __future__ import annotations

import importlib.util
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from evals.train.batches import Batches, nearest
from evals.train.layers import Embeddings, Layer, Places, pooled
from evals.train.lower import compute
from evals.train.material import Material, Texts
from evals.train.model import Upper, Vectors, maxsim, padded
from evals.train.objective import loss_of
from ragjp.encoders import e5_file, reference
from ragjp.rerank.maxsim_cpu import maxsim_reference


@pytest.fixture(scope="module")
def source() -> e5_file.E5File:
    """The packed file of the encoders' tests: two layers, random weights."""
    path = Path(__file__).parents[1] / "encoders" / "conftest.py"
    spec = importlib.util.spec_from_file_location("tiny_encoder", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return e5_file.parse(module.tiny_file())


def texts_of(lengths: list[int], seed: int) -> Texts:
    rng = np.random.default_rng(seed)
    kept = np.ones(sum(lengths), bool)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    kept[offsets[:-1]] = False
    ids = rng.integers(4, 30, sum(lengths)).astype(np.int32)
    return Texts(ids, offsets, kept)


def material_of(seed: int = 3) -> Material:
    """48 chunks of 24 passages of 8 articles, a question each; every chunk shares terms with others."""
    rng = np.random.default_rng(seed)
    n = 48
    passage = np.arange(n) // 2
    article = passage // 3
    terms = sparse.csr_array(rng.random((n, 30)) * (rng.random((n, 30)) < 0.3))
    confused = np.stack(
        [rng.permutation(np.flatnonzero(passage != passage[row]))[:30] for row in range(n)]
    )
    return Material(
        texts_of(rng.integers(4, 20, 2 * n).tolist(), 1),
        texts_of(rng.integers(3, 8, 2 * n).tolist(), 2),
        tuple(map(str, range(n))),
        article,
        passage,
        np.arange(n),
        article == 2,
        confused,
        terms,
        sparse.csr_array((terms.toarray() > 0).astype(float)),
    )


def batches_of(material: Material, seed: int) -> Batches:
    vectors = np.random.default_rng(9).normal(size=(48, 8)).astype(np.float32)
    return Batches(material, nearest(vectors, material.passage), seed=seed)


def test_the_nearest_are_of_other_passages_and_in_order() -> None:
    """A passage's own other chunk as its negative would teach the model that the answer is wrong."""
    rng = np.random.default_rng(2)
    vectors, passage = rng.normal(size=(30, 4)).astype(np.float32), np.arange(30) // 3
    for row, found in enumerate(nearest(vectors, passage, n=5)):
        scores = vectors @ vectors[row]
        others = np.flatnonzero(passage != passage[row])
        assert found.tolist() == others[np.argsort(-scores[others])][:5].tolist()


def test_the_packed_layers_agree_with_the_oracle(source: e5_file.E5File) -> None:
    """Padding, packing or the order of heads could differ from what the product computes, and training would fit another model."""
    texts = texts_of([5, 17, 1, 9], 4)
    lengths = np.diff(texts.offsets).tolist()
    hidden, places = Embeddings(source)(texts.ids, lengths), Places(lengths)
    with torch.no_grad():
        for number in range(source.shape.layers):
            hidden = Layer(source, number)(hidden, places)
    for row, (begin, end) in enumerate(zip(texts.offsets, texts.offsets[1:], strict=False)):
        expected = reference.last_hidden_state(source, texts.ids[begin:end].tolist())
        np.testing.assert_allclose(hidden[begin:end].numpy(), expected, atol=2e-5)
        mean = expected.mean(axis=0)
        np.testing.assert_allclose(
            pooled(hidden, lengths)[row].numpy(), mean / np.linalg.norm(mean), atol=2e-5
        )


def test_late_interaction_agrees_with_the_product(source: e5_file.E5File) -> None:
    """What is trained must be the score that ranks.

    The sum over question tokens of the best inner product; the product takes the mean, which ranks the same.
    """
    rng = np.random.default_rng(5)
    question = rng.normal(size=(6, 16)).astype(np.float32)
    documents = [rng.normal(size=(size, 16)).astype(np.float32) for size in (3, 9, 1)]
    rows, inside = padded(torch.from_numpy(np.concatenate(documents)), [3, 9, 1])
    owner = torch.tensor([0, 0, 0, 1, 1, 1])
    found = maxsim(torch.from_numpy(question), owner, 2, rows, inside).numpy()
    offsets = np.array([0, 3, 12, 13])
    for asked in range(2):
        expected = maxsim_reference(
            question[asked * 3 : asked * 3 + 3], np.concatenate(documents), offsets
        )
        np.testing.assert_allclose(found[asked] / 3, expected, rtol=1e-5)


def test_batches_are_the_same_for_a_seed_and_keep_held_out_articles_out() -> None:
    """A held-out article in a batch, or a gold passage's other chunk as a negative, would spoil what is measured or learned."""
    material = material_of()
    first = list(islice(batches_of(material, 1), 4))
    again = list(islice(batches_of(material, 1), 4))
    other = list(islice(batches_of(material, 2), 4))
    for batch, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(batch.chunks, same.chunks)
        np.testing.assert_array_equal(batch.questions, same.questions)
        assert not (material.article[batch.chunks] == 2).any()
        assert len(set(batch.chunks.tolist())) == len(batch.chunks)
        np.testing.assert_array_equal(batch.chunks[batch.target], material.gold[batch.questions])
        np.testing.assert_array_equal(batch.chunk_texts % 48, batch.chunks)
        np.testing.assert_array_equal(batch.question_texts % 48, batch.questions)
        passages = material.passage[batch.chunks]
        own = passages[None] == passages[batch.target][:, None]
        own[np.arange(len(own)), batch.target] = False
        np.testing.assert_array_equal(batch.left_out, own)
        assert own.any()
    assert any(a.chunks.tolist() != b.chunks.tolist() for a, b in zip(first, other, strict=True))


def test_a_few_steps_make_the_loss_smaller_and_the_names_are_those_of_the_file(
    source: e5_file.E5File, tmp_path: Path
) -> None:
    """A gradient that does not reach the layers, or a tensor under another name, would only show after hours."""
    torch.manual_seed(1)
    material = material_of()
    questions, chunks = (
        compute(source, 1, texts, tmp_path / name, lambda a, b: None)
        for name, texts in (("q", material.questions), ("c", material.chunks))
    )
    start = np.random.default_rng(1).normal(size=(16, source.shape.hidden)).astype(np.float32)
    model = Upper(source, 1, start)
    names = {name for name in model.tensors() if name.startswith("l1.")}
    assert len(names) == 16
    assert {"l1.q.w", "l1.fo.b", "l1.oln.w"} <= names
    batch = next(iter(batches_of(material, 1)))
    with torch.no_grad():
        before = Vectors(model, chunks, batch.chunks, weighted=False).pooled
    untrained = {name: array.copy() for name, array in model.tensors().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(6):
        loss = loss_of(model, questions, chunks, batch, before)
        optimizer.zero_grad()
        loss.total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.total.item())
    assert losses[-1] < losses[0]
    assert all((model.tensors()[name] != untrained[name]).any() for name in names)
