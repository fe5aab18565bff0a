import shutil

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from scipy import ndimage

from delineate.dataset import Dataset, Splits, find_leaks, make_splits
from delineate.dataset.leakage import connected, grouped, take_imprints
from delineate.dataset.splits import Fold
from delineate.io import read_volume, write_volume
from delineate.space import Geometry, Volume

SHAPE = (24, 22, 20)


def smooth(seed, shape=SHAPE):
    """A scan with structure, unlike that of every other seed."""
    rng = np.random.default_rng(seed)
    structure = ndimage.gaussian_filter(rng.normal(size=shape), [2 if n > 1 else 0 for n in shape])
    return (structure / structure.std() * 100 + 500).astype(np.float32)


@pytest.fixture
def clean(small, tmp_path):
    """Twelve different volumes, each of its own patient."""
    for n in range(12):
        small.put(tmp_path / "images" / f"liver_{n:03d}.nii.gz", smooth(n))
        small.put_labels(tmp_path / "labels" / f"liver_{n:03d}.nii.gz", small.blocks((1,), SHAPE))
    return tmp_path


@pytest.fixture
def pictures(small, tmp_path):
    """Twelve different pictures, each of its own patient."""
    for n in range(12):
        put_picture(small, tmp_path, f"cell_{n:03d}", smooth(n, (40, 36, 1)))
    return tmp_path


def put_picture(small, root, name, values):
    grid = Geometry.of_image(values.shape[:2])
    small.put(root / "images" / f"{name}.tif", values.astype(np.uint16), grid)
    small.put_labels(root / "labels" / f"{name}.png", small.blocks((1,), values.shape), grid)


def image(root, n=3):
    return read_volume(root / "images" / f"liver_{n:03d}.nii.gz")


def plant(root, volume, name="liver_777"):
    write_volume(volume, root / "images" / f"{name}.nii.gz")
    like = Volume(np.zeros((1, *volume.geometry.shape), np.uint8), volume.geometry)
    like.array[0, :3, :3, :3] = 1
    write_volume(like, root / "labels" / f"{name}.nii.gz")


def leaks(root, splits=None, **wishes):
    """What leaks as {kind: message}."""
    found = find_leaks(Dataset.open(root), splits, **wishes)
    return {problem.kind: problem.message for problem in found}


def with_values(volume, values):
    return Volume(values, volume.geometry, volume.channels)


# The clean twins


def test_clean_volumes_and_pictures_raise_no_alarm(clean, pictures):
    for root in (clean, pictures):
        dataset = Dataset.open(root)
        assert find_leaks(dataset) == ()
        assert find_leaks(dataset, make_splits(dataset)) == ()
        assert find_leaks(dataset, make_splits(dataset, mode="holdout")) == ()


# The ten ways to leak, and some of their disguises


def test_one_patient_on_two_sides_is_found(clean):
    lines = [f"liver_{n:03d},p{n // 2}" for n in range(12)]
    (clean / "cases.csv").write_text("case,patient\n" + "\n".join(lines))
    dataset = Dataset.open(clean)
    assert find_leaks(dataset) == ()
    assert find_leaks(dataset, make_splits(dataset)) == ()
    by_case = make_splits(dataset, by="case")
    found = leaks(clean, by_case)
    assert set(found) == {"leak-patient"}
    assert "of the same patient p" in found["leak-patient"]
    assert "fold " in found["leak-patient"]


def put_dicom(folder, seed, *, patient, study):
    """A CT series of four slices."""
    folder.mkdir(parents=True)
    series, frame = generate_uid(), generate_uid()
    for k, plane in enumerate(smooth(seed, (16, 14, 4)).astype(np.int16).transpose(2, 1, 0)):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        slice_ = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        slice_.SOPClassUID, slice_.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        slice_.PatientID, slice_.StudyInstanceUID = patient, study
        slice_.SeriesInstanceUID, slice_.FrameOfReferenceUID, slice_.Modality = series, frame, "CT"
        slice_.Rows, slice_.Columns = plane.shape
        slice_.ImagePositionPatient, slice_.ImageOrientationPatient = [0, 0, 2 * k], [1, 0, 0, 0, 1, 0]
        slice_.PixelSpacing, slice_.SliceThickness = [1, 1], 2
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
        slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 16, 15, 1
        slice_.RescaleSlope, slice_.RescaleIntercept = 1, 0
        slice_.PixelData = np.ascontiguousarray(plane).tobytes()
        pydicom.dcmwrite(folder / f"{k}.dcm", slice_, enforce_file_format=True)


