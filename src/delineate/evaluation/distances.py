"""Distances: how far two surfaces are apart, element by element, and the numbers that are made of that.

Respected tools differ by several per cent on the same pair of masks, so each way has its name here.

pooled            both directions in one list (MedPy's HD95, every ASSD)
max of directed   a number for each direction, then the larger one (HD95 of MONAI and MetricsReloaded)
weighted          elements count by their area (DeepMind, BraTS, MeshMetrics)

Sources: Taha and Hanbury 2015, doi:10.1186/s12880-015-0068-x; Podobnik and Vrtovec 2024, arXiv:2410.02630.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]  # (n,)


@dataclass(frozen=True, eq=False)
class Directed:
    """From each element of one surface to the other surface.

    distances  in mm
    weights    what each element counts: 1, or its area
    """

    distances: Numbers
    weights: Numbers

    def largest(self) -> float:
        """The largest distance."""
        return float(self.distances.max())

    def percentile(self, percent: float = 95) -> float:
        """The percentile over elements, linearly interpolated; weights are not used."""
        return float(np.percentile(self.distances, percent))

    def percentile_weighted(self, percent: float = 95) -> float:
        """The distance below which `percent` of the weight lies, one of the distances."""
        far = np.flatnonzero(self.distances)  # of 0 there are many, and they need no sorting
        order = far[np.argsort(self.distances[far])]
        shared = self.weight - self.weights[far].sum() if len(far) < len(self.weights) else 0.0
        reached = np.append(shared, shared + np.cumsum(self.weights[order])) / self.weight
        place = int(np.searchsorted(reached, percent / 100))
        if place == 0 and len(far) < len(self.weights):
            return 0.0
        return float(self.distances[order[min(max(place, 1), len(order)) - 1]])

    def mean(self) -> float:
        """The weighted mean distance."""
        return float((self.distances * self.weights).sum()) / self.weight

    def near(self, tolerance_mm: float) -> float:
        """The weight of the elements within `tolerance_mm` of the other surface."""
        return float(self.weights[self.distances <= tolerance_mm].sum())

    def within(self, tolerance_mm: float) -> float:
        """The share of this surface that lies within `tolerance_mm` of the other one."""
        return self.near(tolerance_mm) / self.weight

    @cached_property
    def weight(self) -> float:
        """Of all elements: how many, or the area of the surface."""
        return float(self.weights.sum())


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Distances between two surfaces, both of which exist, in both directions."""

    from_reference: Directed
    from_prediction: Directed

    def hausdorff(self) -> float:
        """The largest distance of all (HD)."""
        return max(self.from_reference.largest(), self.from_prediction.largest())

    def percentile_pooled(self, percent: float = 95) -> float:
        """The percentile of both directions in one list, linearly interpolated; weights are not used."""
        return float(np.percentile(self._pooled, percent))

    def percentile_directed(self, percent: float = 95) -> float:
        """The larger of the two directions' percentiles, linearly interpolated; weights are not used."""
        return max(self.from_reference.percentile(percent), self.from_prediction.percentile(percent))

    def percentile_weighted(self, percent: float = 95) -> float:
        """The larger of the two directions' distances below which `percent` of the area lies."""
        return max(
            self.from_reference.percentile_weighted(percent),
            self.from_prediction.percentile_weighted(percent),
        )

    def pooled_mean(self) -> float:
        """The weighted mean over both directions in one list (ASSD)."""
        both = (self.from_reference, self.from_prediction)
        return sum(one.mean() * one.weight for one in both) / self._weight

    def mean_of_directed(self) -> float:
        """The mean of the two directions' means (MASD)."""
        return (self.from_reference.mean() + self.from_prediction.mean()) / 2

    def within(self, tolerance_mm: float) -> float:
        """The share of both surfaces that lies within `tolerance_mm` of the other one (NSD)."""
        near = self.from_reference.near(tolerance_mm) + self.from_prediction.near(tolerance_mm)
        return near / self._weight

    @property
    def _weight(self) -> float:
        return self.from_reference.weight + self.from_prediction.weight

    @property
    def _pooled(self) -> Numbers:
        return np.concatenate([self.from_reference.distances, self.from_prediction.distances])
