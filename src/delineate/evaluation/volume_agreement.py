"""Volume agreement: whether predicted volumes can stand in for those of the reference, over many cases.

Differences are prediction less reference, so a positive bias is a volume that comes out too large. In ml they
say what an error costs; as a share of the mean of the two they compare small structures with large ones.
Agreement of volumes is no agreement of places: a perfect volume may have no overlap at all. Read them beside
Dice.

A case in which neither has the structure says nothing about how well a volume is measured: it is left out and
counted. One in which only one of them has it stays in, as an error as large as the structure. Structures that
the edge of the scan cuts off stay in too, and are counted: what is there is compared with what is there.

Source: Bland and Altman 1999, doi:10.1177/096228029900800204.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from delineate.evaluation.concordance import Agreement, BlandAltman, intraclass, lin
from delineate.evaluation.markdown import markdown_table
from delineate.evaluation.scores import AT_EDGE, Report
from delineate.evaluation.statistics import Interval
from delineate.record import Record

VOLUME_HEADS = (
    "structure",
    "cases",
    "bias (ml)",
    "95 % limits (ml)",
    "bias (%)",
    "95 % limits (%)",
    "ICC(2,1)",
    "Lin",
)


class VolumePair(Record):
    """The two volumes of a structure in one case."""

    case: str
    reference_ml: float
    prediction_ml: float
    at_edge: bool = False  # cut off by the edge of the scan in the reference


class VolumeAgreement(Record):
    """How well the predicted volumes of a structure agree with those of the reference.

    pairs        the cases in which at least one of the two has the structure
    both_empty   the cases in which neither has; they are in nothing else
    patients     that the pairs are of; fewer than pairs: the intervals are too narrow
    ml           differences in ml
    relative     differences as a share of the mean of the two
    icc, lin     ICC(2,1) and Lin's concordance; None where all volumes are the same
    """

    structure: str
    pairs: tuple[VolumePair, ...]
    both_empty: int
    patients: int
    ml: BlandAltman | None
    relative: BlandAltman | None
    icc: Agreement | None
    lin: Agreement | None

    @classmethod
    def of(
        cls, structure: str, pairs: Sequence[VolumePair], *, patients: int | None = None
    ) -> VolumeAgreement:
        """The agreement that these volumes show; `patients` where several pairs are of one patient."""
        there = tuple(pair for pair in pairs if pair.reference_ml or pair.prediction_ml)
        reference = np.array([pair.reference_ml for pair in there])
        prediction = np.array([pair.prediction_ml for pair in there])
        return cls(
            structure=structure,
            pairs=there,
            both_empty=len(pairs) - len(there),
            patients=len(there) if patients is None else patients,
            ml=BlandAltman.of(prediction - reference),
            relative=BlandAltman.of(2 * (prediction - reference) / (prediction + reference)),
            icc=intraclass(np.column_stack([reference, prediction])),
            lin=lin(reference, prediction),
        )

    @property
    def at_edge(self) -> int:
        """How many pairs are of a structure that the edge of the scan cuts off."""
        return sum(pair.at_edge for pair in self.pairs)

    @property
    def notes(self) -> tuple[str, ...]:
        """What to hold against these numbers, in words."""
        notes = []
        if self.both_empty:
            notes.append(f"{self.both_empty} cases without the structure in either are left out.")
        if self.at_edge:
            notes.append(f"{self.at_edge} cases are cut off by the edge of the scan: their volume is a part.")
        if self.patients < len(self.pairs):
            notes.append(
                f"{len(self.pairs)} cases are of {self.patients} patients: the intervals take them as "
                "independent, and are too narrow."
            )
        return tuple(notes)


def volume_agreement(report: Report) -> tuple[VolumeAgreement, ...]:
    """The agreement of the volumes of each structure of a report."""
    cut = {
        (row.structure, row.case)
        for row in report.rows
        if row.metric == "volume_reference" and AT_EDGE in (row.note or "")
    }
    return tuple(_of_structure(report, structure, cut) for structure in report.structures)


def volume_table(agreements: Sequence[VolumeAgreement]) -> str:
    """Markdown: a row for each structure, and below it what is to be held against the numbers."""
    table = markdown_table(VOLUME_HEADS, [volume_cells(agreement) for agreement in agreements])
    notes = [f"- {agreement.structure}: {note}" for agreement in agreements for note in agreement.notes]
    said = "Mean [95 % interval]. Differences are prediction less reference; % of the mean of the two."
    return "\n".join([table, "", said, *notes]) + "\n"


def volume_cells(found: VolumeAgreement) -> tuple[str, ...]:
    """The line of a structure under `VOLUME_HEADS`."""
    return (
        found.structure,
        str(len(found.pairs)),
        *_cells(found.ml, 1),
        *_cells(found.relative, 100),
        *(_agreement(one) for one in (found.icc, found.lin)),
    )


def _of_structure(report: Report, structure: str, cut: set[tuple[str, str]]) -> VolumeAgreement:
    predicted = report.values(structure, "volume_prediction")
    pairs = [
        VolumePair(case=case, reference_ml=one, prediction_ml=other, at_edge=(structure, case) in cut)
        for case, one in report.values(structure, "volume_reference").items()
        if one is not None and (other := predicted[case]) is not None
    ]
    there = {report.groups[p.case] for p in pairs if p.reference_ml or p.prediction_ml}
    return VolumeAgreement.of(structure, pairs, patients=len(there))


def _cells(found: BlandAltman | None, scale: float) -> tuple[str, str]:
    """Bias with its interval, and the limits with theirs."""
    if found is None:
        return "-", "-"
    if found.lower is None or found.upper is None:
        return f"{scale * found.bias:.3g}", "-"
    ends = [
        f"{scale * limit:.3g}{_interval(interval, scale)}"
        for limit, interval in ((found.lower, found.lower_interval), (found.upper, found.upper_interval))
    ]
    return f"{scale * found.bias:.3g}{_interval(found.bias_interval, scale)}", " to ".join(ends)


def _agreement(found: Agreement | None) -> str:
    return "-" if found is None else f"{found.value:.3f}{_interval(found.interval, 1)}"


def _interval(interval: Interval | None, scale: float) -> str:
    return "" if interval is None else f" [{scale * interval[0]:.3g}, {scale * interval[1]:.3g}]"
