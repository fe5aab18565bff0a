"""Phantoms: the truth that other tests rely on must itself be true."""

import cc3d
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.space import Geometry
from delineate.space.phantoms import (
    CHANNELS,
    Anatomy,
    Ellipsoid,
    Waves,
    balls,
    cells,
    fraction,
    head,
    head_grid,
    head_schema,
    nuclei,
    sparse,
)

seeds = st.integers(0, 2**32 - 1)


def rng(seed):
    return np.random.default_rng(seed)


def oblique_grid(spacing=(1.0, 1.4, 2.5), shape=(48, 40, 26)):
    turn, _ = np.linalg.qr(np.array([[1, 0.2, 0.1], [-0.2, 1, 0.3], [0.05, -0.3, 1]]))
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) / 2 - 0.5)
    return Geometry(shape, affine)


# --- shapes


@given(st.floats(10, 16), st.tuples(*[st.floats(-1.5, 1.5)] * 3))
@settings(max_examples=40, deadline=None)
def test_the_fractions_of_a_ball_add_up_to_its_volume_on_any_grid(radius, centre):
    grid = oblique_grid()
    volume = fraction(Ellipsoid(centre, (radius,) * 3).on(grid)).sum() * grid.voxel_ml
    assert volume == pytest.approx(4 / 3 * np.pi * radius**3 / 1000, rel=0.01)


@pytest.mark.parametrize("radii", [(14.0, 14.0, 14.0), (18.0, 12.0, 15.0), (10.0, 16.0, 20.0)])
def test_the_voxels_of_an_ellipsoid_have_its_volume(radii):
    grid = oblique_grid()
    inside = (Ellipsoid((0.3, -0.4, 0.2), radii).on(grid) < 0).sum() * grid.voxel_ml
    assert inside == pytest.approx(4 / 3 * np.pi * np.prod(radii) / 1000, rel=0.015)


def test_the_distance_to_a_ball_is_exact():
    grid = oblique_grid()
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    exact = np.linalg.norm(grid.to_world(index.astype(float)) - (1.0, 2.0, 3.0), axis=-1) - 11
    assert np.abs(Ellipsoid((1.0, 2.0, 3.0), (11.0,) * 3).on(grid) - exact).max() < 0.01


def test_a_fraction_is_one_half_where_a_plane_cuts_a_voxel_in_two():
    plane = np.broadcast_to(np.arange(-3.0, 4.0)[:, None, None], (7, 5, 1))
    assert fraction(plane)[:, 2, 0] == pytest.approx([1, 1, 1, 0.5, 0, 0, 0], abs=1e-4)


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_waves_have_the_height_asked_for(seed):
    waves = Waves.drawn(rng(seed), length_mm=6, height=2.0, count=32)
    values = waves.on(Geometry((32, 32, 32), np.diag([3.0, 3.0, 3.0, 1.0])))
    assert values.mean() == pytest.approx(0, abs=0.3)
    assert values.std() == pytest.approx(2.0, rel=0.15)


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_waves_are_the_same_in_the_same_place_on_every_grid(seed):
    waves = Waves.drawn(rng(seed), length_mm=20, height=1.0)
    grid = oblique_grid(shape=(10, 9, 8))
    turned = grid.reoriented("LSP")
    there = waves.on(turned)
    index = np.stack(np.meshgrid(*map(np.arange, turned.shape), indexing="ij"), axis=-1).astype(float)
    i, j, k = np.moveaxis(np.round(grid.to_index(turned.to_world(index))).astype(int), -1, 0)
    assert np.allclose(waves.on(grid)[i, j, k], there, atol=1e-4)


# --- heads


@pytest.mark.parametrize("make", [head, balls, cells, sparse])
def test_one_seed_gives_the_same_bits_and_another_seed_another_scan(make):
    scan, labels = make(rng(4))
    again, labels_again = make(rng(4))
    other, _ = make(rng(5))
    assert np.array_equal(scan.array, again.array)
    assert np.array_equal(labels.array, labels_again.array)
    assert scan.geometry.same_place(again.geometry)
    assert scan.array.shape != other.array.shape or not np.array_equal(scan.array, other.array)


@pytest.mark.parametrize("make", [head, balls, cells, sparse])
def test_scan_and_labels_share_their_grid_and_hold_finite_numbers(make):
    scan, labels = make(rng(11))
    assert scan.geometry.same_place(labels.geometry)
    assert np.isfinite(scan.array).all()
    assert scan.array.std() > 0


def test_a_head_has_four_sequences_and_nested_regions():
    scan, labels = head(rng(1))
    assert scan.channels == CHANNELS
    assert scan.array.dtype == np.float32
    assert scan.array.min() >= 0  # a magnitude
    assert tuple(head_schema().structures) == ("whole tumour", "tumour core", "enhancing tumour")
    whole, core = labels.mask("whole tumour"), labels.mask("tumour core")
    enhancing = labels.mask("enhancing tumour")
    assert (core <= whole).all()
    assert (enhancing <= core).all()
    assert 0 < enhancing.sum() < core.sum() < whole.sum()


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_no_head_is_without_its_tumour_and_the_shapes_of_it_are_nested(seed):
    grid = head_grid(rng(seed), spacing_mm=4.0)
    tumour, core, necrosis = (shape for shape, _ in Anatomy.drawn(rng(seed)).layers(grid)[-3:])
    assert ((necrosis < 0) <= (core < 0)).all()
    assert ((core < 0) <= (tumour < 0)).all()
    assert (tumour < 0).any()


