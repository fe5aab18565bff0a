"""Rules by which weights change: asked for by name, with the numbers that go with them."""

import pytest

from delineate.errors import PlanError
from delineate.planning import make_plan
from delineate.planning.optimizers import STARTS, optimised


@pytest.fixture(scope="module")
def plan(request):
    return make_plan(
        request.getfixturevalue("fingerprint_of")([(40, 50, 60)] * 5, (1.0, 1.0, 1.0)), device="cpu", steps=10
    )


@pytest.mark.parametrize("name", STARTS)
def test_a_rule_comes_with_its_rate_and_its_source(plan, name):
    found = optimised(plan, name)
    assert found.training.optimizer == name
    if name != plan.training.optimizer:
        assert found.training.learning_rate == STARTS[name].learning_rate
        assert found.reasons["training.learning_rate"] == STARTS[name].source
    assert type(found).from_json(found.to_json(), where="plan") == found


def test_the_rule_that_is_planned_already_stays_as_it_is(plan):
    assert optimised(plan, "adamw") is plan


def test_a_rule_that_nobody_knows_is_refused(plan):
    with pytest.raises(PlanError, match="there is no optimizer 'lamb'; there are sgd, adam, adamw, muon"):
        optimised(plan, "lamb")
