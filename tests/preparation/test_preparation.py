"""The folder's public names."""

import subprocess
import sys

import pytest

from delineate import preparation


def test_every_public_name_is_there():
    for name in preparation.__all__:
        assert getattr(preparation, name).__name__ == name
    assert dir(preparation) == sorted(preparation.__all__)


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match=r"'delineate\.preparation' has no attribute 'nothing'"):
        _ = preparation.nothing


def test_preparing_needs_no_torch():
    code = (
        "import sys; from delineate.preparation import Store, prepare, prepare_scan, store_name; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
