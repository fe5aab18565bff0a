"""Headers carry patient and study; what is no valid DICOM is left out and named, never quoted."""

import pydicom
import pytest
from clinic_stacks import Stack, blobs, dicom_errors, result_of, tool, write_images

from delineate.clinic import write_rtstruct, write_seg

SPOILED = {
    "PatientSex": "female",
    "StudyTime": "noon",
    "StudyID": "a name that is longer than sixteen letters",
    "PatientAge": "old",
    "PatientIdentityRemoved": "YES",
}


@pytest.fixture
def spoiled(tmp_path):
    stack = Stack()
    with pytest.warns(UserWarning, match="exceeds the maximum length|Invalid value"):
        folder = write_images(tmp_path / "series", stack, **SPOILED)
    return result_of(folder, stack, blobs(stack.geometry, 1))


def test_bad_values_are_left_out_and_named(spoiled, tmp_path):
    made = write_seg(spoiled, tmp_path / "seg.dcm")
    (note,) = made.notes
    assert "StudyTime" in note
    assert "PatientSex" in note
    assert "female" not in note
    content = pydicom.dcmread(tmp_path / "seg.dcm")
    assert (content.PatientSex, content.StudyTime, content.StudyID) == ("", "", "")
    assert "PatientAge" not in content
    assert content.DeidentificationMethod == "not stated in the series"


def test_objects_for_a_bad_header_are_still_lawful(spoiled, tmp_path):
    tool("dciodvfy")
    write_seg(spoiled, tmp_path / "seg.dcm")
    write_rtstruct(spoiled, tmp_path / "rt.dcm")
    assert dicom_errors(tmp_path / "seg.dcm") == []
    assert dicom_errors(tmp_path / "rt.dcm") == []


def test_patient_and_study_are_those_of_the_series(tmp_path):
    stack = Stack()
    folder = write_images(tmp_path / "series", stack, AccessionNumber="A7", ClinicalTrialSubjectID="s1")
    result = result_of(folder, stack, blobs(stack.geometry, 1))
    write_seg(result, tmp_path / "seg.dcm")
    content = pydicom.dcmread(tmp_path / "seg.dcm")
    assert (content.PatientID, content.AccessionNumber, content.StudyInstanceUID) == ("P-1", "A7", "1.2.3.1")
    assert content.SeriesInstanceUID != "1.2.3.2"
    assert content.SeriesNumber == 3003
    assert content.ClinicalTrialSubjectID == "s1"
