import numpy as np
import pytest

from delineate.errors import GeometryError
from delineate.space import Box, Geometry, Source, Volume


@pytest.fixture
def scan():
    values = np.arange(2 * 4 * 5 * 6, dtype=np.int16).reshape(2, 4, 5, 6)
    return Volume(values, Geometry((4, 5, 6), np.diag([-2.0, 1.0, 3.0, 1.0])), ("T1", "T2"))


def test_cropping_takes_the_voxels_of_the_box_and_copies_nothing(scan):
    part = scan.cropped(Box((1, 0, 2), (3, 4, 6)))
    assert np.array_equal(part.array, scan.array[:, 1:3, 0:4, 2:6])
    assert np.shares_memory(part.array, scan.array)
    assert part.channels == ("T1", "T2")
    assert np.allclose(part.geometry.to_world(np.zeros(3)), scan.geometry.to_world(np.array([1.0, 0, 2])))


@pytest.mark.parametrize("code", ["RAS", "LPS", "SAR", "AIL"])
def test_turning_and_turning_back_is_exact_and_keeps_the_number_type(scan, code):
    turned = scan.reoriented(code)
    back = turned.reoriented(scan.geometry.orientation)
    assert turned.geometry.orientation == code
    assert np.array_equal(back.array, scan.array)
    assert back.array.dtype == scan.array.dtype
    assert back.geometry.same_place(scan.geometry)


def test_resampling_keeps_names_and_source(scan):
    scan = Volume(scan.array, scan.geometry, scan.channels, Source(files=("a.nii",)))
    finer = scan.resampled(scan.geometry.respaced((1, 1, 1)), order=1)
    assert finer.channels == scan.channels
    assert finer.source.files == ("a.nii",)
    assert finer.array.shape == (2, 8, 5, 18)


def test_a_volume_says_what_it_holds(scan):
    assert repr(scan) == "Volume(T1, T2 on Geometry(4 x 5 x 6 voxels of 2 x 1 x 3 mm), int16)"


@pytest.mark.parametrize(
    ("shape", "names", "message"),
    [
        ((4, 5, 6), ("image",), "a volume is .channel, i, j, k., got 3 axes"),
        ((1, 4, 5, 7), ("image",), r"\(4, 5, 7\) voxels do not fit on Geometry.* \(scan.nii\)"),
        ((2, 4, 5, 6), ("image",), r"2 channels but 1 names: .*scan.nii"),
    ],
)
def test_a_volume_whose_parts_disagree_is_refused_and_its_file_named(shape, names, message):
    with pytest.raises(GeometryError, match=message):
        Volume(np.zeros(shape), Geometry((4, 5, 6), np.eye(4)), names, Source(files=("scan.nii",)))


def test_a_source_without_files_adds_nothing_to_a_message():
    assert Source().note == ""
