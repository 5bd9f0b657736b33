"""From a question to candidates: two rankings (lexical, dense) over one snapshot and one view, and their fusion."""
