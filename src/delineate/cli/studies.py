"""`delineate studies`: what is in this download?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from delineate.cli.options import screen

if TYPE_CHECKING:
    from delineate.clinic.picking import Picked
    from delineate.clinic.studies import Download, Entry, Verdict

NAME = "studies"
PICK = (
    "Only series that fit, as KEY=VALUE; repeat for several. modality, series, study, protocol, body_part, "
    "image_type, manufacturer, station: a pattern (*portal*); without: a pattern that must not fit; "
    "thickness=0.5-3, images=20-; orientation=axial; contrast=yes; prefer=newest, thinnest or most-slices, "
    "one per study."
)


def command(
    context: typer.Context,
    folder: Path = typer.Argument(help="A download, or any folder of DICOM."),
    pick: list[str] = typer.Option([], "--pick", metavar="KEY=VALUE", help=PICK),
    as_json: bool = typer.Option(
        False,
        "--json",
        help="The report as JSON: patients and studies as numbers, no text of people.",
    ),
) -> None:
    """What is in a folder of DICOM: patients, studies, series, what can be done with each, and why not."""
    from delineate.clinic import Picking, look
    from delineate.clinic import pick as picked

    show = screen(context)
    rule = Picking.of(pick)
    with show.stage("look") as progress:
        found = look(folder, progress=progress)
    verdicts = picked(found, rule) if pick else ()
    if as_json:
        show.json(found.report.model_dump(mode="json") | {"picked": [each.model_dump() for each in verdicts]})
        return
    by_number = {verdict.number: verdict for verdict in verdicts}
    for who, studies in found.patients.items():
        for entries in studies.values():
            first = entries[0]
            title = ("patient", who, first.text("PatientName"), _day(first.text("StudyDate")))
            show.table(
                " ".join(part for part in (*title, first.text("StudyDescription")) if part),
                ("#", "modality", "series", "images", "voxels", "mm", "lies", "segment", "learn from")
                + (("picked",) if verdicts else ()),
                [_row(found, entry, by_number.get(entry.number)) for entry in entries],
            )
    for line in _below(found, by_number):
        show.result(line)


def _row(found: Download, entry: Entry, verdict: Picked | None) -> tuple[str, ...]:
    report = entry.report("", "", found.folder)
    size = "-" if report.shape is None else " x ".join(map(str, report.shape))
    spacing = "-" if report.spacing is None else " x ".join(f"{mm:.3g}" for mm in report.spacing)
    volumes = f" ({report.volumes} volumes)" if report.volumes > 1 else ""
    row = (
        str(entry.number), entry.modality, entry.description, f"{report.images}{volumes}", size, spacing,
        entry.orientation, _said(entry.segment), _said(entry.train),
    )  # fmt: skip
    return row if verdict is None else (*row, "yes" if verdict.taken else "no")


def _said(verdict: Verdict) -> str:
    return {"straightened": "with --straighten", "film": "with --film"}.get(verdict.use, verdict.use)


def _below(found: Download, verdicts: dict[int, Picked]) -> list[str]:
    """What stands below the tables: remarks with their way out, why series were picked, what else."""
    lines = []
    for entry in found.series:
        lines += [f"#{entry.number} {r.severity}: {r.message}\n    {r.remedy}" for r in entry.remarks]
        if (verdict := verdicts.get(entry.number)) is not None:
            lines.append(f"#{entry.number} {'picked' if verdict.taken else 'passed over'}: {verdict.why}")
    lines += [f"beside images: {count} x {kind}" for kind, count in sorted(found.others.items())]
    lines += [f"unreadable: {file}: {why}" for file, why in found.unreadable.items()]
    if not found.series:
        lines.append(f"{found.folder}: no DICOM images here.")
    return lines


def _day(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == 8 and date.isdigit() else date
