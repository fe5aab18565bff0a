"""CT: 512 x 512 x 200, 25 and 118 classes, 64 windows of 128^3: time, memory and labels beside nnU-Net.

    python -m benchmarks ct WORK --scan example_ct.nii.gz [--peer benchmarks/.peer/bin/python] [--parts ...]

The scan is TotalSegmentator's example (3 mm), read at 0.8 x 0.8 x 2.0 mm and padded with air. The network is
the default of nnU-Net's planner (6 stages, 31.2 M parameters, 1.5 mm), with random weights: what it says is
noise, and costs the same. Its folder is nnU-Net's own kind; ours is imported from it by `import-nnunet`.
Nothing is mirrored. Memory is the peak of the summed PSS of all processes.

Parts (alone on two cores with bf16; each is kept in WORK/ct.json and not run again):
    25_bf16, 118_bf16    ours in bf16, two minutes each
    25_fp32              ours in float32, four minutes
    25_bound, 118_bound  ours in bf16 with --memory-gb (--bound), two minutes each
    25_peer              the peer, eight minutes and 10.5 GB
    logits_ours          25 classes from the network's grid to labels on the scan alone, a few seconds
    logits_peer          the peer's function for that, two minutes and 9 GB

Floors: 64 windows of 958 GFLOP at the measured rate of a matrix product (232 GFLOP/s in float32, 900 in
bf16) are 264 s and 68 s; the sums of 25 classes are 25 x 129 x 273 x 267 x 4 bytes, 0.94 GB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import cost
from delineate.inference.foreign import import_nnunet
from delineate.inference.foreign.nnunet_weights import source_name
from delineate.io import read_label_values, read_volume, write_volume
from delineate.networks import build_network
from delineate.planning import NetworkSpec
from delineate.space import Geometry, Volume, resample

SPACING, NETWORK_SPACING = (0.8, 0.8, 2.0), 1.5
AIR = -1024
RESAMPLING = {"order_z": 0, "force_separate_z": None}
INTENSITIES = {"mean": -50.4, "std": 503.4, "percentile_00_5": -1004.0, "percentile_99_5": 1588.0}
NAME = "nnUNetTrainer__nnUNetPlans__3d_fullres"


@dataclass(frozen=True)
class Size:
    """How large everything is; smaller for a test."""

    shape: tuple[int, int, int] = (512, 512, 200)
    edge: int = 128
    features: tuple[int, ...] = (32, 64, 128, 256, 320, 320)
    few: int = 25
    many: int = 118


SMALL = Size((60, 50, 24), 16, (4, 8), 3, 9)


def make_scan(source: Path, target: Path, shape: tuple[int, int, int]) -> None:
    """The example on a finer and larger grid with the same middle."""
    volume = read_volume(source)
    middle = volume.geometry.affine @ [*((n - 1) / 2 for n in volume.geometry.shape), 1]
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = middle[:3] - affine[:3, :3] @ [(n - 1) / 2 for n in shape]
    grid = Geometry(shape, affine)
    array = resample(volume.array, volume.geometry, grid, order=1, outside=AIR)
    write_volume(Volume(np.round(array).astype(np.int16), grid, ("CT",)), target)


def make_model(folder: Path, classes: int, size: Size) -> None:
    """A folder as nnU-Net's trainer leaves it, with random weights."""
    stages = len(size.features)
    strides = [[1] * 3, *[[2] * 3] * (stages - 1)]
    spec = NetworkSpec(
        features=size.features,
        strides=tuple(map(tuple, strides)),
        kernels=((3,) * 3,) * stages,
        encoder_blocks=(2,) * stages,
        decoder_blocks=(2,) * (stages - 1),
    )
    network = build_network(spec, 1, classes, seed=1)
    weights = {
        source_name(name, stages, is_kernel=tensor.ndim > 1, residual=False): tensor
        for name, tensor in network.state_dict().items()
    }
    (folder / "fold_0").mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(_plans(size, strides)))
    labels = {"background": 0} | {f"structure {n}": n for n in range(1, classes)}
    content = {"channel_names": {"0": "CT"}, "labels": labels, "numTraining": 1, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(content))
    checkpoint = {
        "network_weights": weights,
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": "3d_fullres"},
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")


def _plans(size: Size, strides: list[list[int]]) -> dict[str, object]:
    stages = len(size.features)
    data, probabilities = ({"is_seg": False, "order": order} | RESAMPLING for order in (3, 1))
    labels = {"is_seg": True, "order": 1} | RESAMPLING
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": list(size.features),
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3] * 3] * stages,
            "strides": strides,
            "n_conv_per_stage": [2] * stages,
            "n_conv_per_stage_decoder": [2] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    median = [round(n * s / NETWORK_SPACING) for n, s in zip(size.shape[::-1], SPACING[::-1], strict=True)]
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [size.edge] * 3,
        "median_image_size_in_voxels": median,
        "spacing": [NETWORK_SPACING] * 3,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": data,
        "resampling_fn_seg_kwargs": labels,
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": probabilities,
        "architecture": architecture,
        "batch_dice": False,
    }
    return {
        "dataset_name": "Dataset900_CT",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [NETWORK_SPACING] * 3,
        "original_median_shape_after_transp": median,
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            "0": INTENSITIES | {"median": 0.0, "min": -1024.0, "max": 3000.0}
        },
    }


