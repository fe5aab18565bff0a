"""Enhanced PET becomes SUV by the rules of classic PET: what stands in functional groups is found there."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from delineate.errors import DataError
from delineate.io import Manner, read_volume
from delineate.io.dicom import _only
from delineate.io.pet import pet_headers

ENHANCED, LEGACY = "1.2.840.10008.5.1.4.1.1.130", "1.2.840.10008.5.1.4.1.1.128.1"
HALF_LIFE = 6586.2  # s, fluorine-18
STORED = np.random.default_rng(0).integers(0, 3000, (4, 3, 5), np.uint16)
PLACES = [(0, 0, 2.0 * k) for k in range(4)]
FACTOR = 70_000 / (350e6 * 2 ** (-3600 / HALF_LIFE))  # 70 kg, 350 MBq an hour before the moment of correction


def item(**fields):
    found = Dataset()
    for name, value in fields.items():
        setattr(found, name, value)
    return found


def mapped(unit, slope=0.5, intercept=0.0):
    """A map to real world values."""
    code = item(CodeValue=unit, CodingSchemeDesignator="UCUM", CodeMeaning=unit)
    return item(
        RealWorldValueSlope=slope,
        RealWorldValueIntercept=intercept,
        MeasurementUnitsCodeSequence=Sequence([code]),
    )


def enhanced(dicom, *maps, slope="0.5", kind=ENHANCED, **changes):
    """Four frames of an enhanced PET; a change to None takes a field away."""
    content = dicom.enhanced(STORED, PLACES, SOPClassUID=kind, Modality="PT")
    content.SOPClassUID = kind
    fields = {
        "PatientWeight": "70", "DecayCorrected": "YES", "AttenuationCorrected": "YES",
        "DecayCorrectionDateTime": "20260102110000", "SeriesDate": "20260102", "SeriesTime": "150000",
    } | changes  # fmt: skip
    for name, value in fields.items():
        if value is not None:
            setattr(content, name, value)
    tracer = item(
        RadionuclideTotalDose="350000000",
        RadionuclideHalfLife=str(HALF_LIFE),
        RadiopharmaceuticalStartDateTime="20260102100000",
    )
    content.RadiopharmaceuticalInformationSequence = Sequence([tracer])
    shared = content.SharedFunctionalGroupsSequence[0]
    value = shared.PixelValueTransformationSequence[0]
    value.RescaleSlope, value.RescaleIntercept = slope, "0"
    if maps:
        shared.RealWorldValueMappingSequence = Sequence(maps)
    return content


def suv(dicom, tmp_path, *maps, **changes):
    return read_volume(dicom.save(enhanced(dicom, *maps, **changes), tmp_path / "pet.dcm"))


def test_activity_of_an_enhanced_object_becomes_suv_by_its_moment_of_correction(tmp_path, dicom):
    """SeriesTime says 15:00; what values are corrected to is 11:00."""
    volume = suv(dicom, tmp_path, mapped("Bq/ml"))
    assert volume.source.unit == "SUVbw (g/ml)"
    assert volume.array[0] == pytest.approx(STORED.transpose(2, 1, 0) * 0.5 * FACTOR, rel=1e-5)
    assert any("decayed for 60.0 min" in note for note in volume.source.notes)


def test_the_best_map_is_taken_and_its_slope_counts(tmp_path, dicom):
    """Rescaled values are activity; a second map makes SUV of what is stored."""
    volume = suv(dicom, tmp_path, mapped("Bq/ml", 0.5), mapped("{SUVbw}g/ml", 0.001))
    assert volume.array[0] == pytest.approx(STORED.transpose(2, 1, 0) * 0.001, rel=1e-5)
    assert any("as stored" in note for note in volume.source.notes)


def test_stored_values_are_those_of_the_map(tmp_path, dicom):
    path = dicom.save(enhanced(dicom, mapped("Bq/ml", 2.0)), tmp_path / "pet.dcm")
    volume = read_volume(path, manner=Manner(pet="stored"))
    assert volume.source.unit == "Bq/ml"
    assert volume.array[0] == pytest.approx(STORED.transpose(2, 1, 0) * 2.0)


def test_maps_of_frames_win_over_that_of_all(tmp_path, dicom):
    content = enhanced(dicom, mapped("{counts}", 9.0))
    for group in content.PerFrameFunctionalGroupsSequence:
        group.RealWorldValueMappingSequence = Sequence([mapped("Bq/ml")])
    volume = read_volume(dicom.save(content, tmp_path / "pet.dcm"))
    assert volume.array[0] == pytest.approx(STORED.transpose(2, 1, 0) * 0.5 * FACTOR, rel=1e-5)


def test_a_legacy_converted_object_keeps_what_its_classic_images_said(tmp_path, dicom):
    content = enhanced(
        dicom, kind=LEGACY, DecayCorrected=None, AttenuationCorrected=None, DecayCorrectionDateTime=None,
        PatientWeight=None,
    )  # fmt: skip
    tracer = content.RadiopharmaceuticalInformationSequence
    del content.RadiopharmaceuticalInformationSequence
    content.SharedFunctionalGroupsSequence[0].UnassignedSharedConvertedAttributesSequence = Sequence(
        [
            item(
                Units="BQML", DecayCorrection="START", PatientWeight="70", CorrectedImage=["ATTN", "DECY"],
                RadiopharmaceuticalInformationSequence=tracer,
            )
        ]
    )  # fmt: skip
    for group in content.PerFrameFunctionalGroupsSequence:
        frame = item(FrameAcquisitionDateTime="20260102110000.5+0100")
        group.FrameContentSequence = Sequence([frame])
    content.SeriesTime = "110000"
    volume = read_volume(dicom.save(content, tmp_path / "pet.dcm"))
    assert volume.array[0] == pytest.approx(STORED.transpose(2, 1, 0) * 0.5 * FACTOR, rel=1e-4)


@pytest.mark.parametrize(
    ("maps", "changes", "message"),
    [
        ((), {}, "Units is missing in the header"),
        (("Bq/ml",), {"PatientWeight": None}, "PatientWeight is missing"),
        (("Bq/ml",), {"DecayCorrected": "NO"}, "without decay correction to one moment"),
        (("Bq/ml",), {"AttenuationCorrected": "NO"}, "without attenuation correction"),
        (("ml/min/g",), {}, "PET values in ml/min/g do not become SUV"),
    ],
)
def test_what_does_not_become_suv_is_refused_as_in_classic_images(tmp_path, dicom, maps, changes, message):
    with pytest.raises(DataError, match=message):
        suv(dicom, tmp_path, *map(mapped, maps), **changes)


def test_maps_that_are_no_plain_factor_are_refused(tmp_path, dicom):
    with pytest.raises(DataError, match="mapped to Bq/ml by no plain factor"):
        suv(dicom, tmp_path, mapped("Bq/ml", 0.5, 7.0))
    table = mapped("Bq/ml")
    del table.RealWorldValueSlope
    with pytest.raises(DataError, match="mapped to Bq/ml by no plain factor"):
        suv(dicom, tmp_path, table)


def test_a_map_that_is_the_frames_own_line_changes_nothing(tmp_path, dicom):
    content = enhanced(dicom, mapped("{SUVbw}g/ml", 0.5, 3.0))
    content.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0].RescaleIntercept = "3"
    volume = read_volume(dicom.save(content, tmp_path / "pet.dcm"))
    assert volume.array[0] == pytest.approx(STORED.transpose(2, 1, 0) * 0.5 + 3)


def test_frames_that_are_mapped_in_different_ways_are_refused(tmp_path, dicom):
    content = enhanced(dicom)
    for n, group in enumerate(content.PerFrameFunctionalGroupsSequence):
        group.RealWorldValueMappingSequence = Sequence([mapped("Bq/ml", 0.5 + n)])
    with pytest.raises(DataError, match="mapped to real world values in different ways"):
        read_volume(dicom.save(content, tmp_path / "pet.dcm"))


def test_headers_are_one_for_a_frame(tmp_path, dicom):
    series = _only(dicom.save(enhanced(dicom, mapped("Bq/ml")), tmp_path / "pet.dcm"))
    found = pet_headers(series.frames, "pet")
    assert len(found.classic) == 4
    assert {header.Units for header in found.classic} == {"BQML"}
