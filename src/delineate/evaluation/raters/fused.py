"""Fused: consensuses as label files, with who made them, how, and what each of them weighs.

Files hold the values that the raters' files hold, and a `labels.json` beside them says what these mean. Where
values cannot be turned back (colours, or many values with one meaning), they are those of the schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from delineate.dataset import Dataset
from delineate.errors import DataError
from delineate.evaluation.raters.crowd import Crowd
from delineate.evaluation.raters.fusion import Consensus, FusionRules, Quality, fuse
from delineate.evaluation.raters.panel import Panel
from delineate.io import suffix_of, write_labels, write_volume
from delineate.io.disk import file_digest, write_json, write_text
from delineate.io.write import WRITTEN
from delineate.progress import Progress, silent
from delineate.record import Record
from delineate.space import Label, LabelMap, LabelSchema

RECORD, TABLE, PROBABILITIES = "consensus.json", "labels.json", "probabilities"
USUAL = ".nii.gz"
HIGHEST = 65535  # label value that can be written


class FusedCase(Record):
    """One fused case.

    probabilities  file with a channel per structure, where the method gives any
    inputs         rater -> SHA-256 of the file that was fused
    field          voxels in the field of view
    rounds         of estimation; `converged` tells whether they were enough
    """

    case: str
    labels: str
    probabilities: str | None
    inputs: dict[str, str]
    field: int
    rounds: int
    converged: bool
    qualities: tuple[Quality, ...]


class FusedFolder(Record):
    """A folder of fused labels: who, how, with what weights.

    raters    name -> the folder of their labels
    crowd     what tasks with a known answer say of the raters, where there were any
    skipped   cases that fewer than two raters labelled: nothing was written
    """

    version: Literal[1] = 1
    made_by: str
    rules: FusionRules
    structures: tuple[str, ...]
    raters: dict[str, str]
    crowd: Crowd | None
    cases: tuple[FusedCase, ...]
    skipped: tuple[str, ...]


def write_consensus(
    panel: Panel,
    folders: Mapping[str, Path],
    out: Path,
    rules: FusionRules,
    *,
    crowd: Crowd | None = None,
    made_by: str = "delineate",
    workers: int = 1,
    progress: Progress = silent,
) -> FusedFolder:
    """Fuses every case of a panel that has no known answer into files in `out`, and says how in a record.

    crowd  who takes part, and with what weight where the method takes weights

    Raises:
        DataError: no case was labelled by two raters who take part.
    """
    raters = tuple(r for r in panel.raters if crowd is None or r in crowd.weights)
    weights = crowd.weights if crowd and rules.method in ("majority", "soft") else None
    cases = [case for case in panel.cases if crowd is None or case not in crowd.tasks]
    values = FileValues.of(panel.dataset)

    def work(case: str) -> FusedCase | None:
        files = {rater: panel.files[rater][case] for rater in raters if case in panel.files[rater]}
        if len(files) < 2:
            return None
        maps = {rater: panel.read(case, file) for rater, file in files.items()}
        consensus = fuse(maps, rules, weights=weights)
        return _written(case, files, maps, consensus, values, out)

    found: list[FusedCase] = []
    skipped: list[str] = []
    with ThreadPoolExecutor(workers) as pool:
        for done, (case, fused) in enumerate(zip(cases, pool.map(work, cases), strict=True), 1):
            (found.append(fused) if fused else skipped.append(case))
            progress(done, len(cases), case)
    if not found:
        raise DataError(
            f"nothing to fuse: none of {len(cases)} cases without a known answer was labelled by two of "
            f"{', '.join(raters)}. Files are matched by name, without suffix."
        )
    record = FusedFolder(
        made_by=made_by,
        rules=rules,
        structures=tuple(panel.dataset.schema.structures),
        raters={rater: str(folders[rater]) for rater in panel.raters},
        crowd=crowd,
        cases=tuple(found),
        skipped=tuple(skipped),
    )
    write_json(out / TABLE, values.table)
    write_text(out / RECORD, record.to_json())
    return record


def _written(
    case: str,
    files: Mapping[str, Path],
    maps: Mapping[str, LabelMap],
    consensus: Consensus,
    values: FileValues,
    out: Path,
) -> FusedCase:
    """Writes the files of one case."""
    (_, first), *_ = files.items()
    like = next(iter(maps.values()))
    suffix = suffix_of(first) if suffix_of(first) in WRITTEN else USUAL
    labels = out / f"{case}{suffix}"
    write_labels(values.restored(consensus.labels(like)), labels)
    probabilities = None
    if consensus.rules.method in ("staple", "soft"):
        probabilities = out / PROBABILITIES / f"{case}{USUAL}"
        write_volume(consensus.probabilities(like), probabilities)
    return FusedCase(
        case=case,
        labels=labels.name,
        probabilities=str(probabilities.relative_to(out)) if probabilities else None,
        inputs={rater: file_digest(file) for rater, file in files.items()},
        field=consensus.field,
        rounds=consensus.rounds,
        converged=consensus.converged,
        qualities=consensus.qualities,
    )


@dataclass(frozen=True)
class FileValues:
    """Schema values as they stand in files.

    back    schema value -> file value
    schema  with the file values
    table   what goes into `labels.json`
    """

    back: Mapping[int, int]
    schema: LabelSchema
    table: Any

    @classmethod
    def of(cls, dataset: Dataset) -> FileValues:
        """The values of a dataset's files."""
        back = _turned(dataset)
        schema = dataset.schema
        renamed = LabelSchema(
            labels=tuple(_with_value(label, back[label.value]) for label in schema.labels),
            ignore=None if schema.ignore is None else back[schema.ignore],
        )
        return cls(back, renamed, _table(schema, back))

    def restored(self, labels: LabelMap) -> LabelMap:
        """A map with the values of the files."""
        table = np.zeros(max(self.back) + 1, np.min_scalar_type(max(self.back.values())))
        for value, before in self.back.items():
            table[value] = before
        return LabelMap(table[labels.array], labels.geometry, self.schema, labels.notes)


def _turned(dataset: Dataset) -> dict[int, int]:
    """Schema value -> file value, or to itself where that is not told by one value each."""
    same = {value: value for value in dataset.schema.values}
    table = dataset.values
    if table is None or table.packed or table.objects or table.nonzero is not None:
        return same
    back = {meaning: value for value, meaning in table.pairs.items()}
    fits = len(back) == len(table.pairs) and set(back) == set(same) and back[0] == 0
    return back if fits and all(0 <= value <= HIGHEST for value in back.values()) else same


def _with_value(label: Label, value: int) -> Label:
    return Label(value=value, name=label.name, code=label.code, color=label.color)


def _table(schema: LabelSchema, back: Mapping[int, int]) -> dict[str, Any]:
    """The label table of the files, as any verb reads it."""
    table: dict[str, Any] = {"background": 0}
    if schema.regions:
        table |= {region.name: [back[value] for value in region.values] for region in schema.regions}
        table["regions_class_order"] = [back[region.paints] for region in schema.regions]
        table["label_names"] = {str(back[label.value]): label.name for label in schema.labels}
    else:
        table |= {label.name: back[label.value] for label in schema.labels}
    return table | ({} if schema.ignore is None else {"ignore": back[schema.ignore]})
