import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pydantic import ValidationError

from delineate.planning.histogram import SHARE, TOLERANCE, Histogram

floats = npst.arrays(
    np.float32, st.integers(1, 200), elements=st.floats(-(2.0**60), 2.0**60, width=32, allow_subnormal=False)
)
whole = npst.arrays(np.int16, st.integers(1, 200), elements=st.integers(-4096, 4096))
histograms = st.one_of(floats, whole, whole.map(lambda a: a[:0])).map(Histogram.of)


@given(floats, st.sampled_from([0.5, 10, 50, 90, 99.5]))
def test_a_percentile_is_numpys_to_one_part_in_four_thousand(values, percent):
    expected = np.percentile(values, percent, method="inverted_cdf")
    assert Histogram.of(values).percentile(percent) == pytest.approx(expected, rel=TOLERANCE, abs=0)


@given(whole, st.sampled_from([0.5, 10, 50, 90, 99.5]))
def test_of_whole_numbers_up_to_4096_percentiles_are_exact(values, percent):
    assert Histogram.of(values).percentile(percent) == np.percentile(values, percent, method="inverted_cdf")


@pytest.mark.parametrize("size", [50_000, 1_000_000])
def test_the_percentiles_of_many_voxels_are_numpys(size):
    values = np.random.default_rng(size).gamma(3, 40, size).astype(np.float32)
    ours = [Histogram.of(values).percentile(percent) for percent in (0.5, 50, 99.5)]
    assert ours == pytest.approx(np.percentile(values, (0.5, 50, 99.5)), rel=2 * TOLERANCE)


@given(st.lists(histograms, min_size=4, max_size=4), st.permutations([0, 1, 2, 3]))
def test_merging_in_any_order_and_grouping_gives_the_same(parts, order):
    a, b, c, d = (parts[n] for n in order)
    whole = Histogram.sum(parts)
    assert Histogram.sum([Histogram.sum([a, b]), Histogram.sum([c, d])]) == whole
    assert Histogram.sum([a, Histogram.sum([b, Histogram.sum([c, d])])]) == whole


@given(histograms)
def test_nothing_merged_with_something_is_that(part):
    assert Histogram.sum([part, Histogram()]) == part
    assert Histogram.sum([part]) == part


@given(floats)
def test_each_case_counts_the_same_however_many_voxels_it_has(values):
    assert sum(Histogram.of(values).shares) == SHARE


def test_one_large_case_does_not_drown_a_small_one():
    small, large = Histogram.of(np.zeros(10)), Histogram.of(np.full(100_000, 7.0))
    merged = Histogram.sum([small, large])
    assert merged.values == (0.0, 7.0)
    assert merged.shares == (SHARE, SHARE)
    assert merged.percentile(50) == 0.0


@given(floats)
def test_rounding_keeps_the_order_and_the_sign(values):
    rounded = Histogram.of(values).values
    assert rounded[0] == pytest.approx(float(values.min()), rel=TOLERANCE, abs=0)
    assert rounded[-1] == pytest.approx(float(values.max()), rel=TOLERANCE, abs=0)


def test_the_largest_numbers_stay_finite():
    limit = np.finfo(np.float32).max
    assert np.isfinite(Histogram.of(np.array([limit, -limit, 1e300])).values).all()


def test_nothing_has_no_percentile():
    assert Histogram.of(np.zeros(0)) == Histogram() == Histogram.sum([])
    assert np.isnan(Histogram().percentile(50))


@pytest.mark.parametrize(
    ("values", "shares", "said"),
    [
        ((1.0, 2.0), (1,), "2 values and 1 shares"),
        ((2.0, 1.0), (1, 1), "values ascend"),
        ((1.0,), (0,), "shares are positive"),
    ],
)
def test_a_wrong_histogram_is_refused(values, shares, said):
    with pytest.raises(ValidationError, match=said):
        Histogram(values=values, shares=shares)
