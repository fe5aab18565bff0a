"""Counting: one scan's probabilities against what is there, in pieces that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from delineate.errors import DataError, GeometryError
from delineate.evaluation.calibration.regions import WHERE, Where, boundary, foreground
from delineate.evaluation.calibration.reliability import LEAST, Bools, Forecasts, Reliability
from delineate.evaluation.calibration.temperature import Sample, sampled, tempered
from delineate.space import LabelMap, LabelSchema, Volume

TOP = "top label"  # how sure the model is of the label that it gives, whichever it is
PIECE = 2**20  # voxels looked at together
SUM_WITHIN = 0.02  # of one: probabilities kept in single bytes are rounded
SAME_MM = 0.01  # NIfTI keeps affines in single precision

KINDS: dict[Where, tuple[int, ...]] = {  # foreground counts 1, boundary 2
    "everywhere": (0, 1, 2, 3),
    "foreground": (1, 3),
    "boundary": (2, 3),
}

Counts = dict[tuple[str, Where], Reliability]


@dataclass(frozen=True, eq=False)
class Forecast:
    """What a model said of every annotated voxel of a scan, and what is there.

    probabilities  (output, n)
    truth          (n,) the output that each voxel is; negative where nobody knows. Exclusive outputs only
    present        (output, n) whether each output is there; None where they are exclusive
    known          (n,) where somebody does; None: everywhere
    kind           (n,) 1 where the model sees a structure, 2 more near a boundary of what it sees
    """

    schema: LabelSchema
    probabilities: Forecasts
    truth: npt.NDArray[np.int32]
    present: Bools | None
    known: Bools | None
    kind: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, reference: LabelMap, probabilities: Volume, case: str, *, band_mm: float) -> Self:
        """The forecast of a case.

        Raises:
            DataError: the numbers are no probabilities, or other outputs than the schema has.
            GeometryError: both are on different grids.
        """
        schema = reference.schema
        array = _checked(reference, probabilities, case)
        found = LabelMap(schema.decode(array), reference.geometry, schema)
        kind = foreground(found).astype(np.uint8)
        kind += np.uint8(2) * boundary(found, band_mm)
        exclusive = schema.exclusive
        encoded = None if exclusive else schema.encode(reference.array)
        known = reference.array != schema.ignore if schema.ignore is not None else None
        return cls(
            schema=schema,
            probabilities=array.reshape(len(schema.outputs), -1),
            truth=_truth(reference).ravel(),
            present=None if encoded is None else encoded.values.reshape(len(schema.outputs), -1),
            known=None if known is None else known.ravel(),
            kind=kind.ravel(),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """What is counted."""
        return names_of(self.schema)

    def counts(self, bins: int, temperature: float = 1.0) -> Counts:
        """The reliability of every name in every region."""
        total: dict[str, Reliability] = {}
        for piece in self._pieces():
            for name, found in self._counted(piece, bins, temperature):
                total[name] = total[name] + found if name in total else found
        return {(name, where): total[name].among(KINDS[where]) for name in total for where in WHERE}

    def sample(self, rng: np.random.Generator, kept: int, where: Where = "everywhere") -> Sample:
        """Voxels of a region from which a temperature can be learnt."""
        inside = np.isin(self.kind, KINDS[where])
        if self.present is None:
            return sampled(self.probabilities, np.where(inside, self.truth, -1), rng, kept=kept)
        known = inside if self.known is None else inside & self.known
        share = max(1, kept // len(self.present))
        two_sided = [
            sampled(np.stack([1 - p, p]), np.where(known, there, -1), rng, kept=share)
            for p, there in zip(self.probabilities, self.present, strict=True)
        ]
        return Sample.joined(two_sided)

    def _pieces(self) -> Iterator[Any]:
        """Where to look at a time: slices, or places of what is known."""
        n = self.probabilities.shape[1]
        for start in range(0, n, PIECE):
            piece = slice(start, min(start + PIECE, n))
            if self.known is None:
                yield piece
            else:
                yield start + np.flatnonzero(self.known[piece])

    def _counted(self, piece: Any, bins: int, temperature: float) -> Iterator[tuple[str, Reliability]]:
        said, kind = self.probabilities[:, piece], self.kind[piece]
        values = tempered(said, temperature, exclusive=self.schema.exclusive)
        if self.present is None:
            truth = self.truth[piece]
            yield TOP, _top(values, said.argmax(axis=0), truth, kind, bins)
            for number, name in enumerate(self.names[1:], 1):
                yield name, Reliability.sorted(values[number], truth == number, kind, 4, bins=bins)
            return
        for name, value, there in zip(self.names, values, self.present[:, piece], strict=True):
            yield name, Reliability.sorted(value, there, kind, 4, bins=bins)


def names_of(schema: LabelSchema) -> tuple[str, ...]:
    """What is counted: the top label and each label; or each region by itself."""
    return (TOP, *schema.outputs[1:]) if schema.exclusive else schema.outputs


def _top(
    values: Forecasts,
    top: npt.NDArray[np.intp],
    truth: npt.NDArray[np.int32],
    kind: npt.NDArray[np.uint8],
    bins: int,
) -> Reliability:
    """Of the label that is given; Brier and likelihood are those of all classes."""
    best, happened = (
        np.take_along_axis(values, which[None].astype(np.intp), axis=0)[0] for which in (top, truth)
    )
    squares = np.einsum("cn,cn->n", values, values, dtype=np.float64) - 2.0 * happened + 1
    logs = -np.log(np.maximum(happened, LEAST, dtype=np.float64))
    return Reliability.sorted(best, top == truth, kind, 4, bins=bins, squares=squares, logs=logs)


def _truth(reference: LabelMap) -> npt.NDArray[np.int32]:
    """The output that each voxel is; -1 where nobody knows."""
    schema = reference.schema
    table = np.full(max(schema.values) + 1, -1, np.int32)
    table[0] = 0
    for number, label in enumerate(schema.labels, 1):
        table[label.value] = number
    return table[reference.array]


def _checked(reference: LabelMap, probabilities: Volume, case: str) -> Forecasts:
    """The probabilities, once they are some; what rounding left outside of 0 to 1 is brought back."""
    outputs = reference.schema.outputs
    if len(probabilities.channels) != len(outputs):
        raise DataError(
            f"{case}: expected the probabilities of {len(outputs)} outputs ({', '.join(outputs)}), "
            f"got {len(probabilities.channels)} channels. Say what they are with --labels."
        )
    if not probabilities.geometry.same_place(reference.geometry, tolerance_mm=SAME_MM):
        raise GeometryError(
            f"{case}: reference and probabilities are on different grids.\n"
            f"  reference      {reference.geometry!r}\n"
            f"  probabilities  {probabilities.geometry!r}\n"
            "  Probabilities that are resampled are others: write them on the grid of the reference."
        )
    array = np.asarray(probabilities.array, np.result_type(probabilities.array.dtype, np.float32))
    low, high = float(array.min()), float(array.max())
    if not (low >= -SUM_WITHIN and high <= 1 + SUM_WITHIN):
        raise DataError(
            f"{case}: probabilities lie between 0 and 1, got {low:.4g} to {high:.4g}. "
            "If these are logits, turn them into probabilities first."
        )
    sums = array.sum(axis=0) if reference.schema.exclusive else np.ones(1)
    if np.abs(sums - 1).max() > SUM_WITHIN:
        raise DataError(
            f"{case}: the probabilities of {', '.join(outputs)} should add up to 1 in every voxel, got "
            f"{float(sums.min()):.4g} to {float(sums.max()):.4g}. If structures overlap, say which "
            "regions there are with --labels."
        )
    return array if low >= 0 and high <= 1 else np.clip(array, 0, 1)
