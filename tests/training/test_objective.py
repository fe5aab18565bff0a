"""Objectives: what the loop lowers."""

import torch

from delineate.planning.plan import Training
from delineate.space import LabelSchema
from delineate.training.losses import make_loss, supervised
from delineate.training.objective import Segmentation

SCHEMA = LabelSchema.of("bone", "cartilage")
TRAINING = Training(optimizer="sgd", learning_rate=0.1, weight_decay=0.0, schedule="constant", steps=1)


def test_segmentation_is_the_loss_of_the_plan_and_its_figures_are_dice():
    logits, labels = torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4, dtype=torch.int64)
    logits[:, 1], labels[:, :, :2] = 9.0, 1
    objective = Segmentation.of(TRAINING, SCHEMA, batch_dice=False).on(torch.device("cpu"))
    loss = make_loss(TRAINING, SCHEMA, batch_dice=False)
    assert torch.equal(objective(logits, labels).total, supervised(loss, logits, labels).total)
    assert objective.figures(objective.counted(logits, labels)) == {"bone": 2 / 3, "cartilage": None}
    assert objective.hardness(logits, labels).shape == (2,)
