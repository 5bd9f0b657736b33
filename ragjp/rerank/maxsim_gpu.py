"""MaxSim on a GPU: the launchers of :file:`kernels/maxsim_*.cu`, beside the formulas that they must agree with."""

from __future__ import annotations

from ragjp.cuda.source import Source

KERNELS = "ragjp.rerank.kernels"
QUERY = Source(KERNELS, ("maxsim_query.cu",))
#: Every variant that may be compiled.
SOURCES = (QUERY,)
