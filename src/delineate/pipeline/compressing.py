"""Compressing: a smaller and faster model, and what that costs in every structure.

Nothing is written that loses more than half a Dice point in a structure, unless that is accepted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from delineate.dataset import Case, Dataset
from delineate.dataset.incoming import incoming
from delineate.errors import DataError, ModelError
from delineate.inference import Segmenter
from delineate.inference.engines import Runtime
from delineate.inference.engines.runtime import converted, last_of
from delineate.inference.quantise import quantised, specimens
from delineate.io.disk import replacing
from delineate.networks import Model
from delineate.networks.model import write_compression, write_quantised
from delineate.pipeline.compression import SAME, Compression, Method
from delineate.pipeline.run_folder import Run
from delineate.pipeline.slimming import Slimming, slim
from delineate.pipeline.watch import Watch
from delineate.pipeline.weighing import Subject, has_bf16, labelled, weighed

if TYPE_CHECKING:
    from torch import Tensor

    from delineate.space import Volume

SCANS = 20  # that windows are cut from, at most
FEW, FEW_CASES = 20, 20
RUN = "run.json"
INT8 = "int8"


@dataclass(frozen=True)
class CompressWishes:
    """How a model is made smaller.

    on           labelled cases on which the change is measured; best such that it has not learnt from
    slimming     networks are made narrower and taught again; None: they are put into int8
    calibration  scans, or a run, from which windows are taken that int8 is fitted to; None: those of `on`
    patches      how many windows of each configuration
    accept_loss  write the model even if a structure loses more than half a Dice point
    """

    on: Path
    slimming: Slimming | None = None
    calibration: Path | None = None
    patches: int = 40
    accept_loss: bool = False
    seed: int = 12345

    @property
    def method(self) -> Method:
        """What it is called."""
        if self.slimming is None:
            return "int8"
        return "prune" if self.slimming.temperature is None else "distil"


def compress(model: Path, out: Path, wishes: CompressWishes, watch: Watch) -> Compression:
    """Writes a smaller model to `out`, with a table of what that changed, and returns the table.

    Raises:
        ModelError: a structure loses more than half a Dice point, or the model cannot be made smaller so.
        DataError: the cases are not labelled as the model labels, or `out` is there already.
    """
    before = Model.open(model)
    if before.is_quantised:
        raise ModelError(f"{model}: its networks are int8 already. Compress the model they were made from.")
    if out.exists():
        raise DataError(f"{out}: is there already. Name a new folder; nothing is overwritten.")
    dataset = labelled(wishes.on, before)
    with replacing(out) as temporary:
        if wishes.slimming is None:
            made = _in_int8(before, temporary, dataset, wishes, watch)
        else:
            after = slim(before, temporary, wishes.slimming, watch)
            made = _Made(wishes.slimming.how, _slim_subjects(before, after, wishes.slimming, wishes.method))
        table = _table(before, dataset, wishes.method, made, watch)
        refuse_loss(table, wishes.method, watch, accepted=wishes.accept_loss)
        write_compression(temporary, table, table.to_markdown())
    return table


@dataclass(frozen=True)
class _Made:
    """A smaller model: how it was made, what it is compared with, and what is to be known of it."""

    how: str
    subjects: Sequence[Subject]
    notes: tuple[str, ...] = ()


def _in_int8(before: Model, folder: Path, dataset: Dataset, wishes: CompressWishes, watch: Watch) -> _Made:
    scans = _scans(before, dataset, wishes)
    with watch.stage("calibrate"):
        found = specimens(Segmenter.open(before.folder, cleanup=False), scans, scans.each, scans.rng)
    windows = {name: some[: wishes.patches] for name, some in found.items()}
    after = _quantised(before, folder, windows, watch)
    fitted = min(len(some) for some in windows.values())
    few = f"int8 is fitted to {fitted} windows; {FEW} to 50 are usual. More scans give more."
    how = f"Convolutions in int8, fitted to {fitted} windows of {scans.told}."
    return _Made(how, _subjects(before, after), (few,) if fitted < FEW else ())


def _table(before: Model, dataset: Dataset, method: Method, made: _Made, watch: Watch) -> Compression:
    variants, changes = weighed(made.subjects, dataset, watch)
    judged = [subject.name for subject in made.subjects if subject.judged]
    table = Compression(
        method=method,
        made_from=before.digest,
        how=made.how,
        data=dataset.name,
        cases=len(dataset.cases),
        patients=len({case.group for case in dataset.cases}),
        before=judged[0],
        variants=variants,
        changes=changes,
    )
    return table.but(notes=(*made.notes, *_notes(before, table, judged[1:])))


def refuse_loss(table: Compression, variant: str, watch: Watch, *, accepted: bool) -> None:
    """Refuses a variant in which a structure is lost, unless that is accepted, and says the table.

    Raises:
        ModelError: a structure loses more than half a Dice point.
    """
    lost = table.lost(variant)
    if not lost or accepted:
        return
    watch.say(table.to_markdown())
    names = ", ".join(
        f"{c.structure} ({'no value' if c.change is None else f'{c.change:+.4f}'})" for c in lost
    )
    raise ModelError(
        f"{variant} loses more than half a Dice point on {table.data}: {names}. Nothing was written. Take it "
        "all the same with  --accept-loss"
    )


def _quantised(model: Model, folder: Path, windows: dict[str, list[Tensor]], watch: Watch) -> Model:
    """The model with int8 layers in every network."""
    graphs: dict[str, dict[int, tuple[bytes, bytes]]] = {name: {} for name in model.folds}
    lasts: dict[str, dict[int, dict[str, Tensor]]] = {name: {} for name in model.folds}
    pairs = [(name, fold) for name, folds in model.folds.items() for fold in folds]
    with watch.stage("quantise") as progress:
        for number, (name, fold) in enumerate(pairs):
            progress(number, len(pairs), f"{name} fold {fold}")
            last = last_of(model, name, fold)
            graphs[name][fold] = quantised(converted(model, name, fold, last), windows[name])
            if last is not None:
                lasts[name][fold] = {"weight": last.weight, "bias": last.bias}
        progress(len(pairs), len(pairs), "")
    return write_quantised(folder, model, graphs, lasts)


def _subjects(before: Model, after: Model) -> list[Subject]:
    bf16 = has_bf16()
    return [
        Subject(f"{'bf16' if bf16 else 'float32'} in torch", before, Runtime("torch", "auto"), judged=False),
        Subject("float32", before, Runtime("openvino", "fp32")),
        *([Subject("bf16", before, Runtime("openvino", "bf16"))] if bf16 else []),
        Subject(INT8, after, Runtime("openvino", "int8")),
    ]


def _slim_subjects(before: Model, after: Model, how: Slimming, name: Method) -> list[Subject]:
    runtime = Runtime("torch", "auto", how.device)
    return [Subject("before", before, runtime), Subject(name, after, runtime)]


def _notes(before: Model, table: Compression, judged: Sequence[str]) -> Iterator[str]:
    for name in judged:
        found = table.mean_dice(name)
        if found is not None and found.change is not None and abs(found.change) > SAME:
            yield f"{name} changes the mean Dice by more than {SAME:g} ({found.change:+.4f})."
    if before.calibration is not None:
        yield ("The temperature of the model before is left out: measure it again with  delineate calibrate.")
    if table.cases < FEW_CASES:
        yield f"{table.cases} cases say little about small losses: look at the intervals."


class _Scans:
    """Scans to calibrate with, read one after the other.

    each  windows of every scan
    """

    def __init__(self, dataset: Dataset, cases: Sequence[Case], told: str, wishes: CompressWishes) -> None:
        self.rng = np.random.default_rng(wishes.seed)
        chosen = sorted(self.rng.permutation(len(cases))[:SCANS])
        self._dataset, self._cases = dataset, [cases[n] for n in chosen]
        self.told = f"{len(self._cases)} {told}"
        self.each = -(-wishes.patches // max(1, len(self._cases)))

    def __iter__(self) -> Iterator[Volume]:
        for case in self._cases:
            yield self._dataset.scan(case)


def _scans(model: Model, dataset: Dataset, wishes: CompressWishes) -> _Scans:
    where = wishes.calibration
    if where is None:
        return _Scans(dataset, dataset.cases, "of the scans that it is measured on", wishes)
    if (where / RUN).is_file():
        learnt = Run.open(where).dataset()
        return _Scans(learnt, learnt.cases, f"scans of the run {where.name}", wishes)
    names = tuple(channel.name for channel in model.plan.channels)
    cases = incoming([where], names)
    holder = Dataset("calibration", where, "incoming", names, model.plan.labels, cases)
    return _Scans(holder, cases, f"scans of {where.name}", wishes)
