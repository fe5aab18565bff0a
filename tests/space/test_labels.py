import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from delineate.errors import DataError, GeometryError
from delineate.space import Geometry, Label, LabelMap, LabelSchema, Region
from delineate.space.labels import PALETTE
from delineate.space.phantoms import head_schema

PLAIN = LabelSchema.of("liver", "tumour", "vessel")
GAPPY = LabelSchema(labels=(Label(value=128, name="cytoplasm"), Label(value=7, name="nucleus")))
WITH_UNKNOWN = LabelSchema(labels=PLAIN.labels, ignore=255)


def grids(values):
    shapes = hnp.array_shapes(min_dims=3, max_dims=3, max_side=6)
    return hnp.arrays(np.int16, shapes, elements=st.sampled_from(values))


def on(array):
    return Geometry(array.shape, np.eye(4))


# --- encode and decode


@pytest.mark.parametrize("schema", [PLAIN, GAPPY, head_schema()], ids=["plain", "gappy", "regions"])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_decoding_an_encoded_map_gives_it_back(schema, data):
    labels = data.draw(grids(schema.values))
    assert np.array_equal(schema.decode(schema.encode(labels).values), labels)


@given(grids(WITH_UNKNOWN.values))
@settings(max_examples=60, deadline=None)
def test_voxels_that_nobody_annotated_belong_to_no_output(labels):
    encoded = WITH_UNKNOWN.encode(labels)
    assert np.array_equal(encoded.known, labels != 255)
    assert np.array_equal(encoded.values.any(axis=0), encoded.known)


@given(grids(PLAIN.values))
@settings(max_examples=40, deadline=None)
def test_every_voxel_has_exactly_one_softmax_output(labels):
    assert PLAIN.exclusive
    assert (PLAIN.encode(labels).values.sum(axis=0) == 1).all()


@given(grids((0, 1, 2, 3)))
@settings(max_examples=40, deadline=None)
def test_regions_contain_the_labels_they_name(labels):
    schema = head_schema()
    whole, core, enhancing = schema.encode(labels).values
    assert not schema.exclusive
    assert np.array_equal(whole, labels > 0)
    assert np.array_equal(core, (labels == 1) | (labels == 3))
    assert np.array_equal(enhancing, labels == 3)


def test_regions_are_painted_in_order_where_probability_exceeds_one_half():
    scores = np.array([[0.9, 0.9, 0.9, 0.5], [0.2, 0.8, 0.8, 0.2], [0.1, 0.4, 0.6, 0.1]])
    assert head_schema().decode(scores).tolist() == [2, 1, 3, 0]


def test_values_beyond_a_byte_are_decoded_to_two_bytes():
    schema = LabelSchema(labels=(Label(value=300, name="far"),))
    decoded = schema.decode(np.array([[0.0], [1.0]]))
    assert decoded.dtype == np.uint16
    assert decoded.tolist() == [300]


# --- what a schema says


def test_a_schema_names_its_outputs_structures_and_values():
    assert PLAIN.outputs == ("background", "liver", "tumour", "vessel")
    assert PLAIN.structures == {"liver": (1,), "tumour": (2,), "vessel": (3,)}
    assert GAPPY.values == (0, 7, 128)
    assert WITH_UNKNOWN.values == (0, 1, 2, 3, 255)
    assert head_schema().outputs == ("whole tumour", "tumour core", "enhancing tumour")
    assert head_schema().structures["tumour core"] == (1, 3)


def test_a_label_keeps_its_own_colour_and_gets_one_otherwise():
    schema = LabelSchema(labels=(Label(value=4, name="a", color=(1, 2, 3)), Label(value=9, name="b")))
    assert schema.color(4) == (1, 2, 3)
    assert schema.color(9) == PALETTE[1]
    with pytest.raises(DataError, match="5 is no label; the labels are"):
        schema.color(5)


def test_left_and_right_are_found_by_their_names():
    schema = LabelSchema.of("kidney_left", "kidney right", "liver", "Right lung", "L hippocampus", "left eye")
    assert schema.lateral_pairs() == ((1, 2),)
    both = LabelSchema.of("lh thalamus", "thalamus_rh", "right-lung", "lung, left")
    assert both.lateral_pairs() == ((1, 2), (4, 3))


