"""`delineate deidentify`: scans without names."""

from __future__ import annotations

import enum
import getpass
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from delineate.cli.options import screen

if TYPE_CHECKING:
    from delineate.cli.screen import Screen
    from delineate.clinic.privacy import DeidentifyReport, Key, Option

NAME = "deidentify"


class Retained(enum.Enum):
    """What may be kept, as the command line spells it."""

    dates = "dates"
    device = "device"
    institution = "institution"
    patient = "patient"
    private = "private"
    uids = "uids"


def command(
    context: typer.Context,
    source: Path = typer.Argument(metavar="IN", help="A folder of DICOM and NIfTI files, or one file."),
    out: Path = typer.Argument(help="New folder, outside IN; killed and started again, it goes on."),
    key: Path | None = typer.Option(
        None, help="The secret that substitutes are computed from; made if it is not there. Default OUT.key."
    ),
    retain: list[Retained] = typer.Option(
        [],
        help="Keep this too, as the options of PS3.15 Annex E do: dates as they are, device, institution, "
        "patient (sex, age, size, weight), safe private elements, UIDs. Repeat for several.",
    ),
    basic: bool = typer.Option(
        False,
        "--basic",
        help="The basic profile alone: dates and all descriptions are removed, not moved or cleaned.",
    ),
    graphics: bool = typer.Option(False, "--graphics", help="Keep overlays in which no text is seen."),
    deface: bool = typer.Option(False, "--deface", help="Take the face from CT, MR and PET of heads."),
    blank_text: bool = typer.Option(
        False,
        "--blank-text",
        help="Blank text in pixels; without it, images that seem to hold text are held back.",
    ),
    allow_text: bool = typer.Option(
        False, "--allow-text", help="Pass images with text in their pixels: you have looked at them."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only say what would be done to which attribute."),
    mapping: Path | None = typer.Option(
        None, help="Also write which file became which, outside OUT. It leads back to patients."
    ),
    audit: Path | None = typer.Option(None, metavar="LOG", help="Add what was done to this audit log."),
    as_json: bool = typer.Option(False, "--json", help="The report as JSON."),
) -> None:
    """Take identity out of scans (DICOM PS3.15 Annex E); exit 1 if any file is held back."""
    from delineate.clinic.privacy import Wishes, deidentify

    if blank_text and allow_text:
        raise typer.BadParameter("--blank-text and --allow-text: text is either blanked or passed")
    show = screen(context)
    secret = _key(key or out.with_name(f"{out.name}.key"), out, show)
    wishes = Wishes(
        options=chosen(retain, basic=basic, graphics=graphics),
        text="blank" if blank_text else "keep" if allow_text else "hold",
        deface=deface,
        dry_run=dry_run,
    )
    with show.stage("deidentify") as progress:
        report = deidentify(source, out, secret, wishes, mapping=mapping, progress=progress)
    if audit is not None:
        _log(audit, report, secret)
    show.json(report.model_dump(mode="json")) if as_json else show.result(report.to_markdown())
    if not report.ok:
        if mapping is None:
            show.say("Which files were held back says --mapping FILE; keep that file with the key.")
        raise typer.Exit(1)


def chosen(retain: Sequence[Retained], *, basic: bool, graphics: bool) -> tuple[Option, ...]:
    """The options of the profile."""
    from delineate.clinic.privacy import DEFAULT, OPTIONS

    wanted = set() if basic else set(DEFAULT)
    wanted |= {"full_dates" if kept is Retained.dates else kept.value for kept in retain}
    if "full_dates" in wanted:
        wanted -= {"modified_dates"}
    if graphics:
        wanted.add("graphics")
    return tuple(name for name in OPTIONS if name in wanted)


def _key(path: Path, out: Path, show: Screen) -> Key:
    from delineate.clinic.privacy import make_key, read_key
    from delineate.errors import DataError

    if out.resolve() in path.resolve().parents:
        raise DataError(f"{path}: the key cannot lie in the output {out}, which is given away.")
    if path.exists():
        return read_key(path)
    made = make_key(path)
    show.say(
        f"A new key was made: {path}. Keep it: the same key gives the same substitutes. Give it to nobody."
    )
    return made


def _log(log: Path, report: DeidentifyReport, key: Key) -> None:
    from delineate.clinic.audit import Event, append

    append(
        log,
        Event(
            kind="deidentify",
            action="read" if report.dry_run else "create",
            outcome="success" if report.ok else "minor failure",
            agent=getpass.getuser(),
            patients=report.patients,
            details={
                "options": " ".join(report.options),
                "dry run": report.dry_run,
                "files read": report.read,
                "files written": report.written,
                "files held back": len(report.held),
                "images blanked": report.blanked,
                "files defaced": report.defaced,
                "key": key.reference("key"),
            },
        ),
    )
