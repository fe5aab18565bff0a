import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from delineate.dataset import Dataset, write_nnunet
from delineate.dataset.convert import description
from delineate.errors import DataError
from delineate.space import Geometry

VERDICTS = Path(__file__).with_name("peer_verdicts.py")
TABLE = {"background": 0, "cytoplasm": 128, "nucleus": 255}


def same(a, b):
    """Whether two datasets have the same scans and labels."""
    assert (a.ids, a.channels, a.schema) == (b.ids, b.channels, b.schema)
    for one, other in zip((*a.cases, *a.unlabelled), (*b.cases, *b.unlabelled), strict=True):
        scan, again = a.scan(one), b.scan(other)
        assert (scan.array == again.array).all()
        assert scan.array.dtype == again.array.dtype
        assert scan.geometry.same_place(again.geometry)
    for one, other in zip(a.cases, b.cases, strict=True):
        assert (a.labels(one).array == b.labels(other).array).all()
    return True


@pytest.mark.parametrize("layout", ["nnunet", "decathlon", "brats", "manifest"])
def test_what_was_written_opens_as_the_same_dataset(small, tmp_path, layout):
    dataset = Dataset.open(getattr(small, layout)(tmp_path / "in"))
    folder = write_nnunet(dataset, tmp_path / "out", name="Thing", number=7)
    assert folder == tmp_path / "out" / "Dataset007_Thing"
    again = Dataset.open(folder)
    assert (again.layout, again.name, again.problems) == ("nnunet", "Thing", ())
    assert same(dataset, again)


def test_pictures_stay_pictures(small, tmp_path):
    dataset = Dataset.open(small.pictures(tmp_path / "in", table=TABLE))
    folder = write_nnunet(dataset, tmp_path / "out")
    assert (folder / "imagesTr" / "p1_0000.png").is_file()
    assert json.loads((folder / "dataset.json").read_text())["file_ending"] == ".png"
    assert same(dataset, Dataset.open(folder))


def test_pictures_with_a_size_become_volumes(small, tmp_path):
    small.nnunet(tmp_path / "in", names=("a",), channels=("echo",))
    grid = Geometry.of_image((20, 16), (0.3, 0.3))
    small.put(tmp_path / "in/imagesTr/a_0000.nii.gz", small.voxels(1, (20, 16, 1)).astype(np.uint8), grid)
    small.put_labels(tmp_path / "in/labelsTr/a.nii.gz", small.blocks((1, 2), (20, 16, 1)), grid)
    dataset = Dataset.open(tmp_path / "in")
    folder = write_nnunet(dataset, tmp_path / "out")
    assert (folder / "imagesTr" / "a_0000.nii.gz").is_file()
    assert same(dataset, Dataset.open(folder))


def test_four_channels_of_a_4d_file_become_four_files(small, tmp_path):
    dataset = Dataset.open(small.decathlon(tmp_path / "in", names=("a",), modality=("x", "y", "z", "w")))
    folder = write_nnunet(dataset, tmp_path / "out")
    assert sorted(p.name for p in (folder / "imagesTr").iterdir()) == [f"a_{n:04d}.nii.gz" for n in range(4)]
    assert same(dataset, Dataset.open(folder))


def test_regions_names_and_the_ignore_label_survive(small, tmp_path):
    labels = {"background": 0, "whole": [1, 2], "core": 2, "ignore": 255}
    extra = {"regions_class_order": [1, 2], "label_names": {"1": "oedema"}}
    dataset = Dataset.open(small.nnunet(tmp_path / "in", labels=labels, **extra))
    folder = write_nnunet(dataset, tmp_path / "out")
    written = json.loads((folder / "dataset.json").read_text())
    assert written["labels"] == {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}
    assert written["regions_class_order"] == [1, 2]
    again = Dataset.open(folder)
    assert [label.name for label in again.schema.labels] == ["oedema", "core"]
    assert same(dataset, again)


def test_unlabelled_cases_go_where_nnunet_looks_for_them(small, tmp_path):
    small.manifest(tmp_path / "in")
    text = (tmp_path / "in" / "dataset.csv").read_text().replace("files/m2-truth.nii.gz", "")
    (tmp_path / "in" / "dataset.csv").write_text(text)
    dataset = Dataset.open(tmp_path / "in")
    again = Dataset.open(write_nnunet(dataset, tmp_path / "out"))
    assert [case.id for case in again.unlabelled] == ["m2"]
    assert again.ids == ("m1", "m3")


def test_a_description_with_all_its_texts_comes_back_word_for_word(small, tmp_path):
    description_of_131 = {
        "name": "LiverTumour",
        "description": "Liver and tumours",
        "reference": "somebody",
        "licence": "CC-BY-SA 4.0",
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "liver": 1, "tumour": 2},
        "numTraining": 131,
        "file_ending": ".nii.gz",
    }
    small.nnunet(tmp_path / "in", names=("liver_0",), channels=("CT",), **description_of_131)
    for folder, ending in (("imagesTr", "_0000.nii.gz"), ("labelsTr", ".nii.gz")):
        for n in range(1, 131):
            (tmp_path / "in" / folder / f"liver_{n}{ending}").symlink_to(
                tmp_path / "in" / folder / f"liver_0{ending}"
            )
    dataset = Dataset.open(tmp_path / "in")
    assert dataset.problems == ()
    assert description(dataset, dataset.name, ".nii.gz") == description_of_131


def test_the_description_of_the_real_hippocampus_becomes_that_of_nnunet(shared_data, small, tmp_path):
    whole = Dataset.open(shared_data / "hippocampus")
    dataset = whole.subset(whole.ids[:3])
    again = Dataset.open(write_nnunet(dataset, tmp_path / "out", number=4))
    assert again.root.name == "Dataset004_Hippocampus"
    assert again.about["licence"] == "CC-BY-SA 4.0"
    assert again.about == whole.about
    assert same(dataset, again)
    assert description(whole, whole.name, ".nii.gz")["numTraining"] == 220


def test_nothing_is_overwritten_and_nothing_half_written_is_left(small, tmp_path):
    small.nnunet(tmp_path / "in")
    (tmp_path / "in" / "imagesTr" / "c_0001.nii.gz").unlink()
    dataset = Dataset.open(tmp_path / "in")
    with pytest.raises(DataError, match="exists already"):
        write_nnunet(dataset, tmp_path / "in")
    with pytest.raises(DataError, match="c: FLAIR is missing"):
        write_nnunet(dataset, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_a_dataset_without_labels_is_not_written(small, tmp_path):
    dataset = Dataset.open(small.nnunet(tmp_path / "in"))
    with pytest.raises(DataError, match="has no labelled case to write"):
        write_nnunet(dataset.subset([]), tmp_path / "out")


@pytest.mark.peer
def test_nnunet_lets_pass_what_was_written(small, tmp_path, peer_python):
    made = {
        layout: getattr(small, layout)(tmp_path / layout) for layout in ("decathlon", "brats", "manifest")
    }
    made["pictures"] = small.pictures(tmp_path / "pictures", table=TABLE)
    folders = [write_nnunet(Dataset.open(root), tmp_path / "out" / name) for name, root in made.items()]
    answers = tmp_path / "verdicts.json"
    subprocess.run([peer_python, VERDICTS, answers, *folders], capture_output=True, check=True)
    assert json.loads(answers.read_text()) == dict.fromkeys(made, True)
