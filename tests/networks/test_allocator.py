"""The allocator: a process that keeps its memory, and says whether it can."""

import ctypes
import subprocess
import sys

import pytest

from delineate.networks.allocator import keep_memory

GLIBC = sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")


def test_elsewhere_nothing_is_done(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_memory() is False


def test_without_glibc_nothing_is_done(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert keep_memory() is False


@pytest.mark.skipif(not GLIBC, reason="needs the GNU C library")
def test_a_block_that_is_freed_and_taken_again_needs_no_fresh_pages():
    program = """
import ctypes, importlib.util, resource, sys
spec = importlib.util.spec_from_file_location("allocator", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
if sys.argv[2] == "keep":
    assert module.keep_memory()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for n in range(4):
    before = faults()
    block = bytearray(b"x") * (64 * 2**20)
    del block
print(faults() - before)
"""
    import delineate.networks.allocator as module

    def faults(how):
        done = subprocess.run(
            [sys.executable, "-c", program, module.__file__, how], check=True, capture_output=True, text=True
        )
        return int(done.stdout)

    assert faults("keep") < 1000
    assert faults("give back") > 10_000
