import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.dataset import Dataset
from delineate.errors import DataError
from delineate.evaluation.subgroups import columns_of, read_columns
from delineate.evaluation.subgroups.columns import divided, thirds
from delineate.io import write_labels, write_volume
from delineate.space.phantoms import balls

CASES = ("a", "b", "c", "d")


# --- where columns come from


def test_a_table_gives_its_columns_without_empty_cells(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("case,patient,site,age\na,p1,Bern,61\nb,p1,Bern,\nc,p2,,40\n")
    assert read_columns(path) == {"site": {"a": "Bern", "b": "Bern"}, "age": {"a": "61", "c": "40"}}


def test_a_dataset_gives_its_sites_and_free_columns(tmp_path):
    for number in range(2):
        scan, labels = balls(np.random.default_rng(number), size=12)
        write_volume(scan, tmp_path / "images" / f"ball_{number}.nii.gz")
        write_labels(labels, tmp_path / "labels" / f"ball_{number}.nii.gz")
    (tmp_path / "dataset.csv").write_text(
        "case,patient,site,sex,image,label\n"
        "ball_0,p0,Bern,f,images/ball_0.nii.gz,labels/ball_0.nii.gz\n"
        "ball_1,p1,,m,images/ball_1.nii.gz,labels/ball_1.nii.gz\n"
    )
    columns = columns_of(Dataset.open(tmp_path / "dataset.csv"))
    assert columns == {"site": {"ball_0": "Bern"}, "sex": {"ball_0": "f", "ball_1": "m"}}


# --- groups


def test_words_are_groups():
    division = divided({"a": "south", "b": " north ", "c": "south", "d": ""}, CASES, "site")
    assert division.names == ("north", "south")
    assert division.group == {"a": "south", "b": "north", "c": "south"}
    assert division.edges == ()


def test_numbers_are_cut_at_stated_edges_and_an_edge_belongs_to_the_upper_band():
    ages = {"a": "39.9", "b": "40", "c": 64.99, "d": 65}
    division = divided(ages, CASES, "age", (40, 65))
    assert division.names == ("under 40", "40 to under 65", "65 and over")
    assert [division.group[case] for case in CASES] == [division.names[n] for n in (0, 1, 1, 2)]
    assert division.edges == (40.0, 65.0)


def test_a_few_different_numbers_stand_for_themselves():
    division = divided({"a": "1", "b": "2.0", "c": "2", "d": "1"}, CASES, "grade")
    assert division.names == ("1", "2")
    assert division.group == {"a": "1", "b": "2", "c": "2", "d": "1"}


def test_many_numbers_are_cut_into_thirds_and_the_edges_are_told():
    ages = {f"case_{n}": float(n) for n in range(30)}
    division = divided(ages, list(ages), "age")
    assert division.edges == (10.0, 20.0)
    sizes = [list(division.group.values()).count(name) for name in division.names]
    assert sizes == [10, 10, 10]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_every_number_is_in_a_band_that_holds_it(numbers):
    edges = thirds(numbers)
    cases = [str(n) for n in range(len(numbers))]
    if not edges:
        return
    division = divided(dict(zip(cases, numbers, strict=True)), cases, "x", edges)
    ends = zip((-np.inf, *edges), (*edges, np.inf), strict=True)
    bounds = dict(zip(division.names, ends, strict=True))
    for case, name in division.group.items():
        low, high = bounds[name]
        assert low <= numbers[int(case)] < high


def test_edges_that_lie_close_are_told_apart():
    division = divided({"a": 1.0, "b": 1.000015}, CASES, "x", (1.00001, 1.00002))
    assert division.names == ("under 1.00001", "1.00001 to under 1.00002", "1.00002 and over")


def test_equal_numbers_are_one_band():
    assert thirds([5.0] * 20) == ()
    same = dict.fromkeys(CASES, 5.0)
    assert divided(same, CASES, "age").names == ("5",)


@pytest.mark.parametrize(
    ("column", "edges", "says"),
    [
        ({}, (), "'age' is known of none of the 4 cases (a, b, c, ...). Name them in the column 'case'"),
        ({"z": 1.0}, (), "'age' is known of none of the 4 cases"),
        ({"a": "old"}, (40,), "'age' cannot be cut at 40: 'old' is no number"),
        ({"a": 50.0}, (65, 40), "'age': edges of bands ascend, got 65, 40"),
        ({"a": 50.0}, (40, 40), "edges of bands ascend"),
        ({"a": 50.0}, (float("nan"),), "edges of bands ascend"),
    ],
)
def test_a_column_that_does_not_divide_is_refused(column, edges, says):
    with pytest.raises(DataError, match=re.escape(says)):
        divided(column, CASES, "age", edges)


def test_numbers_that_are_none_are_words():
    assert divided({"a": "nan", "b": "1"}, CASES, "dose").names == ("1", "nan")
