import pytest

from delineate.dataset import Dataset
from delineate.errors import DataError


def test_a_folder_with_a_table_is_a_dataset(small, tmp_path):
    dataset = Dataset.open(small.manifest(tmp_path))
    assert (dataset.layout, dataset.channels, dataset.name) == ("manifest", ("T1", "FLAIR"), tmp_path.name)
    case = dataset.case("m3")
    assert (case.group, case.site, case.extra) == ("patient1", "site0", {"age": "52"})
    assert (dataset.scan(case).array[1] == small.voxels(201)).all()
    assert dataset.labels(case).mask("liver").sum() == 18


def test_a_table_opens_by_any_name_and_again_by_its_root(small, tmp_path):
    small.manifest(tmp_path)
    (tmp_path / "dataset.csv").rename(tmp_path / "liver.csv")
    dataset = Dataset.open(tmp_path / "liver.csv")
    assert dataset.name == "liver"
    assert Dataset.open(dataset.root, layout=dataset.layout) == dataset


def test_a_table_of_single_images_takes_their_channels(small, tmp_path):
    small.pictures(tmp_path)
    rows = ["case,image,label,thumbnail", "x,images/p1.png,labels/p1.png,images/p2.png"]
    (tmp_path / "dataset.csv").write_text("\n".join(rows))
    small.put_json(tmp_path / "labels.json", {"background": 0, "cell": 128, "nucleus": 255})
    dataset = Dataset.open(tmp_path)
    assert dataset.channels == ("red", "green", "blue")
    assert dataset.case("x").extra == {"thumbnail": "images/p2.png"}


def test_empty_cells_declare_what_is_missing(small, tmp_path):
    small.manifest(tmp_path)
    rows = (tmp_path / "dataset.csv").read_text().splitlines()
    rows[1] = rows[1].replace("files/m1-FLAIR.nii.gz", "")
    rows[2] = rows[2].replace("files/m2-truth.nii.gz", "")
    (tmp_path / "dataset.csv").write_text("\n".join(rows))
    dataset = Dataset.open(tmp_path)
    assert dataset.missing(dataset.case("m1")) == ("FLAIR",)
    assert [case.id for case in dataset.unlabelled] == ["m2"]
    assert dataset.problems == ()


def test_files_that_do_not_exist_and_lines_that_repeat_are_problems(small, tmp_path):
    small.manifest(tmp_path)
    rows = (tmp_path / "dataset.csv").read_text().splitlines()
    (tmp_path / "files" / "m2-truth.nii.gz").unlink()
    (tmp_path / "dataset.csv").write_text("\n".join([*rows, rows[1]]))
    dataset = Dataset.open(tmp_path)
    assert dataset.ids == ("m1", "m3")
    assert {(problem.kind, problem.case) for problem in dataset.problems} == {
        ("missing-file", "m2"),
        ("duplicate-id", "m1"),
    }


def test_a_relative_path_out_of_the_folder_is_refused_and_an_absolute_one_is_not(small, tmp_path):
    small.manifest(tmp_path / "data")
    text = (tmp_path / "data" / "dataset.csv").read_text()
    other = tmp_path / "other.csv"
    small.put_json(tmp_path / "labels.json", {"background": 0, "liver": 1, "tumour": 2})
    other.write_text(text.replace("files/", f"{tmp_path}/data/files/"))
    assert len(Dataset.open(other).cases) == 3
    (tmp_path / "data" / "dataset.csv").write_text(text.replace("files/m1-T1", "../data/files/m1-T1"))
    with pytest.raises(DataError, match=r"leads out of .*absolute path"):
        Dataset.open(tmp_path / "data")


def test_values_explain_themselves_where_no_table_does(small, tmp_path):
    small.manifest(tmp_path)
    (tmp_path / "labels.json").unlink()
    assert [label.name for label in Dataset.open(tmp_path).schema.labels] == ["label_1", "label_2"]


def test_a_json_manifest_names_its_channels_and_labels(small, tmp_path):
    small.manifest(tmp_path)
    cases = [
        {"case": "m1", "T1": "files/m1-T1.nii.gz", "T2": None, "label": "files/m1-truth.nii.gz", "age": 61},
        {"case": "m2", "T1": "files/m2-T1.nii.gz", "T2": "files/m2-FLAIR.nii.gz", "patient": "p"},
    ]
    labels = {"background": 0, "left": 1, "right": 2}
    content = {"name": "kidneys", "channels": ["T1", "T2"], "labels": labels, "cases": cases}
    small.put_json(tmp_path / "any.json", content)
    dataset = Dataset.open(tmp_path / "any.json")
    assert (dataset.name, dataset.ids, dataset.channels) == ("kidneys", ("m1",), ("T1", "T2"))
    assert dataset.case("m1").extra == {"age": "61"}
    assert dataset.unlabelled[0].group == "p"
    small.put_json(tmp_path / "any.json", content | {"labels": "labels.json"})
    assert Dataset.open(tmp_path / "any.json").schema.labels[0].name == "liver"


def test_a_json_manifest_of_single_images_needs_no_channels(small, tmp_path):
    small.manifest(tmp_path)
    case = {"case": "a", "image": "files/m1-T1.nii.gz", "label": "files/m1-truth.nii.gz"}
    small.put_json(tmp_path / "one.json", {"cases": [case]})
    assert Dataset.open(tmp_path / "one.json").channels == ("image",)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"cases": [{"image": "a.nii"}]}, "cases is a list of"),
        ({"cases": "a.csv"}, "cases is a list of"),
        ({"cases": [{"case": "a", "T1": "a.nii"}]}, "no case names an image under 'image'"),
        ({"cases": [{"case": "a", "T1": "a.nii"}], "channels": ["T1", "T2"]}, "under 'T2'"),
        ({"cases": []}, "no case names an image"),
        ({"cases": [{"case": "a", "image": ["a.nii"]}]}, "is text or a number"),
        ({"cases": [{"case": "a", "T1": "a.nii"}], "channels": "T1"}, "channels is a list of names"),
        ({"cases": [{"case": "a", "image": "gone.nii"}]}, "images that exist; none of those named does"),
    ],
)
def test_a_json_manifest_that_cannot_be_understood_is_refused(small, tmp_path, content, says):
    small.put_json(tmp_path / "any.json", content)
    with pytest.raises(DataError, match=says):
        Dataset.open(tmp_path / "any.json")


def test_a_table_without_images_is_refused(tmp_path):
    (tmp_path / "dataset.csv").write_text("case,patient,remark\na,p,none\n")
    with pytest.raises(DataError, match=r"no column names images.*got case, patient, remark"):
        Dataset.open(tmp_path)


def test_a_table_without_lines_is_refused(tmp_path):
    (tmp_path / "dataset.csv").write_text("case,image,label\n")
    with pytest.raises(DataError, match="Expected a line per case"):
        Dataset.open(tmp_path)
