"""What is said in numbers: volumes of the voxels, lengths as evaluation measures them, HU as CT has them."""

from datetime import datetime

import numpy as np
import pydicom
import pytest
from clinic_stacks import Stack, blobs, result_of, write_images

from delineate.clinic import measure, open_series
from delineate.clinic.images import read_images
from delineate.clinic.measurements import Measured, thicknesses, volume_ml
from delineate.evaluation.shapes import Diameter


def measured(tmp_path, stack, values, **tags):
    result = result_of(write_images(tmp_path / "series", stack, **tags), stack, values)
    return result, measure(result)


def test_a_structure_has_the_volume_of_its_voxels_and_the_diameter_of_evaluation(tmp_path):
    stack = Stack(columns=14, rows=12, count=6, spacing=(0.7, 1.3))
    result, found = measured(tmp_path, stack, blobs(stack.geometry, 4))
    for finding in result.findings[:3]:
        mask, got = result.mask(finding), found.of(finding)
        line = Diameter.of(mask, result.series.geometry)
        assert got.voxels == mask.sum()
        assert got.volume_ml == pytest.approx(mask.sum() * stack.geometry.voxel_ml)
        assert (got.long_mm, got.short_mm) == pytest.approx((line.long_mm, line.short_mm))


def test_an_empty_structure_has_the_volume_nought_and_nothing_else(tmp_path):
    stack = Stack()
    result, found = measured(tmp_path, stack, np.zeros(stack.geometry.shape, np.uint8))
    assert all(found.of(finding) == Measured(voxels=0, volume_ml=0.0) for finding in result.findings)


def test_one_voxel_is_one_voxel_long(tmp_path):
    stack = Stack(spacing=(0.5, 0.5))
    values = np.zeros(stack.geometry.shape, np.uint8)
    values[0, 0, 0] = 1
    result, found = measured(tmp_path, stack, values)
    got = found.of(result.findings[0])
    assert (got.voxels, got.volume_ml) == (1, pytest.approx(0.5 * 0.5 * 2 / 1000))
    assert got.long_mm == pytest.approx(0.5)


def test_means_are_in_hounsfield_units_of_each_slice(tmp_path):
    """The pixels of slice k are k; with slope 2 and intercept -1000 they are 2 k - 1000 HU."""
    stack = Stack()
    values = np.zeros(stack.geometry.shape, np.uint8)
    values[2:4, 2:4, 1], values[2:4, 2:4, 3] = 1, 1
    result, found = measured(tmp_path, stack, values, RescaleSlope=2, RescaleIntercept=-1000)
    got = found.of(result.findings[0])
    assert (got.mean_hu, got.sd_hu) == pytest.approx((-996, 2))


def test_other_scans_than_ct_have_no_hounsfield_units(tmp_path):
    stack = Stack()
    result, found = measured(tmp_path, stack, np.ones(stack.geometry.shape, np.uint8), Modality="MR")
    assert found.of(result.findings[0]).mean_hu is None
    assert found.notes == ()


def test_where_images_share_a_place_no_mean_is_given_and_a_note_says_why(tmp_path):
    stack = Stack(repeated=(0,))
    result, found = measured(tmp_path, stack, np.ones(stack.geometry.shape, np.uint8))
    assert found.of(result.findings[0]).mean_hu is None
    assert found.notes == (
        "no mean intensity: several images share a place, and nothing says which was meant",
    )


def test_uneven_slices_stand_for_half_the_way_to_their_neighbours(tmp_path):
    stack = Stack(count=7, missing=(3,))
    values = np.zeros(stack.geometry.shape, np.uint8)
    values[1:5, 1:3, 4] = 1
    result, found = measured(tmp_path, stack, values)
    assert thicknesses(result.series).tolist() == [2, 2, 3, 3, 2, 2]
    got = found.of(result.findings[0])
    assert got.volume_ml == volume_ml(result, result.findings[0]) == pytest.approx(8 * 3 / 1000)
    assert got.long_mm == pytest.approx(np.hypot(4, 1))


@pytest.mark.parametrize("missing", [(), (2,)])
def test_images_are_read_slice_by_slice_in_the_order_of_the_series(tmp_path, missing):
    stack = Stack(missing=missing, lean=(0.2, 0.1))
    images = read_images(open_series(write_images(tmp_path / "series", stack)))
    assert images.shape == (9, 7, len(stack.slices))
    assert images[0, 0].tolist() == stack.slices


def test_the_sarcoma_is_measured_as_its_contours_have_it(shared_data):
    """The volume of the contours on CT; muscle and tumour lie between fat and bone."""
    from delineate.clinic import Maker, make_result, read_rtstruct

    folder = shared_data / "sts_sarcoma_dicom" / "STS_001" / "CT"
    series = open_series(folder / "image")
    labels = read_rtstruct(folder / "mask" / "RS.dcm", series).labels()
    renamed = labels.schema.labels[0].but(name="neoplasm", code=None)
    labels = type(labels)(labels.array, labels.geometry, labels.schema.but(labels=(renamed,)))
    result = make_result(labels, series, Maker("MANUAL", "reader"), when=datetime(2026, 1, 1))
    got = measure(result).of(result.findings[0])
    assert got.volume_ml == pytest.approx(365.32, abs=0.01)
    assert 0 < got.mean_hu < 80
    assert got.voxels == 117145
    assert pydicom.dcmread(next((folder / "image").iterdir())).Modality == "CT"
