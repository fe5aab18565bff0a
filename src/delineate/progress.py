"""Progress: how long work tells its caller how far it is, without printing.

Stages take `progress: Progress = silent` and call it as things get done. The command line draws a bar.
"""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int, str], None]  # done, total, what is being done ("case_017")


def silent(done: int, total: int, what: str) -> None:
    """Says nothing: the default where nobody watches."""
