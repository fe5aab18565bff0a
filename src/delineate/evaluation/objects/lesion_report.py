"""Lesion report: every lesion of many cases, what was found of them, and of which size.

Dice of voxels stands beside the scores of lesions, because neither can be told from the other: in LiTS the
best tumour Dice was 0.74 and the best share of lesions found 0.55 (Bilic 2023,
doi:10.1016/j.media.2022.102680).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from delineate.errors import DataError
from delineate.evaluation.assessment import SEED, Load, held_together
from delineate.evaluation.markdown import markdown_table
from delineate.evaluation.measures import Pair, Rules
from delineate.evaluation.objects.lesions import Finding, Lesion
from delineate.evaluation.objects.matching import Numbers
from delineate.evaluation.objects.pools import Bounded, Pool
from delineate.evaluation.statistics import INTERVALS, Bootstrap
from delineate.progress import Progress, silent
from delineate.record import Record
from delineate.space import LabelMap


class LesionRow(Record):
    """A lesion of the reference of a case."""

    case: str
    structure: str
    lesion: Lesion


class FindingRow(Record):
    """A component of the prediction of a case."""

    case: str
    structure: str
    finding: Finding


class LesionCase(Record):
    """One structure of one case: what every lesion and what every voxel says; None where missing."""

    case: str
    structure: str
    lesions: int  # that count
    found: int
    missed: int
    right: int  # components
    wrong: int
    invented: int  # components that reach no lesion
    dice: float | None  # of voxels
    lesion_dice: float | None
    lesion_hd95: float | None


class LesionSummary(Record):
    """One structure over all cases: lesions of all cases in one pool, and means over cases."""

    structure: str
    cases: int
    without: int  # cases without a lesion that counts
    lesions: int
    found: int
    components: int
    invented: int
    recall: Bounded  # pooled
    precision: Bounded
    f1: Bounded
    lesion_dice: Bounded  # means over cases
    lesion_hd95: Bounded
    dice: Bounded


class SizeBand(Record):
    """The lesions of one size, above `above_ml` and up to `up_to_ml`."""

    structure: str
    above_ml: float
    up_to_ml: float | None  # None: no end
    lesions: int
    found: int
    recall: Bounded
    lesion_dice: Bounded  # mean over lesions, patients drawn


class LesionReport(Record):
    """What became of every lesion."""

    version: Literal[1] = 1
    title: str
    rules: Rules
    cases: tuple[str, ...]
    groups: dict[str, str]  # case -> patient
    structures: tuple[str, ...]
    summaries: tuple[LesionSummary, ...]
    sizes: tuple[SizeBand, ...]
    rows: tuple[LesionCase, ...]
    lesions: tuple[LesionRow, ...]
    findings: tuple[FindingRow, ...]

    def summary(self, structure: str) -> LesionSummary:
        """One structure."""
        for summary in self.summaries:
            if summary.structure == structure:
                return summary
        raise DataError(f"the report has no {structure!r}; its structures are {', '.join(self.structures)}")

    def to_csv(self) -> str:
        """Every lesion of the references as comma-separated values."""
        heads = ("case", "patient", "structure", *Lesion.model_fields)
        rows = ((row.case, row.structure, row.lesion) for row in self.lesions)
        return _csv(heads, (self._line(*row) for row in rows))

    def findings_csv(self) -> str:
        """Every component of the predictions as comma-separated values."""
        heads = ("case", "patient", "structure", *Finding.model_fields)
        rows = ((row.case, row.structure, row.finding) for row in self.findings)
        return _csv(heads, (self._line(*row) for row in rows))

    def to_markdown(self) -> str:
        """Lesions beside voxels, and how many were found of which size."""
        rules = self.rules.lesions
        counted = ("cases", "lesions", "found", "components", "invented")
        heads = ("structure", *counted, "recall", "precision", "F1")
        pooled = [
            [
                s.structure,
                *(str(getattr(s, name)) for name in counted),
                *(share.words for share in (s.recall, s.precision, s.f1)),
            ]
            for s in self.summaries
        ]
        means = [
            (s.structure, s.dice.words, s.lesion_dice.words, s.lesion_hd95.words) for s in self.summaries
        ]
        sizes = [
            (band.structure, size_words(band), f"{band.lesions}", band.recall.words, band.lesion_dice.words)
            for band in self.sizes
        ]
        return "\n\n".join(
            [
                "All lesions in one pool:",
                markdown_table(heads, pooled),
                "Mean of cases:",
                markdown_table(("structure", "Dice", "lesion-wise Dice", "lesion-wise HD95 (mm)"), means),
                "By size of the lesion:",
                markdown_table(("structure", "ml", "lesions", "found", "mean Dice of a lesion"), sizes),
                f"Value [95 % interval, {INTERVALS[self.rules.interval]}]. "
                f"One lesion: {rules.words}. Found: {rules.words_of_found}.",
            ]
        ) + "\n"  # fmt: skip

    def _line(self, case: str, structure: str, record: Lesion | Finding) -> Iterator[str]:
        yield from (case, self.groups[case], structure)
        for value in record.model_dump().values():
            if isinstance(value, tuple):
                yield " ".join(map(repr, value))
            else:
                yield "" if value is None else str(value) if isinstance(value, bool) else repr(value)


def _csv(heads: Sequence[str], rows: Iterator[Iterator[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)
    return text.getvalue()


def size_words(band: SizeBand) -> str:
    """From which to which size, in ml."""
    if band.up_to_ml is None:
        return f"above {band.above_ml:.3g}" if band.above_ml else "all"
    return f"{band.above_ml:.3g} to {band.up_to_ml:.3g}"


def evaluate_lesions(
    cases: Sequence[str],
    load: Load,
    *,
    rng: np.random.Generator | None = None,
    title: str = "Lesions",
    groups: Mapping[str, str] | None = None,
    rules: Rules | None = None,
    workers: int = 1,
    progress: Progress = silent,
) -> LesionReport:
    """The report of many cases, by the `lesions` of the rules.

    load    gives reference and prediction of a case; called in `workers` threads
    groups  case -> patient; a case that is not named is a patient of its own
    rng     draws the bootstrap of the intervals; None draws the same one every time
    """
    rules = rules or Rules()
    rng = np.random.default_rng(SEED) if rng is None else rng
    if not cases or len(set(cases)) != len(cases):
        raise DataError(f"expected cases with different names, got {len(cases)} of {len(set(cases))} names")
    found: list[tuple[LesionsOfCase, ...]] = []
    with ThreadPoolExecutor(workers) as threads:
        results = threads.map(lambda case: lesions_of_case(*load(case), case, rules=rules), cases)
        for done, (case, one) in enumerate(zip(cases, results, strict=True), 1):
            found.append(one)
            progress(done, len(cases), case)
    known = groups or {}
    patients = {case: known.get(case, case) for case in cases}
    pool = Pool(Bootstrap.drawn(list(patients.values()), rng), rules.interval)
    structures = tuple(one.row.structure for one in found[0])
    for ones in found:
        if tuple(one.row.structure for one in ones) != structures:
            raise DataError(
                f"{ones[0].row.case} has other structures than {found[0][0].row.case}: "
                f"{', '.join(one.row.structure for one in ones)} and {', '.join(structures)}"
            )
    by_structure = dict(zip(structures, zip(*found, strict=True), strict=True))
    return LesionReport(
        title=title,
        rules=rules,
        cases=tuple(cases),
        groups=patients,
        structures=structures,
        summaries=tuple(_summary(s, ones, rules, pool) for s, ones in by_structure.items()),
        sizes=tuple(
            b for s, ones in by_structure.items() for b in _bands(s, ones, rules.lesions.edges_ml, pool)
        ),
        rows=tuple(one.row for ones in found for one in ones),
        lesions=tuple(row for ones in found for one in ones for row in one.lesion_rows),
        findings=tuple(row for ones in found for one in ones for row in one.finding_rows),
    )


@dataclass(frozen=True, eq=False)
class LesionsOfCase:
    """One structure of one case."""

    row: LesionCase
    lesion_rows: tuple[LesionRow, ...]
    finding_rows: tuple[FindingRow, ...]

    @property
    def counted(self) -> list[Lesion]:
        """The lesions that count."""
        return [row.lesion for row in self.lesion_rows if row.lesion.is_counted]


def lesions_of_case(
    reference: LabelMap, prediction: LabelMap, case: str, *, rules: Rules | None = None
) -> tuple[LesionsOfCase, ...]:
    """What became of the lesions of every structure of the reference's schema."""
    rules = rules or Rules()
    maps, _ = held_together(reference, prediction, case, rules)
    return tuple(_of_pair(maps.pair(name), case, name, rules) for name in reference.schema.structures)


