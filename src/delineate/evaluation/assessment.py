"""Assessment: predictions held against references, case by case.

Both maps must be on one grid. Resampling a prediction changes what is measured, so it happens only when
asked for, and every row then says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from delineate.errors import DataError, GeometryError
from delineate.evaluation.boxes import value_boxes
from delineate.evaluation.measures import Pair, Rules, measured
from delineate.evaluation.overlap import Confusion, ConfusionTable, Mask
from delineate.evaluation.scores import AT_EDGE, Report, Row, report_of
from delineate.evaluation.volume import touches_edge
from delineate.progress import Progress, silent
from delineate.space import Box, LabelMap, Volume
from delineate.space.labels import Values

if TYPE_CHECKING:
    from delineate.dataset import Dataset

Load = Callable[[str], tuple[LabelMap, LabelMap]]  # case -> reference, prediction
Segment = Callable[[Volume], LabelMap]  # a scan -> what was found in it, on its grid

SEED = 20211  # of the bootstrap where no generator is given: the same report twice
SAME_MM = 0.01  # NIfTI keeps affines in single precision: a tenth of a millimetre at most goes unseen


def evaluate_case(
    reference: LabelMap, prediction: LabelMap, case: str, *, rules: Rules | None = None
) -> tuple[Row, ...]:
    """The rows of one case: every structure of the reference's schema by every metric of the rules.

    Voxels that the reference leaves open (its ignore label) are left out of everything.
    """
    rules = rules or Rules()
    return _rows(*held_together(reference, prediction, case, rules), case, rules)


def _rows(maps: Maps, noted: str | None, case: str, rules: Rules) -> tuple[Row, ...]:
    reference = maps.reference
    rows: list[Row] = []
    for structure in reference.schema.structures:
        its_rules = rules.of(structure)
        values = measured(maps.pair(structure), its_rules)
        edge = AT_EDGE if maps.is_cut_off(structure) else None
        for measure in rules.measures:
            value, why = values[measure.name]
            notes = (why, edge if measure.name == "volume_reference" else None, noted)
            rows.append(
                Row(
                    case=case,
                    structure=structure,
                    metric=measure.name,
                    definition=its_rules.definition(measure),
                    value=value,
                    unit=measure.unit,
                    note="; ".join(note for note in notes if note) or None,
                )
            )
    return tuple(rows)


def evaluate(
    cases: Sequence[str],
    load: Load,
    *,
    rng: np.random.Generator | None = None,
    title: str = "Evaluation",
    groups: Mapping[str, str] | None = None,
    rules: Rules | None = None,
    workers: int = 1,
    progress: Progress = silent,
) -> Report:
    """The report of many cases.

    load    gives reference and prediction of a case; called in `workers` threads, so that no more pairs
            than that are in memory. For pairs at hand: `evaluate(list(pairs), pairs.__getitem__, ...)`
    groups  case -> patient; a case that is not named is a patient of its own
    rng     draws the bootstrap of the intervals; None draws the same one every time
    """
    rules = rules or Rules()
    rng = np.random.default_rng(SEED) if rng is None else rng
    if len(set(cases)) != len(cases):
        raise DataError(f"case names must differ, got {len(cases)} names of {len(set(cases))} cases")

    def examined(case: str) -> tuple[tuple[Row, ...], ConfusionTable]:
        maps, noted = held_together(*load(case), case, rules)
        return _rows(maps, noted, case, rules), maps.confusion()

    rows: list[Row] = []
    tables: list[ConfusionTable] = []
    with ThreadPoolExecutor(workers) as pool:
        for done, (case, (its_rows, table)) in enumerate(
            zip(cases, pool.map(examined, cases), strict=True), 1
        ):
            rows += its_rows
            tables.append(table)
            progress(done, len(cases), case)
    known = groups or {}
    patients = {case: known.get(case, case) for case in cases}
    confusion = ConfusionTable.total(tables) if tables else None
    return report_of(rows, title=title, rules=rules, groups=patients, rng=rng, confusion=confusion)


def evaluate_dataset(
    dataset: Dataset, segment: Segment, *, rules: Rules | None = None, progress: Progress = silent
) -> Report:
    """The report of a way to segment, on the labelled cases of a dataset; patients are those of the cases.

    Give it cases that were not learnt from: `dataset.subset(fold.validation)`.
    """

    def load(case: str) -> tuple[LabelMap, LabelMap]:
        scan, reference = dataset.pair(dataset.case(case))
        return reference, segment(scan)

    groups = {case.id: case.group for case in dataset.cases}
    return evaluate(dataset.ids, load, title=dataset.name, groups=groups, rules=rules, progress=progress)


@dataclass(frozen=True, eq=False)
class Maps:
    """Two label maps on one grid, and where each value of them is."""

    reference: LabelMap
    prediction: LabelMap
    reference_boxes: dict[int, Box]
    prediction_boxes: dict[int, Box]
    known: Mask | None  # None: all of it
    voxels: int  # that are known

    @classmethod
    def of(cls, reference: LabelMap, prediction: LabelMap) -> Maps:
        """Both maps, looked through once."""
        ignore = reference.schema.ignore
        known = None if ignore is None else reference.array != ignore
        voxels = reference.array.size if known is None else int(np.count_nonzero(known))
        boxes = value_boxes(reference.array), value_boxes(prediction.array)
        return cls(reference, prediction, *boxes, known, voxels)

    def pair(self, structure: str) -> Pair:
        """The structure in both maps, cut to where either has it, with one voxel around."""
        grid = self.reference.geometry
        values = [labels.schema.structures[structure] for labels in (self.reference, self.prediction)]
        box = _joined([*_of(self.reference_boxes, values[0]), *_of(self.prediction_boxes, values[1])])
        box = (box or Box((0, 0, 0), (1, 1, 1))).grown(1).clipped(grid.shape)
        masks = [
            _mask(labels.array[box.slices], wanted)
            for labels, wanted in zip((self.reference, self.prediction), values, strict=True)
        ]
        known = None if self.known is None else self.known[box.slices]
        return Pair(
            reference=masks[0],
            prediction=masks[1],
            known=np.ones(box.shape, bool) if known is None else known,
            grid=grid.cropped(box),
            counts=Confusion.of(masks[0], masks[1], known).among(self.voxels),
            diagonal_mm=float(np.linalg.norm(np.ptp(grid.corners()[[0, -1]], axis=0))),
        )

    def confusion(self) -> ConfusionTable:
        """What each label was called. Beyond the box of all labels everything is background in both."""
        grid = self.reference.geometry
        box = _joined([*self.reference_boxes.values(), *self.prediction_boxes.values()])
        box = box or Box((0, 0, 0), (1, 1, 1))
        maps = [
            replace(labels, array=labels.array[box.slices], geometry=grid.cropped(box))
            for labels in (self.reference, self.prediction)
        ]
        return ConfusionTable.of(*maps).among(self.voxels, mm3=1000 * grid.voxel_ml)

    def is_cut_off(self, structure: str) -> bool:
        """Whether the structure reaches the edge of the scan in the reference."""
        box = _joined(_of(self.reference_boxes, self.reference.schema.structures[structure]))
        return box is not None and touches_edge(box, self.reference.geometry)


def _mask(array: Values, values: tuple[int, ...]) -> Mask:
    """Where the array has one of the values."""
    found = np.asarray(array == values[0])
    for value in values[1:]:
        found |= array == value
    return found


def _of(boxes: dict[int, Box], values: tuple[int, ...]) -> list[Box]:
    return [boxes[value] for value in values if value in boxes]


def _joined(boxes: list[Box]) -> Box | None:
    return reduce(Box.joined, boxes) if boxes else None


def held_together(
    reference: LabelMap, prediction: LabelMap, case: str, rules: Rules
) -> tuple[Maps, str | None]:
    """Both maps on one grid, and a note if the prediction had to be resampled."""
    prediction, noted = _on_one_grid(reference, prediction, case, rules)
    _same_structures(reference, prediction, case)
    return Maps.of(reference, prediction), noted


def _on_one_grid(
    reference: LabelMap, prediction: LabelMap, case: str, rules: Rules
) -> tuple[LabelMap, str | None]:
    """The prediction on the reference's grid, and a note if it had to be resampled."""
    here, there = reference.geometry, prediction.geometry
    if here.same_place(there, tolerance_mm=SAME_MM):
        return prediction, None
    if not rules.regrid:
        raise GeometryError(
            f"{case}: reference and prediction are on different grids.\n"
            f"  reference   {here!r}\n"
            f"  prediction  {there!r}\n"
            "  If they show the same anatomy, put the prediction on the reference's grid, or ask for it "
            "here: Rules(regrid=True)."
        )
    return prediction.resampled(here), f"prediction resampled from {there!r}"


def _same_structures(reference: LabelMap, prediction: LabelMap, case: str) -> None:
    unknown = [name for name in reference.schema.structures if name not in prediction.schema.structures]
    if unknown:
        raise DataError(
            f"{case}: the prediction has no {', '.join(map(repr, unknown))}; it has "
            f"{', '.join(prediction.schema.structures)}. Read both maps with the same label schema."
        )
