"""The command line: it parses, calls the public API, and prints. It does not think."""

from ragjp.cli.entry import main

__all__ = ["main"]
