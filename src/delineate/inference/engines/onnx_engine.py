"""ONNX Runtime engine: float32 on a CPU."""

from __future__ import annotations

from torch import Tensor, from_numpy

from delineate.inference.engines.graph import INPUT
from delineate.inference.engines.openvino_engine import check_edges
from delineate.inference.engines.packages import package, unreadable

PURPOSE = "the engine onnx"
ERRORS_ONLY = 3  # of its five levels of logging


class OnnxRuntime:
    """A network as ONNX Runtime runs it."""

    def __init__(self, graph: bytes, threads: int) -> None:
        runtime = package("onnxruntime", PURPOSE)
        runtime.disable_telemetry_events()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = ERRORS_ONLY
        state = package("onnxruntime.capi.onnxruntime_pybind11_state", PURPOSE)
        try:
            self._session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except (state.InvalidProtobuf, state.InvalidGraph, state.Fail, state.NotImplemented) as error:
            raise unreadable("onnx", error) from None
        self._edges = tuple(self._session.get_inputs()[0].shape[2:])

    def __call__(self, patches: Tensor, /) -> Tensor:
        """Logits (batch, class, ...) in float32."""
        x = patches.detach().float().contiguous()
        check_edges(tuple(x.shape[2:]), self._edges)
        return from_numpy(self._session.run(None, {INPUT: x.numpy()})[0])
