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
from delineate.inference.cleanup import cleaned
from delineate.inference.engines import Engine, EngineWish, Runtime, choose, made_for
from delineate.inference.fast import fast_verdict
from delineate.inference.head import Head, split
from delineate.inference.live import Clock, Frame, Live, LiveResult
from delineate.inference.mirror import axes_of
from delineate.inference.prediction import Prediction
from delineate.inference.predictor import Predictor
from delineate.inference.source import Source
from delineate.inference.stage import Stage, best_axis
from delineate.inference.verdict import Verdict, decided
from delineate.networks.degraded import Degraded, degraded_note
from delineate.networks.model import CleanUp, Model, load_network, required
from delineate.networks.precision import Precision, autocast_type, device_of
from delineate.planning.plan import Plan
from delineate.preparation.align import indices
from delineate.preparation.prepared import Upright, interpolation, lacks, respaced, upright
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
    fast: bool = False
    degraded: Degraded | None = None

    def __post_init__(self) -> None:
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
    ) -> Self:
        """The segmenter in a model folder, which is verified first; loading runs no code.

        engine  what computes; None is torch, or openvino for a model of int8 networks; "auto" is the fastest
                here, which is measured once if there is a `cache` to remember it
        cache   a folder for what other engines make of networks, so that it is made once
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
            fast=fast,
            degraded=model.degraded,
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
        check_channels(scan, self.plan)
        missing = lacks(scan, self.plan)
        there = upright(scan, self.plan)
        if self.fast:
            verdict, notes = fast_verdict(self, there, progress, keep=probabilities)
        else:
            verdict = self.verdict(there, self.plan.use, there.cropped, progress, keep=probabilities)
            notes = ()
        if missing:
            names = [channel.name for channel in self.plan.channels]
            notes = (*notes, degraded_note(missing, names, self.degraded))
        values = resample(verdict.values, there.cropped, scan.geometry, order=0, outside=0)
        labels = LabelMap(values, scan.geometry, self.plan.labels, notes)
        if self.cleanup is not None:
            labels = cleaned(labels, self.cleanup)
        return Prediction(labels, self._volume(verdict, there.cropped, scan.geometry), missing)

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
        self, there: Upright, names: Sequence[str], onto: Geometry, progress: Progress, *, keep: bool
    ) -> Verdict:
        """What the configurations say together, on a grid of the turned and cropped scan."""
        stages = [self._stage(there, name, progress) for name in names]
        axis = best_axis(stages, onto)
        rows = sum(stage.rows(axis) for stage in stages)
        finished = count(1)

        def done(name: str) -> None:
            progress(next(finished), rows, name)

        planes = [stage.onto(onto, axis, partial(done, stage.name)) for stage in stages]
        with predicting([network for name in names for network in self.networks[name]]):
            return decided(planes, onto.shape, axis, self.plan.labels, keep=keep)

    def _stage(self, there: Upright, name: str, progress: Progress) -> Stage:
        """A configuration ready for a scan; in a cascade the stage before it is run now."""
        configuration = self.plan.configuration(name)
        cascaded = configuration.previous is not None
        previous = self._previous(there, name, progress) if cascaded else None
        prepared = respaced(there, configuration)
        device, outputs = device_of(self.device), len(self.plan.labels.outputs)
        networks, head = self._split[name]
        predict = Predictor(
            networks=networks,
            outputs=outputs if head is None else head.features,
            slice_axis=configuration.slice_axis,
            mirror_axes=axes_of(self.plan.training.mirror_axes, configuration.slice_axis)
            if self.mirror
            else (),
            device=device,
            autocast=autocast_type(self.precision, device) if modules(networks) else None,
        )
        return Stage(
            name=name,
            source=Source.of(prepared.array, previous, len(self.plan.labels.labels), configuration.patch),
            geometry=prepared.geometry,
            patch=configuration.patch,
            predict=predict,
            head=head,
            batch=self.batch or predict.batch(configuration.patch),
            step=self.step,
            across=configuration.sampling.across,
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
            f"without {learnt}, got {', '.join(scan.channels)}{scan.source.note}. Give every channel, or use a "
            "model that was trained with --channel-dropout."
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
