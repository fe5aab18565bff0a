"""Manifest: cases written down as a `dataset.csv`, so that they open as a dataset."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from delineate.dataset import Case
from delineate.dataset.layouts.recognition import CHANNELS, OPTIONAL
from delineate.io.disk import write_json, write_text
from delineate.space import LabelSchema


def write_manifest(
    out: Path,
    cases: Sequence[Case],
    columns: tuple[str, ...],
    schema: LabelSchema,
    *,
    optional: tuple[str, ...] = (),
) -> None:
    """Writes OUT/dataset.csv and labels.json, and channels.json where cases may lack one.

    columns  of the images: the channels, or "image" where a file holds them all

    Files in OUT are named as they lie there, all others by their absolute paths.
    """
    free = tuple(dict.fromkeys(name for case in cases for name in case.extra))
    raters = tuple(dict.fromkeys(name for case in cases for name in case.raters))
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("case", "patient", "site", *free, *columns, "label", *(f"label:{r}" for r in raters)))
    for case in cases:
        reference = None if case.labels in case.raters.values() else case.labels
        files = (*case.images, reference, *(case.raters.get(name) for name in raters))
        words = (case.id, case.group, case.site or "", *(case.extra.get(name, "") for name in free))
        table.writerow((*words, *(_written(path, out) for path in files)))
    write_text(out / "dataset.csv", text.getvalue())
    write_text(out / "labels.json", schema.to_json())
    if optional:
        write_json(out / CHANNELS, {OPTIONAL: list(optional)})


def _written(path: Path | None, out: Path) -> str:
    if path is None:
        return ""
    return str(path.relative_to(out)) if path.is_relative_to(out) else str(path.resolve())
