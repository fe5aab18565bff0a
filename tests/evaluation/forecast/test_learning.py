import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from delineate.errors import DataError, RecordError
from delineate.evaluation.forecast import LearningCurve, learning_curve, read_curve

SIZES = np.array([10, 20, 40, 80, 160, 200])


def power(n, a=0.93, b=0.6, c=0.5):
    return a - b * np.asarray(n, float) ** -c


def plateau(n, a=0.9, b=0.3, c=0.02):
    return a - b * np.exp(-c * np.asarray(n, float))


def rng(seed=0):
    return np.random.default_rng(seed)


# --- what is fitted


@pytest.mark.parametrize(("truth", "shape"), [(power, "inverse power"), (plateau, "exponential plateau")])
def test_a_curve_of_either_shape_is_found_again(truth, shape):
    found = learning_curve(SIZES, truth(SIZES))
    assert found.fit.shape == shape
    assert found.fits[1].error > 10 * found.fit.error
    for size in (10, 60, 200, 400):
        assert found.at(size).value == pytest.approx(truth(size), abs=1e-4)
        assert found.at(size).high - found.at(size).low < 1e-3


@given(st.floats(0.7, 0.95), st.floats(0.2, 2.0), st.floats(0.2, 1.5))
def test_the_parameters_are_those_that_made_the_curve(a, b, c):
    scores = power(SIZES, a, b, c)
    fit = next(f for f in learning_curve(SIZES, scores).fits if f.shape == "inverse power")
    assert (fit.a, fit.b, fit.c) == pytest.approx((a, b, c), rel=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_with_scatter_the_fit_is_that_of_scipy(seed):
    scores = power(SIZES) + rng(seed).normal(0, 0.004, len(SIZES))
    fit = next(f for f in learning_curve(SIZES, scores).fits if f.shape == "inverse power")
    peer, _ = curve_fit(power, SIZES, scores, p0=(0.9, 0.5, 0.5))
    left = np.sqrt(np.mean((scores - power(SIZES, *peer)) ** 2))
    assert fit.error == pytest.approx(left, rel=1e-4)
    assert [fit.at(n) for n in SIZES] == pytest.approx(power(SIZES, *peer), abs=1e-4)


def test_scores_up_to_one_level_off_at_one_at_most():
    straight = 0.5 + 0.002 * SIZES
    found = learning_curve(SIZES, straight)
    assert all(fit.a <= 1 for fit in found.fits)
    assert learning_curve(SIZES, 100 * straight).fits[0].a > 1  # per cent, or any other score


def test_a_rate_may_be_measured_in_any_unit():
    many = learning_curve(SIZES * 50, plateau(SIZES))
    few = learning_curve(SIZES, plateau(SIZES))
    assert many.fit.c == pytest.approx(few.fit.c / 50, rel=1e-6)
    assert many.at(20_000).value == pytest.approx(few.at(400).value)


# --- how sure


@pytest.mark.parametrize("truth", [power, plateau])
@pytest.mark.parametrize("sizes", [SIZES, np.tile([10, 20, 40, 80, 160], 3)], ids=["6", "15"])
def test_the_band_holds_the_curve_about_as_often_as_it_says(truth, sizes):
    inside = {"largest": 0, "twice": 0}
    for seed in range(100):
        scores = truth(sizes) + rng((seed, len(sizes))).normal(0, 0.006, len(sizes))
        found = learning_curve(sizes, scores, rng=rng(seed))
        for name, size in (("largest", int(sizes.max())), ("twice", found.limit)):
            point = found.at(size)
            inside[name] += point.low <= truth(size) <= point.high
    assert all(0.88 <= count / 100 <= 1.0 for count in inside.values())


def test_where_the_shapes_cannot_be_told_apart_the_band_holds_both():
    sizes = np.array([40, 50, 60, 70, 80])
    found = learning_curve(sizes, power(sizes) + rng(3).normal(0, 0.004, 5))
    point, other = found.at(160), found.fits[1].at(160)
    assert point.low <= other <= point.high
    assert "The largest training is less than four times the smallest" in "\n".join(found.notes)


def test_nothing_is_said_beyond_twice_the_largest_training():
    found = learning_curve(SIZES, power(SIZES))
    assert found.limit == 400
    assert found.band[-1].size == 400
    for size in (401, 9):
        with pytest.raises(
            DataError, match=rf"nothing can be said of {size} .* measured were 10 to 200, .* 400"
        ):
            found.at(size)


def test_the_same_curve_twice_and_read_back(tmp_path):
    scores = power(SIZES) + rng(1).normal(0, 0.004, 6)
    found = learning_curve(SIZES, scores, targets=[0.9])
    assert found == learning_curve(SIZES, scores, targets=[0.9])
    assert LearningCurve.from_json(found.to_json(), where="x") == found
    with pytest.raises(RecordError, match="limit"):
        LearningCurve.from_json(found.to_json().replace('"limit": 400', '"limit": "far"'), where="x")


# --- what a target takes


def test_a_target_within_reach_has_a_number():
    scores = power(SIZES) + rng(2).normal(0, 0.001, 6)
    (reach,) = learning_curve(SIZES, scores, targets=[0.88]).reaches
    assert reach.size == pytest.approx(144, abs=8)
    assert reach.low <= reach.size <= reach.high
    assert reach.chance == 1
    assert reach.sentence == f"0.88 takes about {reach.size} training cases ({reach.low} to {reach.high})."


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (0.915, "0.915: more than 400, twice the largest training: too far to say."),
        (0.95, "0.95: the curve levels off at 0.93, below 0.95."),
    ],
)
def test_a_target_out_of_reach_has_none(target, why):
    (reach,) = learning_curve(SIZES, power(SIZES), targets=[target]).reaches
    assert (reach.size, reach.high) == (None, None)
    assert reach.chance == 0
    assert reach.sentence == why


