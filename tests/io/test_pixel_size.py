"""How large a pixel is, by the field that says it: in slices, radiographs and ultrasound."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from delineate.io import read_volume
from delineate.io.pixel_size import pixel_size

US = "1.2.840.10008.5.1.4.1.1.6.1"


def region(across=0.02, down=0.01, units=3, form=1) -> Dataset:
    item = Dataset()
    item.RegionSpatialFormat, item.PhysicalDeltaX, item.PhysicalDeltaY = form, across, down
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = units
    return item


@pytest.mark.parametrize(
    ("values", "size", "said"),
    [
        ({"PixelSpacing": [2, 1]}, (1, 2), ""),
        ({"ImagerPixelSpacing": [2, 1]}, (1, 2), "at the detector (ImagerPixelSpacing): things in"),
        (
            {"ImagerPixelSpacing": [2, 1], "EstimatedRadiographicMagnificationFactor": "1.25"},
            (1, 2), "are smaller, by a factor of about 1.25",
        ),
        ({"PixelSpacing": [2, 1], "ImagerPixelSpacing": [2, 1]}, (1, 2), "at the detector"),
        (
            {
                "PixelSpacing": [0.1, 0.1], "ImagerPixelSpacing": [0.12, 0.12],
                "PixelSpacingCalibrationType": "GEOMETRY",
            },
            (0.1, 0.1), "corrected for the magnification), and 0.12 x 0.12 mm at the detector",
        ),
        ({"PixelSpacing": [1, 1], "ImagerPixelSpacing": [2, 2]}, (1, 1), "corrected nobody says how"),
        ({"NominalScannedPixelSpacing": [0.3, 0.3]}, (0.3, 0.3), "on the film that was scanned"),
        ({"SequenceOfUltrasoundRegions": [region(), region()]}, (0.2, 0.1), "calibration of 2 ultrasound"),
        ({"SequenceOfUltrasoundRegions": [region(), region(0.03)]}, None, "have different scales"),
        ({"SequenceOfUltrasoundRegions": [region(), region(1, 1, 4), region(9, form=3)]}, (0.2, 0.1), "1 u"),
        ({"SequenceOfUltrasoundRegions": [region(0.0)]}, None, ""),
        ({"PixelSpacing": [1]}, None, ""),
        ({}, None, ""),
    ],
)  # fmt: skip
def test_the_field_that_says_the_size_is_named(values, size, said):
    found, words = pixel_size(values)
    assert found == (size if size is None else pytest.approx(size))
    assert (said in words) if said else not words


def test_an_ultrasound_picture_has_the_size_of_its_calibration(tmp_path, dicom):
    item = dicom.plain(np.zeros((4, 6), np.uint8), SOPClassUID=US, SequenceOfUltrasoundRegions=[region()])
    volume = read_volume(dicom.save(item, tmp_path / "a.dcm"))
    assert volume.geometry.spacing == pytest.approx((0.2, 0.1, 1))
    assert "pixel size from the calibration of 1 ultrasound region(s)" in volume.source.notes


def test_regions_of_different_scales_leave_a_picture_without_a_size(tmp_path, dicom):
    item = dicom.plain(np.zeros((4, 6), np.uint8), SOPClassUID=US)
    item.SequenceOfUltrasoundRegions = [region(), region(0.5)]
    volume = read_volume(dicom.save(item, tmp_path / "a.dcm"))
    assert volume.geometry.spacing == (1, 1, 1)
    assert volume.source.notes[1:3] == (
        "its 2 ultrasound regions have different scales",
        "nothing says how large a pixel is: taken as 1 mm",
    )
