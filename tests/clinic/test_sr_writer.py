"""A report says what was measured, and of which segment: highdicom reads it, dciodvfy finds no fault."""

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from clinic_stacks import MAKER, WHEN, Stack, blobs, dicom_errors, result_of, tool, write_images

from delineate.clinic import Approval, Maker, deliver, measure, write_seg, write_sr
from delineate.clinic.sr_writer import device_uid
from delineate.errors import DataError


@pytest.fixture
def result(tmp_path):
    stack = Stack(columns=12, rows=10, count=6)
    return result_of(write_images(tmp_path / "series", stack), stack, blobs(stack.geometry, 2))


def written(result, folder, kind="BINARY"):
    seg = write_seg(result, folder / "seg.dcm", kind)
    return seg, write_sr(result, folder / "sr.dcm", seg, measure(result))


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom", "ignore::UserWarning:highdicom")
@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_highdicom_reads_every_structure_with_its_segment_and_numbers(result, tmp_path, kind):
    highdicom = pytest.importorskip("highdicom")
    seg, _ = written(result, tmp_path, kind)
    report = highdicom.sr.srread(tmp_path / "sr.dcm")
    groups = report.content.get_volumetric_roi_measurement_groups()
    numbers = measure(result)
    assert len(groups) == len(result.findings)
    for group, finding in zip(groups, result.findings, strict=True):
        wanted = numbers.of(finding)
        assert group.tracking_identifier == finding.tracking_id
        assert group.tracking_uid == finding.tracking_uid
        assert group.finding_type.value == finding.concept.kind.value
        assert group.finding_category.value == finding.concept.category.value
        segment = group.referenced_segment[0].ReferencedSOPSequence[0]
        assert segment.ReferencedSOPInstanceUID == seg.sop_uid
        assert segment.ReferencedSegmentNumber == seg.numbers[finding.name]
        read = {
            (m.name.meaning, m.derivation.meaning if m.derivation else None): (m.value, m.unit.value)
            for m in group.get_measurements()
        }
        assert read["Volume", None] == (pytest.approx(wanted.volume_ml * 1000), "mm3")
        if wanted.voxels:
            assert read["Long axis", None] == (pytest.approx(wanted.long_mm), "mm")
            assert read["Attenuation Coefficient", "Mean"] == (pytest.approx(wanted.mean_hu), "[hnsf'U]")
        assert len(read) == (5 if wanted.voxels else 1)
        assert group.get_measurements()[0].method.value == "126030"


def test_a_lesion_lies_in_its_organ_and_a_kidney_has_its_side(result, tmp_path):
    written(result, tmp_path)
    content = pydicom.dcmread(tmp_path / "sr.dcm")
    groups = content.ContentSequence[-1].ContentSequence
    sites = [
        item
        for group in groups
        for item in group.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "363698007"
    ]
    named = [item.ConceptCodeSequence[0].CodeMeaning for item in sites]
    assert named == ["Liver", "Kidney", "Liver", "Spleen"]
    assert sites[1].ContentSequence[0].ConceptCodeSequence[0].CodeMeaning == "Left"


