"""Leakage: what must stay together and does not, so that a score would be too good.

Slices of one volume in training and test raise reported accuracy by 29 to 55 percentage points (Yagis 2021,
doi:10.1038/s41598-021-01681-w). What is looked for: one patient, one examination, one scan (identical,
resaved, resampled, mirrored, turned, brightened), slices of one volume, tiles of one slide, visits of one
person, augmented copies; and test cases that helped to decide. What is not found: copies that were
cropped, shifted or turned by a few degrees, unless their names say so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from delineate.dataset import names
from delineate.dataset.case import Case
from delineate.dataset.dataset import Dataset
from delineate.dataset.imprint import Imprint, imprint, mark
from delineate.dataset.likeness import How, correlations, find_twins
from delineate.dataset.problem import Problem, Severity
from delineate.dataset.splits import Splits
from delineate.errors import Error
from delineate.io.identity import Identity, read_identity
from delineate.progress import Progress, silent

SHOWN = 6  # cases in a message
NEIGHBOURS_ALIKE = 0.8  # median correlation of slices that follow each other, and ...
NEIGHBOURS_CLOSER = 0.2  # ... by how much it exceeds that of different volumes


@dataclass(frozen=True)
class Kin:
    """Cases that must not be on two sides of a split, and why."""

    kind: str
    members: tuple[str, ...]
    why: str
    severity: Severity = "error"

    def problem(self, apart: str) -> Problem:
        """What is wrong where they are apart."""
        return Problem(
            severity=self.severity,
            kind=self.kind,
            case=self.members[0],
            message=f"{listed(self.members)}: {self.why}, and {apart}.",
            remedy="Give them one patient (columns case,patient in cases.csv beside the data, or in the "
            "manifest) and split again, or remove all but one.",
        )


def find_leaks(
    dataset: Dataset,
    splits: Splits | None = None,
    *,
    imprints: Sequence[Imprint] | None = None,
    measured: Collection[str] = (),
    stopped_on: Collection[str] = (),
    workers: int | None = None,
    progress: Progress = silent,
) -> tuple[Problem, ...]:
    """What leaks between the sides of `splits`, or would if cases of different patients were divided.

    imprints    of all cases, where they were taken already (`check` does)
    measured    cases whose intensities decided the plan, which test cases must not
    stopped_on  cases that decided when to stop or which weights to keep, which test cases must not

    Cases whose files cannot be read are passed over: `check` reports them.
    """
    if imprints is None:
        imprints = take_imprints(dataset, workers=workers, progress=progress)
    sides = Sides.of(dataset, splits)
    problems = [
        kin.problem(apart)
        for kin in kinship(dataset, imprints)
        if (apart := sides.apart(kin.members)) is not None
    ]
    return (*problems, *_used_in_deciding(splits, measured, stopped_on))


def take_imprints(
    dataset: Dataset, *, workers: int | None = None, progress: Progress = silent
) -> tuple[Imprint, ...]:
    """The imprints of all cases that can be read."""
    cases = (*dataset.cases, *dataset.unlabelled)

    def take(case: Case) -> Imprint | None:
        try:
            return imprint(case.id, [mark(dataset.scan(case))])
        except Error:
            return None

    found = []
    with ThreadPoolExecutor(workers) as pool:
        for done, (case, taken) in enumerate(zip(cases, pool.map(take, cases), strict=True), 1):
            progress(done, len(cases), case.id)
            found.append(taken)
    return tuple(taken for taken in found if taken is not None)


def kinship(dataset: Dataset, imprints: Sequence[Imprint]) -> Iterator[Kin]:
    """Everything that must stay together."""
    cases = (*dataset.cases, *dataset.unlabelled)
    yield from _same_patient(cases)
    yield from _same_identity(cases)
    yield from _same_voxels(imprints)
    yield from _look_alike(imprints)
    if all(taken.is_flat for taken in imprints if taken.thumbnail is not None):
        yield from _slices(cases, imprints)
        yield from _by_name(
            cases, names.slide_of, "leak-slide", "by their names these are tiles of one slide"
        )
    yield from _by_name(
        cases,
        names.first_visit_of,
        "leak-follow-up",
        "by their names these are visits of one person",
        severity="warning",
    )
    yield from _by_name(
        cases,
        names.original_of,
        "leak-augmented",
        "by their names these are changed copies of one scan",
        severity="warning",
    )


# Who and what is on which side


@dataclass(frozen=True)
class Sides:
    """On which sides cases are: in every fold, or by patient where there are no folds yet."""

    splits: Splits | None
    patients: Mapping[str, str]
    unlabelled: frozenset[str]

    @classmethod
    def of(cls, dataset: Dataset, splits: Splits | None) -> Sides:
        """The sides of a dataset."""
        every = (*dataset.cases, *dataset.unlabelled)
        return cls(
            splits,
            {case.id: case.group for case in every},
            frozenset(case.id for case in dataset.unlabelled),
        )

    def apart(self, members: Sequence[str]) -> str | None:
        """How cases are divided, in words, or None where they are together."""
        new = [name for name in members if name in self.unlabelled]
        old = [name for name in members if name not in self.unlabelled]
        if new and old:
            return f"{listed(old)} can train while {listed(new)} is to be segmented"
        if new:
            return None
        if self.splits is not None:
            return self._in_folds(set(old), self.splits)
        if len({self.patients[name] for name in old}) > 1:
            return "they count as different patients, so that a split may divide them"
        return None

    def _in_folds(self, members: set[str], splits: Splits) -> str | None:
        torn = []
        for number, fold in enumerate(splits.folds):
            found = {part: sorted(members & set(ids)) for part, ids in fold.parts.items()}
            found = {part: ids for part, ids in found.items() if ids}
            if len(found) > 1:
                parts = "; ".join(f"{listed(ids)} in {part}" for part, ids in found.items())
                torn.append(f"fold {number} divides them: {parts}")
        if not torn:
            return None
        more = f" (and so do {len(torn) - 1} more folds)" if len(torn) > 1 else ""
        return torn[0] + more


def listed(members: Sequence[str], shown: int = SHOWN) -> str:
    """The names, the first few of many."""
    rest = len(members) - shown
    return ", ".join(members[:shown]) + (f" and {rest} more" if rest > 0 else "")


# What belongs together


def _same_patient(cases: Iterable[Case]) -> Iterator[Kin]:
    for patient, members in grouped((case.group, case.id) for case in cases).items():
        yield Kin("leak-patient", members, f"these are of the same patient {patient}")


def _same_identity(cases: Iterable[Case]) -> Iterator[Kin]:
    """By the headers of DICOM files."""
    found = [(case.id, identity) for case in cases for identity in _identities(case)]
    patients = grouped((identity.patient, name) for name, identity in found if identity.patient)
    studies = grouped((identity.study, name) for name, identity in found if identity.study)
    for members in patients.values():
        yield Kin("leak-patient", members, "their DICOM headers name the same patient")
    for members in studies.values():
        yield Kin("leak-study", members, "their DICOM headers name the same examination (study)")


def _identities(case: Case) -> Iterator[Identity]:
    for path in case.images:
        try:
            identity = read_identity(path) if path is not None else None
        except Error:
            continue
        if identity is not None:
            yield identity


def _same_voxels(imprints: Iterable[Imprint]) -> Iterator[Kin]:
    same = grouped((taken.digest, taken.case) for taken in imprints if taken.thumbnail is not None)
    for members in same.values():
        yield Kin("leak-identical", members, "their images are identical, voxel by voxel")


WORDS: dict[How, str] = {
    "near-identical": "their images are nearly identical (resaved, resampled or with noise)",
    "turned": "one image is the other mirrored or turned",
    "intensity": "one image is the other with its brightness or contrast changed",
}


def _look_alike(imprints: Sequence[Imprint]) -> Iterator[Kin]:
    twins = find_twins(imprints)
    for how, words in WORDS.items():
        pairs = [(imprints[t.a].case, imprints[t.b].case) for t in twins if t.how == how]
        for members in connected(pairs):
            yield Kin(f"leak-{how}", members, words)


def _by_name(
    cases: Iterable[Case],
    whole_of: Callable[[str], str | None],
    kind: str,
    why: str,
    *,
    severity: Severity = "error",
) -> Iterator[Kin]:
    """Cases that name the same whole, and the whole itself; one whole for all is a prefix, not a hint."""
    every = [case.id for case in cases]
    said = {name: whole for name in every if (whole := whole_of(name)) is not None}
    wholes = set(said.values())
    parts = grouped((said.get(name, name), name) for name in every if name in said or name in wholes)
    for members in parts.values():
        if len(members) < len(every) or len(every) == 2:
            yield Kin(kind, members, why, severity)


def _slices(cases: Iterable[Case], imprints: Sequence[Imprint]) -> Iterator[Kin]:
    """Slices of one volume: their names say so, or are numbered and their images follow each other."""
    every = [case.id for case in cases]
    said = grouped((part.whole, name) for name in every if (part := names.slice_of(name)) is not None)
    for members in said.values():
        yield Kin("leak-slices", members, "by their names these are slices of one volume")
    rest = [name for name in every if names.slice_of(name) is None]
    stems: dict[str, list[tuple[int, str]]] = {}
    for name in rest:
        if (part := names.numbered(name)) is not None:
            stems.setdefault(part.whole, []).append((part.number, name))
    volumes = [tuple(name for _, name in sorted(found)) for found in stems.values() if len(found) > 1]
    if len(volumes) > 1 and _follow_each_other(volumes, imprints):
        for members in volumes:
            yield Kin(
                "leak-slices",
                members,
                "their names are numbered and each image looks like the one before: slices of one volume",
            )


def _follow_each_other(volumes: Sequence[Sequence[str]], imprints: Sequence[Imprint]) -> bool:
    """Whether images that follow each other look alike, and more so than images of different stems."""
    known = {taken.case: taken.thumbnail for taken in imprints if taken.thumbnail is not None}
    chains = [[name for name in members if name in known] for members in volumes]
    chains = [chain for chain in chains if len(chain) > 1]
    if len(chains) < 2:
        return False
    order = [name for chain in chains for name in chain]
    table = correlations([known[name] for name in order])
    place = {name: n for n, name in enumerate(order)}
    inside = [table[place[a], place[b]] for chain in chains for a, b in pairwise(chain)]
    middles = [place[chain[len(chain) // 2]] for chain in chains]
    between = [table[a, b] for a in middles for b in middles if a != b]
    typical = float(np.median(inside))
    return typical > NEIGHBOURS_ALIKE and typical > float(np.median(between)) + NEIGHBOURS_CLOSER


# What test cases must not do


def _used_in_deciding(
    splits: Splits | None, measured: Collection[str], stopped_on: Collection[str]
) -> Iterator[Problem]:
    tests = sorted({name for fold in splits.folds for name in fold.test}) if splits is not None else []
    seen = [name for name in tests if name in measured]
    if seen:
        yield Problem(
            severity="warning",
            kind="leak-statistics",
            case=seen[0],
            message=f"{listed(seen)}: test cases were measured to decide the plan (spacing, intensities).",
            remedy="Measure the fingerprint without them: fingerprint(dataset.subset(train and validation)).",
        )
    chosen = [name for name in tests if name in stopped_on]
    if chosen:
        yield Problem(
            severity="error",
            kind="leak-early-stopping",
            case=chosen[0],
            message=f"{listed(chosen)}: test cases decided when to stop or which weights to keep.",
            remedy="Stop on validation cases and train again; these cases no longer test anything.",
        )


# Sets


def grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """The names with the same key, where there are two or more."""
    found: dict[str, list[str]] = {}
    for key, name in pairs:
        members = found.setdefault(key, [])
        if name not in members:
            members.append(name)
    return {key: tuple(members) for key, members in found.items() if len(members) > 1}


def connected(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, ...]]:
    """Sets of names that pairs connect, each sorted."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for a, b in pairs:
        parent[root(a)] = root(b)
    return sorted(tuple(sorted(m)) for m in grouped((root(n), n) for n in sorted(parent)).values())
