import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.errors import DataError
from delineate.evaluation import Rules, evaluate
from delineate.evaluation.averages import DiceAverages
from delineate.space import Geometry, LabelMap, LabelSchema

GRID = Geometry((6, 5, 4), np.eye(4))
SCHEMA = LabelSchema.of("large", "small")


def measured(pairs, empty="missing", spacing=None):
    """The report of label arrays (case -> reference, prediction), each on its own spacing."""

    def load(case):
        grid = Geometry(GRID.shape, np.diag([*(spacing or {}).get(case, (1, 1, 1)), 1.0]))
        return tuple(LabelMap(array, grid, SCHEMA) for array in pairs[case])

    rules = Rules(metrics=("dice",), empty=empty)
    return evaluate(list(pairs), load, rules=rules, rng=np.random.default_rng(0))


def labels(large, small):
    """Label arrays with so many voxels of each."""
    array = np.zeros(GRID.shape, np.uint8)
    array.ravel()[:large] = 1
    array.ravel()[100 : 100 + small] = 2
    return array


def test_the_four_averages_are_told_apart():
    report = measured(
        {
            "easy": (labels(80, 10), labels(80, 10)),  # Dice 1, 1
            "hard": (labels(20, 2), labels(10, 0)),  # Dice 2/3, 0
            "gone": (labels(10, 0), labels(10, 0)),  # Dice 1, none
        }
    )
    found = DiceAverages.of(report)
    large, small = (1 + 2 / 3 + 1) / 3, 1 / 2
    assert found.macro == pytest.approx((large + small) / 2)
    assert found.by_case == pytest.approx((1 + (2 / 3 + 0) / 2 + 1) / 3)
    assert found.micro == pytest.approx((1 + 2 * 10 / (22 + 10) + 1) / 3)
    assert found.pooled == pytest.approx((2 * 100 / (110 + 100) + 2 * 10 / (12 + 10)) / 2)
    assert found.macro == report.mean("dice")
    assert [s.cases for s in found.structures] == [3, 2]
    text = found.to_markdown()
    assert "| micro |" in text
    assert "| small | 2 | 0.500 | 0.909 |" in text


maps = st.integers(0, 2**31).map(lambda seed: np.random.default_rng(seed).integers(0, 3, (2, *GRID.shape)))


@given(st.lists(maps, min_size=1, max_size=3), st.sampled_from(["missing", "one", "reference"]))
@settings(max_examples=25)
def test_averages_are_those_of_the_voxels_counted_by_hand(arrays, empty):
    pairs = {f"case {n}": tuple(pair) for n, pair in enumerate(arrays)}
    found = DiceAverages.of(measured(pairs, empty))
    for n, value in enumerate((1, 2)):
        both = sum((a == value).sum() + (b == value).sum() for a, b in pairs.values())
        shared = sum(((a == value) & (b == value)).sum() for a, b in pairs.values())
        assert found.structures[n].pooled == pytest.approx(2 * shared / both)
    micro = []
    for a, b in pairs.values():
        shared = ((a == b) & (a > 0)).sum()
        micro.append(2 * shared / ((a > 0).sum() + (b > 0).sum()))
    assert found.micro == pytest.approx(np.mean(micro))


def test_one_case_makes_all_cases_together_the_same_as_their_mean():
    found = DiceAverages.of(measured({"only": (labels(50, 5), labels(40, 8))}))
    assert found.macro == pytest.approx(found.by_case)
    assert found.pooled == pytest.approx(found.macro)
    for structure in found.structures:
        assert structure.mean == pytest.approx(structure.pooled)


def test_voxels_of_larger_size_weigh_more_in_the_pool():
    pairs = {"fine": (labels(10, 1), labels(10, 1)), "coarse": (labels(10, 1), labels(0, 1))}
    found = DiceAverages.of(measured(pairs, spacing={"coarse": (3, 1, 1)}))
    assert found.structures[0].pooled == pytest.approx(2 * 10 / (20 + 30))


@pytest.mark.parametrize(
    ("empty", "micro", "pooled"), [("missing", None, None), ("one", 1, 1), ("reference", None, None)]
)
def test_where_nothing_is_anywhere_the_policy_says_what_that_is(empty, micro, pooled):
    found = DiceAverages.of(measured({"a": (labels(0, 0), labels(0, 0))}, empty))
    assert found.micro == micro
    assert found.pooled == pooled
    assert found.macro == micro
    assert ("missing" in found.to_markdown()) == (micro is None)


def test_what_was_invented_counts_unless_the_policy_hides_it():
    pairs = {"a": (labels(0, 0), labels(10, 0)), "b": (labels(10, 0), labels(10, 0))}
    assert DiceAverages.of(measured(pairs)).structures[0].pooled == pytest.approx(2 * 10 / 30)
    assert DiceAverages.of(measured(pairs, "reference")).structures[0].pooled == 1


def test_a_report_without_dice_has_nothing_to_average(made_report):
    with pytest.raises(DataError, match="has no Dice to average; its metrics are hd95"):
        DiceAverages.of(made_report({"a": {"hd95": [1, 2]}}))
