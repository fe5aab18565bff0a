"""Start: what a run begins with, a model or a pretrained encoder, and what its plan takes over from it.

The plan takes the network: only then do the weights fit. All else, resolution, patch, how values are
normalised, stays as it was decided for the dataset. Which weights they are is kept in RUN/start.json, by the
digest of their folder; what each training took over, tensor by tensor, beside its weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from delineate.dataset import Dataset
from delineate.dataset.imprint import mark
from delineate.errors import ModelError, RunError
from delineate.pipeline.run_folder import Run
from delineate.pipeline.watch import Watch
from delineate.planning import Plan
from delineate.planning.plan import EVEN, SUPERVISED, Configuration, NetworkSpec
from delineate.record import Record
from delineate.space import triple

if TYPE_CHECKING:
    from torch import nn

    from delineate.networks import Start, Transfer
    from delineate.networks.kernel import Frame

START = "start.json"
SHOWN = 8  # cases named in a message


class StartRecord(Record):
    """What a run began with.

    folder        where it was
    sha256        that names it
    shared        cases of this dataset whose scans it was pretrained on
    measured      those of them that measure the folds that are trained
    same_dataset  whether it is a model that was made from these very cases
    """

    version: Literal[1] = 1
    folder: str
    kind: Literal["model", "pretrained encoder"]
    dataset: str
    sha256: str
    shared: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()
    same_dataset: bool = False

    def warnings(self, *, named: bool = True) -> Iterator[str]:
        """What it means for the figures of this run."""
        if self.same_dataset:
            yield (
                f"it began with {self.dataset}, which was trained on this very dataset: unless its folds are "
                "the same, cases that measure it are cases it has learnt from"
            )
        if self.shared:
            shown = self.measured or self.shared
            some = ", ".join(shown[:SHOWN]) + (", ..." if len(shown) > SHOWN else "")
            names = f" ({some})" if named else ""
            if not self.measured:
                yield (
                    f"{len(self.shared)} cases{names} were among the scans of its pretraining; none of them "
                    "is measured"
                )
                return
            yield (
                f"{len(self.measured)} cases that measure it{names} were among the scans of its pretraining: "
                "their labels were not used, but figures on them are not those of unseen scans"
            )


def begun(run: Run, dataset: Dataset, plan: Plan, folder: Path, watch: Watch, *, adopt: bool) -> Plan:
    """The plan of a run that begins with a model or a pretrained encoder, which is written down.

    adopt  whether the plan takes its network over

    Raises:
        RunError: networks of this run were trained from other weights.
        ModelError: its weights do not fit the network of the plan.
    """
    from delineate.networks import Model, Start, required

    start = Start.open(folder)
    shared = _shared(dataset, start.scans, watch)
    folds = [run.splits().folds[fold] for fold in plan.train_folds]
    tested = {name for fold in folds for name in (*fold.validation, *fold.test)}
    facts = start.source.manifest.facts.digests if isinstance(start.source, Model) else {}
    record = StartRecord(
        folder=str(folder.resolve()),
        kind=start.kind,
        dataset=start.plan.dataset,
        sha256=start.source.digest,
        shared=shared,
        measured=tuple(name for name in shared if name in tested),
        same_dataset=facts.get("fingerprint") == run.fingerprint().digest(),
    )
    _refuse_other(run, record)
    if adopt:
        plan = with_start(plan, start)
    for name in required(plan):
        _, transfer = start.network(plan, name)
        for line in transfer.lines():
            watch.say(f"{name}: {line}")
    for line in record.warnings():
        watch.say(line)
    run.save(START, record)
    return plan


def first_network(run: Run, plan: Plan, name: str, fold: int) -> tuple[nn.Module | None, Transfer | None]:
    """The network that a fold begins with, and what it took over; nothing for a run that begins at random.

    A fold that has begun already needs only the latter.

    Raises:
        RunError: what the run began with is gone or changed.
    """
    from delineate.networks import Start, Transfer
    from delineate.training import CHECKPOINT, TRANSFER, WEIGHTS

    if not run.has(START):
        return None, None
    folder = run.fold(name, fold)
    if (folder / TRANSFER).is_file() and any((folder / file).is_file() for file in (CHECKPOINT, WEIGHTS)):
        return None, Transfer.load(folder / TRANSFER)
    record = StartRecord.load(run.folder / START)
    try:
        start = Start.open(Path(record.folder))
    except ModelError as error:
        raise RunError(
            f"{run.folder}: begins with {record.folder}, which cannot be opened: {error}"
        ) from None
    if start.source.digest != record.sha256:
        raise RunError(
            f"{record.folder}: is not what {run.folder} was planned to begin with "
            f"({record.sha256[:12]}), but {start.source.digest[:12]}. "
            "Bring that one back, or plan again with --from."
        )
    return start.network(plan, name, fold)


def start_of(run: Run) -> StartRecord | None:
    """What a run began with; None where it began at random."""
    return StartRecord.load(run.folder / START) if run.has(START) else None


def with_start(plan: Plan, start: Start) -> Plan:
    """The plan with the network of what it begins with, where it uses one; patches grow until they fit."""
    from delineate.networks import required

    configurations, reasons = dict(plan.configurations), dict(plan.reasons)
    for name, before in plan.configurations.items():
        if name not in required(plan):
            continue
        other = start.configuration(plan, name)
        spec = _adopted(start.plan, start.plan.configuration(other), plan, before)
        if spec == before.network:
            continue
        patch = _grown(before, spec)
        place = f"configurations.{name}"
        reasons = {path: why for path, why in reasons.items() if not path.startswith(f"{place}.network")}
        title = f"the {start.kind} {start.plan.dataset} ({other}, {start.source.digest[:12]})"
        reasons[f"{place}.network"] = f"that of {title}, so that its weights fit"
        for path in (f"{place}.patch", f"{place}.batch"):
            reasons[path] = (
                f"{reasons.get(path, 'as planned')}; so for the planned network, whose place that of the "
                "start has taken: lower it if memory runs out"
            )
        if patch != before.patch:
            reasons[f"{place}.patch"] = (
                f"{' x '.join(map(str, before.patch))} as planned, grown to what that network can halve"
            )
        configurations[name] = before.but(network=spec, patch=patch)
    return plan.but(configurations=configurations, reasons=reasons)


def _adopted(source: Plan, there: Configuration, target: Plan, here: Configuration) -> NetworkSpec:
    """Their network along our axes; along an axis that it does not have, strides are as planned here."""
    from delineate.networks.kernel import Frame

    ours, theirs = Frame(target.orientation, here.slice_axis), Frame(source.orientation, there.slice_axis)
    spec, planned = there.network, here.network
    if spec.image is not None and ours.dims != theirs.dims:
        raise ModelError(
            f"{spec.kind} reads images of one size only, and has learnt them in {theirs.dims}D: it cannot be "
            f"taken over in {ours.dims}D. Begin with another network."
        )
    stages = range(len(spec.features))
    strides = [_laid(theirs, ours, spec.strides[n], _along(planned.strides, n, 1, spec, 2)) for n in stages]
    kernels = [_laid(theirs, ours, spec.kernels[n], _along(planned.kernels, n, 3, spec, 3)) for n in stages]
    changes: dict[str, Any] = {
        "strides": strides,
        "kernels": kernels,
        "deep_supervision": spec.kind in SUPERVISED and planned.deep_supervision,
    }
    if spec.image is not None:
        changes["image"] = _laid(theirs, ours, spec.image, spec.image)
    tree = spec.model_dump(mode="json") | changes
    return NetworkSpec.from_json(json.dumps(tree), where="the network to begin with, along our axes")


def _along(
    planned: Sequence[tuple[int, ...]], stage: int, beyond: int, spec: NetworkSpec, even: int
) -> tuple[int, ...]:
    """What a stage was planned to be here, for an axis that they lack; below the deepest, `beyond`."""
    if spec.kind in EVEN:
        return (even if stage or even == 3 else 1,) * len(planned[0])
    return planned[stage] if stage < len(planned) else (beyond,) * len(planned[0])


def _laid(theirs: Frame, ours: Frame, sizes: tuple[int, ...], planned: tuple[int, ...]) -> tuple[int, ...]:
    """Sizes along their axes, along ours."""
    if theirs.dims == ours.dims == 2 and not ours.same_plane(theirs):
        return sizes
    order, _ = ours.turned_from(theirs)
    solid, wanted = theirs.solid(sizes), ours.solid(planned)
    laid = [wanted[n] if axis == theirs.slice_axis else solid[axis] for n, axis in enumerate(order)]
    return tuple(size for n, size in enumerate(laid) if n != ours.slice_axis)


def _grown(configuration: Configuration, spec: NetworkSpec) -> tuple[int, int, int]:
    """The patch, as much larger as the network needs it: more than one voxel is left at its bottleneck."""
    axes = [axis for axis in range(3) if axis != configuration.slice_axis]
    patch = list(configuration.patch)
    for number, (axis, step) in enumerate(zip(axes, spec.divisor, strict=True)):
        patch[axis] = spec.image[number] if spec.image else -(-patch[axis] // step) * step
    if not spec.image and [patch[axis] for axis in axes] == list(spec.divisor):
        patch[axes[0]] *= 2
    return triple(patch)


def _shared(dataset: Dataset, scans: frozenset[str], watch: Watch) -> tuple[str, ...]:
    """The cases of which a channel is among these scans, voxel by voxel."""
    if not scans:
        return ()
    cases = (*dataset.cases, *dataset.unlabelled)
    found = []
    with watch.stage("compare with the scans of pretraining") as progress:
        for done, case in enumerate(cases, 1):
            if scans & set(mark(dataset.scan(case)).digests):
                found.append(case.id)
            progress(done, len(cases), case.id)
    return tuple(found)


def _refuse_other(run: Run, record: StartRecord) -> None:
    before = start_of(run)
    if (run.folder / "folds").is_dir() and (before is None or before.sha256 != record.sha256):
        began = "at random" if before is None else f"with {before.folder} ({before.sha256[:12]})"
        raise RunError(
            f"{run.folder}: networks of this run began {began}, now they are to begin with {record.folder} "
            f"({record.sha256[:12]}). Start a new run folder for that."
        )
