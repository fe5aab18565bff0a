import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from delineate.errors import RecordError
from delineate.record import Record, compact


class Leaf(Record):
    name: str
    sizes: tuple[int, ...] = ()


class Tree(Record):
    leaves: dict[str, Leaf]
    weight: float = 1.0
    note: str | None = None


TREE = Tree(leaves={"a": Leaf(name="oak", sizes=(1, 2, 3)), "b": Leaf(name="élm")}, weight=0.1)

leaves = st.builds(Leaf, name=st.text(), sizes=st.lists(st.integers()).map(tuple))
trees = st.builds(
    Tree,
    leaves=st.dictionaries(st.text(), leaves, max_size=4),
    weight=st.floats(allow_nan=False),
    note=st.none() | st.text(),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(trees)
def test_a_record_read_back_from_its_text_is_the_same(tree):
    assert Tree.from_json(tree.to_json(), where="tree.json") == tree


@given(json_values)
def test_compact_text_is_the_same_json(value):
    assert json.loads(compact(value)) == value


def test_short_lists_stay_on_one_line_and_long_ones_do_not():
    text = Tree(leaves={"a": Leaf(name="oak", sizes=tuple(range(60)))}, note="x").to_json()
    assert text.endswith("\n")
    assert '"note": "x"' in text
    assert compact({"a": [1, 2]}) == '{"a": [1, 2]}'
    assert all(len(line) <= 110 for line in text.splitlines())


def test_long_lists_of_values_fill_their_lines():
    text = compact({"a": list(range(100))})
    assert len(text.splitlines()) < 10
    assert all(len(line) > 90 for line in text.splitlines()[2:-3])


def test_not_a_number_survives():
    tree = Tree(leaves={}, weight=math.nan)
    assert math.isnan(Tree.from_json(tree.to_json(), where="x").weight)


def test_a_changed_copy_is_checked_and_the_original_stays():
    heavier = TREE.but(weight=2.0)
    assert (heavier.weight, TREE.weight) == (2.0, 0.1)
    assert heavier.leaves == TREE.leaves
    with pytest.raises(ValidationError, match="weight"):
        TREE.but(weight="heavy")
    with pytest.raises(ValidationError, match="height"):
        TREE.but(height=1)


def test_a_record_cannot_be_edited_in_place():
    with pytest.raises(ValidationError, match="frozen"):
        TREE.weight = 3.0


def test_the_digest_is_that_of_the_content():
    assert TREE.digest() == Tree.from_json(json.dumps(json.loads(TREE.to_json())), where="x").digest()
    assert TREE.digest() != TREE.but(weight=0.2).digest()
    assert len(TREE.digest()) == 64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"leaves": {"a": {"name": 3}}}', r"(?s)plan.json: 1 field.*leaves.a.name: .*got 3"),
        ('{"leaves": {"a": {"name": "x", "sizes": [1, "b"]}}}', r"leaves.a.sizes\[1\]: .*got 'b'"),
        ('{"leaves": {}, "colour": 1}', "colour: Extra inputs are not permitted"),
        ("{}", "leaves: Field required"),
        ("not json", "the whole record: Invalid JSON"),
        ('{"leaves": {}, "weight": "x", "note": 3}', "2 field"),
    ],
)
def test_text_that_does_not_fit_is_refused_with_the_path_of_the_field(text, message):
    with pytest.raises(RecordError, match=message):
        Tree.from_json(text, where="plan.json")


def test_a_record_is_loaded_from_a_file(tmp_path):
    (tmp_path / "tree.json").write_text(TREE.to_json(), encoding="utf-8")
    assert Tree.load(tmp_path / "tree.json") == TREE


def test_a_file_that_is_missing_or_binary_is_named(tmp_path):
    with pytest.raises(RecordError, match=r"gone.json: cannot be read: No such file"):
        Tree.load(tmp_path / "gone.json")
    (tmp_path / "scan.json").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(RecordError, match=r"scan.json: is not a text file; expected JSON"):
        Tree.load(tmp_path / "scan.json")


def test_two_records_differ_in_the_fields_that_are_not_equal():
    class Pair(Record):
        first: int
        second: tuple[int, ...] = ()

    assert Pair(first=1).differing(Pair(first=1)) == []
    assert Pair(first=1).differing(Pair(first=2, second=(3,))) == ["first", "second"]
