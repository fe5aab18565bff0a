"""Scans put onto each other: files, datasets, and what is segmented."""

import json
import shutil

import numpy as np
import pytest
from scipy import ndimage

from delineate.dataset import Case
from delineate.errors import DataError
from delineate.io import read_label_values, read_volume, write_labels, write_volume
from delineate.io.disk import write_json
from delineate.pipeline import AlignWishes, Unwatched, align, register_scans
from delineate.pipeline.aligning import AlignedCase, stacked
from delineate.space import Alignment, Geometry, LabelMap, LabelSchema, RegistrationRules, Volume

SHAPE = (32, 36, 30)
TURN = np.array([[0.9962, -0.0872, 0, 6.0], [0.0872, 0.9962, 0, -4.0], [0, 0, 1, 3.0], [0, 0, 0, 1]])


def sequences():
    """T1 and FLAIR of one head on one grid, and where its brightest tissue is."""
    rng = np.random.default_rng(3)
    field = ndimage.gaussian_filter(rng.standard_normal(SHAPE), 3)
    away = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij"))
    tissue = np.where((away**2).sum(0) < 0.7, 1 + np.digitize(field / field.std(), [-0.8, 0, 0.8]), 0)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -np.array(SHAPE)
    grid = Geometry(SHAPE, affine)

    def seen(signal):
        values = ndimage.gaussian_filter(np.array(signal, float)[tissue], 0.7) + rng.normal(0, 1, SHAPE)
        return Volume(values[None].astype(np.float32), grid)

    labels = LabelMap((tissue > 3).astype(np.uint8), grid, LabelSchema.of("tissue"))
    return seen([0, 10, 40, 70, 100]), seen([0, 90, 20, 60, 35]), labels


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Two cases in nnU-Net's layout; the FLAIR of `b` lies elsewhere, on a grid of its own."""
    folder = tmp_path_factory.mktemp("data") / "two"
    first, second, labels = sequences()
    elsewhere = Volume(second.array, Geometry(SHAPE, TURN @ second.geometry.affine))
    for name, flair in (("a", second), ("b", elsewhere)):
        write_volume(first, folder / "imagesTr" / f"{name}_0000.nii.gz")
        write_volume(flair, folder / "imagesTr" / f"{name}_0001.nii.gz")
        write_labels(labels, folder / "labelsTr" / f"{name}.nii.gz")
    about = {"channel_names": {"0": "T1", "1": "FLAIR"}, "labels": {"background": 0, "tissue": 1}}
    write_json(folder / "dataset.json", about | {"numTraining": 2, "file_ending": ".nii.gz"})
    return folder


def alike(a, b):
    inner = (slice(None), slice(6, -6), slice(6, -6), slice(6, -6))
    return np.corrcoef(a.array[inner].ravel(), b.array[inner].ravel())[0, 1]


def test_a_scan_is_written_on_the_grid_of_the_other_with_its_matrix_in_plain_json(cohort, tmp_path):
    images = cohort / "imagesTr"
    found = register_scans(
        images / "b_0000.nii.gz", [images / "b_0001.nii.gz"], tmp_path, RegistrationRules(), Unwatched()
    )
    written = read_volume(tmp_path / "b_0001.nii.gz")
    assert written.geometry.same_place(read_volume(images / "b_0000.nii.gz").geometry)
    assert alike(written, read_volume(images / "a_0001.nii.gz")) > 0.98
    content = json.loads((tmp_path / "b_0001.json").read_text())
    assert np.allclose(np.array(content["matrix"]) @ TURN, np.eye(4), atol=0.3)
    assert Alignment.load(tmp_path / "b_0001.json") == found["b_0001"]


def test_scans_that_would_overwrite_each_other_are_refused(cohort, tmp_path):
    images, rules = cohort / "imagesTr", RegistrationRules()
    with pytest.raises(DataError, match="would overwrite each other or a scan that is read"):
        register_scans(images / "a_0000.nii.gz", [images / "b_0001.nii.gz"] * 2, tmp_path, rules, Unwatched())
    with pytest.raises(DataError, match="would overwrite each other or a scan that is read"):
        register_scans(images / "a_0000.nii.gz", [images / "b_0001.nii.gz"], images, rules, Unwatched())


