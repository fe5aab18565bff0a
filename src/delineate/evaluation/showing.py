"""Showing: a report as sections of a page: figures, tables, plots, and cases as pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from delineate.evaluation.averages import HEADS, DiceAverages
from delineate.evaluation.figures import best_view, colors, picked, png, slice_figure
from delineate.evaluation.measures import MEASURES, Measure
from delineate.evaluation.plots import box_plot
from delineate.evaluation.scores import Overall, Report, Summary
from delineate.evaluation.statistics import INTERVALS
from delineate.page import Cell, Color, Figure, Gallery, Items, Picture, Section, Table, picture_uri
from delineate.progress import Progress, silent
from delineate.space import LabelMap, Volume

TABLE = ("dice", "iou", "hd95", "assd", "nsd", "volume_error_relative")
PLOTTED = ("dice", "hd95")
HEADLINE = ("dice", "hd95", "nsd")
WORST, MEDIAN, BEST = 3, 2, 1  # cases shown
EDGE = 420  # pixels of a picture's longer side

Look = Callable[[str], tuple[Volume, LabelMap, LabelMap]]  # case -> scan, reference, prediction


def headline(report: Report) -> tuple[Figure, ...]:
    """The few figures at the top."""
    chosen = [o for o in report.overall if o.metric in HEADLINE and o.mean is not None]
    found = [_figure(overall) for overall in chosen]
    patients = len(set(report.groups.values()))
    of_patients = f"of {patients} patient{'' if patients == 1 else 's'}"
    count = len(report.cases)
    return (*found, Figure("measured on", f"{count} case{'' if count == 1 else 's'}", of_patients))


def score_section(report: Report) -> Section:
    """Means with their intervals, and a plot of every case."""
    heads, rows = _table(report)
    caption = (
        f"Mean over cases and its 95 % interval ({INTERVALS[report.rules.interval]}). "
        f"{EMPTY_IN_WORDS[report.rules.empty]} "
        "Missed: nothing predicted where the reference has some. Invented: predicted where it has none."
    )
    plots = [box_plot(report, metric) for metric in PLOTTED if metric in report.metrics]
    averages = (average_table(report),) if "dice" in report.metrics else ()
    return Section("How good", (Table(heads, rows, caption), *plots, *averages))


def average_table(report: Report) -> Table:
    """The same Dice, averaged in each of the ways that papers use without saying which."""
    caption = "One set of results, four means: say which one is compared."
    return Table(HEADS, DiceAverages.of(report).rows, caption, words=frozenset({1}))


EMPTY_IN_WORDS = {
    "missing": "Where both masks are empty nothing is measured: never called zero or perfect.",
    "one": "Where both masks are empty, overlap is called 1.",
    "reference": "Where the reference is empty nothing is measured, whatever was predicted.",
}


def case_section(report: Report, look: Look, progress: Progress = silent) -> Section:
    """The worst cases, because they teach most, with some in the middle and the best."""
    picks = picked(report.ranked(_judged_by(report)), WORST, MEDIAN, BEST)
    pictures: list[Picture] = []
    legend: dict[str, Color] = {}
    for number, (place, case) in enumerate(picks):
        progress(number, len(picks), case)
        scan, reference, prediction = look(case)
        view = best_view(scan, reference, prediction)
        drawn = slice_figure(scan, view, reference=reference, prediction=prediction, edge=EDGE)
        legend |= colors(reference.schema)
        pictures.append(Picture(picture_uri(png(drawn)), case, _scores(report, case), place))
    progress(len(picks), len(picks), "")
    remarks = ("tinted: what was found", "outlined: the reference")
    return Section("Cases", (Gallery(tuple(pictures), tuple(legend.items()), remarks),))


def rule_section(report: Report) -> Section:
    """What every number means."""
    measures = report.rules.measures
    told = tuple(f"{heading(m)}: {report.rules.definition(m)}" for m in measures)
    return Section("What the numbers mean", (Items(told),))


def _judged_by(report: Report) -> str:
    return "dice" if "dice" in report.metrics else report.metrics[0]


def _scores(report: Report, case: str) -> str:
    metric = _judged_by(report)
    values = {structure: report.values(structure, metric)[case] for structure in report.structures}
    return ", ".join(f"{name} {value:.2f}" for name, value in values.items() if value is not None)


def _table(report: Report) -> tuple[tuple[str, ...], list[list[Cell]]]:
    """Heads and rows of the table of means."""
    measures = list(_shown(report))
    heads = ("structure", "with it", "missed", "invented")
    rows = []
    for counts in report.counts:
        there = f"{counts.cases - counts.empty_reference} of {counts.cases}"
        row: list[Cell] = [
            *(counts.structure, there, str(counts.missed), str(counts.false_positive_on_empty))
        ]
        row += [value_cell(report.summary(counts.structure, m.name)) for m in measures]
        rows.append(row)
    return (*heads, *(heading(m) for m in measures)), rows


def _shown(report: Report) -> Iterator[Measure]:
    """The measures of the table: the usual ones that were measured, and whatever else was asked for."""
    usual = [m for m in report.rules.measures if m.name in TABLE]
    return iter(usual or [m for m in report.rules.measures if not m.name.startswith("volume_")])


def heading(measure: Measure) -> str:
    """A measure's title with its unit."""
    return measure.title + ("" if measure.unit == "1" else f" ({measure.unit})")


def value_cell(summary: Summary | Overall) -> Cell:
    """A mean with its interval below it; a dash where there is none."""
    if summary.mean is None:
        return "-", ""
    digits = digits_of(summary.unit)
    if summary.ci_low is None or summary.ci_high is None:
        return f"{summary.mean:.{digits}f}", ""
    return f"{summary.mean:.{digits}f}", f"{summary.ci_low:.{digits}f} to {summary.ci_high:.{digits}f}"


def digits_of(unit: str) -> int:
    """Decimals that mean something: tenths of a millimetre, thousandths of a share."""
    return 1 if unit == "mm" else 3


def _figure(overall: Overall) -> Figure:
    unit = "" if overall.unit == "1" else f" {overall.unit}"
    digits = digits_of(overall.unit)
    below = ""
    if overall.ci_low is not None and overall.ci_high is not None:
        below = f"95 % interval {overall.ci_low:.{digits}f} to {overall.ci_high:.{digits}f}{unit}"
    title = f"mean {MEASURES[overall.metric].title}"
    return Figure(title, f"{overall.mean:.{digits}f}{unit}", below)
