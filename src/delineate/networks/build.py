"""Build: from the plan's description of a network to the network."""

from __future__ import annotations

import torch
from torch import nn

from delineate.errors import PlanError
from delineate.networks.attention import AttentionUNet
from delineate.networks.blocks import SLOPE, ResidualBlock, StartsItself
from delineate.networks.deeplab import DeepLabV3Plus
from delineate.networks.densenet import DenseNetUNet
from delineate.networks.fcn import FCN8s
from delineate.networks.kerfoot import KerfootUNet
from delineate.networks.mask_rcnn import Counts, MaskRCNN
from delineate.networks.mednext import MedNeXt
from delineate.networks.monai_networks import monai_network
from delineate.networks.original import OriginalUNet, UNet3d
from delineate.networks.resnet import ResNetUNet
from delineate.networks.seed import FEATURES_2D, FEATURES_3D, SeedUNet2d, SeedUNet3d
from delineate.networks.segnet import SegNet
from delineate.networks.unet import ResidualUNet, UNet
from delineate.networks.vnet import VNet
from delineate.planning.plan import DetectorSpec, NetworkSpec, Plan

SEED_STAGES = {"seed_unet2d": (2, FEATURES_2D), "seed_unet3d": (3, FEATURES_3D)}  # axes, features
MONAI = ("unetr", "swinunetr", "segresnet")


def build_network(spec: NetworkSpec, inputs: int, outputs: int, *, seed: int = 0) -> nn.Module:
    """The network that `spec` describes, on the CPU, its weights drawn with `seed`.

    In `train()` with deep supervision it returns a tuple of logits (batch, output, ...) from finest to
    coarsest; without, and in `eval()`, the finest logits. The global random generator is not touched.
    """
    if spec.kind in MONAI:
        return _with_own_weights(spec, inputs, outputs, seed)
    network = blueprint(spec, inputs, outputs).to_empty(device="cpu")
    initialise(network, torch.Generator().manual_seed(seed))
    return network


def blueprint(spec: NetworkSpec, inputs: int, outputs: int) -> nn.Module:
    """The network without memory for its weights (device "meta"): to count, or to load weights into."""
    if spec.kind in MONAI:  # looks at values while it is made, and so cannot be made without
        return _with_own_weights(spec, inputs, outputs, 0).to("meta")
    with torch.device("meta"):
        return _assembled(spec, inputs, outputs)


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draws the weights: Kaiming normal for convolutions and dense layers, biases 0, norms 1 and 0.

    The last norm of a residual block starts at zero, so that the block starts as its shortcut; parts that
    know their own start (an interpolation) have it.
    Source: He 2015, doi:10.1109/ICCV.2015.123; Goyal 2017, arXiv:1706.02677 (zero-initialised blocks).
    """
    for module in network.modules():
        match module:
            case nn.Conv2d() | nn.Conv3d() | nn.ConvTranspose2d() | nn.ConvTranspose3d() | nn.Linear():
                nn.init.kaiming_normal_(module.weight, a=SLOPE, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            case nn.InstanceNorm2d() | nn.InstanceNorm3d() | nn.BatchNorm2d() | nn.BatchNorm3d():
                module.reset_parameters()
            case nn.GroupNorm() | nn.PReLU():
                module.reset_parameters()
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            nn.init.zeros_(module.norm.get_parameter("weight"))
            nn.init.zeros_(module.norm.get_parameter("bias"))
        elif isinstance(module, StartsItself):
            module.start()


def inputs_of(plan: Plan, name: str) -> int:
    """How many channels the network of a configuration reads.

    In a cascade each label of the previous stage is one more: 1 where it was found, 0 elsewhere.
    """
    cascaded = plan.configuration(name).previous is not None
    return len(plan.channels) + (len(plan.labels.labels) if cascaded else 0)


def parameters(network: nn.Module) -> int:
    """How many numbers the network learns."""
    return sum(parameter.numel() for parameter in network.parameters())


def seed_spec(kind: str) -> NetworkSpec:
    """The description of one of the two teaching networks: "seed_unet2d" or "seed_unet3d"."""
    if kind not in SEED_STAGES:
        raise PlanError(f"expected {' or '.join(SEED_STAGES)}, got {kind!r}.")
    dims, features = SEED_STAGES[kind]
    n = len(features)
    return NetworkSpec.model_validate(
        {
            "kind": kind,
            "features": features,
            "strides": ((1,) * dims, *((2,) * dims,) * (n - 1)),
            "kernels": ((3,) * dims,) * n,
            "encoder_blocks": (2,) * n,
            "decoder_blocks": (2,) * (n - 1),
            "deep_supervision": False,
        }
    )


def _with_own_weights(spec: NetworkSpec, inputs: int, outputs: int, seed: int) -> nn.Module:
    """A network that draws its weights itself, here from a generator of its own."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return monai_network(spec, inputs, outputs)


