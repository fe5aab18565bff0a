"""Model folders with real, untrained networks."""

import pytest
import torch

from delineate.networks import Facts, build_network, inputs_of, write_model

torch.set_num_threads(1)
FACTS = Facts(created="2026-11-20", cases=1, patients=1)


@pytest.fixture(scope="session")
def make_model(tmp_path_factory):
    """A function that writes the model of a plan, with random networks, and opens it."""

    def made(plan, folds=(0,)):
        weights = {}
        for name, configuration in plan.configurations.items():
            inputs, outputs = inputs_of(plan, name), len(plan.labels.outputs)
            weights[name] = {
                fold: build_network(configuration.network, inputs, outputs, seed=fold + 1).state_dict()
                for fold in folds
            }
        folder = tmp_path_factory.mktemp("models") / "model"
        return write_model(folder, plan=plan, weights=weights, card="# card\n", facts=FACTS)

    return made


@pytest.fixture(scope="session")
def model(make_model, make_plan):
    """A 3D model of one fold."""
    return make_model(make_plan())
