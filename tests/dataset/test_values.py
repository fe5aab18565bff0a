import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.dataset.values import ValueTable, label_table, read_label_table, suggested
from delineate.errors import DataError, RecordError
from delineate.space import LabelSchema


def table(**entries):
    return label_table(entries, where="labels.json")


def names(found):
    return {label.value: label.name for label in found.schema.labels}


def test_values_that_count_from_one_are_kept():
    found = table(background=0, tumour=2, liver=1)
    assert names(found) == {1: "liver", 2: "tumour"}
    assert found.values is None


def test_other_values_become_one_to_n_in_the_order_of_the_table():
    found = table(background=0, cytoplasm=128, nucleus=255)
    assert names(found) == {1: "cytoplasm", 2: "nucleus"}
    assert dict(found.values) == {0: 0, 128: 1, 255: 2}


def test_colours_are_values_and_colour_the_labels():
    found = table(background="#000000", gland="#ff0000", stroma="#00ff00")
    assert dict(found.values) == {0: 0, 0xFF0000: 1, 0x00FF00: 2}
    assert found.values.packed
    assert [label.color for label in found.schema.labels] == [(255, 0, 0), (0, 255, 0)]


def test_every_value_but_zero_can_be_one_class():
    found = table(background=0, nucleus="nonzero")
    read = found.values.applied(np.array([0, 1, 7, 65000], np.uint16))
    assert read.array.tolist() == [0, 1, 1, 1]
    assert not read.unknown
    assert found.values[7] == 1
    assert found.values[0] == 0


def test_a_named_value_stands_beside_all_others():
    found = table(background=0, border=255, nucleus="nonzero")
    assert found.values.applied(np.array([0, 3, 255], np.uint8)).array.tolist() == [0, 2, 1]
    assert names(found) == {1: "border", 2: "nucleus"}


def test_every_value_can_be_one_object_of_a_kind():
    found = table(background=0, nucleus="instances")
    assert found.values.objects
    assert names(found) == {1: "nucleus"}
    assert found.values.applied(np.array([0, 1, 7, 65000], np.uint16)).array.tolist() == [0, 1, 1, 1]


def test_ids_may_tell_the_kind_of_an_object():
    found = table(background=0, lymphocyte=1, epithelial=4, ids_per_kind=1000)
    read = found.values.applied(np.array([0, 1001, 1999, 4000, 4017, 70_000_000], np.int64))
    assert read.array.tolist() == [0, 1, 1, 2, 2, 0]
    assert dict(read.unknown) == {70_000_000: 1}
    assert found.values[4017] == 2
    assert found.values.objects
    nothing = found.values.applied(np.array([0, 1, 4, 3001], np.int64))  # ids of no kind, and of one unknown
    assert dict(nothing.unknown) == {1: 1, 4: 1, 3001: 1}


def test_nested_regions_name_the_sets_that_are_learnt():
    found = table(background=0, whole=[1, 2, 3], core=[2, 3], enhancing=3, regions_class_order=[1, 2, 3])
    assert found.values is None
    assert [(r.name, r.values, r.paints) for r in found.schema.regions] == [
        ("whole", (1, 2, 3), 1),
        ("core", (2, 3), 2),
        ("enhancing", (3,), 3),
    ]
    assert names(found) == {1: "label_1", 2: "label_2", 3: "enhancing"}


def test_regions_of_other_values_are_renumbered_with_them():
    found = table(
        background=0, whole=[1, 2, 4], active=4, regions_class_order=[2, 4], label_names={"1": "necrosis"}
    )
    assert dict(found.values) == {0: 0, 1: 1, 2: 2, 4: 3}
    assert found.schema.regions[0].values == (1, 2, 3)
    assert found.schema.regions[1].paints == 3
    assert names(found) == {1: "necrosis", 2: "label_2", 3: "active"}


def test_the_ignore_label_comes_after_the_others():
    kept = table(background=0, lesion=1, ignore=2)
    assert (kept.schema.ignore, kept.values) == (2, None)
    moved = table(background=0, lesion=1, ignore=255)
    assert moved.schema.ignore == 2
    assert dict(moved.values) == {0: 0, 1: 1, 255: 2}


def test_whatever_stands_for_zero_is_the_background():
    assert names(table(Hintergrund=0, liver=1)) == {1: "liver"}


def test_background_may_have_another_value():
    found = table(background=255, cell=0)
    assert dict(found.values) == {255: 0, 0: 1}


def test_a_schema_with_codes_can_be_given_whole(tmp_path):
    schema = LabelSchema.of("liver", "tumour")
    path = tmp_path / "labels.json"
    path.write_text(schema.to_json())
    assert read_label_table(path).schema == schema


