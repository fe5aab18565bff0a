"""Makes `stacks.py` importable for the tests of this folder, under a name of its own."""

import sys
from importlib import util
from pathlib import Path

import pytest

SPEC = util.spec_from_file_location("clinic_stacks", Path(__file__).with_name("stacks.py"))
stacks = util.module_from_spec(SPEC)
sys.modules[SPEC.name] = stacks
SPEC.loader.exec_module(stacks)


@pytest.fixture
def series_folder(tmp_path):
    """A small series, and its stack."""
    stack = stacks.Stack()
    return stacks.write_images(tmp_path / "series", stack), stack
