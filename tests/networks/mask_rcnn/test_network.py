import pytest
import torch

from delineate.errors import PlanError
from delineate.inference.pieces import pasted
from delineate.networks import parameters
from delineate.networks.mask_rcnn import Answers, Judged, truth_of
from delineate.networks.mask_rcnn.boxes import overlap
from delineate.planning.plan import NetworkSpec
from delineate.training.objects import losses

SEEDS = torch.tensor([11, 12])


def test_in_training_it_answers_and_afterwards_it_finds(phantoms):
    net, (images, labels) = phantoms.network(), phantoms.discs()
    assert isinstance(net.train()(images, labels, SEEDS), Answers)
    with torch.no_grad():
        judged = net.eval()(images, labels, SEEDS)
        found = net(images)
    assert isinstance(judged, Judged)
    assert len(found) == 2
    for one, other in zip(found, judged.found, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
        assert one.boxes.shape == (len(one.scores), 4)
        assert one.masks.shape[1:] == (28, 28)
        assert len(one.scores) <= 32


def test_gradients_reach_every_weight(phantoms):
    net, (images, labels) = phantoms.network().train(), phantoms.discs()
    losses(net(images, labels, SEEDS)).sum().backward()
    lost = [n for n, p in net.named_parameters() if p.ndim > 1 and (p.grad is None or not p.grad.any())]
    still = [n for n in lost if "norm" not in n]  # the zero-initialised norms of residual blocks hide some
    assert all(name.startswith("encoder") for name in still)


@pytest.mark.parametrize(
    "layer", ["mask_head.up", "mask_head.body.0", "box_head.body.1", "box_head.kind.layer"]
)
def test_the_gradients_are_those_of_differences(phantoms, layer):
    net, (images, labels) = phantoms.network().train(), phantoms.discs(samples=1, edge=32, count=3)
    weight = net.get_submodule(layer).weight
    generator = torch.Generator().manual_seed(1)
    towards = torch.randn(weight.shape, generator=generator)
    towards /= towards.norm()

    def loss(step):
        with torch.no_grad():
            weight.add_(step * towards)
            value = float(losses(net(images, labels, SEEDS[:1])).sum())
            weight.sub_(step * towards)
        return value

    losses(net(images, labels, SEEDS[:1])).sum().backward()
    step = 5e-3  # single precision; small enough that the same boxes are proposed
    assert float((weight.grad * towards).sum()) == pytest.approx(
        (loss(step) - loss(-step)) / (2 * step), rel=0.05, abs=2e-3
    )


def test_a_sample_is_judged_the_same_alone_and_in_a_batch(phantoms):
    net, (images, labels) = phantoms.network().train(), phantoms.discs()
    with torch.no_grad():
        together = losses(net(images, labels, SEEDS))
        alone = [losses(net(images[n : n + 1], labels[n : n + 1], SEEDS[n : n + 1])) for n in range(2)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_other_seeds_compare_other_anchors(phantoms):
    net, (images, labels) = phantoms.network().train(), phantoms.discs()
    with torch.no_grad():
        one, same, other = (net(images, labels, seeds).objectness for seeds in (SEEDS, SEEDS, SEEDS + 5))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_pictures_without_objects_have_a_finite_loss_and_gradient(phantoms):
    net, (images, labels) = phantoms.network().train(), phantoms.discs()
    labels = torch.zeros_like(labels)
    loss = losses(net(images, labels, SEEDS))
    assert torch.isfinite(loss).all()
    loss.sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in net.parameters())
    assert net.mask_head.up.weight.grad is not None


def test_one_kind_of_object_needs_no_second(phantoms):
    net, (images, labels) = phantoms.network(outputs=2), phantoms.discs()
    labels[:, 0] = labels[:, 0].clamp(max=1)
    assert torch.isfinite(losses(net.train()(images, labels, SEEDS))).all()


def test_images_that_do_not_fit_are_refused(phantoms):
    net = phantoms.network()
    with pytest.raises(PlanError, match="multiple of 4 x 4"):
        net(torch.zeros(1, 1, 30, 32))
    with pytest.raises(PlanError, match="single voxel at the bottleneck"):
        net(torch.zeros(1, 1, 4, 4))


def test_its_size_follows_from_its_description(phantoms):
    assert parameters(phantoms.network(hidden=64)) > parameters(phantoms.network())
    assert isinstance(phantoms.SPEC, NetworkSpec)


@pytest.mark.slow
def test_a_few_discs_are_learnt_by_heart(phantoms):
    """A batch of two: every disc is found, with its kind and its outline, and nothing else."""
    net, (images, labels) = phantoms.network().train(), phantoms.discs()
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3)
    for step in range(150):
        loss = losses(net(images, labels, SEEDS + 100 * step)).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 12.0)
        optimizer.step()
    with torch.no_grad():
        found = net.eval()(images)
    for one, there in zip(found, labels, strict=True):
        truth, sure = truth_of(there), one.scores > 0.5
        assert int(sure.sum()) == len(truth.ids)
        table = overlap(truth.boxes, one.boxes[sure])
        assert table.max(1).values.min() > 0.75
        assert torch.equal(one.kinds[sure][table.argmax(1)], truth.kinds)
        for number, box, mask in zip(table.argmax(0), one.boxes[sure], one.masks[sure], strict=True):
            (i, j), voxels = pasted(mask, box, (48, 48))
            mine = there[1][i : i + voxels.shape[0], j : j + voxels.shape[1]].numpy() == int(
                truth.ids[number]
            )
            assert (mine & voxels).sum() > 0.75 * (mine | voxels).sum()
