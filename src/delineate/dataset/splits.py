"""Splits: which cases teach and which judge. Cases of one patient are never on both sides."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from delineate.dataset.provenance import made_by_models, refuse_as_evidence
from delineate.errors import DataError, RecordError
from delineate.io.disk import write_text
from delineate.record import Record

if TYPE_CHECKING:
    from delineate.dataset.case import Case
    from delineate.dataset.dataset import Dataset

Mode = Literal["kfold", "holdout", "leave_one_site_out"]
SEEDS: dict[Mode, int] = {
    "kfold": 12345,
    "holdout": 42,
    "leave_one_site_out": 0,
}  # nnU-Net's; a habit of the field
HOLDOUT = (0.6, 0.2, 0.2)  # train, validation, test
QUANTILES = 4  # strata of the volume of all structures together


class Fold(Record):
    """One division of the cases, by id."""

    train: tuple[str, ...] = Field(min_length=1)
    validation: tuple[str, ...] = Field(min_length=1)
    test: tuple[str, ...] = ()

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """The sides by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @model_validator(mode="after")
    def _apart(self) -> Self:
        counts = Counter((*self.train, *self.validation, *self.test))
        twice = sorted(name for name, count in counts.items() if count > 1)
        if twice:
            raise ValueError(f"a case has one place in a fold; more than one have {', '.join(twice[:5])}")
        return self


class Splits(Record):
    """The folds, and how they came about ("given": by a person)."""

    mode: Literal["kfold", "holdout", "leave_one_site_out", "given"]
    seed: int | None = None
    folds: tuple[Fold, ...] = Field(min_length=1)

    def save(self, path: Path | str) -> None:
        """Writes the splits as JSON."""
        write_text(Path(path), self.to_json())

    @classmethod
    def read(cls, path: Path | str, dataset: Dataset) -> Splits:
        """The splits in a file of ours or of nnU-Net (`splits_final.json`), checked against a dataset.

        Raises:
            DataError: a case does not exist, or a patient is on two sides of a fold.
        """
        splits = cls.from_json(json.dumps(_content(Path(path))), where=str(path))
        refuse_misfit(splits, dataset, where=str(path))
        return splits


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise RecordError(f"{path}: is not JSON: {error}.") from None
    folds = content.get("folds") if isinstance(content, dict) else content
    if not isinstance(folds, list) or not all(isinstance(fold, dict) for fold in folds):
        raise RecordError(
            f'{path}: expected a list of folds, [{{"train": ["a", "b"], "val": ["c"]}}, ...], or what '
            "`Splits.save` writes."
        )
    named = [{"validation" if key == "val" else key: ids for key, ids in fold.items()} for fold in folds]
    about = {k: v for k, v in content.items() if k != "folds"} if isinstance(content, dict) else {}
    return {"mode": "given", **about, "folds": named}


def refuse_misfit(splits: Splits, dataset: Dataset, *, where: str) -> None:
    """Raises where splits name cases that are not labelled or do not exist, or tear a patient apart."""
    patients = {case.id: case.group for case in dataset.cases}
    for number, fold in enumerate(splits.folds):
        unknown = [name for ids in fold.parts.values() for name in ids if name not in patients]
        if unknown:
            raise DataError(
                f"{where}: fold {number} names {len(unknown)} cases that {dataset.name} does not have with "
                f"labels: {', '.join(unknown[:5])}. It has for example {', '.join(dataset.ids[:3])}."
            )
        sides: dict[str, str] = {}
        for part, ids in fold.parts.items():
            for name in ids:
                other = sides.setdefault(patients[name], part)
                if other != part:
                    raise DataError(
                        f"{where}: in fold {number} patient {patients[name]} is in {other} and in {part} "
                        f"({name}). Move all cases of a patient to one side, or correct the patients."
                    )


