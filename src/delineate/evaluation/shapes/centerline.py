"""Centre lines: whether vessels, airways and nerves are followed, however thin they are.

Overlap in voxels is blind to a gap in a thin branch. clDice asks how much of each mask's centre line lies in
the other mask. It is counted in voxels of the line, as its authors do, also where voxels are not cubes.

In a vessel two voxels wide the line can run in either voxel, and thinning takes one. So that this choice does
not decide, each mask is thinned twice, as it is and mirrored, and the voxels of both lines count.

Source: Shit 2021, doi:10.1109/CVPR46437.2021.01629 (topology precision, topology sensitivity, clDice).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from delineate.errors import GeometryError
from delineate.evaluation.overlap import EmptyPolicy, Mask
from delineate.evaluation.shapes.thinning import centerline


@dataclass(frozen=True)
class CenterlineOverlap:
    """Voxels of the centre lines of both masks, each thinned twice, and how many lie in the other mask."""

    reference: int
    reference_found: int  # of the reference's line, in the predicted mask
    prediction: int
    prediction_right: int  # of the prediction's line, in the reference's mask

    @classmethod
    def of(cls, reference: Mask, prediction: Mask, known: Mask | None = None) -> CenterlineOverlap:
        """The counts of two masks (i, j, k) of one shape; voxels that are not `known` are in neither."""
        if reference.shape != prediction.shape:
            raise GeometryError(
                f"masks of one grid have one shape, got {reference.shape} and {prediction.shape}"
            )
        if known is not None:
            reference, prediction = reference & known, prediction & known
        return cls(*_counted(reference, prediction), *_counted(prediction, reference))

    @property
    def precision(self) -> float | None:
        """The share of the predicted line that is right; None where nothing was predicted."""
        return self.prediction_right / self.prediction if self.prediction else None

    @property
    def sensitivity(self) -> float | None:
        """The share of the reference's line that was found; None where there is nothing to find."""
        return self.reference_found / self.reference if self.reference else None

    def cldice(self, empty: EmptyPolicy = "missing") -> float | None:
        """The harmonic mean of precision and sensitivity; 0 where both are, or where one mask is empty."""
        if empty == "reference" and not self.reference:
            return None
        if not self.reference and not self.prediction:
            return 1.0 if empty == "one" else None
        precision, sensitivity = self.precision or 0.0, self.sensitivity or 0.0
        both = precision + sensitivity
        return 2 * precision * sensitivity / both if both else 0.0


def _counted(mask: Mask, other: Mask) -> tuple[int, int]:
    """Voxels of a mask's lines, and those of them that lie in the other mask."""
    lines = centerline(mask), np.flip(centerline(np.flip(mask)))
    return (
        sum(int(np.count_nonzero(line)) for line in lines),
        sum(int(np.count_nonzero(line & other)) for line in lines),
    )
