import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from delineate.errors import DataError
from delineate.evaluation import Bootstrap
from delineate.evaluation.statistics import METHODS, Estimate, half_width, percentile_interval

BOOTSTRAPS = ("bca_expanded", "bca", "percentile")


def rng(seed=0):
    return np.random.default_rng(seed)


def names(count):
    return [str(n) for n in range(count)]


def as_scipy_draws(values, draws, seed):
    """The very draws that scipy.stats.bootstrap makes, as a Bootstrap of single cases."""
    picked = rng(seed).integers(0, len(values), (draws, len(values)))
    weights = np.array([np.bincount(row, minlength=len(values)) for row in picked], float)
    return Bootstrap(np.arange(len(values)), weights)


skewed = rng(1).beta(8, 1.5, 41)
with_gaps = np.where(np.arange(41) % 7 == 3, np.nan, skewed)


@pytest.mark.parametrize(
    ("values", "middle"), [(skewed, "mean"), (skewed, "median"), (skewed[:40], "median")]
)
@pytest.mark.parametrize(("ours", "theirs"), [("bca", "BCa"), ("percentile", "percentile")])
def test_of_the_same_draws_the_interval_is_that_of_scipy(values, middle, ours, theirs):
    found = as_scipy_draws(values, 999, 5).interval(values, method=ours, of=middle)
    peer = stats.bootstrap((values,), getattr(np, middle), n_resamples=999, method=theirs, rng=rng(5))
    assert found == pytest.approx(tuple(peer.confidence_interval), abs=1e-12)


@pytest.mark.parametrize("level", [0.8, 0.99])
def test_so_it_is_at_other_levels_and_with_values_that_are_missing(level):
    found = as_scipy_draws(with_gaps, 999, 6).interval(with_gaps, method="percentile", level=level)
    peer = stats.bootstrap(
        (with_gaps,), np.nanmean, n_resamples=999, method="percentile", confidence_level=level, rng=rng(6)
    )
    assert found == pytest.approx(tuple(peer.confidence_interval), abs=1e-12)


def test_of_other_draws_it_is_that_of_scipy_as_closely_as_draws_repeat_themselves():
    values = rng(1).normal(0.8, 0.1, 60)
    bootstrap = Bootstrap.drawn(names(60), rng(2), draws=8000)
    for ours, theirs in (("percentile", "percentile"), ("bca", "BCa")):
        peer = stats.bootstrap((values,), np.mean, n_resamples=8000, method=theirs, rng=rng(3))
        found = bootstrap.interval(values, method=ours)
        assert found == pytest.approx(tuple(peer.confidence_interval), abs=2e-3)


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_the_t_interval_of_single_cases_is_that_of_scipy(level):
    found = Bootstrap.drawn(names(41), rng(), draws=2).interval(skewed, method="t", level=level)
    peer = stats.ttest_1samp(skewed, 0).confidence_interval(level)
    assert found == pytest.approx((peer.low, peer.high), rel=1e-12)


@given(st.integers(2, 40), st.integers(1, 4), st.integers(0, 9))
def test_copies_of_a_scan_tell_nothing_new(patients, copies, seed):
    values = rng(seed).random(patients)
    groups = names(patients)
    alone = Bootstrap.drawn(groups, rng(seed), draws=50)
    copied = Bootstrap.drawn(groups * copies, rng(seed), draws=50)
    for method in METHODS:
        once, often = (
            b.interval(v, method=method) for b, v in ((alone, values), (copied, np.tile(values, copies)))
        )
        assert often == pytest.approx(once, rel=1e-9)


@given(st.integers(3, 30), st.floats(0.1, 10), st.floats(-5, 5), st.integers(0, 9))
def test_an_interval_moves_and_grows_with_the_values(patients, scale, shift, seed):
    values = rng(seed).random(patients)
    bootstrap = Bootstrap.drawn(names(patients), rng(seed), draws=99)
    for method in METHODS:
        for middle in ("mean", "median"):
            low, high = bootstrap.interval(values, method=method, of=middle)
            moved = bootstrap.interval(values * scale + shift, method=method, of=middle)
            assert moved == pytest.approx((low * scale + shift, high * scale + shift), abs=1e-9)


