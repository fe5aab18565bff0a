"""`delineate audit`: look through an audit log, or give it away."""

from __future__ import annotations

import enum
from pathlib import Path

import typer

from delineate.cli.options import screen

NAME = "audit"


class Doing(enum.Enum):
    """What is done with a log, as the command line spells it."""

    verify = "verify"
    export = "export"


def command(
    context: typer.Context,
    doing: Doing = typer.Argument(metavar="verify|export", help="Look through it, or write it as FHIR."),
    log: Path = typer.Argument(help="An audit log (JSON lines)."),
    head: str | None = typer.Option(
        None, help="NUMBER:HASH that an earlier `verify` printed: the log must still hold that line."
    ),
    fhir: bool = typer.Option(False, "--fhir", help="export: a FHIR R4 Bundle of AuditEvents, to stdout."),
    as_json: bool = typer.Option(False, "--json", help="verify: the verdict as JSON."),
) -> None:
    """Verify that an audit log was not touched (exit 1 if it was), or export it."""
    from delineate.clinic.audit import Head, to_fhir, verify

    show = screen(context)
    if doing is Doing.export:
        if not fhir:
            raise typer.BadParameter("export: say in which form:  delineate audit export LOG --fhir")
        show.json(to_fhir(log))
        return
    verdict = verify(log, head=None if head is None else Head.parse(head))
    if as_json:
        show.json(verdict.model_dump(mode="json"))
    else:
        for line in verdict.lines():
            show.result(line)
    if not verdict.ok:
        raise typer.Exit(1)
