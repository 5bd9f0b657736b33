"""Text to terms and chunks: one folding with a map back to the source, sentences, morphemes, chunks, dates and numbers."""
