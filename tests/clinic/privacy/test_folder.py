"""Whole folders: ours, and real ones."""

import json
import shutil
import subprocess

import nibabel as nib
import numpy as np
import pydicom
import pytest

from delineate.clinic.privacy import Key, Wishes, deidentify
from delineate.clinic.privacy import folder as folders
from delineate.errors import DataError
from delineate.io.disk import file_digest
from delineate.space.phantoms import head


@pytest.fixture
def scans(image, save, tmp_path):
    """Four slices of Ada and two of Bo."""
    for number in range(4):
        uid = f"1.2.3.4.5.{number}"
        save(image(SOPInstanceUID=uid, StudyDate="20160317"), tmp_path / "in" / "Ada" / f"{number}.dcm")
    for number in range(2):
        content = image(
            SOPInstanceUID=f"1.2.3.9.{number}", PatientName="Zwiebelmann^Bo", PatientID="ZW-30011",
            StudyInstanceUID="1.2.3.9", SeriesInstanceUID="1.2.3.9.9",
        )  # fmt: skip
        save(content, tmp_path / "in" / "Bo" / f"{number}.dcm")
    return tmp_path / "in"


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.dcm"))}


def test_the_same_key_makes_the_same_files_and_another_key_others(scans, key, tmp_path):
    for name, secret in (("a", key), ("b", key), ("c", Key(b"o" * 32))):
        assert deidentify(scans, tmp_path / name, secret).ok
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert len(contents(tmp_path / "a")) == 6
    assert not set(contents(tmp_path / "a")) & set(contents(tmp_path / "c"))


def test_what_is_done_is_not_done_again_and_what_is_missing_is(scans, key, tmp_path):
    out = tmp_path / "out"
    deidentify(scans, out, key)
    before = contents(out)
    lost = next(iter(sorted(out.rglob("*.dcm"))))
    lost.unlink()
    (out / ".12345678.partial-x.dcm").write_bytes(b"unfinished")
    with (out / "state.jsonl").open("a") as state:
        state.write('{"input": "torn')
    report = deidentify(scans, out, key)
    assert (report.written, report.resumed) == (6, 5)
    assert contents(out) == before
    assert not list(out.glob(".*partial*"))


def test_other_wishes_or_another_key_do_not_mix(scans, key, tmp_path):
    deidentify(scans, tmp_path / "out", key)
    for secret, wishes in ((Key(b"o" * 32), Wishes()), (key, Wishes(options=()))):
        with pytest.raises(DataError, match="was begun with another key or other options"):
            deidentify(scans, tmp_path / "out", secret, wishes)


def test_a_dry_run_writes_nothing_and_says_the_same(scans, key, tmp_path):
    dry = deidentify(scans, tmp_path / "dry", key, Wishes(dry_run=True))
    assert not (tmp_path / "dry").exists()
    wet = deidentify(scans, tmp_path / "out", key)
    assert (dry.done, dry.written) == (wet.done, wet.written)
    assert "would be written" in dry.to_markdown()


def test_folders_within_each_other_and_folders_with_other_things_are_refused(scans, key, tmp_path):
    for out in (scans, scans / "out", tmp_path):
        with pytest.raises(DataError, match="the output must lie outside the input"):
            deidentify(scans, out, key)
    with pytest.raises(DataError, match="is not there"):
        deidentify(tmp_path / "absent", tmp_path / "out", key)
    with pytest.raises(DataError, match="leads back to patients and cannot lie in the output"):
        deidentify(scans, tmp_path / "out", key, mapping=tmp_path / "out" / "mapping.jsonl")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("Dear Ada")
    with pytest.raises(DataError, match="is not empty"):
        deidentify(scans, tmp_path / "full", key)


def test_damaged_files_and_others_are_stated_and_never_copied(scans, key, tmp_path):
    whole = (scans / "Ada" / "0.dcm").read_bytes()
    (scans / "cut.dcm").write_bytes(whole[:150])
    (scans / "cut_in_pixels.dcm").write_bytes(whole[:-40])
    (scans / "noise.dcm").write_bytes(bytes(range(256)) * 4)
    (scans / "Ada.txt").write_text("Ada Quillfeather")
    (scans / "DICOMDIR").write_bytes(whole)
    report = deidentify(scans, tmp_path / "out", key, mapping=tmp_path / "mapping.jsonl")
    assert report.written + len(report.held) == report.read == 9
    assert {held.reason.split(":")[0] for held in report.held} <= {
        "holds no DICOM object",
        "cannot be read as DICOM",
        "cannot be read to its end, or not be written",
        "does not say what kind of object it is (SOPClassUID)",
    }
    assert len(report.held) >= 2
    assert report.left_out["DICOMDIR (make a new one for the output)"] == 1
    assert report.left_out[".txt (not DICOM, not NIfTI)"] == 1
    rows = [json.loads(line) for line in (tmp_path / "mapping.jsonl").read_text().splitlines()]
    missing = {row["reference"] for row in rows if row["output"] is None}
    assert missing == {held.file for held in report.held}
    assert (tmp_path / "mapping.jsonl").stat().st_mode & 0o077 == 0
    assert "Ada" not in report.to_json() + report.to_markdown()


