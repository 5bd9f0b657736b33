"""``python -m evals.train DATASET --steps N --decay M --out FILE``: train, and write the weights that ragjp ships.

The rate rises over 20 steps, stays, and falls to 0 over the last ``--decay`` steps; what is written is the running mean of the weights. Progress goes to standard error. ``--state FOLDER`` keeps
what was computed and, every 25 steps, where training stands; the same command goes on from there. A file ``finish`` in that folder
begins the fall at once, and the last line says with which ``--steps`` the same weights come out again.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from evals.train.batches import Batches, nearest
from evals.train.lower import LowerStates, compute
from evals.train.material import Material, prepare, untouched_vectors
from evals.train.model import TOKEN_DIM, Upper, principal
from evals.train.objective import Loss, loss_of
from evals.train.validation import Validation
from ragjp.device import usable_cores
from ragjp.encoders import bundled, e5_file
from ragjp.encoders.trained_file import Facts, write_weights

NAME = "multilingual-e5-small-ja"
_RATES = {"layers": 5e-5, "head": 3e-4, "scales": 1e-2}
#: Share of the mean that one step replaces, once there are as many steps.
_MEAN = 0.02
_WARM_UP = 20
_SAVE_EVERY = 25


def main() -> None:
    """Parse, train, write."""
    parser = argparse.ArgumentParser(prog="python -m evals.train", description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--decay", type=int, default=80)
    parser.add_argument("--first-layer", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--validate-every", type=int, default=150)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.state.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(given.seed)
    torch.set_num_threads(usable_cores())
    source = e5_file.parse(bundled.find_carrier().path.read_bytes())
    _tell("material")
    material = prepare(given.dataset, seed=given.seed)
    before = torch.from_numpy(untouched_vectors(given.dataset, material.names))
    first = given.first_layer

    def lower(name: str) -> LowerStates:
        texts = getattr(material, name)
        path = given.state / f"{name}-{first}.bf16"
        return compute(source, first, texts, path, lambda a, b: _tell(f"{name} {a}/{b}"))

    questions, chunks = lower("questions"), lower("chunks")
    rows = np.random.default_rng(given.seed).choice(len(material.names), 60, replace=False)
    model = Upper(source, first, principal(chunks, source, first, np.sort(rows)))
    steps = _train(given, model, material, questions, chunks, before)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    command = (
        f"python -m evals.train DATASET --steps {steps} --decay {given.decay}"
        f" --first-layer {first} --seed {given.seed}"
    )
    facts = Facts(
        NAME,
        "1",
        bundled.WEIGHTS_SHA256,
        first,
        TOKEN_DIM,
        "JaQuAD 0.1.0, train (SkelterLabs)",
        "CC BY-SA 3.0 (data), MIT (base model)",
        command,
        commit,
    )
    write_weights(given.out, model.tensors(), facts)
    _tell(f"{given.out}: {given.out.stat().st_size} bytes; {command}")


def _train(
    given: argparse.Namespace,
    model: Upper,
    material: Material,
    questions: LowerStates,
    chunks: LowerStates,
    before: Tensor,
) -> int:
    parameters = {
        "layers": list(model.layers.parameters()),
        "head": list(model.head.parameters()),
        "scales": [model.alpha, model.beta],
    }
    groups = [{"params": parameters[name], "lr": rate} for name, rate in _RATES.items()]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01, betas=(0.9, 0.98))
    validation = Validation(material, questions=300, depth=10, seed=given.seed)
    mean = copy.deepcopy(model)
    done = _load(given.state / "standing.safetensors", model, mean, optimizer)
    steps, began = given.steps, time.monotonic()
    near = nearest(before.numpy(), material.passage)
    batches = itertools.islice(Batches(material, near, seed=given.seed), done, None)
    if not done:
        _tell(f"step 0: {validation.scores(model, questions, chunks)}")
    for step, batch in enumerate(batches, done):
        if step >= steps:
            break
        if (given.state / "finish").exists() and steps > step + given.decay:
            steps = step + given.decay
        factor = min(1.0, (step + 1) / _WARM_UP, (steps - step) / given.decay)
        for group, rate in zip(optimizer.param_groups, _RATES.values(), strict=True):
            group["lr"] = rate * factor
        loss = loss_of(model, questions, chunks, batch, before[batch.chunks])
        optimizer.zero_grad()
        loss.total.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        _follow(mean, model, max(_MEAN, 1 / (step + 1)))
        seconds = (time.monotonic() - began) / (step + 1 - done)
        _tell(f"step {step + 1}/{steps} {seconds:.1f} s {_line(loss, float(norm))}")
        if (step + 1) % _SAVE_EVERY == 0:
            _save(given.state / "standing.safetensors", model, mean, optimizer, step + 1)
        if (step + 1) % given.validate_every == 0 or step + 1 == steps:
            _tell(f"step {step + 1}: {validation.scores(mean, questions, chunks)}")
    model.load_state_dict(mean.state_dict())
    _tell(f"alpha {float(model.alpha):.3f}, beta {float(model.beta):.3f}")
    return int(steps)


def _follow(mean: Upper, model: Upper, share: float) -> None:
    with torch.no_grad():
        for behind, now in zip(mean.parameters(), model.parameters(), strict=True):
            behind.lerp_(now, share)


def _line(loss: Loss, norm: float) -> str:
    right = "/".join(f"{share:.2f}" for share in loss.right)
    return (
        f"late {loss.late:.3f} mixed {loss.mixed:.3f} pooled {loss.pooled:.3f}"
        f" anchor {loss.anchor:.4f} right {right} norm {norm:.1f}"
    )


def _save(
    path: Path, model: Upper, mean: Upper, optimizer: torch.optim.Optimizer, step: int
) -> None:
    tensors = {"step": torch.tensor(step)}
    tensors |= {f"{name}:mean": each.detach() for name, each in mean.named_parameters()}
    for name, parameter in model.named_parameters():
        state = optimizer.state[parameter]
        tensors[name] = parameter.detach()
        for part in ("exp_avg", "exp_avg_sq", "step"):
            tensors[f"{name}:{part}"] = state[part].detach()
    part_file = path.with_suffix(".part")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part_file)
    part_file.rename(path)


def _load(path: Path, model: Upper, mean: Upper, optimizer: torch.optim.Optimizer) -> int:
    if not path.exists():
        return 0
    tensors = load_file(path)
    with torch.no_grad():
        for name, parameter in mean.named_parameters():
            parameter.copy_(tensors[f"{name}:mean"])
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[name])
            optimizer.state[parameter] = {
                part: tensors[f"{name}:{part}"].clone()
                for part in ("exp_avg", "exp_avg_sq", "step")
            }
    return int(tensors["step"])


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
