"""Fusion: several people's labels of one scan become one, and what that says of each of them.

majority  the label with most votes, weighted or not
soft      the same labels; the shares of the votes are kept as probabilities
staple    the labels and each rater's quality are estimated together by expectation maximisation
simple    votes weighted with each rater's overlap with the consensus, outliers left out, until it stands

Nested regions are fused one by one, each against everything else, and painted as the schema says. A voxel
that a rater left open (the ignore label) is no vote of theirs. SIMPLE and STAPLE want three raters or more:
of two, SIMPLE ends with one, and STAPLE cannot know who of them is right.

STAPLE depends on the field of view: its prior is the mean share of a structure, and specificity counts
every voxel that nobody labelled. In a whole scan specificity is next to 1 and few votes for a structure next
to proof, so that it draws too much; hence the tightest box around what anybody labelled, or as much more as
is asked for (`margin_mm`). The field is kept with the result.

Sources: Warfield 2004, doi:10.1109/TMI.2004.828354 (STAPLE); Langerak 2010, doi:10.1109/TMI.2010.2057442
(SIMPLE); Van Leemput and Sabuncu 2014, doi:10.1007/978-3-319-10404-1_50 (a caution about STAPLE).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy import sparse

from delineate.errors import DataError, GeometryError
from delineate.evaluation.raters.decisions import (
    MARGIN_MM,
    OPEN,
    Bools,
    Decisions,
    Numbers,
    Places,
    number,
    ratio,
)
from delineate.record import Record
from delineate.space import LabelMap, LabelSchema, Volume

Method = Literal["majority", "staple", "simple", "soft"]
METHODS: tuple[Method, ...] = ("majority", "staple", "simple", "soft")

Ties = Literal["lowest", "highest", "background", "ignore"]
"""What a voxel becomes where labels have equally many votes.

