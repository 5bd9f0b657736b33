"""Run as a script in a process of its own: `forget` killed before and after each of its steps; prints what is wrong, as JSON.

Argument: a folder with a built index ``index`` in it, and in ``doc.json`` the document and its text.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ragjp.engine import Engine
from ragjp.errors import RequestError
from ragjp.index.storage.writer import IndexWriter
from ragjp.index.upkeep.check import check
from ragjp.jobs import forgetting
from ragjp.jobs.receipts import Receipt, verify_receipt
from ragjp.types import View

OPERATOR = View.unrestricted_by_operator()
#: Where each step is: the object that has it, and its name.
STEPS: tuple[tuple[Any, str], ...] = (
    (IndexWriter, "set_meta"),
    (IndexWriter, "commit"),
    (IndexWriter, "merge"),
    (IndexWriter, "shrink"),
    (IndexWriter, "tidy"),
    (forgetting, "_clean_lists"),
    (forgetting, "_searched"),
    (forgetting, "_sources_left"),
)


def deadly(real: Callable[..., Any], n: int, *, after: bool) -> Callable[..., Any]:
    """A function that dies at its n-th call."""
    calls = [0]

    def call(*args: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == n and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **options)
        if calls[0] == n:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return call


def killed(index: Path, doc_id: str, owner: Any, name: str, n: int, *, after: bool) -> bool:
    """Run forget in a child that dies there; false when it came to its end."""
    child = os.fork()
    if child == 0:
        setattr(owner, name, deadly(getattr(owner, name), n, after=after))
        forgetting.forget(index, doc_id, handed_over=lambda receipt: None)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def traces(index: Path, pieces: list[bytes]) -> list[str]:
    """Files that hold any of these bytes."""
    files = [path for path in index.rglob("*") if path.is_file()]
    held = {path: path.read_bytes() for path in files}
    return [str(path) for path, raw in held.items() if any(piece in raw for piece in pieces)]


def faults(index: Path, doc_id: str, text: str, *, at_end: bool) -> list[str]:
    """What is wrong after a kill: half a document, or a rerun that does not finish."""
    wrong = [problem.sentence for problem in check(index).problems]
    with Engine.open(index) as engine:
        listed = {info.doc_id for info in engine.documents(view=OPERATOR)}
        hits = {hit.doc_id for hit in engine.search(text[:60], view=OPERATOR, k=50).hits}
        whole = doc_id in listed and engine.page_text(doc_id, 1, view=OPERATOR) == text
    if (doc_id in listed) != whole or (doc_id in hits and not whole):
        wrong.append("half of it is there")
    receipts: list[Receipt] = []
    try:
        forgetting.forget(index, doc_id, handed_over=receipts.append)
    except RequestError:
        # After the last step there is nothing to finish: the receipt has been handed over.
        wrong += [] if at_end else ["the rerun does not know it any more"]
    else:
        wrong += verify_receipt(index, receipts[-1])
        wrong += [] if receipts[-1].probes else ["a receipt without probes"]
    pieces = [text[at : at + 12].encode() for at in range(0, len(text) - 12, 5)]
    wrong += traces(index, pieces)
    wrong += [problem.sentence for problem in check(index).problems]
    return wrong


def main() -> None:
    work = Path(sys.argv[1])
    doc_id, text = json.loads((work / "doc.json").read_text("utf-8"))
    found: dict[str, Any] = {"kills": 0, "wrong": {}}
    for owner, name in STEPS:
        for n in (1, 2):
            for after in (False, True):
                index = work / "case"
                shutil.rmtree(index, ignore_errors=True)
                shutil.copytree(work / "index", index)
                if not killed(index, doc_id, owner, name, n, after=after):
                    continue
                found["kills"] += 1
                at_end = (name, n, after) == ("set_meta", 2, True)
                wrong = faults(index, doc_id, text, at_end=at_end)
                if wrong:
                    found["wrong"][f"{name} {n} {'after' if after else 'before'}"] = wrong
    sys.stdout.write(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main()
