"""Stressing: a model is put to shifted scans, case by case, and what it loses is written down.

OUT/
asked.json             what is measured: model, cases, shifts, rules; another wish takes another folder
measured/CASE/         rows of the clean case and of every shift; a killed run goes on after the last
stress.json .csv .md .html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from delineate.dataset import Dataset
from delineate.errors import DataError, Error, RunError
from delineate.evaluation import Row, Rules, evaluate_case
from delineate.evaluation.scores import report_of
from delineate.evaluation.stress import Stress, stress_of, stress_page, write_stress
from delineate.evaluation.stress.measured import BREAKS
from delineate.io.disk import write_text
from delineate.pipeline.asked import asked_otherwise
from delineate.pipeline.run_folder import signatures
from delineate.pipeline.watch import Watch
from delineate.record import Record
from delineate.shift import Example, Kind, Modality, kinds, shifted
from delineate.space import LabelMap, Volume

if TYPE_CHECKING:
    from delineate.inference import Segmenter
    from delineate.planning import Plan

ASKED = "asked.json"
CLEAN = "clean"
SEED = 20211


@dataclass(frozen=True)
class StressWishes:
    """What a model is put to.

    modality  of the scans: what may go wrong with them; None: as the plan's channels are normalised
    only      kinds of shift by name; None: all
    cases     by id; None: all labelled ones
    metrics   Dice must be among them
    breaks    Dice lost on average at which a shift is said to break the model
    """

    device: str = "cpu"
    modality: Modality | None = None
    only: tuple[str, ...] | None = None
    cases: tuple[str, ...] | None = None
    metrics: tuple[str, ...] = ("dice",)
    breaks: float = BREAKS
    seed: int = SEED


class Asked(Record):
    """What a folder of measurements belongs to."""

    version: int = 1
    model: str  # digest
    cases: dict[str, str]  # case -> signature of its files
    modality: str
    kinds: dict[str, tuple[str, ...]]
    rules: Rules
    seed: int


class Rows(Record):
    """What was measured of one case."""

    rows: tuple[Row, ...]
    note: str | None = None


def stress(
    model: Path,
    dataset: Path,
    out: Path,
    wishes: StressWishes,
    watch: Watch,
    *,
    layout: str | None = None,
) -> Stress:
    """What shifts of scanner, protocol and patient cost a model, on cases that it did not learn from.

    Raises:
        DataError: a kind or case that does not exist.
        RunError: the folder holds measurements of something else.
    """
    from delineate.inference import Segmenter
    from delineate.networks import Model

    opened = Dataset.open(dataset, layout=layout)
    chosen = opened if wishes.cases is None else opened.subset(wishes.cases)
    with watch.stage("open the model"):
        segmenter = Segmenter.open(model, device=wishes.device)
        digest = Model.open(model).digest
    modality = wishes.modality or modality_of(segmenter.plan)
    suite = _suite(segmenter.plan, modality, wishes.only)
    rules = Rules(metrics=wishes.metrics)
    known = signatures(chosen)
    asked = Asked(
        model=digest,
        cases={case.id: known[case.id] for case in chosen.cases},
        modality=modality,
        kinds={kind.name: tuple(kind.level(n) for n in range(1, len(kind.levels) + 1)) for kind in suite},
        rules=rules,
        seed=wishes.seed,
    )
    _refuse_other(out, asked)
    bench = _Bench(segmenter, chosen, suite, rules, out, wishes.seed)
    with watch.stage("stress") as progress:
        total = len(chosen.cases) * bench.rounds
        for number, case in enumerate(chosen.ids):
            for done, what in enumerate(bench.measure(case)):
                progress(number * bench.rounds + done, total, f"{case}: {what}")
        progress(total, total, "")
    found = bench.result(f"{segmenter.plan.dataset} under stress", modality, wishes.breaks)
    write_stress(found, out)
    write_text(out / "stress.html", stress_page(found))
    return found


def modality_of(plan: Plan) -> Modality:
    """What kind of scans a plan reads, by how its channels are normalised and named."""
    rules = {channel.normalization.rule for channel in plan.channels}
    names = {channel.name.casefold() for channel in plan.channels}
    if "ct" in rules:
        return "ct"
    return "picture" if "rgb" in rules or names >= {"red", "green", "blue"} else "mr"


@dataclass(frozen=True)
class _Bench:
    """Who segments shifted cases and measures them."""

    segmenter: Segmenter
    dataset: Dataset
    suite: tuple[Kind, ...]
    rules: Rules
    out: Path
    seed: int

    @property
    def tasks(self) -> tuple[tuple[Kind | None, int], ...]:
        """Clean, then every kind at every severity."""
        return ((None, 0), *((kind, n) for kind in self.suite for n in range(1, len(kind.levels) + 1)))

    @property
    def rounds(self) -> int:
        """How often each case is segmented."""
        return len(self.tasks)

    def file(self, case: str, kind: Kind | None, severity: int) -> Path:
        """Where the rows of a case are kept."""
        return self.out / "measured" / case / f"{CLEAN if kind is None else f'{kind.name}_{severity}'}.json"

    def measure(self, case: str) -> Iterator[str]:
        """Measures what of a case is not measured yet; says after each what it was."""
        example: Example | None = None
        for kind, severity in self.tasks:
            file = self.file(case, kind, severity)
            if not file.is_file():
                example = example or self._read(case)
                write_text(file, self._rows(case, example, kind, severity).to_json())
            yield CLEAN if kind is None else f"{kind.title}, {kind.level(severity)}"

    def _read(self, case: str) -> Example:
        scan, labels = self.dataset.pair(self.dataset.case(case))
        names = tuple(channel.name for channel in self.segmenter.plan.channels)
        if len(names) == len(scan.channels):
            scan = Volume(scan.array, scan.geometry, names, scan.source)
        return Example(scan, labels)

    def _rows(self, case: str, example: Example, kind: Kind | None, severity: int) -> Rows:
        """Rows of a case; a scan that the model refuses is one in which nothing was found."""
        if kind is not None:
            example = shifted(example, kind, severity, case=case, seed=self.seed)
        note = None
        try:
            found = self.segmenter.segment(example.scan).labels
        except Error as error:
            if kind is None:
                raise
            note = str(error).splitlines()[0]
            empty = np.zeros(example.scan.geometry.shape, np.uint8)
            found = LabelMap(empty, example.scan.geometry, self.segmenter.plan.labels)
        return Rows(rows=evaluate_case(example.labels, found, case, rules=self.rules), note=note)

    def result(self, title: str, modality: str, breaks: float) -> Stress:
        """All rows together."""
        groups = {case.id: case.group for case in self.dataset.cases}
        reports, notes = {}, []
        for kind, severity in self.tasks:
            kept = {case: Rows.load(self.file(case, kind, severity)) for case in self.dataset.ids}
            rows = [row for each in kept.values() for row in each.rows]
            name = CLEAN if kind is None else kind.name
            rng = np.random.default_rng(self.seed)
            reports[name, severity] = report_of(rows, title=title, rules=self.rules, groups=groups, rng=rng)
            refused = {case: each.note for case, each in kept.items() if each.note}
            if refused and kind is not None:
                case, why = next(iter(refused.items()))
                notes.append(
                    f"{kind.title}, {kind.level(severity)}: {len(refused)} scans were refused and count as "
                    f"nothing found ({case}: {why})."
                )
        facts = [
            (k.name, k.title, k.definition, tuple(k.level(n) for n in range(1, len(k.levels) + 1)))
            for k in self.suite
        ]
        clean = reports.pop((CLEAN, 0))
        return stress_of(clean, reports, facts, title=title, modality=modality, breaks=breaks, notes=notes)


def _suite(plan: Plan, modality: Modality, only: Sequence[str] | None) -> tuple[Kind, ...]:
    flat = all(configuration.median_shape[2] == 1 for configuration in plan.configurations.values())
    every = kinds(modality, channels=len(plan.channels), flat=flat, absent=plan.dispensable)
    if only is None:
        return every
    names = [kind.name for kind in every]
    strange = [name for name in only if name not in names]
    if strange or not only:
        raise DataError(
            f"there is no shift {', '.join(strange) or '(none named)'} of {modality} scans; there are "
            f"{', '.join(names)}."
        )
    return tuple(kind for kind in every if kind.name in only)


def _refuse_other(out: Path, asked: Asked) -> None:
    """Measurements of another model or of other shifts are not mixed with these."""
    if different := asked_otherwise(out / ASKED, asked):
        raise RunError(
            f"{out}: holds measurements with another {' and '.join(different)}. Name another folder, or "
            "remove this one."
        )
