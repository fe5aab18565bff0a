"""Quantise: convolutions in int8, by looking at what a network computes on a few windows of scans.

Weights are rounded channel by channel, activations by the range that they have in the windows. What runs
badly in int8 (norms, transposed convolutions where the runtime has none) stays as it is.
Source: post-training quantisation of NNCF, Kozlov 2020, arXiv:2002.08679.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from torch import Tensor

from delineate.errors import DataError
from delineate.inference.engines.openvino_engine import read_graph
from delineate.inference.engines.packages import package
from delineate.inference.segmenter import Segmenter
from delineate.inference.source import Source
from delineate.inference.windows import Windows
from delineate.networks.model import required
from delineate.preparation.prepared import prepare_scan
from delineate.space import Volume, triple

PURPOSE = "quantising a network"
ROW = 0  # windows are the same along whichever axis they come in rows


def quantised(graph: bytes, patches: Sequence[Tensor]) -> tuple[bytes, bytes]:
    """A network (ONNX) with int8 layers, as OpenVINO writes it: its graph (XML) and its numbers.

    patches  windows (channel, ...) as the network sees them, of scans like those to come

    Raises:
        MissingPackage: nncf or openvino is not installed.
    """
    nncf = package("nncf", PURPOSE)
    openvino = package("openvino", PURPOSE)
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):  # it draws progress bars there
        made = nncf.quantize(
            read_graph(graph),
            nncf.Dataset([patch[None].contiguous().numpy() for patch in patches]),
            subset_size=len(patches),
            preset=nncf.QuantizationPreset.MIXED,  # leaky ReLU is not symmetric
        )
    with TemporaryDirectory() as folder:
        file = Path(folder) / "network.xml"
        openvino.save_model(made, file, compress_to_fp16=False)
        return file.read_bytes(), file.with_suffix(".bin").read_bytes()


def specimens(
    segmenter: Segmenter, scans: Iterable[Volume], each: int, rng: np.random.Generator
) -> dict[str, list[Tensor]]:
    """Per configuration, windows (channel, ...) of scans as its network sees them.

    Windows in which nothing varies are left out.

    each  windows of a scan, at most

    Raises:
        DataError: the scans have no such window.
    """
    names = required(segmenter.plan)
    found: dict[str, list[Tensor]] = {name: [] for name in names}
    for scan in scans:
        for name in names:
            found[name] += islice(_windows(segmenter, scan, name, rng), each)
    for name, windows in found.items():
        if not windows:
            raise DataError(
                f"the scans have no window of {name} in which anything varies: there is nothing to calibrate "
                "with. Name others."
            )
    return found


def _windows(segmenter: Segmenter, scan: Volume, name: str, rng: np.random.Generator) -> Iterator[Tensor]:
    plan = segmenter.plan
    configuration = plan.configuration(name)
    previous = segmenter.previous(scan, name) if configuration.previous is not None else None
    array = prepare_scan(scan, plan, configuration).array
    source = Source.of(array, previous, len(plan.labels.labels), configuration.patch)
    starts = Windows(source.padded, configuration.patch, ROW, segmenter.step).corners
    corners = [triple(corner) for corner in product(*starts)]
    axis = configuration.slice_axis
    for number in rng.permutation(len(corners)):
        window = source.window(corners[number], configuration.patch)
        if float(window.std()) > 0:
            yield window if axis is None else window.squeeze(axis + 1)
