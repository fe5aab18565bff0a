"""The command line: one verb a file, in the order of the work.

The only folder that prints. Verbs import what they need when they are called, so that `--help` answers at
once. Exit codes: 0 done, 1 one of our errors (its message only; `--debug` shows where), 2 wrong usage.
"""

from __future__ import annotations

import sys

import typer

from delineate.cli import (
    adapt,
    align,
    audit,
    bench,
    calibrate,
    change,
    check,
    compare,
    compress,
    consensus,
    convert,
    deidentify,
    deliver,
    evaluate,
    export,
    fetch,
    find,
    forecast,
    gate,
    import_dicom,
    import_monai,
    import_nnunet,
    listen,
    live,
    pack,
    phantoms,
    plan,
    prepare,
    pretrain,
    pseudo_label,
    raters,
    register,
    report,
    run,
    segment,
    send,
    stress,
    studies,
    subgroups,
    train,
)
from delineate.cli.options import Options
from delineate.errors import Error

EVERYWHERE = ("-q", "--quiet", "--debug")

INTERRUPTED = 130  # what shells call 128 and the number of SIGINT
STOPPED = "delineate: stopped. What was finished is kept; the same command goes on from there."

app = typer.Typer(
    help="From a folder of labelled scans to a measured segmentation model, and from a scan to labels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
VERBS = (
    check,
    align,
    register,
    run,
    plan,
    prepare,
    pretrain,
    train,
    evaluate,
    compare,
    bench,
    gate,
    subgroups,
    stress,
    adapt,
    calibrate,
    raters,
    consensus,
    change,
    forecast,
    report,
    pack,
    segment,
    pseudo_label,
    live,
    import_nnunet,
    import_monai,
    export,
    compress,
    convert,
    phantoms,
    studies,
    import_dicom,
    deliver,
    listen,
    find,
    fetch,
    send,
    deidentify,
    audit,
)
for verb in VERBS:
    app.command(verb.NAME)(verb.command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from delineate import __version__

        typer.echo(f"delineate {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress, no notes; results only."),
    debug: bool = typer.Option(False, "--debug", help="On an error, show where in the code it arose."),
    version: bool = typer.Option(
        False, "--version", help="Print the version and stop.", callback=_print_version, is_eager=True
    ),
) -> None:
    """Options of every verb."""
    context.obj = Options(quiet=quiet, debug=debug)


def main() -> None:
    """What the `delineate` command runs. The options of every verb may stand anywhere."""
    given = sys.argv[1:]
    everywhere = [word for word in given if word in EVERYWHERE]
    try:
        app([*everywhere, *(word for word in given if word not in EVERYWHERE)], prog_name="delineate")
    except (Error, OSError) as error:  # OSError: no room, no permission; its message names the file
        if "--debug" in everywhere:
            raise
        typer.echo(f"delineate: {error}", err=True)
        raise SystemExit(1) from None
    except SystemExit as ended:  # typer turns Ctrl-C into this
        if ended.code == INTERRUPTED:
            typer.echo(STOPPED, err=True)
        raise
    except KeyboardInterrupt:
        typer.echo(STOPPED, err=True)
        raise SystemExit(INTERRUPTED) from None
