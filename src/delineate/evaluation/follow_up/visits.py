"""Visits: label files of two visits, matched by the names of their files, and what changed between them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from delineate.dataset import Dataset, label_files, open_labels
from delineate.dataset.table_file import Row, read_table
from delineate.errors import DataError
from delineate.evaluation.follow_up.change import Change, Size
from delineate.evaluation.follow_up.repeatability import Repeatability
from delineate.evaluation.follow_up.response import Response, Target
from delineate.evaluation.markdown import markdown_table
from delineate.evaluation.statistics import Interval
from delineate.io import is_scan, read_label_values
from delineate.progress import Progress, silent
from delineate.record import Record
from delineate.space import LabelMap

SHOWN = 8  # names in a message
EVERYWHERE = "*"  # the repeatability of structures that have none of their own


@dataclass(frozen=True)
class FollowUpWishes:
    """How visits are compared.

    labels         what the values mean (labels.json, dataset.json), where that does not lie beside them
    days           between the visits: one number for all cases, or by case
    repeatability  by structure; that of "*" is for all others
    targets        target lesions, by the names of their labels: longest diameter (RECIST 1.1)
    nodes          target lymph nodes: short axis
    nadir_mm       the smallest sum of diameters so far
    """

    labels: Path | None = None
    days: float | Mapping[str, float] | None = None
    repeatability: Mapping[str, Repeatability] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    nadir_mm: float | None = None


class FollowUp(Record):
    """What changed between two visits of one patient or of many."""

    changes: tuple[Change, ...]
    responses: tuple[Response, ...]
    repeatability: dict[str, Repeatability]  # by structure; "*" for all others
    notes: tuple[str, ...]

    def to_markdown(self) -> str:
        """A table of the changes, the responses below it, and how the verdicts were found."""
        heads = ("case", "structure", "before (ml)", "after (ml)", "change (ml)", "change (%)", "% per year")
        parts = [markdown_table((*heads, "verdict"), [_cells(change) for change in self.changes])]
        if self.responses:
            titles = ("case", "sum before (mm)", "sum after (mm)", "change", "response", "because")
            rows = [
                (
                    r.case,
                    f"{r.sum_before_mm:.1f}",
                    f"{r.sum_after_mm:.1f}",
                    f"{r.share:+.0%}",
                    r.category,
                    r.reason,
                )
                for r in self.responses
            ]
            parts.append(
                markdown_table(titles, rows)
                + f"\n\nResponse of target lesions by {self.responses[0].source}."
            )
        errors = [
            f"- within measurement error, {'all' if name == EVERYWHERE else name}: {error.words}"
            for name, error in self.repeatability.items()
        ]
        said = "Change [95 % interval]." if errors else "No repeatability was given, so no change is judged."
        notes = [f"- {note}" for note in (*self.notes, *_said_of(self.responses))]
        return "\n\n".join([*parts, "\n".join([said, *errors, *notes])]) + "\n"

    def to_csv(self) -> str:
        """A line for each change."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for change in self.changes:
            writer.writerow(_line(change))
        return text.getvalue()


COLUMNS = (
    "case",
    "structure",
    "days",
    "before_ml",
    "after_ml",
    "change_ml",
    "change_ml_low",
    "change_ml_high",
    "change_share",
    "change_share_low",
    "change_share_high",
    "ml_per_year",
    "share_per_year",
    "before_long_mm",
    "before_short_mm",
    "after_long_mm",
    "after_short_mm",
    "verdict",
    "note",
)


def compare_visits(
    before: Path, after: Path, wishes: FollowUpWishes | None = None, *, progress: Progress = silent
) -> FollowUp:
    """What changed between two label files, or between the files of two folders that have the same name.

    Raises:
        DataError: nothing is matched, or a target is no structure of the labels.
    """
    wishes = wishes or FollowUpWishes()
    visits = Visits.open(before, after, labels=wishes.labels)
    structures = tuple(visits.dataset.schema.structures)
    _known_names((*wishes.targets, *wishes.nodes, *wishes.repeatability), structures)
    changes: list[Change] = []
    responses: list[Response] = []
    notes = list(visits.notes)
    for number, case in enumerate(visits.cases):
        progress(number, len(visits.cases), case)
        found = _changes(case, *visits.load(case), wishes)
        changes += found
        if wishes.targets or wishes.nodes:
            response, said = _response(case, found, wishes)
            responses += [response] if response else []
            notes += said
    progress(len(visits.cases), len(visits.cases), "")
    return FollowUp(
        changes=tuple(changes),
        responses=tuple(responses),
        repeatability=dict(wishes.repeatability),
        notes=tuple(notes),
    )


def measure_repeatability(
    first: Path, second: Path, *, labels: Path | None = None, progress: Progress = silent
) -> dict[str, Repeatability]:
    """The relative repeatability of each structure, from labels of the same state of the same patients.

    Structures of which no case has two volumes are left out.

    Raises:
        DataError: nothing is matched, or no structure has two volumes in any case.
    """
    visits = Visits.open(first, second, labels=labels)
    volumes: dict[str, list[tuple[float, float]]] = {}
    for number, case in enumerate(visits.cases):
        progress(number, len(visits.cases), case)
        one, other = visits.load(case)
        for structure in visits.dataset.schema.structures:
            pair = one.volume_ml(structure), other.volume_ml(structure)
            if min(pair) > 0:
                volumes.setdefault(structure, []).append(pair)
    source = f"{first.name} and {second.name}"
    if not volumes:
        raise DataError(f"{source}: no structure is in both files of any case, so nothing is repeated.")
    return {
        name: Repeatability.of(pairs, "relative", source=f"{name} in {source}")
        for name, pairs in volumes.items()
    }


