import subprocess
import sys

import pytest

from delineate.errors import MissingPackage
from delineate.inference.engines import packages
from delineate.inference.engines.packages import package, versions


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    expected = (
        r"the engine openvino needs openvino, which is not installed:  pip install 'delineate\[export\]'"
    )
    with pytest.raises(MissingPackage, match=expected):
        package("openvino", "the engine openvino")


def test_an_engine_has_versions_only_where_all_it_needs_is_installed(monkeypatch):
    assert versions("torch") == {}
    monkeypatch.setitem(packages.NEEDED, "onnx", ("no-such-package",))
    assert versions("onnx") is None


def test_nothing_is_reported_to_the_makers_of_a_runtime():
    code = """
import sys
from delineate.inference.engines.packages import package
package("openvino", ""), package("nncf", "")
assert sys.modules["openvino_telemetry"] is None
assert not [name for name in sys.modules if name.startswith("openvino_telemetry.")]
from nncf.telemetry.wrapper import telemetry
print(type(telemetry).__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "MagicMock"  # what nncf takes where there is nothing to report with
