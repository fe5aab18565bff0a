"""A report says what was measured, and of which segment: highdicom reads it, dciodvfy finds no fault."""

import subprocess
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from clinic_stacks import MAKER, WHEN, Stack, blobs, dicom_errors, result_of, tool, write_images

from delineate.clinic import Approval, Maker, deliver, measure, write_seg, write_sr
from delineate.clinic.fhir_writer import bundle
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
    there = [f for f in result.findings if numbers.of(f).voxels]
    assert len(groups) == len(there) == 3
    for group, finding in zip(groups, there, strict=True):
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
        assert read["Attenuation Coefficient", "Mean"] == (pytest.approx(wanted.mean_hu), "[hnsf'U]")
        assert len(read) == 3
        assert group.get_measurements()[0].method.value == "126030"
    lines = report.content.get_image_measurement_groups()
    for group, finding in zip(lines, there, strict=True):
        wanted = numbers.of(finding)
        assert (group.tracking_identifier, group.tracking_uid) == (finding.tracking_id, finding.tracking_uid)
        assert {m.name.meaning: (m.value, m.unit.value) for m in group.get_measurements()} == {
            "Long axis": (pytest.approx(wanted.long_mm), "mm"),
            "Short axis": (pytest.approx(wanted.short_mm), "mm"),
        }


def below(item, *codes):
    """The items under these concepts, one in the other."""
    for code in codes:
        item = next(i for i in item.ContentSequence if named(i) == code)
    return item


def named(item):
    names = item.get("ConceptNameCodeSequence")
    return names[0].CodeValue if names else ""


def lines_of(path):
    """Where each axis of each structure is drawn."""
    groups = below(pydicom.dcmread(path), "126010").ContentSequence
    return [
        (item.MeasuredValueSequence[0].NumericValue, item.ContentSequence[0])
        for group in groups
        for item in group.ContentSequence
        if item.ValueType == "NUM" and item.ContentSequence[0].ValueType.startswith("SCOORD")
    ]