def _of_pair(pair: Pair, case: str, structure: str, rules: Rules) -> LesionsOfCase:
    these = pair.lesions(rules.lesions)
    detected = these.detected
    row = LesionCase(
        case=case,
        structure=structure,
        lesions=detected.found + detected.missed,
        found=detected.found,
        missed=detected.missed,
        right=detected.right,
        wrong=detected.wrong,
        invented=int(these.invented.sum()),
        dice=pair.counts.dice(rules.empty),
        lesion_dice=these.dice(rules.empty),
        lesion_hd95=these.hd95(rules.empty),
    )
    return LesionsOfCase(
        row,
        tuple(LesionRow(case=case, structure=structure, lesion=lesion) for lesion in these.table()),
        tuple(FindingRow(case=case, structure=structure, finding=f) for f in these.finding_table()),
    )


def _summary(structure: str, ones: Sequence[LesionsOfCase], rules: Rules, pool: Pool) -> LesionSummary:
    rows = [one.row for one in ones]
    names = ("found", "missed", "right", "wrong")
    found, missed, right, wrong = (np.array([getattr(r, name) for r in rows], float) for name in names)
    sums = [pool.weights @ column for column in (found, found + missed, right, right + wrong)]
    has_lesions, has_findings = found + missed > 0, right + wrong > 0
    means = {
        name: pool.mean(np.array([_number(getattr(row, name)) for row in rows]))
        for name in ("dice", "lesion_dice", "lesion_hd95")
    }
    return LesionSummary(
        structure=structure,
        cases=len(rows),
        without=int((~has_lesions).sum()),
        lesions=int((found + missed).sum()),
        found=int(found.sum()),
        components=sum(len(one.finding_rows) for one in ones),
        invented=sum(row.invented for row in rows),
        recall=pool.bounded(_ratio(sums[0], sums[1]), has_lesions),
        precision=pool.bounded(_ratio(sums[2], sums[3]), has_findings),
        f1=pool.bounded(_f1(*sums), has_lesions | has_findings),
        **means,
    )


