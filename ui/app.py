"""The page's entry: ``streamlit run ui/app.py -- --index indexes/demo``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import streamlit as st

_FOLDER = Path(__file__).resolve().parent
if str(_FOLDER.parent) not in sys.path:  # `streamlit run` in a checkout that is not installed
    sys.path.append(str(_FOLDER.parent))

from ragjp.config import ui_settings  # noqa: E402
from ui import ask, search, text  # noqa: E402
from ui.session import failures_in_words, open_session  # noqa: E402


def _index_argument() -> Path | None:
    """Return the folder named after ``--``, if there is one."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--index", type=Path, default=None)
    known, _ = parser.parse_known_args(sys.argv[1:])
    index: Path | None = known.index
    return index


def ask_page() -> None:
    """Draw the page that answers a question."""
    with failures_in_words():
        ask.draw(open_session(ui_settings(_index_argument())))


def search_page() -> None:
    """Draw the page that finds passages."""
    with failures_in_words():
        search.draw(open_session(ui_settings(_index_argument())))


def main() -> None:
    """Draw the page that the address names."""
    # A ":material/…:" icon of the page, unlike those inside it, would be fetched from fonts.gstatic.com.
    st.set_page_config(page_title=text.APP, page_icon=str(_FOLDER / "icon.svg"), layout="centered")
    st.html(_FOLDER / "style.css")
    page = st.navigation(
        [
            st.Page(ask_page, title=text.ASK, icon=":material/chat:", url_path="ask", default=True),
            st.Page(search_page, title=text.SEARCH, icon=":material/search:", url_path="search"),
        ],
        position="top",
    )
    page.run()


if __name__ == "__main__":  # as Streamlit runs it
    main()
