"""Nothing leaves that does not read back right, and nothing is left behind when it does not."""

import numpy as np
import pydicom
import pytest
from clinic_stacks import MAKER, WHEN, Stack, blobs, result_of, write_images

from delineate.clinic import Approval, deliver, write_rtstruct, write_seg
from delineate.clinic.delivery import FILE, Delivery, volume_ml
from delineate.errors import DataError


def seg(result, path, before):
    return write_seg(result, path)


def rtstruct(result, path, before):
    return write_rtstruct(result, path)


@pytest.fixture
def result(tmp_path):
    stack = Stack(columns=12, rows=10, count=6)
    return result_of(write_images(tmp_path / "series", stack), stack, blobs(stack.geometry, 2))


def test_a_delivery_is_a_folder_with_its_record(result, tmp_path):
    out = tmp_path / "out"
    delivery = deliver(result, out, {"seg.dcm": seg, "rt.dcm": rtstruct})
    assert sorted(path.name for path in out.iterdir()) == [FILE, "rt.dcm", "seg.dcm"]
    assert Delivery.load(out / FILE) == delivery
    assert delivery.made_by == "phantom model 7, automatic"
    assert "Müller" not in (out / FILE).read_text()


def test_objects_of_one_result_share_identity(result, tmp_path):
    deliver(result, tmp_path / "out", {"seg.dcm": seg, "rt.dcm": rtstruct})
    segments = pydicom.dcmread(tmp_path / "out" / "seg.dcm")
    contours = pydicom.dcmread(tmp_path / "out" / "rt.dcm")
    for name in ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID", "AccessionNumber"):
        assert segments[name].value == contours[name].value
    tracked = [item.TrackingUID for item in segments.SegmentSequence]
    assert tracked == [item.TrackingUID for item in contours.StructureSetROISequence]
    assert tracked == [finding.tracking_uid for finding in result.findings]
    assert segments.PatientName == "Müller^Jürgen=山田"


def test_every_uid_that_is_referred_to_exists(result, tmp_path):
    deliver(result, tmp_path / "out", {"seg.dcm": seg, "rt.dcm": rtstruct})
    there = {str(pydicom.dcmread(path).SOPInstanceUID) for path in result.series.where.iterdir()}
    for path in (tmp_path / "out").glob("*.dcm"):
        named = []
        pydicom.dcmread(path).walk(
            lambda _, element, named=named: (
                named.append(str(element.value)) if element.keyword == "ReferencedSOPInstanceUID" else None
            )
        )
        assert set(named) - {result.series.study_uid} <= there


def test_approval_is_said_and_nothing_is_approved_by_itself(result, tmp_path):
    write_rtstruct(result, tmp_path / "a.dcm")
    assert pydicom.dcmread(tmp_path / "a.dcm").ApprovalStatus == "UNAPPROVED"
    from dataclasses import replace

    signed = replace(result, approval=Approval("Doe^Jane", WHEN))
    write_rtstruct(signed, tmp_path / "b.dcm")
    content = pydicom.dcmread(tmp_path / "b.dcm")
    assert (content.ApprovalStatus, content.ReviewerName, content.ReviewDate) == (
        "APPROVED",
        "Doe^Jane",
        "20260102",
    )


def lost_pixel(content):
    stored = bytearray(content.PixelData)
    place = next(n for n, byte in enumerate(stored) if byte)
    stored[place] &= stored[place] - 1
    content.PixelData = bytes(stored)


def moved_frames(content):
    for group in content.PerFrameFunctionalGroupsSequence:
        group.PlanePositionSequence[0].ImagePositionPatient[0] += 1


def unknown_image(content):
    group = content.PerFrameFunctionalGroupsSequence[0]
    group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID = "9.9.9"


def extra_segment(content):
    content.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber = 77


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lost_pixel, "voxels when read back"),
        (moved_frames, "lies 1 mm from the image"),
        (unknown_image, r"names an image that is not in the series \(9.9.9\)"),
        (extra_segment, r"holds structures \[77\] that nobody asked for"),
    ],
)
def test_a_segmentation_that_is_not_what_was_asked_for_is_refused(result, tmp_path, change, message):
    refused(result, tmp_path, seg, change, message)


def moved_contours(content):
    for roi in content.ROIContourSequence:
        for contour in roi.get("ContourSequence", []):
            contour.ContourData = [
                float(x) + (1.0 if n % 3 == 0 else 0) for n, x in enumerate(contour.ContourData)
            ]


def lifted_contours(content):
    contour = content.ROIContourSequence[0].ContourSequence[0]
    contour.ContourData = [float(x) + (0.5 if n % 3 == 2 else 0) for n, x in enumerate(contour.ContourData)]