def read_days(path: Path) -> dict[str, float]:
    """Case -> days between the visits, from a CSV with the columns case, before and after (2024-01-31)."""
    table = read_table(path)
    missing = [name for name in ("before", "after") if name not in table.columns]
    if missing:
        raise DataError(
            f"{path}: has no column {' and '.join(missing)}. It needs the columns case, before and after, "
            "with the dates of both visits: 2024-01-31."
        )
    return {
        row["case"]: float((_date(row, "after", path) - _date(row, "before", path)).days)
        for row in table.rows
    }


@dataclass(frozen=True)
class Visits:
    """Label files of two visits, matched.

    dataset  holds the files of the first visit, and what values mean in both
    after    case -> file of the second visit
    """

    dataset: Dataset
    after: Mapping[str, Path]
    notes: tuple[str, ...] = ()

    @classmethod
    def open(cls, before: Path, after: Path, *, labels: Path | None = None) -> Visits:
        """Both folders, or both files; cases that are in one folder only are noted and left out."""
        found = label_files(after)
        dataset = open_labels(before, table=labels, others=tuple(found.values()))
        if is_scan(before) and is_scan(after):
            found = {dataset.ids[0]: after}  # two files are a pair whatever they are called
        both = set(dataset.ids) & set(found)
        if not both:
            raise DataError(
                f"{after}: no file has the name of one in {before}: visits are matched by name.\n"
                f"  before  {_some(dataset.ids)}\n"
                f"  after   {_some(sorted(found))}\n"
                "  Name the two files of a patient alike."
            )
        alone = ((before.name, set(dataset.ids) - both), (after.name, set(found) - both))
        notes = [f"only in {name}: {_some(sorted(cases))}; left out" for name, cases in alone if cases]
        return cls(dataset.subset(both), found, (*dataset.notes, *notes))

    @property
    def cases(self) -> tuple[str, ...]:
        """Those with both visits."""
        return self.dataset.ids

    def load(self, case: str) -> tuple[LabelMap, LabelMap]:
        """The labels before and after; each on the grid of its scan."""
        known = self.dataset.case(case)
        file = self.after[case]
        after = self.dataset.explained(replace(known, labels=file), read_label_values(file))
        return self.dataset.labels(known), after


def _changes(case: str, before: LabelMap, after: LabelMap, wishes: FollowUpWishes) -> list[Change]:
    """Of every structure of one case."""
    changes = []
    for structure in before.schema.structures:
        is_target = structure in (*wishes.targets, *wishes.nodes)
        one, other = (Size.of(labels, structure, diameters=is_target) for labels in (before, after))
        error = wishes.repeatability.get(structure, wishes.repeatability.get(EVERYWHERE))
        changes.append(
            Change.of(one, other, error, case=case, structure=structure, days=_days(wishes.days, case))
        )
    return changes


def _response(
    case: str, changes: Sequence[Change], wishes: FollowUpWishes
) -> tuple[Response | None, list[str]]:
    """Of the targets that are there before, and what is to be said of the others."""
    named = [change for change in changes if change.structure in (*wishes.targets, *wishes.nodes)]
    there = [change for change in named if change.before.volume_ml]
    came = [change.structure for change in named if change.after.volume_ml and change not in there]
    notes = [f"{case}: {name} was not there before; a new lesion makes the response PD" for name in came]
    if not there:
        return None, [*notes, f"{case}: no target lesion is there before, so there is no response"]
    targets = [Target.of(c.structure, c.before, c.after, is_node=c.structure in wishes.nodes) for c in there]
    return Response.of(targets, case=case, nadir_mm=wishes.nadir_mm), notes


def _known_names(names: Sequence[str], structures: Sequence[str]) -> None:
    unknown = [name for name in names if name not in (*structures, EVERYWHERE)]
    if unknown:
        raise DataError(f"no structure is called {', '.join(unknown)}; there are {', '.join(structures)}.")


def _days(days: float | Mapping[str, float] | None, case: str) -> float | None:
    return days.get(case) if isinstance(days, Mapping) else days


def _date(row: Row, column: str, path: Path) -> date:
    try:
        return date.fromisoformat(row[column])
    except ValueError:
        raise DataError(
            f"{path}: line {row.line}: {row[column]!r} is no date in {column}. Write 2024-01-31."
        ) from None


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _said_of(responses: Sequence[Response]) -> list[str]:
    return [f"{response.case}: {note}" for response in responses for note in response.notes]


def _cells(change: Change) -> tuple[str, ...]:
    verdict = change.verdict if change.note is None else f"{change.verdict} ({change.note})"
    return (
        change.case,
        change.structure,
        f"{change.before.volume_ml:.3g}",
        f"{change.after.volume_ml:.3g}",
        _cell(change.ml, change.ml_interval),
        _cell(change.share, change.share_interval, 100),
        _cell(change.share_per_year, change.share_per_year_interval, 100),
        verdict,
    )


def _cell(value: float | None, interval: Interval | None, scale: float = 1) -> str:
    if value is None:
        return "-"
    between = "" if interval is None else f" [{scale * interval[0]:+.3g}, {scale * interval[1]:+.3g}]"
    return f"{scale * value:+.3g}{between}"


def _line(change: Change) -> list[str | float]:
    ml, share = change.ml_interval or (None, None), change.share_interval or (None, None)
    diameters = [(size.long_mm, size.short_mm) for size in (change.before, change.after)]
    values = [
        *(change.days, change.before.volume_ml, change.after.volume_ml),
        *(change.ml, *ml, change.share, *share, change.ml_per_year, change.share_per_year),
        *(*diameters[0], *diameters[1]),
    ]
    numbers = ["" if value is None else value for value in values]
    return [change.case, change.structure, *numbers, change.verdict, change.note or ""]
