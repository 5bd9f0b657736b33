"""Other ways to write and to ask: pairs of writings, changed questions."""