def _bands(
    structure: str, ones: Sequence[LesionsOfCase], edges_ml: tuple[float, ...], pool: Pool
) -> Iterator[SizeBand]:
    volumes = [lesion.volume_ml for one in ones for lesion in one.counted]
    if not edges_ml and len(volumes) > 2:
        edges_ml = tuple(sorted(set(np.quantile(volumes, (1 / 3, 2 / 3)).tolist())))
    ends = [0.0, *edges_ml, np.inf]
    for low, high in pairwise(ends):
        inside = [[x for x in one.counted if low < x.volume_ml <= high] for one in ones]
        count = np.array([len(some) for some in inside], float)
        found = np.array([sum(x.is_found for x in some) for some in inside], float)
        dice = np.array([sum(x.dice for x in some) for some in inside])
        total = pool.weights @ count
        yield SizeBand(
            structure=structure,
            above_ml=low,
            up_to_ml=None if high == np.inf else high,
            lesions=int(count.sum()),
            found=int(found.sum()),
            recall=pool.bounded(_ratio(pool.weights @ found, total), count > 0),
            lesion_dice=pool.bounded(_ratio(pool.weights @ dice, total), count > 0),
        )


def _f1(found: Numbers, lesions: Numbers, right: Numbers, components: Numbers) -> Numbers:
    """As `Detected.f1`, of sums; NaN where there is nothing at all."""
    value = _ratio(2 * found * right, found * components + right * lesions)
    return np.where((lesions + components > 0) & np.isnan(value), 0.0, value)


def _ratio(part: Numbers, whole: Numbers) -> Numbers:
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0))


def _number(value: float | None) -> float:
    return np.nan if value is None else value
