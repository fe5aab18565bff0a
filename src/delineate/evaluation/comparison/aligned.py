"""Aligned: reports of several models on the same cases, measured by the same rules.

Two reports say something about two models only if everything else is equal: the cases, the references, the
rules, and who is one patient. What differs is refused; cases that one of them lacks may be left out, if that
is asked for, because a model that fails in a hard case would profit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from delineate.errors import DataError
from delineate.evaluation.measures import MEASURES
from delineate.evaluation.scores import Report
from delineate.evaluation.statistics import Numbers
from delineate.record import Record

Missing = Literal["left out", "judged"]
"""What a case is in which one model has a value and another has none.

left out  no pair; how many there are is said
judged    a model that rightly found nothing gets the best value there is (1, or 0 mm); one that missed
          the structure or invented it gets 0, or the largest distance that any of the models has
"""

USUAL = ("dice", "nsd", "hd95", "volume_error_relative")
SIZES = ("_reference", "_prediction")  # ends of names of what is no judgement: volumes, diameters, counts
FREE = ("metrics", "interval", "regrid")  # rules that may differ: they do not change a value
SAME = 1e-6  # of a volume: what reading the same reference twice may change
SHOWN = 5  # names in a message


class Judged(Record):
    """A metric as it is compared: of errors around zero the size counts, not the direction."""

    metric: str
    title: str
    definition: str
    unit: str
    best: Literal["high", "low"]

    @property
    def heading(self) -> str:
        """The title with its unit."""
        return self.title + ("" if self.unit == "1" else f" ({self.unit})")

    def number(self, value: float) -> str:
        """A value with as many decimals as mean something, without its unit."""
        return f"{value:.{3 if self.unit == '1' else 2}f}"


@dataclass(frozen=True)
class Aligned:
    """Reports by the name of their model, the cases that all of them have, and the patient of each."""

    reports: Mapping[str, Report]
    cases: tuple[str, ...]
    groups: Mapping[str, str]
    structures: tuple[str, ...]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, reports: Mapping[str, Report], *, common: bool = False) -> Aligned:
        """The reports side by side.

        common  leave out cases that one of them lacks, instead of refusing

        Raises:
            DataError: they are not about the same cases, references, structures or rules.
        """
        _same_rules(reports)
        cases, case_notes = _shared_cases(reports, common=common)
        structures, structure_notes = _shared_structures(reports)
        groups, group_notes = _patients(reports, cases)
        _same_references(reports, cases, structures)
        return cls(reports, cases, groups, structures, (*case_notes, *structure_notes, *group_notes))

    def metrics(self, wanted: Sequence[str] | None = None) -> tuple[Judged, ...]:
        """What is compared: what is wanted, else the usual that all have measured, else all that they have.

        Raises:
            DataError: something is wanted that was not measured, or that is no judgement.
        """
        measured = [set(report.metrics) for report in self.reports.values()]
        there = [name for name in MEASURES if all(name in m for m in measured) and not name.endswith(SIZES)]
        if wanted is None:
            wanted = [name for name in USUAL if name in there] or there
        unknown = [name for name in wanted if name not in there]
        if unknown or not wanted:
            raise DataError(
                f"cannot compare by {', '.join(unknown) or 'nothing'}: what all reports have measured, and "
                f"what can be better or worse, is {', '.join(there) or 'nothing'}."
            )
        rules = next(iter(self.reports.values())).rules
        return tuple(_judged(name, rules.definition(MEASURES[name])) for name in dict.fromkeys(wanted))

    def values(self, judged: Judged, missing: Missing = "left out") -> Numbers:
        """The values (model, structure, case) by a metric; NaN where missing."""
        found = self._columns(judged.metric)
        if MEASURES[judged.metric].best == "zero":
            found = np.abs(found)
        return found if missing == "left out" else self._filled(found, judged)

    def _columns(self, metric: str) -> Numbers:
        tables = (r.values(s, metric) for r in self.reports.values() for s in self.structures)
        flat = [[table[case] for case in self.cases] for table in tables]
        return np.array(flat, dtype=float).reshape(len(self.reports), len(self.structures), len(self.cases))

    def _filled(self, values: Numbers, judged: Judged) -> Numbers:
        is_missing = np.isnan(values) & ~np.isnan(values).all(axis=0)
        nothing_there = self._columns("volume_reference") == 0
        nothing_found = self._columns("volume_prediction") == 0
        best, worst = (1.0, np.zeros(len(self.structures))) if judged.best == "high" else (0.0, _most(values))
        filled = np.where(nothing_there & nothing_found, best, worst[:, None])
        return np.where(is_missing, filled, values)


def _judged(name: str, definition: str) -> Judged:
    measure = MEASURES[name]
    if measure.best == "zero":
        title, definition = f"|{measure.title}|", f"size of: {definition}"
        return Judged(metric=name, title=title, definition=definition, unit=measure.unit, best="low")
    return Judged(
        metric=name, title=measure.title, definition=definition, unit=measure.unit, best=measure.best
    )


def _most(values: Numbers) -> Numbers:
    """The largest value (structure,) that any model has in any case; 0 where there is none."""
    return np.asarray(np.max(np.nan_to_num(values, nan=0.0), axis=(0, 2)))


def _same_rules(reports: Mapping[str, Report]) -> None:
    (first, report), *others = reports.items()
    here = _plain_rules(report)
    for name, other in others:
        there = _plain_rules(other)
        differing = [field for field in here if here[field] != there[field]]
        if differing:
            said = "; ".join(f"{field} {here[field]!r} and {there[field]!r}" for field in differing)
            raise DataError(
                f"{first} and {name} were measured by different rules: {said}.\n"
                "  Measure both by the same ones:  delineate evaluate REFERENCES PREDICTIONS -o OUT"
            )


def _plain_rules(report: Report) -> dict[str, object]:
    return {name: value for name, value in report.rules.model_dump().items() if name not in FREE}


def _shared_cases(reports: Mapping[str, Report], *, common: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Cases that all reports have, in the order of the first, and what is to be said of the others."""
    first = next(iter(reports.values()))
    shared = tuple(case for case in first.cases if all(case in r.groups for r in reports.values()))
    extra = {name: [case for case in r.cases if case not in shared] for name, r in reports.items()}
    if not shared:
        listed = "; ".join(f"{name}: {_some(r.cases)}" for name, r in reports.items())
        raise DataError(f"the reports have no case in common. {listed}.")
    said = "; ".join(f"only {name}: {_some(cases)}" for name, cases in extra.items() if cases)
    if said and not common:
        raise DataError(
            f"the reports are of different cases, {len(shared)} in common; {said}.\n"
            "  Measure the missing ones; or compare on those in common (--common): a model that was not "
            "measured in a hard case will profit."
        )
    return shared, (f"{len(shared)} cases in common were compared; left out: {said}.",) if said else ()


