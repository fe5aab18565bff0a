"""Engines: one window through every engine and precision: time, operations a second, share of the peak.

    python -m benchmarks engines [MODEL ...] [--rounds 20] [--out FOLDER]

Without MODEL two networks with random weights: that of the hippocampus (windows of 40 x 56 x 40) and the
large one of a CT with 25 classes (128 x 128 x 128). The peak is the best matrix product found in the same
run, of torch and of OpenVINO, in the same numbers; engines and products take turns, so that a noisy minute
hits all of them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from delineate.inference.engines import Runtime
from delineate.inference.engines.choice import machine
from delineate.inference.engines.graph import exported, windows
from delineate.inference.engines.packages import package
from delineate.inference.quantise import quantised
from delineate.io.disk import write_json, write_text
from delineate.networks import Facts, Model, autocast_type, build_network, inputs_of, write_model
from delineate.networks.model import write_quantised
from delineate.planning.plan import (
    Augmentation,
    ChannelPlan,
    Configuration,
    NetworkSpec,
    Normalization,
    Plan,
    Training,
)
from delineate.space import LabelSchema

CPU = torch.device("cpu")
NAME = "3d_fullres"
EDGE = 2048  # of the matrices
NETWORKS = {
    "hippocampus": ((32, 64, 128, 256), (40, 56, 40), 3),
    "CT": ((32, 64, 128, 256, 320, 320), (128, 128, 128), 25),
}
WINDOWS = 4  # that int8 is fitted to: random weights need no more
HEADS = ("network", "engine", "numbers", "ms a window", "GFLOP/s", "share of the peak")


@dataclass(frozen=True)
class Row:
    network: str
    engine: str
    numbers: str
    milliseconds: float
    gflops: float
    share: float


@dataclass(frozen=True)
class Work:
    """Something to time: `run` does `operations`; a product when there is no engine."""

    engine: str
    numbers: str
    operations: float
    run: Callable[[], object]


def untrained(folder: Path, features: tuple[int, ...], patch: tuple[int, ...], outputs: int) -> Model:
    """A model folder with a planned U-Net of random weights."""
    stages = len(features)
    spec = NetworkSpec(
        features=features,
        strides=((1, 1, 1), *((2, 2, 2),) * (stages - 1)),
        kernels=((3, 3, 3),) * stages,
        encoder_blocks=(2,) * stages,
        decoder_blocks=(2,) * (stages - 1),
        deep_supervision=False,
    )
    configuration = Configuration(
        spacing=(1.0, 1.0, 1.0), median_shape=patch, patch=patch, batch=2, network=spec, batch_dice=False
    )
    plan = Plan(
        dataset="random",
        fingerprint="0" * 64,
        labels=LabelSchema.of(*(f"structure {n}" for n in range(1, outputs))),
        channels=(ChannelPlan(name="image", normalization=Normalization(rule="zscore")),),
        orientation="RAS",
        configurations={NAME: configuration},
        use=(NAME,),
        augmentation={NAME: Augmentation()},
        training=Training(
            optimizer="adamw", learning_rate=1e-3, weight_decay=0.01, schedule="cosine", steps=1
        ),
        reasons={},
    )
    weights = {NAME: {0: build_network(spec, 1, outputs).state_dict()}}
    facts = Facts(created="2026-11-20", cases=1, patients=1)
    return write_model(folder, plan=plan, weights=weights, card="", facts=facts)


def in_int8(model: Model, folder: Path) -> Model:
    """The model in int8, fitted to noise."""
    graphs: dict[str, dict[int, tuple[bytes, bytes]]] = {}
    for name, folds in model.folds.items():
        configuration, channels = model.plan.configuration(name), inputs_of(model.plan, name)
        noise = list(windows(configuration, channels, WINDOWS))
        for fold in folds:
            graph = exported(model.network(name, fold), configuration, channels)
            graphs.setdefault(name, {})[fold] = quantised(graph, noise)
    return write_quantised(folder, model, graphs)


def products(edge: int) -> list[Work]:
    """Matrix products in every kind of numbers; int8 is counted as what torch does with it."""
    rng = torch.Generator().manual_seed(0)
    a = torch.randn(edge, edge, generator=rng)
    whole = (a * 20).clamp(-100, 100).to(torch.int8)
    size = 2.0 * edge**3
    found = [Work("", "f32", size, lambda: a @ a)]
    if autocast_type("auto", CPU) is torch.bfloat16:
        half = a.bfloat16()
        found.append(Work("", "bf16", size, lambda: half @ half))
    found.append(Work("", "int8", size, lambda: torch._int_mm(whole, whole)))  # noqa: SLF001 - no other name
    return found + [_openvino_product(edge, work.numbers) for work in found if work.numbers != "int8"]


def _openvino_product(edge: int, numbers: str) -> Work:
    openvino = package("openvino", "this benchmark")
    ops = openvino.opset13
    left, right = (ops.parameter([edge, edge], np.float32, name) for name in "ab")
    model = openvino.Model([ops.matmul(left, right, False, False)], [left, right])
    settings = {"INFERENCE_PRECISION_HINT": numbers, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    a = torch.randn(edge, edge, generator=torch.Generator().manual_seed(0)).numpy()
    return Work("", numbers, 2.0 * edge**3, lambda: request.infer([a, a], share_inputs=True))


def engines(model: Model, small: Model) -> list[Work]:
    """One window of a model's first configuration in every engine."""
    name = model.plan.use[0]
    configuration, channels = model.plan.configuration(name), inputs_of(model.plan, name)
    fold, one = model.folds[name][0], windows(configuration, channels, 1)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model.network(name, fold)(one)
    size = float(counter.get_total_flops())
    wishes = [
        ("torch", "fp32"),
        ("torch", "bf16"),
        ("onnx", "fp32"),
        ("openvino", "fp32"),
        ("openvino", "bf16"),
    ]
    if autocast_type("auto", CPU) is not torch.bfloat16:
        wishes = [wish for wish in wishes if wish[1] != "bf16"]
    found = []
    for engine, precision in wishes:
        network = Runtime(engine, precision).network(model, name, fold)  # type: ignore[arg-type]
        found.append(_window(engine, precision, network, one, size))
    int8 = Runtime("openvino", "int8").network(small, name, fold)
    return [*found, _window("openvino", "int8", int8, one, size)]


