"""The open index behind the page, and as whom it is read."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import streamlit as st

import ragjp
from ragjp.config import UISettings
from ragjp.errors import IndexMissing
from ui import text
from ui.inert import draw_text

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Session:
    """An open index and the view that every read from this page takes."""

    engine: ragjp.Engine
    view: ragjp.View


@st.cache_resource(max_entries=4, show_spinner=text.OPENING)
def _engine(path: str) -> ragjp.Engine:
    """Open an index once for all browsers; a failed opening is not kept."""
    return ragjp.open_index(path)


def open_session(settings: UISettings) -> Session:
    """Open the index, or move the open one to its newest generation.

    Raises
    ------
    ragjp.RagjpError
        When there is no index, or it cannot be used; the next call opens it anew.
    """
    path = str(settings.index.resolve())
    engine = _engine(path)
    try:
        engine.refresh()
    except ragjp.RagjpError:
        _engine.clear(path)
        raise
    return Session(engine, ragjp.View.of(*settings.principals))


@contextmanager
def failures_in_words() -> Iterator[None]:
    """Draw a failure as one sentence; the traceback goes to the server's log, never to the page."""
    try:
        yield
    except ragjp.RagjpError as error:
        with st.container(border=True, key="failure"):
            st.error(text.FAILED)
            draw_text(error.sentence)
            if isinstance(error, IndexMissing):
                st.caption(text.BUILD_INDEX)
    except Exception:
        _log.exception("the page failed")
        st.error(text.UNEXPECTED)
