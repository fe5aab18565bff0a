"""The ten categories of MIDI-B on a cohort of our own: what must be gone is gone, what is needed is there."""

import json
import sys
import warnings
from datetime import date
from importlib import util
from pathlib import Path

import numpy as np
import pydicom
import pytest

from delineate.clinic.privacy import Key, Wishes, deidentify

SPEC = util.spec_from_file_location("deidentify_cohort", Path(__file__).with_name("cohort.py"))
planted = util.module_from_spec(SPEC)
sys.modules[SPEC.name] = planted  # dataclasses look themselves up there
SPEC.loader.exec_module(planted)
ANYWHERE, KEPT_TEXT, PEOPLE, PLACES, ROOT = (
    planted.ANYWHERE, planted.KEPT_TEXT, planted.PEOPLE, planted.PLACES, planted.ROOT,
)  # fmt: skip

KEY = Key(b"k" * 32)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The cohort, the report, and pairs of input and output."""
    folder = tmp_path_factory.mktemp("midi")
    with warnings.catch_warnings(action="ignore"):  # values longer than the standard allows, as in real files
        cohort = planted.make_cohort(folder / "in")
    report = deidentify(
        cohort.folder, folder / "out", KEY, Wishes(text="blank"), mapping=folder / "mapping.jsonl"
    )
    rows = [json.loads(line) for line in (folder / "mapping.jsonl").read_text().splitlines()]
    pairs = [(row["input"], row["output"]) for row in rows]
    return cohort, report, pairs, folder / "out"


@pytest.fixture(scope="module")
def read(done):
    """Pairs of input and output as data sets."""
    return [(pydicom.dcmread(a), pydicom.dcmread(b)) for a, b in done[2]]


def test_the_cohort_is_as_large_as_it_should_be(done):
    cohort, report, _, _ = done
    assert len(cohort.files) >= 200
    assert len(PLACES) >= 60
    assert set(cohort.planted) == set(ANYWHERE)
    assert report.held == ()
    assert report.written == len(cohort.files)


def test_text_removed_nothing_planted_survives_in_any_byte_or_name(done):
    cohort, _, _, out = done
    needles = [
        word.encode(code).lower()
        for word in cohort.words
        for code in ("utf-8", "latin-1", "utf-16-le")
        if code != "latin-1" or word.isascii()
    ]
    needles += [word.lower().encode() for word in cohort.words]
    survivors = []
    for path in sorted(out.rglob("*")):
        content = path.read_bytes().lower() if path.is_file() else b""
        survivors += [
            (path.name, needle)
            for needle in needles
            if needle in content or needle in str(path.relative_to(out)).lower().encode()
        ]
    assert survivors == []
    assert not [path for path in out.rglob("*") if path.name.upper() == "DICOMDIR" or path.suffix == ".txt"]


def test_tag_retained_and_text_notnull(read):
    for before, after in read:
        for keyword in ("SOPClassUID", "Modality", "SeriesNumber", "InstanceNumber", "Manufacturer"):
            assert after[keyword].value == before[keyword].value
        for keyword in ("Rows", "PixelSpacing", "RescaleIntercept", "ImagePositionPatient", "SliceThickness"):
            if keyword in before:
                assert after[keyword].value == before[keyword].value
        assert after.SOPInstanceUID
        assert after.PatientIdentityRemoved == "YES"
        assert after.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
        assert after.LongitudinalTemporalInformationModified == "MODIFIED"


def test_text_retained_what_names_nobody_stays(read):
    for _, after in read:
        assert after.StudyDescription == KEPT_TEXT
        assert after.ManufacturerModelName == "Scanner 9000"
        if after.Modality == "RTSTRUCT":
            assert after.StructureSetROISequence[0].ROIName == "GTV"
        if after.Modality == "SEG":
            assert after.SegmentSequence[0].SegmentLabel == "lesion"
        if after.Modality == "SR":
            assert after.ContentSequence[0].TextValue == "Lesion of is small"


def test_date_shifted_by_as_many_whole_days_for_all_of_a_patient(read):
    days = {}
    for before, after in read:
        for keyword in ("StudyDate", "SeriesDate", "ContentDate"):
            moved = date.fromisoformat(after[keyword].value) - date.fromisoformat(before[keyword].value)
            days.setdefault(before.PatientID, set()).add(moved.days)
        assert after.AcquisitionDateTime[8:] == before.AcquisitionDateTime[8:]
        assert after.StudyTime == before.StudyTime
    assert all(len(shifts) == 1 for shifts in days.values())
    assert len({min(shifts) for shifts in days.values()}) == len(PEOPLE)
    assert all(-3650 <= min(shifts) < 0 for shifts in days.values())


def test_uid_changed_and_consistent_over_all_references(read):
    new = {}
    for before, after in read:
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"):
            assert not after[keyword].value.startswith(ROOT)
            assert new.setdefault(before[keyword].value, after[keyword].value) == after[keyword].value
    assert len(set(new.values())) == len(new)
    for before, after in read:
        if after.Modality == "SEG":
            series = after.ReferencedSeriesSequence[0]
            assert series.SeriesInstanceUID == new[before.ReferencedSeriesSequence[0].SeriesInstanceUID]
            there = [item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence]
            assert set(there) <= set(new.values())
            assert len(there) == 16
        if after.Modality == "RTSTRUCT":
            for contour in after.ROIContourSequence[0].ContourSequence:
                assert contour.ContourImageSequence[0].ReferencedSOPInstanceUID in new.values()
        if after.Modality == "SR":
            assert after.ContentSequence[3].UID in new.values()
            assert after.ContentSequence[4].ReferencedSOPSequence[0].ReferencedSOPInstanceUID in new.values()


def test_patid_consistent_one_pseudonym_to_a_person(read):
    names = {}
    for before, after in read:
        names.setdefault(before.PatientID, set()).add((str(after.PatientName), after.PatientID))
    assert all(len(found) == 1 for found in names.values())
    assert len({next(iter(found)) for found in names.values()}) == len(PEOPLE)


def test_pixels_hidden_where_text_stood(done):
    cohort, report, pairs, _ = done
    outputs = dict(pairs)
    for path, (left, top, right, bottom) in cohort.text_boxes.items():
        after = pydicom.dcmread(outputs[str(path)])
        assert after.pixel_array[top:bottom, left:right].max() <= 25
        assert after.BurnedInAnnotation == "NO"
        assert after.ImageType[0] == "DERIVED"
        assert after.pixel_array[60:100, 90:130].min() == 90  # the picture itself
    assert report.blanked == len(cohort.text_boxes)


def test_pixels_retained_bit_for_bit_in_slices(read):
    for before, after in read:
        if before.Modality in ("CT", "MR"):
            assert np.array_equal(before.pixel_array, after.pixel_array)
            assert after.ImageType == ["ORIGINAL", "PRIMARY", "AXIAL"]


def test_the_report_names_nobody(done):
    cohort, report, _, out = done
    text = (report.to_json() + (out / "report.json").read_text()).lower()
    assert not [word for word in cohort.words if word.lower() in text]
    assert KEY.secret.hex() not in text
