import shutil
from contextlib import contextmanager
from datetime import datetime

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from delineate.clinic import Maker, make_result, open_series
from delineate.errors import DataError
from delineate.io import Manner, read_label_values, read_volume
from delineate.pipeline import SegmentWishes, Unwatched, segment
from delineate.pipeline.scans import probabilities_file
from delineate.space import LabelMap, LabelSchema
from delineate.space.phantoms import balls


def test_a_scan_a_folder_and_a_dataset_give_the_same_labels(tmp_path, finished, balls_folder):
    scan = balls_folder / "imagesTr" / "ball_02_0000.nii.gz"
    model, how, watch = finished / "model", SegmentWishes(), Unwatched()
    (one,) = segment(model, [scan], tmp_path / "one.nii.gz", how, watch)
    folder = tmp_path / "loose"
    folder.mkdir()
    shutil.copy(scan, folder / "patient.nii.gz")
    (two,) = segment(model, [folder], tmp_path / "out", how, watch)
    many = segment(model, [balls_folder], tmp_path / "many", how, watch)
    assert two == tmp_path / "out" / "patient.nii.gz"
    assert len(many) == 10
    first = read_label_values(one)
    assert np.array_equal(first.array, read_label_values(two).array)
    assert np.array_equal(first.array, read_label_values(tmp_path / "many" / "ball_02.nii.gz").array)
    assert first.geometry.same_place(read_volume(scan).geometry)


def test_a_model_gives_what_cross_validation_measured(tmp_path, finished, balls_folder):
    """With one fold trained, the packed model is that fold's network: same scan, same labels."""
    kept = next((finished / "folds" / "3d_fullres" / "fold_0" / "predictions").glob("*.nii.gz"))
    name = kept.name.removesuffix(".nii.gz")
    scan = balls_folder / "imagesTr" / f"{name}_0000.nii.gz"
    out = tmp_path / "out.nii.gz"
    segment(finished / "model", [scan], out, SegmentWishes(cleanup=False), Unwatched())
    assert np.array_equal(read_label_values(out).array, read_label_values(kept).array)


def test_probabilities_add_up_to_one_and_agree_with_the_labels(tmp_path, finished, balls_folder):
    scan = balls_folder / "imagesTr" / "ball_01_0000.nii.gz"
    how = SegmentWishes(probabilities=True, cleanup=False)
    (labels,) = segment(finished / "model", [scan], tmp_path / "labels.nii.gz", how, Unwatched())
    found = read_volume(probabilities_file(labels))
    assert np.allclose(found.array.sum(axis=0), 1, atol=1e-4)
    assert np.array_equal(found.array.argmax(axis=0), read_label_values(labels).array)


def test_a_bad_scan_does_not_stop_the_others(tmp_path, finished, balls_folder):
    folder = tmp_path / "scans"
    folder.mkdir()
    shutil.copy(balls_folder / "imagesTr" / "ball_01_0000.nii.gz", folder / "good.nii.gz")
    (folder / "bad.nii.gz").write_bytes(b"not a scan")
    with pytest.raises(DataError, match=r"(?s)1 of 2 cases could not be segmented.*bad"):
        segment(finished / "model", [folder], tmp_path / "out", SegmentWishes(), Unwatched())
    assert (tmp_path / "out" / "good.nii.gz").is_file()


def test_one_output_file_does_not_take_two_cases(tmp_path, finished, balls_folder):
    with pytest.raises(DataError, match="is one file, but there are 10 cases"):
        segment(finished / "model", [balls_folder], tmp_path / "x.nii.gz", SegmentWishes(), Unwatched())


def test_two_scans_of_one_name_would_overwrite_each_other(tmp_path, finished, balls_folder):
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        shutil.copy(balls_folder / "imagesTr" / "ball_01_0000.nii.gz", tmp_path / part / "scan.nii.gz")
    scans = [tmp_path / part / "scan.nii.gz" for part in ("a", "b")]
    with pytest.raises(DataError, match="several scans are called scan"):
        segment(finished / "model", scans, tmp_path / "out", SegmentWishes(), Unwatched())


def test_neither_scans_nor_their_labels_are_overwritten(tmp_path, finished, balls_folder):
    data = tmp_path / "data"
    shutil.copytree(balls_folder, data)
    before = {path: path.read_bytes() for path in data.rglob("*.nii.gz")}
    scan = data / "imagesTr" / "ball_01_0000.nii.gz"
    (data / "loose").mkdir()
    shutil.copy(scan, data / "loose" / "patient.nii.gz")
    for scans, out in (
        ([scan], scan),
        ([data], data / "labelsTr"),
        ([data / "loose"], data / "imagesTr" / ".." / "loose"),
    ):
        with pytest.raises(DataError, match="would be overwritten by the prediction"):
            segment(finished / "model", scans, out, SegmentWishes(), Unwatched())
    assert {path: path.read_bytes() for path in before} == before


def test_a_kind_of_file_that_is_not_written_is_refused_before_the_work(tmp_path, finished, balls_folder):
    scan = balls_folder / "imagesTr" / "ball_01_0000.nii.gz"
    with pytest.raises(DataError, match=r"o\.dcm: labels are written as .*, not as \.dcm"):
        segment(finished / "model", [scan], tmp_path / "o.dcm", SegmentWishes(), Unwatched())


