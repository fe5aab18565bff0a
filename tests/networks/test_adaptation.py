"""The guard of adapting: allowed only where it is proven to cost less than half a point."""

import pytest

from delineate.networks.adaptation import LIMIT, Adaptation

FIGURES = {"cases": 20, "patients": 20, "clean": 0.9, "adapted": 0.899}


def test_a_loss_whose_whole_interval_is_small_is_allowed():
    found = Adaptation(loss=0.001, low=-0.001, high=0.003, **FIGURES)
    assert found.is_allowed
    assert found.told.startswith("Allowed: adapting with a share of 0.3 costs +0.0010 Dice on 20 cases")
    assert found.note == "ADAPTED: 30 % of the norms' statistics are this scan's own"


@pytest.mark.parametrize(
    ("loss", "low", "high", "said"),
    [
        (0.02, 0.01, 0.03, "95 % interval +0.0100 to +0.0300), more than 0.005"),
        (0.001, -0.01, 0.012, "and it is not proven that it costs no more than 0.005"),
        (0.0, None, None, "no interval: too few patients"),
    ],
)
def test_what_costs_more_or_is_not_proven_is_refused(loss, low, high, said):
    found = Adaptation(loss=loss, low=low, high=high, **FIGURES)
    assert not found.is_allowed
    assert found.told.startswith("Refused")
    assert said in found.told


def test_the_limit_is_half_a_point():
    assert LIMIT == 0.005
    assert Adaptation(loss=0, low=0, high=LIMIT, **FIGURES).is_allowed