def test_a_file_in_which_something_is_left_is_held_back(scans, key, tmp_path, monkeypatch):
    treat = folders.headers.deidentified

    def careless(content, rules, tally):
        treat(content, rules, tally)
        content.ImageComments = "of Quillfeather"

    monkeypatch.setattr(folders.headers, "deidentified", careless)
    report = deidentify(scans, tmp_path / "out", key)
    assert report.written == 0
    assert {held.reason for held in report.held} == {
        "something of the input was still in it: name or number in ImageComments"
    }
    assert not list((tmp_path / "out").rglob("*.dcm"))


def test_copies_of_one_image_get_places_of_their_own(scans, key, tmp_path):
    shutil.copy(scans / "Ada" / "0.dcm", scans / "Ada" / "copy.dcm")
    report = deidentify(scans, tmp_path / "out", key)
    assert report.written == len(contents(tmp_path / "out")) == 7


def test_one_file_may_be_named_and_an_object_without_uids_gets_one(image, save, key, tmp_path):
    path = save(image(), tmp_path / "Ada.dcm")
    content = pydicom.dcmread(path)
    content.SOPInstanceUID = ""
    pydicom.dcmwrite(path, content, enforce_file_format=False)
    report = deidentify(path, tmp_path / "out", key)
    assert report.written == 1
    after = pydicom.dcmread(next((tmp_path / "out").rglob("*.dcm")))
    assert after.SOPInstanceUID == key.uid("1.2.3.4.5.6")  # its meta information knew


def test_nifti_files_lose_names_and_faces(key, tmp_path):
    scan, _ = head(np.random.default_rng(0), grid=_around())
    (tmp_path / "in").mkdir()
    image = nib.Nifti1Image(scan.array[0], scan.geometry.affine)
    image.header["descrip"] = b"Quillfeather"
    nib.save(image, tmp_path / "in" / "Quillfeather.nii.gz")
    report = deidentify(tmp_path / "in", tmp_path / "out", key, Wishes(deface=True))
    after = next((tmp_path / "out" / "nifti").iterdir())
    assert (report.written, report.defaced) == (1, 1)
    assert "Quill" not in after.name
    changed = np.asanyarray(nib.load(after).dataobj) != scan.array[0]
    assert 0.01 < changed.mean() < 0.3


def test_a_nifti_head_that_is_cut_is_held_back(key, tmp_path):
    scan, _ = head(np.random.default_rng(0), grid=_around())
    (tmp_path / "in").mkdir()
    nib.save(nib.Nifti1Image(scan.array[0][:, :, :34], scan.geometry.affine), tmp_path / "in" / "a.nii.gz")
    report = deidentify(tmp_path / "in", tmp_path / "out", key, Wishes(deface=True))
    assert [held.reason for held in report.held] == [
        "its face cannot be taken: the picture cuts the head, or cannot be read"
    ]


def test_an_object_that_does_not_say_what_it_is_is_held_back(image, save, key, tmp_path):
    path = save(image(), tmp_path / "in" / "a.dcm")
    content = pydicom.dcmread(path)
    del content.SOPClassUID
    del content.file_meta.MediaStorageSOPClassUID
    pydicom.dcmwrite(path, content, enforce_file_format=False)
    report = deidentify(tmp_path / "in", tmp_path / "out", key)
    assert [held.reason for held in report.held] == ["does not say what kind of object it is (SOPClassUID)"]


@pytest.mark.parametrize("name", ["Clean^Profile", "REMOVED", "Anonymous", "Basic^Retain"])
def test_people_called_like_our_own_words_are_no_survivors(image, save, key, tmp_path, name):
    save(image(PatientName=name, InstitutionName=name), tmp_path / "in" / "a.dcm")
    assert deidentify(tmp_path / "in", tmp_path / "out", key).ok


def test_one_id_from_two_hospitals_is_noted(image, save, key, tmp_path):
    for number, issuer in enumerate(("St Eldritch", "General")):
        content = image(IssuerOfPatientID=issuer, SOPInstanceUID=f"1.2.3.4.{number}")
        save(content, tmp_path / "in" / f"{number}.dcm")
    report = deidentify(tmp_path / "in", tmp_path / "out", key)
    assert report.notes == ("1 patient ID(s) come from several issuers: each was taken as one patient",)


def _around():
    from delineate.space import Geometry

    affine = np.diag([5.0, 5.0, 5.0, 1.0])
    affine[:3, 3] = (-100, -120, -110)
    return Geometry((40, 48, 43), affine)


# Real data


