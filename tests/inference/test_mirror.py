import torch

from delineate.inference.mirror import axes_of, flips, mirrored


def test_without_axes_nothing_is_mirrored():
    def predict(x):
        return x

    assert mirrored(predict, ()) is predict


def test_three_axes_make_eight_copies():
    assert len(flips((0, 1, 2))) == 7
    assert flips((0, 2)) == ((2,), (4,), (2, 4))


def test_every_copy_is_turned_back_before_averaging():
    x = torch.randn(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(mirrored(lambda patch: patch * 2, (0, 1, 2))(x), x * 2)


def test_a_mirrored_prediction_does_not_care_which_way_round_the_patch_is(make_network):
    predict = mirrored(make_network(1, 2), (0, 2))
    x = torch.randn(1, 1, 6, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(predict(x.flip(2, 4)).flip(2, 4), predict(x), atol=1e-6)


def test_the_axes_of_a_slice_are_those_of_the_volume_without_the_slice_axis():
    assert axes_of((0, 1, 2), None) == (0, 1, 2)
    assert axes_of((1, 2), None) == (1, 2)
    assert axes_of((0, 2), 2) == (0,)
    assert axes_of((0, 2), 0) == (1,)
    assert axes_of((), 1) == ()
