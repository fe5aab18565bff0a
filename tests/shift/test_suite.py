"""The shift suite: the same on every machine, stronger with severity, labels where the anatomy is."""

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.shift import SEVERITIES, Example, kinds, shifted
from delineate.shift.place import FWHM
from delineate.space import Geometry, LabelMap, LabelSchema, Volume
from delineate.space.phantoms import balls


def _mr(channels=1):
    scan, labels = balls(np.random.default_rng(3), size=24)
    grid = Geometry(scan.geometry.shape, np.diag([1.0, 1.0, 1.5, 1.0]))
    array = np.concatenate([np.abs(scan.array) * (n + 1) for n in range(channels)]) + 1
    names = tuple(f"sequence {n}" for n in range(channels))
    return Example(Volume(array, grid, names), LabelMap(labels.array, grid, labels.schema))


def _ct():
    grid = Geometry((40, 40, 12), np.diag([2.0, 2.0, 3.0, 1.0]))
    far = np.hypot(*np.meshgrid(np.arange(40) - 19.5, np.arange(40) - 19.5, indexing="ij"))
    array = np.where(far < 16, 40.0, -1000.0)[..., None].repeat(12, 2)
    labels = (far < 6).astype(np.uint8)[..., None].repeat(12, 2)
    return Example(Volume(array[None], grid, ("CT",)), LabelMap(labels, grid, LabelSchema.of("organ")))


def _picture():
    grid = Geometry.of_image((32, 24))
    i, j = np.meshgrid(np.arange(32), np.arange(24), indexing="ij")
    disc = np.hypot(i - 15, j - 12) < 7
    array = np.stack([np.where(disc, 120, 230), np.where(disc, 60, 210), np.where(disc, 150, 225)])[..., None]
    labels = LabelMap(disc.astype(np.uint8)[..., None], grid, LabelSchema.of("cell"))
    return Example(Volume(array.astype(np.uint8), grid, ("red", "green", "blue")), labels)


EXAMPLES = {"mr": _mr(), "ct": _ct(), "picture": _picture()}
EVERY = [
    (modality, kind)
    for modality, channels in (("mr", 1), ("ct", 1), ("picture", 3))
    for kind in kinds(modality, channels=channels, flat=modality == "picture")
]


def _name(value):
    return value if isinstance(value, str) else value.name


@pytest.mark.parametrize(("modality", "kind"), EVERY, ids=_name)
def test_every_kind_gives_the_same_twice_and_another_thing_at_every_severity(modality, kind):
    example = EXAMPLES[modality]
    before = example.scan.array.copy()
    seen = []
    for severity in SEVERITIES:
        once = shifted(example, kind, severity, case="a")
        again = shifted(example, kind, severity, case="a")
        assert np.array_equal(once.scan.array, again.scan.array)
        assert np.array_equal(once.labels.array, again.labels.array)
        assert np.isfinite(once.scan.array).all()
        assert once.scan.geometry.same_place(once.labels.geometry)
        assert once.scan.channels == example.scan.channels
        assert all(once.scan.array.shape != s.shape or not np.array_equal(once.scan.array, s) for s in seen)
        seen.append(once.scan.array)
        if not kind.is_moving:
            assert once.labels is example.labels
    assert np.array_equal(example.scan.array, before)
    assert kind.level(1).startswith(f"{kind.levels[0]:g}")


STEADY = [(m, k) for m, k in EVERY if not k.is_moving and k.name not in ("window", "gamma", "inversion")]


@pytest.mark.parametrize(("modality", "kind"), STEADY, ids=_name)
def test_a_higher_severity_is_further_from_the_clean_scan(modality, kind):
    example = EXAMPLES[modality]
    clean = example.scan.array.astype(float)
    away = [
        np.abs(shifted(example, kind, severity, case="a").scan.array - clean).mean()
        for severity in SEVERITIES
    ]
    assert away == sorted(away)


def test_another_case_is_shifted_otherwise():
    noise = kinds("mr")[0]
    one, other = (shifted(EXAMPLES["mr"], noise, 3, case=case).scan.array for case in "ab")
    assert not np.array_equal(one, other)


def test_there_is_no_sixth_severity():
    with pytest.raises(DataError, match="noise has severities 1 to 5, got 6"):
        shifted(EXAMPLES["mr"], kinds("mr")[0], 6)


def _kind(modality, name, **how):
    return next(kind for kind in kinds(modality, **how) if kind.name == name)


def test_labels_turn_with_the_patient():
    turned = shifted(EXAMPLES["mr"], _kind("mr", "rotation"), 5)
    assert not np.array_equal(turned.labels.array, EXAMPLES["mr"].labels.array)
    bright = EXAMPLES["mr"].labels.array > 0
    inside, outside = (EXAMPLES["mr"].scan.array[0][where].mean() for where in (bright, ~bright))
    after = turned.labels.array > 0
    found = turned.scan.array[0][after].mean() - turned.scan.array[0][~after].mean()
    assert found > 0.8 * (inside - outside)
    assert after.sum() == pytest.approx(bright.sum(), rel=0.15)


def test_coarser_voxels_keep_the_mean_and_the_volume():
    for name in ("thick_slices", "low_resolution"):
        example = EXAMPLES["mr"]
        coarse = shifted(example, _kind("mr", name), 3)
        assert np.prod(coarse.scan.geometry.shape) < np.prod(example.scan.geometry.shape)
        assert coarse.scan.array.mean() == pytest.approx(example.scan.array.mean(), rel=0.02)
        assert coarse.labels.volume_ml("large ball") == pytest.approx(
            example.labels.volume_ml("large ball"), rel=0.25
        )


