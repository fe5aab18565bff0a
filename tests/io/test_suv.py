"""PET becomes SUV by body weight by the rules of QIBA; what is missing is named, never guessed."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from delineate.errors import DataError
from delineate.io import Manner, read_volume
from delineate.io.suv import stored_unit, uptake

PET = "1.2.840.10008.5.1.4.1.1.128"
HALF_LIFE = 6586.2  # s, fluorine-18


def header(**changes) -> Dataset:
    """70 kg, 350 MBq at 10:00, scan from 11:00; a change to None takes a field away."""
    item, tracer = Dataset(), Dataset()
    fields = {
        "Units": "BQML", "DecayCorrection": "START", "PatientWeight": "70",
        "CorrectedImage": ["ATTN", "DECY"], "SeriesDate": "20260102", "SeriesTime": "110000",
        "AcquisitionDate": "20260102", "AcquisitionTime": "110000",
    } | {name: value for name, value in changes.items() if not name.startswith("Radio")}  # fmt: skip
    tracing = {
        "RadionuclideTotalDose": "350000000", "RadionuclideHalfLife": str(HALF_LIFE),
        "RadiopharmaceuticalStartTime": "100000",
    } | {name: value for name, value in changes.items() if name.startswith("Radio")}  # fmt: skip
    for target, values in ((item, fields), (tracer, tracing)):
        for name, value in values.items():
            if value is not None:
                setattr(target, name, value)
    item.RadiopharmaceuticalInformationSequence = Sequence([tracer])
    return item


def factor(**changes) -> float:
    return uptake([header(**changes)], "pet").factor


def decayed(seconds: float, weight: float = 70, dose: float = 350e6) -> float:
    return weight * 1000 / (dose * 2 ** (-seconds / HALF_LIFE))


def test_activity_becomes_suv_by_weight_and_the_dose_that_is_left_at_the_scan():
    assert factor() == pytest.approx(decayed(3600))
    assert "70 kg, 350 MBq injected, decayed for 60.0 min" in uptake([header()], "pet").note


def test_activity_corrected_to_the_injection_takes_the_whole_dose():
    assert factor(DecayCorrection="ADMIN") == pytest.approx(70_000 / 350e6)
    assert factor(DecayCorrection="ADMIN", RadionuclideHalfLife=None) == pytest.approx(70_000 / 350e6)


def test_a_moment_with_its_date_wins_and_midnight_may_lie_between():
    at = factor(RadiopharmaceuticalStartDateTime="20260102103000.5")
    assert at == pytest.approx(decayed(1799.5))
    late = factor(RadiopharmaceuticalStartTime="233000", SeriesTime="003000", AcquisitionTime="003000")
    assert late == pytest.approx(decayed(3600))


def test_a_series_made_anew_later_is_dated_by_its_acquisition():
    """By GE's private element, else from the average count rate of a bed position, else by the first one."""
    anew = header(SeriesTime="180000")
    assert uptake([anew, header(SeriesTime="180000", AcquisitionTime="111000")], "pet").factor == (
        pytest.approx(decayed(3600))
    )
    anew.FrameReferenceTime, anew.ActualFrameDuration = "300000", "180000"  # ms
    constant = np.log(2) / HALF_LIFE
    average = np.log(constant * 180 / (1 - np.exp(-constant * 180))) / constant
    assert uptake([anew], "pet").factor == pytest.approx(decayed(3600 - 300 + average), rel=1e-5)
    anew.add_new((0x0009, 0x0010), "LO", "GEMS_PETD_01")
    anew.add_new((0x0009, 0x100D), "DT", "20260102105900")
    assert uptake([anew], "pet").factor == pytest.approx(decayed(3540))


def test_suv_as_stored_stays_and_suv_of_other_types_is_refused():
    assert factor(Units="GML") == 1
    assert factor(Units="GML", SUVType="BW", PatientWeight=None) == 1
    with pytest.raises(DataError, match="SUV of type LBM, not by body weight"):
        factor(Units="GML", SUVType="LBM")


