"""`delineate export`: a model's networks for other programs."""

from __future__ import annotations

import enum
from pathlib import Path

import typer

from delineate.cli.options import screen

NAME = "export"


class Form(enum.Enum):
    """Formats of networks, as the command line spells them."""

    onnx = "onnx"
    openvino = "openvino"


def command(
    context: typer.Context,
    model: Path = typer.Argument(metavar="MODEL", help="A model folder."),
    out: Path = typer.Argument(metavar="OUT", help="The folder to write."),
    form: Form = typer.Option(Form.onnx, "--format", help="ONNX, or the two files of OpenVINO."),
) -> None:
    """Write a model's networks as ONNX or for OpenVINO, with a page that says how to use them.

    Each is compared with torch, and refused if a logit differs by a thousandth or more (of the largest logit,
    where that is above 1). Needs the extra: export.
    """
    from delineate.inference.engines import write_networks
    from delineate.networks import Model

    show = screen(context)
    with show.stage("export") as progress:
        written = write_networks(Model.open(model), out, form.value, progress=progress)
    for network in written.networks:
        show.result(f"{out / network.file}  (differs from torch by {network.largest_difference:.1g} at most)")
    show.result(str(out / "about.json"))
