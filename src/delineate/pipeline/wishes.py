"""Wishes: what a user may ask for; everything else the planner decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from delineate.dataset.splits import Mode
from delineate.io.manner import PLAIN, Manner
from delineate.pipeline.taught import SeedKind
from delineate.planning import ConfigurationName, NetworkName, Plan
from delineate.planning.detector import ObjectNetworkName
from delineate.planning.generalize import AugmentName
from delineate.planning.imperfect import (
    learning_from_raters,
    learning_from_scribbles,
    weighing_pseudo_labels,
)
from delineate.planning.plan import OptimizerName
from delineate.planning.presets import PresetName
from delineate.record import Record
from delineate.space import RegistrationRules

if TYPE_CHECKING:
    from delineate.inference.engine import EngineWish
    from delineate.networks import Precision
    from delineate.training.processes import Place

PlannedName = NetworkName | ObjectNetworkName


@dataclass(frozen=True)
class SplitWishes:
    """How cases are divided: by a rule, or as in a file of one's own.

    count_models  labels that a model made and nobody reviewed also judge
    """

    file: Path | None = None
    mode: Mode = "kfold"
    stratify: str | None = None
    count_models: bool = False


class Basis(Record):
    """What a plan was asked to be made for; later it cannot be changed without deciding anew."""

    memory_gb: float | None
    preset: PresetName
    network: PlannedName | None = None


@dataclass(frozen=True)
class StartWishes:
    """What to begin with, and how gently to treat it.

    folder        a model or a pretrained encoder
    freeze        "encoder": it does not learn at first
    thaw_after    share of the training after which it does
    encoder_rate  of the learning rate, for the encoder
    """

    folder: Path | None = None
    freeze: Literal["none", "encoder"] | None = None
    thaw_after: float | None = None
    encoder_rate: float | None = None

    def changed(self, plan: Plan) -> Plan:
        """The plan with what is asked for."""
        for name in ("freeze", "thaw_after", "encoder_rate"):
            wanted = getattr(self, name)
            if wanted is not None and wanted != getattr(plan.training, name):
                plan = plan.set_by_hand(f"training.{name}", wanted)
        return plan


@dataclass(frozen=True)
class LabelWishes:
    """What is asked where labels are not one certain map of every voxel.

    raters         learn what share of the raters said so
    scribbles      most voxels are unmarked: every patch is centred on something that was marked
    pseudo_weight  how often cases labelled by a model are drawn, against those of people
    """

    raters: bool = False
    scribbles: bool = False
    pseudo_weight: float | None = None

    def changed(self, plan: Plan) -> Plan:
        """The plan with what is asked for."""
        plan = learning_from_raters(plan) if self.raters else plan
        plan = learning_from_scribbles(plan) if self.scribbles else plan
        return plan if self.pseudo_weight is None else weighing_pseudo_labels(plan, self.pseudo_weight)


@dataclass(frozen=True)
class PlanWishes:
    """What is asked of the planner.

    minutes    of training, all folds and configurations together
    steps      of each training, instead of minutes
    memory_gb  what training may use, of the GPU or of the machine; None: what the preset was made for
    device     "cpu" or "cuda"
    preset     "default", or residual encoders "M", "L", "XL"
    network    one of the literature in place of the U-Net, or a teaching network of fixed layout
    by_hand    path in the plan -> value
    start      what to begin with instead of random weights
    channel_dropout  how likely each channel of a sample is dropped, so that new scans may lack it
    optimizer  the rule by which weights change, with its own numbers
    kernel     of a MedNeXt: 5; begun with a model of 3, its kernels are drawn out (UpKern)
    augment    "heavy": more and stronger changes, for scans of other places
    labels     what is asked where labels are imperfect
    normalize  "histogram": each scan's is matched to the dataset's; "scan": by its own mean and spread
    """

    minutes: float | None = None
    steps: int | None = None
    memory_gb: float | None = None
    device: str = "cpu"
    preset: PresetName = "default"
    folds: tuple[int, ...] | None = None
    use: tuple[ConfigurationName, ...] | None = None
    network: PlannedName | SeedKind | None = None
    splits: SplitWishes = SplitWishes()
    by_hand: Mapping[str, Any] = field(default_factory=dict)
    start: StartWishes = StartWishes()
    channel_dropout: float | None = None
    optimizer: OptimizerName | None = None
    kernel: int | None = None
    augment: AugmentName | None = None
    normalize: Literal["scan", "histogram"] | None = None
    labels: LabelWishes = LabelWishes()

    @property
    def basis(self) -> Basis:
        """What only a new plan can grant."""
        return Basis(memory_gb=self.memory_gb, preset=self.preset, network=self.planned_network)

    @property
    def planned_network(self) -> PlannedName | None:
        """The network that the planner lays out; a teaching network has its layout already."""
        return None if self.network in get_args(SeedKind) else cast("PlannedName | None", self.network)

    @property
    def taught(self) -> SeedKind | None:
        """The teaching network, if one is asked for."""
        return cast("SeedKind", self.network) if self.network in get_args(SeedKind) else None

    def changed(self, plan: Plan) -> Plan:
        """An earlier plan with what is asked for now; the time is shared between the trainings."""
        if self.folds is not None and self.folds != plan.train_folds:
            plan = plan.set_by_hand("train_folds", list(self.folds))
        if self.use is not None and self.use != plan.use:
            plan = plan.set_by_hand("use", list(self.use))
        if self.steps is not None and self.steps != plan.training.steps:
            plan = plan.set_by_hand("training.steps", self.steps)
        dropout = self.channel_dropout
        if dropout is not None and dropout != plan.training.channel_dropout:
            plan = plan.set_by_hand("training.channel_dropout", dropout)
        if self.minutes is not None:
            each = self.minutes / (len(plan.train_folds) * len(plan.use))
            if each != plan.training.minutes:
                plan = plan.set_by_hand("training.minutes", each)
        return plan


@dataclass(frozen=True)
class TrainingWishes:
    """On what the weights are found.

    devices      processes that train together
    workers      threads that make batches, per process
    tensorboard  also write the curves for TensorBoard
    place        this process among those that torchrun has started
    """

    device: str = "cpu"
    devices: int = 1
    workers: int = 2
    tensorboard: bool = False
    place: Place | None = None


@dataclass(frozen=True)
class SegmentWishes:
    """How new scans are segmented.

    mirror     average over mirrored copies; None: on a GPU only, where eight times the work is cheap
    step       between windows, in patches
    precision  what networks compute in; "auto" is bf16 where the device multiplies it
    reading    how DICOM series are read where there is a choice
    register   put the files of a case onto its first one before they are stacked; None: they lie right
    fast       seek structures on a coarse grid, and look closely only at the box around them
    gates      also write where an attention_unet lets features through: CASE_gates.nii.gz
    adapt      mix statistics of each scan into batch norms, where the model was measured to bear it
    engine     what computes networks; None: torch, or openvino for int8 networks; "auto": the fastest on this
               machine, which is measured once
    cache      a folder for what engines make of networks, and for which is fastest; None: made every time
    memory_gb  bound for what segmenting takes beyond the program and its weights; None: none
    objects    of a model that finds single ones: the format of a table of them; None: no table
    sure       of such a model: the score from which something is an object; None: one half
    """

    device: str = "cpu"
    mirror: bool | None = None
    probabilities: bool = False
    cleanup: bool = True
    step: float = 0.5
    precision: Precision = "auto"
    reading: Manner = PLAIN
    fast: bool = False
    adapt: bool = False
    gates: bool = False
    register: RegistrationRules | None = None
    engine: EngineWish | None = None
    cache: Path | None = None
    memory_gb: float | None = None
    objects: Literal["csv", "json"] | None = None
    sure: float | None = None
