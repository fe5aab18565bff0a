"""`delineate segment`: labels for new scans."""

from __future__ import annotations

import enum
from pathlib import Path

import typer

from delineate.cli.options import Pet, screen, settle, user_cache
from delineate.cli.register import Kind
from delineate.cli.wishes import Keys, OnCluster, cluster_of, device, on_workers

NAME = "segment"


class Precision(enum.Enum):
    """What networks compute in, as the command line spells it."""

    auto = "auto"
    bf16 = "bf16"
    fp16 = "fp16"
    fp32 = "fp32"
    int8 = "int8"


class Engine(enum.Enum):
    """What computes networks, as the command line spells it."""

    torch = "torch"
    openvino = "openvino"
    onnx = "onnx"
    auto = "auto"


class Table(enum.Enum):
    """Formats of a table of objects."""

    csv = "csv"
    json = "json"


def command(
    context: typer.Context,
    model: Path = typer.Argument(help="A model folder."),
    scans: list[Path] = typer.Argument(
        metavar="SCAN...",
        help="A file, a DICOM folder or a folder of cases. Several files are the channels of one case where "
        "the model has several channels, else one case each.",
    ),
    out: Path = typer.Option(..., "--out", "-o", help="A label file for one case, else a folder."),
    device_: str = typer.Option("auto", "--device", help="auto, cpu or cuda."),
    mirror: bool | None = typer.Option(
        None, help="Average over mirrored copies (8 times the work in 3D); default: on a GPU only."
    ),
    probabilities: bool = typer.Option(False, help="Also write the probabilities of every structure."),
    cleanup: bool = typer.Option(True, help="Remove small components where cross-validation found it good."),
    straighten: bool = typer.Option(
        False,
        "--straighten",
        help="DICOM slices that lean, are unevenly spaced or lack one: interpolate them onto an even grid, "
        "and channels of one examination onto the slices of the first; and say so. Without it they are "
        "refused.",
    ),
    pet: Pet = typer.Option(
        Pet.suv, help="Values of DICOM PET: SUV by body weight, or as stored (Bq/ml, counts)."
    ),
    film: bool = typer.Option(
        False,
        "--film",
        help="A DICOM film (ultrasound loop): its pictures are planes, one after the other. Without it films "
        "are refused.",
    ),
    step: float = typer.Option(0.5, min=0.1, max=1.0, help="Step between windows, in patches."),
    precision: Precision = typer.Option(
        Precision.auto, help="What networks compute in; auto: bf16 where the machine multiplies it."
    ),
    engine: Engine | None = typer.Option(
        None,
        help="What computes networks; torch unless they are int8. auto: the fastest on this machine, "
        "measured once for each model. All but torch need the extra: export.",
    ),
    memory_gb: float | None = typer.Option(
        None,
        "--memory-gb",
        min=0.01,
        metavar="GB",
        help="Take no more than this, besides the program and the weights; sums that do not fit go into a "
        "file beside the results. Too little is refused, and the least that works is said.",
    ),
    register: Kind | None = typer.Option(
        None, help="Put the files of a case onto its first one before they are stacked: rigid or affine."
    ),
    fast: bool = typer.Option(
        False,
        "--fast",
        help="Seek structures on a coarse grid, look closely only at the box around them; the labels say so.",
    ),
    gate_maps: bool = typer.Option(
        False, "--gate-maps", help="Also write where an attention_unet lets features through, 0 to 1."
    ),
    adapt: bool = typer.Option(
        False,
        "--adapt",
        help="Batch norms take part of their statistics from the scan; only where `delineate adapt` has "
        "measured that it costs nothing at home. The labels say so.",
    ),
    objects: Table | None = typer.Option(
        None, help="Of a model that finds single objects: also a table of them, with boxes, scores and areas."
    ),
    sure: float | None = typer.Option(
        None,
        min=0.05,
        max=1.0,
        help="Of such a model: the score from which something is an object; default: one half.",
    ),
    cluster: OnCluster = None,
    cluster_tls: Keys = None,
) -> None:
    """Segment new scans: labels on the grid of each scan, or single objects with an id each."""
    from delineate import pipeline
    from delineate.io import Manner
    from delineate.space import RegistrationRules

    show = screen(context)
    settle()
    there = cluster_of(cluster, cluster_tls)
    how = pipeline.SegmentWishes(
        device=device(device_) if there is None else on_workers(device_),
        mirror=mirror,
        probabilities=probabilities,
        cleanup=cleanup,
        step=step,
        precision=precision.value,
        reading=Manner(straighten=straighten, pet=pet.value, film=film),
        fast=fast,
        adapt=adapt,
        gates=gate_maps,
        register=None if register is None else RegistrationRules(kind=register.value),
        engine=engine.value if engine else None,
        cache=user_cache(),
        memory_gb=memory_gb,
        objects=None if objects is None else objects.value,
        sure=sure,
    )
    if there is None:
        files = pipeline.segment(model, scans, out, how, show)
    else:
        files = pipeline.segment_on(there, model, scans, out, how, show)
    for path in files:
        show.result(str(path))
