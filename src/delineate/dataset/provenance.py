"""Provenance: who or what made the labels of a case, and whether a person has looked at them since.

Columns of a manifest or of a `cases.csv`, all of them free to be left out:

    label_origin      manual (drawn by a person; what is meant where nothing is said), semi (a tool, led by a
                      person), auto (a model), crowd (people who are no experts)
    label_author      who
    label_tool        with what: a program, or a model
    label_model       digest of the model
    label_date        when, ISO 8601
    label_reviewed    who looked at it and found it right; empty: nobody
    label_confidence  how sure the model was, 0 to 1

Labels of a model that nobody reviewed teach, but they are no evidence: a model that is measured against them
is measured against another model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal, get_args

from pydantic import Field

from delineate.dataset.case import Case
from delineate.errors import DataError
from delineate.record import Record

Origin = Literal["manual", "semi", "auto", "crowd"]
COLUMNS = {
    name: f"label_{name}" for name in ("origin", "author", "tool", "model", "date", "reviewed", "confidence")
}
SHOWN = 5  # cases in a message
NOBODY = frozenset({"no", "false", "0", "-", "none", "nobody"})  # what may stand where nobody reviewed


class Provenance(Record):
    """Who or what made the labels of a case; see the columns above."""

    origin: Origin = "manual"
    author: str = ""
    tool: str = ""
    model: str = ""
    date: str = ""
    reviewed: str = ""
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None

    @property
    def is_evidence(self) -> bool:
        """Whether a model can be measured against these labels: a person drew or reviewed them."""
        return self.origin != "auto" or bool(self.reviewed)

    @property
    def cells(self) -> dict[str, str]:
        """The columns that say something."""
        fields = self.model_dump()
        said = {COLUMNS[name]: value for name, value in fields.items() if value not in ("", None)}
        return {
            name: f"{value:.4f}" if isinstance(value, float) else str(value) for name, value in said.items()
        }


def provenance_of(case: Case) -> Provenance:
    """What the columns of a case say about its labels.

    Raises:
        DataError: an origin or a confidence that cannot be.
    """
    cells = {name: case.extra.get(column, "").strip() for name, column in COLUMNS.items()}
    if cells["reviewed"].lower() in NOBODY:
        cells["reviewed"] = ""
    origin, confidence = cells.pop("origin") or "manual", cells.pop("confidence")
    if origin not in get_args(Origin):
        raise DataError(
            f"{case.id}: label_origin is {origin!r}; expected one of {', '.join(get_args(Origin))}. "
            "Correct it in the manifest or cases.csv."
        )
    return Provenance(origin=origin, confidence=_confidence(case, confidence), **cells)  # type: ignore[arg-type]


def _confidence(case: Case, text: str) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        value = -1.0
    if value is not None and not 0 <= value <= 1:
        raise DataError(
            f"{case.id}: label_confidence is {text!r}; expected a number from 0 to 1, or nothing."
        )
    return value


def made_by_models(cases: Iterable[Case]) -> tuple[str, ...]:
    """The labelled cases whose labels are no evidence: made by a model, and reviewed by nobody."""
    return tuple(c.id for c in cases if c.labels is not None and not provenance_of(c).is_evidence)


def told(cases: Iterable[Case]) -> str | None:
    """Who made the labels, in a sentence; None where nobody said anything but people."""
    found = [provenance_of(case) for case in cases if case.labels is not None]
    models = [one for one in found if one.origin == "auto"]
    if not models:
        return None
    reviewed = sum(bool(one.reviewed) for one in models)
    tools = ", ".join(
        f"{count} by {name}" for name, count in Counter(_tool(one) for one in models).most_common()
    )
    return (
        f"{len(models)} of {len(found)} label maps were made by a model ({tools}); people reviewed "
        f"{reviewed} of them. The other {len(models) - reviewed} teach, but are no evidence of quality"
    )


def _tool(one: Provenance) -> str:
    return f"{one.tool or 'a model'}{f' {one.model[:12]}' if one.model else ''}"


def refuse_as_evidence(cases: Iterable[Case], where: str, remedy: str) -> None:
    """Raises where the labels of some cases were made by a model and reviewed by nobody."""
    models = made_by_models(cases)
    if models:
        more = f" and {len(models) - SHOWN} more" if len(models) > SHOWN else ""
        raise DataError(
            f"{where}: the reference labels of {', '.join(models[:SHOWN])}{more} were made by a model and "
            f"reviewed by nobody: agreement with them is no evidence. {remedy}"
        )
