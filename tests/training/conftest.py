"""What every test of training may use."""

import sys
from importlib import util
from pathlib import Path

import numpy as np
import pytest
import torch

from delineate.planning.plan import (
    Augmentation,
    ChannelPlan,
    Configuration,
    NetworkSpec,
    Normalization,
    Plan,
    Training,
)
from delineate.preparation.locations import locate, targets
from delineate.preparation.store import Prepared, Store, write_case

PROGRAM = Path(__file__).parent / "tiny.py"


def _loaded():
    spec = util.spec_from_file_location("training_tiny", PROGRAM)
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny():
    """The module `tiny.py`: a small network, synthetic batches, a clock that ticks."""
    return _loaded()


@pytest.fixture(scope="session")
def program():
    """The same as a program, for other processes to run."""
    return PROGRAM


@pytest.fixture(autouse=True)
def _one_thread():
    """Small tensors are quickest so, and cores are shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def prepared_phantoms(tmp_path):
    """Makes a store of phantoms "c0", "c1", ...; `phantom(rng)` gives a scan and its labels."""

    def make(phantom, cases=4, patch=(16, 16, 16)):
        for n in range(cases):
            rng = np.random.default_rng(n)
            scan, labels = phantom(rng)
            values = labels.array.astype(np.int16)
            image = scan.array.astype(np.float32)
            image = (image - image.mean()) / image.std()
            wanted = targets(labels.schema)
            case = Prepared(
                image,
                values,
                scan.geometry,
                scan.geometry,
                scan.channels,
                wanted,
                locate(values, wanted, rng),
            )
            write_case(tmp_path / "store", f"c{n}", case, patch=patch, made_from="phantom")
        return Store.open(tmp_path / "store")

    return make


@pytest.fixture(scope="session")
def phantom_plan():
    """Makes a plan for phantoms of one channel: a small 3D network."""

    def make(labels, *, patch=(16, 16, 16), features=(8, 16), batch=2, **training):
        n = len(features)
        spec = NetworkSpec(
            features=features,
            strides=((1, 1, 1), *((2, 2, 2),) * (n - 1)),
            kernels=((3, 3, 3),) * n,
            encoder_blocks=(2,) * n,
            decoder_blocks=(2,) * (n - 1),
        )
        configuration = Configuration(
            spacing=(1, 1, 1),
            median_shape=(24, 24, 24),
            patch=patch,
            batch=batch,
            network=spec,
            batch_dice=False,
        )
        settings = {
            "optimizer": "adamw", "learning_rate": 5e-3, "weight_decay": 1e-2, "schedule": "poly", "steps": 6,
            "validate_every": 3, "validation_batches": 2, "precision": "fp32",
        }  # fmt: skip
        return Plan(
            dataset="phantoms",
            fingerprint="0" * 64,
            labels=labels,
            channels=(ChannelPlan(name="image", normalization=Normalization(rule="none")),),
            orientation="RAS",
            configurations={"3d_fullres": configuration},
            use=("3d_fullres",),
            augmentation={"3d_fullres": Augmentation()},
            training=Training.model_validate(settings | training),
            reasons={},
        )

    return make
