"""Showing: what became of objects, lesions and candidates, as sections of a page."""

from __future__ import annotations

from collections.abc import Mapping

from delineate.evaluation.objects.detection_plot import froc_plot
from delineate.evaluation.objects.detection_report import DetectionReport
from delineate.evaluation.objects.instance_report import TABLE, InstanceReport
from delineate.evaluation.objects.lesion_report import LesionReport, size_words
from delineate.page import Items, Section, Table

POOL_HEADS = ("structure", "lesions", "found", "components", "invented", "recall", "precision", "F1")
MEAN_HEADS = ("structure", "Dice of voxels", "lesion-wise Dice", "lesion-wise HD95 (mm)")
SIZE_HEADS = ("structure", "ml", "lesions", "found", "mean Dice of a lesion")
COUNT_HEADS = ("structure", "cases", "objects", "predicted", "found", "missed", "invented", "merged", "split")
VALUE_HEADS = ("structure", "measure", "mean of cases", "all objects in one pool")


def instance_section(report: InstanceReport) -> Section:
    """How many objects were found, missed, invented, merged and split; and the measures that sum it up."""
    shown = [name for name in TABLE if name in report.metrics]
    counts = [tuple(map(str, one.model_dump().values())) for one in report.counts]
    found = [report.summary(name, structure) for structure in report.structures for name in shown]
    values = [(s.structure, s.title, s.mean.words, s.pooled.words) for s in found]
    told = tuple(f"{s.title}: {s.definition}" for s in map(report.summary, shown))
    return Section("Objects", (Table(COUNT_HEADS, counts), Table(VALUE_HEADS, values), Items(told)))


def lesion_section(report: LesionReport) -> Section:
    """How many lesions were found and invented, beside Dice of voxels, and of which size."""
    pooled = [
        (
            s.structure,
            *map(str, (s.lesions, s.found, s.components, s.invented)),
            s.recall.words,
            s.precision.words,
            s.f1.words,
        )
        for s in report.summaries
    ]
    means = [(s.structure, s.dice.words, s.lesion_dice.words, s.lesion_hd95.words) for s in report.summaries]
    sizes = [
        (b.structure, size_words(b), str(b.lesions), b.recall.words, b.lesion_dice.words)
        for b in report.sizes
    ]
    rules = report.rules.lesions
    said = f"All lesions in one pool. One lesion: {rules.words}. Found: {rules.words_of_found}."
    return Section(
        "Lesions",
        (
            Table(POOL_HEADS, pooled, said),
            Table(MEAN_HEADS, means, "Means of cases. Neither view can be told from the other."),
            Table(SIZE_HEADS, sizes, "By size of the lesion."),
        ),
    )


def detection_section(reports: Mapping[str, DetectionReport]) -> Section:
    """FROC curves of up to four models by name, their mean sensitivity and average precision."""
    rates = next(iter(reports.values())).rules.rates
    heads = ("model", *(f"{rate:g} per scan" for rate in rates), "CPM", "AP")
    rows = [
        (name, *(p.sensitivity.words for p in r.rates), r.cpm.words, r.average_precision.words)
        for name, r in reports.items()
    ]
    said = "Sensitivity at so many false positives per scan, their mean (CPM), and average precision."
    return Section("Detection", (froc_plot(reports), Table(heads, rows, said)))
