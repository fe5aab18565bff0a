"""History: rows that come back, torn lines that do not, and a table."""

import csv
import io
import math

import pytest

from delineate.errors import RunError
from delineate.training.history import Row, Validation, append, cut, read, to_csv


def row(step, **changes):
    fields = {
        "step": step, "progress": step / 100, "elapsed_s": step / 3, "rate": 0.01, "loss": -0.5,
        "region": 0.7, "voxel": 0.2, "waited": 0.0,
    }  # fmt: skip
    return Row(**fields | changes)


SEEN = Validation(loss=-0.4, dice={"a": 0.5, "b": None})


def test_rows_come_back_in_their_order(tmp_path):
    path = tmp_path / "history.jsonl"
    rows = (row(10), row(20, validation=SEEN), row(30))
    for one in rows:
        append(path, one)
    assert read(path) == rows
    assert len(path.read_text().splitlines()) == 3


def test_no_file_is_no_history(tmp_path):
    assert read(tmp_path / "history.jsonl") == ()


@pytest.mark.parametrize("torn", ['{"step": 3', "{", '{"step":40,"progress":0.4}'])
def test_a_last_line_cut_short_is_left_out(tmp_path, torn):
    path = tmp_path / "history.jsonl"
    append(path, row(10))
    with path.open("a") as file:
        file.write(torn)
    assert read(path) == (row(10),)


def test_a_line_that_is_no_row_is_named(tmp_path):
    path = tmp_path / "history.jsonl"
    append(path, row(10))
    with path.open("a") as file:
        file.write('{"step": 3}\n')
    with pytest.raises(RunError, match=r"history.jsonl: line 2 is no row of a training history"):
        read(path)


def test_rows_after_a_step_are_cut_with_what_is_torn(tmp_path):
    path = tmp_path / "history.jsonl"
    for step in (10, 20, 30):
        append(path, row(step))
    with path.open("a") as file:
        file.write('{"st')
    cut(path, 20)
    append(path, row(25))
    assert [one.step for one in read(path)] == [10, 20, 25]


def test_the_table_has_a_column_for_each_structure():
    lines = list(csv.DictReader(io.StringIO(to_csv([row(10), row(20, validation=SEEN)]))))
    assert [line["step"] for line in lines] == ["10", "20"]
    assert [line["dice a"] for line in lines] == ["", "0.5"]
    assert [line["dice b"] for line in lines] == ["", ""]
    assert [line["validation_loss"] for line in lines] == ["", "-0.4"]


def test_the_mean_is_over_the_structures_that_have_a_dice():
    assert SEEN.mean_dice == 0.5
    assert math.isnan(Validation(loss=0, dice={"a": None}).mean_dice)
