"""The finder: windows of a picture, and all that comes of them on the picture's own grid."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from delineate.errors import ModelError
from delineate.evaluation import InstanceMap
from delineate.inference import Finder, Segmenter
from delineate.inference.finder import object_table
from delineate.networks import build_network
from delineate.networks.mask_rcnn import Found
from delineate.planning import make_plan
from delineate.planning.fingerprint import CaseFingerprint, ChannelRange, Fingerprint
from delineate.planning.histogram import Histogram
from delineate.planning.objects import sizes_of
from delineate.space import Geometry, LabelSchema, Volume
from delineate.space.phantoms import nuclei


class Perfect(nn.Module):
    """Sees bright rectangles as they are; where it is told so, those of the second kind."""

    def __init__(self, score=0.9, kinds=1):
        super().__init__()
        self.score, self.kinds, self.seen = score, kinds, []

    def forward(self, x):
        self.seen.append(tuple(x.shape))
        return [self.found(image) for image in x]

    def found(self, image):
        pieces, _ = ndimage.label(image[0].float().numpy() > 0.5)
        boxes = [[i.start, j.start, i.stop, j.stop] for i, j in ndimage.find_objects(pieces)]
        kinds = [1 + (self.kinds > 1 and (c - a) > (d - b)) for a, b, c, d in boxes]
        n = len(boxes)
        return Found(
            torch.tensor(boxes, dtype=torch.float32).reshape(n, 4),
            torch.full((n,), self.score),
            torch.tensor(kinds, dtype=torch.long),
            torch.ones(n, 28, 28),
        )


def plan_of(patch=32, labels=("nucleus",), channels=1):
    """A plan for pictures of rectangles, with a patch of this size."""
    ids = np.zeros((64, 64, 1), np.int32)
    for n, (i, j) in enumerate(((2, 2), (20, 30), (40, 10)), 1):
        ids[i : i + 12, j : j + 10] = n
    names = ("red", "green", "blue") if channels == 3 else ("image",)
    found = Fingerprint(
        dataset="rectangles",
        labels=LabelSchema.of(*labels),
        channels=names,
        cases=tuple(
            CaseFingerprint(
                id=f"case_{n}",
                shape=(patch, patch, 1),
                cropped=(patch, patch, 1),
                spacing=(1.0, 1.0, 1.0),
                orientation="LPS",
                dtype="uint8",
                ranges=(ChannelRange(minimum=0, maximum=255, mean=9, sd=1, low=0, high=99),) * channels,
                label_voxels=(100,) * len(labels),
            )
            for n in range(4)
        ),
        foreground=(Histogram.of(np.arange(5.0)),) * channels,
        objects=sizes_of(ids, (1.0, 1.0, 1.0)),
    )
    plan = make_plan(found, network="mask_rcnn", device="cpu", steps=4)
    return plan.set_by_hand("channels.0.normalization", {"rule": "none"}) if channels == 1 else plan


def rectangles(shape=(80, 70)):
    """A picture of rectangles: one longer than a window, one at the border, small ones."""
    ids = np.zeros((*shape, 1), np.int32)
    for n, (a, b, c, d) in enumerate(((3, 5, 70, 12), (10, 20, 22, 30), (0, 40, 9, 52), (40, 20, 50, 65)), 1):
        ids[a:c, b:d] = n
    image = (ids > 0).astype(np.float32)[None]
    image[0, 30, 60] = 0.4  # something faint, so that no picture is empty
    return Volume(image, Geometry.of_image(shape), ("image",)), ids


def same_partition(a, b):
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return len(pairs[0]) == len(np.unique(a)) == len(np.unique(b)) and ((a > 0) == (b > 0)).all()


@pytest.mark.parametrize("shape", [(80, 70), (32, 32), (20, 90), (24, 17)])
def test_every_object_is_found_once_whatever_the_size_of_the_picture(shape):
    scan, ids = rectangles((80, 70))
    scan = Volume(
        scan.array[:, : shape[0], : shape[1]], Geometry.of_image((min(80, shape[0]), min(70, shape[1])))
    )
    network = Perfect()
    found = Finder(plan_of(), [network]).find(scan)
    assert same_partition(found.array, ids[: shape[0], : shape[1]])
    assert all(size[2:] == (32, 32) for size in network.seen)
    assert set(found.scores.values()) == {0.9}
    assert found.kinds == {}
    assert found.geometry.same_place(scan.geometry)


def test_a_picture_without_objects_gives_an_empty_map():
    image = np.zeros((1, 40, 40, 1), np.float32)
    image[0, 3, 3] = 0.1
    found = Finder(plan_of(), [Perfect()]).find(Volume(image, Geometry.of_image((40, 40))))
    assert not found.array.any()
    assert found.scores == {}
    assert object_table(found, "nucleus") == ()


def test_of_several_networks_all_have_a_say():
    scan, _ = rectangles()
    networks = [Perfect(0.9), Perfect(0.5), Perfect(0.7)]
    found = Finder(plan_of(), networks).find(scan)
    assert set(found.scores.values()) == {0.7}
    assert not Finder(plan_of(), networks, sure=0.75).find(scan).array.any()


def test_objects_have_their_kinds_where_there_are_several():
    scan, _ = rectangles()
    found = Finder(plan_of(labels=("flat", "tall")), [Perfect(kinds=2)]).find(scan)
    assert sorted(found.kinds.values()) == ["flat", "flat", "tall", "tall"]


def test_the_table_says_where_each_object_is():
    ids = np.zeros((10, 12, 1), np.int32)
    ids[2:4, 3:9] = 1
    ids[6, 6] = 3
    grid = Geometry((10, 12, 1), np.diag([0.5, 2.0, 1.0, 1.0]))
    one, other = object_table(InstanceMap(ids, grid, scores={1: 0.9, 3: 0.6}), "nucleus")
    assert (one.id, one.box, one.voxels, one.area) == (1, (2, 3, 4, 9), 12, 12.0)
    assert one.center == (2.5, 5.5)
    assert (other.id, other.score, other.kind) == (3, 0.6, "nucleus")
    assert object_table(InstanceMap(ids, grid, kinds={1: "a", 3: "b"}), "")[0].kind == "a"


def test_a_real_network_is_at_work_on_any_picture():
    plan = plan_of()
    network = build_network(plan.configuration().network, 1, 2)
    scan, _ = nuclei(np.random.default_rng(0), size=48)
    found = Finder(plan, [network], sure=0.05).find(scan)
    assert found.array.shape == (48, 48, 1)
    assert network.training  # as it was before


def test_a_model_of_labels_is_refused_and_one_of_objects_by_the_segmenter():
    plan = plan_of()
    spec = plan.configuration().network
    with pytest.raises(ModelError, match=r"finds single objects.* Use Finder"):
        Segmenter(plan, {"2d": [Perfect()]})
    plain = spec.but(kind="unet", detector=None, decoder_blocks=(1,) * (len(spec.features) - 1))
    dense = plan.but(
        configurations={"2d": plan.configuration().but(network=plain)},
        training=plan.training.but(loss="dice_ce"),
    )
    with pytest.raises(ModelError, match=r"gives a label for each voxel \(unet\), and no single objects"):
        Finder(dense, [Perfect()])


def test_other_channels_are_refused():
    scan, _ = rectangles()
    with pytest.raises(ModelError, match="other channels"):
        Finder(plan_of(channels=3), [Perfect()]).find(scan)