def _assembled(spec: NetworkSpec, inputs: int, outputs: int) -> nn.Module:
    match spec.kind:
        case "seed_unet2d":
            _check_seed(spec)
            return SeedUNet2d(inputs, outputs)
        case "seed_unet3d":
            _check_seed(spec)
            return SeedUNet3d(inputs, outputs)
        case "fcn8s" | "segnet" | "original_unet" | "unet3d" | "deeplabv3plus":
            return _of_one_output(spec, inputs, outputs)
        case "mask_rcnn" if spec.detector is not None:
            return _of_objects(spec, spec.detector, inputs, outputs)
        case _:
            return _of_u_shape(spec, inputs, outputs)


def _of_u_shape(spec: NetworkSpec, inputs: int, outputs: int) -> nn.Module:
    stages = (spec.features, spec.strides, spec.kernels, spec.encoder_blocks, spec.decoder_blocks)
    layout = (*stages, spec.deep_supervision)
    norm = spec.norm or "instance"
    match spec.kind:
        case "residual_unet":
            return ResidualUNet(inputs, outputs, *layout)
        case "kerfoot_unet":
            return KerfootUNet(inputs, outputs, *stages[:4], residual=bool(spec.residual), norm=norm)
        case "attention_unet":
            return AttentionUNet(inputs, outputs, *layout)
        case "resnet_unet":
            return ResNetUNet(inputs, outputs, *layout, bottleneck=bool(spec.bottleneck), norm=norm)
        case "densenet_unet":
            return DenseNetUNet(inputs, outputs, *layout, growth=spec.growth or 0, norm=norm)
        case "mednext":
            return MedNeXt(inputs, outputs, *layout, expansion=spec.expansion or ())
        case "vnet":
            return VNet(inputs, outputs, *stages, norm)
        case _:
            return UNet(inputs, outputs, *layout)


def _of_one_output(spec: NetworkSpec, inputs: int, outputs: int) -> nn.Module:
    stages = (spec.features, spec.strides, spec.kernels)
    norm, padded = spec.norm or "instance", bool(spec.padded)
    match spec.kind:
        case "original_unet":
            return OriginalUNet(inputs, outputs, *stages, padded=padded)
        case "unet3d":
            return UNet3d(inputs, outputs, *stages, norm=norm, padded=padded)
        case "segnet":
            return SegNet(inputs, outputs, *stages, spec.encoder_blocks, norm)
        case "deeplabv3plus":
            rates, bottleneck = spec.rates or (), bool(spec.bottleneck)
            blocks = spec.encoder_blocks
            return DeepLabV3Plus(
                inputs, outputs, *stages, blocks, rates=rates, bottleneck=bottleneck, norm=norm
            )
        case _:
            return FCN8s(inputs, outputs, *stages, spec.encoder_blocks, norm)


def _of_objects(spec: NetworkSpec, detector: DetectorSpec, inputs: int, outputs: int) -> nn.Module:
    return MaskRCNN(
        inputs,
        outputs,
        spec.features,
        spec.strides,
        spec.kernels,
        spec.encoder_blocks,
        level=detector.level,
        width=detector.width,
        hidden=detector.hidden,
        sizes=detector.sizes,
        ratios=detector.ratios,
        counts=Counts(detector.compared, detector.proposals, detector.regions, detector.objects),
    )


def _check_seed(spec: NetworkSpec) -> None:
    expected = seed_spec(spec.kind)
    if wrong := spec.differing(expected):
        raise PlanError(
            f"{spec.kind} has a fixed layout, but the plan changes its {', '.join(wrong)}: expected "
            f"{[getattr(expected, name) for name in wrong]}, got {[getattr(spec, name) for name in wrong]}. "
            f"Restore it, or choose the kind 'unet', whose layout is free."
        )
