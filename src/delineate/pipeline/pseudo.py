"""Pseudo-labels: a dataset whose labels a model made, as far as it is sure, and which says so.

Voxels of which the model is not sure become the ignore label: they teach nothing. Each case says what made
its labels, when, and how sure it was; nobody has reviewed them, so they teach and never judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from delineate import __version__
from delineate.dataset import Case, Dataset
from delineate.dataset.incoming import incoming
from delineate.dataset.provenance import Provenance
from delineate.errors import DataError, Error
from delineate.io import write_labels
from delineate.pipeline.manifest import write_manifest
from delineate.pipeline.scans import scan_of
from delineate.pipeline.watch import Watch
from delineate.pipeline.wishes import SegmentWishes
from delineate.space import LabelMap, LabelSchema

if TYPE_CHECKING:
    from delineate.inference import Prediction, Segmenter

THRESHOLD = 0.95  # of the probability; Sohn 2020, FixMatch, arXiv:2001.07685


@dataclass(frozen=True)
class PseudoWishes:
    """How pseudo-labels are made.

    threshold  probability from which a voxel counts as sure; others become the ignore label
    least      mean probability of what was found, from which a case is taken at all
    people     a dataset labelled by people, whose cases are written down beside the others
    date       when this is done, ISO 8601
    how        how scans are segmented
    """

    threshold: float = THRESHOLD
    least: float = 0.0
    people: Path | None = None
    date: str = ""
    how: SegmentWishes = field(default_factory=SegmentWishes)


def pseudo_label(
    model: Path, scans: Sequence[Path], out: Path, wishes: PseudoWishes, watch: Watch
) -> Dataset:
    """Writes OUT, a dataset of scans that a model labelled, and opens it.

    Cases in which nothing was found, or of which the model is less sure than `least`, are left out and said.

    Raises:
        DataError: OUT is not empty, labels of people do not fit, scans cannot be segmented, or none is left.
    """
    from delineate.inference import Segmenter
    from delineate.networks import Model

    if out.exists() and any(out.iterdir()):
        raise DataError(f"{out}: is not empty. Name a new folder for the dataset.")
    with watch.stage("open the model"):
        opened = Model.open(model)
        segmenter = Segmenter.open(model, device=wishes.how.device, mirror=bool(wishes.how.mirror))
    plan = segmenter.plan
    channels = tuple(channel.name for channel in plan.channels)
    people = None if wishes.people is None else _people(wishes.people, channels, plan.labels)
    schema = _with_ignore(plan.labels if people is None else people.schema)
    known = () if people is None else (*people.cases,)
    cases = [
        case for case in incoming(scans, channels, plan.dispensable) if case.id not in {c.id for c in known}
    ]
    maker = Provenance(
        origin="auto",
        tool=f"delineate {__version__} {plan.dataset}",
        model=opened.digest,
        date=wishes.date,
    )
    made, failed = [], {}
    with watch.stage("label") as progress:
        for number, case in enumerate(cases):
            progress(number, len(cases), case.id)
            try:
                labelled = _labelled(case, segmenter, schema, maker, out, wishes, watch)
            except Error as error:
                failed[case.id] = str(error)
                continue
            made += [] if labelled is None else [labelled]
        progress(len(cases), len(cases), "")
    _refuse(out, made, failed, len(cases))
    columns = channels if all(len(case.images) == len(channels) for case in (*known, *made)) else ("image",)
    write_manifest(out, (*known, *made), columns, schema, optional=plan.dispensable)
    return Dataset.open(out)


def _people(path: Path, channels: tuple[str, ...], labels: LabelSchema) -> Dataset:
    """The dataset of people's labels, where it means what the model means."""
    found = Dataset.open(path)
    values = {label.name: label.value for label in found.schema.labels}
    if found.channels != channels or values != {label.name: label.value for label in labels.labels}:
        raise DataError(
            f"{path}: has other channels or labels than the model: {', '.join(found.channels)} and "
            f"{', '.join(values)}; the model has {', '.join(channels)} and "
            f"{', '.join(label.name for label in labels.labels)}."
        )
    if found.values is not None:
        raise DataError(
            f"{path}: its label files hold other values than the schema. Write it anew first:  "
            f"delineate convert {path} OUT"
        )
    return found


def _with_ignore(schema: LabelSchema) -> LabelSchema:
    return schema if schema.ignore is not None else schema.but(ignore=max(schema.values) + 1)


def _labelled(
    case: Case,
    segmenter: Segmenter,
    schema: LabelSchema,
    maker: Provenance,
    out: Path,
    wishes: PseudoWishes,
    watch: Watch,
) -> Case | None:
    """The case with the labels that the model is sure of, or None where it is not taken."""
    found = segmenter.segment(scan_of(case, segmenter.plan, wishes.how), probabilities=True)
    sure = confidence_of(found, exclusive=segmenter.plan.labels.exclusive)
    structures = found.labels.array > 0
    if not structures.any():
        watch.say(f"{case.id}: left out: the model found nothing")
        return None
    mean = float(sure[structures].mean())
    if mean < wishes.least:
        watch.say(f"{case.id}: left out: sure to {mean:.3f}, less than {wishes.least:g}")
        return None
    kind: type[np.unsignedinteger[Any]] = np.uint8 if max(schema.values) < 256 else np.uint16
    array = np.where(sure >= wishes.threshold, found.labels.array, schema.ignore or 0).astype(kind)
    file = out / "labels" / f"{case.id}.nii.gz"
    write_labels(LabelMap(array, found.labels.geometry, schema), file)
    cells = maker.but(confidence=round(mean, 4)).cells
    return replace(case, labels=file, extra={**case.extra, **cells}, raters={})


def confidence_of(found: Prediction, *, exclusive: bool) -> npt.NDArray[Any]:
    """(i, j, k) how sure the model is of each voxel: of its label, or of the least sure of the regions."""
    assert found.probabilities is not None
    p = found.probabilities.array
    return np.asarray(p.max(axis=0) if exclusive else np.maximum(p, 1 - p).min(axis=0))


def _refuse(out: Path, made: Sequence[Case], failed: dict[str, str], count: int) -> None:
    if failed:
        lines = "\n".join(f"  {name}: {why}" for name, why in failed.items())
        raise DataError(f"{len(failed)} of {count} cases could not be labelled:\n{lines}")
    if not made:
        raise DataError(
            f"{out}: nothing to write: of {count} cases without labels of people none is sure enough. Lower "
            "--least, or give other scans."
        )
