"""BM25 over term fields: postings, statistics of a view, exact pruning; a NumPy path and compiled kernels with the same bits."""