@dataclass(frozen=True)
class Bench:
    """Where everything is."""

    work: Path
    size: Size
    peer: Path | None
    bound_gb: float

    @property
    def scan(self) -> Path:
        """The scan, as nnU-Net names it."""
        return self.work / "images" / "ct_0000.nii.gz"

    def theirs(self, classes: int) -> Path:
        """The folder of nnU-Net's kind."""
        return self.work / f"classes_{classes}" / NAME

    def model(self, classes: int) -> Path:
        """The model folder imported from it."""
        return self.work / f"classes_{classes}" / "model"

    def labels(self, part: str) -> Path:
        """What a part writes."""
        return self.work / "labels" / f"{part}.nii.gz"

    def ours(self, part: str, classes: int, *more: str) -> dict[str, object]:
        """`delineate segment`, from process start to file."""
        segment = ["-m", "delineate", "-q", "segment", str(self.model(classes)), str(self.scan)]
        spent = cost([sys.executable, *segment, "-o", str(self.labels(part)), "--no-mirror", *more])
        return asdict(spent)

    def theirs_now(self, part: str) -> dict[str, object]:
        """nnU-Net's own command, with the same weights."""
        assert self.peer is not None, "name the peer's Python with --peer"
        folder = self.theirs(self.size.few)
        script = str(Path(__file__).with_name("peer_ct.py"))
        subprocess.run([str(self.peer), script, "complete", str(folder)], check=True)
        program = str(self.peer.absolute().with_name("nnUNetv2_predict_from_modelfolder"))
        out = self.work / "peer"
        given = ["-i", str(self.scan.parent), "-o", str(out), "-m", str(folder), "-f", "0"]
        environment = {f"nnUNet_{name}": "/tmp" for name in ("raw", "results", "preprocessed")}
        pairs = [f"{key}={value}" for key, value in (environment | {"nnUNet_compile": "f"}).items()]
        spent = cost(["env", *pairs, program, *given, "-device", "cpu", "--disable_tta"])
        self.labels(part).parent.mkdir(exist_ok=True)
        (out / "ct.nii.gz").replace(self.labels(part))
        return asdict(spent)

    def logits(self) -> Path:
        """Smooth logits (class, k, j, i) in float16, as nnU-Net holds them after the last window."""
        file = self.work / "logits.npy"
        if not file.is_file():
            grid = read_volume(self.scan).geometry.respaced((NETWORK_SPACING,) * 3)
            rng = np.random.default_rng(0)
            coarse = tuple(-(-n // 8) for n in grid.shape[::-1])
            array = np.lib.format.open_memmap(file, "w+", np.float16, (self.size.few, *grid.shape[::-1]))
            for plane in array:
                fine = rng.normal(size=coarse).astype(np.float16)
                for axis in range(3):
                    fine = fine.repeat(8, axis=axis)
                plane[...] = fine[tuple(slice(n) for n in plane.shape)]
        return file

    def export_ours(self, part: str) -> dict[str, object]:
        """Logits to labels by ours, in a process of its own."""
        return self._export(part, [sys.executable, "-m", "benchmarks", "ct", str(self.work), "--export"])

    def export_theirs(self, part: str) -> dict[str, object]:
        """Logits to labels by the peer's function, in a process of its own."""
        assert self.peer is not None, "name the peer's Python with --peer"
        script = str(Path(__file__).with_name("peer_ct.py"))
        folder = str(self.theirs(self.size.few))
        return self._export(part, [str(self.peer), script, "export", folder, str(self.scan)])

    def _export(self, part: str, command: list[str]) -> dict[str, object]:
        target = self.labels(part).with_suffix("").with_suffix(".npy")
        target.parent.mkdir(exist_ok=True)
        files = [str(self.logits()), str(target)]
        spent = cost([*command, *files])
        alone = json.loads(target.with_suffix(".json").read_text())["seconds"]
        return asdict(spent) | {"seconds": alone, "process_seconds": spent.seconds}


def export(scan: Path, logits: Path, target: Path) -> None:
    """Labels on the scan's grid from logits on the network's, by what `delineate segment` does."""
    import time

    from delineate.inference.planes import Planes
    from delineate.inference.verdict import decided
    from delineate.space import LabelSchema

    onto = read_volume(scan).geometry
    array = torch.from_numpy(np.load(logits))

    class Whole:
        """Planes (class, i, j) of an array that is all there."""

        def plane(self, number: int, classes: slice) -> torch.Tensor:
            return array[classes, number].transpose(1, 2).float()

    schema = LabelSchema.of(*(f"structure {n}" for n in range(1, len(array))))
    start = time.perf_counter()
    with torch.inference_mode():
        planes = Planes(Whole(), onto.respaced((NETWORK_SPACING,) * 3), onto, 2)
        found = decided([planes], onto.shape, 2, schema, keep=False).values
    seconds = time.perf_counter() - start
    np.save(target, found)
    target.with_suffix(".json").write_text(json.dumps({"seconds": seconds}))


def parts(bench: Bench) -> dict[str, Callable[[str], dict[str, object]]]:
    """What can be measured, in the order of the table."""
    few, many = bench.size.few, bench.size.many
    bf16, bound = ("--precision", "bf16"), ("--memory-gb", str(bench.bound_gb))
    return {
        "25_bf16": lambda part: bench.ours(part, few, *bf16),
        "118_bf16": lambda part: bench.ours(part, many, *bf16),
        "25_bound": lambda part: bench.ours(part, few, *bf16, *bound),
        "118_bound": lambda part: bench.ours(part, many, *bf16, *bound),
        "logits_ours": bench.export_ours,
        "25_fp32": lambda part: bench.ours(part, few, "--precision", "fp32"),
        "logits_peer": bench.export_theirs,
        "25_peer": bench.theirs_now,
    }


def agreement(bench: Bench, one: str, other: str) -> float | None:
    """The share of voxels with one label."""
    images = [bench.labels(part) for part in (one, other)]
    arrays = [image.with_suffix("").with_suffix(".npy") for image in images]
    if all(file.is_file() for file in images):
        here, there = (read_label_values(file).array for file in images)
    elif all(file.is_file() for file in arrays):
        here, there = (np.load(file) for file in arrays)
    else:
        return None
    return float((here == there).mean())


PAIRS = (
    ("25_bf16", "25_peer"),
    ("25_fp32", "25_peer"),
    ("25_bf16", "25_fp32"),
    ("25_bound", "25_bf16"),
    ("118_bound", "118_bf16"),
    ("118_bf16", "25_bf16"),
    ("logits_ours", "logits_peer"),
)


def table(bench: Bench, kept: dict[str, dict[str, float]]) -> str:
    """What was measured, in Markdown."""
    lines = ["| part | seconds | peak memory, GB |", "|---|---|---|"]
    for name, spent in kept.items():
        lines.append(f"| {name} | {spent['seconds']:.1f} | {spent['megabytes'] / 1000:.2f} |")
    lines += ["", "| pair | time | memory | same labels |", "|---|---|---|---|"]
    for one, other in PAIRS:
        if one in kept and other in kept:
            time, memory = (kept[other][what] / kept[one][what] for what in ("seconds", "megabytes"))
            same = None if one[:3] != other[:3] else agreement(bench, one, other)
            told = "" if same is None else f"{same:.5f}"
            lines.append(f"| {other} / {one} | {time:.2f}x | {memory:.2f}x | {told} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks ct", description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--scan", type=Path, help="TotalSegmentator's example_ct.nii.gz")
    parser.add_argument("--peer", type=Path, help="the Python of the peer's environment")
    parser.add_argument("--parts", help="some of them, separated by commas; else all, the peer's with --peer")
    parser.add_argument("--bound", type=float, default=1.6, help="GB of --memory-gb")
    parser.add_argument("--small", action="store_true", help="everything tiny: whether it runs")
    parser.add_argument("--export", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    bench = Bench(given.work.resolve(), SMALL if given.small else Size(), given.peer, given.bound)
    if given.export:
        export(bench.scan, *given.export)
        return
    if not bench.scan.is_file():
        make_scan(given.scan, bench.scan, bench.size.shape)
    for classes in (bench.size.few, bench.size.many):
        if not bench.model(classes).is_dir():
            make_model(bench.theirs(classes), classes, bench.size)
            import_nnunet(bench.theirs(classes), bench.model(classes))
    results = bench.work / "ct.json"
    kept = json.loads(results.read_text()) if results.is_file() else {}
    todo = parts(bench)
    chosen = given.parts.split(",") if given.parts else [n for n in todo if given.peer or "peer" not in n]
    for name in chosen:
        if name not in kept:
            kept[name] = todo[name](name)
            results.write_text(json.dumps(kept, indent=1))
            print(json.dumps({name: kept[name]}), flush=True)
    told = f"{prod(bench.size.shape)} voxels\n\n{table(bench, kept)}\n"
    (bench.work / "ct.md").write_text(told)
    print(told)
