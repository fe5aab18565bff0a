"""Volume: how much of a structure there is, in millilitres.

A structure that the scan cuts off has no true volume; it is told apart, not silently dropped.
Source: Bland and Altman 1986, doi:10.1016/S0140-6736(86)90837-8 (differences with their sign).
"""

from __future__ import annotations

from dataclasses import dataclass

from delineate.evaluation.overlap import Confusion
from delineate.space import Box, Geometry


@dataclass(frozen=True)
class Volumes:
    """Millilitres of a structure in the reference and in the prediction."""

    reference_ml: float
    prediction_ml: float

    @classmethod
    def of(cls, counts: Confusion, grid: Geometry) -> Volumes:
        """The volumes of the counted voxels."""
        return cls(counts.reference * grid.voxel_ml, counts.prediction * grid.voxel_ml)

    @property
    def error_ml(self) -> float:
        """Prediction less reference: negative where too little was found."""
        return self.prediction_ml - self.reference_ml

    @property
    def relative_error(self) -> float | None:
        """The error as a share of the reference, with its sign; None where the reference is empty."""
        return self.error_ml / self.reference_ml if self.reference_ml else None


def touches_edge(box: Box, grid: Geometry) -> bool:
    """Whether a structure's box reaches the first or last voxel along an axis that has more than one."""
    return any(
        count > 1 and (start <= 0 or stop >= count)
        for start, stop, count in zip(box.start, box.stop, grid.shape, strict=True)
    )
