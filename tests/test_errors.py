import inspect

import pytest

from delineate import errors


def kinds():
    return [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_everything_raised_on_purpose_is_caught_by_one_name(kind):
    assert issubclass(kind, errors.Error)
    assert kind.__doc__


def test_the_page_of_errors_names_every_kind():
    assert all(kind.__name__ in errors.__doc__ for kind in kinds())
