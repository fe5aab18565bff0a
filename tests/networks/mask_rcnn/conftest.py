"""One thread: the tensors are tiny, and the machine is shared."""

import importlib.util
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def phantoms():
    """The module `discs.py` beside this file."""
    spec = importlib.util.spec_from_file_location("mask_rcnn_discs", Path(__file__).with_name("discs.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
