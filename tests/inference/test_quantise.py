import numpy as np
import pytest
import torch

from delineate.errors import DataError, ModelError, PlanError
from delineate.inference import Segmenter
from delineate.inference.engines import OpenVino, Runtime, choose, write_networks
from delineate.inference.engines.graph import exported, windows
from delineate.inference.engines.runtime import converted, last_of
from delineate.inference.quantise import quantised, specimens
from delineate.networks import Facts, Model, build_network, inputs_of, write_model
from delineate.networks.model import write_quantised
from delineate.space import LabelSchema, Volume

RNG = np.random.default_rng


def segmenter_of(plan):
    outputs = len(plan.labels.outputs)
    return Segmenter(
        plan,
        {
            name: [build_network(configuration.network, inputs_of(plan, name), outputs, seed=1)]
            for name, configuration in plan.configurations.items()
        },
        precision="fp32",
    )


def test_windows_are_what_each_network_sees(make_plan, configuration, make_scan):
    plan = make_plan(
        {
            "2d": configuration((8, 8, 1), slice_axis=2),
            "3d_lowres": configuration(spacing=(2.0, 2.0, 2.0)),
            "3d_cascade_fullres": configuration(previous="3d_lowres"),
        },
        use=("2d", "3d_cascade_fullres"),
    )
    found = specimens(segmenter_of(plan), [make_scan(), make_scan(seed=1)], 3, RNG(0))
    shapes = {name: {tuple(window.shape) for window in some} for name, some in found.items()}
    assert shapes == {
        "2d": {(1, 8, 8)},
        "3d_lowres": {(1, 8, 8, 8)},
        "3d_cascade_fullres": {(3, 8, 8, 8)},  # the scan and a channel for each label
    }
    assert [len(some) for some in found.values()] == [6, 2, 6]  # a scan has one window at low resolution


def test_windows_without_anything_are_left_out(make_plan, make_scan):
    scan = make_scan((16, 8, 8))
    half = scan.array.copy()
    half[:, 8:] = 1
    segmenter = segmenter_of(make_plan())
    found = specimens(segmenter, [Volume(half, scan.geometry, scan.channels)], 9, RNG(0))
    assert len(found["3d_fullres"]) == 2
    flat = Volume(np.ones_like(half), scan.geometry, scan.channels)
    with pytest.raises(DataError, match="no window of 3d_fullres in which anything varies"):
        specimens(segmenter, [flat], 9, RNG(0))


@pytest.fixture(scope="module")
def models(make_plan, tmp_path_factory):
    """A model, and the same in int8."""
    plan, folder = make_plan(), tmp_path_factory.mktemp("models")
    network = build_network(plan.configuration().network, 1, 3, seed=1)
    plain = write_model(
        folder / "plain",
        plan=plan,
        weights={"3d_fullres": {0: network.state_dict()}},
        card="# card\n",
        facts=Facts(created="2026-11-20", cases=1, patients=1),
    )
    some = windows(plan.configuration(), 1, 12)
    graph = quantised(exported(plain.network("3d_fullres", 0), plan.configuration(), 1), list(some))
    return plain, write_quantised(folder / "int8", plain, {"3d_fullres": {0: graph}})


def test_int8_layers_give_nearly_the_same_logits(models):
    plain, small = models
    x = windows(plain.plan.configuration(), 1, 3)
    with torch.inference_mode():
        expected = plain.network("3d_fullres", 0)(x)
    graph = small.quantised("3d_fullres", 0)
    assert b"FakeQuantize" in graph[0]
    found = OpenVino(graph, "f32", 1)(x)
    assert 1e-4 < (found - expected).abs().max() < 0.2 * expected.abs().max()


def test_a_model_in_int8_segments_with_openvino_unless_told_otherwise(models, make_scan):
    plain, small = models
    scan = make_scan()
    expected = Segmenter.open(plain.folder, precision="fp32").segment(scan).labels.array
    for asked in ({}, {"engine": "openvino", "precision": "int8"}, {"engine": "auto"}):
        found = Segmenter.open(small.folder, **asked).segment(scan).labels.array
        assert (found == expected).mean() > 0.7  # random weights: many voxels are all but undecided
    others = dict.fromkeys(("torch", "onnx"), "the networks are int8")
    assert choose(small, Runtime("openvino")).left_out == others


def test_a_model_in_int8_is_refused_where_it_cannot_be_run(models, tmp_path):
    _, small = models
    with pytest.raises(PlanError, match="int8 networks, which the engine openvino runs, not torch"):
        Segmenter.open(small.folder, engine="torch")
    with pytest.raises(PlanError, match="int8 networks, which cannot be computed in fp32"):
        Segmenter.open(small.folder, precision="fp32")
    with pytest.raises(ModelError, match="int8 networks, which the engine openvino runs, and none for torch"):
        small.networks()
    with pytest.raises(ModelError, match="its networks are OpenVINO's already"):
        write_networks(small, tmp_path / "out", "onnx")


def test_a_model_in_int8_is_verified_and_what_was_measured_before_is_left_out(models):
    plain, small = models
    assert small.is_quantised
    assert not plain.is_quantised
    assert small.folds == plain.folds
    assert small.calibration is None
    with pytest.raises(ModelError, match=r"has no 3d_fullres/fold_0\.xml: it holds networks for torch"):
        plain.quantised("3d_fullres", 0)
    numbers = small.folder / "3d_fullres" / "fold_0.bin"
    content = numbers.read_bytes()
    try:
        numbers.write_bytes(content[:-1] + b"x")
        with pytest.raises(ModelError, match=r"fold_0\.bin differ from what was packed"):
            Model.open(small.folder)
        with pytest.raises(ModelError, match=r"fold_0\.bin: was altered after it was opened"):
            small.quantised("3d_fullres", 0)
    finally:
        numbers.write_bytes(content)


def test_many_classes_are_told_apart_after_int8_too(make_plan, make_scan, tmp_path):
    plan = make_plan(labels=LabelSchema.of(*(f"part {n}" for n in range(8))))
    network = build_network(plan.configuration().network, 1, 9, seed=1)
    plain = write_model(
        tmp_path / "plain",
        plan=plan,
        weights={"3d_fullres": {0: network.state_dict()}},
        card="",
        facts=Facts(created="2026-11-20", cases=1, patients=1),
    )
    last = last_of(plain, "3d_fullres", 0)
    scan = make_scan()
    some = specimens(Segmenter.open(plain.folder), [scan], 12, RNG(0))["3d_fullres"]
    graph = quantised(converted(plain, "3d_fullres", 0, last), some)
    state = {"weight": last.weight, "bias": last.bias}
    small = write_quantised(tmp_path / "int8", plain, {"3d_fullres": {0: graph}}, {"3d_fullres": {0: state}})
    opened = Segmenter.open(small.folder, precision="int8")
    assert opened.networks["3d_fullres"][0].trunk(some[0][None]).shape[1] == 4
    found = opened.segment(scan, probabilities=True).probabilities.array
    expected = Segmenter.open(plain.folder, precision="fp32").segment(scan, probabilities=True)
    assert np.corrcoef(found.ravel(), expected.probabilities.array.ravel())[0, 1] > 0.95
