"""What a step costs, counted: one convolution by hand, and every network that has a name."""

import pytest

from delineate.networks.operations import BACKWARD, operations_of_a_step
from delineate.planning.plan import NetworkSpec


def test_a_network_of_known_convolutions_costs_what_one_counts_by_hand(make_plan):
    plan = make_plan()
    configuration = plan.configuration()
    spec = NetworkSpec(
        features=(2,), strides=((1, 1, 1),), kernels=((3, 3, 3),), encoder_blocks=(1,), decoder_blocks=()
    )
    alone = plan.but(configurations={"3d_fullres": configuration.but(network=spec)})
    voxels, inputs, outputs = 8**3, 2, 3
    once = 2 * voxels * (27 * inputs * 2)
    found = operations_of_a_step(alone, "3d_fullres")
    head = found / BACKWARD / configuration.batch - once
    assert head in (0, 2 * voxels * 2 * outputs)


def test_twice_the_batch_costs_twice_as_much(make_plan):
    plan = make_plan()
    more = plan.but(configurations={"3d_fullres": plan.configuration().but(batch=4)})
    one, two = (operations_of_a_step(p, "3d_fullres") for p in (plan, more))
    assert two == pytest.approx(2 * one)
