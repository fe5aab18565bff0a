"""Belt: while one case is worked on, the next is read and the last is written.

Threads of this process, one to read and one to write: nothing is imported or copied again. At most three
cases are on the belt, and they come off it in their order. What goes wrong with one is its own outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from delineate.errors import Error

Case = TypeVar("Case")
Read = TypeVar("Read")
Done = TypeVar("Done")


def carried(
    cases: Sequence[Case],
    read: Callable[[Case], Read],
    work: Callable[[Case, Read], Done],
    write: Callable[[Case, Done], None],
    *,
    together: Callable[[Read, Case], bool] = lambda here, following: True,
) -> Iterator[tuple[Case, Error | None]]:
    """Each case with what went wrong, in order, once it is written.

    work      runs in the thread of who asks
    together  whether another case may be read, and the last one written, while this one is worked on

    Whatever else is raised, such as by who interrupts, ends the belt after what is being written is whole.
    """
    with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "write") as writer:
        written: _Written[Case] = _Written()
        reading = [reader.submit(read, case) for case in cases[:1]]
        for number, case in enumerate(cases):
            after = cases[number + 1 : number + 2]
            try:
                here = reading.pop().result()
                if all(together(here, following) for following in after):
                    reading = [reader.submit(read, following) for following in after]
                else:
                    yield from written.off()
                done = work(case, here)
            except Error as error:
                yield from written.off()
                yield case, error
            else:
                yield from written.off()
                written.on(case, writer.submit(write, case, done))
                del here, done  # what is done with needs no memory
            reading = reading or [reader.submit(read, following) for following in after]
        yield from written.off()


class _Written(Generic[Case]):
    """The case that is being written, if there is one."""

    def __init__(self) -> None:
        self._case: list[tuple[Case, Future[None]]] = []

    def on(self, case: Case, writing: Future[None]) -> None:
        """Now this one is."""
        self._case = [(case, writing)]

    def off(self) -> Iterator[tuple[Case, Error | None]]:
        """The case once it is written, with what went wrong."""
        for case, writing in self._case:
            error = writing.exception()
            if error is not None and not isinstance(error, Error):
                raise error
            yield case, error
        self._case = []
