"""What a user may ask the planner for: shared by `plan` and `run`."""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from delineate.errors import PlanError

if TYPE_CHECKING:
    from delineate.pipeline import Cluster, StartWishes
    from delineate.planning import ConfigurationName, NetworkName


class Preset(enum.Enum):
    """Sizes of network, as the command line spells them."""

    default = "default"
    M = "M"
    L = "L"
    XL = "XL"


class Network(enum.Enum):
    """Networks other than the planned U-Net, as the command line spells them."""

    attention_unet = "attention_unet"
    deeplabv3plus = "deeplabv3plus"
    densenet_unet = "densenet_unet"
    fcn8s = "fcn8s"
    kerfoot_unet = "kerfoot_unet"
    mask_rcnn = "mask_rcnn"
    mednext_b = "mednext_b"
    mednext_l = "mednext_l"
    mednext_m = "mednext_m"
    mednext_s = "mednext_s"
    original_unet = "original_unet"
    original_unet_padded = "original_unet_padded"
    resnet_unet = "resnet_unet"
    segnet = "segnet"
    segresnet = "segresnet"
    swinunetr = "swinunetr"
    unet3d = "unet3d"
    unetr = "unetr"
    vnet = "vnet"
    seed_unet2d = "seed_unet2d"
    seed_unet3d = "seed_unet3d"


class SplitBy(enum.Enum):
    """Ways to divide cases, as the command line spells them."""

    kfold = "kfold"
    holdout = "holdout"
    leave_one_site_out = "leave_one_site_out"


class Rule(enum.Enum):
    """Rules by which weights change, as the command line spells them."""

    sgd = "sgd"
    adam = "adam"
    adamw = "adamw"
    muon = "muon"


class Augment(enum.Enum):
    """Presets of augmentation, as the command line spells them."""

    nnunet = "nnunet"
    heavy = "heavy"


class Normalize(enum.Enum):
    """Ways to scale channels that mean something only within their scan, as the command line spells them."""

    scan = "scan"
    histogram = "histogram"


class Frozen(enum.Enum):
    """What does not learn at first, as the command line spells it."""

    none = "none"
    encoder = "encoder"


DatasetFolder = Annotated[Path, typer.Argument(help="Folder of labelled scans, or a manifest (.csv, .json).")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Where the work is kept; made if need be.")]
Minutes = Annotated[float | None, typer.Option(min=0.1, help="Minutes of training, all folds together.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Steps of each training, instead of minutes.")]
Memory = Annotated[
    float | None, typer.Option(min=1, help="GB for training; else what the preset needs: 8, 24 (L), 40 (XL).")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Size = Annotated[Preset, typer.Option(help="Residual encoders of size M, L, XL, or plain.")]
Other = Annotated[
    Network | None,
    typer.Option(
        "--network",
        metavar="NAME",
        help=f"Another network than the planned U-Net: {', '.join(name.value for name in Network)}.",
    ),
]
Folds = Annotated[str | None, typer.Option(help="Which folds to train: 0 or 0,1,2,3,4.")]
Use = Annotated[str | None, typer.Option(help="Which configurations to train: 2d,3d_fullres.")]
OwnSplits = Annotated[Path | None, typer.Option(help="Own folds (JSON).")]
Divided = Annotated[SplitBy, typer.Option(help="How cases are divided.")]
Stratify = Annotated[
    str | None, typer.Option(help="Column, or 'site', 'labels', 'volume', to balance folds by.")
]
From = Annotated[
    Path | None,
    typer.Option(
        "--from", metavar="MODEL", help="Begin with a model or a pretrained encoder, not at random."
    ),
]
Freeze = Annotated[Frozen | None, typer.Option(help="What does not learn at first.")]
ThawAfter = Annotated[
    str | None, typer.Option(metavar="SHARE", help="... until this much of the training is done: 20%.")
]
EncoderRate = Annotated[
    float | None, typer.Option(min=0, help="Learning rate of the encoder, as a share of the rest's: 0.1.")
]
Settings = Annotated[
    list[str], typer.Option("--set", help="FIELD=VALUE in the plan, remembered as set by hand.")
]
ChannelDropout = Annotated[
    float | None,
    typer.Option(
        "--channel-dropout",
        min=0,
        max=0.9,
        help="How likely each channel of a sample is dropped, so that new scans may lack it.",
    ),
]
Optimizer = Annotated[
    Rule | None, typer.Option(help="The rule by which weights change, with its authors' numbers.")
]
Kernel = Annotated[
    int | None,
    typer.Option(help="Kernels of a MedNeXt: 5. With --from a model of 3 they begin drawn out (UpKern)."),
]
Changes = Annotated[
    Augment | None,
    typer.Option("--augment", help="heavy: more and stronger changes, for scans of other places."),
]
Scaled = Annotated[
    Normalize | None,
    typer.Option("--normalize", help="histogram: each scan's is matched to the dataset's (not for CT)."),
]
OfRaters = Annotated[
    bool, typer.Option("--raters", help="Several raters drew each case: learn what share of them said so.")
]
OfScribbles = Annotated[
    bool,
    typer.Option("--scribbles", help="Most voxels are unmarked (ignore): draw every marked class as often."),
]
PseudoWeight = Annotated[
    float | None,
    typer.Option(
        "--pseudo-weight",
        min=0.01,
        max=1,
        help="How often cases labelled by a model are drawn, against those of people.",
    ),
]
CountModels = Annotated[
    bool,
    typer.Option("--count-model-labels", help="Labels that a model made and nobody reviewed judge, too."),
]
Layout = Annotated[str | None, typer.Option(help="Read the folder as this layout instead of recognising it.")]


def beginning(
    folder: Path | None, freeze: Frozen | None, thaw_after: str | None, encoder_rate: float | None
) -> StartWishes:
    """What to begin with, and how gently to treat it."""
    from delineate.pipeline import StartWishes

    if thaw_after is not None and freeze is None:
        raise typer.BadParameter(
            "says until when something is frozen; add  --freeze encoder", param_hint="--thaw-after"
        )
    share = None if thaw_after is None else share_in(thaw_after, "--thaw-after")
    return StartWishes(folder, None if freeze is None else freeze.value, share, encoder_rate)


def share_in(text: str, option: str) -> float:
    """The share that "20%" or "0.2" is."""
    number = number_in(text.removesuffix("%"), option, text) / (100 if text.endswith("%") else 1)
    if not 0 <= number <= 1:
        raise typer.BadParameter(f"expected a share like 20%, got {text!r}", param_hint=option)
    return number


OnCluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="URL",
        help="Divide the cases among the workers of a Dask scheduler: tcp://HOST:PORT (extra: cluster).",
    ),
]
Keys = Annotated[
    Path | None,
    typer.Option(
        "--cluster-tls",
        metavar="DIR",
        help="ca.pem, cert.pem and key.pem for a scheduler at tls://HOST:PORT.",
    ),
]