def _shared_structures(reports: Mapping[str, Report]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    first = next(iter(reports.values()))
    shared = tuple(s for s in first.structures if all(s in r.structures for r in reports.values()))
    if not shared:
        listed = "; ".join(f"{name}: {_some(r.structures)}" for name, r in reports.items())
        raise DataError(f"the reports have no structure in common. {listed}.")
    others = sorted({s for r in reports.values() for s in r.structures} - set(shared))
    return shared, (f"not compared, because one lacks it: {_some(others)}.",) if others else ()


def _patients(
    reports: Mapping[str, Report], cases: Sequence[str]
) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """The patient of each case: what the reports that know it say."""
    first = next(iter(reports.values()))
    telling = {name: r for name, r in reports.items() if any(r.groups[case] != case for case in cases)}
    if not telling:
        return {case: first.groups[case] for case in cases}, ()
    (who, report), *others = telling.items()
    for name, other in others:
        odd = [case for case in cases if report.groups[case] != other.groups[case]]
        if odd:
            case = odd[0]
            raise DataError(
                f"{who} and {name} do not agree whose case {case} is: {report.groups[case]} and "
                f"{other.groups[case]}. Measure both with the same table of patients."
            )
    notes = [f"{name} knows no patients: they are those of {who}." for name in reports if name not in telling]
    return {case: report.groups[case] for case in cases}, tuple(notes)


def _same_references(reports: Mapping[str, Report], cases: Sequence[str], structures: Sequence[str]) -> None:
    """Refuses references of different volumes: they cannot be the same."""
    (first, report), *others = reports.items()
    for name, other in others:
        odd = list(_other_volumes(report, other, cases, structures))
        if odd:
            case, structure, here, there = odd[0]
            raise DataError(
                f"{first} and {name} were measured against different references: {case}, {structure}: "
                f"{here:.6g} ml and {there:.6g} ml; {len(odd)} such structures in all.\n"
                "  Measure both against the same label files."
            )


def _other_volumes(
    report: Report, other: Report, cases: Sequence[str], structures: Sequence[str]
) -> Iterator[tuple[str, str, float, float]]:
    for structure in structures:
        ours, theirs = (r.values(structure, "volume_reference") for r in (report, other))
        for case in cases:
            here, there = ours[case] or 0.0, theirs[case] or 0.0
            if abs(here - there) > SAME * max(here, there):
                yield case, structure, here, there


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
