"""Files: probabilities on a disk, matched with references by name.

A file of probabilities is a volume with a channel per output of the label schema (4D NIfTI, say): background
and each label, or each region. It is named as its case, or CASE_probabilities as `delineate segment
--probabilities` writes it; where any is named so, all others are taken for label files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from delineate.dataset import Dataset
from delineate.dataset.listing import by_name, scans_in
from delineate.errors import DataError
from delineate.evaluation.folders import open_references
from delineate.io import read_volume
from delineate.space import LabelMap, Volume

ENDING = "_probabilities"
SHOWN = 5  # names in a message


@dataclass(frozen=True)
class ProbabilityFiles:
    """References and probabilities, matched.

    references     their cases are those that have probabilities
    probabilities  case -> file
    notes          what was decided on the way, in words
    """

    references: Dataset
    probabilities: Mapping[str, Path]
    notes: tuple[str, ...] = ()

    @classmethod
    def open(
        cls, references: Path, probabilities: Path, *, labels: Path | None = None, facts: Path | None = None
    ) -> ProbabilityFiles:
        """Both folders.

        references  a folder of label files, or any dataset that `Dataset.open` knows
        labels      what the values mean, where the references do not say; its order is that of the outputs
        facts       a CSV with a line per case: patient, site and further columns

        Raises:
            DataError: there are no probabilities, or none of a case.
        """
        files = _named(probabilities)
        dataset = open_references(references, labels, facts)
        there = [name for name in dataset.ids if name in files]
        if not there:
            raise DataError(
                f"{probabilities}: no probabilities belong to a reference: files are matched by name.\n"
                f"  references     {_some(dataset.ids)}\n"
                f"  probabilities  {_some(files)}\n"
                f"  Name them as their references, or CASE{ENDING}."
            )
        notes = list(dataset.notes)
        left_out = len(dataset.ids) - len(there)
        if left_out:
            notes.append(f"{left_out} of {len(dataset.ids)} references have no probabilities: left out.")
        return cls(dataset.subset(set(there)), {name: files[name] for name in there}, tuple(notes))

    def load(self, case: str) -> tuple[LabelMap, Volume]:
        """Reference and probabilities of a case."""
        reference = self.references.labels(self.references.case(case))
        return reference, read_volume(self.probabilities[case])


def _named(folder: Path) -> dict[str, Path]:
    """Case -> file of probabilities."""
    if not folder.is_dir():
        raise DataError(f"{folder}: is no folder. Give the folder in which the probabilities are.")
    files, problems = by_name(scans_in(folder), "probabilities")
    if problems:
        raise DataError(f"{folder}: {problems[0].message} Keep one of them.")
    if not files:
        raise DataError(
            f"{folder}: holds no probabilities. Write them with:  "
            "delineate segment MODEL SCANS -o FOLDER --probabilities"
        )
    named = {name.removesuffix(ENDING): file for name, file in files.items() if name.endswith(ENDING)}
    return named or files


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:SHOWN]) + (", ..." if len(listed) > SHOWN else "")
