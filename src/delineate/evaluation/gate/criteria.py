"""Criteria: what is asked of which structure, and who says so.

A gate is a table: structure, metric, threshold, source. Thresholds belong to a protocol, a scanner and a use;
none holds everywhere, so every row carries its source. The rows that ship are defaults from the literature,
not regulatory limits.

A Dice threshold depends on size: a rim of one voxel around a lesion of 5 mm costs more than .4 of Dice at
1 mm (Reinke 2024, doi:10.1038/s41592-023-02150-0), and overlap says little about clinical end points (Sherer
2021, doi:10.1016/j.radonc.2021.05.003). So a verdict is shown beside surfaces, volumes, lesions and people.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from delineate.dataset.table_file import Row, read_table
from delineate.errors import DataError
from delineate.evaluation.measures import MEASURES
from delineate.evaluation.statistics import LEVEL, METHOD, IntervalMethod
from delineate.record import Record

Direction = Literal["at least", "at most", "within"]

DIRECTIONS: dict[str, Direction] = {"high": "at least", "low": "at most", "zero": "within"}
DISCLAIMER = "Defaults from the literature, not regulatory limits."
PATIENTS = 30  # none of 30 failed: then fewer than 10 % fail, with 95 % confidence (rule of three)
COLUMNS = (
    "structure",
    "names",
    "metric",
    "threshold",
    "direction",
    "level",
    "patients",
    "required",
    "source",
)
NEEDED = ("structure", "metric", "threshold", "source")


class Criterion(Record):
    """One row of a gate.

    structure  what is judged; * and ? stand for any letters
    names      what else it may be called, likewise
    direction  at least, at most, or within: the mean is between -threshold and +threshold
    interval   how the interval of the mean is found that must clear the threshold as a whole
    level      of that interval
    patients   with fewer, nothing is proven: rare failures are not in so small a sample
    required   whether a report without such a structure fails to prove the gate
    source     who asks for this
    """

    structure: Annotated[str, Field(min_length=1)]
    names: tuple[str, ...] = ()
    metric: str = "dice"
    threshold: float
    direction: Direction = "at least"  # where it is not given, it follows from the metric
    interval: IntervalMethod = METHOD
    level: Annotated[float, Field(gt=0.5, lt=1)] = LEVEL
    patients: Annotated[int, Field(ge=2)] = PATIENTS
    required: bool = True
    source: Annotated[str, Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _directed(cls, fields: object) -> object:
        """The direction follows from the metric where it is not given."""
        if not isinstance(fields, dict) or fields.get("direction") is not None:
            return fields
        measure = MEASURES.get(fields.get("metric", "dice"))
        return fields | {"direction": DIRECTIONS[measure.best] if measure else "at least"}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.metric not in MEASURES:
            raise ValueError(f"unknown metric {self.metric!r}; there are {', '.join(MEASURES)}")
        if self.direction == "within" and self.threshold <= 0:
            raise ValueError(f"'within' asks for a threshold above 0, got {self.threshold:g}")
        return self

    def matching(self, structures: Sequence[str]) -> tuple[str, ...]:
        """Those of the structures that this row is about; capitals, spaces and _ - . make no difference."""
        patterns = [_plain(name) for name in (self.structure, *self.names)]
        return tuple(s for s in structures if any(fnmatchcase(_plain(s), p) for p in patterns))

    @property
    def wish(self) -> str:
        """What is asked for, in words."""
        measure = MEASURES[self.metric]
        unit = "" if measure.unit == "1" else f" {measure.unit}"
        sign = "±" if self.direction == "within" else ""
        return f"{measure.title} {self.direction} {sign}{self.threshold:g}{unit}"


class Gate(Record):
    """What is asked of a model. `note` is printed wherever its verdicts are."""

    version: Literal[1] = 1
    name: Annotated[str, Field(min_length=1)]
    note: str = ""
    criteria: Annotated[tuple[Criterion, ...], Field(min_length=1)]


def _default(structure: str, threshold: float, source: str, *names: str) -> Criterion:
    return Criterion(
        structure=structure,
        names=names,
        threshold=threshold,
        direction="at least",
        required=False,
        source=f"literature default, not a regulatory limit: {source}",
    )


LITERATURE = Gate(
    name="literature",
    note=DISCLAIMER,
    criteria=(
        _default(
            "liver",
            0.95,
            "liver in CT, typically .97; the best of LiTS reached .963 (Bilic 2023, "
            "doi:10.1016/j.media.2022.102680)",
            "hepar",
        ),
        _default(
            "cardiac",
            0.90,
            "cardiac structures in MR, typically .92",
            *("cardiac *", "heart", "heart *", "lv", "rv", "la", "ra", "myo", "myocardium"),
            *("left ventricle", "right ventricle", "left atrium", "right atrium"),
        ),
        _default(
            "whole brain tumour",
            0.85,
            "whole tumour in brain MR, typically .88",
            *("whole brain tumor", "whole tumour", "whole tumor", "wt", "brain tumour", "brain tumor"),
        ),
        _default(
            "lung lesion",
            0.70,
            "lung lesions in CT, typically .73; depends on the task and on the size of the lesions",
            *("lung lesions", "lung tumour", "lung tumor", "lung nodule", "lung nodules", "lung cancer"),
            *("pulmonary nodule", "pulmonary lesion"),
        ),
    ),
)


def read_gate(where: Path | str) -> Gate:
    """The gate in a JSON or CSV file, or the one that ships for the word `literature`.

    A table has the columns structure, metric, threshold and source, and may have names (separated by |),
    direction, interval, level, patients and required (yes or no).
    """
    if str(where) == LITERATURE.name:
        return LITERATURE
    path = Path(where)
    if path.suffix.lower() == ".json":
        return Gate.load(path)
    table = read_table(path, key="structure")
    unknown = [column for column in table.columns if column not in COLUMNS]
    missing = [column for column in NEEDED if column not in table.columns]
    if unknown or missing or not table.rows:
        problems = [f"no column {name!r}" for name in missing]
        problems += [f"nobody knows the column {name!r}" for name in unknown]
        raise DataError(
            f"{path}: is no gate: {', '.join(problems) or 'it has no rows'}. Expected the columns "
            f"{', '.join(NEEDED)}, and where needed {', '.join(c for c in COLUMNS if c not in NEEDED)}."
        )
    return Gate(name=path.stem, criteria=tuple(_criterion(path, row) for row in table.rows))


def _criterion(path: Path, row: Row) -> Criterion:
    """The criterion in a line of a table; an empty cell is the default."""
    cells: dict[str, object] = {name: cell for name, cell in row.cells.items() if cell}
    try:
        numbers = {"threshold": float, "level": float, "patients": int}
        cells |= {name: kind(row[name]) for name, kind in numbers.items() if row[name]}
        cells |= {"names": tuple(name.strip() for name in row["names"].split("|") if name.strip())}
        if row["required"]:
            cells["required"] = YES_OR_NO[row["required"].lower()]
        return Criterion.model_validate(cells)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        why = f"{field}: {first['msg']}" if field else str(first["msg"])
    except KeyError:
        why = f"'required' is yes or no, got {row['required']!r}"
    except ValueError as error:
        why = str(error)
    raise DataError(f"{path}: line {row.line} is no criterion: {why}.")


YES_OR_NO: Mapping[str, bool] = {
    "yes": True,
    "true": True,
    "1": True,
    "no": False,
    "false": False,
    "0": False,
}


def _plain(name: str) -> str:
    """A name in small letters with single spaces between its words; * and ? stay."""
    return " ".join(re.sub(r"[^\w*?]|_", " ", name.lower()).split())
