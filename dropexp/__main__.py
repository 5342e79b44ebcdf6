"""The command `dropexp`, and `python -m dropexp`: whatever happens from its first import on is answered."""

import atexit
import gc
import sys

from dropexp.answers import answers


def main() -> None:
    gc.set_threshold(50_000, 20, 100)  # modules stay: to look for garbage among them costs 0.2 s of torch's import
    atexit.register(_leave_modules)
    with answers():
        from dropexp.cli import app

        app()


def _leave_modules() -> None:
    """Nor at the end, for memory that nobody needs any more: half a second. Only Triton would complain of the rest."""
    if "triton" not in sys.modules:
        gc.freeze()


if __name__ == "__main__":
    main()
