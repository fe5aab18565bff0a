from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.errors import DataError
from delineate.planning.plan import ChannelPlan, Normalization
from delineate.preparation.normalize import moments, normalized

PEER = Path(__file__).parent / "peer"
CASES = run_path(str(PEER / "cases.py"))
ARRAYS = dict(CASES["arrays"]())
CT = Normalization(rule="ct", **CASES["CT"])


def channels(*rules):
    return [ChannelPlan(name=f"c{n}", normalization=rule) for n, rule in enumerate(rules)]


def one(scan_of, array, rule, mask=None):
    return normalized(scan_of(array[None]), channels(rule), mask)[0]


@pytest.fixture(scope="module")
def golden():
    """What nnU-Net makes of the same arrays."""
    with np.load(PEER / "golden.npz") as file:
        return dict(file)


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("rule", ["ct", "zscore", "unit", "rgb", "masked"])
def test_every_rule_equals_that_of_nnunet(scan_of, golden, name, rule):
    if f"{name}_{rule}" not in golden:
        assert rule == "rgb"  # out of its range
        return
    array, mask = ARRAYS[name], None
    if rule == "masked":
        mask = CASES["a_mask"]()
        array = np.where(mask, array, 0)
    how = (
        CT
        if rule == "ct"
        else Normalization(rule="zscore" if mask is not None else rule, masked=rule == "masked")
    )
    assert np.allclose(one(scan_of, array, how, mask), golden[f"{name}_{rule}"], rtol=1e-6, atol=1e-6)


def test_none_only_changes_the_type(scan_of):
    array = ARRAYS["bytes"]
    result = one(scan_of, array, Normalization(rule="none"))
    assert result.dtype == np.float32
    assert np.array_equal(result, array)


@given(st.floats(0.01, 1000), st.floats(-1000, 1000))
@settings(max_examples=30, deadline=None)
def test_zscore_does_not_see_the_scanner_units(scan_of, scale, shift):
    array = ARRAYS["mr"].astype(np.float64)
    rule = Normalization(rule="zscore")
    assert np.allclose(one(scan_of, array * scale + shift, rule), one(scan_of, array, rule), atol=0.02)


def test_masked_zscore_never_looks_outside_and_leaves_zero_there(scan_of):
    mask = CASES["a_mask"]()
    rule = Normalization(rule="zscore", masked=True)
    array = ARRAYS["mr"]
    result = one(scan_of, array, rule, mask)
    assert not result[~mask].any()
    assert result[mask].mean() == pytest.approx(0, abs=1e-6)
    assert result[mask].std() == pytest.approx(1, abs=1e-6)
    assert np.array_equal(one(scan_of, np.where(mask, array, 999), rule, mask), result)


def test_an_empty_mask_leaves_nothing(scan_of):
    rule = Normalization(rule="zscore", masked=True)
    assert not one(scan_of, ARRAYS["mr"], rule, np.zeros((7, 6, 5), bool)).any()


@pytest.mark.parametrize("value", [0, 0.1, -3, 1e6 + 1 / 3])
@pytest.mark.parametrize("rule", ["zscore", "unit"])
def test_a_constant_channel_becomes_zero(scan_of, rule, value):
    assert not one(scan_of, np.full((9, 9, 9), value), Normalization(rule=rule)).any()


def test_moments_are_summed_in_double():
    values = np.full(3_000_001, 1e4, np.float32)
    values[::2] += 1
    mean, sd = moments(values)
    assert mean == pytest.approx(values.astype(np.float64).mean(), rel=1e-12)
    assert sd == pytest.approx(values.astype(np.float64).std(), rel=1e-9)
    assert moments(values[:0]) == (0, 0)


def test_the_scan_itself_stays_as_it_is(scan_of):
    scan = scan_of(ARRAYS["mr"][None].copy())
    normalized(scan, channels(CT), None)
    assert np.array_equal(scan.array[0], ARRAYS["mr"])


def test_each_channel_has_its_own_rule(scan_of):
    scan = scan_of(np.stack([ARRAYS["bytes"], ARRAYS["bytes"]]))
    result = normalized(scan, channels(Normalization(rule="rgb"), Normalization(rule="none")), None)
    assert np.allclose(result[0] * 255, result[1])


def test_values_that_are_no_colours_are_refused(scan_of):
    with pytest.raises(
        DataError, match=r'channel c0: values run from 0 to 300; the rule "rgb" expects 0 to 255'
    ):
        one(scan_of, np.array([[[0.0, 300.0]]]), Normalization(rule="rgb"))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_no_numbers_are_refused(scan_of, bad):
    with pytest.raises(DataError, match="channel c0: 1 voxels are NaN or infinite"):
        one(scan_of, np.array([[[0.0, bad]]]), Normalization(rule="zscore"))
