"""A folder of small documents and the builds of it, for the tests of the jobs."""

from __future__ import annotations

from pathlib import Path

from ragjp.config import Recipe, parse_recipe
from ragjp.engine import Engine
from ragjp.jobs.build import BuildReport, build
from ragjp.types import View

EVERYONE = View.of("everyone")
FILES = {
    "規程/旅費.md": "# 旅費規程\n\n## 宿泊料\n\n課長の宿泊料は一泊一万二千円とする。\n\n## 日当\n\n日当は二千円とする。\n",
    "規程/休暇.txt": "第一条 年次有給休暇は二十日とする。\n\n第二条 休暇の申請は三日前までに行う。\n",
    "faq.html": "<html><head><title>よくある質問</title></head><body><h1>VPN</h1><p>VPNにつながらないときは情報システム課へ連絡してください。</p></body></html>",
}


def recipe(**changes: object) -> Recipe:
    values: dict[str, object] = {
        "name": "toy",
        "sources": [{"path": "source", "access": ["everyone"]}],
        "encoder": {"model": "hashing"},
    }
    return parse_recipe({**values, **changes}, where="test")


def run(base: Path, chosen: Recipe | None = None) -> BuildReport:
    return build(chosen or recipe(), base=base, into=base / "index")


def found(base: Path, query: str) -> list[tuple[str, str]]:
    with Engine.open(base / "index") as engine:
        return [(hit.doc_id, hit.text) for hit in engine.search(query, view=EVERYONE).hits]
