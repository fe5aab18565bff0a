"""What learns: the networks, and the folder in which trained ones are given away."""

from delineate.networks.build import (
    blueprint,
    build_network,
    initialise,
    inputs_of,
    parameters,
    seed_spec,
)
from delineate.networks.facts import Facts, Score, card
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
from delineate.networks.precision import Precision, autocast_type, device_of
from delineate.networks.seed import SeedUNet2d, SeedUNet3d
from delineate.networks.unet import ResidualUNet, UNet

__all__ = [
    "Calibration",
    "CleanUp",
    "Facts",
    "Manifest",
    "Model",
    "Precision",
    "ResidualUNet",
    "Score",
    "SeedUNet2d",
    "SeedUNet3d",
    "UNet",
    "Weights",
    "autocast_type",
    "blueprint",
    "build_network",
    "card",
    "device_of",
    "initialise",
    "inputs_of",
    "load_network",
    "parameters",
    "required",
    "seed_spec",
    "write_calibration",
    "write_model",
]
