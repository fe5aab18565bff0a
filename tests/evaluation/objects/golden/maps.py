"""Maps of objects to compare tools on: the same numbers on every machine, from numpy alone.

Scripts that run a peer and tests that compare with what it said both make their maps here. `digest` tells
them apart should a generator of random numbers ever change its stream.
"""

import hashlib

import numpy as np


def objects(rng, shape, count, radius):
    """Ellipsoids with ids that have gaps; the first one keeps its voxels."""
    array = np.zeros(shape, np.int32)
    place = np.indices(shape).astype(float)
    ids = rng.choice(np.arange(1, 60000), count, replace=False)
    for number in ids:
        center = [rng.integers(0, n) for n in shape]
        stretch = rng.uniform(0.6, 1.4, len(shape))
        far = sum(((place[a] - center[a]) / stretch[a]) ** 2 for a in range(len(shape)))
        array[(far < rng.uniform(*radius) ** 2) & (array == 0)] = number
    return array


def perturbed(rng, array):
    """The objects moved a little; some are left out, cut in two, grown into others, or invented."""
    result = np.zeros_like(array)
    fresh = iter(rng.choice(np.arange(1, 60000), 4 * len(np.unique(array)) + 8, replace=False))
    for number in np.unique(array)[1:]:
        if rng.random() < 0.15:
            continue
        mask = np.roll(array == number, rng.integers(-1, 2, array.ndim), axis=tuple(range(array.ndim)))
        if rng.random() < 0.2:
            half = np.indices(array.shape)[0] > np.argwhere(mask)[:, 0].mean()
            result[mask & half] = next(fresh)
            mask &= ~half
        joined = rng.random() < 0.15 and result.any()
        result[mask] = result.max() if joined else next(fresh)
    extra = objects(rng, array.shape, 3, (1.5, 3.5))
    free = (result == 0) & (extra > 0)
    result[free] = extra[free] + 60000
    return result


def instance_pair(seed):
    """(i, j) or, every third time, (i, j, k): reference and prediction."""
    rng = np.random.default_rng([1, seed])
    flat = seed % 3 > 0
    shape, count, radius = ((48, 44), 18, (2, 6)) if flat else ((20, 18, 12), 12, (1.5, 4))
    reference = objects(rng, shape, count, radius)
    return reference, perturbed(rng, reference)


def tumour_pair(seed):
    """(i, j, k) maps of the three labels of a brain tumour, and the size of a voxel in mm."""
    rng = np.random.default_rng([2, seed])
    shape = (34, 30, 26)
    blobs = objects(rng, shape, int(rng.integers(1, 13)), (0.8, 5))
    found = perturbed(rng, blobs) if seed % 7 else np.zeros_like(blobs)
    if seed % 11 == 5:
        blobs[:] = 0
    spacing = (1.0, 1.0, 1.0) if seed % 2 else tuple(np.round(rng.uniform(0.5, 2.5, 3), 2).tolist())
    # Halves of objects have other labels, so that the regions differ.
    half = np.indices(shape)[1] % 5 > 2
    return tuple(np.where(m > 0, 1 + m % 3, 0) * np.where(half, 1, (m > 0)) for m in (blobs, found)), spacing


def digest(*arrays):
    """What tells these maps from any others."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(a, np.int64).tobytes() for a in arrays)).hexdigest()[
        :16
    ]
