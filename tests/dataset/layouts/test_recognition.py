import pytest

from delineate.dataset import Dataset
from delineate.dataset.layouts import LAYOUT_NAMES
from delineate.errors import DataError

TABLE = {"background": 0, "cytoplasm": 128, "nucleus": 255}


@pytest.mark.parametrize("layout", ["nnunet", "decathlon", "brats", "manifest"])
def test_each_layout_is_recognised_and_opens_again_by_its_name(small, tmp_path, layout):
    dataset = Dataset.open(getattr(small, layout)(tmp_path))
    assert dataset.layout == layout
    assert Dataset.open(str(dataset.root), layout=dataset.layout) == dataset


def test_where_nothing_fits_each_layout_says_what_it_needs(tmp_path):
    (tmp_path / "readme.txt").write_text("hello")
    with pytest.raises(DataError) as raised:
        Dataset.open(tmp_path)
    text = str(raised.value)
    assert "It holds readme.txt" in text
    assert all(f"\n  {name} " in text for name in LAYOUT_NAMES)


def test_a_layout_that_was_named_and_does_not_fit_says_what_it_needs(small, tmp_path):
    with pytest.raises(DataError, match=r"not in the layout 'brats'.*\n  brats .*CASE_t1ce"):
        Dataset.open(small.nnunet(tmp_path), layout="brats")


def test_an_unknown_layout_is_refused(small, tmp_path):
    with pytest.raises(DataError, match="there is no layout 'bids'; there are manifest, "):
        Dataset.open(small.nnunet(tmp_path), layout="bids")


def test_a_path_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        Dataset.open(tmp_path / "nowhere")


def test_a_file_that_is_no_manifest_is_refused(tmp_path):
    (tmp_path / "scan.nii.gz").write_bytes(b"x")
    with pytest.raises(DataError, match=r"scan.nii.gz: is not in a layout that is known. What is needed"):
        Dataset.open(tmp_path / "scan.nii.gz")


def test_a_table_of_cases_adds_patients_sites_and_more_to_any_layout(small, tmp_path):
    small.nnunet(tmp_path)
    (tmp_path / "cases.csv").write_text("case,patient,site,sex\na,p1,Bern,f\nb,p1,,m\nzz,p9,,\n")
    dataset = Dataset.open(tmp_path)
    a, b, c = dataset.cases
    assert (a.group, a.site, a.extra) == ("p1", "Bern", {"sex": "f"})
    assert (b.group, b.site) == ("p1", None)
    assert c.group == "c"
    assert [(problem.kind, problem.case) for problem in dataset.problems] == [("unknown-case", "zz")]


def test_a_manifest_can_name_folders_that_cannot_be_written_to(small, tmp_path):
    small.pictures(tmp_path / "data")
    (tmp_path / "patients.csv").write_text("case,patient\np1,x\np2,x\n")
    content = {"folder": str(tmp_path / "data"), "labels": TABLE, "cases": "patients.csv", "name": "cells"}
    small.put_json(tmp_path / "mine.json", content)
    dataset = Dataset.open(tmp_path / "mine.json")
    assert (dataset.name, dataset.layout, dataset.root) == ("cells", "manifest", tmp_path / "mine.json")
    assert [case.group for case in dataset.cases] == ["x", "x", "p3"]
    assert Dataset.open(dataset.root, layout=dataset.layout) == dataset


def test_a_manifest_can_name_two_folders(small, tmp_path):
    small.pictures(tmp_path / "data", images="pictures", labels="drawn by hand")
    small.put_json(tmp_path / "labels.json", TABLE)
    content = {
        "images_folder": "data/pictures",
        "labels_folder": "data/drawn by hand",
        "labels": "labels.json",
    }
    small.put_json(tmp_path / "mine.json", content)
    dataset = Dataset.open(tmp_path / "mine.json")
    assert (dataset.ids, dataset.name) == (("p1", "p2", "p3"), "mine")


def test_a_manifest_may_leave_the_labels_to_the_folder(small, tmp_path):
    small.nnunet(tmp_path / "data")
    small.put_json(tmp_path / "mine.json", {"folder": "data", "layout": "nnunet"})
    assert Dataset.open(tmp_path / "mine.json").schema.labels[0].name == "liver"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"folder": "gone"}, "names the folder 'gone', which does not exist"),
        ({"folder": "data", "label": {}}, "unknown label; expected some of cases, folder"),
        ({"images_folder": "data/imagesTr"}, "expected the name of a file, got None"),
        ({"folder": "data", "layout": "bids"}, "there is no layout 'bids'"),
        ({"folder": "data", "cases": "gone.csv"}, "gone.csv: cannot be read"),
        ({"name": "x"}, "not in a layout that is known"),
    ],
)
def test_a_manifest_of_folders_that_makes_no_sense_is_refused(small, tmp_path, content, says):
    small.nnunet(tmp_path / "data")
    small.put_json(tmp_path / "mine.json", content)
    with pytest.raises(DataError, match=says):
        Dataset.open(tmp_path / "mine.json")