def make_splits(
    dataset: Dataset,
    *,
    mode: Mode = "kfold",
    folds: int = 5,
    seed: int | None = None,
    stratify: str | Mapping[str, str] | None = None,
    by: Literal["patient", "case"] = "patient",
    count_model_labels: bool = False,
) -> Splits:
    """The labelled cases of a dataset, divided.

    mode      kfold: `folds` parts, each of them judges once; holdout: 60 % train, 20 % judge, 20 % test;
              leave_one_site_out: each site judges once
    seed      by default 12345 for kfold (nnU-Net's folds, where every patient is one case), 42 for holdout
    stratify  what every part should have its share of: "site", "labels" (which structures are present),
              "volume" (quarters of the volume of all structures), a column of the manifest, or a word for
              every case; "labels" and "volume" read the label maps
    by        "patient" keeps the cases of a patient together; "case" does not, and leaks if there are any

    Cases whose labels a model made and nobody reviewed only teach, in every fold that does not judge their
    patient; with `count_model_labels` they are divided like all others.

    Raises:
        DataError: no case has labels of people, too few patients or sites for the parts, or a stratum that
            cases do not have.
    """
    if mode not in SEEDS:
        raise DataError(f"there is no split {mode!r}; there are {', '.join(SEEDS)}.")
    models = () if count_model_labels else made_by_models(dataset.cases)
    if models:
        judged = replace(dataset, cases=tuple(case for case in dataset.cases if case.id not in models))
        if not judged.cases:
            refuse_as_evidence(
                dataset.cases, dataset.name, "Have people review some, or say so to count them."
            )
        made = make_splits(judged, mode=mode, folds=folds, seed=seed, stratify=stratify, by=by)
        return _taught_by(made, dataset, models)
    seed = SEEDS[mode] if seed is None else seed
    if mode == "leave_one_site_out":
        return Splits(mode=mode, seed=None, folds=_by_site(dataset))
    groups: dict[str, list[str]] = {}
    for case in sorted(dataset.cases, key=lambda case: case.id):
        groups.setdefault(case.group if by == "patient" else case.id, []).append(case.id)
    shares = [1 / folds] * folds if mode == "kfold" else list(HOLDOUT)
    if len(groups) < len(shares) or (mode == "kfold" and folds < 2):
        raise DataError(
            f"{dataset.name}: {len(groups)} {by}s cannot be divided into {len(shares)} parts. "
            "A k-fold split takes 2 folds or more and at least as many patients."
        )
    traits = _traits(dataset, stratify) if stratify is not None else {}
    if mode == "kfold" and not traits and all(len(ids) == 1 for ids in groups.values()):
        parts = shuffled_folds(sorted(groups), folds, seed)
        names = [[groups[group][0] for group in part] for part in parts]
    else:
        names = _dealt(groups, traits, shares, np.random.default_rng(seed))
    if mode == "holdout":
        train, validation, test = (tuple(sorted(part)) for part in names)
        return Splits(mode=mode, seed=seed, folds=(Fold(train=train, validation=validation, test=test),))
    every = sorted(name for part in names for name in part)
    return Splits(mode=mode, seed=seed, folds=tuple(_judged_by(part, every) for part in names))


def _taught_by(splits: Splits, dataset: Dataset, models: Sequence[str]) -> Splits:
    """The same folds, in which the cases of models teach too, but for those whose patient is judged."""
    patients = {case.id: case.group for case in dataset.cases}
    folds = []
    for fold in splits.folds:
        judged = {patients[name] for name in (*fold.validation, *fold.test)}
        more = [name for name in models if patients[name] not in judged]
        folds.append(fold.but(train=tuple(sorted((*fold.train, *more)))))
    return splits.but(folds=tuple(folds))


def shuffled_folds(names: Sequence[str], folds: int, seed: int) -> list[list[str]]:
    """What each fold judges: as scikit-learn's `KFold(folds, shuffle=True, random_state=seed)` deals them.

    The legacy generator is what makes the folds equal to those of nnU-Net; it is local to this call.
    """
    order = np.arange(len(names))
    np.random.RandomState(seed).shuffle(order)
    return [[names[n] for n in np.sort(part)] for part in np.array_split(order, folds)]


def _judged_by(part: Iterable[str], every: Sequence[str]) -> Fold:
    judges = set(part)
    train = tuple(name for name in every if name not in judges)
    return Fold(train=train, validation=tuple(sorted(judges)))


def _by_site(dataset: Dataset) -> tuple[Fold, ...]:
    """A fold per site; other cases of a patient who was at two sites are in neither part of it."""
    unknown = [case.id for case in dataset.cases if not case.site]
    sites = sorted({case.site for case in dataset.cases if case.site})
    if unknown or len(sites) < 2:
        raise DataError(
            f"{dataset.name}: leaving one site out needs the site of every case and at least two sites; "
            f"there are {len(sites)}, and {len(unknown)} cases without ({', '.join(unknown[:3]) or 'none'}). "
            "Give them in a column 'site' of cases.csv or the manifest."
        )
    folds = []
    for site in sites:
        judged = [case for case in dataset.cases if case.site == site]
        patients = {case.group for case in judged}
        train = [case.id for case in dataset.cases if case.group not in patients]
        if not train:
            raise DataError(
                f"{dataset.name}: every patient was also at site {site}; nobody is left to train on."
            )
        folds.append(Fold(train=tuple(train), validation=tuple(case.id for case in judged)))
    return tuple(folds)


