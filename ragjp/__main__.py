"""``python -m ragjp`` is ``ragjp``."""

import sys

from ragjp.cli import main

if __name__ == "__main__":
    sys.exit(main())
