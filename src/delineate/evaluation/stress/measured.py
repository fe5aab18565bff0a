"""Stress: what a model loses when scans are shifted, by kind, severity and structure.

The loss is what a case has less than the same case has clean: patients are compared with themselves, so its
interval is narrower than those of the two means. A kind's corruption error is the mean of 1 - Dice over its
severities; its relative corruption error is what that is above the error of clean scans, the part that the
shift is to blame for.

Source: Hendrycks 2019, arXiv:1903.12261, section 4 (corruption error and relative corruption error, there
divided by those of a reference model; here they stand as they are).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from delineate.errors import DataError
from delineate.evaluation.markdown import markdown_table
from delineate.evaluation.measures import MEASURES
from delineate.evaluation.scores import Report
from delineate.evaluation.statistics import LEVEL, METHOD, Bootstrap, Estimate, Numbers
from delineate.io.disk import write_text
from delineate.record import Record

SEED = 20211  # of the draws: the same table twice
BREAKS = 0.1  # Dice lost on average at which a model is called broken, where no other limit is given
ALL = "mean of structures"


class Cell(Record):
    """One structure at one severity of one kind, by one metric; None is the mean of structures.

    mean, low, high             of the shifted cases
    loss, loss_low, loss_high   what is worse than clean, in the same cases: positive is worse
    missing                     values that shifted cases lack and clean ones have
    """

    kind: str
    severity: int
    level: str
    structure: str | None
    metric: str
    cases: int
    missing: int
    mean: float | None
    low: float | None
    high: float | None
    loss: float | None
    loss_low: float | None
    loss_high: float | None


class KindResult(Record):
    """A kind of shift over all its severities, by Dice.

    error, relative_error  corruption error, and what of it is above the error of clean scans
    breaks_at              first severity that costs as much as the limit; None: none does
    is_proven              whether the interval of the loss at that severity lies above the limit too
    """

    kind: str
    title: str
    definition: str
    levels: tuple[str, ...]
    error: float | None
    relative_error: float | None
    relative_low: float | None
    relative_high: float | None
    worst: float | None  # the largest loss of all severities
    breaks_at: int | None
    is_proven: bool


class Stress(Record):
    """What a model was put to, and what it lost.

    kinds  in the order in which they break the model; those that do not, by their relative error
    notes  what failed or was left out
    """

    version: Literal[1] = 1
    title: str
    modality: str
    breaks: float
    metrics: tuple[str, ...]
    structures: tuple[str, ...]
    cases: int
    patients: int
    clean: tuple[Cell, ...]
    cells: tuple[Cell, ...]
    kinds: tuple[KindResult, ...]
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """Which shift breaks the model first, in a sentence."""
        first = self.kinds[0]
        if first.breaks_at is None:
            if first.relative_error is None:
                return "Nothing could be measured on shifted scans."
            return (
                f"No shift costs {self.breaks:g} Dice at any severity; the most is lost to {first.title} "
                f"({first.worst:.3f})."
            )
        tied = [k for k in self.kinds[1:] if k.breaks_at == first.breaks_at]
        then = f"; at the same severity also {_listed([k.title for k in tied])}" if tied else ""
        proven = "" if first.is_proven else ", which so few patients do not prove"
        loss = self.cell(first.kind, first.breaks_at, None).loss
        return (
            f"{first.title[:1].upper()}{first.title[1:]} breaks it first: at severity {first.breaks_at} "
            f"({first.levels[first.breaks_at - 1]}) {loss:.3f} Dice are lost{proven}{then}."
        )

    def cell(self, kind: str, severity: int, structure: str | None, metric: str = "dice") -> Cell:
        """One result; severity 0 is clean.

        Raises:
            DataError: that was not measured.
        """
        wanted = (kind if severity else "clean", severity, structure, metric)
        for cell in (*self.clean, *self.cells):
            if (cell.kind, cell.severity, cell.structure, cell.metric) == wanted:
                return cell
        raise DataError(
            f"nothing was measured of {structure or ALL} by {metric} at severity {severity} of {kind!r}; "
            f"kinds are {', '.join(k.kind for k in self.kinds)}"
        )

    def to_csv(self) -> str:
        """A line per kind, severity, structure and metric; the clean scans first."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(Cell.model_fields)
        for cell in (*self.clean, *self.cells):
            values = cell.but(structure=cell.structure or ALL).model_dump().values()
            writer.writerow("" if v is None else repr(v) if isinstance(v, float) else v for v in values)
        return text.getvalue()

    def to_markdown(self) -> str:
        """The verdict, a table of kinds, and how it was found."""
        heads, rows = self.table()
        lines = [self.verdict, markdown_table(heads, rows)]
        lines.append("\n".join(f"- {note}" for note in (*self.notes, *self.how)))
        return "\n\n".join(lines) + "\n"

    def table(self, structure: str | None = None) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Heads and rows: a line per kind with Dice clean and at each severity."""
        most = max(len(kind.levels) for kind in self.kinds)
        heads = (
            "shift",
            "clean",
            *(f"severity {n}" for n in range(1, most + 1)),
            "lost on average",
            "breaks at",
        )
        clean = told(self.cell("clean", 0, structure))
        rows = []
        for kind in self.kinds:
            cells = [told(self.cell(kind.kind, n, structure)) for n in range(1, len(kind.levels) + 1)]
            cells += [""] * (most - len(cells))
            where = "no severity" if kind.breaks_at is None else f"{kind.levels[kind.breaks_at - 1]}"
            rows.append((kind.title, clean, *cells, _relative(kind), where))
        return heads, rows

    @property
    def how(self) -> tuple[str, ...]:
        """How it was found, in sentences."""
        return (
            f"{self.cases} cases of {self.patients} patients, each clean and at every severity, as scans of "
            f"the kind {self.modality}.",
            "Mean Dice [95 % interval over patients]; lost on average: relative corruption error, the mean "
            "over severities of what a case loses against itself clean.",
            f"Broken: {self.breaks:g} Dice lost on average over structures.",
            "Severities are the suite's: how often a clinic meets them is not known from this.",
        )


def stress_of(
    clean: Report,
    shifted: Mapping[tuple[str, int], Report],
    kinds: Sequence[tuple[str, str, str, tuple[str, ...]]],
    *,
    title: str,
    modality: str,
    breaks: float = BREAKS,
    notes: Sequence[str] = (),
    rng: np.random.Generator | None = None,
) -> Stress:
    """What shifts cost, from the report of clean scans and one per kind and severity, on the same cases.

    kinds  name, title, definition and the level of each severity in words

    Raises:
        DataError: the reports are not about the same cases, or Dice was not measured.
    """
    if "dice" not in clean.metrics:
        raise DataError(f"what shifts cost is told in Dice; measured were {', '.join(clean.metrics)}.")
    for (kind, severity), report in shifted.items():
        if report.cases != clean.cases or report.structures != clean.structures:
            raise DataError(f"{kind} at severity {severity} is not about the same cases as the clean scans.")
    rng = np.random.default_rng(SEED) if rng is None else rng
    bench = _Bench(clean, Bootstrap.drawn([clean.groups[case] for case in clean.cases], rng))
    base = [*bench.cells(clean, "clean", 0, "")]
    cells: list[Cell] = []
    results: list[KindResult] = []
    for name, head, definition, levels in kinds:
        mine = {n: shifted[name, n] for n in range(1, len(levels) + 1)}
        for severity, report in mine.items():
            cells += bench.cells(report, name, severity, levels[severity - 1])
        results.append(bench.kind((name, head, definition, levels), list(mine.values()), breaks))
    return Stress(
        title=title,
        modality=modality,
        breaks=breaks,
        metrics=clean.rules.metrics,
        structures=clean.structures,
        cases=len(clean.cases),
        patients=bench.bootstrap.groups,
        clean=tuple(base),
        cells=tuple(cells),
        kinds=tuple(sorted(results, key=_order)),
        notes=tuple(notes),
    )


def write_stress(stress: Stress, folder: Path) -> None:
    """Writes stress.json, stress.csv and stress.md into a folder."""
    write_text(folder / "stress.json", stress.to_json())
    write_text(folder / "stress.csv", stress.to_csv())
    write_text(folder / "stress.md", f"# {stress.title}\n\n{stress.to_markdown()}")


def told(cell: Cell) -> str:
    """Mean and interval as they stand in a table."""
    if cell.mean is None:
        return "missing"
    if cell.low is None or cell.high is None:
        return f"{cell.mean:.3f}"
    return f"{cell.mean:.3f} [{cell.low:.3f}, {cell.high:.3f}]"


class _Bench:
    """Reports on the same cases as columns, and one set of draws for all of them."""

    def __init__(self, clean: Report, bootstrap: Bootstrap) -> None:
        self.clean, self.bootstrap = clean, bootstrap

    def cells(self, report: Report, kind: str, severity: int, level: str) -> Iterator[Cell]:
        """Every structure and their mean, by every metric."""
        for metric in report.rules.metrics:
            means: list[Estimate] = []
            losses: list[Estimate] = []
            for structure in (*report.structures, None):
                column = _column(report, structure, metric)
                loss = _loss(self.clean, report, structure, metric)
                if structure is None:
                    mean, lost = _average(means), _average(losses)
                else:
                    mean, lost = self.bootstrap.mean(column), self.bootstrap.mean(loss)
                    means += [mean] if mean else []
                    losses += [lost] if lost else []
                before = _column(self.clean, structure, metric)
                yield Cell(
                    kind=kind,
                    severity=severity,
                    level=level,
                    structure=structure,
                    metric=metric,
                    cases=int(np.sum(~np.isnan(column))),
                    missing=int(np.sum(np.isnan(column) & ~np.isnan(before))),
                    **_ends("", "mean", mean),
                    **_ends("loss_", "loss", lost),
                )

    def kind(
        self, facts: tuple[str, str, str, tuple[str, ...]], reports: Sequence[Report], breaks: float
    ) -> KindResult:
        """A kind over its severities, by Dice."""
        losses = [self._over_structures(report) for report in reports]
        there = [loss for loss in losses if loss is not None]
        whole = _average(there)
        errors = [1 - mean for report in reports if (mean := report.mean("dice")) is not None]
        broken = next((n for n, loss in enumerate(losses, 1) if loss and loss.value >= breaks), None)
        found = None if broken is None else losses[broken - 1]
        ends = found.interval(METHOD, LEVEL) if found else None
        name, title, definition, levels = facts
        return KindResult(
            kind=name,
            title=title,
            definition=definition,
            levels=levels,
            error=float(np.mean(errors)) if errors else None,
            worst=max((loss.value for loss in there), default=None),
            breaks_at=broken,
            is_proven=ends is not None and ends[0] >= breaks,
            **_ends("relative_", "relative_error", whole),
        )

    def _over_structures(self, report: Report) -> Estimate | None:
        columns = [_loss(self.clean, report, structure, "dice") for structure in report.structures]
        return _average([e for column in columns if (e := self.bootstrap.mean(column)) is not None])


def _average(parts: Sequence[Estimate]) -> Estimate | None:
    return Estimate.average(parts) if parts else None


def _ends(prefix: str, name: str, estimate: Estimate | None) -> dict[str, float | None]:
    """The estimate and its interval as fields of a record."""
    ends = estimate.interval(METHOD, LEVEL) if estimate else None
    return {
        name: estimate.value if estimate else None,
        f"{prefix}low": ends[0] if ends else None,
        f"{prefix}high": ends[1] if ends else None,
    }


def _column(report: Report, structure: str | None, metric: str) -> Numbers:
    """(case,) the values of a structure, NaN where missing; None: of a case's mean over structures."""
    found = report.case_means(metric) if structure is None else report.values(structure, metric)
    return np.array([np.nan if found[case] is None else found[case] for case in report.cases], dtype=float)


def _loss(clean: Report, report: Report, structure: str | None, metric: str) -> Numbers:
    """(case,) by how much the shifted case is worse than the clean one."""
    sign = 1.0 if MEASURES[metric].best == "high" else -1.0
    before, after = _column(clean, structure, metric), _column(report, structure, metric)
    if MEASURES[metric].best == "zero":
        before, after = np.abs(before), np.abs(after)
    return np.asarray(sign * (before - after))


def _order(kind: KindResult) -> tuple[float, float]:
    """Those that break the model first come first; then those that cost most."""
    return (kind.breaks_at or np.inf, -(kind.relative_error or 0.0))


def _relative(kind: KindResult) -> str:
    if kind.relative_error is None:
        return "missing"
    if kind.relative_low is None or kind.relative_high is None:
        return f"{kind.relative_error:.3f}"
    return f"{kind.relative_error:.3f} [{kind.relative_low:.3f}, {kind.relative_high:.3f}]"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]
