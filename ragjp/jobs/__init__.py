"""Building an index from sources: what changed is planned first, then read, analysed, embedded and committed batch by batch."""
