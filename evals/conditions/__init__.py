"""Conditions: what is measured, with what, and what must come of it, as one TOML file each in this folder.

``python -m evals.conditions`` reruns those on data of this project (``make eval``); with ``--data FOLDER`` those on benchmarks
too (``make quality``). It exits with 1 when a score is below what is expected, when something that must be beaten is not, or when
the gate of a baseline closes. ``--update`` writes what was measured back into the files, for a person to read as a diff.
"""
