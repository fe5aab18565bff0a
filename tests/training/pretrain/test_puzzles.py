"""What pretraining does to patches: drawn, then applied; each is a function of its number."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.preparation.patches import Batch
from delineate.training.pretrain.blocks import Mask, block_of, draw_mask
from delineate.training.pretrain.genesis import Bend, Changes, Paint, Shuffle, draw_changes
from delineate.training.pretrain.puzzles import Puzzles


def image(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_blocks_are_about_a_tenth_of_the_patch_and_powers_of_two():
    assert block_of((160, 160, 160)) == (16, 16, 16)
    assert block_of((80, 80, 80)) == (8, 8, 8)
    assert block_of((40, 56, 40)) == (4, 4, 4)
    assert block_of((512, 512)) == (16, 16)
    assert block_of((128, 128, 16)) == (16, 16, 2)


@given(st.tuples(*[st.integers(4, 40)] * 3), st.sampled_from([0.5, 0.75, 0.9]), st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_so_many_blocks_are_hidden_and_no_voxel_of_the_others(edges, share, seed):
    block = block_of(edges)
    mask = draw_mask(np.random.default_rng(seed), edges, block, share)
    assert mask.hidden.sum() == min(max(round(share * mask.hidden.size), 1), mask.hidden.size - 1)
    x = image(2, *edges) + 10
    shown, hidden = mask.apply(x)
    assert torch.equal(shown[:, ~hidden], x[:, ~hidden])
    assert not shown[:, hidden].any()
    assert hidden.any()


def test_a_mask_is_blocks():
    mask = Mask((2, 3), np.array([[True, False], [False, True]]))
    expected = [[1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1]]
    assert mask.voxels((4, 4)).astype(int).tolist() == expected


def test_a_straight_curve_changes_nothing_and_a_falling_one_turns_the_range_around():
    x = image(2, 6, 6)
    straight = ((1 / 3, 2 / 3), (1 / 3, 2 / 3))
    torch.testing.assert_close(Bend(*straight, falls=False).apply(x), x, atol=1e-4, rtol=1e-4)
    turned = Bend(*straight, falls=True).apply(x)
    low, high = x.flatten(1).min(1).values, x.flatten(1).max(1).values
    torch.testing.assert_close(turned, (low + high)[:, None, None] - x, atol=1e-4, rtol=1e-4)


@given(st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_a_bent_image_keeps_the_order_of_its_values_or_turns_it_and_its_range(seed):
    rng = np.random.default_rng(seed)
    xs, ys = sorted(rng.random(2)), sorted(rng.random(2))
    x = torch.linspace(-3, 5, 40).reshape(1, 5, 8)
    for falls in (False, True):
        bent = Bend(tuple(xs), tuple(ys), falls).apply(x).flatten()
        steps = bent.diff() * (-1 if falls else 1)
        assert (steps >= -1e-5).all()
        assert bent.min() == pytest.approx(-3, abs=1e-4)
        assert bent.max() == pytest.approx(5, abs=1e-4)


def test_a_constant_image_stays_finite():
    x = torch.full((1, 8, 8), 2.0)
    for change in draw_changes(np.random.default_rng(1), (8, 8)).changes:
        assert change.apply(x).isfinite().all()
    assert torch.equal(Bend((0.2, 0.4), (0.1, 0.9), False).apply(x), x)


@pytest.mark.parametrize("edges", [(9, 7), (8, 6, 5)])
def test_shuffling_moves_voxels_within_their_tile_and_alike_in_all_channels(edges):
    whole = torch.arange(float(np.prod(edges))).reshape(1, *edges)
    x = torch.cat([whole, -whole])
    shuffled = Shuffle((3,) * len(edges), seed=4).apply(x)
    assert not torch.equal(shuffled, x)
    assert torch.equal(shuffled[0], -shuffled[1])
    where = np.argsort(shuffled[0].flatten().numpy().astype(int))
    here, there = np.unravel_index(where, edges), np.indices(edges).reshape(len(edges), -1)
    for axis, edge in enumerate(edges):
        inside = there[axis] < edge // 3 * 3
        assert (here[axis][inside] // 3 == there[axis][inside] // 3).all()
    assert sorted(shuffled[0].flatten().tolist()) == sorted(x[0].flatten().tolist())


@pytest.mark.parametrize("outward", [False, True])
def test_paint_covers_the_boxes_or_all_but_them_within_the_range_of_values(outward):
    x = image(1, 8, 8)
    painted = Paint((((1, 1), (4, 5)),), outward, seed=1).apply(x)
    box = torch.zeros(8, 8, dtype=torch.bool)
    box[1:4, 1:5] = True
    kept = box if outward else ~box
    assert torch.equal(painted[0][kept], x[0][kept])
    assert not (painted[0] == x[0])[~kept].any()
    assert painted.min() >= x.min()
    assert painted.max() <= x.max()


@given(st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_changes_are_drawn_the_same_again_and_always_fit(seed):
    edges = (6, 9, 4)
    one, other = (draw_changes(np.random.default_rng(seed), edges) for _ in range(2))
    assert one == other
    x = image(2, *edges)
    changed, compared = one.apply(x)
    assert changed.shape == x.shape
    assert changed.isfinite().all()
    assert compared.all()
    again, _ = other.apply(x)
    assert torch.equal(changed, again)


def test_every_kind_of_change_is_drawn():
    rng = np.random.default_rng(0)
    drawn = [draw_changes(rng, (16, 16, 16)) for _ in range(200)]
    kinds = [{type(change) for change in one.changes} for one in drawn]
    shares = {kind: sum(kind in one for one in kinds) / 200 for kind in (Bend, Shuffle, Paint)}
    assert shares[Bend] == pytest.approx(0.9, abs=0.07)
    assert shares[Shuffle] == pytest.approx(0.5, abs=0.1)
    assert shares[Paint] == pytest.approx(0.9, abs=0.07)
    assert isinstance(drawn[0], Changes)


# ---- batches


@dataclass(frozen=True)
class Scans:
    """A sampler of noise: what `Puzzles` asks of one."""

    seed: int = 1
    fold: int = 0
    share: tuple[int, int] = (0, 1)
    size: int = 4

    def shared(self, rank, processes):
        return replace(self, share=(rank, processes))

    def batch(self, step, device="cpu"):
        numbers = range(self.share[0], self.size, self.share[1])
        images = torch.stack([image(2, 8, 8, 8, seed=100 * step + n) for n in numbers])
        return Batch(images, torch.zeros(len(images), 8, 8, 8), tuple(f"c{n}" for n in numbers))


@pytest.mark.parametrize("task", ["mae", "genesis"])
def test_a_batch_is_a_function_of_its_number_however_many_share_it(task):
    puzzles = Puzzles(Scans(), task, 0.75, (2, 2, 2))
    whole, again = puzzles.batch(3), puzzles.batch(3)
    assert torch.equal(whole.images, again.images)
    parts = [puzzles.shared(rank, 2).batch(3) for rank in (0, 1)]
    assert torch.equal(whole.images[0::2], parts[0].images)
    assert torch.equal(whole.labels[1::2], parts[1].labels)
    assert whole.ids == ("c0", "c1", "c2", "c3")
    assert not torch.equal(whole.images, puzzles.batch(4).images)


def test_labels_are_the_image_as_it_was_and_where_it_counts():
    scans = Scans()
    hidden = Puzzles(scans, "mae", 0.75, (2, 2, 2)).batch(0)
    assert torch.equal(hidden.labels[:, :2], scans.batch(0).images)
    mask = hidden.labels[:, 2:].bool()
    assert mask.float().mean() == 0.75
    seen = ~mask.expand_as(hidden.images)
    assert not hidden.images[~seen].any()
    assert torch.equal(hidden.images[seen], scans.batch(0).images[seen])
    assert Puzzles(scans, "genesis", 0.75, (2, 2, 2)).batch(0).labels[:, 2:].all()
