"""Showing: an agreement as sections of a page."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from delineate.evaluation.raters.agreement import Agreement, findings, note, spelled
from delineate.evaluation.raters.ledger import Average
from delineate.evaluation.raters.plots import matrix_plot, standing_plot, style_plot
from delineate.evaluation.raters.style import KINDS
from delineate.page import Cell, Figure, Items, Part, Section, Table

MOST = 8  # structures that are drawn; all are in the tables

MEANING = (
    "Dice of two raters: the mean over cases of the mean over every two raters. It is what a model's Dice "
    "with raters can be held to; a model above it agrees with people better than they do with each other.",
    "With the others' consensus: each rater against the consensus of the other raters. With the consensus of "
    "all everything agrees better, the raters who made it most.",
    "HD95: larger of the two directed 95th percentiles between border voxels.",
    "Volume difference: of two raters without its sign, as a share of the mean of both. In the matrices it "
    "has its sign: above 0 the row is larger than the column.",
    "Border: mean distance of the two borders in mm, above 0 where the row lies outside the column.",
    "Surface for the volume: how ragged a shape is, free of its size.",
    "A style is called one where its chance is below 5 % after Holm's correction for all that was asked; "
    "hollow points may be chance.",
    "NON-INFERIOR: the whole 95 % interval of the difference lies above the margin. INFERIOR: it lies below. "
    "The interval is the wider one of the bootstrap over patients and of Student's t.",
)


def agreement_headline(agreement: Agreement) -> tuple[Figure, ...]:
    """The few figures at the top: what people agree on, and what became of the model."""
    figures = [
        Figure(f"{p.structure}: Dice of two raters", _short(p.dice, 3), _ends(p.dice, 3))
        for p in agreement.people[:2]
        if p.dice.mean is not None
    ]
    figures += [
        Figure(f"{s.structure}: {agreement.model}", _short(s.model, 3), s.verdict.lower())
        for s in agreement.standings[:2]
        if s.model.mean is not None
    ]
    patients = len(set(agreement.groups.values()))
    of = f"{len(agreement.groups)} cases of {patients} patient{'' if patients == 1 else 's'}"
    return (*figures, Figure("raters", str(len(agreement.raters)), of))


def agreement_sections(agreement: Agreement) -> tuple[Section, ...]:
    """What was found in words, people, the model, every reader, styles, and what the numbers mean."""
    said = tuple(findings(agreement)) or ("No style and no verdict is sure.",)
    sections = [Section("What was found", (Items(said),)), _people(agreement)]
    if agreement.model is not None:
        sections.append(_standing(agreement))
    sections += [_readers(agreement), _styles(agreement)]
    return (*sections, Section("What the numbers mean", (Items((*MEANING, note(agreement))),)))


def _people(agreement: Agreement) -> Section:
    heads = ("structure", "cases", "Dice", "HD95 (mm)", "volume difference (%)", "Fleiss' kappa")
    rows = [
        (
            people.structure,
            f"{people.dice.n}" + (f", {people.empty} without" if people.empty else ""),
            _cell(people.dice, 3),
            _cell(people.hd95_mm, 1),
            _cell(people.volume_difference, 1, factor=100),
            _cell(people.kappa, 3),
        )
        for people in agreement.people
    ]
    table = Table(heads, rows, "Of every two raters, with the 95 % interval over patients.")
    return Section("How well people agree", (table, *_drawings(agreement)))


def _drawings(agreement: Agreement) -> Iterator[Part]:
    for structure in agreement.structures[:MOST]:
        if len(agreement.structures) > 1:
            yield f"{structure}:"
        yield matrix_plot(agreement, structure)
    if len(agreement.structures) > MOST:
        yield f"{MOST} of {len(agreement.structures)} structures are drawn; all are in agreement.json."


def _standing(agreement: Agreement) -> Section:
    heads = ("structure", "with raters", "raters with each other", "difference", "HD95 difference (mm)")
    rows = [
        (
            s.structure,
            _cell(s.model, 3),
            _cell(s.people, 3),
            _cell(s.difference, 3),
            _cell(s.hd95_difference, 1),
            s.verdict,
            s.why,
        )
        for s in agreement.standings
    ]
    table = Table((*heads, "verdict", "why"), rows, words=frozenset({6}))
    left = [
        (s.structure, each.rater, _cell(each.person, 3), _cell(each.model, 3), _cell(each.difference, 3))
        for s in agreement.standings
        for each in s.left_out
    ]
    others = Table(
        ("structure", "left out", "rater left out", f"{agreement.model}", "difference"),
        left,
        "Dice with the consensus of the other raters: of the rater who was left out, and of the model.",
    )
    return Section(f"{agreement.model} among people", (standing_plot(agreement), table, others))


def _readers(agreement: Agreement) -> Section:
    heads = ("structure", "reader", "Dice with each rater", "with the others' consensus", "HD95 (mm)")
    rows = [
        (
            r.structure,
            r.reader,
            _cell(r.dice_each, 3),
            _cell(r.dice_of_others, 3),
            _cell(r.hd95_each_mm, 1),
            _cell(r.sensitivity, 3),
            _cell(r.specificity, 3),
        )
        for r in agreement.readers
    ]
    caption = "Sensitivity and specificity with the consensus of all, within the field of view."
    return Section("Every reader", (Table((*heads, "sensitivity", "specificity"), rows, caption),))


def _styles(agreement: Agreement) -> Section:
    drawings: list[Markup] = [
        style_plot(agreement, structure, kind) for structure in agreement.structures[:MOST] for kind in KINDS
    ]
    followed = [
        (f.structure, f.rater, _cell(f.nearer, 3), _chance(f.corrected), "yes" if f.follows else "-")
        for f in agreement.followings
    ]
    if not followed:
        return Section("Style", tuple(drawings))
    table = Table(
        ("structure", "rater", "Dice gained more than with any other", "chance", "followed"),
        followed,
        f"Whose style {agreement.model} has: its Dice with a rater, less what the other raters have.",
    )
    return Section("Style", (*drawings, table))


def _cell(average: Average, digits: int, *, factor: float = 1.0) -> Cell:
    return _short(average, digits, factor=factor), _ends(average, digits, factor=factor)


def _short(average: Average, digits: int, *, factor: float = 1.0) -> str:
    return spelled(average.but(low=None, high=None), digits, factor=factor)


def _ends(average: Average, digits: int, *, factor: float = 1.0) -> str:
    if average.low is None or average.high is None:
        return ""
    return f"{factor * average.low:.{digits}f} to {factor * average.high:.{digits}f}"


def _chance(value: float | None) -> str:
    if value is None:
        return "-"
    return "below 0.001" if value < 0.001 else f"{value:.3f}"
