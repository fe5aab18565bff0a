"""Lesions: how well each of many separate findings was seen, whatever its size.

Voxel Dice is that of the largest lesion; a patient with nine small metastases missed may score 0.9. Here
every lesion counts once. What one lesion is has to be said first, and changes every number: `LesionRules`.

BraTS 2023: predicted components are those of a lesion if they reach it or the margin around it; each lesion
is scored against all of its components together, and every component that reaches no lesion, however small,
scores 0 and the penalty. One component that reaches two lesions is scored with both.

Sources: Moawad 2023, arXiv:2306.00838, and the evaluation script of BraTS 2023 (lesion-wise Dice and HD95);
Bilic 2023, doi:10.1016/j.media.2022.102680 (LiTS: detection at an overlap, pieces merged).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from scipy import ndimage

from delineate.errors import GeometryError
from delineate.evaluation.objects.findings import Detected, Found, covered, merged, paired
from delineate.evaluation.objects.instance_map import Connectivity, components
from delineate.evaluation.objects.matching import Ids, Indices, Numbers, Overlaps
from delineate.evaluation.overlap import EmptyPolicy, Mask
from delineate.evaluation.surface import area_distances
from delineate.record import Record
from delineate.space import Box, Geometry, triple

BratsTask = Literal["GLI", "SSA", "PED", "MEN", "MET"]

BRATS: dict[BratsTask, tuple[int, float]] = {  # iterations of dilation, mm^3 up to which lesions are left out
    "GLI": (3, 50.0),  # glioma
    "SSA": (3, 50.0),  # glioma, sub-Saharan Africa
    "PED": (3, 50.0),  # children
    "MEN": (1, 50.0),  # meningioma
    "MET": (1, 2.0),  # metastases
}
BRATS_PENALTY_MM = 374.0  # about the diagonal of its grid of 240 x 240 x 155 voxels of 1 mm: 373.1
ROUNDING = 1e-9  # of volumes: a lesion of just the smallest one does not count on a turned grid either
BY_EDGES = ndimage.generate_binary_structure(3, 2)  # 18 neighbours, with which BraTS dilates


class LesionRules(Record):
    """What one lesion is, which lesions count, and what a missed one costs.

    connectivity  neighbours by which voxels are connected: 6, 18 or 26 (in pictures 4, 8, 8)
    margin        iterations of dilation, by 18 neighbours: lesions of the reference whose margins touch are
                  one lesion, and a prediction that only reaches the margin is still of that lesion
    smallest_mm3  lesions of the reference up to this volume are not counted, and what was predicted there
                  is neither right nor wrong; components of the prediction count at any size
    penalty_mm    HD95 of a missed and of an invented lesion; None: the diagonal of the grid
    found, overlap  when a lesion counts as found, see `Found`
    edges_ml      sizes at which tables of lesions are divided; empty: three parts of equally many lesions
    """

    connectivity: Connectivity = 26
    margin: Annotated[int, Field(ge=0)] = 0
    smallest_mm3: Annotated[float, Field(ge=0)] = 0.0
    penalty_mm: Annotated[float, Field(gt=0)] | None = None
    found: Found = "reached"
    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.0
    edges_ml: tuple[Annotated[float, Field(gt=0)], ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.found == "reached" and self.overlap:
            raise ValueError("lesions that are found when they are reached have no overlap to exceed")
        if list(self.edges_ml) != sorted(set(self.edges_ml)):
            raise ValueError(f"edges of sizes ascend, got {list(self.edges_ml)}")
        return self

    @classmethod
    def brats(cls, task: BratsTask) -> LesionRules:
        """The rules of a task of BraTS 2023. Where both masks are empty it scores 1 and 0 mm."""
        margin, smallest = BRATS[task]
        return cls(margin=margin, smallest_mm3=smallest, penalty_mm=BRATS_PENALTY_MM)

    @classmethod
    def lits(cls) -> LesionRules:
        """The rules by which LiTS counts detected lesions: faces connect, IoU above one half."""
        return cls(connectivity=6, found="merged", overlap=0.5)

    @property
    def words(self) -> str:
        """What one lesion is by these rules."""
        said = [f"{self.connectivity} neighbours"]
        if self.margin:
            said.append(f"joined within {self.margin} dilations")
        if self.smallest_mm3:
            said.append(f"above {self.smallest_mm3:g} mm³")
        return ", ".join(said)

    @property
    def words_of_found(self) -> str:
        """When a lesion counts as found by these rules."""
        return "reached" if self.found == "reached" else f"{self.found}, overlap > {self.overlap:g}"


LESION_RULES: dict[str, LesionRules] = {
    "plain": LesionRules(),
    **{task: LesionRules.brats(task) for task in BRATS},
    "LITS": LesionRules.lits(),
}
"""Rules by name: plain, the tasks of BraTS 2023, and LiTS."""


class Lesion(Record):
    """One lesion of the reference, and what became of it."""

    number: int
    pieces: int  # connected ones, joined by the rules
    volume_ml: float
    center_mm: tuple[float, float, float]  # world
    is_counted: bool  # above the smallest volume of the rules
    is_found: bool
    findings: tuple[int, ...]  # numbers of the components that are its
    covered: float  # share of its voxels that was predicted
    dice: float  # with all of its components together; 0 where there is none
    hd95_mm: float  # the same; the penalty where there is none


class Finding(Record):
    """One component of the prediction."""

    number: int
    volume_ml: float
    center_mm: tuple[float, float, float]
    lesions: tuple[int, ...]  # that it reaches; several: one prediction covers them all
    is_invented: bool  # it reaches none: scored with 0 and the penalty
    is_right: bool | None  # by `found` of the rules; None: it is only with lesions that do not count


@dataclass(frozen=True, eq=False)
class Lesions:
    """The lesions of a reference and the components of a prediction on one grid.

    lesions, findings  (i, j, k) numbers from 1, 0 elsewhere
    pieces             (lesion,) connected pieces of each
    reached            (lesion,) numbers of the components that touch it or its margin
    """

    lesions: Ids
    findings: Ids
    pieces: Indices
    reached: tuple[Indices, ...]
    grid: Geometry
    rules: LesionRules
    diagonal_mm: float

    @classmethod
    def of(
        cls,
        reference: Mask,
        prediction: Mask,
        grid: Geometry,
        rules: LesionRules,
        *,
        known: Mask | None = None,
        diagonal_mm: float | None = None,
    ) -> Lesions:
        """The lesions of two masks (i, j, k); what is not `known` is in neither of them.

        diagonal_mm  of the scan of which `grid` is a part; None: it is the scan
        """
        if not reference.shape == prediction.shape == grid.shape:
            raise GeometryError(
                f"masks on {grid!r} have its shape, got {reference.shape} and {prediction.shape}"
            )
        if known is not None:
            reference, prediction = reference & known, prediction & known
        lesions, pieces = _joined(reference, rules)
        findings, _ = components(prediction, rules.connectivity)
        reached = _reached(lesions, findings, rules.margin)
        diagonal = _diagonal_mm(grid) if diagonal_mm is None else diagonal_mm
        return cls(lesions, findings, pieces, reached, grid, rules, diagonal)

    @property
    def penalty_mm(self) -> float:
        """HD95 of a lesion that was missed or invented."""
        return self.rules.penalty_mm or self.diagonal_mm

    @cached_property
    def overlaps(self) -> Overlaps:
        """How many voxels lesions and components share."""
        return Overlaps.of(self.lesions, self.findings)

    @cached_property
    def volumes_mm3(self) -> Numbers:
        """(lesion,)."""
        return np.asarray(self.overlaps.reference_sizes * (self.grid.voxel_ml * 1000))

    @cached_property
    def counted(self) -> Mask:
        """(lesion,) whether it is above the smallest volume of the rules."""
        return np.asarray(self.volumes_mm3 > self.rules.smallest_mm3 * (1 + ROUNDING))

    @cached_property
    def invented(self) -> Mask:
        """(finding,) whether it reaches no lesion, not even one that does not count."""
        alone = np.ones(len(self.overlaps.prediction_ids), bool)
        for numbers in self.reached:
            alone[numbers - 1] = False
        return alone

    @cached_property
    def dices(self) -> Numbers:
        """(lesion,) Dice of each lesion with all components that reach it; 0 where none does."""
        sizes, found = self.overlaps.reference_sizes, self.overlaps.prediction_sizes
        predicted = np.array([found[numbers - 1].sum() for numbers in self.reached], float)
        return np.asarray(2 * self._shared() / np.maximum(sizes + predicted, 1))

    @cached_property
    def distances_mm(self) -> Numbers:
        """(lesion,) HD95 of each, by area, to all components that reach it; the penalty where none does."""
        lesion_boxes, finding_boxes = _boxes(self.lesions), _boxes(self.findings)
        return np.array(
            [
                self._distance_mm(number, lesion_boxes[number], [finding_boxes[n] for n in numbers])
                if len(numbers)
                else self.penalty_mm
                for number, numbers in enumerate(self.reached, 1)
            ]
        )

    def dice(self, empty: EmptyPolicy = "missing") -> float | None:
        """Lesion-wise Dice: the mean over the lesions that count and the invented ones, which have 0."""
        return self._mean(self.dices, 0.0, 1.0, empty)

    def hd95(self, empty: EmptyPolicy = "missing") -> float | None:
        """Lesion-wise HD95 in mm, likewise; invented ones have the penalty."""
        return self._mean(self.distances_mm, self.penalty_mm, 0.0, empty)

    @cached_property
    def detected(self) -> Detected:
        """How many were found by the rules."""
        return self.detected_by(self.rules.found, self.rules.overlap)

    def detected_by(self, found: Found, overlap: float = 0.0) -> Detected:
        """How many were found by other rules."""
        is_found, is_right, is_open = self._judged(found, overlap)
        return Detected(
            found=int(np.count_nonzero(is_found & self.counted)),
            missed=int(np.count_nonzero(~is_found & self.counted)),
            right=int(np.count_nonzero(is_right & ~is_open)),
            wrong=int(np.count_nonzero(~is_right & ~is_open)),
        )

    def table(self) -> tuple[Lesion, ...]:
        """Every lesion of the reference, those that do not count included."""
        is_found, _, _ = self._judged(self.rules.found, self.rules.overlap)
        sizes = self.overlaps.reference_sizes
        centers = self._centers(self.lesions, len(sizes))
        covered_shares = self._shared() / np.maximum(sizes, 1)
        return tuple(
            Lesion(
                number=n + 1,
                pieces=int(self.pieces[n]),
                volume_ml=float(sizes[n] * self.grid.voxel_ml),
                center_mm=centers[n],
                is_counted=bool(self.counted[n]),
                is_found=bool(is_found[n]),
                findings=tuple(self.reached[n].tolist()),
                covered=float(covered_shares[n]),
                dice=float(self.dices[n]),
                hd95_mm=float(self.distances_mm[n]),
            )
            for n in range(len(sizes))
        )

    def finding_table(self) -> tuple[Finding, ...]:
        """Every component of the prediction."""
        _, is_right, is_open = self._judged(self.rules.found, self.rules.overlap)
        sizes = self.overlaps.prediction_sizes
        centers = self._centers(self.findings, len(sizes))
        lesions: list[list[int]] = [[] for _ in sizes]
        for number, numbers in enumerate(self.reached, 1):
            for finding in numbers:
                lesions[finding - 1].append(number)
        return tuple(
            Finding(
                number=n + 1,
                volume_ml=float(sizes[n] * self.grid.voxel_ml),
                center_mm=centers[n],
                lesions=tuple(lesions[n]),
                is_invented=bool(self.invented[n]),
                is_right=None if is_open[n] else bool(is_right[n]),
            )
            for n in range(len(sizes))
        )

    def _shared(self) -> Numbers:
        """(lesion,) voxels that it shares with all components."""
        rows, shared = self.overlaps.rows, self.overlaps.shared.astype(float)
        return np.asarray(np.bincount(rows, shared, len(self.overlaps.reference_ids)), float)

    def _distance_mm(self, lesion: int, box: Box, others: Sequence[Box]) -> float:
        for other in others:
            box = box.joined(other)
        box = box.grown(1).clipped(self.grid.shape)
        mine = np.zeros(len(self.overlaps.prediction_ids) + 1, bool)
        mine[self.reached[lesion - 1]] = True
        apart = area_distances(
            self.lesions[box.slices] == lesion, mine[self.findings[box.slices]], self.grid.cropped(box)
        )
        return self.penalty_mm if apart is None else apart.percentile_weighted()

    def _mean(self, values: Numbers, invented: float, nothing: float, empty: EmptyPolicy) -> float | None:
        counted, extra = int(np.count_nonzero(self.counted)), int(np.count_nonzero(self.invented))
        if empty == "reference" and not counted:
            return None
        if not counted and not extra:
            return nothing if empty == "one" else None
        return float((values[self.counted].sum() + extra * invented) / (counted + extra))

    def _judged(self, found: Found, overlap: float) -> tuple[Mask, Mask, Mask]:
        """(lesion,) is found; (finding,) is right; (finding,) is only with lesions that do not count."""
        match found:
            case "reached":
                is_found = np.array([len(numbers) > 0 for numbers in self.reached], bool)
                is_right = ~self.invented
            case "covered":
                is_found, is_right = covered(self.overlaps, overlap)
            case "paired":
                is_found, is_right = paired(self.overlaps, overlap)
            case "merged":
                is_found, is_right = merged(self.overlaps, overlap)
        with_counted = np.zeros(len(is_right), bool)
        for counts, numbers in zip(self.counted, self.reached, strict=True):
            if counts:
                with_counted[numbers - 1] = True
        return is_found, is_right, ~self.invented & ~with_counted

    def _centers(self, labels: Ids, count: int) -> list[tuple[float, float, float]]:
        index = np.argwhere(labels)
        number = labels[labels > 0] - 1
        sizes = np.maximum(np.bincount(number, minlength=count), 1)
        sums = [np.bincount(number, index[:, axis].astype(float), count) for axis in range(3)]
        world = self.grid.to_world(np.stack(sums, axis=1) / sizes[:, None])
        return [triple(float(x) for x in point) for point in world]


def _joined(reference: Mask, rules: LesionRules) -> tuple[Ids, Indices]:
    """The lesions of a mask by number, and of how many pieces each is."""
    pieces, count = components(reference, rules.connectivity)
    box = Box.around(reference)
    if box is None or not rules.margin:
        return pieces, np.ones(count, np.intp)
    part = box.grown(rules.margin).clipped(pieces.shape).slices
    grown = ndimage.binary_dilation(reference[part], BY_EDGES, iterations=rules.margin)
    areas, lesions = components(grown, rules.connectivity)
    joined = np.zeros_like(pieces)
    joined[part] = np.where(reference[part], areas, 0)
    of_piece = np.zeros(count + 1, np.intp)
    of_piece[pieces[reference]] = joined[reference]
    return joined, np.bincount(of_piece[1:] - 1, minlength=lesions)


def _reached(lesions: Ids, findings: Ids, margin: int) -> tuple[Indices, ...]:
    """For each lesion, the numbers of the components that touch it or its margin, ascending."""
    found = []
    for number, box in _boxes(lesions).items():
        part = box.grown(margin).clipped(lesions.shape).slices
        mask = lesions[part] == number
        if margin:
            mask = ndimage.binary_dilation(mask, BY_EDGES, iterations=margin)
        numbers = np.unique(findings[part][mask])
        found.append(numbers[numbers > 0].astype(np.intp))
    return tuple(found)


def _boxes(numbers: Ids) -> dict[int, Box]:
    """Number -> the tightest box that holds it."""
    return {
        number: Box(triple(s.start for s in slices), triple(s.stop for s in slices))
        for number, slices in enumerate(ndimage.find_objects(numbers), 1)
        if slices is not None
    }


def _diagonal_mm(grid: Geometry) -> float:
    return float(np.linalg.norm(np.ptp(grid.corners()[[0, -1]], axis=0)))