def _window(engine: str, precision: str, network: object, one: torch.Tensor, size: float) -> Work:
    numbers = {"fp32": "f32"}.get(precision, precision)
    of_torch = engine == "torch"
    lower = torch.bfloat16 if of_torch and precision == "bf16" else None
    # Two for torch in 3D in float32, as when scans are segmented: see `Predictor`.
    batch = torch.cat((one, one)) if of_torch and lower is None and one.ndim == 5 else one

    def run() -> None:
        with torch.autocast("cpu", lower, enabled=lower is not None):
            network(batch)  # type: ignore[operator]

    return Work(engine, numbers, size * len(batch), run)


def timed(works: list[Work], rounds: int) -> list[float]:
    """The median seconds of each, in turns; the first turn does not count."""
    lasted: list[list[float]] = [[] for _ in works]
    with torch.inference_mode():
        for _ in range(1 + rounds):
            for work, its in zip(works, lasted, strict=True):
                start = time.perf_counter()
                work.run()
                its.append(time.perf_counter() - start)
    return [median(its[1:]) for its in lasted]


def compared(name: str, model: Model, small: Model, rounds: int, edge: int = EDGE) -> list[Row]:
    """The rows of one network."""
    kernels = products(edge)
    subjects = engines(model, small)
    times = timed([*kernels, *subjects], rounds)
    peak: dict[str, float] = {}
    for work, seconds in zip(kernels, times, strict=False):
        peak[work.numbers] = max(peak.get(work.numbers, 0.0), work.operations / seconds)
    one = min(work.operations for work in subjects)
    rows = [Row(name, "matrix product", numbers, 0.0, best / 1e9, 1.0) for numbers, best in peak.items()]
    for work, seconds in zip(subjects, times[len(kernels) :], strict=True):
        rate = work.operations / seconds
        its = 1000 * seconds * one / work.operations
        rows.append(Row(name, work.engine, work.numbers, its, rate / 1e9, rate / peak[work.numbers]))
    return rows


def markdown(rows: list[Row]) -> str:
    lines = [
        f"{machine()}, {torch.get_num_threads()} threads.",
        "",
        "| " + " | ".join(HEADS) + " |",
        "|---" * len(HEADS) + "|",
    ]
    for row in rows:
        ms = f"{row.milliseconds:.1f}" if row.milliseconds else ""
        cells = (row.network, row.engine, row.numbers, ms, f"{row.gflops:.0f}", f"{row.share:.0%}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks engines", description=__doc__)
    parser.add_argument("models", type=Path, nargs="*", metavar="MODEL")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "work" / "engines")
    given = parser.parse_args(arguments)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        opened = {path.resolve().parent.name: Model.open(path) for path in given.models}
        for name, (features, patch, outputs) in NETWORKS.items() if not opened else ():
            opened[name] = untrained(folder / name, features, patch, outputs)
        for name, model in opened.items():
            rows += compared(name, model, in_int8(model, folder / f"{name}_int8"), given.rounds)
            print(json.dumps([asdict(row) for row in rows[-7:]]), flush=True)
    write_json(given.out / "engines.json", [asdict(row) for row in rows])
    write_text(given.out / "engines.md", markdown(rows))
    print(markdown(rows))
