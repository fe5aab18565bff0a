import pytest
import torch
from torch import nn

from delineate.planning.plan import Training
from delineate.space import Label, LabelSchema, Region
from delineate.training.distil import Distillation, Lesson, Taught, distance, finest
from delineate.training.objective import Segmentation

TRAINING = Training(optimizer="adamw", learning_rate=1e-3, weight_decay=0.01, schedule="cosine", steps=10)
LABELS = LabelSchema.of("one", "two")
REGIONS = LabelSchema(
    labels=(Label(value=1, name="oedema"), Label(value=4, name="core")),
    regions=(Region(name="whole", values=(1, 4), paints=1), Region(name="core", values=(4,), paints=4)),
)


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("exclusive", [True, False])
def test_the_distance_is_torchs_and_nothing_between_equals(exclusive):
    ours, theirs, heat = noise(2, 3, 4, 4), noise(2, 3, 4, 4, seed=1), 2.0
    found = distance(ours, theirs, heat, exclusive=exclusive)
    if exclusive:
        p, q = (torch.softmax(x / heat, 1) for x in (theirs, ours))
        expected = (p * (p / q).log()).sum(1).mean()
    else:
        p, q = (torch.sigmoid(x / heat) for x in (theirs, ours))
        expected = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).sum(1).mean()
    assert torch.isclose(found, heat**2 * expected, rtol=1e-4)
    assert distance(ours, ours, heat, exclusive=exclusive).abs() < 1e-6


def test_teachers_are_asked_in_training_only_and_do_not_learn():
    learner, teachers = nn.Conv2d(1, 3, 1), [nn.Conv2d(1, 3, 1), nn.Conv2d(1, 3, 1)]
    taught, x = Taught(learner, teachers), noise(2, 1, 4, 4)
    lesson = taught.train()(x)
    assert isinstance(lesson, Lesson)
    assert torch.allclose(lesson.teacher, (teachers[0](x) + teachers[1](x)) / 2, atol=1e-6)
    assert torch.equal(taught.eval()(x), learner(x))
    assert sorted(taught.state_dict()) == ["learner.bias", "learner.weight"]
    assert not any(parameter.requires_grad for teacher in teachers for parameter in teacher.parameters())


@pytest.mark.parametrize("schema", [LABELS, REGIONS])
def test_the_plans_loss_is_lowered_and_the_distance_beside_it(schema):
    plain = Segmentation.of(TRAINING, schema, batch_dice=False)
    both = Distillation(plain, 3.0).on(torch.device("cpu"))
    outputs = len(schema.outputs)
    logits, said = noise(2, outputs, 8, 8), noise(2, outputs, 8, 8, seed=1)
    labels = torch.zeros(2, 8, 8, dtype=torch.int16)
    labels[:, 2:6, 2:6] = 1
    lesson = Lesson((logits, noise(2, outputs, 4, 4)), said)
    own = plain(lesson.learner, labels)
    found = both(lesson, labels)
    apart = distance(logits, said, 3.0, exclusive=schema.exclusive)
    assert torch.isclose(found.total, own.total + apart)
    assert found.region == own.region
    assert torch.equal(both(logits, labels).total, plain(logits, labels).total)
    assert torch.equal(both.hardness(lesson, labels), plain.hardness(logits, labels))
    counts = both.counted(logits, labels)
    assert both.figures(counts) == plain.figures(plain.counted(logits, labels))
    assert torch.equal(finest(lesson), logits)
