import pytest
import torch
from torch import nn

from delineate.inference import Segmenter
from delineate.inference.head import Head, Told, split
from delineate.networks import build_network
from delineate.networks.split import last_layer
from delineate.space import LabelSchema


def networks_of(spec, classes, folds=1):
    return [build_network(spec, 1, classes, seed=n).eval() for n in range(folds)]


class Kept:
    """Planes that are all there, and how often one was asked for."""

    def __init__(self, planes):
        self.planes, self.asked = planes, []

    def plane(self, number, classes):
        self.asked.append(number)
        return self.planes[number][classes]


@pytest.mark.parametrize("folds", [1, 3])
def test_features_told_apart_at_the_end_are_the_mean_logits_of_the_folds(folds, configuration):
    networks = networks_of(configuration().network, 20, folds)
    for network in networks:
        nn.init.normal_(last_layer(network).bias)
    (trunks,), head = split(networks, 20)
    image = torch.randn(1, 1, 8, 8, 8)
    with torch.inference_mode():
        features = trunks.eval()(image)[0]
        expected = torch.stack([network(image)[0] for network in networks]).mean(dim=0)
        told = Told(Kept(features.movedim(1, 0)), head)
        got = torch.stack([told.plane(n, slice(None)) for n in range(8)], dim=1)
    assert head.features == 4 * folds
    assert torch.allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize(("classes", "folds"), [(4, 1), (3, 1), (8, 2), (5, 2)])
def test_it_is_only_done_where_features_are_fewer_than_classes(classes, folds, configuration):
    networks = networks_of(configuration().network, classes, folds)
    assert split(networks, classes) == (networks, None)


def test_networks_that_are_not_known_or_give_other_classes_stay_whole(configuration, make_network):
    assert split([make_network(1, 20)], 20)[1] is None
    assert split(networks_of(configuration().network, 20), 30)[1] is None


def test_classes_in_parts_are_those_of_all_and_the_plane_is_read_once():
    generator = torch.Generator().manual_seed(0)
    source = Kept(torch.randn(2, 3, 5, 6, generator=generator))
    told = Told(source, Head(torch.randn(7, 3, generator=generator), torch.randn(7, generator=generator)))
    whole = told.plane(1, slice(None))
    parts = [told.plane(1, slice(n, n + 2)) for n in range(0, 7, 2)]
    assert torch.allclose(torch.cat(parts), whole, atol=1e-6)
    assert source.asked == [1]


@pytest.mark.parametrize("mirror", [False, True])
def test_labels_are_those_of_whole_networks(mirror, make_plan, make_scan, monkeypatch):
    plan = make_plan(labels=LabelSchema.of(*(f"bone {n}" for n in range(19))))
    networks = {"3d_fullres": networks_of(plan.configuration("3d_fullres").network, 20)}
    scan = make_scan((19, 17, 14), (1.2, 0.9, 1.0))
    ours = Segmenter(plan, networks, precision="fp32", mirror=mirror).segment(scan, probabilities=True)
    monkeypatch.setattr("delineate.inference.segmenter.split", lambda networks, outputs: (networks, None))
    theirs = Segmenter(plan, networks, precision="fp32", mirror=mirror).segment(scan, probabilities=True)
    assert abs(ours.probabilities.array - theirs.probabilities.array).max() < 1e-5
    assert (ours.labels.array == theirs.labels.array).mean() > 0.9995
    assert len(set(ours.labels.array.flat)) > 3


def test_what_is_split_predicts_even_if_the_network_is_still_training(configuration):
    network = networks_of(configuration().network, 20)[0].train()
    (trunks,), _ = split([network], 20)
    assert network.training
    assert not any(module.training for module in trunks.modules())
