"""People: several raters' folders compared, with a model among them, or fused into one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from delineate import __version__
from delineate.errors import DataError
from delineate.evaluation.raters import (
    Agreement,
    Crowd,
    FusedFolder,
    FusionRules,
    GoldRules,
    Margin,
    Panel,
    agreement_headline,
    agreement_of,
    agreement_sections,
    judge_workers,
    read_together,
    write_consensus,
)
from delineate.io.disk import write_text
from delineate.page import render_page
from delineate.pipeline.watch import Watch
from delineate.space import LabelMap


@dataclass(frozen=True)
class RaterWishes:
    """How raters are compared.

    names   of the raters; None: as their folders are called
    model   a folder of predictions to stand among them
    labels  what label values mean (labels.json, dataset.json)
    facts   a CSV with a line per case: patient, site and further columns
    rules   how the consensus is made, and its field of view
    margin  when the model counts as no worse than people
    """

    names: tuple[str, ...] | None = None
    model: Path | None = None
    labels: Path | None = None
    facts: Path | None = None
    rules: FusionRules = field(default_factory=FusionRules)
    margin: Margin = field(default_factory=Margin)


@dataclass(frozen=True)
class ConsensusWishes:
    """How raters are fused.

    names, labels, rules  as of `RaterWishes`
    gold                  a folder of known answers to some of the cases: these judge the raters
    least                 what the judged have to reach
    """

    names: tuple[str, ...] | None = None
    labels: Path | None = None
    rules: FusionRules = field(default_factory=FusionRules)
    gold: Path | None = None
    least: GoldRules = field(default_factory=GoldRules)


def compare_raters(folders: Sequence[Path], out: Path, wishes: RaterWishes, watch: Watch) -> Agreement:
    """How far raters are apart, and a model among them; `out` holds it as JSON, CSV, Markdown and a page.

    Raises:
        DataError, GeometryError: what `Panel.open` and `read_together` refuse, or `out` is a rater's folder.
    """
    _refuse_inside(out, [*folders, *([wishes.model] if wishes.model else [])])
    with watch.stage("headers"):
        panel = Panel.open(
            folders, names=wishes.names, model=wishes.model, labels=wishes.labels, facts=wishes.facts
        )
    for text in panel.dataset.notes:
        watch.say(text)
    with watch.stage("raters") as progress:
        readings = read_together(
            panel.cases,
            panel.load,
            panel.raters,
            model=panel.model,
            rules=wishes.rules,
            workers=os.cpu_count() or 1,
            progress=progress,
        )
    title = ", ".join(panel.raters) + (f" and {panel.model}" if panel.model else "")
    agreement = agreement_of(readings, groups=panel.groups, margin=wishes.margin, title=title)
    write_text(out / "agreement.json", agreement.to_json())
    write_text(out / "agreement.md", f"# {title}\n\n{agreement.to_markdown()}")
    write_text(out / "pairs.csv", readings.pairs_csv())
    write_text(out / "readers.csv", readings.readings_csv())
    page = render_page(
        title,
        "How well people agree, what each of them is like, and where a model stands.",
        agreement_sections(agreement),
        figures=agreement_headline(agreement),
        warnings=agreement.warnings,
        footer="One row per case, structure and two readers: pairs.csv; per reader: readers.csv.",
    )
    write_text(out / "agreement.html", page)
    return agreement


def fuse_raters(folders: Sequence[Path], out: Path, wishes: ConsensusWishes, watch: Watch) -> FusedFolder:
    """Label files of the raters' consensus in `out`, probabilities where there are any, and who made them.

    Raises:
        DataError, GeometryError: what `Panel.open`, `judge_workers` and `write_consensus` refuse, or `out` is
            one of the folders.
    """
    _refuse_inside(out, [*folders, *([wishes.gold] if wishes.gold else [])])
    with watch.stage("headers"):
        panel = Panel.open(folders, names=wishes.names, model=wishes.gold, labels=wishes.labels)
    for text in panel.dataset.notes:
        watch.say(text)
    crowd = _crowd(panel, wishes.least) if panel.model else None
    if crowd:
        watch.say(crowd.to_markdown().rstrip())
    with watch.stage("consensus") as progress:
        return write_consensus(
            panel,
            dict(zip(panel.raters, folders, strict=True)),
            out,
            wishes.rules,
            crowd=crowd,
            made_by=f"delineate {__version__}",
            workers=os.cpu_count() or 1,
            progress=progress,
        )


def _crowd(panel: Panel, rules: GoldRules) -> Crowd:
    """The raters, judged by the cases with a known answer."""
    gold = panel.model or ""
    answers = panel.files[gold]
    tasks = [case for case in panel.cases if case in answers]

    def load(case: str) -> tuple[LabelMap, dict[str, LabelMap]]:
        maps = panel.load(case)
        return maps.pop(gold), maps

    return judge_workers(tasks, load, panel.raters, rules)


def _refuse_inside(out: Path, folders: Sequence[Path]) -> None:
    for folder in folders:
        if out.resolve() == folder.resolve():
            raise DataError(f"{out}: holds labels that are read. Write the results into another folder.")
