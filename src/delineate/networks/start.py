"""Start: a folder whose weights a new training begins with, a model or a pretrained encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from delineate.networks.build import build_network, inputs_of
from delineate.networks.model import PRETRAINED, Model, kind_of
from delineate.networks.pretrained import Pretrained
from delineate.networks.transfer import Described, Provenance, Transfer, differences, transferred
from delineate.planning.plan import Plan


@dataclass(frozen=True)
class Start:
    """A folder to begin with, verified.

    source  what is in it
    """

    source: Model | Pretrained

    @classmethod
    def open(cls, folder: Path | str) -> Start:
        """The model or the pretrained encoder in a folder.

        Raises:
            ModelError: it holds neither, or a file is missing, added or altered.
        """
        folder = Path(folder)
        return cls(Pretrained.open(folder) if kind_of(folder) == PRETRAINED else Model.open(folder))

    @property
    def plan(self) -> Plan:
        """By what it was made."""
        return self.source.plan

    @property
    def kind(self) -> Literal["model", "pretrained encoder"]:
        """Whether it segments, or was only pretrained."""
        return "model" if isinstance(self.source, Model) else "pretrained encoder"

    @property
    def scans(self) -> frozenset[str]:
        """Digests of the scans of its pretraining; of a model nobody keeps them."""
        found = () if isinstance(self.source, Model) else self.source.pretraining.scans
        return frozenset(digest for scan in found for digest in scan.split())

    @property
    def folds(self) -> Mapping[str, tuple[int, ...]]:
        """Which folds of which configuration there are."""
        if isinstance(self.source, Model):
            return self.source.folds
        return {self.source.pretraining.configuration: (0,)}

    def configuration(self, plan: Plan, name: str) -> str:
        """The configuration whose weights that of a plan begins with.

        The one of the same name; else one of as many axes; else the first.
        """
        dims = plan.configuration(name).network.dims
        there = list(self.folds)
        alike = [other for other in there if self.plan.configuration(other).network.dims == dims]
        return name if name in there else (alike or there)[0]

    def weights(self, configuration: str, fold: int) -> Mapping[str, Tensor]:
        """The weights of a fold, by name."""
        if isinstance(self.source, Model):
            return self.source.network(configuration, fold).state_dict()
        return self.source.weights()

    def network(self, plan: Plan, name: str, fold: int = 0) -> tuple[nn.Module, Transfer]:
        """The network of a plan with all that it can take over, and what that is.

        Of several folds there, the one of the same number, or else the first.

        Raises:
            ModelError: networks of different kinds, or so different that most would begin anew.
        """
        other = self.configuration(plan, name)
        chosen = fold if fold in self.folds[other] else self.folds[other][0]
        here, there = plan.configuration(name), self.plan.configuration(other)
        seed = plan.training.seed + fold
        network = build_network(here.network, inputs_of(plan, name), len(plan.labels.outputs), seed=seed)
        provenance = Provenance(
            kind=self.kind,
            dataset=self.plan.dataset,
            sha256=self.source.digest,
            configuration=other,
            fold=chosen,
        )
        transfer = transferred(
            network,
            self.weights(other, chosen),
            Described.of(self.plan, other, pretrained=self.kind != "model"),
            Described.of(plan, name),
            provenance,
            notes=differences(self.plan, there, plan, here),
        )
        return network, transfer
