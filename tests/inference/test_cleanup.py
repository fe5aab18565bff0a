import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from delineate.errors import DataError
from delineate.inference import cleaned, learn_cleanup
from delineate.inference.cleanup import FOREGROUND, _mean_dice, largest
from delineate.networks import CleanUp
from delineate.space import Geometry, Label, LabelMap, LabelSchema, Region

PLAIN = LabelSchema.of("a", "b")
NESTED = LabelSchema(
    labels=(Label(value=1, name="oedema"), Label(value=4, name="core")),
    regions=(Region(name="whole", values=(1, 4), paints=1), Region(name="inner", values=(4,), paints=4)),
)


def labels(array, schema=PLAIN):
    array = np.asarray(array, np.uint8)
    return LabelMap(array, Geometry(array.shape, np.eye(4)), schema)


def line(*values, schema=PLAIN):
    """A map one voxel thick."""
    return labels(np.array(values).reshape(-1, 1, 1), schema)


def values(label_map):
    return label_map.array.ravel().tolist()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 999), st.floats(0.1, 0.6))
def test_the_largest_piece_is_scipys(seed, share):
    mask = np.random.default_rng(seed).random((7, 6, 5)) < share
    pieces, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    sizes = ndimage.sum_labels(mask, pieces, range(1, count + 1))
    got = largest(mask)
    assert got.sum() == (max(sizes) if count else 0)
    assert ndimage.label(got, structure=np.ones((3, 3, 3)))[1] <= 1
    assert not (got & ~mask).any()


