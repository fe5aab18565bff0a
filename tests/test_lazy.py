import sys

import pytest

from delineate.lazy import lazy


def test_a_name_is_imported_from_its_home_when_it_is_first_asked_for():
    sys.modules.pop("json.tool", None)
    find = lazy("json", {"tool": ("main",)})
    assert "json.tool" not in sys.modules
    assert callable(find("main"))
    assert "json.tool" in sys.modules


def test_another_name_is_no_attribute():
    with pytest.raises(AttributeError, match="module 'json' has no attribute 'nothing'"):
        lazy("json", {})("nothing")
