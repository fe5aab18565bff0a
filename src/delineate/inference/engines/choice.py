"""Choice: the fastest engine for a model on this machine, measured once and remembered."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Literal

import torch

from delineate.errors import Error, RecordError
from delineate.inference.engine import ENGINES, EngineName
from delineate.inference.engines.graph import windows
from delineate.inference.engines.packages import versions
from delineate.inference.engines.runtime import Runtime, home
from delineate.inference.predictor import Predictor
from delineate.io.disk import write_text
from delineate.networks.build import inputs_of
from delineate.networks.model import Model
from delineate.networks.precision import autocast_type, device_of
from delineate.record import Record

ROUNDS = 5  # that are measured, after one that is not
LONG_S = 5.0  # no further round after this long
WORTH = 1.1  # times torch's rate that another engine must reach: less is noise

Clock = Callable[[], float]


class Choice(Record):
    """Which engine computes a model fastest.

    windows_per_s  of every engine that was measured, in windows of the model's own patch
    left_out       engine -> why it was not measured
    known_by       what the choice holds for: another model, machine or version is measured again
    """

    version: Literal[1] = 1
    engine: EngineName
    windows_per_s: dict[EngineName, float]
    left_out: dict[EngineName, str]
    known_by: dict[str, str]

    @property
    def told(self) -> str:
        """The choice and why, in a line."""
        measured = sorted(self.windows_per_s.items(), key=lambda pair: -pair[1])
        rates = ", ".join(f"{name} {rate:.3g}" for name, rate in measured)
        why = f"windows a second: {rates}" if measured else "nothing was measured"
        others = "".join(f"; not {name}: {reason}" for name, reason in self.left_out.items())
        return f"engine {self.engine} ({why}{others})"


def choose(model: Model, runtime: Runtime, *, clock: Clock = time.perf_counter) -> Choice:
    """The fastest engine for a model, as remembered in the runtime's cache, or measured now.

    Each engine that is installed and can compute in the precision that is asked for computes windows of
    noise with one network of the plan's first configuration. Its own `engine` does not matter.
    """
    known_by = _circumstances(model, runtime)
    file = _file(model, runtime, known_by)
    remembered = None if file is None else _remembered(file, known_by)
    if remembered is not None:
        return remembered
    left_out = _excluded(model, runtime)
    candidates = [engine for engine in ENGINES if engine not in left_out]
    opened: dict[EngineName, Predictor] = {}
    for engine in candidates if len(candidates) > 1 else ():
        try:
            opened[engine] = _opened(model, replace(runtime, engine=engine))
        except Error as error:  # a network that it cannot convert, numbers that it does not compute in
            left_out[engine] = str(error)
    rates = _rates(opened, _window(model), clock) if len(opened) > 1 else {}
    choice = Choice(
        engine=_fastest(rates) if rates else next(iter(opened), candidates[0]),
        windows_per_s=rates,
        left_out=left_out,
        known_by=known_by,
    )
    if file is not None and rates:
        write_text(file, choice.to_json())
    return choice


def _fastest(rates: dict[EngineName, float]) -> EngineName:
    best = max(rates, key=rates.__getitem__)
    plain = rates.get("torch")
    return "torch" if plain is not None and rates[best] < WORTH * plain else best


def _excluded(model: Model, runtime: Runtime) -> dict[EngineName, str]:
    """Engines that need not be tried, and why."""
    if model.is_quantised:
        return dict.fromkeys(("torch", "onnx"), "the networks are int8")
    if device_of(runtime.device).type != "cpu":
        return dict.fromkeys(("openvino", "onnx"), "computes on the CPU")
    return {
        engine: "not installed (pip install 'delineate[export]')"
        for engine in ENGINES
        if versions(engine) is None
    }


def _opened(model: Model, runtime: Runtime) -> Predictor:
    """One network of the plan's first configuration, as the segmenter would use it."""
    name = model.plan.use[0]
    device = device_of(runtime.device)
    return Predictor(
        [runtime.network(model, name, model.folds[name][0])],
        len(model.plan.labels.outputs),
        model.plan.configuration(name).slice_axis,
        (),
        device,
        autocast_type(runtime.precision, device) if runtime.engine == "torch" else None,
    )


def _window(model: Model) -> torch.Tensor:
    """Two windows (batch, channel, i, j, k) of noise."""
    name = model.plan.use[0]
    configuration = model.plan.configuration(name)
    x = windows(configuration, inputs_of(model.plan, name))
    return x if configuration.slice_axis is None else x.unsqueeze(configuration.slice_axis + 2)


def _rates(opened: Mapping[EngineName, Predictor], x: torch.Tensor, clock: Clock) -> dict[EngineName, float]:
    """Windows a second of each, in turns, so that whatever else the machine does hits all of them."""
    lasted: dict[EngineName, list[float]] = {engine: [] for engine in opened}
    began = clock()
    with torch.inference_mode():
        for turn in range(1 + ROUNDS):
            for engine, predict in opened.items():
                start = clock()
                predict(x)
                lasted[engine].append(clock() - start)
            if turn and clock() - began > LONG_S:
                break
    return {engine: len(x) / median(times[1:]) for engine, times in lasted.items()}


def _circumstances(model: Model, runtime: Runtime) -> dict[str, str]:
    installed = {"torch": str(torch.__version__)}
    for engine in ENGINES:
        installed |= versions(engine) or {}
    return {
        "model": model.digest,
        "machine": machine(),
        "device": runtime.device,
        "precision": runtime.precision,
        "threads": str(runtime.threads or torch.get_num_threads()),
        "delineate": importlib.metadata.version("delineate"),
        **installed,
    }


def machine() -> str:
    """The kind of processor, and how many cores it has."""
    kind = torch.backends.cpu.get_cpu_capability()
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = named[0] if named else platform.processor()
    return f"{name or platform.machine()}, {kind}, {os.cpu_count()} cores"


def _file(model: Model, runtime: Runtime, known_by: dict[str, str]) -> Path | None:
    if runtime.cache is None:
        return None
    key = Choice(engine="torch", windows_per_s={}, left_out={}, known_by=known_by).digest()
    return home(runtime.cache, model) / f"choice_{key[:16]}.json"


def _remembered(file: Path, known_by: dict[str, str]) -> Choice | None:
    """A choice that was made under the same circumstances; what cannot be read is measured again."""
    try:
        found = Choice.load(file)
    except RecordError:
        return None
    return found if found.known_by == known_by else None
