"""Training of the token vectors: ``python -m evals.train`` (a developer's tool; needs torch, scipy and JaQuAD).

``material`` cuts the training articles into chunks and finds hard negatives, ``layers`` is the encoder in torch, ``batches``
puts passages that are mistaken for each other side by side, ``objective`` is what is made small, ``__main__`` runs it.
"""