@given(
    st.dictionaries(st.integers(-5, 300), st.integers(0, 255), min_size=1),
    st.lists(st.integers(-5, 300), min_size=1),
)
def test_translating_is_looking_up_each_value(pairs, values):
    read = ValueTable(pairs).applied(np.array(values))
    for value, became in zip(values, read.array.tolist(), strict=True):
        assert became == pairs.get(value, 0)
    assert set(read.unknown) == set(values) - set(pairs)
    assert sum(read.unknown.values()) == sum(value not in pairs for value in values)


@given(st.lists(st.sampled_from([0, 1, 0xFF0000, 0xFFFFFF]), min_size=1))
def test_far_apart_values_translate_as_near_ones_do(values):
    read = ValueTable({0: 0, 0xFF0000: 1, 0xFFFFFF: 2}, packed=True).applied(np.array(values)[:, None])
    assert read.array.shape == (len(values), 1)
    assert read.array[:, 0].tolist() == [{0xFF0000: 1, 0xFFFFFF: 2}.get(v, 0) for v in values]
    assert read.unknown == ({1: values.count(1)} if 1 in values else {})


def test_many_labels_need_sixteen_bits():
    read = ValueTable({0: 0, 1: 300}).applied(np.array([0, 1], np.uint8))
    assert read.array.dtype == np.uint16


def test_the_identity_knows_the_values_of_the_schema():
    table = ValueTable.identity(LabelSchema.of("a", "b"))
    assert dict(table) == {0: 0, 1: 1, 2: 2}
    assert len(table) == 3


@pytest.mark.parametrize("packed", [False, True])
def test_a_suggested_table_can_be_used_as_it_is(packed):
    values = [0, 0x80, 0xFF0000] if packed else [0, 128, 255]
    found = label_table(json.loads(suggested(values, packed=packed)), where="x")
    assert len(found.schema.labels) == 2
    assert set(found.values) == set(values)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([], "a label table is a JSON object"),
        ({}, "a label table is a JSON object"),
        ({"background": 0}, "names no label besides background"),
        ({"a": "nonzero", "b": "nonzero"}, "only one name can stand for 'nonzero'"),
        ({"a": "#ff0000", "b": 3}, "either colours .* or numbers"),
        ({"background": [0, 1], "a": 2}, "background and ignore have one value"),
        ({"ignore": [3, 4], "a": 2}, "background and ignore have one value"),
        ({"whole": [1, 2], "rest": "nonzero"}, "cannot be combined with 'nonzero'"),
        ({"a": 1, "b": 1}, "1 has more than one name"),
        ({"a": "#0000ff", "b": "#0000ff"}, "#0000ff has more than one name"),
        ({"background": 0, "a": 1, "ignore": 1}, "1 has more than one name"),
        ({"whole": [1, 2], "core": 2}, "nested regions need 'regions_class_order'.* whole, core"),
        ({"whole": [1, 2], "core": 2, "regions_class_order": [1, 7]}, "nested regions need"),
        ({"a": 1.5}, "'a' is 1.5; expected a whole number"),
        ({"a": True}, "'a' is True; expected"),
        ({"a": "red"}, "'a' is 'red'; expected"),
        ({"a": 1, "label_names": ["x"]}, "'label_names' is"),
        ({"": 1}, "does not hold together"),
        ({"a": "instances", "b": "instances"}, "only one name can stand for"),
        ({"a": "instances", "b": 3}, "every value is one object"),
        ({"a": "instances", "ignore": 3}, "every value is one object"),
        ({"a": "instances", "ids_per_kind": 10}, "every value is one object"),
        ({"a": 1, "ids_per_kind": 1}, "every value is one object"),
        ({"a": 1, "ids_per_kind": "many"}, "'ids_per_kind' is 'many'; expected a whole number"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(content, says):
    with pytest.raises(DataError, match=says) as raised:
        label_table(content, where="labels.json")
    assert str(raised.value).startswith("labels.json")


def test_a_broken_schema_names_its_field():
    with pytest.raises(RecordError, match=r"labels\[0\].value"):
        label_table({"labels": [{"value": 0, "name": "a"}]}, where="labels.json")


def test_a_file_that_is_missing_or_no_json_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"labels.json: cannot be read: No such file"):
        read_label_table(tmp_path / "labels.json")
    (tmp_path / "labels.json").write_text("{background: 0}")
    with pytest.raises(DataError, match=r"is not JSON .*Expected for example"):
        read_label_table(tmp_path / "labels.json")
