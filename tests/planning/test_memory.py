import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from delineate.planning import make_plan
from delineate.planning.memory import (
    TRAINING,
    convolutions,
    feature_values,
    forward_operations,
    training_operations,
)
from delineate.planning.plan import NetworkSpec
from delineate.planning.topology import topology

COUNTS = json.loads((Path(__file__).parent / "peer_counts.json").read_text())


def plain(size, spacing=None, width=32, blocks=2):
    shape = topology(spacing or (1,) * len(size), size)
    n = len(shape.strides)
    return NetworkSpec(
        features=tuple(min(320, width * 2**stage) for stage in range(n)),
        strides=shape.strides,
        kernels=shape.kernels,
        encoder_blocks=(blocks,) * n,
        decoder_blocks=(blocks,) * (n - 1),
    )


def spec_of(counted):
    return NetworkSpec(
        kind=counted["kind"],
        features=tuple(counted["features"]),
        strides=tuple(map(tuple, counted["strides"])),
        kernels=tuple(map(tuple, counted["kernels"])),
        encoder_blocks=tuple(counted["encoder_blocks"]),
        decoder_blocks=tuple(counted["decoder_blocks"]),
    )


@pytest.mark.parametrize("counted", COUNTS, ids=lambda c: f"{c['kind']}-{'x'.join(map(str, c['edges']))}")
def test_feature_values_are_the_peers_count(counted):
    assert feature_values(spec_of(counted), counted["edges"], counted["outputs"]) == counted["values"]


def test_the_residual_network_that_the_authors_publish():
    shape = topology((1, 1, 1), (128, 128, 128))
    spec = NetworkSpec(
        kind="residual_unet",
        features=(32, 64, 128, 256, 320, 320),
        strides=shape.strides,
        kernels=shape.kernels,
        encoder_blocks=(1, 3, 4, 6, 6, 6),
        decoder_blocks=(1,) * 5,
    )
    coarser_heads = 3 * (64**3 + 32**3 + 16**3 + 8**3)  # counted there, but not when a plan is made
    assert (
        feature_values(spec, (128, 128, 128), 3) + coarser_heads == 558_319_104
    )  # stands in nnU-Net's source


def test_a_stage_by_hand():
    spec = NetworkSpec(
        features=(4, 8),
        strides=((1, 1), (2, 2)),
        kernels=((3, 3), (3, 3)),
        encoder_blocks=(1, 2),
        decoder_blocks=(1,),
    )
    encoder = 4 * 64 + 2 * 8 * 16
    decoder = 2 * 4 * 64  # what is brought up, and one convolution
    assert feature_values(spec, (8, 8), 5) == encoder + decoder + 5 * 64
    up = 2 * 8 * 4 * 1 * 64
    convs = 2 * 9 * (1 * 4 * 64 + 4 * 8 * 16 + 8 * 8 * 16 + 8 * 4 * 64)
    assert forward_operations(spec, (8, 8), 1, 5) == up + convs + 2 * 4 * 5 * 64


@pytest.mark.parametrize(
    ("size", "batch", "outputs", "gflop"), [((40, 56, 40), 2, 3, 76.6), ((128, 128, 128), 1, 25, 958)]
)
def test_operations_are_those_measured_on_the_peer(size, batch, outputs, gflop):
    assert forward_operations(plain(size), size, 1, outputs) * batch / 1e9 == pytest.approx(gflop, rel=1e-3)


def test_training_costs_three_times_the_forward_pass():
    spec = plain((32, 32))
    assert training_operations(spec, (32, 32), 3, 2) == TRAINING * forward_operations(spec, (32, 32), 3, 2)


def test_without_deep_supervision_there_is_one_head():
    spec = plain((32, 32, 32))
    finest = 2 * 32 * 7 * 32**3
    heads = forward_operations(spec, (32,) * 3, 1, 7) - sum(
        c.operations for c in convolutions(spec, (32,) * 3, 1)
    )
    assert heads > finest
    single = spec.but(deep_supervision=False)
    assert (
        forward_operations(single, (32,) * 3, 1, 7)
        == forward_operations(spec, (32,) * 3, 1, 7) - heads + finest
    )


def test_twice_the_width_is_almost_four_times_the_work_and_twice_the_memory():
    narrow, wide = plain((64, 64), width=16), plain((64, 64), width=32)
    assert feature_values(wide, (64, 64), 2) / feature_values(narrow, (64, 64), 2) == pytest.approx(
        2, abs=0.1
    )
    ratio = forward_operations(wide, (64, 64), 1, 2) / forward_operations(narrow, (64, 64), 1, 2)
    assert 3 < ratio < 4


def test_work_grows_with_the_patch():
    spec = plain((64, 64, 64))
    assert forward_operations(spec, (128, 64, 64), 1, 2) == 2 * forward_operations(spec, (64, 64, 64), 1, 2)


STEP = """
import json, sys
import torch
from delineate.networks import build_network
from delineate.planning import NetworkSpec

def peak():  # not ru_maxrss: a new process starts with the peak of the one that started it
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1e6

spec = NetworkSpec.from_json(sys.argv[1], where="spec")
edges, batch = json.loads(sys.argv[2]), int(sys.argv[3])
network = build_network(spec, 1, 3).train()
before = peak()
with torch.autocast("cpu", torch.bfloat16):
    logits = network(torch.rand(batch, 1, *edges))
sum(level.float().square().mean() for level in logits).backward()
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "preset"), [("3d_fullres", "default"), ("2d", "M")])
def test_a_training_step_fits_about_the_memory_of_its_plan(name, preset, fingerprint_of):
    found = fingerprint_of([(300, 300, 300)] * 30, (1, 1, 1))
    made = make_plan(found, memory_gb=0.4, preset=preset).configuration(name)
    asked = [made.network.to_json(), json.dumps(made.edges), str(made.batch)]
    done = subprocess.run([sys.executable, "-c", STEP, *asked], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1.25 * 0.4 + 0.15  # GB; the weights and their gradients besides


@pytest.mark.peer
@pytest.mark.slow
def test_the_stored_counts_are_what_the_peer_counts_now(peer_python):
    script = Path(__file__).parent / "peer_counts.py"
    asked = [{key: value for key, value in counted.items() if key != "values"} for counted in COUNTS]
    done = subprocess.run(
        [peer_python, script], input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [counted["values"] for counted in COUNTS]
    assert math.prod(COUNTS[0]["edges"]) > 0