def test_a_target_at_the_edge_says_that_more_may_be_needed():
    scores = power(SIZES) + rng(5).normal(0, 0.002, 6)
    found = learning_curve(SIZES, scores)
    (reach,) = learning_curve(SIZES, scores, targets=[found.at(390).value]).reaches
    assert reach.high is None
    assert 0 < reach.chance < 1
    assert f"(at least {reach.low})." in reach.sentence
    assert reach.but(low=None).sentence.endswith("training cases, and quite possibly many more.")


def test_what_the_smallest_training_reaches_takes_no_more():
    (reach,) = learning_curve(SIZES, power(SIZES), targets=[0.5]).reaches
    assert reach.size <= 10


# --- what cannot be


def test_scores_that_do_not_rise_are_no_learning_curve():
    for scores in (np.full(6, 0.9), 0.9 - 0.001 * SIZES):
        found = learning_curve(SIZES, scores, targets=[0.95])
        assert found.reaches[0].size is None
        assert any("no learning curve to follow" in note for note in found.notes)
        assert found.at(400).value == pytest.approx(np.mean(scores))


def test_few_points_are_doubted():
    found = learning_curve([10, 20, 40, 80], power([10, 20, 40, 80]) + 0.01 * np.array([1, -1, 1, -1]))
    assert "4 trainings for three parameters: the band may well be too narrow." in found.notes
    assert learning_curve(SIZES, power(SIZES)).notes == ()


@pytest.mark.parametrize(
    ("sizes", "scores", "said"),
    [
        ([10, 20, 40], [0.7, 0.8, 0.9], "at least 4 different training sizes, got 3: 10, 20, 40"),
        ([10, 10, 20, 20, 40], [0.7] * 5, "got 3: 10, 20, 40. Train with fewer cases as well"),
        ([], [], "got 0: none"),
        ([10, 20, 40, 80], [0.7, 0.8, 0.9], "expected a score for each of 4 sizes, got 3"),
        (
            [10, 20, 40, 80],
            [0.7, 0.8, np.nan, 0.9],
            "whole sizes of at least 1 and of scores that are numbers",
        ),
        ([0, 20, 40, 80], [0.7, 0.8, 0.85, 0.9], "whole sizes of at least 1"),
        ([10.5, 20, 40, 80], [0.7, 0.8, 0.85, 0.9], "whole sizes of at least 1"),
    ],
)
def test_too_little_or_wrong_is_refused(sizes, scores, said):
    with pytest.raises(DataError, match=said):
        learning_curve(sizes, scores)


# --- words and files


def test_the_table_has_what_was_measured_and_how_far_one_may_look():
    sizes = [*SIZES, 200]
    found = learning_curve(sizes, [*power(SIZES), power(200) + 0.004], targets=[0.88])
    lines = found.to_markdown().splitlines()
    assert lines[0].startswith("0.88 takes about 1")
    assert lines[2] == "| training cases | measured | curve | 95 % interval |"
    assert lines[-5].startswith("| 400 |  | 0.90")
    assert "(mean of 2)" in lines[-6]
    assert lines[-2].startswith("- exponential plateau: 0.8")
    assert lines[-3].startswith("- inverse power: 0.93")


def test_a_curve_is_read_from_a_table(tmp_path):
    file = tmp_path / "curve.csv"
    file.write_text("size;score;remark\n10;0.7;\n20;0.8;twice as many\n")
    assert read_curve(file) == ((10, 20), (0.7, 0.8))
    file.write_text("size,dice\n10,0.7\n")
    with pytest.raises(DataError, match=r"curve\.csv: expected columns 'size' and 'score', got size, dice"):
        read_curve(file)
    file.write_text("size,score\n10,good\n")
    with pytest.raises(DataError, match=r"sizes are whole numbers and scores are numbers: .*'good'"):
        read_curve(file)
