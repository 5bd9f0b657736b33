"""Fit the model of ``ragjp/retrieval/confidence.py``: ``python -m evals.fitting.answerable DATASET --split train --hide title``.

Each question of a sample is asked with its gold documents visible and hidden. The regression is fitted on the best passage of each
(which passage is best is decided by the regression, so both are settled in turns), under weights of at least 0. Calibration and error
rates come from folds of whole families (articles, files) that were held out. The result goes into ``confidence.json`` under the
encoder's name; the model of the lexical signals, which serves every other encoder, is fitted anew each time. Splits that are measured
on (dev, valid, test) are refused.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evals.answerable import Asked, auroc, calibration, collect, refused_at
from evals.dataset import DatasetError, open_dataset
from evals.indexes import searcher_for
from evals.runner import EVERYONE
from ragjp.cli.arguments import positive
from ragjp.cli.progress import ProgressDisplay
from ragjp.errors import RagjpError
from ragjp.retrieval import confidence
from ragjp.retrieval.confidence import KINDS, PASSAGES, SIGNALS, Model

Floats = NDArray[np.float64]
Kind = Literal["tokens", "dense", "lexical"]
TARGET = Path(confidence.__file__).with_name("confidence.json")
_MEASURED = ("dev", "valid", "test")
_FOLDS, _ROUNDS, _STEPS = 5, 4, 500
#: A step that moves nothing further than this is the last.
_STILL = 1e-5
#: Penalty on the squared weights of standardised signals.
_RIDGE = 1e-3


def fit_logistic(signals: Floats, truth: Floats) -> Floats:
    """Weights (F,) of at least 0 and a bias, (F + 1,), that minimise the mean logistic loss plus a ridge.

    Accelerated projected gradient (Beck and Teboulle, 2009) on (N, F) standardised signals; truth (N,) is 0 or 1.
    """
    n, width = signals.shape
    design = np.hstack([signals, np.ones((n, 1))])
    ridge = np.append(np.full(width, _RIDGE), 0.0)
    step = 1 / (np.linalg.eigvalsh(design.T @ design / n)[-1] / 4 + _RIDGE)
    at = ahead = np.zeros(width + 1)
    pace = 1.0
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(design @ ahead, -700, 700)))
        moved = ahead - step * (design.T @ (chance - truth) / n + ridge * ahead)
        moved[:width] = np.maximum(moved[:width], 0)
        faster = (1 + np.sqrt(1 + 4 * pace * pace)) / 2
        still = bool(np.abs(moved - at).max() < _STILL)
        ahead, at, pace = moved + (pace - 1) / faster * (moved - at), moved, faster
        if still:
            break
    return at


def fit_passages(signals: Floats, truth: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean (F,), scale (F,) and weights with bias (F + 1,) for questions of which one passage must answer.

    Parameters
    ----------
    signals
        (N, R, F); NaN rows where a question has fewer passages.
    """
    flat = signals.reshape(-1, signals.shape[2])
    mean, scale = np.nanmean(flat, axis=0), np.maximum(np.nanstd(flat, axis=0), 1e-9)
    standard = (signals - mean) / scale
    absent = np.isnan(standard).any(axis=2)
    standard = np.nan_to_num(standard)
    fitted = np.append(np.ones(signals.shape[2]), 0.0)
    for _ in range(_ROUNDS):
        best = np.where(absent, -np.inf, standard @ fitted[:-1]).argmax(axis=1)
        fitted = fit_logistic(standard[np.arange(len(standard)), best], truth)
    return mean, scale, fitted


def held_out_logits(signals: Floats, truth: Floats, families: Sequence[str]) -> Floats:
    """(N,) logits of questions, each from a fit on the folds that none of its family is in."""
    names = sorted(set(families))
    random.Random(20231).shuffle(names)
    fold = {name: place % _FOLDS for place, name in enumerate(names)}
    mine = np.array([fold[name] for name in families])
    out = np.zeros(len(signals))
    for number in range(_FOLDS):
        test = mine == number
        if test.any() and not test.all():
            out[test] = _best(signals[test], *fit_passages(signals[~test], truth[~test]))
    return out


def _best(signals: Floats, mean: Floats, scale: Floats, fitted: Floats) -> Floats:
    logits = ((signals - mean) / scale) @ fitted[:-1] + fitted[-1]
    found: Floats = np.where(np.isnan(logits), -np.inf, logits).max(axis=1)
    return found


def fit_model(asked: Sequence[Asked], kind: Kind) -> Model:
    """Fit, calibrate on held-out families (Platt's two numbers), and keep the quantiles of the held-out logits."""
    signals, truth, families = _table(asked, len(KINDS[kind]))
    held_out = held_out_logits(signals, truth, families)
    slope, shift = fit_logistic(held_out[:, None], truth)
    mean, scale, fitted = fit_passages(signals, truth)
    calibrated = held_out * slope + shift
    steps = np.linspace(0, 1, 101)
    return Model(
        kind,
        _rounded(mean),
        _rounded(scale),
        _rounded(fitted[:-1] * slope),
        round(float(fitted[-1] * slope + shift), 6),
        _rounded(np.quantile(calibrated[truth == 1], steps)),
        _rounded(np.quantile(calibrated[truth == 0], steps)),
    )


def _table(asked: Sequence[Asked], width: int) -> tuple[Floats, Floats, list[str]]:
    both = [one.visible for one in asked] + [one.hidden for one in asked]
    signals = np.full((len(both), PASSAGES, width), np.nan)
    for place, found in enumerate(both):
        signals[place, : len(found)] = found[:, :width]
    truth = np.repeat([1.0, 0.0], len(asked))
    return signals, truth, [one.family for one in asked] * 2


