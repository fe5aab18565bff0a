import subprocess
import sys

from delineate.io.alone import imported_without


def test_what_is_imported_already_is_given():
    assert imported_without("sys", "nothing.of.the.kind") is sys


def test_the_other_is_not_imported_and_can_be_afterwards():
    program = """
import sys
from delineate.io.alone import imported_without
made = imported_without("csv", "io.nothing")
assert made.__name__ == "csv" and "io.nothing" not in sys.modules
import delineate.io.nifti
assert not [name for name in sys.modules if name.startswith("pydicom")]
import pydicom
"""
    subprocess.run([sys.executable, "-c", program], check=True)
