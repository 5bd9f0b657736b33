"""What is chosen on training questions: weights, formulas, the signals of no answer. Never on a measured split."""