@given(st.integers(3, 30), st.integers(0, 9))
def test_turned_upside_down_the_bca_interval_is_turned_too(patients, seed):
    values = rng(seed).random(patients) ** 3
    bootstrap = Bootstrap.drawn(names(patients), rng(seed), draws=99)
    for method in METHODS:
        low, high = bootstrap.interval(values, method=method)
        assert bootstrap.interval(-values, method=method) == pytest.approx((-high, -low), abs=1e-9)


def test_few_patients_widen_the_expanded_interval_as_they_do_student_s():
    for patients in (3, 5, 10, 30, 200):
        values = rng(patients).normal(0, 1, patients)
        bootstrap = Bootstrap.drawn(names(patients), rng(1))
        width = {m: np.ptp(bootstrap.interval(values, method=m)) for m in METHODS}
        assert width["bca_expanded"] >= width["bca"]
        if patients >= 10:
            assert width["bca_expanded"] == pytest.approx(width["t"], rel=0.1)


def test_at_any_level_the_ends_are_among_the_draws():
    values = np.array([0.1, 0.2, 0.95])
    bootstrap = Bootstrap.drawn(names(3), rng(1))
    for level in (0.5, 0.9, 0.999, 0.999999):
        low, high = bootstrap.interval(values, level=level)
        assert 0.1 <= low < np.mean(values) < high <= 0.95


@pytest.mark.parametrize(
    ("sd", "cases", "half"),
    [
        (0.03, 100, 0.00588),
        (0.03, 139, 0.00499),
        (0.03, 200, 0.00416),
        (0.1, 50, 0.0277),
        (0.2, 1000, 0.0124),
    ],
)
def test_its_width_is_what_theory_says(sd, cases, half):
    assert half_width(sd, cases) == pytest.approx(half, abs=6e-6 if half < 0.01 else 6e-5)
    z = (np.arange(cases) + 0.5) / cases
    values = stats.norm.ppf(z)
    values *= sd / values.std(ddof=1)
    bootstrap = Bootstrap.drawn(names(cases), rng(1), draws=1000)
    for method in METHODS:
        low, high = bootstrap.interval(values, method=method)
        assert (high - low) / 2 == pytest.approx(half, rel=0.1)


def test_a_half_width_of_no_cases_is_refused():
    with pytest.raises(DataError, match=r"needs a spread of 0 or more and a case, got sd 0\.1 and 0 cases"):
        half_width(0.1, 0)


def covered(method, draw, truth, cases, *, repeats, of="mean", groups=None):
    """How often the interval holds the truth."""
    groups = groups or names(cases)
    bootstraps = [Bootstrap.drawn(groups, rng(seed), draws=1000) for seed in range(8)]
    hits = 0
    for seed in range(repeats):
        values = draw(rng((seed, cases)))
        low, high = bootstraps[seed % 8].interval(values, method=method, of=of)
        hits += low <= truth <= high
    return hits / repeats


@pytest.mark.parametrize("cases", [10, 20, 44])
def test_by_default_it_holds_the_truth_as_often_as_it_says(cases):
    """Dice of 0.9 with a spread of 0.05, skewed as Dice is: 95 % are asked for."""
    share = covered("bca_expanded", lambda g: g.beta(31.5, 3.5, cases), 0.9, cases, repeats=1000)
    assert 0.93 <= share <= 0.97


@pytest.mark.parametrize("method", METHODS)
def test_with_many_cases_every_method_does(method):
    assert 0.93 <= covered(method, lambda g: g.beta(31.5, 3.5, 100), 0.9, 100, repeats=700) <= 0.97


@pytest.mark.parametrize("method", METHODS)
def test_so_does_that_of_the_median(method):
    truth = stats.beta.median(31.5, 3.5)
    share = covered(method, lambda g: g.beta(31.5, 3.5, 60), truth, 60, repeats=500, of="median")
    assert 0.93 <= share <= 0.985  # intervals of a median step from value to value


