import pytest

from delineate.space import triple


def test_three_values_become_a_tuple():
    assert triple(n + 1 for n in range(3)) == (1, 2, 3)


@pytest.mark.parametrize("values", [(1, 2), (1, 2, 3, 4)])
def test_two_or_four_values_are_no_triple(values):
    with pytest.raises(ValueError, match="values to unpack"):
        triple(values)