def test_a_real_study_keeps_its_references_and_pixels(shared_data, key, tmp_path):
    source = shared_data / "sts_sarcoma_dicom"
    slices = sorted((source / "STS_001" / "CT" / "image").glob("*.dcm"))[:12]
    for path in [*slices, next((source / "STS_001" / "CT" / "mask").glob("*.dcm"))]:
        shutil.copy(path, _made(tmp_path / "in") / f"{path.parent.name}_{path.name}")
    report = deidentify(tmp_path / "in", tmp_path / "out", key, mapping=tmp_path / "map.jsonl")
    assert report.ok
    rows = [json.loads(line) for line in (tmp_path / "map.jsonl").read_text().splitlines()]
    pairs = [(pydicom.dcmread(row["input"]), pydicom.dcmread(row["output"])) for row in rows]
    images = {after.SOPInstanceUID for before, after in pairs if before.Modality == "CT"}
    contours = next((before, after) for before, after in pairs if before.Modality == "RTSTRUCT")
    named = [
        {
            str(image.ReferencedSOPInstanceUID)
            for contour in content.ROIContourSequence[0].ContourSequence
            for image in contour.get("ContourImageSequence", [])
        }
        for content in contours
    ]
    assert named[1] == {key.uid(uid) for uid in named[0]}
    there = {key.uid(str(before.SOPInstanceUID)) for before, _ in pairs} & named[1]
    assert there <= images
    for before, after in pairs:
        if before.Modality == "CT":
            assert np.array_equal(before.pixel_array, after.pixel_array)
            assert after.SeriesInstanceUID == key.uid(before.SeriesInstanceUID)
    geometry = [content.ROIContourSequence[0].ContourSequence[0].ContourData for content in contours]
    assert geometry[0] == geometry[1]


def test_every_encoding_goes_through_with_its_pixels(shared_data, key, tmp_path):
    source = shared_data / "dicom_pydicom"
    report = deidentify(
        source, tmp_path / "out", key, Wishes(text="keep"), mapping=tmp_path / "mapping.jsonl"
    )
    assert report.written + len(report.held) == report.read == 40
    assert {held.reason for held in report.held} <= {
        "does not say how its pixels are compressed (TransferSyntaxUID)"
    }
    rows = [json.loads(line) for line in (tmp_path / "mapping.jsonl").read_text().splitlines()]
    for row in [row for row in rows if row["output"]]:
        before, after = pydicom.dcmread(row["input"], force=True), pydicom.dcmread(row["output"])
        assert after.PatientIdentityRemoved == "YES"
        if before.get("PixelData") is not None and len(before.PixelData) < 2_000_000:
            assert _decoded(before) == _decoded(after)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="no dciodvfy here")
@pytest.mark.parametrize("options", [(), folders.DEFAULT])
def test_dciodvfy_finds_no_error_that_was_not_there_before(shared_data, key, tmp_path, options):
    source = _made(tmp_path / "in")
    for name in ("ct_image.dcm", "sr_document.dcm", "seg_image_ct_binary.dcm", "dx_image.dcm"):
        shutil.copy(shared_data / "dicom_highdicom" / name, source)
    shutil.copy(shared_data / "dicom_ct_tilt" / "01.dcm", source)
    wishes = Wishes(options=options, text="keep")
    deidentify(source, tmp_path / "out", key, wishes, mapping=tmp_path / "map.jsonl")
    for row in map(json.loads, (tmp_path / "map.jsonl").read_text().splitlines()):
        before, after = (_errors(row[name]) for name in ("input", "output"))
        assert not after - before, row["input"]


def _errors(path):
    done = subprocess.run(["dciodvfy", "-new", path], capture_output=True, check=False)
    lines = (done.stderr + done.stdout).decode(errors="replace").splitlines()
    return {line.split("= <")[0] for line in lines if line.startswith("Error")}


def _decoded(content):
    try:
        return content.pixel_array.tobytes()
    except Exception:  # noqa: BLE001 - what cannot be decoded before must not be changed either
        return content.PixelData


def test_a_tilted_head_whose_face_cannot_be_taken_is_held_back(shared_data, key, tmp_path):
    report = deidentify(shared_data / "dicom_ct_tilt", tmp_path / "out", key, Wishes(deface=True))
    assert report.written == 0
    assert all("its face cannot be taken: slices shift" in held.reason for held in report.held)


def test_the_face_of_a_real_series_is_taken_and_the_rest_stays(shared_data, key, tmp_path):
    source = shared_data / "dicom_mr_hippocrop" / "Study3" / "11-T1post-18670"
    before = {file_digest(path) for path in source.iterdir()}
    report = deidentify(source, tmp_path / "out", key, Wishes(deface=True), mapping=tmp_path / "map")
    assert report.ok
    assert report.defaced >= 2
    changed = []
    for row in map(json.loads, (tmp_path / "map").read_text().splitlines()):
        a, b = pydicom.dcmread(row["input"]), pydicom.dcmread(row["output"])
        changed.append(float(np.mean(a.pixel_array != b.pixel_array)))
        assert (changed[-1] > 0) <= (b.get("RecognizableVisualFeatures") == "NO")
    assert 0 < max(changed) < 0.5
    assert before == {file_digest(path) for path in source.iterdir()}


def _made(folder):
    folder.mkdir(exist_ok=True)
    return folder