def test_a_dataset_is_aligned_and_what_lies_right_is_left_alone(cohort, tmp_path):
    made = align(cohort, tmp_path / "out", AlignWishes(), Unwatched())
    assert (made.ids, made.channels, made.layout) == (("a", "b"), ("T1", "FLAIR"), "manifest")
    assert made.case("a").images[1] == (cohort / "imagesTr" / "a_0001.nii.gz").resolve()
    scan, labels = made.pair(made.case("b"))
    assert (
        alike(Volume(scan.array[1:], scan.geometry), read_volume(cohort / "imagesTr" / "a_0001.nii.gz"))
        > 0.98
    )
    assert labels.mask("tissue").any()
    record = AlignedCase.load(tmp_path / "out" / "b" / "aligned.json")
    assert (record.onto, tuple(record.moved), tuple(record.stayed)) == ("T1", ("FLAIR",), ())
    assert tuple(AlignedCase.load(tmp_path / "out" / "a" / "aligned.json").stayed) == ("FLAIR",)


def test_other_values_and_columns_and_what_is_optional_come_along(cohort, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(cohort, data)
    labels = read_label_values(data / "labelsTr" / "a.nii.gz")
    high = LabelMap(labels.array * 200, labels.geometry, LabelSchema.of("x").but(ignore=200))
    write_labels(high, data / "labelsTr" / "a.nii.gz")
    (data / "labelsTr" / "b.nii.gz").unlink()
    (data / "imagesTr" / "b_0001.nii.gz").unlink()
    rows = ["case,patient,site,age,T1,FLAIR,label"]
    rows.append("a,p1,s1,50,imagesTr/a_0000.nii.gz,imagesTr/a_0001.nii.gz,labelsTr/a.nii.gz")
    rows.append("b,p2,s2,60,imagesTr/b_0000.nii.gz,,")
    (data / "dataset.csv").write_text("\n".join(rows) + "\n")
    write_json(data / "labels.json", {"background": 0, "tissue": 200})
    write_json(data / "channels.json", {"optional": ["FLAIR"]})
    made = align(data, tmp_path / "out", AlignWishes(), Unwatched())
    case = made.case("a")
    assert (case.group, case.site, dict(case.extra)) == ("p1", "s1", {"age": "50"})
    assert made.optional == ("FLAIR",)
    assert [c.id for c in made.unlabelled] == ["b"]
    assert np.array_equal(made.labels(case).array, labels.array)
    with pytest.raises(DataError, match="b: FLAIR is missing, onto which the others are to be put"):
        align(data, tmp_path / "other", AlignWishes(onto="FLAIR"), Unwatched())


def test_what_cannot_be_aligned_is_refused(cohort, tmp_path, balls_folder):
    with pytest.raises(DataError, match="is not empty"):
        align(cohort, cohort, AlignWishes(), Unwatched())
    with pytest.raises(DataError, match="there is no channel 'PD'; the channels are T1, FLAIR"):
        align(cohort, tmp_path / "out", AlignWishes(onto="PD"), Unwatched())
    with pytest.raises(DataError, match="its channels are not files of their own"):
        align(balls_folder, tmp_path / "out", AlignWishes(), Unwatched())
    with pytest.raises(DataError, match=r"(?s)1 of 2 cases.*labels do not lie on the grid.*--onto"):
        align(cohort, tmp_path / "out", AlignWishes(onto="FLAIR"), Unwatched())


def test_a_stack_is_registered_before_it_is_made_and_says_so(cohort):
    images = cohort / "imagesTr"
    case = Case("b", (images / "b_0000.nii.gz", None, images / "b_0001.nii.gz"))
    scan = stacked(case, ("T1", "T2", "FLAIR"), RegistrationRules())
    assert scan.channels == ("T1", "FLAIR")
    (note,) = [text for text in scan.source.notes if text.startswith("registered")]
    assert note.startswith("registered, as asked: FLAIR onto T1, rigid: moved by up to")
    assert alike(Volume(scan.array[1:], scan.geometry), read_volume(images / "a_0001.nii.gz")) > 0.98
