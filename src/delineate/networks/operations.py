"""Operations: what a training step of a network costs, counted, not estimated."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from delineate.networks.build import blueprint, inputs_of
from delineate.planning.plan import Plan

BACKWARD = 3  # forward once; backward twice: for the features and for the weights


def operations_of_a_step(plan: Plan, name: str) -> float:
    """Floating-point operations (a multiplication and an addition are two) of one step of a configuration.

    Counted in convolutions, matrix products and attention of a forward pass in training, without computing
    anything; norms and activations are a few per cent and are left out.
    """
    configuration = plan.configuration(name)
    inputs = inputs_of(plan, name)
    network = blueprint(configuration.network, inputs, len(plan.labels.outputs)).train()
    image = torch.empty((configuration.batch, inputs, *configuration.edges), device="meta")
    with FlopCounterMode(display=False) as counter:
        network(image)
    return float(BACKWARD * counter.get_total_flops() * plan.training.accumulate)
