from __future__ import annotations

import pytest

from ragjp import compiled
from ragjp.index.lexical import blocks as lexical_blocks
from ragjp.index.lexical import search as lexical
from ragjp.index.lexical.terms import KERNELS


@pytest.fixture(params=["blocks", "whole", "mixed", "numpy"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """All paths of the lexical index; small blocks, so that small indexes have many of them."""
    if request.param == "numpy":
        monkeypatch.setattr(compiled, "ready", lambda module: None)
    elif compiled.load(KERNELS) is None:
        pytest.skip(compiled.why_not())
    else:
        largest = {"blocks": 0, "whole": 1 << 16, "mixed": 8}[request.param]
        monkeypatch.setattr(lexical, "_WHOLE", largest)
    monkeypatch.setattr(lexical_blocks, "bits_for", lambda n_rows: 2)
    return str(request.param)