@pytest.mark.parametrize("method", ["bca_expanded", "t"])
def test_it_does_with_several_scans_of_a_patient_and_would_not_without_knowing(method):
    def scans(generator):
        return np.repeat(generator.normal(0.8, 0.1, 30), 5) + generator.normal(0, 0.03, 150)

    patients = [str(n // 5) for n in range(150)]
    assert 0.93 <= covered(method, scans, 0.8, 150, repeats=600, groups=patients) <= 0.97
    assert covered(method, scans, 0.8, 150, repeats=200) < 0.7


def test_ten_scans_of_one_patient_are_not_ten_patients():
    patients = np.repeat(rng(5).normal(0.8, 0.1, 12), 10)
    groups = [str(n // 10) for n in range(120)]
    for method in METHODS:
        low, high = Bootstrap.drawn(groups, rng(6)).interval(patients, method=method)
        naive_low, naive_high = Bootstrap.drawn(names(120), rng(6)).interval(patients, method=method)
        assert (high - low) > 2.5 * (naive_high - naive_low)


def test_missing_values_are_left_out_and_not_zero():
    values = np.array([0.5, np.nan, 0.7, np.nan, 0.6, 0.8])
    bootstrap = Bootstrap.drawn(list("abcdef"), rng(0))
    for method in BOOTSTRAPS:
        low, high = bootstrap.interval(values, method=method)
        assert 0.499 <= low < 0.65 < high <= 0.801
    assert bootstrap.mean(values).patients == 4
    assert np.isnan(bootstrap.means(np.full(6, np.nan))).all()


@pytest.mark.parametrize("method", METHODS)
def test_one_patient_has_no_interval(method):
    bootstrap = Bootstrap.drawn(["a", "a", "b"], rng(0))
    for middle in ("mean", "median"):
        assert bootstrap.interval(np.array([0.1, 0.2, np.nan]), method=method, of=middle) is None
        assert bootstrap.interval(np.full(3, np.nan), method=method, of=middle) is None
    assert bootstrap.mean(np.array([0.1, 0.2, np.nan])).interval(method) is None
    assert percentile_interval(np.full(5, np.nan)) is None


@pytest.mark.parametrize("method", METHODS)
def test_equal_values_give_an_interval_without_width(method):
    bootstrap = Bootstrap.drawn(list("aabcc"), rng(0))
    for middle in ("mean", "median"):
        for value in (0.0, 0.1, 1.0):
            assert bootstrap.interval(np.full(5, value), method=method, of=middle) == pytest.approx(
                (value, value)
            )


def test_two_patients_have_an_interval_that_reaches_as_far_as_they_do():
    low, high = Bootstrap.drawn(list("ab"), rng(0)).interval(np.array([0.4, 0.6]))
    assert (low, high) == (0.4, 0.6)


def test_a_mean_of_means_has_the_interval_of_its_patients():
    first, second = rng(1).random(20), rng(2).random(20)
    bootstrap = Bootstrap.drawn(names(20), rng(3))
    both = Estimate.average([bootstrap.mean(first), bootstrap.mean(second)])
    together = bootstrap.mean((first + second) / 2)
    for method in METHODS:
        assert both.interval(method) == pytest.approx(together.interval(method), rel=1e-9)
    assert both.error == pytest.approx(together.error)


def test_a_patient_without_one_of_the_structures_still_counts_for_the_mean_of_all():
    bootstrap = Bootstrap.drawn(list("abcd"), rng(3))
    liver, cyst = np.array([0.9, 0.8, 0.9, np.nan]), np.array([np.nan, 0.5, 0.7, np.nan])
    both = Estimate.average([bootstrap.mean(liver), bootstrap.mean(cyst)])
    assert both.patients == 3
    assert both.without[0] == pytest.approx((0.85 + 0.6) / 2)
    assert np.isnan(both.without[3])


def test_an_unknown_way_is_refused():
    bootstrap = Bootstrap.drawn(list("ab"), rng(0))
    with pytest.raises(
        DataError, match="unknown interval 'basic'; there are bca_expanded, bca, percentile, t"
    ):
        bootstrap.interval(np.array([0.1, 0.2]), method="basic")
    with pytest.raises(DataError, match="level lies between 0 and 1, got 95"):
        bootstrap.mean(np.array([0.1, 0.2])).interval(level=95)


def test_one_generator_gives_the_same_draws():
    groups = list("abcd")
    assert np.array_equal(Bootstrap.drawn(groups, rng(9)).weights, Bootstrap.drawn(groups, rng(9)).weights)
    assert (Bootstrap.drawn(groups, rng(9)).weights.sum(axis=1) == 4).all()
