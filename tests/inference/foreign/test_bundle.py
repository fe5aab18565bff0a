"""MONAI bundles against MONAI itself: its networks, its transforms, its windows."""

import json
import warnings

import numpy as np
import pytest
import torch

from delineate.errors import ModelError
from delineate.inference import Segmenter
from delineate.inference.foreign import import_monai
from delineate.inference.foreign.bundle_config import BundleConfig
from delineate.io import write_volume
from delineate.networks import Model
from delineate.preparation.prepared import prepare_scan
from delineate.space import Geometry, Volume

warnings.filterwarnings("ignore", module="monai")
monai = pytest.importorskip("monai", reason="MONAI is the reference here")

SPLEEN = {
    "_target_": "UNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 3,
    "channels": [4, 8, 16],
    "strides": [2, 2],
    "num_res_units": 2,
    "norm": "batch",
}
NETWORKS = {
    "residual": SPLEEN,
    "plain": SPLEEN | {"num_res_units": 0, "norm": "instance"},
    "affine": SPLEEN | {"num_res_units": 1, "norm": ["instance", {"affine": True}], "dropout": 0.1},
    "dynamic": {
        "_target_": "monai.networks.nets.DynUNet",
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 3,
        "kernel_size": [3, [3, 3, 3], 3, 3],
        "strides": [1, [2, 2, 1], 2, 2],
        "upsample_kernel_size": [[2, 2, 1], 2, 2],
        "filters": [4, 6, 8, 12],
        "deep_supervision": True,
        "deep_supr_num": 2,
    },
    "segresnet": {
        "_target_": "SegResNet",
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 3,
        "init_filters": 8,
        "blocks_down": [1, 2, 2],
        "blocks_up": [1, 1],
    },
}
PREPROCESSING = [
    {"_target_": "LoadImaged", "keys": "image"},
    {"_target_": "EnsureChannelFirstd", "keys": "image"},
    {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
    {"_target_": "Spacingd", "keys": "image", "pixdim": "@pixdim", "mode": "bilinear"},
    {
        "_target_": "ScaleIntensityRanged",
        "keys": "@image_key",
        "a_min": -57,
        "a_max": 164,
        "b_min": 0,
        "b_max": 1,
        "clip": True,
    },
    {"_target_": "RandRotated", "keys": "image", "_disabled_": True},
    {"_target_": "EnsureTyped", "keys": "image"},
]
POSTPROCESSING = [
    {"_target_": "Activationsd", "keys": "pred", "softmax": True},
    {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image"},
    {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
    {"_target_": "SaveImaged", "keys": "pred", "output_dir": "$@bundle_root + '/eval'"},
]
NAMES = {"0": "background", "1": "spleen", "2": "liver"}


def config(network=SPLEEN, **changes):
    tree = {
        "imports": ["$import os"],
        "image_key": "image",
        "pixdim": [1.5, 1.5, 2.0],
        "network_def": network,
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": PREPROCESSING},
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": [32, 32, 16],
            "overlap": 0.5,
            "mode": "gaussian",
        },
        "postprocessing": {"_target_": "Compose", "transforms": POSTPROCESSING},
    }
    return tree | changes


def metadata(inputs=None, outputs=None):
    formats = {
        "inputs": {"image": {"channel_def": inputs or {"0": "CT"}}},
        "outputs": {"pred": {"channel_def": outputs or NAMES}},
    }
    return {"name": "Spleen", "data_source": "Task09", "network_data_format": formats}


def theirs(network):
    """MONAI's network with weights of a seed, its statistics those of some images."""
    given = {k: v for k, v in network.items() if k != "_target_"}
    kind = getattr(monai.networks.nets, network["_target_"].rpartition(".")[2])
    with torch.random.fork_rng():
        torch.manual_seed(3)
        made = kind(**given)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter += 0.05 * torch.randn(parameter.shape)
            made.train()(torch.randn(2, 1, 32, 32, 16))
    return made.eval()


def bundle_of(folder, tree=None, *, meaning=None, weights=None):
    tree = config() if tree is None else tree
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "inference.json").write_text(json.dumps(tree))
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata() if meaning is None else meaning))
    if weights is None:
        weights = theirs(tree["network_def"]).state_dict()
    torch.save(weights, folder / "models" / "model.pt")
    return folder


