"""Engines: other runtimes that compute a network's logits, and which of them is fastest."""

from delineate.inference.engine import ENGINES, Engine, EngineName, EngineWish
from delineate.inference.engines.choice import Choice, choose
from delineate.inference.engines.onnx_engine import OnnxRuntime
from delineate.inference.engines.openvino_engine import OpenVino
from delineate.inference.engines.runtime import Runtime

__all__ = [
    "ENGINES",
    "Choice",
    "Engine",
    "EngineName",
    "EngineWish",
    "OnnxRuntime",
    "OpenVino",
    "Runtime",
    "choose",
]
