"""The loop that finds the weights."""

from delineate.networks.allocator import keep_memory
from delineate.training.coding import Coding
from delineate.training.curves import curves
from delineate.training.fold import TRANSFER, train
from delineate.training.history import Row, Validation
from delineate.training.loop import CHECKPOINT, HISTORY, WEIGHTS, Supply, Task, fit
from delineate.training.losses import Loss, Parts, make_loss
from delineate.training.mining import Mined
from delineate.training.tensorboard import TensorBoard
from delineate.training.watch import Step, Watch
from delineate.training.world import World

__all__ = [
    "CHECKPOINT",
    "HISTORY",
    "TRANSFER",
    "WEIGHTS",
    "Coding",
    "Loss",
    "Mined",
    "Parts",
    "Row",
    "Step",
    "Supply",
    "Task",
    "TensorBoard",
    "Validation",
    "Watch",
    "World",
    "curves",
    "fit",
    "keep_memory",
    "make_loss",
    "train",
]
