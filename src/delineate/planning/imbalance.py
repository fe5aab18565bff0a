"""Imbalance: how much a voxel of each class should weigh, that all classes together weigh the same.

Used by the weighted losses alone. The rule is w = N / (C n): all voxels over those of the class, shared by
C classes (King 2001, doi:10.1093/oxfordjournals.pan.a004868). Of a region, which is there or not, it is
the weight of its inside against its outside.
"""

from __future__ import annotations

import numpy as np

from delineate.planning.fingerprint import Fingerprint

HEAVIEST = 50.0  # of the rarest: as far as ENet's weights, 1 / ln(1.02 + share), go; Paszke 2016
DIGITS = 4


def class_weights(found: Fingerprint) -> tuple[tuple[float, ...] | None, str]:
    """One weight per output, and why; None where nobody knows how much background there is."""
    if found.labels.ignore is not None:
        return None, "not all voxels are annotated: how many are background is not known"
    voxels = {
        label.value: sum(case.label_voxels[n] for case in found.cases)
        for n, label in enumerate(found.labels.labels)
    }
    whole = sum(int(np.prod(case.cropped, dtype=np.int64)) for case in found.cases)
    whole = max(whole, sum(voxels.values()))
    if found.labels.exclusive:
        counts = [whole - sum(voxels.values()), *voxels.values()]
        weights = [_capped(whole, len(counts) * count) for count in counts]
        return tuple(weights), f"all voxels over {len(counts)} times those of the class, {_LIMIT}"
    inside = [sum(voxels[value] for value in region.values) for region in found.labels.regions]
    weights = [_capped(whole - count, count) for count in inside]
    return tuple(weights), f"voxels outside the region over those inside, {_LIMIT}"


_LIMIT = f"at most {HEAVIEST:g}; only weighted losses use them"


def _capped(voxels: int, share: int) -> float:
    weight = HEAVIEST if share == 0 else min(voxels / share, HEAVIEST)
    return float(f"{max(weight, 1 / HEAVIEST):.{DIGITS}g}")
