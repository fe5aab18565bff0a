"""Check: every problem of every case, collected, in words, with a way out. Nothing stops at the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cc3d
import numpy as np
import numpy.typing as npt

from delineate.dataset.alignment import apart
from delineate.dataset.case import Case
from delineate.dataset.dataset import (
    Dataset,
    different_channels,
    different_labels,
    example_of,
    wrong_count,
)
from delineate.dataset.grids import millimetres, same_grid
from delineate.dataset.imprint import Imprint, Mark, imprint, mark
from delineate.dataset.leakage import find_leaks, grouped, listed
from delineate.dataset.listing import first_file, scan_name
from delineate.dataset.problem import Problem, Severity, error, note, warning
from delineate.dataset.provenance import provenance_of, told
from delineate.dataset.splits import Splits
from delineate.errors import Error
from delineate.io import LabelFile, read_geometry, read_label_values, read_volume
from delineate.progress import Progress, silent
from delineate.record import Record
from delineate.space import Geometry, Shape, Source, Volume

FEW_CASES = 30  # below, folds have too few cases to tell a good model from a lucky one
FEW_EXAMPLES = 10  # cases with a structure; below, it is hardly learnt and its score says little
ODD_SPACING = 3.0  # times, or one in, the median voxel edge
FOREIGN = 3  # times as many voxels along an axis as any image, or a third of the fewest
READERS = 4  # cases read at a time by default: memory holds one image and its labels for each
SHOWN = 10  # problems of one kind in `lines`
EXAMPLES = 3  # cases named in a note
FLOAT_NOTE = "labels were stored as"

ORDER: tuple[Severity, ...] = ("error", "warning", "note")


class CheckReport(Record):
    """What was looked at, and what is wrong with it."""

    dataset: str
    cases: int
    problems: tuple[Problem, ...]
    layout: str = ""  # how the files were recognised

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What must be solved before training."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def ok(self) -> bool:
        """Whether training can go on."""
        return not self.errors

    def lines(self, shown: int | None = SHOWN) -> tuple[str, ...]:
        """The report as text, by kind, errors first; at most `shown` problems of a kind."""
        counts = Counter(problem.severity for problem in self.problems)
        summary = ", ".join(_counted(counts[s], s) for s in ORDER if counts[s]) or "no problem"
        layout = f" in the layout '{self.layout}'" if self.layout else ""
        lines = [f"{self.dataset}: {_counted(self.cases, 'case')}{layout}, {summary}"]
        for severity in ORDER:
            kinds: dict[str, list[Problem]] = {}
            for problem in self.problems:
                if problem.severity == severity:
                    kinds.setdefault(problem.kind, []).append(problem)
            for kind, problems in kinds.items():
                lines += ["", f"{severity}  {kind}  ({len(problems)})", *_of_kind(problems, shown)]
        return tuple(lines)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _of_kind(problems: Sequence[Problem], shown: int | None) -> Iterator[str]:
    """The messages, each remedy once."""
    listed_now = problems[:shown]
    for n, problem in enumerate(listed_now):
        yield from (f"  {line}" for line in problem.message.splitlines())
        following = listed_now[n + 1].remedy if n + 1 < len(listed_now) else None
        if problem.remedy != following:
            yield f"    -> {problem.remedy}"
    if len(problems) > len(listed_now):
        yield f"  ... and {len(problems) - len(listed_now)} more"


def check(
    dataset: Dataset,
    *,
    splits: Splits | None = None,
    workers: int | None = None,
    alignment: bool = False,
    progress: Progress = silent,
) -> CheckReport:
    """Every problem of a dataset: files, grids, values, numbers of examples, leakage.

    Reads every image and label map once, `workers` cases at a time.

    alignment  also whether the channels of a case lie on each other: a second or so for each of them
    """
    cases = (*dataset.cases, *dataset.unlabelled)
    examined: list[Examined] = []
    with ThreadPoolExecutor(workers or READERS) as pool:
        for done, one in enumerate(pool.map(lambda case: examine(dataset, case), cases), 1):
            progress(done, len(cases), one.case.id)
            examined.append(one)
    problems = [
        *dataset.problems,
        *_orphans(dataset, examined),
        *(problem for one in examined for problem in one.problems),
        *_numbers(dataset, examined),
        *(_apart(dataset, progress) if alignment else ()),
        *_optional(dataset),
        *_provenance(cases),
        *_alike_names(cases),
        *_spacings(examined),
        *_orientations(examined),
        *_notes(dataset, examined),
        *find_leaks(dataset, splits, imprints=[one.imprint for one in examined if one.imprint is not None]),
    ]
    problems.sort(key=lambda problem: ORDER.index(problem.severity))
    return CheckReport(
        dataset=dataset.name,
        cases=len(dataset.cases),
        problems=tuple(problems),
        layout=dataset.layout,
    )


# One case


@dataclass(frozen=True, eq=False)
class Seen:
    """What is kept of an image file that was read: everything but its voxels."""

    geometry: Geometry
    source: Source
    mark: Mark


@dataclass(frozen=True, eq=False)
class Examined:
    """What one case told.

    present  voxels of each label value
    notes    what readers had to decide, in words
    """

    case: Case
    geometry: Geometry | None
    imprint: Imprint | None
    present: Mapping[int, int]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


def examine(dataset: Dataset, case: Case) -> Examined:
    """What is wrong with a case; each of its files is read once, and one at a time."""
    seen, problems = _images(dataset, case)
    geometry = seen[0].geometry if seen else None
    present, found, notes = _labels(dataset, case, geometry)
    whole = len(seen) == len(case.images)
    return Examined(
        case=case,
        geometry=geometry,
        imprint=imprint(case.id, [one.mark for one in seen]) if whole else None,
        present=present,
        problems=(*problems, *found),
        notes=(*dict.fromkeys(text for one in seen for text in one.source.notes), *notes),
    )


def _images(dataset: Dataset, case: Case) -> tuple[list[Seen], list[Problem]]:
    seen: list[Seen] = []
    problems = list(_missing(dataset, case))
    for path in case.images:
        if path is None:
            continue
        try:
            volume = read_volume(path)
        except Error as wrong:
            problems.append(_unreadable(case, wrong))
            continue
        problems += _voxels(case, volume)
        seen.append(Seen(volume.geometry, volume.source, mark(volume)))
    for one in seen[1:]:
        if not same_grid(seen[0].geometry, one.geometry):
            problems.append(_by_message("channel-grid", case, different_channels(case, seen[0], one)))
    count = sum(len(one.mark.digests) for one in seen)
    if len(seen) == len(case.images) and count != len(dataset.channels):
        problems.append(_by_message("channel-count", case, wrong_count(case, dataset.channels, count)))
    return seen, problems


def _unreadable(case: Case, wrong: Error) -> Problem:
    remedy = "Bring the file back from its source, or leave the case out."
    return error("unreadable", case.id, f"{case.id}: {wrong}", remedy)


def _by_message(kind: str, case: Case, text: str) -> Problem:
    """An error whose message ends, as those that are raised do, with what to do."""
    lines = text.splitlines()
    return error(kind, case.id, "\n".join(lines[:-1]), lines[-1].strip())


def _missing(dataset: Dataset, case: Case) -> Iterator[Problem]:
    missing = dataset.missing(case)
    strange = [name for name in missing if name not in dataset.optional]
    if strange:
        yield error(
            "missing-channel",
            case.id,
            f"{case.id}: {' and '.join(missing)} is missing; the channels are "
            f"{', '.join(dataset.channels)}.\n  there is  {first_file(case.images)}",
            "Add the file, leave this case out, or say that cases may lack it: "
            f"{example_of(missing)} as channels.json beside the images. It is never filled with air.",
        )
    elif missing:
        yield note(
            "without-channel",
            case.id,
            f"{case.id}: {' and '.join(missing)} is missing, which is declared optional.",
            "The network learns that it is not there; what that costs, evaluate --missing-channels says.",
        )


def _voxels(case: Case, volume: Volume) -> Iterator[Problem]:
    file = volume.source.files[0]
    for name, channel in zip(volume.channels, volume.array, strict=True):
        strange = 0 if channel.dtype.kind in "iub" else int(channel.size - np.isfinite(channel).sum())
        if strange:
            yield error(
                "not-finite",
                case.id,
                f"{case.id}: {strange} voxels are NaN or infinite.\n  {name}  {file}",
                "Find out what made them; if they lie outside the patient, set them to the value of air.",
            )
        elif channel.min() == channel.max():
            yield warning(
                "constant-channel",
                case.id,
                f"{case.id}: all voxels have the value {channel.flat[0]:g}.\n  {name}  {file}",
                "A channel without content teaches nothing: look whether the file was exported right.",
            )


Counts = dict[int, int]


def _labels(
    dataset: Dataset, case: Case, scan: Geometry | None
) -> tuple[Counts, list[Problem], tuple[str, ...]]:
    """Voxels by value, what is wrong with the labels, and what their reader had to decide."""
    if case.labels is None:
        return {}, [], ()
    try:
        file = read_label_values(case.labels)
    except Error as wrong:
        return {}, [_unreadable(case, wrong)], ()
    problems = []
    if scan is not None and not same_grid(scan, file.geometry):
        problems.append(_by_message("label-grid", case, different_labels(case, scan, file.geometry)))
    try:
        labels = dataset.labels(case) if case.raters else dataset.explained(case, file)
        if case.raters:
            dataset.drawn(case)
    except Error as wrong:
        return {}, [*problems, _by_message("label-values", case, str(wrong))], file.notes
    if dataset.numbers_objects:
        problems += _objects(case, file)
    present = by_value(labels.array)
    if not any(count for value, count in present.items() if value not in (0, dataset.schema.ignore)):
        problems.append(
            warning(
                "empty-label",
                case.id,
                f"{case.id}: no voxel is labelled.\n  {case.labels}",
                "Right if the scan shows none of the structures; if the labels were forgotten, leave it out.",
            )
        )
    return present, problems, file.notes


def _objects(case: Case, file: LabelFile) -> Iterator[Problem]:
    """Numbers that stand for several things at once."""
    ids, where = np.unique(np.append(file.array, 0), return_inverse=True)  # 0 is there, and comes first
    numbers = where[:-1].reshape(file.array.shape).astype(np.uint32)
    pieces, count = cc3d.connected_components(numbers, connectivity=26, return_N=True)
    places = np.unique(np.stack([pieces.ravel(), numbers.ravel()]), axis=1)[1]
    several = np.flatnonzero(np.bincount(places, minlength=len(ids)) > 1)
    broken = [int(ids[number]) for number in several if ids[number] != 0]
    if count and broken:
        yield warning(
            "broken-object",
            case.id,
            f"{case.id}: {_counted(len(broken), 'object')} in several pieces "
            f"({listed([*map(str, broken)])}).\n"
            f"  {case.labels}",
            "Right if something lies across them; else each piece is an object, with a number of its own.",
        )


def by_value(labels: npt.NDArray[Any]) -> Counts:
    """Voxels of each value that occurs, counted plane by plane so that little memory is needed."""
    most = int(labels.max()) + 1
    planes = np.moveaxis(labels, -1, 0)
    counts = sum(np.bincount(plane.ravel(order="K"), minlength=most) for plane in planes)
    return {value: int(n) for value, n in enumerate(np.asarray(counts)) if n}


# All cases together


def _orphans(dataset: Dataset, examined: Sequence[Examined]) -> Iterator[Problem]:
    shapes = [one.geometry.shape for one in examined if one.geometry is not None]
    for path in dataset.orphans:
        yield error(
            "orphan-label",
            scan_name(path),
            f"{scan_name(path)}: labels without an image{_foreign(path, shapes)}.\n  labels  {path}",
            "Add the image, give both the same name, or move the labels out of the dataset.",
        )


def _foreign(path: Path, shapes: Sequence[Shape]) -> str:
    """How the grid of a stray label file compares with the images, as the end of a sentence."""
    try:
        shape = read_geometry(path).shape
    except Error as wrong:
        return f", and they cannot be read: {wrong}"
    text = f", {' x '.join(map(str, shape))} voxels"
    if not shapes:
        return text
    low, high = np.min(shapes, axis=0), np.max(shapes, axis=0)
    if (np.array(shape) > FOREIGN * high).any() or (np.array(shape) * FOREIGN < low).any():
        span = " x ".join(f"{a}-{b}" if a != b else f"{a}" for a, b in zip(low, high, strict=True))
        return f"{text} where the images have {span}: they seem to belong to another dataset"
    return text


def _numbers(dataset: Dataset, examined: Sequence[Examined]) -> Iterator[Problem]:
    labelled = [one for one in examined if one.case.labels is not None]
    if not labelled:
        yield error("no-cases", None, "No case has labels.", "Training needs images with their labels.")
        return
    if len(labelled) < FEW_CASES:
        yield warning(
            "few-cases",
            None,
            f"{len(labelled)} labelled cases; with fewer than {FEW_CASES} a score says little of new ones.",
            "Label more cases, or read the confidence intervals of the report before its means.",
        )
    for name, values in dataset.schema.structures.items():
        with_it = [one.case.id for one in labelled if any(one.present.get(value) for value in values)]
        if len(with_it) < FEW_EXAMPLES:
            where = f" ({listed(with_it)})" if with_it else ""
            yield warning(
                "few-examples",
                None,
                f"{name}: only {len(with_it)} cases hold it{where}; with fewer than {FEW_EXAMPLES} it is "
                "hardly learnt, and a fold may have none to judge by.",
                "Label more cases that show it, merge it with another label, or leave it out.",
            )


def _apart(dataset: Dataset, progress: Progress) -> Iterator[Problem]:
    cases = (*dataset.cases, *dataset.unlabelled)
    for done, case in enumerate(cases, 1):
        yield from apart(dataset, case)
        progress(done, len(cases), f"{case.id}, alignment")


def _provenance(cases: Sequence[Case]) -> Iterator[Problem]:
    """Who made the labels, where it was not people alone."""
    for case in cases:
        try:
            provenance_of(case)
        except Error as wrong:
            yield error("label-origin", case.id, str(wrong), "Correct the cell, or leave it empty.")
            return
    said = told(cases)
    if said is not None:
        yield note(
            "label-origin", None, f"{said}.", "They are in the training part of every fold, never judging."
        )


def _optional(dataset: Dataset) -> Iterator[Problem]:
    """Channels that may be missing and never are: nothing teaches the network to do without."""
    lacking = {name for case in dataset.cases for name in dataset.missing(case)}
    for name in dataset.optional:
        if name not in lacking:
            yield warning(
                "never-missing",
                None,
                f"{name} is declared optional, but no labelled case lacks it.",
                "A network learns to do without it only from cases that lack it, or with --channel-dropout.",
            )


def _alike_names(cases: Iterable[Case]) -> Iterator[Problem]:
    for names in grouped((case.id.casefold(), case.id) for case in cases).values():
        yield error(
            "duplicate-id",
            names[0],
            f"{' and '.join(names)}: two cases of one name, or of names that differ only in capital letters, "
            "which some file systems take for one.",
            "Rename one of them.",
        )


def _spacings(examined: Sequence[Examined]) -> Iterator[Problem]:
    """Cases whose voxel edges, sorted by size, are far from the median."""
    placed = [one for one in examined if one.geometry is not None]
    if not placed:
        return
    edges = np.array([sorted(one.geometry.spacing) for one in placed if one.geometry is not None])
    typical = np.median(edges, axis=0)
    odd = (np.abs(np.log(edges / typical)) > np.log(ODD_SPACING)).any(axis=1)
    for n in np.flatnonzero(odd):
        geometry = placed[n].geometry
        if geometry is not None:
            yield warning(
                "spacing-outlier",
                placed[n].case.id,
                f"{placed[n].case.id}: voxels of {millimetres(geometry)} mm; the median edges are "
                f"{' x '.join(f'{edge:.3g}' for edge in typical)} mm.",
                "Look whether the header is right (mm, cm or none); if it is, nothing is wrong.",
            )


def _orientations(examined: Sequence[Examined]) -> Iterator[Problem]:
    counts = Counter(one.geometry.orientation for one in examined if one.geometry is not None)
    if len(counts) > 1:
        shown = ", ".join(f"{count} x {name}" for name, count in counts.most_common())
        yield note(
            "orientation-mix",
            None,
            f"Scans are stored in several orientations: {shown}.",
            "Nothing to do: they are all turned the same way before training.",
        )


def _notes(dataset: Dataset, examined: Sequence[Examined]) -> Iterator[Problem]:
    """What readers decided, each sentence once with the cases that it is about."""
    said: dict[str, list[str]] = {}
    for one in examined:
        for text in dict.fromkeys(one.notes):
            said.setdefault(text, []).append(one.case.id)
    for text, names in said.items():
        kind = "float-labels" if text.startswith(FLOAT_NOTE) else "reading"
        yield note(kind, None, f"{_counted(len(names), 'case')}: {text} ({listed(names, EXAMPLES)}).")
    for text in dataset.notes:
        yield note("opening", None, f"{text}.")
