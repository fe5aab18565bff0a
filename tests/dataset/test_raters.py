"""Several people draw one case: what most said, and each of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from delineate.dataset import Dataset, check
from delineate.dataset.raters import majority
from delineate.errors import DataError
from delineate.space import Geometry, LabelMap, LabelSchema

SCHEMA = LabelSchema.of("liver", "tumour").but(ignore=3)


def maps_of(*rows):
    return [
        LabelMap(np.array(row, np.uint8).reshape(-1, 1, 1), Geometry((len(row), 1, 1), np.eye(4)), SCHEMA)
        for row in rows
    ]


def test_what_most_said_wins_and_the_earliest_of_equals():
    found = majority(maps_of([0, 1, 2, 1], [0, 1, 1, 2], [1, 2, 1, 0]))
    assert found.array.ravel().tolist() == [0, 1, 1, 1]
    assert found.notes == ("what most of 3 raters said; of equally many, the earliest of them",)


def test_who_left_a_voxel_open_has_no_vote():
    found = majority(maps_of([3, 3, 3], [3, 1, 3], [2, 3, 3]))
    assert found.array.ravel().tolist() == [2, 1, 3]


@given(arrays.arrays(np.uint8, (3, 12), elements=st.integers(0, 3)))
def test_one_rater_alone_and_raters_who_agree_are_right(rows):
    one = maps_of(rows[0])
    assert majority(one) is one[0]
    assert (majority(maps_of(*[rows[0]] * 3)).array.ravel() == rows[0]).all()
    assert set(majority(maps_of(*rows)).array.ravel().tolist()) <= set(rows.ravel().tolist())


@pytest.fixture
def drawn(small, tmp_path):
    """Two cases by two raters each; the second also has a reference."""
    small.manifest(tmp_path, names=("m1", "m2"))
    rows = ["case,T1,FLAIR,label,label:anna,label:ben"]
    for name, reference in (("m1", ""), ("m2", "files/m2-truth.nii.gz")):
        for rater, values in (("anna", (1, 2)), ("ben", (1, 1))):
            small.put_labels(tmp_path / "files" / f"{name}-{rater}.nii.gz", small.blocks(values))
        images = ",".join(f"files/{name}-{c}.nii.gz" for c in ("T1", "FLAIR"))
        rows.append(f"{name},{images},{reference},files/{name}-anna.nii.gz,files/{name}-ben.nii.gz")
    (tmp_path / "dataset.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_columns_of_a_manifest_name_raters(drawn, small):
    dataset = Dataset.open(drawn)
    first, second = dataset.case("m1"), dataset.case("m2")
    assert dataset.channels == ("T1", "FLAIR")
    assert (tuple(first.raters), first.extra) == (("anna", "ben"), {})
    assert (dataset.labels(first).array == small.blocks((1, 2))).all()  # of two, the earlier
    assert (dataset.labels(second).array == small.blocks()).all()
    assert {name: int(one.array.max()) for name, one in dataset.drawn(first).items()} == {"anna": 2, "ben": 1}
    assert not [p for p in check(dataset).problems if p.severity == "error"]


def test_raters_on_other_grids_and_with_other_values_are_named(drawn, small):
    small.put_labels(drawn / "files" / "m1-ben.nii.gz", small.blocks(), small.grid(origin=(0, 3.0, 0)))
    small.put_labels(drawn / "files" / "m2-ben.nii.gz", small.blocks((1, 9)))
    dataset = Dataset.open(drawn)
    with pytest.raises(DataError, match=r"m1: raters drew on different grids.*\n  anna .*\n  ben"):
        dataset.labels(dataset.case("m1"))
    wrong = [p.case for p in check(dataset).problems if p.kind == "label-values"]
    assert wrong == ["m1", "m2"]


def test_a_rater_whose_file_is_missing_is_a_problem(drawn):
    (drawn / "files" / "m1-ben.nii.gz").unlink()
    dataset = Dataset.open(drawn)
    assert [(p.kind, p.case) for p in dataset.problems] == [("missing-file", "m1")]
    assert tuple(dataset.case("m1").raters) == ("anna",)
