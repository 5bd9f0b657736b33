"""Looking after an index: check, repair, backup and restore."""
