"""Pair: one structure in two label maps, and what a measure of it is.

Each file of this folder declares measures of one kind; `rules` joins them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from delineate.evaluation.distances import SurfaceDistances
from delineate.evaluation.mesh import mesh_distances
from delineate.evaluation.objects.lesions import LesionRules, Lesions
from delineate.evaluation.overlap import Confusion, Mask, emptiness
from delineate.evaluation.surface import area_distances, border_distances
from delineate.evaluation.volume import Volumes
from delineate.space import Geometry

if TYPE_CHECKING:
    from delineate.evaluation.measures.rules import Rules

Kind = Literal["border", "area", "mesh"]  # of surface
Value = tuple[float | None, str | None]  # a missing value is None, and the note says why


@dataclass(frozen=True)
class Measure:
    """One way to judge a structure: a name, a definition in words and a unit go wherever its values go."""

    name: str
    title: str  # as a column is headed
    definition: str
    unit: str
    best: Literal["high", "low", "zero"]
    of: Callable[[Pair, Rules], Value]
    by_rules: Callable[[Rules], str] | None = None  # what the rules add to its definition
    at: Callable[[float], Measure] | None = None  # the same within so many mm, whatever the rules say


@dataclass(frozen=True, eq=False)
class Pair:
    """One structure in the reference and in the prediction, cut to where it is.

    reference, prediction, known   (i, j, k) on `grid`, a part of the scan
    counts                         of the whole scan
    diagonal_mm                    of the whole scan: no distance in it is larger

    What several measures need is found once, when the first of them asks.
    """

    reference: Mask
    prediction: Mask
    known: Mask
    grid: Geometry
    counts: Confusion
    diagonal_mm: float

    @cached_property
    def volumes(self) -> Volumes:
        """How large the structure is in both."""
        return Volumes.of(self.counts, self.grid)

    @cached_property
    def border(self) -> SurfaceDistances | None:
        """Distances between border voxels; None where one of the masks has none."""
        return border_distances(*self._known_masks, self.grid, self._partly_known)

    def apart(self, surface: Kind) -> SurfaceDistances | None:
        """Distances between the surfaces of the masks; None where one of them has none."""
        match surface:
            case "border":
                return self.border
            case "area":
                return self.area
            case "mesh":
                return self.mesh

    @cached_property
    def area(self) -> SurfaceDistances | None:
        """Distances between surface elements; None where one of the masks has none."""
        return area_distances(*self._known_masks, self.grid, self._partly_known)

    @cached_property
    def mesh(self) -> SurfaceDistances | None:
        """Distances between meshes; None where one of the masks has none."""
        return mesh_distances(*self._known_masks, self.grid, self._partly_known)

    def lesions(self, rules: LesionRules) -> Lesions:
        """The lesions of the reference and the components of the prediction by some rules."""
        if rules not in self._lesions:
            masks = self._known_masks
            self._lesions[rules] = Lesions.of(*masks, self.grid, rules, diagonal_mm=self.diagonal_mm)
        return self._lesions[rules]

    @cached_property
    def _lesions(self) -> dict[LesionRules, Lesions]:
        return {}

    @property
    def emptiness(self) -> str | None:
        """Which of the masks is empty, in words."""
        return emptiness(bool(self.counts.reference), bool(self.counts.prediction))

    @cached_property
    def _known_masks(self) -> tuple[Mask, Mask]:
        known = self._partly_known
        if known is None:
            return self.reference, self.prediction
        return self.reference & known, self.prediction & known

    @cached_property
    def _partly_known(self) -> Mask | None:
        return None if self.known.all() else self.known
