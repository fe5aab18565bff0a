"""What learns: the networks, and the folder in which trained ones are given away."""

from delineate.networks.build import blueprint, build_network, initialise, parameters, seed_spec
from delineate.networks.seed import SeedUNet2d, SeedUNet3d
from delineate.networks.unet import ResidualUNet, UNet

__all__ = [
    "ResidualUNet",
    "SeedUNet2d",
    "SeedUNet3d",
    "UNet",
    "blueprint",
    "build_network",
    "initialise",
    "parameters",
    "seed_spec",
]
