"""A download becomes a training set by its UIDs, whatever the folders; what is left out says why."""

import shutil

import numpy as np
import pydicom
import pytest
from clinic_stacks import Stack, blobs, result_of, rewritten, write_images
from typer.testing import CliRunner

from delineate.cli import app
from delineate.clinic import CollectionWishes, collect, write_rtstruct, write_seg
from delineate.dataset import Dataset
from delineate.errors import DataError


def study(
    folder, number: int, kind: str, names=("liver", "spleen"), patient: str | None = None
) -> np.ndarray:
    """One patient with a series and an annotation, in folders that say nothing; the values (i, j, k)."""
    tags = {
        "PatientID": patient or f"Secret-{number}",
        "StudyInstanceUID": f"1.9.{number}",
        "SeriesInstanceUID": f"1.9.{number}.1",
        "FrameOfReferenceUID": f"1.9.{number}.2",
    }
    stack = Stack(columns=10, rows=9, count=6)
    images = write_images(folder / f"a{number}", stack, **tags)
    values = np.minimum(blobs(stack.geometry, number), 2)
    result = result_of(images, stack, values, names)
    (folder / "z").mkdir(exist_ok=True)
    write = {"seg": write_seg, "rt": write_rtstruct}[kind]
    write(result, folder / "z" / f"{number}.dcm")
    return values


def test_pairs_are_found_by_uid_and_become_a_dataset(tmp_path):
    down = tmp_path / "download"
    values = [study(down, 1, "seg"), study(down, 2, "rt"), study(down, 3, "rt", patient="Secret-1")]
    report = collect(down, tmp_path / "out")
    assert [case.case for case in report.cases] == ["patient_001_01", "patient_002_01", "patient_001_02"]
    found = Dataset.open(tmp_path / "out")
    assert [label.name for label in found.schema.labels] == ["liver", "spleen"]
    for case, expected in zip(report.cases, values, strict=True):
        labels = found.labels(found.case(case.case))
        assert np.array_equal(labels.array, expected)
        assert found.scan(found.case(case.case)).geometry.same_place(labels.geometry)
    assert {case.group for case in found.cases} == {"patient_001", "patient_002"}
    written = "".join(p.read_text() for p in (tmp_path / "out").iterdir() if p.is_file())
    assert "Secret" not in written


def test_structures_are_chosen_and_renamed(tmp_path):
    down = tmp_path / "download"
    study(down, 1, "rt", ("liver", "GTV"))
    wishes = CollectionWishes(structures=("tumour",), rename=(("GTV*", "tumour"),))
    report = collect(down, tmp_path / "out", wishes)
    assert report.schema_names == ("tumour",)
    assert report.cases[0].structures.keys() == {"tumour"}
    assert "not asked for: liver" in report.cases[0].notes
    with pytest.raises(DataError, match="no annotation has heart; there are GTV, liver"):
        collect(down, tmp_path / "out2", CollectionWishes(structures=("heart",)))
    with pytest.raises(DataError, match="no case could be made"):
        collect(down, tmp_path / "out3", CollectionWishes(rename=(("*", "x"),)))


def test_what_cannot_be_used_is_left_out_with_its_reason(tmp_path):
    down = tmp_path / "download"
    study(down, 1, "seg")
    study(down, 2, "rt")
    study(down, 3, "rt")
    shutil.rmtree(down / "a2")

    def unreferring(content):
        del content.ReferencedFrameOfReferenceSequence
        for roi in content.ROIContourSequence:
            for contour in roi.ContourSequence:
                del contour.ContourImageSequence
        content.FrameOfReferenceUID = "5.5"

    rewritten(down / "z" / "3.dcm", unreferring)
    report = collect(down, tmp_path / "out")
    assert [case.annotation for case in report.cases] == ["z/1.dcm"]
    why = {item.file: item.why for item in report.left_out}
    assert "refers to a series that is not in this folder (1.9.2.1" in why["z/2.dcm"]
    assert "refers to no images" in why["z/3.dcm"]
    assert any(line.startswith("left out: z/2.dcm") for line in report.lines())


def test_an_annotation_without_references_goes_to_the_only_series_of_its_space(tmp_path):
    down = tmp_path / "download"
    study(down, 1, "seg")

    def unreferring(content):
        del content.ReferencedSeriesSequence
        for group in content.PerFrameFunctionalGroupsSequence:
            del group.DerivationImageSequence

    rewritten(down / "z" / "1.dcm", unreferring)
    (case,) = collect(down, tmp_path / "out").cases
    assert any("taken for the only series" in note for note in case.notes)


def test_a_folder_without_annotations_is_refused(tmp_path):
    write_images(tmp_path / "scans", Stack())
    with pytest.raises(DataError, match="no SEG and no RTSTRUCT in this folder"):
        collect(tmp_path / "scans", tmp_path / "out")
    (tmp_path / "there").mkdir()
    with pytest.raises(DataError, match="is there already"):
        collect(tmp_path / "scans", tmp_path / "there")
    assert not (tmp_path / "out").exists()


def test_annotations_without_a_voxel_are_left_out(tmp_path):
    down = tmp_path / "download"
    stack = Stack()
    images = write_images(down / "a", stack)
    result = result_of(images, stack, np.zeros(stack.geometry.shape, np.uint8))
    write_seg(result, down / "seg.dcm")
    with pytest.raises(DataError, match="none of the structures has a voxel"):
        collect(down, tmp_path / "out")


def test_real_downloads_become_training_sets(shared_data, tmp_path):
    sarcoma = collect(
        shared_data / "sts_sarcoma_dicom", tmp_path / "a", CollectionWishes(rename=(("GTV*", "GTV"),))
    )
    assert [(case.modality, case.structures) for case in sarcoma.cases] == [
        ("CT", {"GTV": 117145}), ("MR", {"GTV": 117145}), ("PT", {"GTV": 5095}),
    ]  # fmt: skip
    assert {case.patient for case in sarcoma.cases} == {"patient_001"}
    breast = collect(shared_data / "dicom_mr_seg_breast", tmp_path / "b")
    assert any("holds 3 volumes, 2 of which are referred to" in note for note in breast.cases[0].notes)
    dcmqi = collect(shared_data / "dicom_dcmqi", tmp_path / "c")
    assert len(dcmqi.cases) == 6
    assert [item.file for item in dcmqi.left_out] == ["sr-example/seg.dcm"]
    assert len(collect(shared_data / "dicom_rt_matrad", tmp_path / "d").cases) == 1
    for folder in ("a", "b", "c", "d"):
        found = Dataset.open(tmp_path / folder)
        assert all(found.labels(case).array.any() for case in found.cases)


def test_the_verb_tells_what_it_made_and_what_not(tmp_path):
    down = tmp_path / "download"
    study(down, 1, "rt", ("liver", "GTV"))
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["import-dicom", str(down), str(out), "--rename", "GTV*=tumour"])
    assert done.exit_code == 0, done.output
    assert "patient_001_01: CT, liver, tumour (z/1.dcm)" in done.output
    as_json = CliRunner().invoke(app, ["-q", "import-dicom", str(down), str(tmp_path / "out2"), "--json"])
    assert '"schema_names"' in as_json.output
    wrong = CliRunner().invoke(app, ["import-dicom", str(down), str(tmp_path / "out3"), "--rename", "GTV"])
    assert isinstance(wrong.exception, DataError)
    assert "expected PATTERN=NAME" in str(wrong.exception)
    assert pydicom.dcmread(down / "z" / "1.dcm").Modality == "RTSTRUCT"
