import torch

from delineate.inference.chances import Chances


class Given:
    """Planes as they were given."""

    def __init__(self, planes):
        self.planes = planes

    def plane(self, number, classes):
        return self.planes[number][classes]


def test_there_and_back_the_probabilities_of_classes_are_the_same():
    logits = 5 * torch.randn(1, 4, 3, 2, generator=torch.Generator().manual_seed(0))
    chances = Chances(exclusive=True)
    likely = chances.of(Given(logits))
    assert torch.allclose(likely.plane(0, slice(None)).sum(dim=0), torch.ones(3, 2))
    assert torch.equal(likely.plane(0, slice(1, 3)), likely.plane(0, slice(None))[1:3])
    again = chances.undone(likely).plane(0, slice(None))
    assert torch.allclose(again.softmax(dim=0), logits[0].softmax(dim=0), atol=1e-6)


def test_regions_are_each_on_their_own():
    logits = torch.tensor([0.3, -2.0, 40.0]).view(1, 3, 1, 1)
    chances = Chances(exclusive=False)
    likely = chances.of(Given(logits))
    assert torch.allclose(likely.plane(0, slice(0, 1)), torch.sigmoid(torch.tensor(0.3)))
    again = chances.undone(likely).plane(0, slice(None)).flatten()
    assert torch.allclose(again[:2], logits.flatten()[:2], atol=1e-5)
    assert torch.isfinite(again).all()