def contributions(asked: Sequence[Asked], kind: Kind) -> list[tuple[str, float, float]]:
    """AUROC and refusal at 95 % kept, held out: of each signal alone, of all, and of all but each."""
    signals, truth, families = _table(asked, len(KINDS[kind]))

    def figures(columns: list[int]) -> tuple[float, float]:
        part = signals[:, :, columns]
        logits = held_out_logits(part, truth, families)
        return auroc(logits[truth == 1], logits[truth == 0]), refused_at(
            logits[truth == 1], logits[truth == 0]
        )

    every = list(range(len(KINDS[kind])))
    lines = [(f"{SIGNALS[one]} だけ", *figures([one])) for one in every]
    lines.append(("全部", *figures(every)))
    lines += [(f"{SIGNALS[one]} 抜き", *figures([n for n in every if n != one])) for one in every]
    return lines


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)


# ------------------------------------------------------------------------------------------------- files


def save_signals(path: Path, asked: Sequence[Asked]) -> None:
    """Keep collected signals, so that a fit can be tried again without asking again."""
    arrays: dict[str, Any] = {
        f"{n}_{side}": getattr(one, side) for n, one in enumerate(asked) for side in _SIDES
    }
    lines = [[one.query_id, one.family, one.bm25_visible, one.bm25_hidden] for one in asked]
    np.savez_compressed(path, lines=np.array(json.dumps(lines)), **arrays)


def read_signals_file(path: Path) -> list[Asked]:
    """Read what :func:`save_signals` kept."""
    with np.load(path, allow_pickle=False) as data:
        lines = json.loads(str(data["lines"]))
        return [
            Asked(line[0], line[1], data[f"{n}_visible"], data[f"{n}_hidden"], line[2], line[3])
            for n, line in enumerate(lines)
        ]


_SIDES = ("visible", "hidden")


def write_models(
    target: Path, encoder: str, models: Mapping[Kind, Model], said: Mapping[str, Any]
) -> None:
    """Put models into ``confidence.json``: tokens and dense under the encoder's name, lexical under ``*``."""
    values = json.loads(target.read_text(encoding="utf-8")) if target.exists() else {"encoders": {}}
    for kind, model in models.items():
        place = values["encoders"].setdefault("*" if kind == "lexical" else encoder, {})
        place[kind] = {**_values(model), "fitted": dict(said)}
    target.write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _values(model: Model) -> dict[str, Any]:
    return {
        "kind": model.kind,
        "signals": list(KINDS[model.kind]),
        **{name: list(getattr(model, name)) for name in ("mean", "scale", "weights")},
        "bias": model.bias,
        "answerable": list(model.answerable),
        "unanswerable": list(model.unanswerable),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Collect, fit, print, write; 0 when done."""
    parser = argparse.ArgumentParser(prog="python -m evals.fitting.answerable", description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--split", default="train")
    parser.add_argument("--recipe", type=Path)
    parser.add_argument("--hide", choices=("document", "file", "title"), default="title")
    parser.add_argument("--questions", type=positive, default=1500, help="size of the sample")
    parser.add_argument("--signals", type=Path, help="keep the signals in this .npz, or take them")
    parser.add_argument("--into", type=Path, default=TARGET, help="the file to write")
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except RagjpError as error:
        print(error.sentence, file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    dataset = open_dataset(options.dataset)
    split = dataset.read(options.split)
    if split.name in _MEASURED:
        raise DatasetError(
            f"分割「{split.name}」は測るためのものです。train など、当てはめ用の分割を指定してください。",
            code="split_measured",
        )
    queries = sorted(
        (query for query in split.queries if query.answerable), key=lambda query: query.query_id
    )
    queries = random.Random(20231).sample(queries, min(options.questions, len(queries)))
    with (
        ProgressDisplay() as progress,
        searcher_for(dataset, options.recipe, progress=progress) as engine,
    ):
        if options.signals and options.signals.exists():
            asked = read_signals_file(options.signals)
        else:
            asked = collect(
                split, queries, engine, view=EVERYONE, hide=options.hide, progress=progress
            )
            if options.signals:
                save_signals(options.signals, asked)
        with_tokens = all(np.isfinite(one.visible).all() for one in asked)
        kinds: list[Kind] = ["lexical", "dense", *(["tokens"] if with_tokens else [])]  # type: ignore[list-item]
        models: dict[Kind, Model] = {}
        for kind in kinds:
            models[kind] = fit_model(asked, kind)
        encoder = engine.encoder.name
    for kind, model in models.items():
        print(_table_text(asked, kind, model))
    said = {
        "dataset": split.dataset,
        "split": split.name,
        "digest": split.digest,
        "questions": len(asked),
        "hide": options.hide,
    }
    write_models(options.into, encoder, models, said)
    print(f"\n{options.into} に書きました（{encoder}）。")
    return 0


def _table_text(asked: Sequence[Asked], kind: Kind, model: Model) -> str:
    signals, truth, families = _table(asked, len(KINDS[kind]))
    logits = held_out_logits(signals, truth, families)
    slope, shift = fit_logistic(logits[:, None], truth)
    ece, _ = calibration(*((logits * slope + shift)[truth == side] for side in (1, 0)))
    weights = "、".join(
        f"{name} {weight:.3f}" for name, weight in zip(KINDS[kind], model.weights, strict=True)
    )
    lines = [f"  {name:<20} {a:.4f}  {r:.3f}" for name, a, r in contributions(asked, kind)]
    head = (
        f"\n{kind}: {len(asked)} 問 × 2、AUROC と、95% を残すときに断れた割合（取り置いた記事で）"
    )
    return "\n".join([head, *lines, f"  ECE {ece:.4f}", f"  重み: {weights}"])


if __name__ == "__main__":
    raise SystemExit(main())
