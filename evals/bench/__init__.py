"""Benchmarks: how fast, how large and how good, each line beside a named peer or a written target (``make bench``).

What is compared is measured in one run, on one machine, question by question in turn (a b c, b c a, …), and told in medians. Before a
peer is timed, its results are compared with ours; where they cannot be the same, the line says so. One JSON file an item, with the
machine, the versions, the commit and the sizes, is in ``evals/results/bench``.
"""