lowest      the lowest of their values, so background before any structure: of two raters, what both drew
highest     the highest of their values: of two raters of one structure, what either drew
background  background, whatever was tied (ITK's LabelVoting with 0 for undecided pixels)
ignore      the schema's ignore label: nothing is learnt or measured there
"""
TIES: tuple[Ties, ...] = ("lowest", "highest", "background", "ignore")

SAME_MM = 0.01  # NIfTI keeps affines in single precision
EQUAL = 1e-9  # shares that differ by less are tied: sums of weights are rounded
SETTLED = 1e-7  # STAPLE ends when no sensitivity or specificity changes by more; SimpleITK's filter
ROUNDS = 10_000  # of STAPLE at most; it takes tens, and hundreds where there are only two raters
DROP_SD = (
    1.0  # SIMPLE leaves out who overlaps with the consensus so many standard deviations less than the mean
)
DROP_GAP = 0.05  # and so much Dice less: with three raters somebody is always one deviation below
KEPT = 2  # raters that SIMPLE keeps at least
SIMPLE_ROUNDS = 25


class FusionRules(Record):
    """How several maps become one.

    margin_mm   STAPLE looks at what anybody labelled and so much around it; None: at the whole scan
    confidence  factor of STAPLE's prior, the mean share of a structure (SimpleITK: ConfidenceWeight)
    """

    method: Method = "staple"
    ties: Ties = "lowest"
    margin_mm: Annotated[float, Field(ge=0)] | None = MARGIN_MM
    confidence: Annotated[float, Field(gt=0)] = 1.0


class Quality(Record):
    """One rater's structure against the consensus.

    sensitivity, specificity  within the field of view; None where the consensus has nothing, or nothing else
    dice                      with the fused labels, in the whole scan; None where both are empty
    weight                    of the rater's votes; 0 for one who was left out
    """

    rater: str
    structure: str
    sensitivity: float | None
    specificity: float | None
    dice: float | None
    weight: float


@dataclass(frozen=True, eq=False)
class Posterior:
    """How likely every answer is for every pattern, and what was learnt of the raters on the way.

    shares     (pattern, answer) between 0 and 1
    weights    (rater,) of their votes; 0 for one who was left out
    rounds     of estimation, 0 where nothing was estimated; `converged` tells whether they were enough
    """

    shares: Numbers
    weights: Numbers
    rounds: int = 0
    converged: bool = True


@dataclass(frozen=True, eq=False)
class Consensus:
    """What several raters say together of one scan.

    structures  name -> label values
    answers     (pattern,) the label value that voxels of each pattern of `decisions` get
    shares      (pattern, structure) how likely each structure is
    qualities   every rater by every structure
    """

    raters: tuple[str, ...]
    structures: Mapping[str, tuple[int, ...]]
    rules: FusionRules
    decisions: Decisions
    answers: Places
    shares: Numbers
    qualities: tuple[Quality, ...]
    rounds: int
    converged: bool

    @property
    def field(self) -> int:
        """Voxels in the field of view."""
        return int(self.decisions.counts.sum())

    def has(self, structure: str) -> Bools:
        """(pattern,) whether voxels of each pattern get this structure."""
        return np.isin(self.answers, self.structures[structure])

    def labels(self, like: LabelMap) -> LabelMap:
        """The fused map, on the grid and with the schema of one of the raters' maps."""
        array = np.full(like.array.shape, self.answers[0], np.min_scalar_type(int(self.answers.max())))
        array[self.decisions.box.slices] = self.answers[self.decisions.codes]
        note = f"consensus of {len(self.raters)} raters: {self.rules.method}"
        return LabelMap(array, like.geometry, like.schema, (note,))

    def probabilities(self, like: LabelMap) -> Volume:
        """How likely each structure is: (structure, i, j, k) float32 on the grid of one of the maps."""
        array = np.empty((len(self.structures), *like.array.shape), np.float32)
        for channel, share in zip(array, self.shares.T.astype(np.float32), strict=True):
            channel[...] = share[0]
            channel[self.decisions.box.slices] = share[self.decisions.codes]
        return Volume(array, like.geometry, tuple(self.structures))


def fuse(
    maps: Mapping[str, LabelMap],
    rules: FusionRules | None = None,
    *,
    weights: Mapping[str, float] | None = None,
) -> Consensus:
    """The consensus of raters (name -> map) who labelled one scan.

    weights  rater -> what a vote counts, for `majority` and `soft`; None: all count the same

    Raises:
        DataError: no maps, several schemas, weights that do not fit, or no ignore label to leave ties open.
        GeometryError: the maps are on different grids.
    """
    check_maps(maps)
    rules = rules or FusionRules()
    decisions = Decisions.of(tuple(maps.values()), margin_mm=rules.margin_mm)
    return concluded(decisions, next(iter(maps.values())).schema, tuple(maps), rules, weights)


def concluded(
    decisions: Decisions,
    schema: LabelSchema,
    raters: Sequence[str],
    rules: FusionRules,
    weights: Mapping[str, float] | None = None,
) -> Consensus:
    """The consensus of decisions that are known already."""
    votes = _vote_weights(raters, rules, weights)
    if rules.ties == "ignore" and schema.ignore is None:
        raise DataError(
            "ties cannot be left open: the schema has no ignore label. Add one to the label table "
            f"('ignore': value), or choose another rule for ties: {', '.join(TIES[:-1])}."
        )
    posterior = _outside(_posterior(decisions, schema, rules, votes), decisions, schema)
    answers = _answers(posterior.shares, decisions, schema, rules.ties)
    shares = _by_structure(posterior.shares, answers, decisions, schema, rules.method)
    return Consensus(
        raters=tuple(raters),
        structures=schema.structures,
        rules=rules,
        decisions=decisions,
        answers=answers,
        shares=shares,
        qualities=_qualities(
            _without_open(decisions, answers, schema), schema, raters, answers, shares, posterior.weights
        ),
        rounds=posterior.rounds,
        converged=posterior.converged,
    )


def check_maps(maps: Mapping[str, LabelMap], *, case: str = "") -> None:
    """Refuses maps that do not belong together.

    Raises:
        DataError: there is none, or their labels mean different things.
        GeometryError: they are on different grids.
    """
    if not maps:
        raise DataError("a consensus needs the labels of at least one rater, got none.")
    where = f"{case}: " if case else ""
    (first, here), *others = maps.items()
    for name, there in others:
        if not here.geometry.same_place(there.geometry, tolerance_mm=SAME_MM):
            raise GeometryError(
                f"{where}{first} and {name} labelled different grids.\n"
                f"  {first}  {here.geometry!r}\n"
                f"  {name}  {there.geometry!r}\n"
                "  Resample one onto the grid of the scan (LabelMap.resampled), or leave it out."
            )
        if there.schema != here.schema:
            raise DataError(
                f"{where}{first} and {name} use different labels: {', '.join(here.schema.structures)}, and "
                f"{', '.join(there.schema.structures)}. Read all maps with one label table."
            )


# --- who says how much


def _vote_weights(raters: Sequence[str], rules: FusionRules, weights: Mapping[str, float] | None) -> Numbers:
    if weights is None:
        return np.ones(len(raters))
    if rules.method not in ("majority", "soft"):
        raise DataError(
            f"{rules.method} finds the weights of raters by itself. Give none, or choose majority or soft."
        )
    unknown = [name for name in raters if name not in weights]
    if unknown:
        raise DataError(f"no weight for {', '.join(unknown)}; there are weights for {', '.join(weights)}.")
    found = np.array([weights[name] for name in raters], float)
    if not np.isfinite(found).all() or found.min() < 0 or not found.any():
        raise DataError(f"weights of votes are not below 0, and one at least is above; got {dict(weights)}.")
    return found


def _posterior(decisions: Decisions, schema: LabelSchema, rules: FusionRules, weights: Numbers) -> Posterior:
    """(pattern, answer): background and each label, or each of the regions."""
    match rules.method:
        case "staple":
            return _each(
                decisions,
                schema,
                lambda places, labels: staple(places, decisions.counts, labels, confidence=rules.confidence),
            )
        case "simple":
            return _simple(decisions, schema, rules.ties)
        case _:
            return _voted(decisions, schema, weights)


def _outside(posterior: Posterior, decisions: Decisions, schema: LabelSchema) -> Posterior:
    """Where all of the field of view was labelled nothing was learnt of the rest, which is background."""
    if decisions.counts[0]:
        return posterior
    shares = posterior.shares.copy()
    shares[0] = 0
    if schema.exclusive:
        shares[0, 0] = 1
    return replace(posterior, shares=shares)


def _each(decisions: Decisions, schema: LabelSchema, answer: Callable[[Places, int], Posterior]) -> Posterior:
    """One question where labels exclude each other; where regions are nested, one for each of them."""
    if schema.exclusive:
        return answer(decisions.patterns, len(decisions.values))
    found = [answer(decisions.binary(region.values), 2) for region in schema.regions]
    return Posterior(
        np.column_stack([part.shares[:, 1] for part in found]),
        found[0].weights,
        max(part.rounds for part in found),
        all(part.converged for part in found),
    )


def _voted(decisions: Decisions, schema: LabelSchema, weights: Numbers) -> Posterior:
    return _each(decisions, schema, lambda places, labels: Posterior(votes(places, labels, weights), weights))


def votes(places: Places, labels: int, weights: Numbers) -> Numbers:
    """(pattern, label) shares of the weighted votes; 0 where nobody who counts voted."""
    sums = np.column_stack([(places == label) @ weights for label in range(labels)])
    return _shared(sums)


def _shared(sums: Numbers) -> Numbers:
    """Rows that add up to 1, or to 0 where there is nothing to share."""
    return ratio(sums, sums.sum(axis=1, keepdims=True), empty=0.0)


# --- STAPLE


def staple(places: Places, counts: Numbers, labels: int, *, confidence: float = 1.0) -> Posterior:
    """The probability of every label for every pattern, by expectation maximisation.

    Two labels start from the mean vote, as SimpleITK's STAPLE. More start from how often the majority says
    what a rater says, as its MultiLabelSTAPLE: from the mean vote, a rare label can be taken for another.
    """
    said = _said(places, labels)
    shares = votes(places, labels, np.ones(places.shape[1]))
    prior = _prior(counts, shares, confidence)
    if labels > 2:
        shares = _expected(said, prior, _trust(said, counts, _majority(shares), labels))
    last, rounds = np.full(1, np.inf), 0
    for rounds in range(1, ROUNDS + 1):  # noqa: B007 - how many there were is told
        table = _performance(said, counts, shares, labels)
        shares = _expected(said, prior, table)
        if np.abs(table - last).max() <= SETTLED:
            break
        last = table
    return Posterior(shares, np.ones(places.shape[1]), rounds, converged=rounds < ROUNDS)


def _said(places: Places, labels: int) -> sparse.csr_array:
    """(pattern, rater x label) 1 for what each rater said."""
    patterns, raters = np.nonzero(places != OPEN)
    columns = raters * labels + places[patterns, raters]
    shape = (len(places), places.shape[1] * labels)
    return sparse.csr_array((np.ones(len(patterns)), (patterns, columns)), shape=shape)


def _prior(counts: Numbers, shares: Numbers, confidence: float) -> Numbers:
    """(label,) how often each label is expected: its mean share of the votes by the confidence."""
    voted = counts * (shares.sum(axis=1) > 0)
    prior = np.asarray(voted @ shares / max(voted.sum(), 1))
    prior[1:] *= confidence
    prior[0] = 1 - prior[1:].sum()
    if prior[0] < 0:
        raise DataError(
            f"the confidence {confidence:g} makes structures more likely than certain: their mean share is "
            f"{prior[1:].sum() / confidence:.3f}. Choose at most {confidence / prior[1:].sum():.3g}."
        )
    return prior


def _majority(shares: Numbers) -> Numbers:
    """All for the label with most votes, and for background where there is none."""
    first = np.where(_tied(shares).sum(axis=1) > 1, 0, shares.argmax(axis=1))
    return np.asarray(np.eye(shares.shape[1])[first] * (shares.sum(axis=1, keepdims=True) > 0))


def _confusion(said: sparse.csr_array, counts: Numbers, shares: Numbers, labels: int) -> Numbers:
    """(rater, label said, true label) in voxels."""
    return np.asarray(said.T @ (counts[:, None] * shares)).reshape(-1, labels, labels)


def _performance(said: sparse.csr_array, counts: Numbers, shares: Numbers, labels: int) -> Numbers:
    """(rater, label said, true label) how often a rater says the one where the other is true."""
    table = _confusion(said, counts, shares, labels)
    return ratio(table, table.sum(axis=1, keepdims=True), empty=0.0)


def _trust(said: sparse.csr_array, counts: Numbers, shares: Numbers, labels: int) -> Numbers:
    """(rater, label said, true label) how often the one is true where a rater says the other."""
    table = _confusion(said, counts, shares, labels)
    return ratio(table, table.sum(axis=2, keepdims=True), empty=0.0)


def _expected(said: sparse.csr_array, prior: Numbers, table: Numbers) -> Numbers:
    """(pattern, label) by Bayes' rule; the prior where raters contradict each other for certain."""
    with np.errstate(divide="ignore"):
        logs = np.asarray(said @ np.log(table).reshape(-1, len(prior)) + np.log(prior))
    top = logs.max(axis=1, keepdims=True)
    found = _shared(np.exp(logs - np.where(np.isfinite(top), top, 0)))
    return np.where(np.isfinite(top), found, prior)


# --- SIMPLE


def _simple(decisions: Decisions, schema: LabelSchema, ties: Ties) -> Posterior:
    """Weighted votes and the raters' overlap with them, in turn, until neither changes."""
    weights = np.ones(decisions.patterns.shape[1])
    answers = None
    for rounds in range(1, SIMPLE_ROUNDS + 1):
        shares = _voted(decisions, schema, weights).shares
        before, answers = answers, _answers(shares, decisions, schema, ties)
        if before is not None and (before == answers).all():
            return Posterior(shares, weights, rounds)
        overlaps = [
            decisions.dice(decisions.votes(values), np.isin(answers, values))
            for values in schema.structures.values()
        ]
        weights = _kept(_row_means(np.array(overlaps)), weights > 0)
    return Posterior(shares, weights, rounds, converged=False)


def _kept(overlap: Numbers, kept: Bools) -> Numbers:
    """(rater,) the overlap of those who stay, 0 for outliers and for those who were left out before."""
    here = overlap[kept]
    low = min(here.mean() - DROP_SD * here.std(), here.max() - DROP_GAP)
    stays = kept & (overlap >= low)
    return np.where(stays if stays.sum() >= KEPT else kept, np.maximum(overlap, EQUAL), 0)


def _row_means(rows: Numbers) -> Numbers:
    """(column,) means over the rows that are there; 1 where none is: nothing was there to be missed."""
    there = ~np.isnan(rows)
    return np.where(there.any(axis=0), np.nansum(rows, axis=0) / np.maximum(there.sum(axis=0), 1), 1.0)


# --- what is said in the end


def _tied(shares: Numbers) -> Bools:
    return np.asarray(shares >= shares.max(axis=1, keepdims=True) - EQUAL)


def _answers(shares: Numbers, decisions: Decisions, schema: LabelSchema, ties: Ties) -> Places:
    """(pattern,) the label value of each."""
    answers = (
        _likeliest(shares, decisions, schema, ties) if schema.exclusive else _painted(shares, schema, ties)
    )
    nobody = ~decisions.known.any(axis=1)
    return np.where(nobody, schema.ignore or 0, answers)


def _likeliest(shares: Numbers, decisions: Decisions, schema: LabelSchema, ties: Ties) -> Places:
    tied, values = _tied(shares), np.array(decisions.values)
    undecided = tied.sum(axis=1) > 1
    lowest, highest = tied.argmax(axis=1), tied.shape[1] - 1 - tied[:, ::-1].argmax(axis=1)
    match ties:
        case "lowest":
            return np.asarray(values[lowest])
        case "highest":
            return np.asarray(values[highest])
        case "background":
            return np.where(undecided, 0, values[lowest])
    return np.where(undecided, schema.ignore or 0, values[lowest])


def _painted(shares: Numbers, schema: LabelSchema, ties: Ties) -> Places:
    """Regions with more than half of the votes, one over the other."""
    half = 0.5 - EQUAL if ties == "highest" else 0.5 + EQUAL
    answers = np.zeros(len(shares), np.intp)
    for region, share in zip(schema.regions, shares.T, strict=True):
        answers[share > half] = region.paints
    if ties == "ignore":
        answers[(np.abs(shares - 0.5) <= EQUAL).any(axis=1)] = schema.ignore or 0
    return answers


def _by_structure(
    shares: Numbers, answers: Places, decisions: Decisions, schema: LabelSchema, method: Method
) -> Numbers:
    """(pattern, structure) how likely; 0 or 1 where the method gives labels only."""
    structures = schema.structures.values()
    if method in ("majority", "simple"):
        return np.column_stack([np.isin(answers, values) for values in structures]).astype(float)
    if not schema.exclusive:
        return shares
    return shares[:, [decisions.values.index(value) for (value,) in structures]]


# --- how good each rater was


def _qualities(
    decisions: Decisions,
    schema: LabelSchema,
    raters: Sequence[str],
    answers: Places,
    shares: Numbers,
    weights: Numbers,
) -> tuple[Quality, ...]:
    found: dict[tuple[int, str], Quality] = {}
    for (structure, values), share in zip(schema.structures.items(), shares.T, strict=True):
        said = decisions.votes(values)
        sensitivity, specificity = decisions.rates(said, share)
        dice = decisions.dice(said, np.isin(answers, values))
        for place, rater in enumerate(raters):
            found[place, structure] = Quality(
                rater=rater,
                structure=structure,
                sensitivity=number(sensitivity[place]),
                specificity=number(specificity[place]),
                dice=number(dice[place]),
                weight=float(weights[place]),
            )
    return tuple(found[key] for key in sorted(found, key=lambda key: key[0]))


def _without_open(decisions: Decisions, answers: Places, schema: LabelSchema) -> Decisions:
    """The same without the voxels that the consensus leaves open."""
    if schema.ignore is None:
        return decisions
    there = answers != schema.ignore
    return replace(decisions, counts=decisions.counts * there, total=decisions.total * there)