# Strata


def _traits(dataset: Dataset, stratify: str | Mapping[str, str]) -> dict[str, frozenset[str]]:
    """What each case counts for, by case id."""
    if isinstance(stratify, Mapping):
        words = {case.id: stratify.get(case.id, "") for case in dataset.cases}
    elif stratify == "labels":
        return {case.id: frozenset(_structures(dataset, case)) for case in dataset.cases}
    elif stratify == "volume":
        words = _volume_quarters(dataset)
    else:
        words = {case.id: _column(case, stratify) for case in dataset.cases}
    without = [name for name, word in words.items() if not word]
    if without:
        what = stratify if isinstance(stratify, str) else "stratum"
        raise DataError(
            f"{dataset.name}: {len(without)} cases have no {what} to stratify by ({', '.join(without[:3])}). "
            "Fill the column, or stratify by site, labels or volume."
        )
    return {name: frozenset([word]) for name, word in words.items()}


def _column(case: Case, name: str) -> str:
    return case.site or "" if name == "site" else case.extra.get(name, "")


def _structures(dataset: Dataset, case: Case) -> set[str]:
    labels = dataset.labels(case)
    present = set(np.unique(labels.array).tolist())
    return {name for name, values in dataset.schema.structures.items() if present & set(values)} or {
        "nothing"
    }


def _volume_quarters(dataset: Dataset) -> dict[str, str]:
    values = [label.value for label in dataset.schema.labels]
    volumes = []
    for case in dataset.cases:
        labels = dataset.labels(case)
        volumes.append(float(np.isin(labels.array, values).sum()) * labels.geometry.voxel_ml)
    cuts = np.quantile(volumes, np.linspace(0, 1, QUANTILES + 1)[1:-1])
    quarters = np.searchsorted(cuts, volumes, side="right")
    return {case.id: f"quarter {n}" for case, n in zip(dataset.cases, quarters, strict=True)}


# Dealing

Lacking = dict[str, npt.NDArray[np.float64]]  # trait -> how many cases of it each part still lacks


def _dealt(
    groups: Mapping[str, Sequence[str]],
    traits: Mapping[str, frozenset[str]],
    shares: Sequence[float],
    rng: np.random.Generator,
) -> list[list[str]]:
    """Groups dealt to parts so that each gets its share of the cases and of every trait.

    The rarest trait first, to the part that lacks it most: after Sechidis 2011,
    doi:10.1007/978-3-642-23808-6_10, with groups instead of cases. Without traits: the largest group first.
    """
    names = sorted(groups)
    names = [names[n] for n in rng.permutation(len(names))]
    counts = {name: _counted(groups[name], traits) for name in names}
    lacking: Lacking = {
        trait: np.array(shares) * sum(count.get(trait, 0) for count in counts.values())
        for trait in {trait for count in counts.values() for trait in count}
    }
    parts: list[list[str]] = [[] for _ in shares]
    for trait in _rarest_first(counts):
        holders = [name for name in names if counts[name].get(trait)]
        for name in sorted(holders, key=lambda name: -counts[name][trait]):
            part = _neediest(lacking, trait, np.array(shares))
            parts[part] += groups[name]
            for other, count in counts[name].items():
                lacking[other][part] -= count
            names.remove(name)
    return parts


def _neediest(lacking: Lacking, trait: str, shares: npt.NDArray[np.float64]) -> int:
    """The part that lacks most of its share of a trait; of several, of cases; then the first.

    An empty part lacks more than any other, so that none stays empty.
    """
    of_trait, of_cases = (np.round(lacking[key] / shares, 9) for key in (trait, ALL))
    return min(range(len(shares)), key=lambda part: (-of_trait[part], -of_cases[part]))


ALL = ""  # the trait that every case has


def _counted(ids: Sequence[str], traits: Mapping[str, frozenset[str]]) -> dict[str, int]:
    """How many cases of a group have each trait."""
    found: dict[str, int] = {ALL: len(ids)}
    for name in ids:
        for trait in traits.get(name, ()):
            found[trait] = found.get(trait, 0) + 1
    return found


def _rarest_first(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    totals: dict[str, int] = {}
    for count in counts.values():
        for trait, number in count.items():
            totals[trait] = totals.get(trait, 0) + number
    return sorted(totals, key=lambda trait: (trait == ALL, totals[trait], trait))
