"""OpenVINO engine: the fastest way on a CPU.

The numbers it computes in are always said: left to itself it takes bf16 where the machine has it.
"""

from __future__ import annotations

import math
import threading
from typing import Any, Literal

import torch
from torch import Tensor

from delineate.errors import ModelError
from delineate.inference.engines.packages import package, unreadable

Numbers = Literal["f32", "bf16"]
TOGETHER = 2**15  # voxels that are computed at once: more is not faster, and takes more memory
PURPOSE = "the engine openvino"


class OpenVino:
    """A network as OpenVINO runs it.

    source   as ONNX, as the two files of OpenVINO, or as a graph in its memory
    numbers  what convolutions compute in; of a network with int8 layers, what the other layers compute in
    threads  how many
    """

    def __init__(self, source: bytes | tuple[bytes, bytes] | Any, numbers: Numbers, threads: int) -> None:
        openvino = package("openvino", PURPOSE)
        core = openvino.Core()
        graph = read_graph(source) if isinstance(source, (bytes, tuple)) else source
        settings = {
            "INFERENCE_PRECISION_HINT": numbers,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,  # several processes share a machine
        }
        self._wrapped = openvino.Tensor
        try:
            self._request = core.compile_model(graph, "CPU", settings).create_infer_request()
        except RuntimeError as error:
            raise unreadable("openvino", error) from None
        self._turn = threading.Lock()  # a request serves one caller at a time
        self._classes = graph.output(0).get_partial_shape()[1].get_length()
        self._edges = tuple(edge.get_length() for edge in list(graph.input(0).get_partial_shape())[2:])

    def __call__(self, patches: Tensor, /) -> Tensor:
        """Logits (batch, class, ...) in float32."""
        x = patches.detach().float().contiguous()
        check_edges(tuple(x.shape[2:]), self._edges)
        logits = torch.empty((len(x), self._classes, *x.shape[2:]))
        size = max(1, TOGETHER // math.prod(x.shape[2:]))
        with self._turn:
            for part, there in zip(torch.split(x, size), torch.split(logits, size), strict=True):
                self._request.set_input_tensor(self._wrapped(part.numpy(), shared_memory=True))
                self._request.set_output_tensor(self._wrapped(there.numpy(), shared_memory=True))
                self._request.infer()
        return logits


def read_graph(source: bytes | tuple[bytes, bytes]) -> Any:
    """A graph of OpenVINO, from ONNX or from its own two files (XML and numbers).

    Raises:
        ModelError: it is none, or one of another version.
    """
    core = package("openvino", PURPOSE).Core()
    try:
        return core.read_model(source) if isinstance(source, bytes) else core.read_model(*source)
    except RuntimeError as error:
        raise unreadable("openvino", error) from None


def check_edges(edges: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Refuses windows of another size than the network was converted for.

    Raises:
        ModelError: they have another size.
    """
    if edges != expected:
        raise ModelError(
            f"this network was converted for windows of {' x '.join(map(str, expected))}, got "
            f"{' x '.join(map(str, edges))}. Use the engine torch, which takes windows of any size."
        )
