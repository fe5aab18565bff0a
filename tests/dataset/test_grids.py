import numpy as np

from delineate.dataset.grids import difference, same_grid
from delineate.space import Geometry


def grid(shape=(10, 9, 8), spacing=(1.0, 1.0, 3.0), shift=0.0):
    affine = np.diag([*spacing, 1.0])
    affine[0, 3] = shift
    return Geometry(shape, affine)


def test_rounding_in_headers_does_not_part_grids():
    assert same_grid(grid(), grid(shift=0.01))
    assert same_grid(grid(), Geometry((10, 9, 8), grid().affine.astype(np.float32)))
    assert not same_grid(grid(), grid(shift=0.1))


def test_the_tolerance_shrinks_with_the_voxels():
    micro = (1e-4, 1e-4, 1e-4)
    assert not same_grid(grid(spacing=micro), grid(spacing=micro, shift=5e-5))


def test_the_difference_is_said_in_words():
    assert difference(grid(), grid((10, 9, 7))) == "10 x 9 x 8 and 10 x 9 x 7 voxels"
    assert difference(grid(), grid(spacing=(1, 1, 2))) == "voxels of 1 x 1 x 3 and 1 x 1 x 2 mm"
    assert difference(grid(), grid().reoriented("LPS").reoriented("RAS")) == (
        "the same 10 x 9 x 8 voxels, but up to 0 mm apart"
    )
    assert difference(grid(), grid(shift=4)) == "the same 10 x 9 x 8 voxels, but up to 4 mm apart"
    flipped = Geometry((10, 9, 8), np.diag([-1.0, -1.0, 3.0, 1.0]))
    assert difference(grid(), flipped) == "axes that run to RAS and LPS"
