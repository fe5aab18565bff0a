"""Segmenter: a model at work. A scan goes in, labels on the scan's own grid come out.

The scan is prepared exactly as the training cases were; windows slide over it; logits are brought onto the
scan's grid plane by plane, where the best label wins at once. There is never an array of (class, i, j, k),
unless probabilities are asked for. Besides the prepared scan and the labels, memory holds per configuration

    features x (patch along one axis) x (the grid along the other two)  x 4 bytes   sums of windows
    features x (one plane of the scan)                                  x 4 bytes   a few times

with the axis chosen so that this is least. Features are those that the last layer of the networks weighs,
or the classes where these are fewer: see `head`. Several configurations advance in step, so that their
probabilities are averaged plane by plane.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import count
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from delineate.errors import ModelError
from delineate.inference.chances import Chances
from delineate.inference.cleanup import cleaned
from delineate.inference.engines import Engine, EngineWish, Runtime, choose, made_for
from delineate.inference.fast import fast_verdict
from delineate.inference.footprint import forward_bytes
from delineate.inference.head import Head, split
from delineate.inference.layout import Layout, best_axis
from delineate.inference.live import Clock, Frame, Live, LiveResult
from delineate.inference.memory import Load, MemoryPlan, Work, fitted
from delineate.inference.mirror import axes_of
from delineate.inference.prediction import Prediction
from delineate.inference.predictor import Predictor
from delineate.inference.ready import Ready
from delineate.inference.source import Source
from delineate.inference.stage import Stage
from delineate.inference.verdict import Verdict, decided
from delineate.networks.adaptation import Adaptation
from delineate.networks.build import inputs_of
from delineate.networks.degraded import Degraded, degraded_note
from delineate.networks.model import CleanUp, Model, load_network, required
from delineate.networks.precision import Precision, autocast_type, device_of
from delineate.planning.plan import Plan
from delineate.preparation.align import indices
from delineate.preparation.prepared import PreparedScan, Upright, interpolation, lacks, respaced, upright
from delineate.progress import Progress, silent
from delineate.space import Geometry, LabelMap, Volume, resample
from delineate.space.resampling import inside

Indices = npt.NDArray[np.int16]  # (i, j, k) 0 background, n the n-th label of the schema


@dataclass(frozen=True, eq=False)
class Segmenter:
    """A plan and its trained networks.

    networks     per configuration one network per fold, on `device`, or what another engine makes of it;
                 configurations in the plan's `use` are averaged, and what a cascade builds on runs before
    cleanup      what is removed afterwards; None leaves everything
    step         longest step between windows, as a share of the patch
    mirror       whether to average over mirrored copies, along the axes that were mirrored in training
    precision    what convolutions compute in; "auto" is bf16 where the device multiplies it
    batch        windows predicted at once; None is as many as fill the device
    temperature  of the probabilities that are kept: above 1, less sure than the networks. Labels stay
    degraded     what a missing channel costs, where that was measured
    memory_gb    bound for what inference takes beyond the program and its weights; None: none
    scratch      folder for a file of sums, where they do not fit into the bound; None: nowhere
    adaptation   whether it may adapt to a scan, where that was measured
    fast         whether structures are sought on a coarse grid first, and only their box is looked at closely
    """

    plan: Plan
    networks: Mapping[str, Sequence[Engine]]
    cleanup: CleanUp | None = None
    device: str = "cpu"
    step: float = 0.5
    mirror: bool = False
    precision: Precision = "auto"
    batch: int | None = None
    temperature: float = 1.0
    memory_gb: float | None = None
    scratch: Path | None = None
    fast: bool = False
    degraded: Degraded | None = None
    adaptation: Adaptation | None = None

    def __post_init__(self) -> None:
        if self.plan.finds_objects:
            raise ModelError(
                f"this model ({self.plan.configuration().network.kind}) finds single objects, and gives no "
                "label for each voxel. Use Finder, or:  delineate segment MODEL SCAN -o OUT"
            )
        needed = required(self.plan)
        missing = [name for name in needed if not self.networks.get(name)]
        if missing:
            raise ModelError(
                f"the plan uses {', '.join(needed)}, but there are no networks for {', '.join(missing)}. "
                f"Train them, or take them out of the plan's `use`."
            )

    @classmethod
    def of(cls, plan: Plan, weights: Mapping[str, Sequence[Path]], *, device: str = "cpu") -> Self:
        """The segmenter of networks that were just trained: per configuration the files of their weights."""
        networks = {
            name: [load_network(plan, name, file, device=device) for file in files]
            for name, files in weights.items()
        }
        return cls(plan, networks, device=device)

    @classmethod
    def open(  # noqa: PLR0913 - each of these is a decision of its own
        cls,
        folder: Path | str,
        *,
        device: str = "cpu",
        step: float = 0.5,
        mirror: bool = False,
        precision: Precision = "auto",
        cleanup: bool = True,
        fast: bool = False,
        engine: EngineWish | None = None,
        cache: Path | None = None,
        memory_gb: float | None = None,
        scratch: Path | None = None,
    ) -> Self:
        """The segmenter in a model folder, which is verified first; loading runs no code.

        engine  what computes; None is torch, or openvino for a model of int8 networks; "auto" is the fastest
                here, which is measured once if there is a `cache` to remember it
        cache   a folder for what other engines make of networks, so that it is made once
        scratch a folder for a file of sums, should they not fit into `memory_gb`
        """
        model = Model.open(folder)
        runtime = Runtime(made_for(model), precision, device, cache)
        if engine is not None:
            chosen = choose(model, runtime).engine if engine == "auto" else engine
            runtime = replace(runtime, engine=chosen)
        return cls(
            plan=model.plan,
            networks=runtime.networks(model),
            cleanup=model.cleanup if cleanup else None,
            device=device,
            step=step,
            mirror=mirror,
            precision=precision,
            temperature=model.calibration.temperature if model.calibration else 1.0,
            memory_gb=memory_gb,
            scratch=scratch,
            fast=fast,
            degraded=model.degraded,
            adaptation=model.adaptation,
        )

    def segment(
        self, scan: Volume, *, probabilities: bool = False, progress: Progress = silent
    ) -> Prediction:
        """Labels on the scan's grid; background beyond what the network saw.

        probabilities  also the probability of each output, which takes (class, i, j, k) float32
        progress       called after each row of windows

        Raises:
            ModelError: the scan has other channels than the model reads, or in another order, or lacks one
                that the model did not learn to do without.
        """
        return self.labelled(
            self.ready(scan, held=scan.array.nbytes), probabilities=probabilities, progress=progress
        )

    def ready(self, scan: Volume, *, held: int = 0) -> Ready:
        """The scan as the networks see it. Labels need nothing else: it may be forgotten, or kept elsewhere.

        held  bytes that count towards the bound: of the scan, where it is not forgotten
        """
        check_channels(scan, self.plan)
        there = upright(scan, self.plan)
        if self.memory_gb is not None:
            self.memory(there.cropped, given=scan.array.nbytes, held=held)  # refused before the work
        configurations = [self.plan.configuration(name) for name in self.plan.use]
        later = self.fast or any(each.previous is not None for each in configurations)
        return Ready(
            scan=scan.geometry,
            cropped=there.cropped,
            prepared={}
            if later
            else {name: respaced(there, self.plan.configuration(name)) for name in self.plan.use},
            upright=there if later else None,
            missing=lacks(scan, self.plan),
            held=held,
        )

    def labelled(
        self, scan: Ready, *, probabilities: bool = False, progress: Progress = silent
    ) -> Prediction:
        """Labels for a scan that is ready, as `segment` gives them."""
        notes: tuple[str, ...] = ()
        if scan.upright is None:
            verdict = self._decided(
                scan.prepared, {}, scan.cropped, progress, keep=probabilities, held=scan.held
            )
        elif self.fast:
            verdict, notes = fast_verdict(self, scan.upright, progress, keep=probabilities)
        else:
            verdict = self.verdict(
                scan.upright, self.plan.use, scan.cropped, progress, keep=probabilities, held=scan.held
            )
        if scan.missing:
            names = [channel.name for channel in self.plan.channels]
            notes = (*notes, degraded_note(scan.missing, names, self.degraded))
        values = resample(verdict.values, scan.cropped, scan.scan, order=0, outside=0)
        labels = LabelMap(values, scan.scan, self.plan.labels, notes)
        if self.cleanup is not None:
            labels = cleaned(labels, self.cleanup)
        return Prediction(
            labels,
            self._volume(verdict, scan.cropped, scan.scan),
            scan.missing,
            windows=verdict.windows,
            repeated=verdict.repeated,
        )

    def memory(
        self,
        cropped: Geometry,
        names: Sequence[str] | None = None,
        onto: Geometry | None = None,
        *,
        given: int = 0,
        held: int = 0,
        probabilities: bool = False,
    ) -> MemoryPlan:
        """How a scan is segmented within the bound, from shapes alone; without a bound, in the fastest way.

        cropped  the grid of the scan, turned and cropped
        names    configurations that are averaged; None: those of the plan
        onto     the grid that labels are wanted on; None: `cropped`
        given    bytes of the scan, while it is prepared
        held     bytes of arrays that are there all the time, such as a scan that is kept

        Raises:
            PlanError: the bound is too small; the message names the smallest that works.
        """
        work = Work(
            scan=cropped.shape,
            channels=len(self.plan.channels),
            onto=(onto or cropped).shape,
            given=given,
            held=held,
            keep=probabilities,
            exclusive=self.plan.labels.exclusive,
        )
        loads = [self._load(name, cropped) for name in names or self.plan.use]
        bound = math.inf if self.memory_gb is None else self.memory_gb
        return fitted(work, loads, bound_gb=bound, disk=self.scratch is not None)

    def stream(
        self,
        frames: Iterable[Volume | Frame],
        *,
        deadline_ms: float,
        warm_up: Geometry | None = None,
        clock: Clock = time.perf_counter,
    ) -> Iterator[LiveResult]:
        """Labels of 2D frames in their order, each before its deadline or marked as what it is.

        warm_up  the grid of the frames: every working size is done on it a few times before the first frame
                 is asked for; None: the first frame pays for the cold start
        """
        live = Live(self, deadline_ms=deadline_ms, clock=clock)
        if warm_up is not None:
            live.warm_up(warm_up)
        yield from live.results(frames)

    def previous(self, scan: Volume, name: str, *, progress: Progress = silent) -> Indices:
        """What the cascade stage `name` reads besides the scan: label indices on its prepared grid.

        Only the networks of the stage before it are used.
        """
        check_channels(scan, self.plan)
        return self._previous(upright(scan, self.plan), name, progress)

    def _previous(self, there: Upright, name: str, progress: Progress) -> Indices:
        configuration = self.plan.configuration(name)
        if configuration.previous is None:
            raise ModelError(f"{name} is no cascade: it reads the labels of no other configuration.")
        onto, _ = interpolation(there.cropped, configuration, order=1)
        verdict = self.verdict(there, (configuration.previous,), onto, progress, keep=False)
        return indices(verdict.values, self.plan.labels)

    def verdict(
        self,
        there: Upright,
        names: Sequence[str],
        onto: Geometry,
        progress: Progress,
        *,
        keep: bool,
        held: int = 0,
    ) -> Verdict:
        """What the configurations say together, on a grid of the turned and cropped scan.

        In a cascade the stage before it is run now.
        """
        previous = {
            name: self._previous(there, name, progress)
            for name in names
            if self.plan.configuration(name).previous is not None
        }
        prepared = {name: respaced(there, self.plan.configuration(name)) for name in names}
        held += there.array.nbytes
        return self._decided(prepared, previous, onto, progress, keep=keep, held=held)

    def _decided(
        self,
        prepared: Mapping[str, PreparedScan],
        previous: Mapping[str, Indices],
        onto: Geometry,
        progress: Progress,
        *,
        keep: bool,
        held: int,
    ) -> Verdict:
        names = list(prepared)
        stages = [self._stage(name, prepared[name], previous.get(name)) for name in names]
        axis = best_axis([stage.layout for stage in stages], onto.shape)
        if self.memory_gb is not None:
            cropped = prepared[names[0]].cropped
            how = self.memory(cropped, names, onto, held=held, probabilities=keep)
            stages = [
                replace(stage, batch=how.batches[stage.name], scratch=self.scratch if how.on_disk else None)
                for stage in stages
            ]
        rows = sum(stage.layout.rows(axis) for stage in stages)
        finished = count(1)

        def done(name: str) -> None:
            progress(next(finished), rows, name)

        planes = [stage.onto(onto, axis, partial(done, stage.name)) for stage in stages]
        with predicting([network for name in names for network in self.networks[name]]):
            verdict = decided(planes, onto.shape, axis, self.plan.labels, keep=keep)
        return replace(
            verdict,
            windows=sum(stage.layout.count for stage in stages),
            repeated=sum(stage.repeats.used for stage in stages),
        )

    def _stage(self, name: str, prepared: PreparedScan, previous: Indices | None) -> Stage:
        """A configuration ready for a scan."""
        configuration, predict = self.plan.configuration(name), self._predictors[name]
        return Stage(
            name=name,
            source=Source.of(prepared.array, previous, len(self.plan.labels.labels), configuration.patch),
            geometry=prepared.geometry,
            patch=configuration.patch,
            predict=predict,
            head=self._split[name][1],
            batch=self.batch or predict.batch(configuration.patch),
            step=self.step,
            across=configuration.sampling.across,
            middle=configuration.sampling.middle,
            chances=Chances(exclusive=self.plan.labels.exclusive)
            if configuration.sampling.reads == "probabilities"
            else None,
        )

    def _load(self, name: str, cropped: Geometry) -> Load:
        """What a configuration needs for a scan."""
        configuration, predict = self.plan.configuration(name), self._predictors[name]
        grid, _ = interpolation(cropped, configuration, order=3)
        batch = self.batch or predict.batch(configuration.patch)
        window, fixed = self._footprints[name]
        return Load(
            name=name,
            layout=Layout.on(grid.shape, configuration.patch, predict.outputs, batch, self.step),
            classes=len(self.plan.labels.outputs),
            least=predict.least,
            window=window,
            fixed=fixed,
        )

    @cached_property
    def _footprints(self) -> Mapping[str, tuple[int, int]]:
        """Per configuration bytes at work on one window, and those that it takes besides."""
        return {
            name: forward_bytes(
                predict, (1, inputs_of(self.plan, name), *self.plan.configuration(name).patch)
            )
            for name, predict in self._predictors.items()
        }

    @cached_property
    def _predictors(self) -> Mapping[str, Predictor]:
        """Per configuration what computes its windows."""
        return {name: self._predictor(name) for name in self.networks}

    def _predictor(self, name: str) -> Predictor:
        configuration = self.plan.configuration(name)
        device, outputs = device_of(self.device), len(self.plan.labels.outputs)
        networks, head = self._split[name]
        mirrored = self.plan.training.mirror_axes if self.mirror else ()
        return Predictor(
            networks=networks,
            outputs=outputs if head is None else head.features,
            slice_axis=configuration.slice_axis,
            mirror_axes=axes_of(mirrored, configuration.slice_axis),
            device=device,
            autocast=autocast_type(self.precision, device) if modules(networks) else None,
        )

    @cached_property
    def _split(self) -> Mapping[str, tuple[Sequence[Engine], Head | None]]:
        """Per configuration what is predicted, window by window, and what makes logits of it."""
        outputs = len(self.plan.labels.outputs)
        return {name: split(networks, outputs) for name, networks in self.networks.items()}

    def _volume(self, verdict: Verdict, cropped: Geometry, scan: Geometry) -> Volume | None:
        if verdict.probabilities is None:
            return None
        kept = warmed(verdict.probabilities, self.temperature, exclusive=self.plan.labels.exclusive)
        array = resample(kept, cropped, scan, order=0, outside=0)
        if self.plan.labels.exclusive:
            array[0][~inside(cropped, scan)] = 1
        return Volume(array, scan, self.plan.labels.outputs)


def warmed(
    probabilities: npt.NDArray[np.float32], temperature: float, *, exclusive: bool
) -> npt.NDArray[np.float32]:
    """The same array (class, i, j, k) with its probabilities at a temperature, plane by plane."""
    if temperature != 1:
        from delineate.evaluation.calibration import tempered  # seldom, and not quickly imported

        for number in range(probabilities.shape[1]):
            plane = probabilities[:, number]
            plane[...] = tempered(plane, temperature, exclusive=exclusive)
    return probabilities


def check_channels(scan: Volume, plan: Plan) -> None:
    """Refuses a scan whose channels are not those that the model reads, in that order."""
    expected = tuple(channel.name for channel in plan.channels)
    if scan.channels and scan.channels == tuple(n for n in expected if n not in lacks(scan, plan)):
        return
    shuffled = sorted(scan.channels) == sorted(expected)
    what = "the channels are in another order" if shuffled else "this scan has other channels"
    if set(scan.channels) < set(expected):
        absent = [name for name in expected if name not in scan.channels]
        learnt = f"only {', '.join(plan.dispensable)}" if plan.dispensable else "none"
        raise ModelError(
            f"{' and '.join(absent)} is missing: the model reads {', '.join(expected)} and learnt to do "
            f"without {learnt}, got {', '.join(scan.channels)}{scan.source.note}. Give every channel, or use "
            "a model that was trained with --channel-dropout."
        )
    raise ModelError(
        f"{what}: the model reads {', '.join(expected)}, got {', '.join(scan.channels)}{scan.source.note}. "
        f"Give one image per channel in the model's order; where only the names differ, name them when "
        f"reading:  read_volume(path, channels={expected!r})"
    )


@contextmanager
def predicting(networks: Sequence[Engine]) -> Iterator[None]:
    """Networks predict and remember nothing for learning; afterwards they are as they were."""
    of_torch = modules(networks)
    training = [network.training for network in of_torch]
    try:
        for network in of_torch:
            network.eval()
        with torch.inference_mode():
            yield
    finally:
        for network, before in zip(of_torch, training, strict=True):
            network.train(before)


def modules(networks: Sequence[Engine]) -> list[nn.Module]:
    """Those that torch computes."""
    return [network for network in networks if isinstance(network, nn.Module)]