def by_hand(settings: Sequence[str]) -> dict[str, Any]:
    """Assignments like `batch=4` or `training.schedule=cosine` as path -> value."""
    result = {}
    for setting in settings:
        path, separator, text = setting.partition("=")
        if not separator or not path:
            raise PlanError(f"--set {setting}: expected FIELD=VALUE, for example  --set batch=4")
        try:
            result[path] = json.loads(text)
        except json.JSONDecodeError:
            result[path] = text
    return result


def numbers(text: str | None) -> tuple[int, ...] | None:
    """Folds like "0,2" as numbers."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"expected numbers like 0,1,2, got {text!r}") from None


def planned(network: Network | None) -> NetworkName | None:
    """A network that the planner lays out, no teaching network."""
    from delineate.planning.architectures import ARCHITECTURES

    name = None if network is None else network.value
    if name is not None and name not in ARCHITECTURES:
        raise typer.BadParameter(f"{name} has a fixed layout: choose another", param_hint="--network")
    return name


def names(text: str | None) -> tuple[ConfigurationName, ...] | None:
    """Configurations like "2d,3d_fullres" as names."""
    from delineate.planning import ConfigurationName

    given = () if text is None else tuple(part.strip() for part in text.split(","))
    known = get_args(ConfigurationName)
    wrong = [name for name in given if name not in known]
    if wrong:
        raise typer.BadParameter(f"expected {', '.join(known)}, got {', '.join(wrong)}")
    return None if text is None else tuple(name for want in given for name in known if name == want)


def device(text: str) -> str:
    """The device that "auto" means on this machine."""
    if text in ("cpu", "cuda"):
        return text
    if text != "auto":
        raise typer.BadParameter(f"expected auto, cpu or cuda, got {text!r}")
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def on_workers(text: str) -> str:
    """The device of a cluster's workers: "auto" is each one's own."""
    return text if text == "auto" else device(text)


def column_with_edges(word: str) -> tuple[str, tuple[float, ...]]:
    """A column that divides cases: "site", or "age=40,65" with the edges at which numbers are cut."""
    name, _, edges = word.partition("=")
    return name, tuple(number_in(edge, "--by", word) for edge in edges.split(",") if edge)


def cluster_of(address: str | None, tls: Path | None) -> Cluster | None:
    """The cluster that is asked for, if one is."""
    if address is None:
        if tls is not None:
            raise typer.BadParameter("keys are for a cluster: say which one with --cluster")
        return None
    from delineate.pipeline import Cluster

    return Cluster(address, tls)


def number_in(text: str, option: str, word: str) -> float:
    """The number that a part of an option's word is."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} in {word!r} is no number", param_hint=option) from None
