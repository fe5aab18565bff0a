"""Engines: other runtimes that compute a network's logits, and which of them is fastest."""

from delineate.inference.engine import ENGINES, Engine, EngineName, EngineWish
from delineate.inference.engines.choice import Choice, choose
from delineate.inference.engines.onnx_engine import OnnxRuntime
from delineate.inference.engines.openvino_engine import OpenVino
from delineate.inference.engines.runtime import Runtime, made_for
from delineate.inference.engines.written import Form, Written, WrittenNetwork, write_networks

__all__ = [
    "ENGINES",
    "Choice",
    "Engine",
    "EngineName",
    "EngineWish",
    "Form",
    "OnnxRuntime",
    "OpenVino",
    "Runtime",
    "Written",
    "WrittenNetwork",
    "choose",
    "made_for",
    "write_networks",
]
