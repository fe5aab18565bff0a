"""Our plans equal nnU-Net's, field by field; its answers are stored in golden/*.json as numbers.

`golden_questions.py` says how they were asked; the tests marked `peer` ask again.
"""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from delineate.dataset import Case, Dataset
from delineate.dataset.values import ValueTable
from delineate.planning import fingerprint, make_plan
from delineate.planning.histogram import TOLERANCE
from delineate.planning.spacing import Frame, measured_spacings
from delineate.space import LabelSchema

HERE = Path(__file__).parent
STORED = {path.stem: json.loads(path.read_text()) for path in sorted((HERE / "golden").glob("*.json"))}
ASKED = [
    pytest.param(stored["question"], preset, answer, id=f"{name}-{preset}")
    for name, stored in STORED.items()
    for preset, answer in stored["answer"].items()
]
RULES = {
    "CTNormalization": "ct",
    "ZScoreNormalization": "zscore",
    "NoNormalization": "none",
    "RescaleTo01Normalization": "unit",
    "RGBTo01Normalization": "rgb",
}
KINDS = {"PlainConvUNet": "unet", "ResidualEncoderUNet": "residual_unet"}


@pytest.mark.parametrize(("question", "preset", "answer"), ASKED)
def test_the_plan_is_the_peers(question, preset, answer, fingerprint_of, schema_of):
    found = fingerprint_of(
        [shape[::-1] for shape in question["shapes"]],
        [spacing[::-1] for spacing in question["spacings"]],
        channels=question["channels"],
        labels=schema_of(question["labels"]),
        kept=question["kept"],
    )
    plan = make_plan(found, preset=preset, memory_gb=question["memory_gb"])
    assert_same(plan, Frame.of(found), answer)


def assert_same(plan, frame, answer):
    """Every field that decides something; theirs run along (k, j, i), coarsest axis first."""
    transpose = [2 - axis for axis in frame.axes]
    assert transpose == answer["transpose"]
    assert set(plan.configurations) == set(answer["configurations"])
    for name, theirs in answer["configurations"].items():
        if "inherits_from" in theirs:
            heir, parent = plan.configuration(name), plan.configuration(theirs["inherits_from"])
            assert heir == parent.but(previous=theirs["previous_stage"])
            continue
        axes = frame.axes if len(theirs["patch"]) == 3 else frame.axes[1:]
        assert_same_configuration(plan.configuration(name), axes, theirs)
        assert [RULES[scheme] for scheme in theirs["normalization"]] == [
            channel.normalization.rule for channel in plan.channels
        ]
        assert theirs["masked"] == [channel.normalization.masked for channel in plan.channels]


def assert_same_configuration(ours, axes, theirs):
    network = ours.network
    place = {axis: n for n, axis in enumerate(sorted(axes))}  # where an axis is among the network's
    assert [ours.spacing[axis] for axis in axes] == pytest.approx(theirs["spacing"], rel=1e-6)
    assert [ours.median_shape[axis] for axis in axes] == np.round(theirs["median_shape"]).tolist()
    assert [ours.patch[axis] for axis in axes] == theirs["patch"]
    assert ours.batch == theirs["batch"]
    assert ours.batch_dice == theirs["batch_dice"]
    assert network.kind == KINDS[theirs["network"]]
    assert list(network.features) == theirs["features"]
    assert [[step[place[axis]] for axis in axes] for step in network.strides] == theirs["strides"]
    assert [[kernel[place[axis]] for axis in axes] for kernel in network.kernels] == theirs["kernels"]
    assert list(network.encoder_blocks) == theirs["encoder"]
    assert list(network.decoder_blocks) == theirs["decoder"]
    assert len(network.features) == theirs["stages"]
    assert (ours.slice_axis is None) == (len(axes) == 3)


def test_there_are_questions_of_every_kind():
    assert len(STORED) >= 12
    names = {
        name for stored in STORED.values() for a in stored["answer"].values() for name in a["configurations"]
    }
    assert names == {"2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres"}
    assert {preset for stored in STORED.values() for preset in stored["answer"]} == {
        "default",
        "M",
        "L",
        "XL",
    }


# ---- the datasets that both can read


def plain(name, root, channels, labels, cases, values=None):
    return Dataset(
        name=name,
        root=root,
        layout="paired",
        channels=channels,
        schema=LabelSchema.of(*labels),
        cases=tuple(cases),
        values=None if values is None else ValueTable(values),
    )


