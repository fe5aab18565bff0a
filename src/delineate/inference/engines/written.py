"""Written: a model's networks as files for other programs, with a page that says how to use them."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Literal

import torch

from delineate.errors import ModelError
from delineate.inference.engines.graph import INPUT, MOST, OUTPUT, check_same, difference, exported, windows
from delineate.inference.engines.instructions import after, before
from delineate.inference.engines.onnx_engine import OnnxRuntime
from delineate.inference.engines.openvino_engine import OpenVino, read_graph
from delineate.inference.engines.packages import package
from delineate.io.disk import replacing
from delineate.networks.build import inputs_of
from delineate.networks.model import Model
from delineate.progress import Progress, silent
from delineate.record import Record

Form = Literal["onnx", "openvino"]
ABOUT = "about.json"
ALLOWED = f"below {MOST:g}, or {MOST:g} of the largest logit where that is above 1"


class WrittenNetwork(Record):
    """One network in a file.

    input, output       name, shape and meaning of each axis
    spacing             mm along the axes of the input
    largest_difference  of a logit from torch's, in float32; largest_logit says of what
    """

    file: str
    configuration: str
    fold: int
    input: str
    output: str
    spacing: tuple[float, ...]
    largest_difference: float
    largest_logit: float


class Written(Record):
    """What was written, in plain words: enough to use the networks without this program.

    before  what is done to a scan, in this order
    after   what is done to the logits, in this order
    """

    version: Literal[1] = 1
    model: str
    sha256: str
    made_with: dict[str, str]
    before: tuple[str, ...]
    networks: tuple[WrittenNetwork, ...]
    after: tuple[str, ...]


def write_networks(model: Model, folder: Path, form: Form, *, progress: Progress = silent) -> Written:
    """Writes every network of a model and `about.json`, whole or not at all.

    Raises:
        ModelError: a network cannot be converted or gives other logits, or the folder holds something else.
        MissingPackage: the runtime is not installed that compares them.
    """
    if model.is_quantised:
        raise ModelError(
            f"{model.folder}: its networks are OpenVINO's already: CONFIGURATION/fold_N.xml and .bin. Export "
            "the model that it was made from."
        )
    if folder.exists() and not (folder / ABOUT).is_file():
        raise ModelError(f"{folder}: is there already. Name a new folder; nothing is overwritten.")
    pairs = [(name, fold) for name, folds in model.folds.items() for fold in folds]
    networks = []
    with replacing(folder) as temporary:
        temporary.mkdir()
        for number, (name, fold) in enumerate(pairs):
            progress(number, len(pairs), f"{name} fold {fold}")
            networks.append(_written(model, name, fold, temporary, form))
        written = Written(
            model=model.plan.dataset,
            sha256=model.digest,
            made_with=_made_with(form),
            before=before(model.plan),
            networks=tuple(networks),
            after=after(model.plan, model.cleanup),
        )
        (temporary / ABOUT).write_text(written.to_json(), encoding="utf-8")
    progress(len(pairs), len(pairs), "")
    return written


def _written(model: Model, name: str, fold: int, folder: Path, form: Form) -> WrittenNetwork:
    configuration, channels = model.plan.configuration(name), inputs_of(model.plan, name)
    network = model.network(name, fold)
    graph = exported(network, configuration, channels)
    file = folder / f"{name}_fold_{fold}.{'onnx' if form == 'onnx' else 'xml'}"
    threads = torch.get_num_threads()
    if form == "onnx":
        file.write_bytes(graph)
        engine: OnnxRuntime | OpenVino = OnnxRuntime(file.read_bytes(), threads)
    else:
        openvino = package("openvino", "writing networks for OpenVINO")
        openvino.save_model(read_graph(graph), file, compress_to_fp16=False)
        engine = OpenVino((file.read_bytes(), file.with_suffix(".bin").read_bytes()), "f32", threads)
    apart = difference(network, engine, windows(configuration, channels))
    check_same(apart, f"{name} fold {fold} as {form}")
    edges = ", ".join(map(str, configuration.edges))
    axes = "i, j, k" if configuration.slice_axis is None else "the two axes in the slice, i before j before k"
    return WrittenNetwork(
        file=file.name,
        configuration=name,
        fold=fold,
        input=f"{INPUT}: float32 [any number of windows, {channels} channels, {edges}]; edges along {axes}",
        output=f"{OUTPUT}: float32 [windows, {len(model.plan.labels.outputs)} classes, {edges}]",
        spacing=tuple(s for n, s in enumerate(configuration.spacing) if n != configuration.slice_axis),
        largest_difference=apart.largest,
        largest_logit=apart.of,
    )


def _made_with(form: Form) -> dict[str, str]:
    names = ("onnx", "onnxruntime" if form == "onnx" else "openvino")
    versions = {name: importlib.metadata.version(name) for name in ("delineate", *names)}
    return versions | {"torch": str(torch.__version__), "allowed difference": ALLOWED}
