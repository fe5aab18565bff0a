import numpy as np
import pytest
import torch
from torch import nn

from delineate.errors import ModelError
from delineate.inference import Segmenter
from delineate.inference.fast import MARGIN_MM, window_count
from delineate.networks import CleanUp
from delineate.planning.plan import Normalization
from delineate.preparation.prepared import upright
from delineate.space import Geometry, Volume

PATCH = (16, 16, 16)


class Bright(nn.Module):
    """Says "one" where a voxel is brighter than 3; remembers what it was shown."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, x):
        self.seen += len(x)
        x = x[:, :1]
        return torch.cat((torch.full_like(x, 3.0), x, torch.zeros_like(x)), dim=1)


@pytest.fixture
def network():
    return Bright()


@pytest.fixture
def pair(make_plan, configuration, network):
    """The same segmenter in full and fast."""
    plan = make_plan({"3d_fullres": configuration(PATCH)})
    full = Segmenter(plan, {"3d_fullres": [network]}, precision="fp32")
    return full, Segmenter(plan, {"3d_fullres": [network]}, precision="fp32", fast=True)


def phantom(*balls, shape=(120, 100, 90), noise=0.05):
    """A scan of 1 mm with bright balls: (centre, radius)."""
    rng = np.random.default_rng(0)
    array = 1 + noise * rng.normal(size=shape)
    places = np.indices(shape)
    for centre, radius in balls:
        distance = np.sqrt(sum((p - c) ** 2 for p, c in zip(places, centre, strict=True)))
        array += 4 * np.clip(radius - distance + 0.5, 0, 1)
    return Volume(array[None].astype(np.float32), Geometry(shape, np.eye(4)), ("T1",))


def dice(a, b):
    a, b = a.array > 0, b.array > 0
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_fast_finds_what_full_finds_with_fewer_windows(pair, network):
    full, fast = pair
    scan = phantom(((60, 50, 45), 9))
    whole = full.segment(scan).labels
    windows = network.seen
    network.seen = 0
    found = fast.segment(scan).labels
    assert dice(whole, found) > 0.999
    assert network.seen < windows / 2
    (note,) = found.notes
    assert note.startswith("fast mode: found on a coarse grid and looked at closely in a box of ")
    assert note.endswith(f"of {window_count(full, scan.geometry)} windows saved")
    saved = int(note.rpartition("; ")[2].split()[0])
    assert saved == window_count(full, scan.geometry) - network.seen
    assert whole.notes == ()


@pytest.mark.parametrize("turn", ["RAS", "LPS", "SAR"])
def test_the_box_lies_where_the_structure_is_whichever_way_the_scan_is_turned(pair, turn):
    full, fast = pair
    scan = phantom(((30, 60, 50), 8)).reoriented(turn)
    assert np.array_equal(full.segment(scan).labels.array, fast.segment(scan).labels.array)


def test_nothing_found_is_said_and_the_whole_scan_is_done(pair):
    full, fast = pair
    scan = phantom(((60, 50, 45), 0.9))  # gone on the coarse grid
    found = fast.segment(scan).labels
    assert np.array_equal(found.array, full.segment(scan).labels.array)
    assert "the whole scan was done: nothing was found on the coarse grid" in found.notes[0]
    assert "windows more than without the fast mode" in found.notes[0]


def test_a_scan_of_few_windows_is_done_at_once(pair, network):
    _, fast = pair
    found = fast.segment(phantom(((8, 8, 8), 4), shape=(16, 16, 16))).labels
    assert found.notes == (
        "fast mode: the whole scan was done: it takes 1 windows, and looking for structures 1",
    )
    assert network.seen <= 2  # a single small patch is predicted twice on a CPU


def test_structures_all_over_the_scan_save_nothing_and_it_says_so(pair):
    full, fast = pair
    scan = phantom(((12, 12, 12), 6), ((108, 88, 78), 6))
    found = fast.segment(scan).labels
    assert np.array_equal(found.array, full.segment(scan).labels.array)
    assert "the box around what was found is" in found.notes[0]
    assert "saves no windows" in found.notes[0]


class Forgetful(nn.Module):
    """On the coarse grid, where the ramp is steep, it sees only the first half."""

    def forward(self, x):
        bright, ramp = x[:, :1], x[:, 1:2]
        steep = (ramp[:, :, 1:] - ramp[:, :, :-1]).mean() > 1.5
        if steep:
            bright = torch.where(ramp < 60, bright, torch.ones_like(bright))
        return torch.cat((torch.full_like(bright, 3.0), bright, torch.zeros_like(bright)), dim=1)


@pytest.fixture
def forgetful(make_plan, configuration):
    plan = make_plan({"3d_fullres": configuration(PATCH)}, channels=("T1", "ramp"))
    return lambda fast: Segmenter(plan, {"3d_fullres": [Forgetful()]}, precision="fp32", fast=fast)


def rod(stop, shape=(160, 60, 60)):
    """A rod along i from 30 to `stop`, and a channel that says where along i a voxel is."""
    array = np.ones((2, *shape), np.float32)
    array[0, 30:stop, 26:34, 26:34] = 5
    array[1] = np.arange(shape[0])[:, None, None]
    return Volume(array, Geometry(shape, np.eye(4)), ("T1", "ramp"))


def test_a_structure_that_the_box_would_cut_makes_it_grow(forgetful):
    scan = rod(60 + int(MARGIN_MM) + 8)  # the coarse look ends at 60, the box 20 mm further
    found = forgetful(True).segment(scan).labels
    assert np.array_equal(found.array, forgetful(False).segment(scan).labels.array)
    assert "grown 1 time because structures touched its edge" in found.notes[0]


def test_a_box_that_never_holds_its_structure_becomes_the_whole_scan(forgetful, monkeypatch):
    monkeypatch.setattr("delineate.inference.fast.ROUNDS", 0)
    scan = rod(110)
    found = forgetful(True).segment(scan).labels
    assert np.array_equal(found.array, forgetful(False).segment(scan).labels.array)
    assert "the whole scan was done: structures touched the edge of the box 1 times" in found.notes[0]


def test_a_structure_at_the_edge_of_the_scan_needs_no_larger_box(pair):
    full, fast = pair
    scan = phantom(((0, 50, 45), 9))
    found = fast.segment(scan).labels
    assert np.array_equal(found.array, full.segment(scan).labels.array)
    assert "grown" not in found.notes[0]


def test_probabilities_beyond_the_box_are_those_of_background(pair):
    _, fast = pair
    scan = phantom(((60, 50, 45), 9))
    found = fast.segment(scan, probabilities=True)
    assert np.allclose(found.probabilities.array.sum(axis=0), 1, atol=1e-5)
    assert (found.probabilities.array[0, :10] == 1).all()
    assert np.array_equal(found.probabilities.array.argmax(axis=0), found.labels.array)


def test_the_low_resolution_of_the_plan_is_what_looks_first(make_plan, configuration):
    low, close = Bright(), Bright()
    plan = make_plan(
        {"3d_lowres": configuration(PATCH, spacing=(3.0, 3.0, 3.0)), "3d_fullres": configuration(PATCH)},
        use=("3d_fullres",),
    )
    networks = {"3d_lowres": [low], "3d_fullres": [close]}
    found = Segmenter(plan, networks, precision="fp32", fast=True).segment(phantom(((60, 50, 45), 9)))
    assert low.seen > 0
    assert close.seen > 0
    assert "looked at closely" in found.labels.notes[0]


def test_a_cascade_is_found_by_its_first_stage(make_plan, configuration):
    low, close = Bright(), Bright()
    plan = make_plan(
        {
            "3d_lowres": configuration(PATCH, spacing=(2.0, 2.0, 2.0)),
            "3d_cascade_fullres": configuration(PATCH, previous="3d_lowres"),
        },
        use=("3d_cascade_fullres",),
    )
    networks = {"3d_lowres": [low], "3d_cascade_fullres": [close]}
    scan = phantom(((60, 50, 45), 9))
    full = Segmenter(plan, networks, precision="fp32").segment(scan).labels
    found = Segmenter(plan, networks, precision="fp32", fast=True).segment(scan).labels
    assert dice(full, found) > 0.99
    assert "windows saved" in found.notes[0]


def test_a_2d_model_skips_the_slices_beyond_the_box(make_plan, configuration):
    plan = make_plan({"2d": configuration((32, 32, 1), slice_axis=2)})
    network = Bright()
    full = Segmenter(plan, {"2d": [network]}, precision="fp32")
    scan = phantom(((60, 50, 20), 8))
    whole = full.segment(scan).labels
    fast = Segmenter(plan, {"2d": [network]}, precision="fp32", fast=True)
    found = fast.segment(scan).labels
    assert dice(whole, found) > 0.999
    assert "windows saved" in found.notes[0]


def test_intensities_are_those_of_the_whole_scan(make_plan, configuration):
    """A z-score within the box would be another one."""
    plan = make_plan({"3d_fullres": configuration(PATCH)})
    zscore = plan.but(channels=(plan.channels[0].but(normalization=Normalization(rule="zscore")),))
    networks = {"3d_fullres": [Bright()]}
    scan = phantom(((60, 50, 45), 9))
    full = Segmenter(zscore, networks, precision="fp32").segment(scan).labels
    found = Segmenter(zscore, networks, precision="fp32", fast=True).segment(scan).labels
    assert full.array.any()
    assert np.array_equal(full.array, found.array)
    assert "windows saved" in found.notes[0]


def test_what_is_measured_on_the_networks_grid_is_done_as_a_whole(make_plan, configuration):
    plan = make_plan({"3d_fullres": configuration(PATCH)}, normalized="resampled")
    fast = Segmenter(plan, {"3d_fullres": [Bright()]}, precision="fp32", fast=True)
    assert "measures intensities on the network's grid" in fast.segment(phantom()).labels.notes[0]


def test_the_clean_up_is_done_as_ever_and_notes_stay(pair):
    _, fast = pair
    cleaning = Segmenter(fast.plan, fast.networks, CleanUp(foreground=True), precision="fp32", fast=True)
    found = cleaning.segment(phantom(((60, 50, 45), 9), ((60, 50, 62), 4))).labels
    assert not found.array[60, 50, 62]
    assert "windows saved" in found.notes[0]


def test_the_count_of_windows_is_that_of_the_stages(pair):
    full, _ = pair
    scan = phantom(shape=(50, 20, 9))
    there = upright(scan, full.plan)
    assert window_count(full, there.cropped) == 6 * 2 * 1


def test_a_scan_with_other_channels_is_refused_as_ever(pair):
    _, fast = pair
    scan = phantom(shape=(8, 8, 8))
    with pytest.raises(ModelError, match="this scan has other channels"):
        fast.segment(Volume(scan.array, scan.geometry, ("CT",)))
