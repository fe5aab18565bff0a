"""`delineate listen`: studies come in, meet their models, and their results go back."""

from __future__ import annotations

import signal
import threading
from datetime import datetime
from pathlib import Path

import typer

from delineate.cli.options import screen, settle

NAME = "listen"


def command(
    context: typer.Context,
    config: Path = typer.Argument(
        help="Where studies come from, their models, where results go (TOML, JSON)."
    ),
    once: bool = typer.Option(False, "--once", help="Do what there is to do, then end."),
    trial: Path | None = typer.Option(
        None,
        "--try",
        metavar="DIR",
        help="Only say to which models this study would go, and why.",
    ),
    status: bool = typer.Option(
        False, "--status", help="Only say how many studies are where, and what failed."
    ),
) -> None:
    """Receive studies from a PACS or scanner, segment them and send the results back, until stopped."""
    from delineate.pipeline.service import check_service, read_service

    show = screen(context)
    service = read_service(config)
    if status:
        from delineate.clinic.archive import look

        queue = look(service.queue)
        show.table(f"{service.queue}", ("state", "studies"), [(k, str(n)) for k, n in queue.counts().items()])
        for name, reason in queue.dead().items():
            show.result(f"dead/{name}: {reason.kind}: {reason.message}\n  {reason.remedy}")
        return
    if trial is not None:
        from delineate.pipeline.listening import tried

        show.table(f"{trial}", ("rule", "series", ""), tried(service, trial))
        return
    from delineate.pipeline.listening import listen

    settle()
    check_service(service)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())  # ends when the study at hand is done
    listen(service, lambda text: show.say(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {text}"), stop, once=once)
