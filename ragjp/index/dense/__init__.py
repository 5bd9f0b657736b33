"""Nearest neighbours by inner product: an oracle, exact search through codes, lists for indexes of millions, derived files."""
