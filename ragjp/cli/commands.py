"""The commands: each calls the public API once and prints what it returns."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragjp.errors import LLMError, RequestError

if TYPE_CHECKING:
    from ragjp.engine import Engine
    from ragjp.types import View


def search(args: argparse.Namespace) -> int:
    """``ragjp search``: the best passages; with ``--explain``, why it is them."""
    if args.explain:
        return _explained(args)
    from ragjp.cli.show import ranking_text, ranking_values

    with _opened(args.index) as engine:
        ranking = engine.search(args.text, view=_view(args.principals), k=args.k, operators=True)
    if args.json:
        write_json(ranking_values(ranking))
    else:
        print(ranking_text(ranking))
    return 0


def _explained(args: argparse.Namespace) -> int:
    from ragjp.cli.show_explanation import explanation_text, explanation_values

    with _opened(args.index) as engine:
        found = engine.explain(args.text, view=_view(args.principals), k=args.k, operators=True)
    if args.json:
        write_json(explanation_values(found))
    else:
        print(explanation_text(found, columns=shutil.get_terminal_size((100, 24)).columns))
    return 0


def ask(args: argparse.Namespace) -> int:
    """``ragjp ask``: an answer with its citations. When the LLM fails, what was found is still shown."""
    from ragjp.cli.show import answer_values

    with ExitStack() as stack:
        engine = stack.enter_context(_opened(args.index))
        if args.local_llm:
            engine = stack.enter_context(_with_local_llm(engine))
        if args.json:
            write_json(answer_values(engine.ask(args.text, view=_view(args.principals))))
        else:
            streaming = sys.stdout.isatty() if args.stream is None else args.stream
            _ask_in_words(engine, args.text, _view(args.principals), streaming=streaming)
    return 0


def doctor(args: argparse.Namespace) -> int:
    """``ragjp doctor``: what this machine has, and why the rest is off. Never fails."""
    from ragjp.doctor import examine

    report = examine()
    if args.json:
        write_json(report.values())
    else:
        print(report.text())
    return 0


def write_json(values: dict[str, Any]) -> None:
    """Write one JSON object on one line of standard output."""
    print(json.dumps(values, ensure_ascii=False, allow_nan=False))


def _ask_in_words(engine: Engine, question: str, view: View, *, streaming: bool) -> None:
    from ragjp.chain.events import Delta, Finished, Retrieved
    from ragjp.cli.show import citations_text, printable, ranking_text

    print(f"質問: {printable(question)}")
    found = None
    written = ""
    try:
        for event in engine.stream(question, view=view):
            if isinstance(event, Retrieved):
                found = event.ranking
            elif isinstance(event, Delta) and streaming:
                print(
                    "" if written else "答え: ", printable(event.text), sep="", end="", flush=True
                )
                written += event.text
            elif isinstance(event, Finished):
                if written:
                    print()
                if written.strip() != event.answer.text.strip():
                    label = "確かめた後の答え" if written else "答え"
                    print(f"{label}: {printable(event.answer.text)}")
                print(citations_text(event.answer))
    except LLMError:
        if written:
            print()
        if found is not None:
            print("言語モデルの答えは得られませんでした。見つかった箇所は次のとおりです。")
            print(ranking_text(found))
        raise


@contextmanager
def _with_local_llm(engine: Engine) -> Iterator[Engine]:
    """Open the index again with answers written by the small LLM that the package carries, served for this question."""
    from ragjp.chain.local_server import LocalLLM

    with LocalLLM() as server:
        answer = engine.recipe.answer.model_copy(
            update={"endpoint": server.endpoint, "model": server.model, "style": "completion"}
        )
        recipe = engine.recipe.model_copy(update={"answer": answer})
        with type(engine).open(engine.path, encoder=engine.encoder, recipe=recipe) as asking:
            yield asking


def _view(principals: list[str] | None) -> View:
    from ragjp.types import View

    return View.unrestricted_by_operator() if principals is None else View.of(*principals)


def index_folder(text: str) -> Path:
    """Read the name of an index's folder; a slip is named.

    Raises
    ------
    RequestError
        When it is a recipe or another file.
    """
    path = Path(text)
    if path.suffix == ".toml" and not path.is_dir():
        raise RequestError(
            f"{path} はレシピです。索引のフォルダ（{path.with_suffix('')} など）を指定してください。",
            code="index_missing",
        )
    if path.is_file():
        raise RequestError(
            f"{path} はファイルです。索引のフォルダを指定してください。", code="index_missing"
        )
    return path


@contextmanager
def _opened(text: str) -> Iterator[Engine]:
    from ragjp.engine import Engine

    with Engine.open(index_folder(text)) as engine:
        yield engine