def test_a_report_is_preliminary_until_a_person_has_signed(result, tmp_path):
    written(result, tmp_path)
    content = pydicom.dcmread(tmp_path / "sr.dcm")
    assert (content.VerificationFlag, content.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert "VerifyingObserverSequence" not in content
    written(replace(result, approval=Approval("Doe^Jane", WHEN)), tmp_path)
    content = pydicom.dcmread(tmp_path / "sr.dcm")
    assert (content.VerificationFlag, content.PreliminaryFlag) == ("VERIFIED", "FINAL")
    observer = content.VerifyingObserverSequence[0]
    assert (observer.VerifyingObserverName, observer.VerifyingOrganization) == ("Doe^Jane", "not stated")
    if_there = [item for item in content.ContentSequence if item.ValueType == "PNAME"]
    assert [item.PersonName for item in if_there] == ["Doe^Jane"]


def test_a_report_names_the_model_and_no_algorithm_where_a_person_drew(result, tmp_path):
    written(result, tmp_path)
    text = (tmp_path / "sr.dcm").read_bytes()
    assert b"Algorithm Version" in text
    assert f"model sha256 {MAKER.digest}".encode() in text
    written(replace(result, maker=Maker("MANUAL", "Doe")), tmp_path)
    assert b"Algorithm" not in (tmp_path / "sr.dcm").read_bytes()


def test_the_uid_of_a_model_is_always_the_same(result):
    assert device_uid(MAKER) == device_uid(replace(MAKER, name="another name"))
    assert device_uid(Maker(name="a")) == device_uid(Maker(name="a")) != device_uid(Maker(name="b"))
    assert len(device_uid(MAKER)) <= 64


@pytest.mark.parametrize("approval", [None, Approval("Doe^Jane", WHEN)])
def test_dciodvfy_finds_no_error(result, tmp_path, approval):
    tool("dciodvfy")
    written(replace(result, approval=approval), tmp_path)
    assert dicom_errors(tmp_path / "sr.dcm") == []


@pytest.mark.parametrize(
    "name",
    [
        "sts_sarcoma_dicom/STS_001/CT/image",
        "sts_sarcoma_dicom/STS_001/PET/image",
        "dicom_dcmqi/segmentations/24x38x3/multiframe",
        "dicom_mr_hippocrop/Study1/13_HCropVolume",
        "dicom_ct_tilt",
    ],
)
def test_dciodvfy_finds_no_error_for_real_series(shared_data, tmp_path, name):
    tool("dciodvfy")
    from delineate.clinic import make_result, open_series
    from delineate.space import LabelMap, LabelSchema

    series = open_series(shared_data / name)
    grid = series.geometry or series.slice_geometry(len(series.positions) // 2)
    values = np.zeros(grid.shape, np.uint8)
    values[2:-2, 2:-2] = 1
    values[5:8, 5:9] = 2
    labels = LabelMap(values, grid, LabelSchema.of("liver", "liver tumour", "spleen"))
    result = make_result(labels, series, MAKER, when=WHEN)
    numbers = measure(result)
    writers = {
        "seg.dcm": lambda result, path, _: write_seg(result, path),
        "sr.dcm": lambda result, path, before: write_sr(result, path, before["SEG"], numbers),
    }
    deliver(result, tmp_path / "out", writers)
    assert dicom_errors(tmp_path / "out" / "sr.dcm") == []


def changed(what):
    def change(content):
        group = content.ContentSequence[-1].ContentSequence[0].ContentSequence
        items = {item.ConceptNameCodeSequence[0].CodeValue: item for item in group}
        what(items)

    return change


def other_volume(items):
    items["118565006"].MeasuredValueSequence[0].NumericValue = "1"


def other_segment(items):
    items["121191"].ReferencedSOPSequence[0].ReferencedSegmentNumber = 2


def other_object(items):
    items["121191"].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "9.9"


def other_identity(items):
    items["112040"].UID = "9.9"


def other_code(items):
    items["121071"].ConceptCodeSequence[0].CodeValue = "1"


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (other_volume, "liver has 1 mm3 when read back; counted pixel by pixel it has 360 mm3"),
        (other_segment, r"liver has the segment .*2\) when read back; expected .*1\)"),
        (other_object, "liver points at an object that is no evidence"),
        (other_identity, "other tracking UIDs than the result"),
        (other_code, "liver has the code '1' when read back; expected '10200004'"),
    ],
)
def test_a_report_that_says_something_else_is_refused_and_nothing_is_left(result, tmp_path, what, message):
    def spoiled(result, path, before):
        made = write_sr(result, path, before["SEG"], measure(result))
        content = pydicom.dcmread(path)
        changed(what)(content)
        content.save_as(path)
        return made

    writers = {"seg.dcm": lambda result, path, _: write_seg(result, path), "sr.dcm": spoiled}
    with pytest.raises(DataError, match=message):
        deliver(result, tmp_path / "out", writers)
    assert not (tmp_path / "out").exists()
