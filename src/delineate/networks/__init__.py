"""What learns: the networks, and the folder in which trained ones are given away."""

from delineate.networks.attention import AttentionUNet
from delineate.networks.build import (
    blueprint,
    build_network,
    initialise,
    inputs_of,
    parameters,
    seed_spec,
)
from delineate.networks.deeplab import DeepLabV3Plus
from delineate.networks.degraded import Degraded, Loss, degraded_note
from delineate.networks.densenet import DenseNetUNet
from delineate.networks.facts import Facts, Score, card
from delineate.networks.fcn import FCN8s
from delineate.networks.mask_rcnn import MaskRCNN
from delineate.networks.mednext import MedNeXt
from delineate.networks.model import (
    Calibration,
    CleanUp,
    Manifest,
    Model,
    Weights,
    load_network,
    required,
    write_calibration,
    write_model,
)
from delineate.networks.original import OriginalUNet, UNet3d
from delineate.networks.precision import Precision, autocast_type, device_of
from delineate.networks.pretrained import Pretrained, Pretraining, PretrainingTask, write_pretrained
from delineate.networks.resnet import ResNetUNet
from delineate.networks.seed import SeedUNet2d, SeedUNet3d
from delineate.networks.segnet import SegNet
from delineate.networks.start import Start
from delineate.networks.transfer import Provenance, Transfer
from delineate.networks.unet import ResidualUNet, UNet
from delineate.networks.vnet import VNet

__all__ = [
    "AttentionUNet",
    "Calibration",
    "CleanUp",
    "DeepLabV3Plus",
    "Degraded",
    "DenseNetUNet",
    "FCN8s",
    "Facts",
    "Loss",
    "Manifest",
    "MaskRCNN",
    "MedNeXt",
    "Model",
    "OriginalUNet",
    "Precision",
    "Pretrained",
    "Pretraining",
    "PretrainingTask",
    "Provenance",
    "ResNetUNet",
    "ResidualUNet",
    "Score",
    "SeedUNet2d",
    "SeedUNet3d",
    "SegNet",
    "Start",
    "Transfer",
    "UNet",
    "UNet3d",
    "VNet",
    "Weights",
    "autocast_type",
    "blueprint",
    "build_network",
    "card",
    "degraded_note",
    "device_of",
    "initialise",
    "inputs_of",
    "load_network",
    "parameters",
    "required",
    "seed_spec",
    "write_calibration",
    "write_model",
    "write_pretrained",
]