def test_counts_become_suv_by_the_factors_of_philips():
    def counts(element: int, value: bytes) -> float:
        item = header(Units="CNTS")
        item.add_new((0x7053, 0x0010), "LO", "Philips PET Private Group")
        item.add_new((0x7053, element), "UN" if isinstance(value, bytes) else "DS", value)
        return uptake([item], "pet").factor

    assert counts(0x1000, "0.0005") == pytest.approx(0.0005)
    assert counts(0x1000, b"0.0005 ") == pytest.approx(0.0005)
    assert counts(0x1009, "2.5") == pytest.approx(2.5 * decayed(3600))
    with pytest.raises(DataError, match=r"counts .* Philips' factors \(7053,1000\) and \(7053,1009\)"):
        factor(Units="CNTS")


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ("PatientWeight", "PatientWeight is missing"),
        ("RadionuclideTotalDose", "RadionuclideTotalDose is missing"),
        ("RadionuclideHalfLife", "RadionuclideHalfLife is missing"),
        ("RadiopharmaceuticalStartTime", "RadiopharmaceuticalStartTime .* is missing"),
        ("DecayCorrection", "DecayCorrection is missing"),
        ("Units", "Units is missing"),
    ],
)
def test_what_is_missing_is_named_with_the_way_out(missing, named):
    with pytest.raises(DataError, match=f"(?s)pet: .*{named}.*--pet stored"):
        factor(**{missing: None})


def test_several_missing_fields_are_named_together():
    with pytest.raises(DataError, match="PatientWeight, RadionuclideTotalDose are missing"):
        factor(PatientWeight="0", RadionuclideTotalDose=None)
    with pytest.raises(DataError, match="SeriesDate and SeriesTime"):
        factor(SeriesTime=None, AcquisitionTime=None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Units": "CM2ML"}, "PET values in CM2ML do not become SUV"),
        ({"DecayCorrection": "NONE"}, "without decay correction to one moment"),
        ({"CorrectedImage": ["DECY"]}, "without attenuation correction"),
        ({"RadiopharmaceuticalStartDateTime": "20260101100000"}, "injected 25.0 h before the scan"),
        ({"RadiopharmaceuticalStartDateTime": "20260102120000"}, "injected -1.0 h before the scan"),
    ],
)
def test_what_does_not_become_suv_is_refused(changes, message):
    with pytest.raises(DataError, match=message):
        factor(**changes)


def test_units_that_differ_within_a_series_are_refused():
    with pytest.raises(DataError, match=r"different Units \(BQML, GML\)"):
        uptake([header(), header(Units="GML")], "pet")


def test_a_series_is_read_as_suv_slope_by_slope_or_as_stored(tmp_path, dicom):
    for k, slope in enumerate((1, 2, 4)):
        item = dicom.slice_at(np.full((3, 4), 100, np.int16), (0, 0, 2.5 * k))
        item.update(header())
        item.SOPClassUID, item.Modality, item.RescaleSlope, item.RescaleIntercept = PET, "PT", slope, 0
        dicom.save(item, tmp_path / f"{k}.dcm")
    volume = read_volume(tmp_path)
    assert volume.source.unit == "SUVbw (g/ml)"
    assert volume.array[0, 0, 0] == pytest.approx(np.array([100, 200, 400]) * decayed(3600), rel=1e-5)
    stored = read_volume(tmp_path, manner=Manner(pet="stored"))
    assert (stored.source.unit, stored.array[0, 0, 0].tolist()) == ("Bq/ml", [100, 200, 400])
    assert "PET values are as stored, in Bq/ml, as asked" in stored.source.notes


def test_units_have_names():
    assert [stored_unit(header(Units=unit)) for unit in ("GML", "CNTS", "PCNT")] == ["g/ml", "counts", "PCNT"]


def test_the_real_pet_is_suv_as_its_dose_and_weight_have_it(shared_data):
    """The series says GML; activity is not stored, so the fields are held against each other."""
    folder = shared_data / "sts_sarcoma_dicom" / "STS_001" / "PET" / "image"
    volume = read_volume(folder)
    assert volume.source.unit == "SUVbw (g/ml)"
    assert 20 < volume.array.max() < 30
    one = pydicom.dcmread(next(iter(sorted(folder.iterdir()))), stop_before_pixels=True)
    one.Units, one.DecayCorrection = "BQML", "START"
    assert "71 kg, 388.8 MBq injected, decayed for 45.2 min" in uptake([one], "pet").note
