"""Together: every case read by everybody, and what that says in the end."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from delineate.errors import DataError
from delineate.evaluation.raters.agreement import Agreement, Cell, People, Reader
from delineate.evaluation.raters.fusion import FusionRules
from delineate.evaluation.raters.ledger import Average, Ledger, PairValue, mean_of
from delineate.evaluation.raters.readings import CaseReadings, Pairing, Reading, read_case
from delineate.evaluation.raters.standing import Margin, standing_of
from delineate.evaluation.raters.style import following_of, traits_of
from delineate.progress import Progress, silent
from delineate.record import Record
from delineate.space import LabelMap

Load = Callable[[str], Mapping[str, LabelMap]]  # case -> reader -> map, without who has none

SEED = 20211  # of the bootstrap where no generator is given: the same report twice


@dataclass(frozen=True)
class Readings:
    """Everything that was read, case by case.

    absent   reader -> cases that they did not label
    skipped  cases that fewer than two raters labelled
    """

    raters: tuple[str, ...]
    model: str | None
    rules: FusionRules
    cases: tuple[CaseReadings, ...]
    absent: Mapping[str, tuple[str, ...]]
    skipped: tuple[str, ...]

    def pairs_csv(self) -> str:
        """A line for every two readers, structure and case; a missing value is an empty field."""
        return _csv(Pairing, [row for case in self.cases for row in case.pairings])

    def readings_csv(self) -> str:
        """A line for every reader, structure and case."""
        return _csv(Reading, [row for case in self.cases for row in case.readings])


def read_together(
    cases: Sequence[str],
    load: Load,
    raters: Sequence[str],
    *,
    model: str | None = None,
    rules: FusionRules | None = None,
    workers: int = 1,
    progress: Progress = silent,
) -> Readings:
    """What the raters, and a model, drew in many cases.

    load  gives the maps of a case by reader, without those who have none; called in `workers` threads

    Raises:
        DataError: fewer than two raters, one name twice, no case that two of them labelled.
        GeometryError: maps of one case are on different grids.
    """
    readers = (*raters, *((model,) if model else ()))
    if len(raters) < 2 or len(set(readers)) != len(readers):
        raise DataError(
            f"agreement is between two raters at least, each with a name of their own; got "
            f"{', '.join(readers) or 'nobody'}."
        )
    rules = rules or FusionRules()
    absent: dict[str, list[str]] = {reader: [] for reader in readers}
    found: list[CaseReadings] = []
    skipped: list[str] = []

    def read(case: str) -> tuple[frozenset[str], CaseReadings | None]:
        maps = load(case)
        drawn = {rater: maps[rater] for rater in raters if rater in maps}
        if len(drawn) < 2:
            return frozenset(maps), None
        shown = (model, maps[model]) if model and model in maps else None
        return frozenset(maps), read_case(case, drawn, model=shown, rules=rules)

    with ThreadPoolExecutor(workers) as pool:
        for done, (case, (there, what)) in enumerate(zip(cases, pool.map(read, cases), strict=True), 1):
            for reader in readers:
                if reader not in there:
                    absent[reader].append(case)
            (found.append(what) if what else skipped.append(case))
            progress(done, len(cases), case)
    if not found:
        raise DataError(
            f"no case was labelled by two raters: {', '.join(raters)} share none of {len(cases)} cases. "
            "Files are matched by name, without suffix."
        )
    missing = {reader: tuple(names) for reader, names in absent.items()}
    return Readings(tuple(raters), model, rules, tuple(found), missing, tuple(skipped))


def agreement_of(
    readings: Readings,
    *,
    groups: Mapping[str, str] | None = None,
    margin: Margin | None = None,
    title: str = "Agreement",
    rng: np.random.Generator | None = None,
) -> Agreement:
    """What the readings say together.

    groups  case -> patient; a case that is not named is a patient of its own
    rng     draws the bootstrap of the intervals; None draws the same one every time
    """
    rng = np.random.default_rng(SEED) if rng is None else rng
    margin = margin or Margin()
    cases = [case.sittings[0].case for case in readings.cases]
    patients = {case: (groups or {}).get(case, case) for case in cases}
    ledger = Ledger.of(readings.cases, patients, rng)
    raters, model = readings.raters, readings.model
    readers = (*raters, *((model,) if model else ()))
    return Agreement(
        title=title,
        raters=raters,
        model=model,
        rules=readings.rules,
        margin=margin,
        groups=patients,
        structures=ledger.structures,
        absent=dict(readings.absent),
        skipped=readings.skipped,
        alike=tuple(_alike(ledger, raters)),
        people=tuple(_people(ledger, structure, raters) for structure in ledger.structures),
        readers=tuple(_reader(ledger, s, reader, raters) for s in ledger.structures for reader in readers),
        cells=tuple(_cells(ledger, readers)),
        traits=(*traits_of(ledger, raters, raters), *(traits_of(ledger, raters, (model,)) if model else ())),
        standings=tuple(
            standing_of(ledger, s, raters, model, margin) for s in ledger.structures if model is not None
        ),
        followings=following_of(ledger, raters, model) if model else (),
    )


# --- summaries


def _people(ledger: Ledger, structure: str, raters: Sequence[str]) -> People:
    def apart(value: PairValue) -> Average:
        pairs = [ledger.pair(structure, a, b, value) for a, b in combinations(raters, 2)]
        return ledger.average(mean_of([np.abs(pair) for pair in pairs]))

    voxels = ledger.sitting(structure, "consensus_voxels")
    volumes = [ledger.reading(structure, rater, "volume_ml") for rater in raters]
    return People(
        structure=structure,
        dice=apart("dice"),
        hd95_mm=apart("hd95_mm"),
        volume_difference=apart("volume_bias"),
        kappa=ledger.average(ledger.sitting(structure, "kappa")),
        empty=int((mean_of(volumes) == 0).sum()),
        voxels=float(np.median(voxels[voxels > 0])) if (voxels > 0).any() else None,
    )


def _reader(ledger: Ledger, structure: str, reader: str, raters: Sequence[str]) -> Reader:
    return Reader(
        structure=structure,
        reader=reader,
        sensitivity=ledger.average(ledger.reading(structure, reader, "sensitivity")),
        specificity=ledger.average(ledger.reading(structure, reader, "specificity")),
        dice=ledger.average(ledger.reading(structure, reader, "dice")),
        dice_of_others=ledger.average(ledger.reading(structure, reader, "dice_of_others")),
        dice_each=ledger.average(ledger.with_each(structure, reader, raters, "dice")),
        hd95_each_mm=ledger.average(ledger.with_each(structure, reader, raters, "hd95_mm")),
    )


def _cells(ledger: Ledger, readers: Sequence[str]) -> Iterator[Cell]:
    values: tuple[PairValue, ...] = ("dice", "kappa", "hd95_mm", "volume_bias", "offset_mm")
    for structure in ledger.structures:
        for value in values:
            for one, other in combinations(readers, 2):
                average = ledger.average(ledger.pair(structure, one, other, value))
                yield Cell(structure=structure, value=value, one=one, other=other, average=average)


def _alike(ledger: Ledger, raters: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Raters whose every Dice is exactly 1, in two cases at least."""
    for one, other in combinations(raters, 2):
        every = np.array([ledger.pair(structure, one, other, "dice") for structure in ledger.structures])
        there = ~np.isnan(every)
        if there.any(axis=0).sum() >= 2 and (every[there] == 1).all():
            yield one, other


def _csv(kind: type[Record], rows: Sequence[Record]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    fields = tuple(kind.model_fields)
    writer.writerow(fields)
    for row in rows:
        values = [getattr(row, name) for name in fields]
        writer.writerow(["" if value is None else value for value in values])
    return text.getvalue()
