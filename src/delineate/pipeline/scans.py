"""Scans: new ones through a packed model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from delineate.dataset import Case, Dataset
from delineate.dataset.incoming import incoming
from delineate.errors import DataError, Error
from delineate.io import SUFFIXES, read_geometry, suffix_of, write_labels, write_volume
from delineate.io.disk import write_json
from delineate.io.write import WRITTEN
from delineate.pipeline.aligning import stacked
from delineate.pipeline.belt import carried
from delineate.pipeline.watch import Watch
from delineate.pipeline.wishes import SegmentWishes
from delineate.planning import Plan
from delineate.progress import Progress, silent
from delineate.space import Volume

if TYPE_CHECKING:
    from delineate.inference import Prediction, Segmenter
    from delineate.inference.engine import EngineName
    from delineate.inference.memory import MemoryPlan
    from delineate.inference.ready import Ready
    from delineate.networks import Degraded

PICTURES = (".png", ".bmp", ".jpg", ".jpeg")
PROBABILITIES = "_probabilities.nii.gz"
DEGRADED = "_degraded.json"
GATES = "_gates.nii.gz"
GB = 1e9


def segment(
    model: Path, scans: Sequence[Path], out: Path, how: SegmentWishes, watch: Watch
) -> tuple[Path, ...]:
    """Writes labels for scans, each on its scan's grid, and returns the files.

    out  a file for one case, else a folder: CASE.nii.gz, or CASE.png for pictures

    All cases are tried; those that fail are reported together at the end. Labels made without a channel
    that the model can do without say so, and so does CASE_degraded.json beside them. A model that finds
    single objects writes these instead, see `finding`.
    """
    from delineate.pipeline.finding import find, finds_objects

    if finds_objects(model):
        return find(model, scans, out, how, watch)
    refuse_objects(model, how)
    segmenter = opened(model, out, how, watch)
    if how.probabilities and segmenter.temperature != 1:
        watch.say(f"probabilities are at the temperature of the model, {segmenter.temperature:.3f}")
    channels = tuple(channel.name for channel in segmenter.plan.channels)
    cases = incoming(scans, channels, segmenter.plan.dispensable)
    files = outputs(cases, out)
    with watch.stage("segment") as progress:
        failed = segment_cases(segmenter, cases, files, how, watch, progress)
    refuse_failed(failed, len(cases))
    return tuple(files.values())


def refuse_objects(model: Path, how: SegmentWishes) -> None:
    """Raises where objects are wished for of a model that gives a label for each voxel."""
    if how.objects is not None or how.sure is not None:
        raise DataError(
            f"{model}: gives a label for each voxel and finds no single objects, so there is no table of "
            "them and no score. Leave out --objects and --sure."
        )


def opened(model: Path, out: Path, how: SegmentWishes, watch: Watch) -> Segmenter:
    """The segmenter in a model folder, as wished for; what does not fit into memory lies beside `out`."""
    from delineate.inference import Segmenter

    if how.fast and how.adapt:
        raise DataError(
            "--adapt takes statistics from all windows of a scan; with --fast some are of a coarser grid, "
            "which nobody measured. Leave out one of the two."
        )
    mirror = how.device != "cpu" if how.mirror is None else how.mirror
    engine = _engine(model, how, watch)
    with watch.stage("open the model"):
        return Segmenter.open(
            model,
            device=how.device,
            step=how.step,
            mirror=mirror,
            cleanup=how.cleanup,
            precision=how.precision,
            fast=how.fast,
            engine=engine,
            cache=how.cache,
            memory_gb=how.memory_gb,
            scratch=next(folder for folder in (out, *out.absolute().parents) if folder.is_dir()),
        )


def segment_cases(
    segmenter: Segmenter,
    cases: Sequence[Case],
    files: Mapping[str, Path],
    how: SegmentWishes,
    watch: Watch,
    progress: Progress = silent,
) -> dict[str, str]:
    """Writes the labels of all cases that can be segmented; why the others cannot, by their ids."""
    line = _Line(segmenter, how, files, watch)
    failed: dict[str, str] = {}
    progress(0, len(cases), cases[0].id if cases else "")
    outcomes = carried(cases, line.read, line.work, line.write, together=line.has_room)
    for number, (case, error) in enumerate(outcomes, 1):
        progress(number, len(cases), case.id)
        if error is not None:
            failed[case.id] = str(error)
    return failed


def refuse_failed(failed: Mapping[str, str], count: int) -> None:
    """Raises where cases could not be segmented, and says of each why."""
    if failed:
        lines = "\n".join(f"  {case}: {why.removeprefix(f'{case}: ')}" for case, why in failed.items())
        raise DataError(f"{len(failed)} of {count} cases could not be segmented:\n{lines}")


@dataclass(frozen=True)
class _Scan:
    """A scan that was read and is ready."""

    ready: Ready
    notes: tuple[str, ...]


@dataclass(eq=False)
class _Line:
    """What is done with each case on the belt."""

    segmenter: Segmenter
    how: SegmentWishes
    files: Mapping[str, Path]
    watch: Watch
    _told: str = ""

    def read(self, case: Case) -> _Scan:
        scan = scan_of(case, self.segmenter.plan, self.how)
        return _Scan(self.segmenter.ready(scan), scan.source.notes)

    def work(self, case: Case, scan: _Scan) -> Prediction:
        _say_notes(case, scan.notes, self.watch)
        self._tell_memory(case, scan)
        found = self._labelled(scan.ready)
        if self.how.gates:
            self._write_gates(case, scan.ready)
        for note in found.labels.notes:
            self.watch.say(f"{case.id}: {note}")
        if found.repeated:
            self.watch.say(
                f"{case.id}: {found.repeated} of {found.windows} windows hold one value as another does, "
                f"and were not predicted again"
            )
        return replace(found, labels=replace(found.labels, notes=(*scan.notes, *found.labels.notes)))

    def _write_gates(self, case: Case, ready: Ready) -> None:
        from delineate.inference.gates import gate_maps

        write_volume(gate_maps(self.segmenter, ready), gates_file(self.files[case.id]))

    def _labelled(self, ready: Ready) -> Prediction:
        if not self.how.adapt:
            return self.segmenter.labelled(ready, probabilities=self.how.probabilities)
        from delineate.inference.adapt import adapted

        return adapted(self.segmenter, ready, probabilities=self.how.probabilities)

    def write(self, case: Case, found: Prediction) -> None:
        file = self.files[case.id]
        write_labels(found.labels, file)
        _mark(case, found, self.segmenter.degraded, file)
        if found.probabilities is not None:
            write_volume(found.probabilities, probabilities_file(file))

    def has_room(self, scan: _Scan, following: Case) -> bool:
        """Whether the bound leaves room to read another scan, and write the last, during the work on one."""
        bound_gb = self.segmenter.memory_gb
        return bound_gb is None or self._memory(scan).most + _reading(following) <= bound_gb * GB

    def _memory(self, scan: _Scan) -> MemoryPlan:
        return self.segmenter.memory(scan.ready.cropped, probabilities=self.how.probabilities)

    def _tell_memory(self, case: Case, scan: _Scan) -> None:
        if self.segmenter.memory_gb is not None:
            told = str(self._memory(scan))
            if told != self._told:  # scans of one size are told once
                self.watch.say(f"{case.id}: memory {told}")
            self._told = told


def _reading(case: Case) -> float:
    """Bytes that a case needs to be read and made ready, and one like it to be written."""
    from delineate.inference.memory import FINISHING, preparing

    first = next(path for path in case.images if path is not None)
    try:
        shape = read_geometry(first).shape
    except Error:  # it is told when it is that case's turn
        return math.inf
    voxels = math.prod(shape)
    return 4 * voxels * len(case.images) + preparing(shape, len(case.images)) + FINISHING * 2 * voxels


def _engine(model: Path, how: SegmentWishes, watch: Watch) -> EngineName | None:
    """The engine that is asked for, or the fastest, with a word about why."""
    if how.engine != "auto":
        return how.engine
    from delineate.inference.engines import Runtime, choose, made_for
    from delineate.networks import Model

    with watch.stage("choose an engine"):
        opened = Model.open(model)
        choice = choose(opened, Runtime(made_for(opened), how.precision, how.device, how.cache))
    watch.say(choice.told)
    return choice.engine


def probabilities_file(labels: Path) -> Path:
    """Where the probabilities that go with a label file are written."""
    return labels.with_name(labels.name.removesuffix(suffix_of(labels)) + PROBABILITIES)


def gates_file(labels: Path) -> Path:
    """Where the gates that go with a label file are written."""
    return labels.with_name(labels.name.removesuffix(suffix_of(labels)) + GATES)


def degraded_file(labels: Path) -> Path:
    """What lies beside a label file that was made without all channels."""
    return labels.with_name(labels.name.removesuffix(suffix_of(labels)) + DEGRADED)


def _mark(case: Case, found: Prediction, measured: Degraded | None, labels: Path) -> None:
    """Writes what was missing beside the labels; an older mark of a whole scan goes."""
    if not found.missing:
        degraded_file(labels).unlink(missing_ok=True)
        return
    from delineate.networks.degraded import MARK

    note = next(note for note in found.labels.notes if note.startswith(MARK))
    losses = (
        []
        if measured is None
        else [loss for loss in measured.losses if set(loss.missing) <= set(found.missing)]
    )
    content = {
        "case": case.id,
        "labels": labels.name,
        "missing": list(found.missing),
        "note": note,
        "losses": [loss.model_dump(mode="json") for loss in losses],
    }
    write_json(degraded_file(labels), content)


def _say_notes(case: Case, notes: Sequence[str], watch: Watch) -> None:
    """What the reader of a DICOM folder decided, for who waits."""
    if any(path is not None and path.is_dir() for path in case.images):
        for note in notes:
            watch.say(f"{case.id}: {note}")


def scan_of(case: Case, plan: Plan, how: SegmentWishes) -> Volume:
    """The scan of a case, its channels named as in the plan, and put onto each other where that is wished."""
    names = tuple(channel.name for channel in plan.channels)
    if how.register is not None and len(case.images) == len(names) > 1:
        return stacked(case, names, how.register, how.reading)
    holder = Dataset(
        name="incoming",
        root=Path(),
        layout="incoming",
        channels=names,
        schema=plan.labels,
        cases=(case,),
        optional=plan.dispensable,
    )
    return holder.scan(case, how.reading)


def outputs(cases: Sequence[Case], out: Path) -> dict[str, Path]:
    """The label file of each case, by its id; none of them is a file that is read."""
    files = _named(cases, out)
    _refuse_overwriting(cases, files)
    return files


def _named(cases: Sequence[Case], out: Path) -> dict[str, Path]:
    ids = [case.id for case in cases]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise DataError(
            f"several scans are called {', '.join(twice[:5])}, so their labels would overwrite each other. "
            "Segment their folders one after the other."
        )
    if any(out.name.lower().endswith(suffix) for suffix in SUFFIXES):
        if len(cases) > 1:
            raise DataError(f"{out}: is one file, but there are {len(cases)} cases. Name a folder with -o.")
        if suffix_of(out) not in WRITTEN:
            raise DataError(f"{out}: labels are written as {' '.join(WRITTEN)}, not as {suffix_of(out)}.")
        return {cases[0].id: out}
    return {case.id: out / f"{case.id}{_suffix(case)}" for case in cases}


def _refuse_overwriting(cases: Sequence[Case], files: Mapping[str, Path]) -> None:
    """Neither a scan nor labels that people drew are lost to a prediction."""
    read = {
        path.resolve(): path for case in cases for path in (*case.images, case.labels) if path is not None
    }
    lost = [file for file in files.values() if file.resolve() in read]
    if lost:
        raise DataError(
            f"{lost[0]}: is one of the files that are read, and would be overwritten by the prediction"
            f"{f', and so would {len(lost) - 1} more' if len(lost) > 1 else ''}. Name another place with -o."
        )


def _suffix(case: Case) -> str:
    first = next((path for path in case.images if path is not None), None)
    return ".png" if first is not None and first.suffix.lower() in PICTURES else ".nii.gz"