def lost_contour(content):
    del content.ROIContourSequence[0].ContourSequence[0]


def contour_of_another(content):
    content.ROIContourSequence[0].ContourSequence[0].ContourImageSequence[
        0
    ].ReferencedSOPInstanceUID = "9.9.9"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (moved_contours, "is 1 mm from where the labels have it"),
        (lifted_contours, "lies 0.5 mm outside the image"),
        (lost_contour, "voxels when read back"),
        (contour_of_another, "a contour names an image that is not in the series"),
    ],
)
def test_contours_that_are_not_what_was_asked_for_are_refused(tmp_path, change, message):
    stack = Stack(columns=12, rows=10, count=6)
    values = np.zeros(stack.geometry.shape, np.uint8)
    values[3:7, 3:8, 1:4] = 1
    result = result_of(write_images(tmp_path / "series", stack), stack, values)
    refused(result, tmp_path, rtstruct, change, message)


def refused(result, tmp_path, writer, change, message):
    def spoiled(result, path, before):
        made = writer(result, path, before)
        content = pydicom.dcmread(path)
        change(content)
        content.save_as(path)
        return made

    with pytest.raises(DataError, match=message):
        deliver(result, tmp_path / "out", {"good.dcm": seg, "bad.dcm": spoiled})
    assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["series"]  # nothing half done either


def test_a_result_that_has_turned_against_its_labels_is_refused(result, tmp_path):
    """A mirrored array agrees with itself, but not with the labels as they were given."""
    from dataclasses import replace

    values = np.zeros_like(result.array)
    values[1:3, 2:5, 1:3] = 1
    given = replace(result.given, array=values)
    turned = replace(result, array=values[::-1], given=given)
    with pytest.raises(DataError, match="liver has moved by 8 mm against the labels as they were given"):
        deliver(turned, tmp_path / "out", {"seg.dcm": seg})


def test_what_is_there_is_not_written_over(result, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    deliver(result, out, {"seg.dcm": seg})  # an empty folder may be filled
    with pytest.raises(DataError, match="is there already"):
        deliver(result, out, {"seg.dcm": seg})


def test_volumes_are_those_of_the_voxels_also_where_slices_are_uneven(tmp_path):
    stack = Stack(spacing=(0.5, 2.0), gap=3.0)
    result = result_of(write_images(tmp_path / "a", stack), stack, np.ones(stack.geometry.shape, np.uint8))
    assert volume_ml(result, result.findings[0]) == pytest.approx(9 * 7 * 5 * 3 / 1000)
    gapped = Stack(count=7, missing=(3,))
    result = result_of(write_images(tmp_path / "b", gapped), gapped, np.ones(gapped.geometry.shape, np.uint8))
    assert volume_ml(result, result.findings[0]) == pytest.approx(9 * 7 * 14 / 1000)


def test_the_second_look_shares_no_code_with_what_it_judges():
    import ast
    from pathlib import Path

    import delineate.clinic.readback as page

    names = [
        node.module
        for node in ast.walk(ast.parse(Path(page.__file__).read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("delineate")
    ]
    assert names == ["delineate.errors"]


def test_the_maker_is_told(result, tmp_path):
    write_seg(result, tmp_path / "seg.dcm")
    item = pydicom.dcmread(tmp_path / "seg.dcm").SegmentSequence[0]
    assert (item.SegmentAlgorithmType, item.SegmentAlgorithmName) == (MAKER.kind, MAKER.name)
    algorithm = item.SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmVersion == MAKER.version
    assert MAKER.digest in algorithm.AlgorithmParameters


@pytest.mark.parametrize(
    ("module", "write", "message"),
    [
        ("seg_writer", write_seg, "frames are more than one SEG can describe"),
        ("rtstruct_writer", write_rtstruct, "more contours than a file can hold"),
    ],
)
def test_what_no_file_can_hold_is_refused(result, tmp_path, monkeypatch, module, write, message):
    monkeypatch.setattr(f"delineate.clinic.{module}.MOST", 100)
    with pytest.raises(DataError, match=message):
        write(result, tmp_path / "x.dcm")
    assert not (tmp_path / "x.dcm").exists()


def test_more_pixels_than_a_file_can_hold_are_refused(result, tmp_path, monkeypatch):
    monkeypatch.setattr("delineate.clinic.seg_writer._groups", lambda *_: None)
    monkeypatch.setattr("delineate.clinic.seg_writer.MOST", 100)
    with pytest.raises(DataError, match=r"frames of 12 x 10 need 0\.0 GB"):
        write_seg(result, tmp_path / "x.dcm")
