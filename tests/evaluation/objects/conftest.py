"""What tests of objects may use."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from delineate.evaluation import InstanceMap
from delineate.io import read_label_values
from delineate.space import Box, Geometry

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def maps():
    """The module that makes the maps on which peers were run."""
    spec = importlib.util.spec_from_file_location("golden_maps", GOLDEN / "maps.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def said_by():
    """A function that gives what a peer said: its name -> seed -> values."""
    return lambda peer: json.loads((GOLDEN / f"{peer}.json").read_text())


@pytest.fixture(scope="session")
def grid_of():
    """A function that gives the grid of an array, 1 mm voxels unless told otherwise."""
    return lambda array, spacing=(1, 1, 1): Geometry(array.shape, np.diag([*spacing, 1.0]))


@pytest.fixture(scope="session")
def instance_map(grid_of):
    """A function that makes a map of an array (i, j) or (i, j, k)."""

    def make(array, **known):
        array = np.asarray(array)
        array = array[..., None] if array.ndim == 2 else array
        return InstanceMap(array, grid_of(array), **known)

    return make


@pytest.fixture(scope="session")
def nuclei(shared_data):
    """Real nuclei, (column, row, 1) ids of some pictures by name."""
    files = sorted((shared_data / "dsb2018" / "instances").glob("*.png"))
    if not files:
        pytest.skip("no nuclei beside this checkout")
    from delineate.evaluation import read_instances

    return {path.stem[:8]: read_instances(path) for path in files[:8]}


@pytest.fixture(scope="session")
def thinned():
    """A function that takes the outermost voxels off every object of an array."""

    def thin(array):
        same = [array == np.roll(array, step, axis) for axis in range(array.ndim) for step in (-1, 1)]
        return np.where(np.logical_and.reduce(same), array, 0)

    return thin


@pytest.fixture(scope="session")
def pieces():
    """The connected pieces of a mask, corners connecting, by SciPy."""
    return lambda mask: ndimage.label(mask, np.ones((3,) * mask.ndim))


@pytest.fixture(scope="session")
def ms_lesions(shared_data):
    """Real lesions of a patient with multiple sclerosis: a mask (i, j, k) and its grid, cut to the brain."""
    files = sorted((shared_data / "ms_lesions" / "MNI").glob("*/GOLD*.nii.gz"))
    if not files:
        pytest.skip("no lesions beside this checkout")
    found = read_label_values(files[0])
    box = Box.around(found.array > 0).grown(4)
    return found.array[box.slices] > 0, found.geometry.cropped(box)
