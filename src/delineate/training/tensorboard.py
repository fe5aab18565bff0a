"""Tensorboard: a watcher that writes what it sees for TensorBoard, where that is installed."""

from __future__ import annotations

from pathlib import Path

from delineate.errors import MissingPackage
from delineate.training.watch import Step


class TensorBoard:
    """Writes loss, learning rate and validations below a folder; see them with `tensorboard --logdir`.

    with TensorBoard(folder) as board:
        train(..., watch=board)
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise MissingPackage(
                "TensorBoard is not installed, so nothing can be written for it. Install it with:  "
                'pip install "delineate[track]"  or train without; history.jsonl holds the same.'
            ) from None
        self._writer = SummaryWriter(str(folder))

    def __call__(self, step: Step) -> None:
        """Writes a step."""
        values: dict[str, float | None] = {"loss/training": step.loss, "rate": step.rate}
        if step.validation:
            values["loss/validation"] = step.validation.loss
            values |= {f"dice/{name}": value for name, value in step.validation.dice.items()}
        for name, value in values.items():
            if value is not None:
                self._writer.add_scalar(name, value, step.step)

    def __enter__(self) -> TensorBoard:
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()
