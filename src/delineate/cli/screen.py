"""Screen: what a person sees while work goes on.

Results go to stdout, progress to stderr. Bars appear only where stderr is a terminal; elsewhere each
stage leaves one line when it is done.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from delineate.progress import Progress, silent

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from delineate.training import Step

BAR_AFTER_S = 1.0  # shorter work draws no bar


class Screen:
    """Draws stages, trainings, tables and messages; a `pipeline.Watch`."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.out = Console(highlight=False, soft_wrap=True)
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """One line for the person who waits."""
        if not self.quiet:
            self.err.print(text, markup=False)

    def result(self, text: str) -> None:
        """A result, to stdout whatever the options."""
        self.out.print(text, markup=False)

    def json(self, value: Any) -> None:
        """A result for machines."""
        self.out.print(json.dumps(value, indent=2, ensure_ascii=False), markup=False)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A result as a table."""
        table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
        for number, column in enumerate(columns):
            table.add_column(column, overflow="fold", no_wrap=number == 0)  # a broken name cannot be found
        for row in rows:
            table.add_row(*(str(cell).replace("[", r"\[") for cell in row))
        self.out.print(table)

    @contextmanager
    def stage(self, title: str) -> Iterator[Progress]:
        """A named piece of work; yields what to call as it goes on."""
        start = time.monotonic()
        if self.quiet:
            yield silent
            return
        if not self.err.is_terminal:
            counter = _Counter()
            yield counter
            self.say(f"{title}: {counter.text}done in {duration(time.monotonic() - start)}")
            return
        with self._bars() as bars:
            task = bars.add_task(title, total=None, note="")

            def progress(done: int, total: int, what: str) -> None:
                bars.update(task, completed=done, total=total, note=what)

            yield progress
        self.say(f"{title}: done in {duration(time.monotonic() - start)}")

    @contextmanager
    def training(self, title: str) -> Iterator[Any]:
        """A training; yields what to call with every `training.Step`."""
        start = time.monotonic()
        last: list[Step] = []
        if self.quiet:
            yield last.append
            return
        if self.err.is_terminal:
            with self._bars() as bars:
                task = bars.add_task(title, total=1000, note="")

                def show(step: Step) -> None:
                    last[:] = [_with_validation(step, last)]
                    bars.update(task, completed=int(1000 * step.progress), note=described(last[0]))

                yield show
        else:
            yield self._milestones(title, last)
        if last:
            took = duration(time.monotonic() - start)
            self.say(f"{title}: {last[0].step} steps in {took}{_pseudo_dice(last[0])}")

    def _milestones(self, title: str, last: list[Step]) -> Any:
        """Without a terminal: a line at each tenth of the training."""

        def show(step: Step) -> None:
            before = last[0].progress if last else 0.0
            last[:] = [_with_validation(step, last)]
            if int(step.progress * 10) > int(before * 10):
                self.say(f"{title}: {step.progress:4.0%}  {described(last[0])}")

        return show

    def _bars(self) -> Bars:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        return Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self.err,
            transient=True,
        )


class _Counter:
    """Remembers how many things were done, for the closing line."""

    def __init__(self) -> None:
        self.text = ""

    def __call__(self, done: int, total: int, what: str) -> None:
        self.text = f"{done} of {total}, " if total else ""


def described(step: Step) -> str:
    """A training step in a few words."""
    told = f"step {step.step}  loss {step.loss:.3f}{_pseudo_dice(step)}"
    return f"{told}  {duration(step.remaining_s)} left"


def _pseudo_dice(step: Step) -> str:
    return "" if step.validation is None else f"  {step.validation.title} {step.validation.mean_dice:.3f}"


def _with_validation(step: Step, last: Sequence[Step]) -> Step:
    """The step with the newest validation there is."""
    if step.validation is not None or not last:
        return step
    return replace(step, validation=last[0].validation)


def duration(seconds: float) -> str:
    """A length of time as a person says it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
