"""Answers with checked citations, and ragjp as LangChain parts: a retriever, embeddings, a vector store, a reranker.

``langchain`` is imported in this folder alone, and only by the name that needs it: importing ``ragjp.chain`` loads nothing.
"""

from __future__ import annotations

from importlib import import_module

_HOME = {
    "Answerer": "answer",
    "Citing": "grounding",
    "Delta": "events",
    "Event": "events",
    "Finished": "events",
    "LocalLLM": "local_server",
    "PageSource": "ports",
    "RagjpEmbeddings": "embeddings",
    "RagjpReranker": "compressor",
    "RagjpRetriever": "retriever",
    "RagjpVectorStore": "vector_store",
    "Retrieved": "events",
    "Searcher": "ports",
    "Searching": "events",
    "TermStatistics": "ports",
    "answer_chain": "runnable",
    "check_citations": "grounding",
    "extract_answer": "extractive",
    "make_llm": "llm",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOME)