def write_leaning(folder, degrees: float):
    """A series of 16 slices, each shifted against the last within its plane."""
    pixels = (100 * balls(np.random.default_rng(3), size=16)[0].array[0]).clip(0).astype(np.uint16)
    folder.mkdir()
    for k in range(16):
        item = Dataset()
        item.file_meta = FileMetaDataset()
        item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        item.SOPClassUID, item.SOPInstanceUID = MRImageStorage, f"1.2.4.{k + 1}"
        item.SeriesInstanceUID, item.Modality = "1.2.3", "MR"
        item.StudyInstanceUID, item.FrameOfReferenceUID, item.PatientID = "1.2.1", "1.2.2", "phantom"
        item.Rows = item.Columns = 16
        item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
        item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 16, 16, 15, 0
        item.ImagePositionPatient = [0, round(k * float(np.tan(np.radians(degrees))), 4), k]
        item.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        item.PixelSpacing, item.SliceThickness = [1, 1], 1
        item.PixelData = pixels[:, :, k].T.tobytes()
        item.save_as(folder / f"{k:03d}.dcm", enforce_file_format=True)
    return folder


def test_leaning_slices_are_straightened_when_asked_and_the_label_file_says_so(tmp_path, finished):
    folder, out = write_leaning(tmp_path / "series", 15.0), tmp_path / "labels.nii.gz"
    with pytest.raises(DataError, match=r"(?s)shift by 15\.0 degrees.*--straighten"):
        segment(finished / "model", [folder], out, SegmentWishes(), Unwatched())
    assert not out.exists()
    how = SegmentWishes(reading=Manner(straighten=True))
    segment(finished / "model", [folder], out, how, Unwatched())
    found = read_label_values(out)
    assert found.geometry.shape == (16, 21, 16)
    assert any(note.startswith("straightened, as asked: the gantry was tilted") for note in found.notes)
    everywhere = np.ones_like(found.array)  # whatever a model of six steps found
    labels = LabelMap(everywhere, found.geometry, LabelSchema.of("liver"), found.notes)
    result = make_result(labels, open_series(folder), Maker(), when=datetime(2026, 1, 1))
    assert result.array.shape == (16, 16, 16)
    assert result.array.all()  # every pixel of the original slices lies on the even grid
    assert any("straightened, as asked" in note for note in result.notes)


@pytest.fixture
def three(tmp_path, balls_folder):
    """Two scans, and one that is broken between them."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("ball_01", "ball_03"):
        shutil.copy(balls_folder / "imagesTr" / f"{name}_0000.nii.gz", folder / f"{name}.nii.gz")
    (folder / "ball_02.nii.gz").write_bytes(b"not a scan")
    return folder


class Listening(Unwatched):
    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


def test_within_a_bound_scans_give_the_same_files_and_the_plan_is_told_once(tmp_path, finished, three):
    watch = Listening()
    for out, how in (("free", SegmentWishes()), ("bound", SegmentWishes(memory_gb=1))):
        with pytest.raises(DataError, match=r"(?s)1 of 3 cases could not be segmented.*ball_02"):
            segment(finished / "model", [three], tmp_path / out, how, watch)
    assert len([line for line in watch.said if "memory" in line]) == 1
    names = sorted(file.name for file in (tmp_path / "free").iterdir())
    assert names == ["ball_01.nii.gz", "ball_03.nii.gz"]
    for name in names:
        assert (tmp_path / "free" / name).read_bytes() == (tmp_path / "bound" / name).read_bytes()


def test_a_bound_that_is_too_small_names_the_least_that_works(tmp_path, finished, three):
    how = SegmentWishes(memory_gb=0.02)
    with pytest.raises(DataError, match=r"(?s)3 of 3 cases.*smallest bound that works is 0\.\d\d GB"):
        segment(finished / "model", [three], tmp_path / "out", how, Unwatched())


def test_who_interrupts_finds_whole_files_only(tmp_path, finished, balls_folder):
    class Impatient(Unwatched):
        @contextmanager
        def stage(self, title):
            def progress(number, total, what):
                if number == 3:
                    raise KeyboardInterrupt

            yield progress

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        segment(finished / "model", [balls_folder], out, SegmentWishes(), Impatient())
    files = list(out.glob("[!.]*"))
    assert 3 <= len(files) <= 4  # the next may have been written meanwhile
    assert all(read_label_values(file).array.ndim == 3 for file in files)


def test_statistics_are_not_taken_from_a_coarser_grid(tmp_path, finished, balls_folder):
    how = SegmentWishes(fast=True, adapt=True)
    with pytest.raises(DataError, match="some are of a coarser grid, which nobody measured"):
        segment(finished / "model", [balls_folder], tmp_path / "out", how, Unwatched())


def test_a_label_file_says_that_it_was_made_in_the_fast_mode(tmp_path, finished, balls_folder):
    class Words(Unwatched):
        def say(self, text):
            said.append(text)

    said, out = [], tmp_path / "out.nii.gz"
    scan = balls_folder / "imagesTr" / "ball_02_0000.nii.gz"
    segment(finished / "model", [scan], out, SegmentWishes(fast=True), Words())
    (note,) = [text for text in read_label_values(out).notes if text.startswith("fast mode")]
    assert any(note in text for text in said)
