"""What every test of datasets may use."""

import sys
from importlib import util
from pathlib import Path

import pytest

BUILDERS = Path(__file__).parent / "small.py"


@pytest.fixture(scope="session")
def small():
    """The module `small.py`: tiny datasets of every layout."""
    spec = util.spec_from_file_location("dataset_small", BUILDERS)
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
