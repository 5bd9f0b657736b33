"""Measuring ragjp: datasets in BEIR layout, conditions, measures, reports.

- ``dataset`` reads and checks; ``indexes`` builds or opens what is measured
- ``runner`` asks every question under every condition; ``answers`` checks answers and citations
- ``measures`` turns orders into figures; ``statistics`` says what is chance
- ``report`` writes it down; ``command`` is ``ragjp eval``
- ``fit`` learns fusion weights from a training split

Importing this package, or any module of it, loads nothing heavy.
"""