def dicom_dataset(small, root, headers):
    for n, (patient, study) in enumerate(headers):
        put_dicom(root / "images" / f"case{n}", n, patient=patient, study=study)
        grid = read_volume(root / "images" / f"case{n}").geometry
        small.put_labels(root / "labels" / f"case{n}.nii.gz", small.blocks((1,), grid.shape), grid)
    return root


def test_one_examination_or_patient_in_dicom_headers_is_found(small, tmp_path):
    headers = [("a", "1.1"), ("b", "1.2"), ("b", "1.3"), ("c", "1.4"), ("d", "1.4"), ("", "")]
    found = leaks(dicom_dataset(small, tmp_path, headers))
    assert set(found) == {"leak-patient", "leak-study"}
    (tmp_path / "images" / "case0" / "0.dcm").write_bytes(b"\0" * 128 + b"DICM\2\0\x10\0ZZ\x16\0torn")
    assert set(leaks(tmp_path)) == set(found)
    assert found["leak-patient"].startswith("case1, case2: their DICOM headers name the same patient")
    assert found["leak-study"].startswith("case3, case4: their DICOM headers name the same examination")


def test_dicom_of_different_people_raises_no_alarm(small, tmp_path):
    assert (
        leaks(dicom_dataset(small, tmp_path, [(f"p{n}", f"1.{n}") for n in range(4)] + [("", "")] * 2)) == {}
    )


def test_identical_voxels_are_found_whatever_the_file(clean):
    volume = image(clean)
    write_volume(volume, clean / "images" / "liver_777.mha")
    shutil.copyfile(clean / "labels" / "liver_003.nii.gz", clean / "labels" / "liver_777.nii.gz")
    found = leaks(clean)
    assert set(found) == {"leak-identical"}
    assert found["leak-identical"].startswith("liver_003, liver_777: their images are identical")


def test_near_identical_images_are_found(clean):
    volume = image(clean)
    noise = np.random.default_rng(1).normal(0, 0.05 * volume.array.std(), volume.array.shape)
    plant(clean, with_values(volume, volume.array + noise.astype(np.float32)))
    assert set(leaks(clean)) == {"leak-near-identical"}


def test_resampled_images_are_found(clean):
    volume = image(clean)
    plant(clean, volume.resampled(volume.geometry.respaced((0.5, 0.5, 1.0)), order=1))
    assert set(leaks(clean)) == {"leak-near-identical"}


@pytest.mark.parametrize("axes", [(1,), (2,), (3,), (1, 2), (1, 2, 3)])
def test_mirrored_images_are_found(clean, axes):
    volume = image(clean)
    plant(clean, with_values(volume, np.flip(volume.array, axes).copy()))
    assert set(leaks(clean)) == {"leak-turned"}


def test_turned_images_are_found(clean):
    turned = np.rot90(image(clean).array, axes=(1, 3)).copy()
    plant(clean, Volume(turned, Geometry(turned.shape[1:], np.eye(4))))
    assert set(leaks(clean)) == {"leak-turned"}


@pytest.mark.parametrize(
    "change",
    [lambda x: x * 3 + 50, lambda x: 1000 - x, lambda x: (x - x.min()) ** 1.7],
    ids=["scaled", "inverted", "gamma"],
)
def test_copies_of_other_brightness_are_found(clean, change):
    volume = image(clean)
    plant(clean, with_values(volume, change(volume.array).astype(np.float32)))
    assert set(leaks(clean)) <= {"leak-near-identical", "leak-intensity"} != set()
    assert leaks(clean)


def test_neighbouring_slices_that_say_so_are_found(small, pictures):
    for k in range(4):
        put_picture(small, pictures, f"ID_7_Z_{k:04d}", smooth(50 + k, (40, 36, 1)))
    found = leaks(pictures)
    assert set(found) == {"leak-slices"}
    assert found["leak-slices"].startswith("ID_7_Z_0000, ID_7_Z_0001, ID_7_Z_0002, ID_7_Z_0003")


def test_neighbouring_slices_that_do_not_say_so_are_found_by_their_looks(small, tmp_path):
    for v in range(3):
        volume = ndimage.zoom(smooth(v, (40, 36, 6)), (1, 1, 4), order=1)
        for k in range(8):
            put_picture(small, tmp_path, f"{'abc'[v]}_{k}", volume[:, :, k : k + 1])
    dataset = Dataset.open(tmp_path)
    found = [problem for problem in find_leaks(dataset) if problem.kind == "leak-slices"]
    assert [problem.case for problem in found] == ["a_0", "b_0", "c_0"]
    lines = [f"{name},{name[0]}" for name in dataset.ids]
    (tmp_path / "cases.csv").write_text("case,patient\n" + "\n".join(lines))
    assert find_leaks(Dataset.open(tmp_path)) == ()