def scan(spacing=(0.8, 0.9, 2.5), shape=(50, 46, 19)):
    """Something smooth in Hounsfield units, not lying as RAS."""
    generator = np.random.default_rng(5)
    coarse = generator.normal(50, 120, (7, 7, 5)).astype(np.float32)
    image = torch.nn.functional.interpolate(torch.from_numpy(coarse)[None, None], shape, mode="trilinear")
    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    affine[:3, 3] = (20.0, 30.0, -40.0)
    return Volume(image[0].numpy(), Geometry(shape, affine), ("CT",))


def in_monai(path, tree, network, *, discrete=True):
    """The network's input, and its labels on the scan's grid, as MONAI runs the bundle."""
    pixdim = tree["pixdim"]
    before = monai.transforms.Compose(
        [
            monai.transforms.LoadImaged(keys="image"),
            monai.transforms.EnsureChannelFirstd(keys="image"),
            monai.transforms.Orientationd(keys="image", axcodes="RAS", labels=None),
            monai.transforms.Spacingd(keys="image", pixdim=pixdim, mode="bilinear"),
            monai.transforms.ScaleIntensityRanged(
                keys="image", a_min=-57, a_max=164, b_min=0, b_max=1, clip=True
            ),
        ]
    )
    data = before({"image": str(path)})
    inferer = monai.inferers.SlidingWindowInferer(
        roi_size=tree["inferer"]["roi_size"], overlap=0.5, mode="gaussian"
    )
    with torch.no_grad():
        data["pred"] = inferer(data["image"][None], network)[0]
    after = monai.transforms.Compose(
        [
            monai.transforms.Activationsd(keys="pred", softmax=True),
            monai.transforms.Invertd(
                keys="pred", transform=before, orig_keys="image", nearest_interp=False, to_tensor=True
            ),
            monai.transforms.AsDiscreted(keys="pred", argmax=True),
        ]
    )
    prepared = data["image"].numpy()
    return prepared, after(data)["pred"].numpy()[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_an_imported_network_has_the_logits_of_monais(tmp_path, name):
    model = import_monai(bundle_of(tmp_path / "bundle", config(NETWORKS[name])), tmp_path / "model")
    network = model.networks("cpu")["3d_fullres"][0].eval()
    image = torch.randn(2, 1, 32, 32, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(network(image), theirs(NETWORKS[name])(image), atol=2e-4, rtol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_the_network_sees_the_scan_as_in_monai_and_the_labels_agree(tmp_path):
    tree, image = config(), scan()
    write_volume(image, tmp_path / "scan.nii.gz")
    prepared, labels = in_monai(tmp_path / "scan.nii.gz", tree, theirs(SPLEEN))
    model = import_monai(bundle_of(tmp_path / "bundle", tree), tmp_path / "model")
    ours = prepare_scan(image, model.plan, model.plan.configuration())
    np.testing.assert_allclose(ours.array, prepared, atol=2e-5)
    found = Segmenter.open(tmp_path / "model", precision="fp32").segment(image).labels
    assert len(np.unique(labels)) > 1
    assert (found.array == labels).mean() > 0.999


def test_the_model_says_where_it_is_from_and_holds_no_pickle(tmp_path):
    import_monai(bundle_of(tmp_path / "bundle"), tmp_path / "model")
    model = Model.open(tmp_path / "model")
    assert tuple(model.plan.labels.structures) == ("spleen", "liver")
    assert model.plan.normalized == "resampled"
    assert model.plan.configuration().sampling.keeps == "first_voxel"
    assert "Trained with MONAI on Task09" in model.card
    assert {path.suffix for path in (tmp_path / "model").rglob("*") if path.is_file()} == {
        ".json",
        ".md",
        ".safetensors",
    }


def test_a_sigmoid_of_one_output_is_one_region(tmp_path):
    after = [
        {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
        {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
    ]
    tree = config(SPLEEN | {"out_channels": 1}, postprocessing={"_target_": "Compose", "transforms": after})
    made = import_monai(
        bundle_of(tmp_path / "b", tree, meaning=metadata(outputs={"0": "lesion"})), tmp_path / "m"
    )
    assert made.plan.labels.outputs == ("lesion",)
    found = Segmenter.open(tmp_path / "m", precision="fp32").segment(scan()).labels
    assert set(np.unique(found.array)) <= {0, 1}


@pytest.mark.parametrize(
    ("steps", "rule"),
    [
        ([{"_target_": "NormalizeIntensityd", "keys": "image", "nonzero": True}], ("zscore", True)),
        ([{"_target_": "ScaleIntensityd", "keys": "image"}], ("unit", False)),
        (
            [
                {"_target_": "ScaleIntensityd", "keys": "image", "minv": 0, "maxv": 1},
                {"_target_": "NormalizeIntensityd", "keys": "image"},
            ],
            ("zscore", False),
        ),
        ([], ("none", False)),
    ],
)
def test_intensities_are_normalised_by_the_rule_that_the_bundle_has(tmp_path, steps, rule):
    transforms = [*PREPROCESSING[:4], *steps]
    tree = config(preprocessing={"_target_": "Compose", "transforms": transforms})
    (channel,) = import_monai(bundle_of(tmp_path / "bundle", tree), tmp_path / "model").plan.channels
    assert (channel.normalization.rule, channel.normalization.masked) == rule


@pytest.mark.filterwarnings("ignore")
def test_a_masked_z_score_is_monais(tmp_path):
    image = scan()
    image = Volume(np.where(image.array < 0, 0, image.array), image.geometry, image.channels)
    transforms = [*PREPROCESSING[:4], {"_target_": "NormalizeIntensityd", "keys": "image", "nonzero": True}]
    tree = config(  # the scan's own voxels: MONAI's rounding would make zeros into 1e-22, which are not zero
        pixdim=[0.8, 0.9, 2.5], preprocessing={"_target_": "Compose", "transforms": transforms}
    )
    plan = import_monai(bundle_of(tmp_path / "bundle", tree), tmp_path / "model").plan
    write_volume(image, tmp_path / "scan.nii.gz")
    expected = monai.transforms.Compose(
        [
            monai.transforms.LoadImaged(keys="image"),
            monai.transforms.EnsureChannelFirstd(keys="image"),
            monai.transforms.Orientationd(keys="image", axcodes="RAS", labels=None),
            monai.transforms.Spacingd(keys="image", pixdim=(0.8, 0.9, 2.5), mode="bilinear"),
            monai.transforms.NormalizeIntensityd(keys="image", nonzero=True),
        ]
    )({"image": str(tmp_path / "scan.nii.gz")})["image"]
    found = prepare_scan(image, plan, plan.configuration()).array
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)


# ---- what is refused


def transforms(*steps):
    return {"preprocessing": {"_target_": "Compose", "transforms": [*PREPROCESSING, *steps]}}


def after(*steps):
    return {"postprocessing": {"_target_": "Compose", "transforms": list(steps)}}


RANGED = PREPROCESSING[4]
REFUSED = [
    (transforms({"_target_": "CropForegroundd", "keys": "image"}), "CropForegroundd has no counterpart"),
    (transforms({"_target_": "ToTensord", "keys": "image", "wild": 1}), "ToTensord is given wild"),
    (transforms(RANGED | {"clip": False}), "expected clip true"),
    (transforms(RANGED | {"a_max": -100}), "intervals are empty or turned round"),
    (transforms({"_target_": "ScaleIntensityd", "minv": -1}), "expected minv 0 and maxv 1"),
    (transforms({"_target_": "NormalizeIntensityd", "nonzero": True}), "ct followed by zscore is no single"),
    (transforms({"_target_": "Orientationd", "axcodes": "RAS"}), "expected axcodes such as RAS, before"),
    (transforms({"_target_": "Spacingd", "pixdim": [1, 2]}), "expected three sizes in mm"),
    (transforms({"_target_": "Spacingd", "pixdim": [1, 1, 1], "mode": "nearest"}), "read linearly here"),
    (transforms({"_target_": "Spacingd", "pixdim": [1, 1, 1], "diagonal": True}), "padding_mode border"),
    (
        {"preprocessing": {"_target_": "Compose", "transforms": PREPROCESSING[:3]}},
        "has no Spacingd: the size of the voxels",
    ),
    (
        {"preprocessing": {"_target_": "Compose", "transforms": [RANGED, PREPROCESSING[3], RANGED]}},
        "intensities are changed before and after Spacingd",
    ),
    ({"preprocessing": []}, "preprocessing is no Compose"),
    ({"preprocessing": {"_target_": "Compose", "transforms": ["x"]}}, "is no part with a _target_"),
    ({"pixdim": "$[1, 1, 1]"}, r"is Python \(\$\[1, 1, 1\]\), which is not run here"),
    ({"pixdim": "@pixdim"}, "its references go in a circle"),
    ({"pixdim": "@nowhere#0"}, "refers to @nowhere#0, which is not there"),
    ({"network_def": SPLEEN | {"_target_": "ViT"}}, "ViT cannot be imported; known networks are"),
    ({"network_def": SPLEEN | {"act": "relu"}}, "UNet with act 'relu' cannot be imported; expected 'prelu'"),
    ({"network_def": SPLEEN | {"spatial_dims": 2}}, "expected spatial_dims 3, got 2"),
    ({"network_def": SPLEEN | {"channels": [4, 8, 32]}}, r"has shape .* describes another network"),
    ({"network_def": SPLEEN | {"num_res_units": 3}}, r"has no tensor 'model.0.conv.unit2.conv.weight'"),
    ({"network_def": {k: v for k, v in SPLEEN.items() if k != "channels"}}, "UNet has no channels"),
    ({"inferer": {"_target_": "SimpleInferer"}}, "expected a SlidingWindowInferer"),
    ({"inferer": {"_target_": "SlidingWindowInferer", "roi_size": 96}}, "expected a roi_size of three"),
    (after({"_target_": "KeepLargestConnectedComponentd"}), "changes labels after the network"),
    (after({"_target_": "Activationsd", "softmax": True}), "no AsDiscreted: it gives no labels"),
    (after({"_target_": "AsDiscreted", "threshold": 0.7}), "expected a threshold of 0.5, got 0.7"),
    (after({"_target_": "AsDiscreted", "threshold": 0.5}), "has 3 outputs that may overlap"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_what_would_give_other_answers_is_refused(tmp_path, change, message):
    weights = theirs(SPLEEN).state_dict()
    with pytest.raises(ModelError, match=message):
        import_monai(bundle_of(tmp_path / "b", config() | change, weights=weights), tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_channels_that_are_measured_together_are_refused(tmp_path):
    step = {"_target_": "NormalizeIntensityd", "keys": "image"}
    tree = config(
        SPLEEN | {"in_channels": 2},
        preprocessing={"_target_": "Compose", "transforms": [*PREPROCESSING[:4], step]},
    )
    with pytest.raises(ModelError, match="measures all channels together"):
        import_monai(
            bundle_of(tmp_path / "b", tree, meaning=metadata({"0": "T1", "1": "T2"}), weights={}),
            tmp_path / "m",
        )


@pytest.mark.parametrize(
    ("meaning", "message"),
    [
        ({}, "gives the names .*expected 1 different ones"),
        (metadata(outputs={"0": "spleen", "1": "liver", "2": "background"}), "the first of 3 classes"),
    ],
)
def test_outputs_without_names_are_refused(tmp_path, meaning, message):
    with pytest.raises(ModelError, match=message):
        import_monai(bundle_of(tmp_path / "b", meaning=meaning, weights={}), tmp_path / "m")


def test_a_folder_that_is_no_bundle_and_files_that_are_no_tensors_are_refused(tmp_path):
    with pytest.raises(ModelError, match="is no MONAI bundle"):
        import_monai(tmp_path, tmp_path / "m")
    bundle = bundle_of(tmp_path / "b", weights={})
    with pytest.raises(ModelError, match="is not there; name the file"):
        import_monai(bundle, tmp_path / "m", weights="models/other.pt")
    (bundle / "models" / "model.pt").write_bytes(b"no zip")
    with pytest.raises(ModelError, match="cannot be read as weights"):
        import_monai(bundle, tmp_path / "m")
    torch.save([1, 2], bundle / "models" / "model.pt")
    with pytest.raises(ModelError, match="holds no table of tensors"):
        import_monai(bundle, tmp_path / "m")


def test_weights_may_be_wrapped_as_training_loops_do(tmp_path):
    wrapped = {"model": {f"module.{k}": v for k, v in theirs(SPLEEN).state_dict().items()}}
    import_monai(bundle_of(tmp_path / "b", weights=wrapped), tmp_path / "m")


def test_a_part_that_is_not_there_is_named(tmp_path):
    bundle = bundle_of(tmp_path / "b", weights={})
    with pytest.raises(ModelError, match="has no optimizer"):
        BundleConfig.open(bundle).step("optimizer")
