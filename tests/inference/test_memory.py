import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from delineate.errors import PlanError
from delineate.inference import Segmenter
from delineate.inference.layout import Layout
from delineate.inference.memory import GB, Load, Work, fitted
from delineate.networks import build_network
from delineate.space import Geometry, LabelSchema

SHAPE = (512, 512, 200)
NETWORK = (273, 273, 267)


def load(outputs=25, batch=1, least=1, classes=25):
    return Load(
        "3d_fullres",
        Layout.on(NETWORK, (128, 128, 128), outputs, batch, 0.5),
        classes=classes,
        least=least,
        window=800_000_000,
        fixed=60_000_000,
    )


def work(**changes):
    return Work(**{"scan": SHAPE, "channels": 1, "onto": SHAPE} | changes)


def least(work, loads, *, disk):
    """The bound that the refusal names."""
    with pytest.raises(PlanError, match=r"within 0 GB is not possible.*smallest bound that works is") as told:
        fitted(work, loads, bound_gb=0, disk=disk)
    return float(re.search(r"works is ([\d.]+) GB", str(told.value))[1])


def test_with_room_nothing_gives_way():
    plan = fitted(work(), [load(batch=4)], bound_gb=100, disk=True)
    assert plan.batches == {"3d_fullres": 4}
    assert not plan.on_disk
    assert plan.shares["sums"] == 4 * 25 * 129 * 273 * 267


def test_first_fewer_windows_at_once_then_sums_in_a_file():
    steps = [fitted(work(), [load(batch=4)], bound_gb=gb, disk=True) for gb in (9, 4, 2.5, 1.5)]
    assert [(each.batches["3d_fullres"], each.on_disk) for each in steps] == [
        (4, False),
        (2, False),
        (1, False),
        (1, True),
    ]
    assert steps[-1].file == 4 * 25 * 129 * 273 * 267
    assert all(each.most <= gb * GB for each, gb in zip(steps, (9, 4, 2.5, 1.5), strict=True))


@pytest.mark.parametrize("disk", [False, True])
def test_the_smallest_bound_that_is_named_works_and_a_little_less_does_not(disk):
    named = least(work(), [load(batch=4)], disk=disk)
    assert fitted(work(), [load(batch=4)], bound_gb=named, disk=disk).most <= named * GB
    with pytest.raises(PlanError, match=f"works is {named:.2f} GB"):
        fitted(work(), [load(batch=4)], bound_gb=named - 0.02, disk=disk)


def test_without_a_folder_the_refusal_says_that_one_would_help():
    with pytest.raises(PlanError, match="Give a folder for a file of sums as well"):
        fitted(work(), [load()], bound_gb=1, disk=False)


def test_the_bound_hardly_grows_with_the_classes_where_features_are_fewer():
    few, many = (least(work(), [load(32, classes=n)], disk=True) for n in (33, 118))
    assert many < 1.02 * few


def test_probabilities_are_counted():
    plain = fitted(work(), [load()], bound_gb=99, disk=True)
    kept = fitted(work(keep=True), [load()], bound_gb=99, disk=True)
    assert kept.most - plain.most > 4 * 25 * 512 * 512 * 200


def test_the_plan_is_told_in_a_line():
    told = str(fitted(work(), [load()], bound_gb=1.5, disk=True))
    assert re.fullmatch(
        r"\d\.\d\d GB: network .*, sums .*, planes .*, scan .*, labels .*, program .* \(0\.94 GB of sums in "
        r"a file\); preparing .*, finishing .*; rows across i, 1 windows at once",
        told,
    )


# ---- a segmenter within its bound


@pytest.fixture
def many(make_plan):
    """20 classes and 4 features."""
    plan = make_plan(labels=LabelSchema.of(*(f"bone {n}" for n in range(19))))
    return plan, {"3d_fullres": [build_network(plan.configuration("3d_fullres").network, 1, 20).eval()]}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("mirror", [False, True])
def test_fewer_windows_at_once_and_sums_in_a_file_change_no_bit(
    precision, mirror, many, make_scan, tmp_path, monkeypatch
):
    scan = make_scan((31, 20, 17), (1.1, 0.9, 1.3))
    how = {"precision": precision, "mirror": mirror, "batch": 8}
    free = Segmenter(*many, **how).segment(scan, probabilities=True)
    segmenter = Segmenter(*many, **how, memory_gb=10, scratch=tmp_path)
    plan = segmenter.memory(scan.geometry)
    assert (plan.batches["3d_fullres"], plan.on_disk) == (8, False)
    tight = replace(plan, on_disk=True, batches={"3d_fullres": 2})
    monkeypatch.setattr(Segmenter, "memory", lambda *_, **__: tight)
    bound = segmenter.segment(scan, probabilities=True)
    assert np.array_equal(free.labels.array, bound.labels.array)
    assert np.array_equal(free.probabilities.array, bound.probabilities.array)
    assert list(tmp_path.iterdir()) == []


