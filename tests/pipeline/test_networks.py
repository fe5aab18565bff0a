"""Every network, from its name to labels: planned, trained for two steps, packed and asked."""

import numpy as np
import pytest
import torch

from delineate.errors import PlanError, RunError
from delineate.inference import Segmenter
from delineate.io import write_labels, write_volume
from delineate.io.disk import write_json
from delineate.pipeline import PlanWishes, Unwatched
from delineate.pipeline import stages as pipeline
from delineate.planning import ARCHITECTURES
from delineate.space import Geometry, LabelMap, Volume
from delineate.space.phantoms import balls

HEAVY = ("mednext_b", "mednext_m", "mednext_l", "original_unet", "swinunetr", "unetr")
LARGE = ("deeplabv3plus", "fcn8s", "original_unet_padded", "segnet", "segresnet", "unet3d")  # in 3D
SMALL = {"training.precision": "fp32", "training.validate_every": 2, "training.validation_batches": 1}


@pytest.fixture(scope="module")
def scans():
    """Flat and solid scans with two balls each."""
    solid = [balls(np.random.default_rng(n), size=24) for n in range(4)]
    return {2: [_flat(*pair) for pair in solid], 3: solid}


def _flat(scan, labels):
    grid = Geometry((*scan.geometry.shape[:2], 1), scan.geometry.affine)
    middle = slice(12, 13)
    return (
        Volume(scan.array[..., middle], grid, scan.channels),
        LabelMap(labels.array[..., middle], grid, labels.schema),
    )


@pytest.fixture(scope="module")
def folders(scans, tmp_path_factory):
    made = {}
    for dims, pairs in scans.items():
        folder = tmp_path_factory.mktemp(f"balls_{dims}") / "Dataset001_Balls"
        for number, (scan, labels) in enumerate(pairs):
            write_volume(scan, folder / "imagesTr" / f"ball_{number:02d}_0000.nii.gz")
            write_labels(labels, folder / "labelsTr" / f"ball_{number:02d}.nii.gz")
        names = {"background": 0, "large ball": 1, "small ball": 2}
        about = {"channel_names": {"0": "MR"}, "labels": names, "numTraining": 4, "file_ending": ".nii.gz"}
        write_json(folder / "dataset.json", about)
        made[dims] = folder
    return made


def _through(name, dims, scans, folders, folder):
    torch.set_num_threads(1)
    wishes = PlanWishes(steps=2, network=name, folds=(0,), by_hand=SMALL)
    made = pipeline.plan(folders[dims], folder, wishes, Unwatched())
    assert made.configuration().network.dims == dims
    wanted = "mednext" if name.startswith("mednext") else name.removesuffix("_padded")
    assert made.configuration().network.kind == wanted
    pipeline.train(folder, pipeline.TrainingWishes(workers=1), Unwatched())
    scan, labels = scans[dims][0]
    scan = Volume(scan.array, scan.geometry, ("MR",))
    pipeline.evaluate(folder, Unwatched())
    model = pipeline.pack(folder)
    found = Segmenter.open(model).segment(scan)
    assert found.labels.geometry.same_place(labels.geometry)


EVERY = [(name, dims) for name in ARCHITECTURES for dims in (2, 3)]
QUICK = [(name, dims) for name, dims in EVERY if name not in HEAVY and (dims == 2 or name not in LARGE)]


@pytest.mark.parametrize(("name", "dims"), QUICK)
def test_a_name_is_all_it_takes_to_train_and_segment(name, dims, scans, folders, tmp_path):
    _through(name, dims, scans, folders, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "dims"), [pair for pair in EVERY if pair not in QUICK])
def test_and_for_the_heavy_ones(name, dims, scans, folders, tmp_path):
    _through(name, dims, scans, folders, tmp_path / "run")


def test_another_network_needs_another_plan(folders, tmp_path):
    pipeline.plan(folders[2], tmp_path / "run", PlanWishes(steps=2), Unwatched())
    with pytest.raises(RunError, match="now preset default and its memory, network vnet is asked for"):
        pipeline.plan(folders[2], tmp_path / "run", PlanWishes(steps=2, network="vnet"), Unwatched())


def test_a_preset_and_a_network_contradict_each_other(folders, tmp_path):
    wishes = PlanWishes(steps=2, network="vnet", preset="L")
    with pytest.raises(PlanError, match="the preset L is a residual U-Net: choose it or the network vnet"):
        pipeline.plan(folders[2], tmp_path / "run", wishes, Unwatched())