@pytest.mark.parametrize("seed", [5, 6, 8])
def test_a_tumour_has_the_same_volume_on_a_coarse_and_on_a_fine_grid(seed):
    volumes = []
    for spacing in (3.0, 1.5):
        grid = head_grid(rng(3), spacing_mm=spacing)
        shape = Anatomy.drawn(rng(seed), tumour_mm=24.0).layers(grid)[-3][0]
        volumes.append((shape < 0).sum() * grid.voxel_ml)
    assert volumes[0] == pytest.approx(volumes[1], rel=0.02)


def test_a_larger_tumour_may_be_asked_for():
    small, large = (head(rng(2), tumour_mm=r)[1].volume_ml("whole tumour") for r in (10.0, 25.0))
    assert 0 < 4 * small < large


def test_the_contrast_of_a_tumour_is_that_of_its_sequence():
    scan, labels = head(rng(7), tumour_mm=26.0)
    t1, t1c, t2, flair = scan.array
    enhancing, oedema = labels.array == 3, labels.array == 2
    head_itself = t1 > 0.3 * np.quantile(t1, 0.95)

    def relative(channel, where):
        return channel[where].mean() / channel[head_itself].mean()

    assert relative(t1c, enhancing) > 1.4 * relative(t1, enhancing)
    assert relative(t2, oedema) > 1.2
    assert relative(flair, oedema) > 1.3
    assert relative(t1, oedema) < 1


def test_scanners_give_oblique_anisotropic_and_turned_grids():
    grids = [head_grid(rng(seed)) for seed in range(60)]
    oblique = [np.abs(np.sort(np.abs(g.affine[:3, :3] / g.spacing), axis=0)[:2]).max() > 0.01 for g in grids]
    thick = [max(g.spacing) / min(g.spacing) > 1.5 for g in grids]
    assert 0.3 < np.mean(oblique) < 0.7
    assert 0.2 < np.mean(thick) < 0.5
    assert {"RAS", "LPS", "LAS", "ASR"} <= {g.orientation for g in grids}
    assert all(24 <= n <= 72 for g in grids for n in g.shape)


def test_a_head_may_be_put_on_any_grid():
    grid = oblique_grid(spacing=(5.0, 5.0, 8.0), shape=(32, 36, 20))
    scan, labels = head(rng(9), grid=grid)
    assert scan.geometry is grid
    assert labels.geometry is grid


# --- the small ones


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_two_balls_are_whole_and_apart(seed):
    _, labels = balls(rng(seed))
    large, small = labels.mask("large ball"), labels.mask("small ball")
    parts = cc3d.connected_components((large | small).astype(np.uint8), connectivity=26)
    assert parts.max() == 2
    assert large.sum() > small.sum() > 60
    edges = np.ones(large.shape, bool)
    edges[1:-1, 1:-1, 1:-1] = False
    assert not (edges & (large | small)).any()


def test_a_threshold_finds_the_balls():
    scan, labels = balls(rng(3), noise=0.05)
    found = (scan.array[0] > 0.5).astype(int) + (scan.array[0] > 1.5)
    assert (found == labels.array).mean() > 0.99


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_sparse_lesions_are_few_apart_and_fill_their_share(seed):
    _, labels = sparse(rng(seed))
    assert (labels.array > 0).mean() == pytest.approx(0.001, rel=0.15)
    assert cc3d.connected_components(labels.array, connectivity=26).max() == 5


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_a_nucleus_lies_within_its_cell(seed):
    picture, labels = cells(rng(seed))
    assert picture.channels == ("red", "green", "blue")
    assert picture.array.dtype == np.uint8
    assert picture.geometry.is_flat
    nucleus, cell = labels.array[..., 0] == 2, labels.array[..., 0] > 0
    padded = np.pad(nucleus, 1)
    grown = padded[2:, 1:-1] | padded[:-2, 1:-1] | padded[1:-1, 2:] | padded[1:-1, :-2]
    assert nucleus.sum() > 50
    assert (grown <= cell).all()


@pytest.mark.parametrize("seed", range(4))
def test_nuclei_are_numbered_and_brighter_than_the_ground(seed):
    scan, ids = nuclei(np.random.default_rng(seed))
    numbers = np.unique(ids)
    assert numbers.tolist() == list(range(len(numbers)))
    assert len(numbers) > 6
    assert scan.array[0][ids > 0].mean() > 2 * scan.array[0][ids == 0].mean()
    again = nuclei(np.random.default_rng(seed))
    assert (again[1] == ids).all()
