"""Nothing leaves the building: the switches of other people's libraries that would phone home, all in one place.

They are set, not defaulted: a value inherited from somebody's shell profile must not switch reporting back on. Only processes
that ragjp starts itself (the command line, the web page, an evaluation) call this; a program that imports ragjp keeps its own
environment, and loads local models because the encoders never ask for anything else.
"""

from __future__ import annotations

import os

SWITCHES = {
    # Hugging Face: local files only, no usage reports.
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_OFFLINE": "1",
    # LangChain and LangSmith: no traces.
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
    # Streamlit: no usage statistics.
    "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
    # Everybody who honours the common request.
    "DO_NOT_TRACK": "1",
}


def stay_offline() -> None:
    """Switch off every report and every download that a library would start by itself, in this process and its children."""
    os.environ.update(SWITCHES)
