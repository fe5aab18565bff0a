"""Scans: new ones through a packed model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from delineate.dataset import Case, Dataset
from delineate.dataset.incoming import incoming
from delineate.errors import DataError, Error
from delineate.io import SUFFIXES, suffix_of, write_labels, write_volume
from delineate.io.disk import write_json
from delineate.io.manner import Manner
from delineate.io.write import WRITTEN
from delineate.pipeline.watch import Watch
from delineate.pipeline.wishes import SegmentWishes
from delineate.planning import Plan
from delineate.space import Volume

if TYPE_CHECKING:
    from delineate.inference import Prediction
    from delineate.inference.engine import EngineName
    from delineate.networks import Degraded

PICTURES = (".png", ".bmp", ".jpg", ".jpeg")
PROBABILITIES = "_probabilities.nii.gz"
DEGRADED = "_degraded.json"


def segment(
    model: Path, scans: Sequence[Path], out: Path, how: SegmentWishes, watch: Watch
) -> tuple[Path, ...]:
    """Writes labels for scans, each on its scan's grid, and returns the files.

    out  a file for one case, else a folder: CASE.nii.gz, or CASE.png for pictures

    All cases are tried; those that fail are reported together at the end. Labels made without a channel
    that the model can do without say so, and so does CASE_degraded.json beside them.
    """
    from delineate.inference import Segmenter

    mirror = how.device != "cpu" if how.mirror is None else how.mirror
    engine = _engine(model, how, watch)
    with watch.stage("open the model"):
        segmenter = Segmenter.open(
            model,
            device=how.device,
            step=how.step,
            mirror=mirror,
            cleanup=how.cleanup,
            precision=how.precision,
            fast=how.fast,
            engine=engine,
            cache=how.cache,
        )
    if how.probabilities and segmenter.temperature != 1:
        watch.say(f"probabilities are at the temperature of the model, {segmenter.temperature:.3f}")
    channels = tuple(channel.name for channel in segmenter.plan.channels)
    cases = incoming(scans, channels, segmenter.plan.dispensable)
    files = _outputs(cases, out)
    _refuse_overwriting(cases, files)
    failed: dict[str, str] = {}
    with watch.stage("segment") as progress:
        for number, case in enumerate(cases):
            progress(number, len(cases), case.id)
            try:
                scan = _scan(case, segmenter.plan, how.reading)
                _say_notes(case, scan, watch)
                found = segmenter.segment(scan, probabilities=how.probabilities)
                labels = replace(found.labels, notes=(*scan.source.notes, *found.labels.notes))
                for note in found.labels.notes:
                    watch.say(f"{case.id}: {note}")
                write_labels(labels, files[case.id])
                _mark(case, found, segmenter.degraded, files[case.id])
                if found.probabilities is not None:
                    write_volume(found.probabilities, probabilities_file(files[case.id]))
            except Error as error:
                failed[case.id] = str(error)
        progress(len(cases), len(cases), "")
    if failed:
        lines = "\n".join(f"  {case}: {why.removeprefix(f'{case}: ')}" for case, why in failed.items())
        raise DataError(f"{len(failed)} of {len(cases)} cases could not be segmented:\n{lines}")
    return tuple(files.values())


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


def _say_notes(case: Case, scan: Volume, watch: Watch) -> None:
    """What the reader of a DICOM folder decided, for who waits."""
    if any(path is not None and path.is_dir() for path in case.images):
        for note in scan.source.notes:
            watch.say(f"{case.id}: {note}")


def _scan(case: Case, plan: Plan, manner: Manner) -> Volume:
    """The scan of a case, its channels named as in the plan."""
    names = tuple(channel.name for channel in plan.channels)
    holder = Dataset(
        name="incoming",
        root=Path(),
        layout="incoming",
        channels=names,
        schema=plan.labels,
        cases=(case,),
        optional=plan.dispensable,
    )
    return holder.scan(case, manner)


def _outputs(cases: Sequence[Case], out: Path) -> dict[str, Path]:
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