def test_lateral_pairs_are_none_where_no_name_has_a_side():
    assert PLAIN.lateral_pairs() == ()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"labels": ()}, "at least one label"),
        ({"labels": (Label(value=1, name="a"), Label(value=1, name="b"))}, "must differ"),
        ({"labels": (Label(value=1, name="a"), Label(value=2, name="a"))}, "must differ"),
        ({"labels": PLAIN.labels, "ignore": 2}, "ignore value 2 is also a label"),
        ({"labels": PLAIN.labels, "ignore": 0}, "ignore value 0 is also a label or background"),
        (
            {"labels": PLAIN.labels, "regions": (Region(name="x", values=(1,), paints=1),) * 2},
            r"region names must differ: \['x', 'x'\]",
        ),
        (
            {"labels": PLAIN.labels, "regions": (Region(name="x", values=(1, 9), paints=1),)},
            r"region 'x' refers to \[9\]",
        ),
        (
            {"labels": PLAIN.labels, "regions": (Region(name="x", values=(1,), paints=9),)},
            "region 'x' refers to 9",
        ),
    ],
)
def test_a_schema_that_contradicts_itself_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        LabelSchema(**fields)


@pytest.mark.parametrize("value", [0, -1, 65536])
def test_a_label_value_is_positive_and_fits_two_bytes(value):
    with pytest.raises(ValidationError, match="value"):
        Label(value=value, name="x")


# --- label maps


def test_a_map_gives_masks_and_volumes_of_labels_and_regions():
    array = np.array([[[0, 1], [2, 3]], [[3, 3], [0, 0]]])
    labels = LabelMap(array, Geometry((2, 2, 2), np.diag([10.0, 10, 10, 1])), head_schema())
    assert labels.mask("whole tumour").sum() == 5
    assert labels.mask("tumour core").sum() == 4
    assert labels.mask("oedema").sum() == 1
    assert labels.volume_ml("enhancing tumour") == pytest.approx(3.0)
    with pytest.raises(DataError, match="no structure 'liver'; there are"):
        labels.mask("liver")


def test_a_region_named_like_a_label_is_the_region():
    labels = LabelSchema(
        labels=(Label(value=1, name="core"), Label(value=2, name="rim")),
        regions=(Region(name="core", values=(1, 2), paints=1),),
    )
    array = np.array([[[1, 2, 0]]])
    assert LabelMap(array, on(array), labels).mask("core").sum() == 2


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (np.zeros((2, 2, 3), int), GeometryError, "labels do not fit on Geometry"),
        (np.zeros((2, 2, 2)), DataError, "whole numbers, got float64"),
        (np.full((2, 2, 2), 9), DataError, r"label values \[9\] are not in the schema"),
        (np.full((2, 2, 2), -1), DataError, r"label values \[-1\] are not in the schema"),
    ],
)
def test_a_map_that_does_not_fit_its_grid_or_schema_is_refused(array, error, message):
    with pytest.raises(error, match=message):
        LabelMap(array, Geometry((2, 2, 2), np.eye(4)), PLAIN)


@given(grids(PLAIN.values), st.sampled_from(["LPS", "ASR", "SPL", "RAS"]))
@settings(max_examples=60, deadline=None)
def test_turning_a_map_and_turning_it_back_changes_nothing(array, code):
    labels = LabelMap(array, on(array), PLAIN, notes=("seen",))
    turned = labels.reoriented(code)
    assert turned.geometry.orientation == code
    back = turned.reoriented("RAS")
    assert np.array_equal(back.array, array)
    assert back.geometry.same_place(labels.geometry)
    assert back.notes == ("seen",)


def test_a_map_says_what_it_holds():
    array = np.zeros((2, 3, 4), np.uint8)
    assert repr(LabelMap(array, on(array), PLAIN)) == (
        "LabelMap(liver, tumour, vessel on Geometry(2 x 3 x 4 voxels of 1 x 1 x 1 mm))"
    )
