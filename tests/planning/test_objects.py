"""How objects are measured: on their boxes, in millimetres."""

import numpy as np
import pytest

from delineate.planning.objects import ObjectSizes, sizes_of


def test_objects_are_measured_in_millimetres_on_their_boxes():
    ids = np.zeros((20, 10, 1), np.int32)
    ids[2:6, 1:2] = 1  # 4 x 1 voxels
    ids[8:12, 4:8] = 2  # 4 x 4
    found = sizes_of(ids, (0.5, 2.0, 5.0))
    assert found.count == 2
    assert list(found.sizes.values) == pytest.approx([2.0, 4.0], rel=1e-3)  # 2 x 2 mm and 2 x 8 mm
    assert list(found.elongations.values) == pytest.approx([1.0, 4.0], rel=1e-3)
    assert found.largest == 8.0
    assert found.densities.values[0] == pytest.approx(2 / (10 * 20), rel=1e-3)


def test_a_map_without_objects_counts_none():
    found = sizes_of(np.zeros((4, 4, 1), np.int32), (1.0, 1.0, 1.0))
    assert found == ObjectSizes.sum([])
    assert ObjectSizes.sum([found, found]) == found


def test_a_volume_is_measured_along_three_axes():
    ids = np.ones((2, 4, 8), np.int32)
    assert sizes_of(ids, (1.0, 1.0, 1.0)).sizes.values[0] == pytest.approx(4.0, rel=1e-3)
