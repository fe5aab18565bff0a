"""Packages: the other runtimes, imported when they are asked for.

openvino and nncf report who uses them to their makers when the package `openvino_telemetry` can be
imported. Here it cannot: for this process it counts as not installed, and both go on without it.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from delineate.errors import MissingPackage, ModelError
from delineate.inference.engine import EngineName

NEEDED: dict[EngineName, tuple[str, ...]] = {
    "torch": (),
    "openvino": ("openvino", "onnx"),
    "onnx": ("onnxruntime", "onnx"),
}
REPORTS = "openvino_telemetry"


def package(name: str, purpose: str) -> Any:
    """An optional package, which reports to nobody.

    Raises:
        MissingPackage: it is not installed; `purpose` opens the message.
    """
    sys.modules.setdefault(REPORTS, None)  # type: ignore[arg-type]  # None: an import of it fails
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module(name)
    except ImportError:
        raise MissingPackage(
            f"{purpose} needs {name}, which is not installed:  pip install 'delineate[export]'"
        ) from None


def versions(engine: EngineName) -> dict[str, str] | None:
    """The packages that an engine needs besides torch, with their versions; None where one is missing."""
    try:
        return {name: version(name) for name in NEEDED[engine]}
    except PackageNotFoundError:
        return None


def unreadable(engine: EngineName, error: Exception) -> ModelError:
    """The error of a runtime that cannot read a network, in words."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    why = lines[-1] if lines else f"{type(error).__name__}."
    return ModelError(
        f"the engine {engine} cannot read this network: {why} If it is kept in a cache, delete that folder: "
        "it is made again. If it is a model of newer packages, update them:  pip install --upgrade "
        "'delineate[export]'"
    )
