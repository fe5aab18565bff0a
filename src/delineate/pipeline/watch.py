"""Watch: who looks on while a run goes through its stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from delineate.progress import Progress, silent

if TYPE_CHECKING:
    from delineate.training import Step


class Watch(Protocol):
    """The command line draws what it is told; `Unwatched` does not."""

    def say(self, text: str) -> None:
        """Something worth knowing."""

    def stage(self, title: str) -> AbstractContextManager[Progress]:
        """A stage begins; its progress is called as it goes on."""

    def training(self, title: str) -> AbstractContextManager[Callable[[Step], None]]:
        """A training begins; what comes back is called with every step."""


class Unwatched:
    """A watch that nobody keeps."""

    def say(self, text: str) -> None:
        """Says nothing."""

    @contextmanager
    def stage(self, title: str) -> Iterator[Progress]:
        """Shows nothing."""
        yield silent

    @contextmanager
    def training(self, title: str) -> Iterator[Callable[[Step], None]]:
        """Shows nothing."""
        yield lambda step: None