def test_a_cut_field_of_view_keeps_what_is_in_it_where_it_was():
    example = EXAMPLES["mr"]
    cut = shifted(example, _kind("mr", "field_of_view"), 5)
    assert cut.scan.geometry.shape == (14, 14, 14)
    start = np.round(example.scan.geometry.to_index(cut.scan.geometry.to_world(np.zeros(3)))).astype(int)
    box = tuple(slice(a, a + 14) for a in start)
    assert np.array_equal(cut.scan.array[0], example.scan.array[0][box])
    assert np.array_equal(cut.labels.array, example.labels.array[box])


def test_a_blurred_point_has_the_width_in_millimetres():
    array = np.zeros((1, 41, 41, 41), np.float32)
    array[0, 20, 20, 20] = 1
    grid = Geometry((41, 41, 41), np.diag([0.5, 1.0, 2.0, 1.0]))
    labels = LabelMap(np.zeros(grid.shape, np.uint8), grid, LabelSchema.of("dot"))
    found = shifted(Example(Volume(array, grid), labels), _kind("mr", "blur"), 5).scan.array[0]
    for axis, step in enumerate(grid.spacing):
        line = found.sum(tuple(a for a in range(3) if a != axis))
        places = (np.arange(41) - 20) * step
        assert np.sqrt((line * places**2).sum()) * FWHM == pytest.approx(6, rel=0.06)


def test_motion_leaves_a_patient_who_does_not_move():
    from delineate.shift.magnetic import ghosting, motion

    for change in (motion, ghosting):
        still = change(EXAMPLES["mr"], 0, np.random.default_rng(1))
        assert np.allclose(still.scan.array, EXAMPLES["mr"].scan.array, atol=1e-3)


def test_streaks_run_from_metal_to_metal_and_fade_away():
    found = shifted(EXAMPLES["ct"], _kind("ct", "metal"), 5).scan.array[0, :, :, 1]
    clean = EXAMPLES["ct"].scan.array[0, :, :, 1]
    rods = found == 3000
    assert 10 < rods.sum() < 200
    change = np.where(rods, 0, found - clean)
    between = change[17:23, 18:22]
    assert between.mean() < -50  # the dark band between two rods
    assert np.abs(change[2:6, 2:6]).mean() < np.abs(between).mean()


def test_a_window_clips_to_its_ends():
    found = shifted(EXAMPLES["ct"], _kind("ct", "window"), 3).scan.array
    assert (found.min(), found.max()) == (40 - 200, 40)


def test_an_inverted_contrast_turns_back_from_the_top_and_is_the_negative_at_the_end():
    scan = EXAMPLES["mr"].scan.array[0]
    kind = _kind("mr", "inversion")
    some, whole = (shifted(EXAMPLES["mr"], kind, severity).scan.array[0] for severity in (2, 5))
    assert np.corrcoef(scan.ravel(), whole.ravel())[0, 1] < -0.99
    below = scan < np.percentile(scan, 30)
    assert np.array_equal(some[below], scan[below])
    assert some.max() < scan.max()


def test_zero_outside_a_stripped_head_stays_zero():
    array = EXAMPLES["mr"].scan.array.copy()
    array[:, :6] = 0
    example = Example(
        Volume(array, EXAMPLES["mr"].scan.geometry, EXAMPLES["mr"].scan.channels), EXAMPLES["mr"].labels
    )
    for kind in kinds("mr"):
        if not kind.is_moving and kind.name not in ("blur", "scale"):
            assert not shifted(example, kind, 4).scan.array[:, :6].any(), kind.name


def test_pictures_stay_pictures():
    for kind in kinds("picture", channels=3, flat=True):
        values = shifted(EXAMPLES["picture"], kind, 5).scan.array
        assert values.min() >= 0
        assert values.max() <= 255


def test_dyes_and_colours_are_those_of_three_channels_and_slices_those_of_volumes():
    names = {kind.name for kind in kinds("picture", channels=1, flat=True)}
    assert not names & {"stain", "color", "thick_slices"}
    assert "thick_slices" not in {kind.name for kind in kinds("mr", flat=True)}


def test_channels_are_missing_only_for_models_that_say_that_they_may_be():
    assert "missing" not in {kind.name for kind in kinds("mr", channels=4)}
    assert "missing" not in {kind.name for kind in kinds("mr", channels=1, absent=("sequence 0",))}
    names = ("sequence 0", "sequence 2", "sequence 3")
    kind = _kind("mr", "missing", channels=4, absent=names)
    assert kind.levels == (1, 2, 3)
    example = _mr(4)
    found = shifted(example, kind, 2).scan
    assert len(found.array) == 2
    assert "sequence 1" in found.channels
    for values, name in zip(found.array, found.channels, strict=True):
        assert np.array_equal(values, example.scan.array[example.scan.channels.index(name)])
    assert shifted(example, kind, 3).scan.channels == ("sequence 1",)
    assert _kind("mr", "missing", channels=2, absent=("sequence 0", "sequence 1")).levels == (1,)


def test_a_channel_without_signal_is_no_reason_to_stop():
    grid = Geometry((8, 8, 8), np.eye(4))
    labels = LabelMap(np.zeros(grid.shape, np.uint8), grid, LabelSchema.of("dot"))
    for modality in ("mr", "ct", "picture"):
        example = Example(Volume(np.zeros((1, 8, 8, 8), np.float32), grid), labels)
        for kind in kinds(modality):
            assert np.isfinite(shifted(example, kind, 5).scan.array).all()
