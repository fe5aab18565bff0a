"""What every test of calibration may use."""

import sys
from importlib import util
from pathlib import Path

import pytest

BUILDERS = Path(__file__).parent / "worlds.py"


@pytest.fixture(scope="session")
def worlds():
    """The module `worlds.py`: scans with probabilities."""
    spec = util.spec_from_file_location("calibration_worlds", BUILDERS)
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
