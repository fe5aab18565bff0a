"""Dataset: labelled cases, what their channels are and what their labels mean."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from delineate.dataset.case import Case
from delineate.dataset.common_grid import on_common_grid
from delineate.dataset.foreground import foreground
from delineate.dataset.grids import difference, same_grid
from delineate.dataset.layouts import listed
from delineate.dataset.listing import described, first_file
from delineate.dataset.patients import with_patients
from delineate.dataset.problem import Problem
from delineate.dataset.raters import majority
from delineate.dataset.table_file import read_facts
from delineate.dataset.values import INSTANCES, ValueTable
from delineate.errors import DataError
from delineate.io import LabelFile, Manner, read_label_values, read_volume
from delineate.io.manner import PLAIN
from delineate.space import Geometry, LabelMap, LabelSchema, Source, Volume

SHOWN = 10  # unknown label values in a message


@dataclass(frozen=True)
class Dataset:
    """What we learn from. Opening reads names, not voxels.

    root        what to open again: the folder, or the manifest file
    cases       labelled
    unlabelled  to be segmented
    values      file value -> schema value, or None where files hold the values of the schema
    orphans     label files without an image
    problems    what did not fit together when the files were sorted out; `check` reports it
    about       free texts of a `dataset.json` (description, licence, ...)
    optional    channels that a case may lack; its scan then has the others only
    is_blind    whether labels are not looked at: what is brighter than the mean stands for them
    """

    name: str
    root: Path
    layout: str
    channels: tuple[str, ...]
    schema: LabelSchema
    cases: tuple[Case, ...]
    unlabelled: tuple[Case, ...] = ()
    values: ValueTable | None = None
    orphans: tuple[Path, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    is_blind: bool = False

    @classmethod
    def open(cls, path: Path | str, *, layout: str | None = None) -> Dataset:
        """The dataset in a folder or manifest; its layout is recognised unless it is named.

        Raises:
            DataError: no layout fits; the message says what each one needs.
        """
        found = listed(Path(path), layout)
        cases, unlabelled = with_patients(found.cases), with_patients(found.unlabelled)
        told = () if cases == found.cases else ("patients were taken from the case names",)
        return cls(
            name=found.name,
            root=found.root,
            layout=found.layout,
            channels=found.channels,
            schema=found.table.schema,
            cases=cases,
            unlabelled=unlabelled,
            values=found.table.values,
            orphans=found.orphans,
            problems=found.problems,
            notes=(*found.notes, *told),
            about=found.about,
            optional=found.optional,
        )

    @property
    def ids(self) -> tuple[str, ...]:
        """The labelled cases by name."""
        return tuple(case.id for case in self.cases)

    def case(self, name: str) -> Case:
        """A case by its id, labelled or not."""
        if name not in self._by_id:
            some = ", ".join(self.ids[:5])
            raise DataError(f"{self.name}: there is no case {name!r}. There are {some}, ...")
        return self._by_id[name]

    @cached_property
    def _by_id(self) -> dict[str, Case]:
        return {case.id: case for case in (*self.unlabelled, *self.cases)}

    def subset(self, names: Collection[str]) -> Dataset:
        """The dataset with only these cases, in its own order."""
        wanted = {self.case(name).id for name in names}
        return replace(
            self,
            cases=tuple(case for case in self.cases if case.id in wanted),
            unlabelled=tuple(case for case in self.unlabelled if case.id in wanted),
            orphans=(),
            problems=tuple(problem for problem in self.problems if problem.case in wanted),
        )

    def described(self, file: Path) -> Dataset:
        """The dataset with the patients, sites and further columns that a CSV gives by case.

        Raises:
            DataError: no line of the table is about a case of this dataset.
        """
        facts = read_facts(file)
        if not self._by_id.keys() & facts.keys():
            raise DataError(
                f"{file}: none of its cases ({', '.join(sorted(facts)[:3])}, ...) is one of those here "
                f"({', '.join(sorted(self._by_id)[:3])}, ...). Name them in its column 'case' as here."
            )
        cases = tuple(described(case, facts.get(case.id)) for case in self.cases)
        unlabelled = tuple(described(case, facts.get(case.id)) for case in self.unlabelled)
        return replace(self, cases=cases, unlabelled=unlabelled)

    def scan(self, case: Case, manner: Manner = PLAIN) -> Volume:
        """The scan with its channels in the order of the dataset; optional ones may be missing in it.

        manner  how DICOM series are read where there is a choice

        Raises:
            DataError: a channel is missing that is not optional, there are too few or too many, or their
                grids differ.
        """
        self._refuse_missing(case)
        paths = [path for path in case.images if path is not None]
        parts = [read_volume(path, manner=manner) for path in paths]
        there = tuple(name for name in self.channels if name not in self.missing(case))
        if manner.straighten:
            names = there if len(there) == len(paths) else [path.name for path in paths]
            parts = on_common_grid(case.id, list(zip(names, paths, parts, strict=True)))
        for part in parts[1:]:
            if not same_grid(parts[0].geometry, part.geometry):
                raise DataError(different_channels(case, parts[0], part))
        count = sum(len(part.channels) for part in parts)
        if count != len(there):
            raise DataError(wrong_count(case, there, count))
        if len(parts) == 1:
            return replace(parts[0], channels=there)
        return Volume(
            np.concatenate([part.array for part in parts]),
            parts[0].geometry,
            there,
            Source(
                files=tuple(file for part in parts for file in part.source.files),
                instance_uids=parts[0].source.instance_uids,
                notes=tuple(text for part in parts for text in part.source.notes),
            ),
        )

    def labels(self, case: Case) -> LabelMap:
        """The label map in values of the schema, on the grid of its file; of raters alone, what most said.

        Raises:
            DataError: the case has no labels, or the file holds a value that nobody explained.
        """
        if case.labels is None:
            raise DataError(f"{case.id}: has no labels; it is a case to be segmented.")
        if case.labels in case.raters.values():
            return majority(tuple(self.drawn(case).values()))
        return self.explained(case, read_label_values(case.labels))

    def drawn(self, case: Case) -> dict[str, LabelMap]:
        """What each rater of a case drew, in values of the schema, all on one grid.

        Raises:
            DataError: they lie on different grids, or a file holds a value that nobody explained.
        """
        maps = {
            name: self.explained(replace(case, labels=file), read_label_values(file))
            for name, file in case.raters.items()
        }
        grids = [(name, one.geometry) for name, one in maps.items()]
        for name, grid in grids[1:]:
            if not same_grid(grids[0][1], grid):
                raise DataError(
                    f"{case.id}: raters drew on different grids: {difference(grids[0][1], grid)}.\n"
                    f"  {grids[0][0]}  {case.raters[grids[0][0]]}\n  {name}  {case.raters[name]}\n"
                    "  Put their labels on the grid of the image, or leave a rater out."
                )
        return maps

    def explained(self, case: Case, file: LabelFile) -> LabelMap:
        """The values of a label file as values of the schema.

        Raises:
            DataError: the file holds a value that nobody explained.
        """
        table = self.values or ValueTable.identity(self.schema)
        translated = table.applied(_comparable(file, table, case))
        if translated.unknown:
            raise DataError(self._unknown_values(case, translated.unknown, packed=table.packed))
        return LabelMap(translated.array, file.geometry, self.schema, file.notes)

    @property
    def numbers_objects(self) -> bool:
        """Whether every value in its label files is one object; else they name what voxels are."""
        return self.values is not None and self.values.objects

    def objects(self, case: Case) -> npt.NDArray[np.int32]:
        """(i, j, k) ids of the single objects, 1 to n in the order of their file values; 0 is background.

        Raises:
            DataError: the label files name structures, or a value is of no kind.
        """
        if not self.numbers_objects or case.labels is None:
            raise DataError(
                f"{case.id}: its labels do not number objects. If every value of a label file is one object, "
                f'say so where the labels are listed: {{"background": 0, "object": "{INSTANCES}"}}.'
            )
        file = read_label_values(case.labels)
        self.explained(case, file)
        _, ids = np.unique(file.array, return_inverse=True)
        return ids.reshape(file.array.shape).astype(np.int32) + (0 if (file.array == 0).any() else 1)

    def pair(self, case: Case) -> tuple[Volume, LabelMap]:
        """The scan and its labels, which lie on one grid; of a blind dataset, its brighter part.

        Raises:
            DataError: they lie on different grids, or one of them cannot be had.
        """
        if self.is_blind:
            scan = self.scan(case)
            return scan, foreground(scan)
        scan, labels = self.scan(case), self.labels(case)
        if not same_grid(scan.geometry, labels.geometry):
            raise DataError(different_labels(case, scan.geometry, labels.geometry))
        return scan, labels

    def missing(self, case: Case) -> tuple[str, ...]:
        """Names of the channels that a case does not have."""
        by_file = len(case.images) == len(self.channels)
        missing = [n for n, path in enumerate(case.images) if path is None]
        return tuple(self.channels[n] if by_file else f"file {n + 1}" for n in missing)

    def _refuse_missing(self, case: Case) -> None:
        if missing := self.missing(case):
            if set(missing) <= set(self.optional) and any(case.images):
                return
            raise DataError(
                f"{case.id}: {' and '.join(missing)} is missing; the channels are "
                f"{', '.join(self.channels)}. It is not filled with zeros, which would look "
                "like air. Add the file, leave the case out, or say that cases may lack it: "
                f"{example_of(missing)} as channels.json beside the images."
            )

    def _unknown_values(self, case: Case, unknown: Mapping[int, int], *, packed: bool) -> str:
        shown = [
            f"{f'#{value:06x}' if packed else value} ({count} voxels)"
            for value, count in sorted(unknown.items())[:SHOWN]
        ]
        more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
        known = ", ".join(f"#{v:06x}" if packed else str(v) for v in (self.values or self.schema.values))
        return (
            f"{case.id}: the labels hold values that nobody explained: {', '.join(shown)}{more}.\n"
            f"  labels  {case.labels}\n  known   {known}\n"
            "  Correct the file, or say what the value means where the labels are listed "
            "(labels.json, dataset.json or the manifest)."
        )


def example_of(missing: tuple[str, ...]) -> str:
    """The `channels.json` that declares these channels optional."""
    return json.dumps({"optional": list(missing)})


def wrong_count(case: Case, channels: tuple[str, ...], count: int) -> str:
    """The message for a scan with too few or too many channels."""
    files = "\n".join(f"  image   {path}" for path in case.images)
    return (
        f"{case.id}: expected {len(channels)} channels ({', '.join(channels)}), got {count}.\n{files}\n"
        "  Convert the image to the channels of the others, or leave the case out."
    )


def different_labels(case: Case, scan: Geometry, labels: Geometry) -> str:
    """The message for labels that do not lie on their scan."""
    return (
        f"{case.id}: labels and image are on different grids: {difference(scan, labels)}.\n"
        f"  image   {first_file(case.images)}\n"
        f"  labels  {case.labels}\n"
        "  If they show the same anatomy, put the labels on the grid of the image and save them: "
        "labels.resampled(scan.geometry)."
    )


def different_channels(case: Case, a: Placed, b: Placed) -> str:
    """The message for channels that do not lie on each other."""
    return (
        f"{case.id}: channels are on different grids: {difference(a.geometry, b.geometry)}.\n"
        f"  image   {a.source.files[0]}\n  image   {b.source.files[0]}\n"
        "  Channels are stacked voxel by voxel: register them if the patient moved, put one on the grid of "
        "the other and save it: scan.resampled(other.geometry, order=1)."
    )


class Placed(Protocol):
    """Something with a grid that came from a file: a volume, or what is kept of one."""

    @property
    def geometry(self) -> Geometry:
        """Where it lies."""

    @property
    def source(self) -> Source:
        """Where it was read from."""


def _comparable(file: LabelFile, table: ValueTable, case: Case) -> Any:
    """The values of a file as the table writes them: grey g and colour #gggggg are the same."""
    if table.nonzero is not None or file.packed == table.packed:
        return file.array
    if table.packed:
        return file.array.astype(np.int64) * 0x010101
    grey = file.array & 0xFF
    if not np.array_equal(grey * 0x010101, file.array):
        raise DataError(
            f"{case.id}: the labels are a colour picture, but numbers are listed as values.\n"
            f"  labels  {case.labels}\n"
            f"  known   {', '.join(map(str, table))}\n"
            '  List colours instead ({"background": "#000000", "gland": "#ff0000"}), or save a grey picture.'
        )
    return grey