def test_too_little_is_refused_before_the_work_and_what_is_named_is_enough(many, make_scan):
    scan, seen = make_scan((31, 20, 17)), []
    with pytest.raises(PlanError, match="smallest bound that works is") as told:
        Segmenter(*many, memory_gb=0.001).segment(scan, progress=lambda *at: seen.append(at))
    assert seen == []
    named = float(re.search(r"works is ([\d.]+) GB", str(told.value))[1])
    Segmenter(*many, memory_gb=named).segment(scan)


def test_configurations_together_are_counted_together(make_plan, make_network, configuration, make_scan):
    both = {
        "2d": configuration((8, 8, 1), slice_axis=2),
        "3d_fullres": configuration((8, 8, 8), spacing=(1.5, 1.5, 1.5)),
    }
    networks = {"2d": [make_network(1, 3, dims=2)], "3d_fullres": [make_network(1, 3)]}
    segmenter = Segmenter(make_plan(both), networks, memory_gb=1, precision="fp32")
    scan = make_scan((14, 12, 13))
    plan = segmenter.memory(scan.geometry)
    assert set(plan.batches) == {"2d", "3d_fullres"}
    assert "windows at once" in str(plan)
    free = Segmenter(make_plan(both), networks, precision="fp32").segment(scan)
    assert np.array_equal(segmenter.segment(scan).labels.array, free.labels.array)


def test_shapes_alone_are_asked(many):
    """A scan of a size that no machine holds is planned at once."""
    segmenter = Segmenter(*many, memory_gb=1e9)
    plan = segmenter.memory(Geometry((20_000, 20_000, 20_000), np.eye(4)))
    assert plan.most > 1e13


PROGRAM = """
import json, resource, sys
from pathlib import Path
import numpy as np, torch
torch.set_num_threads(1)
from delineate.inference import Segmenter
from delineate.networks import build_network
from delineate.networks.allocator import keep_memory
from delineate.planning.plan import NetworkSpec
from delineate.space import Geometry, LabelSchema, Volume
from tests.inference.conftest import _configuration, _plan

if sys.argv[1] == "keep":
    keep_memory()
classes, gb = int(sys.argv[2]), float(sys.argv[3])
spec = NetworkSpec(
    features=(16, 24), strides=((1,) * 3, (2,) * 3), kernels=((3,) * 3,) * 2,
    encoder_blocks=(2, 2), decoder_blocks=(2,),
)
plan = _plan({"3d_fullres": _configuration((48, 48, 48)).but(network=spec)},
    labels=LabelSchema.of(*(f"bone {n}" for n in range(1, classes))))
networks = {"3d_fullres": [build_network(spec, 1, classes).eval()]}
rng = np.random.default_rng(0)
shape = (70, 120, 120)
scan = Volume(rng.normal(size=(1, *shape)).astype(np.float32), Geometry(shape, np.eye(4)), ("T1",))
segmenter = Segmenter(plan, networks, precision="bf16", batch=1, memory_gb=gb, scratch=Path("."))
told = segmenter.memory(scan.geometry, given=scan.array.nbytes, held=scan.array.nbytes)
status = lambda key: next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith(key)) * 1024
before = status("VmRSS") - scan.array.nbytes
segmenter.segment(scan)
print(json.dumps([told.most, status("VmHWM") - before, told.on_disk]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    ("allocator", "classes", "gb", "on_disk"),
    [("keep", 16, 9, False), ("keep", 90, 0.11, True), ("give back", 90, 9, False)],
)
def test_what_is_told_beforehand_is_what_it_takes(allocator, classes, gb, on_disk, tmp_path):
    """The peak of a process of its own; file pages that the system keeps for it count as well."""
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, allocator, str(classes), str(gb)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        check=True,
        capture_output=True,
        text=True,
    )
    told, taken, by_file = json.loads(done.stdout)
    assert by_file == on_disk
    assert taken <= told
    assert taken > 0.3 * told