def test_numbered_pictures_that_look_different_are_no_slices(small, tmp_path):
    for v in range(3):
        for k in range(4):
            put_picture(small, tmp_path, f"{'abc'[v]}_{k}", smooth(10 * v + k, (40, 36, 1)))
    assert leaks(tmp_path) == {}


def test_a_random_split_of_slices_is_the_classic_mistake(small, tmp_path):
    for v in range(4):
        for k in range(5):
            put_picture(small, tmp_path, f"patient{v}_slice_{k:02d}", smooth(10 * v + k, (40, 36, 1)))
    dataset = Dataset.open(tmp_path)
    found = leaks(tmp_path, make_splits(dataset, mode="holdout"))
    assert set(found) == {"leak-slices"}
    assert "in train" in found["leak-slices"]


def test_tiles_of_one_slide_are_found(small, pictures):
    for k in range(3):
        put_picture(small, pictures, f"S12_x{k * 512}_y0", smooth(60 + k, (40, 36, 1)))
    assert set(leaks(pictures)) == {"leak-slide"}


def test_visits_of_one_person_are_found(clean):
    for visit in (1, 2):
        plant(clean, with_values(image(clean), smooth(70 + visit)[None]), f"p07_visit{visit}")
    found = find_leaks(Dataset.open(clean))
    assert [(p.kind, p.severity) for p in found] == [("leak-follow-up", "warning")]
    assert found[0].message.startswith(
        "p07_visit1, p07_visit2: by their names these are visits of one person"
    )


def test_augmented_copies_that_say_so_are_found_though_they_look_different(clean):
    plant(clean, with_values(image(clean), smooth(80)[None]), "liver_003_rot5")
    found = leaks(clean)
    assert set(found) == {"leak-augmented"}
    assert found["leak-augmented"].startswith("liver_003, liver_003_rot5")


def test_test_cases_that_were_measured_are_found(clean):
    dataset = Dataset.open(clean)
    splits = make_splits(dataset, mode="holdout")
    assert set(leaks(clean, splits, measured=dataset.ids)) == {"leak-statistics"}
    assert leaks(clean, splits, measured=[*splits.folds[0].train, *splits.folds[0].validation]) == {}


def test_test_cases_that_decided_when_to_stop_are_found(clean):
    splits = make_splits(Dataset.open(clean), mode="holdout")
    fold = splits.folds[0]
    assert set(leaks(clean, splits, stopped_on=[*fold.validation, fold.test[0]])) == {"leak-early-stopping"}
    assert leaks(clean, splits, stopped_on=fold.validation) == {}


# On which sides


def test_copies_on_one_side_leak_nothing(clean):
    plant(clean, image(clean))
    rest = tuple(f"liver_{n:03d}" for n in range(12) if n != 3)
    together = Splits(mode="given", folds=(Fold(train=("liver_003", "liver_777"), validation=rest),))
    apart = Splits(mode="given", folds=(Fold(train=("liver_003", *rest), validation=("liver_777",)),) * 2)
    assert leaks(clean, together) == {}
    message = leaks(clean, apart)["leak-identical"]
    assert (
        "fold 0 divides them: liver_003 in train; liver_777 in validation (and so do 1 more folds)" in message
    )


def test_copies_of_one_patient_leak_nothing_without_a_split(clean):
    plant(clean, image(clean))
    (clean / "cases.csv").write_text("case,patient\nliver_003,p\nliver_777,p\n")
    assert leaks(clean) == {}


def test_images_to_be_segmented_are_compared_too(clean):
    plant(clean, image(clean))
    (clean / "labels" / "liver_777.nii.gz").unlink()
    assert "liver_003 can train while liver_777 is to be segmented" in leaks(clean)["leak-identical"]
    (clean / "labels" / "liver_003.nii.gz").unlink()
    assert leaks(clean) == {}


def test_files_that_cannot_be_read_are_passed_over(clean):
    (clean / "images" / "liver_004.nii.gz").write_bytes(b"x")
    told = []
    found = take_imprints(Dataset.open(clean), workers=2, progress=lambda *step: told.append(step))
    assert len(found) == 11
    assert told[-1] == (12, 12, "liver_011")
    assert leaks(clean) == {}


def test_blank_images_are_not_called_copies(small, pictures):
    for name in ("blank_a", "blank_b", "x_0", "x_1", "y_0", "y_1"):
        put_picture(small, pictures, name, np.full((40, 36, 1), 9.0))
    assert leaks(pictures) == {}


def test_sets_are_made_of_pairs():
    assert connected([("b", "a"), ("c", "b"), ("x", "y")]) == [("a", "b", "c"), ("x", "y")]
    assert grouped([("k", "a"), ("k", "b"), ("k", "a"), ("l", "c"), ("l", "c")]) == {"k": ("a", "b")}
