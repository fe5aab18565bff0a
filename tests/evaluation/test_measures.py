import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from delineate.evaluation import MEASURES, Confusion, Rules
from delineate.evaluation.measures import Pair, measured
from delineate.space import Geometry

SHAPE = (5, 4, 6)
GRID = Geometry(SHAPE, np.diag([10.0, 10.0, 10.0, 1.0]))
EVERY = Rules(metrics=tuple(MEASURES))
none = np.zeros(SHAPE, bool)
some = none.copy()
some[1:3, 1:3, 2:5] = True
masks = hnp.arrays(bool, SHAPE)


def pair(reference, prediction, known=None):
    known = np.ones(SHAPE, bool) if known is None else known
    counts = Confusion.of(reference, prediction, known)
    return Pair(reference, prediction, known, GRID, counts, diagonal_mm=374.0)


def test_every_measure_says_what_it_is():
    for name, measure in MEASURES.items():
        assert measure.name == name
        assert measure.definition
        assert measure.unit in ("1", "mm", "ml", "lesions")


@given(masks, masks, masks, st.sampled_from(["missing", "one", "reference"]))
@settings(max_examples=80, deadline=None)
def test_no_measure_ever_fails_and_a_missing_one_says_why(reference, prediction, known, empty):
    found = measured(pair(reference, prediction, known), EVERY.but(empty=empty))
    assert list(found) == [measure.name for measure in EVERY.measures]
    for value, note in found.values():
        if value is None:
            assert note
        else:
            assert np.isfinite(value)


@pytest.mark.parametrize(
    ("reference", "prediction", "rules", "distance", "nsd", "note"),
    [
        (none, none, {}, None, None, "both empty"),
        (none, none, {"empty": "one"}, 0.0, 1.0, "both empty"),
        (none, none, {"missed": "diagonal"}, None, None, "both empty"),
        (some, none, {}, None, 0.0, "prediction empty"),
        (some, none, {"missed": "diagonal"}, 374.0, 0.0, "prediction empty: diagonal of the grid"),
        (none, some, {}, None, 0.0, "reference empty"),
        (none, some, {"missed": "diagonal"}, 374.0, 0.0, "reference empty: diagonal of the grid"),
        (none, some, {"empty": "reference", "missed": "diagonal"}, None, None, "reference empty"),
        (some, some, {}, 0.0, 1.0, None),
    ],
)
def test_distances_to_nothing_follow_the_rules(reference, prediction, rules, distance, nsd, note):
    found = measured(pair(reference, prediction), EVERY.but(**rules))
    for name in ("hd", "hd95", "hd95_pooled", "hd95_area", "assd", "masd"):
        assert found[name] == (distance, note)
    for name in ("nsd", "nsd_area"):
        assert found[name][0] == nsd


def test_a_structure_without_known_surface_has_overlap_but_no_distance():
    found = measured(pair(some, some, some), EVERY)
    assert found["dice"] == (1.0, None)
    assert found["hd95"] == (None, "no surface in the annotated part")


def test_volumes_are_always_measured():
    found = measured(pair(some, none), Rules(metrics=("dice",)))
    assert list(found) == ["dice", "volume_reference", "volume_prediction"]
    assert found["volume_reference"][0] == pytest.approx(12)
    assert found["volume_prediction"][0] == 0


def test_the_tolerance_is_part_of_the_definition():
    rules = Rules(tolerance_mm=2.5)
    assert rules.definition(MEASURES["nsd"]).endswith("within tolerance, 2.5 mm")
    assert "mm" not in rules.definition(MEASURES["hd95"])
    apart = np.roll(some, 1, axis=0)
    assert measured(pair(some, apart), rules)["nsd"][0] < 1
    assert measured(pair(some, apart), rules.but(tolerance_mm=10.0))["nsd"][0] == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metrics": ("dice", "dise")}, r"unknown metrics \['dise'\]; there are dice, iou"),
        ({"metrics": ()}, "at least 1"),
        ({"tolerance_mm": 0}, "greater than 0"),
        ({"empty": "zero"}, "'missing', 'one' or 'reference'"),
    ],
)
def test_rules_that_make_no_sense_are_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        Rules(**fields)


def test_shapes_are_measured_and_named_with_their_width():
    near = np.roll(some, 1, axis=0)
    rules = Rules(metrics=("cldice", "boundary_iou", "diameter_error", "diameter_reference"), boundary_mm=5)
    found = measured(pair(some, near), rules)
    assert found["boundary_iou"][0] == pytest.approx(6 / 18)
    assert found["cldice"][0] is not None
    assert found["diameter_reference"][0] == pytest.approx(10 * np.sqrt(5))
    assert found["diameter_error"] == (0, None)
    assert rules.definition(MEASURES["boundary_iou"]).endswith("along their boundaries, 5 mm deep")


@pytest.mark.parametrize(
    ("reference", "prediction", "empty", "overlap", "diameter"),
    [
        (none, none, "missing", (None, "both empty"), (None, "both empty")),
        (none, none, "one", (1.0, None), (None, "both empty")),
        (none, some, "reference", (None, "reference empty"), (10 * np.sqrt(5), None)),
        (none, some, "missing", (0.0, None), (10 * np.sqrt(5), None)),
        (some, none, "missing", (0.0, None), (-10 * np.sqrt(5), None)),
    ],
)
def test_shapes_of_nothing_follow_the_rules(reference, prediction, empty, overlap, diameter):
    found = measured(pair(reference, prediction), EVERY.but(empty=empty))
    assert found["cldice"] == overlap
    assert found["boundary_iou"] == overlap
    assert found["diameter_error"][0] == pytest.approx(diameter[0])
    assert found["diameter_error"][1] == diameter[1]
