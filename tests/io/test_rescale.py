import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.errors import DataError
from delineate.io.rescale import Rescale

STORED = [np.uint8, np.int8, np.uint16, np.int16, np.int32]


@given(
    st.sampled_from(STORED),
    st.lists(st.floats(0, 1), min_size=1, max_size=8),
    st.one_of(st.integers(-40, 40).filter(bool), st.floats(0.001, 50)),
    st.one_of(st.integers(-3000, 3000), st.floats(-3000, 3000)),
)
def test_values_are_those_of_exact_arithmetic(kind, places, slope, intercept):
    limits = np.iinfo(kind)
    stored = np.array([limits.min + place * (int(limits.max) - limits.min) for place in places]).astype(kind)
    values = Rescale(float(slope), float(intercept)).applied(stored)
    expected = stored.astype(np.float64) * slope + intercept
    assert np.allclose(values, expected, rtol=1e-6, atol=1e-6 * (abs(intercept) + abs(expected).max()))


def test_whole_numbers_stay_whole_in_the_smallest_signed_type():
    stored = np.array([0, 4095], np.uint16)
    values = Rescale(1.0, -1024.0).applied(stored)
    assert values.dtype == np.int16
    assert values.tolist() == [-1024, 3071]
    assert Rescale(1.0, -1024.0).applied(np.array([65535], np.uint16)).dtype == np.int32


def test_whole_numbers_too_large_for_any_integer_become_reals():
    stored = np.array([2**63 + 2**40], np.uint64)
    values = Rescale(2.0, 0.0).applied(stored)
    assert values.dtype == np.float64
    assert values[0] == 2.0 * float(2**63 + 2**40)


def test_reals_are_float32_unless_that_would_lose_digits():
    assert Rescale(0.5, 0.0).applied(np.array([1], np.int16)).dtype == np.float32
    assert Rescale(0.5, 0.0).applied(np.array([1], np.float32)).dtype == np.float32
    assert Rescale(0.5, 0.0).applied(np.array([1], np.int32)).dtype == np.float64


def test_nothing_is_copied_when_nothing_is_to_be_done():
    stored = np.arange(3)
    assert Rescale().applied(stored) is stored
    assert Rescale().is_identity


@pytest.mark.parametrize(("slope", "intercept"), [(0.0, 1.0), (np.nan, 0.0), (1.0, np.inf)])
def test_a_slope_that_destroys_values_is_refused(slope, intercept):
    with pytest.raises(DataError, match="a rescale slope is a finite number other than 0"):
        Rescale(slope, intercept)


def test_a_senseless_slope_gives_infinity_without_a_warning():
    assert np.isinf(Rescale(1e38, 0.0).applied(np.array([1000], np.float32))).all()