def hippocampus(shared):
    return Dataset.open(shared / "hippocampus")


def blood_cells(shared):
    folder = shared / "wbc_cells"
    cases = [
        Case(id=path.stem, images=(path,), labels=folder / "labels" / f"{path.stem}.png")
        for path in sorted((folder / "images").glob("*.bmp"))
    ]
    colours = ("red", "green", "blue")
    return plain("cells", folder, colours, ("cytoplasm", "nucleus"), cases, {0: 0, 128: 1, 255: 2})


def ms_lesions(shared):
    parts = ("FLAIR", "T1", "T1POST", "T2")
    cases = [
        Case(
            id=folder.name,
            images=tuple(next(folder.glob(f"{part}_*")) for part in parts),
            labels=next(folder.glob("GOLD*")),
        )
        for folder in sorted((shared / "ms_lesions" / "MNI").iterdir())
    ]
    return plain("lesions", shared, parts, ("lesion",), cases)


def totalseg_ct(shared):
    folder = shared / "totalseg"
    labels = folder / "example_seg_fast_force_split.nii.gz"
    case = Case(id="ct", images=(folder / "example_ct.nii.gz",), labels=labels)
    return plain("totalseg", folder, ("CT",), [f"label_{n}" for n in range(1, 118)], [case])


def brain_tumour(shared):
    folder = shared / "brain_tumour_mri" / "TCGA-DU-7294" / "TCGA-DU-7294_brainles"
    parts = ("t1", "t1c", "t2", "fla")
    images = tuple(next(folder.rglob(f"*_{part}_bet.nii.gz")) for part in parts)
    case = Case(id="brain", images=images, labels=next(folder.rglob("simple*.nii.gz")))
    return plain("brain", folder, parts, ("core", "oedema", "rest", "rim"), [case])


def totalseg_mr(shared):
    folder = shared / "totalseg"
    case = Case(id="mr", images=(folder / "example_mr_sm.nii.gz",), labels=folder / "example_seg_mr.nii.gz")
    return plain("totalseg", folder, ("MR",), [f"label_{n}" for n in range(1, 118)], [case])


READ = [hippocampus, blood_cells, ms_lesions, totalseg_ct, totalseg_mr, brain_tumour]


@pytest.mark.parametrize("dataset", READ, ids=lambda dataset: dataset.__name__)
def test_fingerprint_and_plan_of_real_data_are_the_peers(dataset, shared_data):
    stored = STORED[f"real_{dataset.__name__}"]
    question = stored["question"]
    found = fingerprint(dataset(shared_data))
    assert found.cropped_shapes[:, ::-1].tolist() == question["shapes"]
    assert measured_spacings(found)[:, ::-1] == pytest.approx(np.array(question["spacings"]), rel=1e-5)
    assert found.kept == pytest.approx(question["kept"])
    for channel, theirs in enumerate(question["intensities"]):
        ours = found.intensities(channel)
        assert (ours.minimum, ours.maximum) == pytest.approx((theirs["min"], theirs["max"]))
        sampling = 0.02 * theirs["std"]  # they draw voxels; we count all of them
        assert ours.mean == pytest.approx(theirs["mean"], abs=sampling)
        assert ours.sd == pytest.approx(theirs["std"], abs=sampling)
        for value, name in (
            (ours.low, "percentile_00_5"),
            (ours.median, "median"),
            (ours.high, "percentile_99_5"),
        ):
            assert value == pytest.approx(theirs[name], rel=2 * TOLERANCE, abs=sampling)
    named = LabelSchema.of(*question["labels"])  # the memory counts outputs, and not all values occur
    for preset, answer in stored["answer"].items():
        assert_same(make_plan(with_labels(found, named), preset=preset), Frame.of(found), answer)


def with_labels(found, schema):
    count = len(schema.labels)
    cases = tuple(case.but(label_voxels=case.label_voxels[:count]) for case in found.cases)
    return found.but(labels=schema, cases=cases)


# ---- the peer itself


@pytest.mark.peer
@pytest.mark.slow
def test_the_stored_answers_are_what_the_peer_says_now(peer_python):
    some = [stored["question"] for name, stored in STORED.items() if not name.startswith("real")][::4]
    done = subprocess.run(
        [peer_python, HERE / "peer_plans.py"],
        input=json.dumps(some),
        capture_output=True,
        text=True,
        check=True,
    )
    for question, answer in zip(some, json.loads(done.stdout), strict=True):
        assert answer["plans"] == STORED[question["name"]]["answer"]
