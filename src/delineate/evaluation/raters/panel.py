"""Panel: folders of label files, one for each rater, matched by the names of the files.

A case is a file name without its suffix. Who has no file of a case is left out there. Grids are compared
before anything is read, and where nobody says what label values mean, raters who share none of them are
refused: they mean the same and write it differently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from delineate.dataset import Case, Dataset, label_files, open_labels
from delineate.dataset.patients import with_patients
from delineate.errors import DataError, GeometryError
from delineate.evaluation.raters.fusion import SAME_MM
from delineate.io import read_geometry, read_label_values
from delineate.space import Geometry, LabelMap

SHOWN = 8  # names in a message
PEEKED = 5  # files of each rater that are looked into for the values that they use
ONE_CASE = "scan"  # what the case is called where single files are given


@dataclass(frozen=True)
class Panel:
    """Raters with their files, and a model among them.

    files    reader -> case -> file; the raters first, then the model
    dataset  every case that any rater labelled, with its patient; what values mean
    """

    raters: tuple[str, ...]
    model: str | None
    files: Mapping[str, Mapping[str, Path]]
    dataset: Dataset

    @classmethod
    def open(
        cls,
        folders: Sequence[Path],
        *,
        names: Sequence[str] | None = None,
        model: Path | None = None,
        labels: Path | None = None,
        facts: Path | None = None,
    ) -> Panel:
        """The panel of some folders; or of some files, which are then one case.

        names   of the raters; else they are called as their folders are
        model   a folder (or file) of predictions
        labels  what label values mean (labels.json, dataset.json)
        facts   a CSV with a line per case: patient, site and further columns

        Raises:
            DataError: a folder without label files, names that do not fit, raters who share no label value.
            GeometryError: two readers labelled different grids in some case; all such cases are named.
        """
        raters = _named(folders, names)
        places = dict(zip(raters, folders, strict=True))
        if model is not None:
            places[_called(model, raters)] = model
        alone = all(path.is_file() for path in places.values())
        files = {reader: {ONE_CASE: path} if alone else label_files(path) for reader, path in places.items()}
        others = tuple(file for reader in tuple(places)[1:] for file in files[reader].values())
        opened = open_labels(folders[0], table=labels, others=others)
        dataset = _with_cases(opened, {reader: files[reader] for reader in raters})
        if facts is not None:
            dataset = dataset.described(facts)
        panel = cls(raters, next(iter(set(places) - set(raters)), None), files, dataset)
        panel._refuse_other_grids()
        if opened.notes:
            panel._refuse_other_values()
        return panel

    @property
    def cases(self) -> tuple[str, ...]:
        """Every case that any rater labelled."""
        return self.dataset.ids

    @property
    def groups(self) -> dict[str, str]:
        """Case -> patient."""
        return {case.id: case.group for case in self.dataset.cases}

    def load(self, case: str) -> dict[str, LabelMap]:
        """What everybody who labelled the case drew; the raters first, then the model."""
        return {reader: self.read(case, files[case]) for reader, files in self.files.items() if case in files}

    def read(self, case: str, file: Path) -> LabelMap:
        """A label file, its values translated as the table of the panel says."""
        known = self.dataset.case(case)
        return self.dataset.explained(replace(known, labels=file), read_label_values(file))

    def _refuse_other_grids(self) -> None:
        """Headers only: a run of an hour does not end at the last case."""
        wrong = [text for case in self.cases if (text := self._apart(case))]
        if wrong:
            more = f"\n  and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
            raise GeometryError(
                f"{len(wrong)} cases were labelled on different grids:\n  "
                + "\n  ".join(wrong[:SHOWN])
                + more
                + "\n  Resample the labels onto the grid of their scan, or leave the rater out."
            )

    def _apart(self, case: str) -> str | None:
        """Who labelled another grid than the first reader of a case."""
        grids = {reader: read_geometry(files[case]) for reader, files in self.files.items() if case in files}
        (first, here), *others = grids.items()
        for reader, there in others:
            if not here.same_place(there, tolerance_mm=SAME_MM):
                return f"{case}: {first} {here!r}, {reader} {there!r}{_nearly(here, there)}"
        return None

    def _refuse_other_values(self) -> None:
        """Nobody says what values mean, so those of different raters have to be the same ones."""
        values = {reader: self._values(reader, PEEKED) for reader in self.raters}
        for reader in self._strange(values):
            values[reader] = self._values(reader, None)
        strange = self._strange(values)
        if strange:
            said = "\n".join(f"  {reader:12} {_some(sorted(map(str, values[reader])))}" for reader in values)
            raise DataError(
                f"{strange[0]} uses none of the label values of the other raters:\n{said}\n"
                "  If they mean the same, write them as the same values; a labels.json (--labels) says what "
                "values mean."
            )

    def _strange(self, values: Mapping[str, set[str]]) -> list[str]:
        """Raters who use values, but none that somebody else uses."""
        found = []
        for reader, mine in values.items():
            theirs = set().union(*(other for name, other in values.items() if name != reader))
            if mine and theirs and not mine & theirs:
                found.append(reader)
        return found

    def _values(self, reader: str, files: int | None) -> set[str]:
        """The structures in some files of a reader."""
        found: set[int] = set()
        for case, file in islice(self.files[reader].items(), files):
            found |= set(np.unique(self.read(case, file).array).tolist())
        return {label.name for label in self.dataset.schema.labels if label.value in found}


def _named(folders: Sequence[Path], names: Sequence[str] | None) -> tuple[str, ...]:
    """A name for each rater: those that are given, or the shortest ends of the paths that differ."""
    if len(folders) < 2:
        raise DataError("raters are two or more: give a folder of label files for each of them.")
    if names is not None:
        if len(names) != len(folders) or len(set(names)) != len(names) or not all(names):
            raise DataError(
                f"{len(folders)} folders need {len(folders)} different names; got {', '.join(names)}."
            )
        return tuple(names)
    found = [_stem(folder) for folder in folders]
    if len(set(found)) != len(found):
        found = [f"{folder.resolve().parent.name}/{_stem(folder)}" for folder in folders]
    if len(set(found)) != len(found):
        raise DataError(
            f"raters are called as their folders are, and these have one name: {', '.join(found)}. "
            "Name them: --names ann,bob,cat"
        )
    return tuple(found)


def _called(model: Path, raters: Sequence[str]) -> str:
    name = _stem(model)
    return name if name not in raters else f"{name} (model)"


def _stem(path: Path) -> str:
    """The name of a folder, or of a file without its suffixes."""
    return path.name.split(".")[0] if path.is_file() else path.resolve().name


def _with_cases(dataset: Dataset, files: Mapping[str, Mapping[str, Path]]) -> Dataset:
    """The dataset with every case that any rater labelled."""
    first = {case: file for labelled in reversed(list(files.values())) for case, file in labelled.items()}
    cases = with_patients(Case(case, (first[case],), first[case]) for case in sorted(first))
    return replace(dataset, cases=cases)


def _nearly(here: Geometry, there: Geometry) -> str:
    """Grids that look the same when printed are told apart by how far they are from each other."""
    if repr(here) != repr(there):
        return ""
    return f", {np.abs(here.corners() - there.corners()).max():.3g} mm apart"


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return (", ".join(names[:SHOWN]) or "none") + (f" and {more} more" if more > 0 else "")