def test_corners_connect():
    mask = np.zeros((3, 3, 3), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = mask[2, 2, 2] = True
    assert largest(mask).sum() == 3


def test_of_two_equal_pieces_the_first_stays():
    assert values(cleaned(line(1, 0, 1), CleanUp(structures=("a",)))) == [1, 0, 0]


def test_nothing_is_removed_unless_it_is_said():
    before = line(1, 0, 1, 2, 0, 2)
    assert values(cleaned(before, CleanUp())) == values(before)


def test_only_the_named_structure_is_cleaned():
    assert values(cleaned(line(1, 0, 1, 1, 2, 0, 2), CleanUp(structures=("a",)))) == [0, 0, 1, 1, 2, 0, 2]


def test_all_structures_together_count_as_one():
    assert values(cleaned(line(1, 2, 1, 0, 1, 1), CleanUp(foreground=True))) == [1, 2, 1, 0, 0, 0]


def test_a_region_is_cleaned_with_all_that_lies_in_it():
    before = line(1, 4, 1, 0, 4, 4, schema=NESTED)
    assert values(cleaned(before, CleanUp(structures=("whole",)))) == [1, 4, 1, 0, 0, 0]
    assert values(cleaned(before, CleanUp(structures=("inner",)))) == [1, 0, 1, 0, 4, 4]


def test_what_loses_its_bridge_goes_as_well():
    bridged = line(2, 2, 1, 2, 1, 1, 1)  # the single 1 joins the two pieces of 2
    assert values(cleaned(bridged, CleanUp(structures=("a",)))) == [2, 2, 0, 2, 1, 1, 1]
    both = cleaned(bridged, CleanUp(foreground=True, structures=("a",)))
    assert values(both) == [0, 0, 0, 2, 1, 1, 1]


@settings(deadline=None, max_examples=80)
@given(
    st.integers(0, 9999), st.sampled_from([PLAIN, NESTED]), st.booleans(), st.sets(st.sampled_from([0, 1]))
)
def test_cleaning_twice_is_cleaning_once(seed, schema, foreground, which):
    rng = np.random.default_rng(seed)
    array = rng.choice([0, *[label.value for label in schema.labels]], size=(6, 5, 4), p=[0.6, 0.2, 0.2])
    names = list(schema.structures)
    cleanup = CleanUp(foreground=foreground, structures=tuple(names[n] for n in sorted(which)))
    once = cleaned(labels(array, schema), cleanup)
    assert np.array_equal(cleaned(once, cleanup).array, once.array)
    assert not (once.array[once.array != array]).any()


def test_a_structure_that_is_unknown_is_refused():
    with pytest.raises(DataError, match="names spleen, which are not among a, b"):
        cleaned(line(1), CleanUp(structures=("spleen",)))


def test_false_islands_are_learnt_to_be_removed():
    pairs = [(line(1, 1, 0, 0, 2), line(1, 1, 0, 1, 2)), (line(1, 1, 1, 0, 2), line(1, 1, 1, 0, 2))]
    learnt = learn_cleanup(pairs)
    assert not learnt.foreground  # it would delete structure b
    assert learnt.structures == ("a",)
    assert "got worse: left as it is" in learnt.reasons[FOREGROUND]
    assert learnt.reasons["a"] == "mean Dice 0.9000 to 1.0000: adopted"


def test_true_islands_are_left_alone():
    pairs = [(line(1, 1, 0, 1, 2), line(1, 1, 0, 1, 2))] * 2
    learnt = learn_cleanup(pairs)
    assert (learnt.foreground, learnt.structures) == (False, ())


def test_islands_of_everything_are_removed_at_once():
    pairs = [(line(1, 1, 2, 2, 0, 0, 0), line(1, 1, 2, 2, 0, 1, 2))]
    learnt = learn_cleanup(pairs)
    assert learnt.foreground
    assert learnt.structures == ()  # nothing left to gain


def test_one_case_that_gains_does_not_pay_for_another_that_loses_more():
    gains = (line(1, 1, 1, 0, 0, 2), line(1, 1, 1, 0, 1, 2))
    loses = (line(1, 1, 0, 1, 1, 1, 2), line(1, 1, 0, 1, 1, 1, 2))
    assert learn_cleanup([gains, loses]).structures == ()


def test_regions_are_tried_one_after_the_other():
    pairs = [(line(1, 4, 4, 1, 0, 0, schema=NESTED), line(1, 4, 4, 1, 0, 4, schema=NESTED))]
    learnt = learn_cleanup(pairs)
    assert learnt.foreground
    assert list(learnt.reasons) == [FOREGROUND, "whole", "inner"]


def test_learning_twice_gives_the_same_decisions():
    rng = np.random.default_rng(0)
    pairs = [(labels(rng.integers(0, 3, (5, 5, 5))), labels(rng.integers(0, 3, (5, 5, 5)))) for _ in range(3)]
    assert learn_cleanup(pairs) == learn_cleanup(pairs)


def test_what_was_learnt_is_never_worse_than_before():
    for seed in range(6):
        rng = np.random.default_rng(seed)
        truth = [labels(rng.choice(3, (5, 5, 5), p=[0.8, 0.1, 0.1])) for _ in range(3)]
        pairs = [(t, labels(np.where(rng.random(t.array.shape) < 0.9, t.array, 1))) for t in truth]
        before, after = _mean_dice(pairs, [CleanUp(), learn_cleanup(pairs)])
        assert all(after[name] >= before[name] for name in before)


def test_unannotated_voxels_do_not_count():
    schema = PLAIN.but(ignore=255)
    pairs = [(line(1, 1, 0, 255, 2, schema=schema), line(1, 1, 0, 1, 2, schema=schema))]
    assert learn_cleanup(pairs).structures == ()


def test_structures_that_help_alone_and_hurt_together_are_tried_in_turn():
    """Two false bridges hold the halves of c together: either may go, not both."""
    schema = LabelSchema.of("a", "b", "c")
    truth = np.array([[1, 1, 3, 3, 0, 3, 3], [0, 0, 3, 3, 0, 3, 3], [2, 2, 3, 3, 0, 3, 3]])
    bridged = truth.copy()
    bridged[0, 4], bridged[2, 4] = 1, 2
    island = (line(1, 1, 2, 3, 0, 0, schema=schema), line(1, 1, 2, 3, 0, 1, schema=schema))
    learnt = learn_cleanup([island, (labels(truth[..., None], schema), labels(bridged[..., None], schema))])
    assert learnt.foreground
    assert learnt.structures == ("a",)
    assert "c got worse: left as it is" in learnt.reasons["b"]


def test_without_predictions_nothing_can_be_learnt():
    with pytest.raises(DataError, match="at least one case"):
        learn_cleanup([])


def test_pairs_that_can_be_read_only_once_are_refused():
    with pytest.raises(DataError, match="iterated only once; give a list"):
        learn_cleanup(pair for pair in [(line(1, 0, 1), line(1, 0, 1))])


def test_a_prediction_on_another_grid_is_refused():
    with pytest.raises(DataError, match="reference on another grid"):
        learn_cleanup([(line(1, 0, 1), line(1, 0))])
