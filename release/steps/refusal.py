"""How the scripts say no: a sentence on stderr, and the exit code 1."""

import sys
from pathlib import Path


class Refused(Exception):
    """A sentence that says what is wrong and what to do."""


def run(main):
    try:
        main()
    except Refused as sentence:
        sys.exit(f"release/{Path(sys.argv[0]).name}: {sentence}")
