"""Learning from scans without labels."""

from delineate.training.pretrain.blocks import HIDDEN, block_of
from delineate.training.pretrain.pretrain import gentle, pretrain, single
from delineate.training.pretrain.reconstruction import EXPLAINED, Reconstruction

__all__ = ["EXPLAINED", "HIDDEN", "Reconstruction", "block_of", "gentle", "pretrain", "single"]
