"""Datasets and runs as others write them: BEIR, MTEB, TREC (``ragjp eval-convert``)."""
