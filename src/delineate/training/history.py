"""History: what a training did, as JSON lines: one row for every few steps.

    {"step": 250, "progress": 0.1, "elapsed_s": 98.2, "rate": 0.0009, "loss": -0.41, ..., "validation": {...}}

The file opens in any editor and grows while the training runs.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from delineate.errors import RunError
from delineate.io.disk import write_text
from delineate.record import Record


class Validation(Record):
    """How well the network does on patches that it does not learn from.

    loss  mean over the validation batches, finest resolution
    dice  per structure, over all voxels of all patches together; None where a structure is neither
          there nor found. Patches are not scans: this "pseudo Dice" tells trends, not accuracy.
    """

    loss: float
    dice: dict[str, float | None]

    @property
    def title(self) -> str:
        """What the figures are: of a pretraining no Dice, but the share of the variance that it explains."""
        return "explained" if tuple(self.dice) == ("explained",) else "pseudo Dice"

    @property
    def mean_dice(self) -> float:
        """Over the structures that have one; NaN where none has."""
        known = [value for value in self.dice.values() if value is not None]
        return sum(known) / len(known) if known else math.nan


class Row(Record):
    """Some steps of a training.

    step       steps done by now
    progress   share of the training done
    elapsed_s  seconds since it began
    rate       learning rate of the last step
    loss       mean since the row before: `voxel` (mean surprise) minus `region` (mean overlap)
    waited     share of the time in which the network waited for data
    hardness   by case, what the draws go by from here on, where they go by it
    """

    step: int
    progress: float
    elapsed_s: float
    rate: float
    loss: float
    region: float
    voxel: float
    waited: float
    validation: Validation | None = None
    hardness: dict[str, float] | None = None


def append(path: Path, row: Row) -> None:
    """Adds a row to a history file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(row.model_dump_json() + "\n")


def read(path: Path) -> tuple[Row, ...]:
    """The rows of a history file; none where there is no file. A last line cut short is left out."""
    if not path.is_file():
        return ()
    *lines, torn = path.read_text(encoding="utf-8").split("\n")
    del torn  # what follows the last line break: nothing, or a line that was never finished
    return tuple(_row(line, path, number) for number, line in enumerate(lines, 1))


def cut(path: Path, step: int) -> None:
    """Drops the rows after a step: those that are about to be made again."""
    kept = [row for row in read(path) if row.step <= step]
    write_text(path, "".join(row.model_dump_json() + "\n" for row in kept))


def to_csv(rows: Sequence[Row]) -> str:
    """The history as a table, one column per structure."""
    names = list(dict.fromkeys(name for row in rows if row.validation for name in row.validation.dice))
    fields = [name for name in Row.model_fields if name not in ("validation", "hardness")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*fields, "validation_loss", *(f"dice {name}" for name in names)])
    for row in rows:
        shown = row.validation
        dice = [shown.dice.get(name) if shown else None for name in names]
        writer.writerow([*(getattr(row, name) for name in fields), shown.loss if shown else None, *dice])
    return text.getvalue()


def _row(line: str, path: Path, number: int) -> Row:
    try:
        return Row.model_validate_json(line)
    except ValidationError:
        raise RunError(
            f"{path}: line {number} is no row of a training history. Only its curves are lost: move the "
            f"file away, and the training goes on without its past."
        ) from None
