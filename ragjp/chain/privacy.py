"""Keep LangChain from reporting runs to anybody: tracing is off, and no environment variable can switch it on.

LangChain starts a tracer that posts every prompt and answer to LangSmith as soon as ``LANGSMITH_TRACING`` or one of its older
names is ``true`` in the environment. In a company that is one line in somebody's shell profile away from sending documents
out of the building. The process-wide setting below is looked at before the environment, so the variable alone does nothing.
A program that really wants traces can still say so in its own code, by name (``langsmith.tracing_context(enabled=True)``).
"""

from __future__ import annotations

import os

#: Names of the first tracer, long gone: LangChain raises in every call when one is set, so they are dropped from this process.
_DEAD_NAMES = ("LANGCHAIN_TRACING", "LANGCHAIN_HANDLER")


def disable_tracing() -> None:
    """Switch LangSmith tracing off for this process, whatever the environment says. Cheap, and safe to repeat."""
    import langsmith

    langsmith.configure(enabled=False)
    for name in _DEAD_NAMES:
        os.environ.pop(name, None)
