from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from delineate.errors import ModelError
from delineate.evaluation import tempered
from delineate.inference import Segmenter, importance, steps
from delineate.io import read_label_values
from delineate.networks import Calibration, CleanUp, Facts, build_network, write_calibration, write_model
from delineate.preparation.prepared import prepare_scan, thick_axis
from delineate.space import Geometry, Label, LabelSchema, Region, Volume, resample

TILT = np.array([[0.955, -0.296, 0], [0.296, 0.955, 0], [0, 0, 1]])
REGIONS = LabelSchema(
    labels=(Label(value=1, name="oedema"), Label(value=4, name="core")),
    regions=(Region(name="whole", values=(1, 4), paints=1), Region(name="core", values=(4,), paints=4)),
)


def whole_logits(array, network, configuration):
    """Logits (class, i, j, k) the plain way: full arrays, window by window."""
    patch, flat = configuration.patch, configuration.slice_axis
    missing = [max(0, p - n) for p, n in zip(patch, array.shape[1:], strict=True)]
    before = [n // 2 for n in missing]
    padded = np.pad(array, [(0, 0), *((b, m - b) for b, m in zip(before, missing, strict=True))])
    total, weights = 0, np.zeros(padded.shape[1:], np.float32)
    gauss = importance(patch).numpy()
    starts = [steps(n, p) for n, p in zip(padded.shape[1:], patch, strict=True)]
    for corner in np.stack(np.meshgrid(*starts, indexing="ij"), -1).reshape(-1, 3):
        where = tuple(slice(a, a + p) for a, p in zip(corner, patch, strict=True))
        x = torch.from_numpy(padded[:, *where])[None]
        x = x if flat is None else x.squeeze(flat + 2)
        with torch.inference_mode():
            out = network(x)
        out = (out if flat is None else out.unsqueeze(flat + 2))[0].numpy()
        if isinstance(total, int):
            total = np.zeros((len(out), *padded.shape[1:]), np.float32)
        total[:, *where] += out * gauss
        weights[where] += gauss
    inner = tuple(slice(b, b + n) for b, n in zip(before, array.shape[1:], strict=True))
    return (total / weights)[:, *inner]


def plain(scan, plan, networks):
    """The mean probabilities on the scan's cropped grid, and that grid."""
    total = 0
    for name in plan.use:
        configuration = plan.configuration(name)
        prepared = prepare_scan(scan, plan, configuration)
        logits = np.mean([whole_logits(prepared.array, net, configuration) for net in networks[name]], axis=0)
        thick = thick_axis(prepared.geometry.spacing, prepared.cropped.spacing)
        orders = tuple(0 if n == thick else 1 for n in range(3))
        logits = resample(logits, prepared.geometry, prepared.cropped, order=orders, outside=0)
        scores = torch.from_numpy(logits)
        total = total + (torch.softmax(scores, 0) if plan.labels.exclusive else torch.sigmoid(scores)).numpy()
    return total / len(plan.use), prepared.cropped


def plain_labels(scan, plan, networks):
    probabilities, cropped = plain(scan, plan, networks)
    return resample(plan.labels.decode(probabilities), cropped, scan.geometry, order=0, outside=0)


def agree(ours, theirs, share=0.999):
    """The same labels, but for ties that rounding decides."""
    return ours.shape == theirs.shape and (ours == theirs).mean() >= share


@pytest.fixture
def segmenter(make_plan, make_network):
    plan = make_plan()
    return Segmenter(plan, {"3d_fullres": [make_network(1, 3)]}, precision="fp32")


@settings(deadline=None, max_examples=25)
@given(
    shape=st.tuples(*[st.integers(1, 19)] * 3),
    spacing=st.sampled_from([(1.0, 1.0, 1.0), (0.6, 0.6, 3.0), (1.7, 0.8, 1.0)]),
    turned=st.sampled_from(["RAS", "LPS", "SAL", "PIR"]),
    batch=st.integers(1, 5),
    seed=st.integers(0, 9),
)
def test_streaming_gives_what_full_arrays_give(
    shape, spacing, turned, batch, seed, make_plan, make_scan, make_network
):
    plan, networks = make_plan(), {"3d_fullres": [make_network(1, 3)]}
    scan = make_scan(shape, spacing, seed=seed).reoriented(turned)
    got = Segmenter(plan, networks, precision="fp32", batch=batch).segment(scan).labels
    assert got.geometry.same_place(scan.geometry)
    assert agree(got.array, plain_labels(scan, plan, networks))


@pytest.mark.parametrize("schema", [LabelSchema.of("one", "two"), REGIONS])
def test_probabilities_are_those_of_full_arrays_and_decode_to_the_labels(
    schema, make_plan, make_scan, make_network
):
    plan, scan = make_plan(labels=schema), make_scan((13, 12, 11), (1.2, 1.0, 0.8), turn=TILT)
    networks = {"3d_fullres": [make_network(1, len(schema.outputs))]}
    prediction = Segmenter(plan, networks, precision="fp32").segment(scan, probabilities=True)
    expected, _ = plain(scan, plan, networks)
    assert prediction.probabilities.channels == schema.outputs
    assert prediction.probabilities.geometry.same_place(scan.geometry)
    assert np.allclose(prediction.probabilities.array, expected, atol=1e-5)
    assert np.array_equal(prediction.labels.array, schema.decode(prediction.probabilities.array))


def test_probabilities_are_not_kept_unless_asked_for(segmenter, make_scan):
    assert segmenter.segment(make_scan()).probabilities is None


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_2d_configurations_segment_slice_by_slice(
    slice_axis, make_plan, make_scan, make_network, configuration
):
    patch = tuple(1 if n == slice_axis else 8 for n in range(3))
    plan = make_plan({"2d": configuration(patch, slice_axis=slice_axis)})
    networks, scan = {"2d": [make_network(1, 3, dims=2)]}, make_scan((12, 9, 10), (0.9, 1.1, 1.2))
    got = Segmenter(plan, networks, precision="fp32").segment(scan).labels.array
    assert agree(got, plain_labels(scan, plan, networks))


def test_an_image_is_segmented_by_a_2d_configuration(make_plan, make_network, configuration):
    plan = make_plan({"2d": configuration((8, 8, 1), slice_axis=2)}, orientation="LPS")
    rng = np.random.default_rng(0)
    scan = Volume(rng.normal(size=(1, 21, 17, 1)), Geometry.of_image((21, 17)), ("T1",))
    networks = {"2d": [make_network(1, 3, dims=2)]}
    got = Segmenter(plan, networks, precision="fp32").segment(scan).labels
    assert agree(got.array, plain_labels(scan, plan, networks))


def test_folds_average_logits_and_configurations_average_probabilities(
    make_plan, make_scan, make_network, configuration
):
    plan = make_plan(
        {
            "2d": configuration((8, 8, 1), slice_axis=2),
            "3d_fullres": configuration((8, 8, 8), spacing=(1.5, 1.5, 1.5)),
        }
    )
    networks = {
        "2d": [make_network(1, 3, dims=2, seed=n) for n in range(2)],
        "3d_fullres": [make_network(1, 3, seed=n) for n in range(3)],
    }
    scan = make_scan((14, 12, 13), (1.0, 1.0, 1.3))
    prediction = Segmenter(plan, networks, precision="fp32").segment(scan, probabilities=True)
    assert np.allclose(prediction.probabilities.array, plain(scan, plan, networks)[0], atol=1e-5)


class PreviousOnly(nn.Module):
    """Says again what the previous stage said: channels are (T1, one, two)."""

    def forward(self, x):
        return torch.cat((1 - x[:, 1:].sum(dim=1, keepdim=True), x[:, 1:]), dim=1)


@pytest.fixture
def cascade(make_plan, make_network, configuration):
    plan = make_plan(
        {
            "3d_lowres": configuration(spacing=(2.0, 2.0, 2.0)),
            "3d_cascade_fullres": configuration(previous="3d_lowres"),
        },
        use=("3d_cascade_fullres",),
    )
    networks = {"3d_lowres": [make_network(1, 3)], "3d_cascade_fullres": [PreviousOnly()]}
    return Segmenter(plan, networks, precision="fp32")


def test_a_cascade_reads_the_labels_of_the_stage_before(cascade, make_scan, make_plan, make_network):
    scan = make_scan((18, 16, 14))
    alone = Segmenter(
        cascade.plan.but(use=("3d_lowres",)), {"3d_lowres": cascade.networks["3d_lowres"]}, precision="fp32"
    )
    assert np.array_equal(cascade.segment(scan).labels.array, alone.segment(scan).labels.array)


def test_what_a_cascade_reads_can_be_had_for_its_training(cascade, make_scan):
    scan = make_scan((18, 16, 14), (1.5, 1.5, 1.5))
    plan = cascade.plan.but(labels=LabelSchema(labels=(Label(value=9, name="a"), Label(value=5, name="b"))))
    before = Segmenter(
        plan.but(use=("3d_lowres",)), {"3d_lowres": cascade.networks["3d_lowres"]}, precision="fp32"
    )
    indices = before.previous(scan, "3d_cascade_fullres")
    assert indices.shape == prepare_scan(scan, plan, plan.configuration("3d_cascade_fullres")).geometry.shape
    assert set(np.unique(indices)) == {0, 1, 2}


def test_only_a_cascade_has_a_stage_before(segmenter, make_scan):
    with pytest.raises(ModelError, match="3d_fullres is no cascade"):
        segmenter.previous(make_scan(), "3d_fullres")


def test_what_was_cut_off_is_background(make_plan, make_scan, make_network):
    scan = make_scan((20, 18, 16))
    array = np.zeros_like(scan.array)
    array[:, 5:16, 4:15, 3:12] = scan.array[:, 5:16, 4:15, 3:12]
    scan = Volume(array, scan.geometry, scan.channels).reoriented("PIR")
    networks = {"3d_fullres": [make_network(1, 3)]}
    prediction = Segmenter(make_plan(), networks, precision="fp32").segment(scan, probabilities=True)
    empty = scan.array[0] == 0
    assert not prediction.labels.array[empty].any()
    assert prediction.labels.array[~empty].any()
    assert np.allclose(prediction.probabilities.array[:, empty], np.array([[1], [0], [0]]))


def test_beyond_the_crop_no_region_is_probable(make_plan, make_scan, make_network):
    scan = make_scan((10, 10, 10))
    scan.array[:, :5] = 0
    networks = {"3d_fullres": [make_network(1, 2)]}
    prediction = Segmenter(make_plan(labels=REGIONS), networks).segment(scan, probabilities=True)
    assert not prediction.probabilities.array[:, :5].any()


@pytest.mark.parametrize("shape", [(3, 30, 5), (1, 9, 9), (9, 9, 1), (1, 1, 1)])
def test_scans_smaller_than_the_patch_are_segmented(shape, segmenter, make_scan):
    scan = make_scan(shape, turn=TILT)
    labels = segmenter.segment(scan).labels
    assert labels.array.shape == shape
    assert agree(labels.array, plain_labels(scan, segmenter.plan, segmenter.networks))


def test_an_empty_scan_is_segmented(segmenter, make_scan):
    scan = make_scan((9, 9, 9))
    scan.array[:] = 0
    assert segmenter.segment(scan).labels.array.shape == (9, 9, 9)


def test_one_label_is_enough(make_plan, make_scan, make_network):
    plan = make_plan(labels=LabelSchema.of("only"))
    networks, scan = {"3d_fullres": [make_network(1, 2)]}, make_scan()
    labels = Segmenter(plan, networks, precision="fp32").segment(scan).labels.array
    assert agree(labels, plain_labels(scan, plan, networks))


def test_mirroring_averages_over_the_axes_of_the_plan(make_plan, make_scan, make_network):
    plan = make_plan()
    plan = plan.but(training=plan.training.but(mirror_axes=(1,)))
    networks, scan = {"3d_fullres": [make_network(1, 3)]}, make_scan((8, 8, 8))
    got = Segmenter(plan, networks, precision="fp32", mirror=True).segment(scan, probabilities=True)
    x = torch.from_numpy(scan.array)[None]
    network = networks["3d_fullres"][0]
    logits = (network(x) + network(x.flip(3)).flip(3)) / 2
    assert np.allclose(got.probabilities.array, torch.softmax(logits, 1)[0].numpy(), atol=1e-5)


def test_bf16_agrees_with_float32_almost_everywhere(make_plan, make_scan, make_network):
    networks, scan = {"3d_fullres": [make_network(1, 3)]}, make_scan()
    exact, fast = (
        Segmenter(make_plan(), networks, precision=p).segment(scan).labels.array for p in ("fp32", "bf16")
    )
    assert agree(exact, fast, share=0.98)


def test_the_clean_up_is_applied_on_the_scans_grid(make_plan, make_scan, make_network):
    networks, scan = {"3d_fullres": [make_network(1, 3)]}, make_scan()
    plain_result = Segmenter(make_plan(), networks).segment(scan).labels
    clean = Segmenter(make_plan(), networks, CleanUp(structures=("one",))).segment(scan).labels
    assert 0 < clean.mask("one").sum() < plain_result.mask("one").sum()
    assert np.array_equal(clean.mask("two"), plain_result.mask("two"))


def test_rows_are_reported_as_they_are_done(segmenter, make_scan):
    said = []
    segmenter.segment(make_scan((24, 16, 16)), progress=lambda *what: said.append(what))
    assert said == [(n, 5, "3d_fullres") for n in range(1, 6)]


def test_networks_are_left_as_they_were(segmenter, make_scan):
    network = segmenter.networks["3d_fullres"][0].train()
    segmenter.segment(make_scan())
    assert network.training


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation gave."""

    def __init__(self):
        super().__init__()
        self.values = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.values = max(self.values, result.untyped_storage().nbytes() // result.element_size())
        return result


class Thin(nn.Module):
    """Sixty classes from one channel, computed as they are."""

    def forward(self, x):
        return x * torch.arange(-30.0, 30.0).reshape(60, 1, 1, 1)


def test_no_tensor_holds_every_class_of_every_voxel(make_plan, make_scan):
    schema = LabelSchema.of(*(f"label {n}" for n in range(59)))
    plan, scan = make_plan(labels=schema), make_scan((20, 20, 80))
    segmenter = Segmenter(plan, {"3d_fullres": [Thin()]}, precision="fp32", batch=2)
    with Largest() as largest:
        labels = segmenter.segment(scan).labels
    a_row = 60 * (8 + 1) * 20 * 20  # classes x planes of a row and the one before x the two smaller axes
    assert largest.values <= a_row
    assert a_row < 60 * 20 * 20 * 80 / 8
    assert set(np.unique(labels.array)) <= {0, 59}


def test_other_channels_are_refused(segmenter, make_scan):
    with pytest.raises(ModelError, match=r"other channels: the model reads T1, got CT.*read_volume"):
        segmenter.segment(make_scan(channels=("CT",)))
    with pytest.raises(ModelError, match="reads T1, got T1, T2"):
        segmenter.segment(make_scan(channels=("T1", "T2")))


def test_channels_in_another_order_are_refused(make_plan, make_scan, make_network):
    segmenter = Segmenter(make_plan(channels=("T1", "T2")), {"3d_fullres": [make_network(2, 3)]})
    with pytest.raises(ModelError, match="in another order: the model reads T1, T2, got T2, T1"):
        segmenter.segment(make_scan(channels=("T2", "T1")))


def test_a_configuration_without_networks_is_refused(cascade):
    with pytest.raises(ModelError, match=r"uses 3d_lowres, 3d_cascade_fullres.*no networks for 3d_lowres"):
        Segmenter(cascade.plan, {"3d_cascade_fullres": [PreviousOnly()]})


def test_a_model_folder_segments(make_plan, make_scan, tmp_path):
    plan = make_plan()
    network = build_network(plan.configuration().network, 1, 3, seed=3)
    write_model(
        tmp_path / "model",
        plan=plan,
        weights={"3d_fullres": {0: network.state_dict()}},
        card="",
        facts=Facts(created="2026-11-20", cases=1, patients=1),
        cleanup=CleanUp(structures=("one",)),
    )
    scan = make_scan()
    opened = Segmenter.open(tmp_path / "model", precision="fp32")
    assert opened.cleanup.structures == ("one",)
    assert Segmenter.open(tmp_path / "model", cleanup=False).cleanup is None
    direct = Segmenter(plan, {"3d_fullres": [network]}, opened.cleanup, precision="fp32")
    assert np.array_equal(opened.segment(scan).labels.array, direct.segment(scan).labels.array)


@pytest.mark.parametrize("schema", [LabelSchema.of("one", "two"), REGIONS])
def test_a_temperature_makes_probabilities_less_sure_and_changes_no_label(
    schema, make_plan, make_scan, make_network
):
    plan, scan = make_plan(labels=schema), make_scan((13, 12, 11))
    networks = {"3d_fullres": [make_network(1, len(schema.outputs))]}
    cold, warm = (
        Segmenter(plan, networks, precision="fp32", temperature=t).segment(scan, probabilities=True)
        for t in (1.0, 3.0)
    )
    expected = tempered(cold.probabilities.array, 3.0, exclusive=schema.exclusive)
    assert np.allclose(warm.probabilities.array, expected, atol=1e-6)
    assert not np.allclose(warm.probabilities.array, cold.probabilities.array, atol=1e-3)
    assert np.array_equal(warm.labels.array, cold.labels.array)


def test_a_model_that_carries_a_temperature_uses_it(make_plan, make_scan, tmp_path):
    plan = make_plan()
    network = build_network(plan.configuration().network, 1, 3, seed=3)
    facts = Facts(created="2026-11-20", cases=1, patients=1)
    weights = {"3d_fullres": {0: network.state_dict()}}
    write_model(tmp_path / "model", plan=plan, weights=weights, card="", facts=facts)
    assert Segmenter.open(tmp_path / "model").temperature == 1
    write_calibration(tmp_path / "model", Calibration(temperature=2.5, cases=4))
    assert Segmenter.open(tmp_path / "model").temperature == 2.5


def test_files_of_weights_segment(make_plan, make_scan, tmp_path):
    plan = make_plan()
    network = build_network(plan.configuration().network, 1, 3, seed=3)
    safetensors.torch.save_file(network.state_dict(), tmp_path / "w.safetensors")
    scan = make_scan()
    opened = Segmenter.of(plan, {"3d_fullres": [tmp_path / "w.safetensors"]})
    direct = Segmenter(plan, {"3d_fullres": [network]})
    assert np.array_equal(opened.segment(scan).labels.array, direct.segment(scan).labels.array)


def test_labels_come_back_to_an_anisotropic_oblique_scan(make_plan, make_network, configuration):
    """A network that sees a bright ball finds the ball where it is."""
    affine = np.eye(4)
    affine[:3, :3] = TILT * (0.9, 0.9, 3.0)
    affine[:3, 3] = (-40, 12, -700)
    grid = Geometry((40, 36, 14), affine).reoriented("LPS")
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    ball = np.linalg.norm(grid.to_world(index) - grid.to_world(np.array([20, 18, 7])), axis=-1) < 11
    scan = Volume((1 + ball[None]).astype(np.float32), grid, ("T1",))

    class Bright(nn.Module):
        def forward(self, x):
            return torch.cat((1.5 - x, x - 1.5), dim=1)

    plan = make_plan(
        {"3d_fullres": configuration((16, 16, 8), spacing=(1.3, 1.3, 3.0))}, labels=LabelSchema.of("ball")
    )
    labels = Segmenter(plan, {"3d_fullres": [Bright()]}).segment(scan).labels
    overlap = 2 * (labels.mask("ball") & ball).sum() / (labels.mask("ball").sum() + ball.sum())
    assert overlap > 0.98
    assert labels.geometry.same_place(grid)


class Nearest(nn.Module):
    """The class whose number is nearest to the value of the voxel."""

    def __init__(self, values):
        super().__init__()
        self.values = torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1, 1)

    def forward(self, x):
        return -((x - self.values) ** 2)


@pytest.mark.parametrize(
    "name", ["totalseg/example_seg.nii.gz", "totalseg/example_seg_mr.nii.gz", "hippocampus/labelsTr"]
)
def test_every_label_of_a_real_scan_comes_back_where_it_was(name, shared_data, make_plan, configuration):
    path = shared_data / name
    path = path if path.is_file() else sorted(path.glob("*.nii.gz"))[0]
    truth = read_label_values(path)
    found = sorted(set(np.unique(truth.array).tolist()) - {0})
    schema = LabelSchema(labels=tuple(Label(value=value, name=f"label {value}") for value in found))
    plan = make_plan(
        {"3d_fullres": configuration((32, 32, 32), spacing=truth.geometry.reoriented("PIR").spacing)},
        labels=schema,
        orientation="PIR",
    )
    scan = Volume(truth.array[None].astype(np.float32), truth.geometry, ("T1",))
    labels = Segmenter(plan, {"3d_fullres": [Nearest([0, *found])]}, precision="fp32").segment(scan).labels
    assert labels.geometry.same_place(truth.geometry)
    assert np.array_equal(labels.array, truth.array)


# -- scans that lack a channel


@pytest.fixture
def undemanding(make_plan, make_network):
    """Reads T1 and FLAIR, and learnt to do without FLAIR."""
    plan = make_plan(channels=("T1", "FLAIR"), may_lack=("FLAIR",))
    return Segmenter(plan, {"3d_fullres": [make_network(2, 3)]}, precision="fp32")


def test_without_a_channel_the_labels_say_that_they_are_degraded(undemanding, make_scan):
    whole = make_scan(channels=("T1", "FLAIR"))
    lacking = Volume(whole.array[:1], whole.geometry, ("T1",))
    found, zero = undemanding.segment(lacking), undemanding.segment(whole)
    assert (found.missing, zero.missing) == (("FLAIR",), ())
    (note,) = found.labels.notes
    assert note.startswith("DEGRADED: made without FLAIR; the model reads T1, FLAIR")
    assert zero.labels.notes == ()


def test_without_a_channel_the_network_sees_zeros_there(undemanding, make_scan):
    whole = make_scan(channels=("T1", "FLAIR"))
    lacking = Volume(whole.array[:1], whole.geometry, ("T1",))
    prepared = prepare_scan(lacking, undemanding.plan, undemanding.plan.configuration("3d_fullres"))
    assert not prepared.array[1].any()
    seen = undemanding.segment(lacking, probabilities=True).probabilities.array
    assert not np.array_equal(seen, undemanding.segment(whole, probabilities=True).probabilities.array)


def test_what_the_model_did_not_learn_to_do_without_is_refused(undemanding, make_scan):
    whole = make_scan(channels=("T1", "FLAIR"))
    lacking = Volume(whole.array[1:], whole.geometry, ("FLAIR",))
    with pytest.raises(ModelError, match=r"T1 is missing: .* learnt to do without only FLAIR, got FLAIR"):
        undemanding.segment(lacking)
    strict = replace(undemanding, plan=undemanding.plan.but(may_lack=()))
    with pytest.raises(ModelError, match=r"FLAIR is missing: .* without none.*--channel-dropout"):
        strict.segment(Volume(whole.array[:1], whole.geometry, ("T1",)))
