"""Whatever stands in a description, opening ends in a dataset or in an error that was raised on purpose."""

import json
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delineate.dataset import Dataset, Splits
from delineate.errors import Error

LEAVES = st.none() | st.booleans() | st.integers(-2, 300) | st.floats() | st.text(max_size=4)
ANYTHING = st.recursive(
    LEAVES, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=3), x, max_size=3)
)
FUZZ = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

LISTED = {"a": {"images": ["imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz"], "label": "labelsTr/a.nii.gz"}}
EXTRA = {"regions_class_order": [1, 2], "label_names": {"1": "x"}, "test": [], "name": "x"}
MANIFEST = {
    "channels": ["T1"],
    "labels": {"background": 0, "liver": 1, "tumour": 2},
    "cases": [{"case": "m1", "T1": "files/m1-T1.nii.gz", "label": "files/m1-truth.nii.gz"}],
}
POINTER = {
    "folder": "data",
    "layout": "nnunet",
    "labels": {"liver": 1, "x": 2},
    "cases": "cases.csv",
    "name": "y",
}
FOLDERS = {"images_folder": "data/imagesTr", "labels_folder": "data/labelsTr", "labels": {"liver": 1, "x": 2}}
FOLDS = {"mode": "given", "seed": 1, "folds": [{"train": ["a"], "validation": ["b"], "test": ["c"]}]}


def paths(content, prefix=()):
    """The place of everything in a JSON value."""
    yield prefix
    items = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for key, value in items:
        yield from paths(value, (*prefix, key))


def replaced(content, path, value):
    if not path:
        return value
    copy = dict(content) if isinstance(content, dict) else list(content)
    copy[path[0]] = replaced(copy[path[0]], path[1:], value)
    return copy


def spoilt(content):
    return st.builds(replaced, st.just(content), st.sampled_from(list(paths(content))), ANYTHING)


def opens_or_says_why(path, content, read):
    path.write_text(json.dumps(content))
    try:
        read(path)
    except Error as error:
        assert str(error)


@pytest.fixture(scope="module")
def folders(small, tmp_path_factory):
    root = tmp_path_factory.mktemp("fuzz")
    small.nnunet(root / "nnunet")
    small.decathlon(root / "decathlon")
    for layout in ("nnunet", "decathlon"):
        shutil.copyfile(root / layout / "dataset.json", root / layout / "good.json")
    small.manifest(root / "manifest")
    (root / "manifest" / "dataset.csv").unlink()
    small.pictures(root / "pairs")
    small.nnunet(root / "data")
    (root / "cases.csv").write_text("case,patient\na,p\n")
    return root


@given(data=st.data())
@FUZZ
@pytest.mark.parametrize("layout", ["nnunet", "decathlon"])
def test_spoilt_descriptions(folders, layout, data):
    content = json.loads((folders / layout / "good.json").read_text()) | EXTRA
    content |= {"dataset": LISTED} if data.draw(st.booleans()) else {}
    opens_or_says_why(folders / layout / "dataset.json", data.draw(spoilt(content)), Dataset.open)


@given(content=spoilt(MANIFEST))
@FUZZ
def test_spoilt_manifests(folders, content):
    opens_or_says_why(folders / "manifest" / "any.json", content, Dataset.open)


@given(content=spoilt(POINTER) | spoilt(FOLDERS))
@FUZZ
def test_spoilt_manifests_of_folders(folders, content):
    opens_or_says_why(folders / "any.json", content, Dataset.open)


@given(content=spoilt({"background": 0, "a": 128, "b": [1, 255], "ignore": 7, **EXTRA}) | ANYTHING)
@FUZZ
def test_spoilt_label_tables(folders, content):
    opens_or_says_why(folders / "pairs" / "labels.json", content, lambda path: Dataset.open(path.parent))


@given(text=st.text(alphabet='case,;\t"\npatient/.0', max_size=40))
@FUZZ
def test_spoilt_tables(folders, text):
    path = folders / "manifest" / "any.csv"
    path.write_text("case,image,label\n" + text)
    try:
        Dataset.open(path)
    except Error as error:
        assert str(error)


@given(content=spoilt(FOLDS))
@FUZZ
def test_spoilt_splits(folders, content):
    dataset = Dataset.open(folders / "data")
    opens_or_says_why(folders / "splits.json", content, lambda path: Splits.read(path, dataset))


def test_opening_reads_names_and_no_voxels(small, tmp_path):
    small.nnunet(tmp_path)
    for path in tmp_path.rglob("*.nii.gz"):
        path.write_bytes(b"no voxels")
    assert Dataset.open(tmp_path).ids == ("a", "b", "c")