@pytest.mark.parametrize(
    "stack",
    [
        Stack(columns=12, rows=10, count=6, spacing=(0.5, 0.8)),
        Stack(columns=9, rows=10, count=6, lean=(0.1, 0.3)),
        Stack(columns=9, rows=10, count=7, missing=(2, 5)),
    ],
    ids=["axial", "leaning", "uneven"],
)
def test_every_axis_is_drawn_on_the_image_where_it_was_measured(tmp_path, stack):
    result = result_of(write_images(tmp_path / "series", stack), stack, blobs(stack.geometry, 2))
    written(result, tmp_path)
    found = lines_of(tmp_path / "sr.dcm")
    assert len(found) == 6
    uids = [slice_[0].uid for slice_ in result.series.references]
    inside = {f.tracking_uid: result.mask(f) for f in result.findings}
    for said, drawn in found:
        assert (drawn.ValueType, drawn.GraphicType) == ("SCOORD", "POLYLINE")
        k = uids.index(drawn.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        ends = np.reshape(drawn.GraphicData, (2, 2))
        length = np.linalg.norm((ends[1] - ends[0]) * stack.spacing)
        assert length == pytest.approx(float(said), rel=1e-4)
        assert any(mask[:, :, k].any() for mask in inside.values())
        assert (ends >= 0).all()
        assert (ends <= (stack.columns, stack.rows)).all()


def test_an_axis_across_images_is_drawn_in_the_patient(tmp_path):
    """RECIST's axes lie across the patient; in a sagittal series that is across its images."""
    stack = Stack(columns=8, rows=9, count=7, gap=1.0, turn=(0, 1.0, 0, 0, 0, -1.0, -1.0, 0, 0))
    values = np.zeros(stack.geometry.shape, np.uint8)
    values[3:5, 3:5, 1:6] = 1
    result = result_of(write_images(tmp_path / "series", stack), stack, values, ("liver",))
    written(result, tmp_path)
    [(said, drawn), _] = lines_of(tmp_path / "sr.dcm")
    assert drawn.ValueType == "SCOORD3D"
    assert drawn.ReferencedFrameOfReferenceUID == "1.2.3.3"
    ends = np.reshape(drawn.GraphicData, (2, 3))
    assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(float(said), rel=1e-4)
    tool("dciodvfy")
    assert dicom_errors(tmp_path / "sr.dcm") == []


def test_what_is_absent_is_said_with_its_segment_and_no_place(result, tmp_path):
    seg, _ = written(result, tmp_path)
    content = pydicom.dcmread(tmp_path / "sr.dcm")
    [absent] = below(content, "C0034375").ContentSequence
    spleen = result.findings[3]
    assert named(absent) == spleen.concept.kind.value
    assert absent.ConceptCodeSequence[0].CodeMeaning == "Absent"
    assert spleen.tracking_uid == below(absent, "112040").UID
    assert below(absent, "118565006").MeasuredValueSequence[0].NumericValue == 0
    segment = below(absent, "121191").ReferencedSOPSequence[0]
    assert (segment.ReferencedSOPInstanceUID, segment.ReferencedSegmentNumber) == (seg.sop_uid, 4)


def test_a_report_of_nothing_has_no_measurements(tmp_path):
    stack = Stack(columns=12, rows=10, count=6)
    folder = write_images(tmp_path / "series", stack)
    result = result_of(folder, stack, np.zeros(stack.geometry.shape, np.uint8))
    writers = {
        "seg.dcm": lambda result, path, _: write_seg(result, path),
        "sr.dcm": lambda result, path, before: write_sr(result, path, before["SEG"], measure(result)),
    }
    deliver(result, tmp_path / "out", writers)
    content = pydicom.dcmread(tmp_path / "out" / "sr.dcm")
    assert "126010" not in map(named, content.ContentSequence)
    assert len(below(content, "C0034375").ContentSequence) == 4


def test_a_lesion_lies_in_its_organ_and_a_kidney_has_its_side(result, tmp_path):
    written(result, tmp_path)
    content = pydicom.dcmread(tmp_path / "sr.dcm")
    groups = [*below(content, "126010").ContentSequence[:3], *below(content, "C0034375").ContentSequence]
    sites = [item for group in groups for item in group.ContentSequence if named(item) == "363698007"]
    places = [item.ConceptCodeSequence[0].CodeMeaning for item in sites]
    assert places == ["Liver", "Kidney", "Liver", "Spleen"]
    assert sites[1].ContentSequence[0].ConceptCodeSequence[0].CodeMeaning == "Left"


def test_of_a_lesion_anywhere_nobody_says_where(tmp_path):
    """Neoplasm is no place."""
    stack = Stack(columns=12, rows=10, count=6)
    folder = write_images(tmp_path / "series", stack)
    result = result_of(folder, stack, blobs(stack.geometry, 2), ("tumour", "liver tumour", "liver", "oedema"))
    assert [f.concept.site and f.concept.site.meaning for f in result.findings] == [
        None, "Liver", "Liver", None,
    ]  # fmt: skip
    written(result, tmp_path)
    groups = below(pydicom.dcmread(tmp_path / "sr.dcm"), "126010").ContentSequence
    said = [any(named(item) == "363698007" for item in group.ContentSequence) for group in groups]
    assert said == [False, True, True] * 2
    assert ["bodySite" in r for r in observations(result)][:5] == [False] * 5
    tool("dciodvfy")
    assert dicom_errors(tmp_path / "sr.dcm") == []


def observations(result):
    """Those of the first structure come first."""
    content = bundle(result, {}, measure(result), "R4")
    return [e["resource"] for e in content["entry"] if e["resource"]["resourceType"] == "Observation"]


def test_dcmtk_reads_a_report(result, tmp_path):
    written(result, tmp_path)
    done = subprocess.run([tool("dsrdump"), tmp_path / "sr.dcm"], capture_output=True, text=True, check=True)
    assert "Comprehensive 3D SR Document" in done.stdout
    assert done.stdout.count("<inferred from SCOORD") == 6
    assert "E:" not in done.stderr


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
        groups = below(content, "126010").ContentSequence
        volume, axes = ({named(item): item for item in groups[n].ContentSequence} for n in (0, 3))
        what(axes | volume | {"112040 axes": axes["112040"]})

    return change


def other_volume(items):
    items["118565006"].MeasuredValueSequence[0].NumericValue = "1"


def other_segment(items):
    items["121191"].ReferencedSOPSequence[0].ReferencedSegmentNumber = 2


def other_object(items):
    items["121191"].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "9.9"


def other_identity(items):
    items["112040"].UID = "9.9"


def other_length(items):
    items["103339001"].MeasuredValueSequence[0].NumericValue = "99"


def other_image(items):
    line = items["103339001"].ContentSequence[0]
    line.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "9.9"


def both_identities(items):
    items["112040"].UID = items["112040 axes"].UID = "9.9"


def other_code(items):
    items["121071"].ConceptCodeSequence[0].CodeValue = "1"


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (other_volume, "liver has 1 mm3 when read back; counted pixel by pixel it has 360 mm3"),
        (other_segment, r"liver has the segment .*2\) when read back; expected .*1\)"),
        (other_object, "liver points at an object that is no evidence"),
        (other_identity, "measures .*, of which it has no segment"),
        (both_identities, "other tracking UIDs than the result"),
        (other_length, "a line of 99 mm has another length where it is drawn"),
        (other_image, "a line is drawn on an image that is not in the series"),
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
