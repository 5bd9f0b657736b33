r"""Japanese-language RAG search that runs wholly inside a company's own walls.

The journey of the data, left to right, never back::

    documents ──► japanese ──► encoders ──► index ──► retrieval ──► rerank ──► chain
     bytes→text    text→chunks,   text→       on disk,   query→        order→     answer with
     with places   terms          vectors     versioned  candidates    better     checked citations
                                                          order

A folder of documents becomes an index by :func:`build`; :func:`open_index` opens one for searching and asking. Every read
takes a :class:`View`: who is asking. Importing this package loads nothing heavy; each name is fetched when first used.

Examples
--------
>>> from pathlib import Path
>>> from tempfile import TemporaryDirectory
>>> import ragjp
>>> folder = TemporaryDirectory()
>>> base = Path(folder.name)
>>> (base / "docs").mkdir()
>>> (base / "docs" / "旅費.md").write_text("# 旅費規程\n\n日当は2,500円とする。\n", "utf-8")
22
>>> recipe = ragjp.Recipe.model_validate({
...     "name": "tiny",
...     "encoder": {"model": "hashing"},
...     "sources": [{"path": "docs", "access": ["everyone"]}],
... })
>>> ragjp.build(recipe, base=base, into=base / "tiny").added
1
>>> with ragjp.open_index(base / "tiny") as index:
...     answer = index.ask("日当はいくらですか。", view=ragjp.View.of("everyone"))
...     nothing = index.search("日当", view=ragjp.View.of("guest"))
>>> answer.citations[0].doc_id, answer.citations[0].page
('旅費.md', 1)
>>> len(nothing.hits)
0
>>> folder.cleanup()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragjp.config import Recipe, load_recipe
    from ragjp.engine import Engine
    from ragjp.errors import RagjpError
    from ragjp.jobs.build import build
    from ragjp.types import Answer, Chunk, Citation, Document, Hit, Ranking, View

    open_index = Engine.open

__version__ = "0.1.0"

#: Public name → the module that defines it, and its name there.
_HOME = {
    "Answer": ("ragjp.types", "Answer"),
    "Chunk": ("ragjp.types", "Chunk"),
    "Citation": ("ragjp.types", "Citation"),
    "Document": ("ragjp.types", "Document"),
    "Engine": ("ragjp.engine", "Engine"),
    "Hit": ("ragjp.types", "Hit"),
    "RagjpError": ("ragjp.errors", "RagjpError"),
    "Ranking": ("ragjp.types", "Ranking"),
    "Recipe": ("ragjp.config", "Recipe"),
    "View": ("ragjp.types", "View"),
    "build": ("ragjp.jobs.build", "build"),
    "load_recipe": ("ragjp.config", "load_recipe"),
    "open_index": ("ragjp.engine", "Engine.open"),
}

__all__ = [
    "Answer",
    "Chunk",
    "Citation",
    "Document",
    "Engine",
    "Hit",
    "RagjpError",
    "Ranking",
    "Recipe",
    "View",
    "build",
    "load_recipe",
    "open_index",
]


def __getattr__(name: str) -> object:
    """Fetch a public name from the module that defines it, and keep it."""
    if name not in _HOME:
        raise AttributeError(f"module 'ragjp' has no attribute {name!r}")
    module, path = _HOME[name]
    found: object = import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """List the public names, fetched or not."""
    return sorted({*globals(), *__all__})
