"""What every test of training may use."""

import sys
from importlib import util
from pathlib import Path

import pytest
import torch

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
