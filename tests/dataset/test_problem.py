import pytest

from delineate.dataset import Problem
from delineate.dataset.problem import error, note, warning


def test_a_problem_says_how_bad_it_is():
    assert error("a-b", "x", "message", "remedy").severity == "error"
    assert warning("a-b", None, "message", "remedy").severity == "warning"
    assert note("a-b", None, "message").remedy == "Nothing to do."


@pytest.mark.parametrize("kind", ["", "A", "a b", "a-", "-a"])
def test_a_kind_is_a_slug(kind):
    with pytest.raises(ValueError, match="should match pattern"):
        Problem(severity="error", kind=kind, case=None, message="", remedy="")
