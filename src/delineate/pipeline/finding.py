"""Finding: single objects in new pictures, through a packed model that finds such."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from delineate.dataset.incoming import incoming
from delineate.errors import DataError, Error
from delineate.io import suffix_of, write_objects
from delineate.io.disk import write_json, write_text
from delineate.pipeline.scans import outputs, refuse_failed, scan_of
from delineate.pipeline.watch import Watch
from delineate.pipeline.wishes import SegmentWishes
from delineate.planning import Plan

if TYPE_CHECKING:
    from delineate.inference import FoundObject

COLUMNS = (
    "id", "kind", "score", "first_i", "first_j", "stop_i", "stop_j",
    "voxels", "area_mm2", "center_i", "center_j",
)  # fmt: skip


def finds_objects(model: Path) -> bool:
    """Whether a model folder finds single objects; what is wrong with it is for who opens it to say."""
    try:
        return Plan.load(model / "plan.json").finds_objects
    except (Error, OSError):
        return False


def find(model: Path, scans: Sequence[Path], out: Path, how: SegmentWishes, watch: Watch) -> tuple[Path, ...]:
    """Writes the objects of pictures, each with an id of its own, and returns the files.

    out  a file for one case, else a folder: CASE.nii.gz, or CASE.png for pictures

    Where a table is wished for, it lies beside each file. All cases are tried; those that fail are reported
    together at the end.
    """
    from delineate.inference.finder import SURE, Finder, object_table

    _refuse_wishes(how)
    with watch.stage("open the model"):
        finder = Finder.open(
            model,
            device=how.device,
            step=how.step,
            sure=SURE if how.sure is None else how.sure,
            precision=how.precision,
        )
    plan = finder.plan
    cases = incoming(scans, tuple(channel.name for channel in plan.channels), plan.dispensable)
    files = outputs(cases, out)
    failed: dict[str, str] = {}
    with watch.stage("find objects") as progress:
        for number, case in enumerate(cases):
            progress(number, len(cases), case.id)
            try:
                found = finder.find(scan_of(case, plan, how))
                write_objects(found.array, found.geometry, files[case.id])
                if how.objects is not None:
                    kind = plan.labels.labels[0].name
                    write_table(object_table(found, kind), files[case.id], how.objects)
            except Error as error:
                failed[case.id] = str(error)
        progress(len(cases), len(cases), "")
    refuse_failed(failed, len(cases))
    return tuple(files.values())


def table_file(objects: Path, kind: str) -> Path:
    """Where the table that goes with a map of objects is written."""
    return objects.with_name(f"{objects.name.removesuffix(suffix_of(objects))}_objects.{kind}")


def write_table(rows: Sequence[FoundObject], objects: Path, kind: str) -> None:
    """Writes a line per object beside their map, as CSV or JSON."""
    file = table_file(objects, kind)
    if kind == "json":
        write_json(file, {"map": objects.name, "objects": [row.model_dump(mode="json") for row in rows]})
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([row.id, row.kind, row.score, *row.box, row.voxels, row.area, *row.center])
    write_text(file, text.getvalue())


def _refuse_wishes(how: SegmentWishes) -> None:
    """What is about labels of voxels does not go with objects."""
    wished: Mapping[str, bool] = {
        "--mirror": bool(how.mirror),
        "--probabilities": how.probabilities,
        "--no-cleanup": not how.cleanup,
        "--fast": how.fast,
        "--adapt": how.adapt,
        "--engine": how.engine is not None,
        "--memory-gb": how.memory_gb is not None,
    }
    wrong = [name for name, is_wished in wished.items() if is_wished]
    if wrong:
        raise DataError(
            f"{', '.join(wrong)}: is about a label for each voxel, but this model finds single objects. "
            "Leave it out."
        )
