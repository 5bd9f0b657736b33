"""What ``ragjp doctor`` says of a machine that works, only slower than it could."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from ragjp.doctor import available_bytes, query_splitter


def test_available_memory_counts_what_the_kernel_would_give_back(tmp_path: Path) -> None:
    """A machine with full caches called full: nobody would start a build on it."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 100 kB\nMemFree: 10 kB\nMemAvailable:      80 kB\n", "ascii")
    assert available_bytes(meminfo) == 80 * 1024


@pytest.mark.parametrize("said", [None, "MemFree: 10 kB\n", "MemAvailable: \n"])
def test_a_kernel_that_does_not_say_is_no_failure(tmp_path: Path, said: str | None) -> None:
    """A report that ends where the system is another one."""
    meminfo = tmp_path / "meminfo"
    if said is not None:
        meminfo.write_text(said, "ascii")
    assert available_bytes(meminfo) > 0


def test_the_slow_way_to_split_a_question_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every process a second slower than it need be, and nothing says why."""
    folder = tmp_path / "model"
    assert query_splitter(folder).state == "info"
    folder.mkdir()
    missing = query_splitter(folder)
    assert missing.state == "off"
    assert "tokenizers" in missing.text
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    refused = query_splitter(folder)
    assert str(folder) in refused.text
    assert refused.text != missing.text
    (folder / f"pieces-{unicodedata.unidata_version}").mkdir()
    assert query_splitter(folder).state == "on"
