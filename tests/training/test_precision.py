"""Precision: what "auto" means where."""

import pytest
import torch

from delineate.errors import RunError
from delineate.training.precision import device_of, mode_of

CPU = torch.device("cpu")
GPU = torch.device("cuda")


@pytest.mark.parametrize(
    ("fact", "mode"), [("avx512_bf16", "bf16-mixed"), ("amx_bf16", "bf16-mixed"), ("avx2", "32-true")]
)
def test_a_cpu_computes_in_bf16_where_it_multiplies_bf16(monkeypatch, fact, mode):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {fact: True})
    assert mode_of("auto", CPU) == mode


@pytest.mark.parametrize(("has", "mode"), [(True, "bf16-mixed"), (False, "16-mixed")])
def test_a_gpu_computes_in_bf16_where_it_can_else_in_fp16(monkeypatch, has, mode):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has)
    assert mode_of("auto", GPU) == mode


def test_what_is_asked_for_is_done():
    assert mode_of("fp32", CPU) == "32-true"
    assert mode_of("bf16", CPU) == "bf16-mixed"
    assert mode_of("fp16", GPU) == "16-mixed"
    assert mode_of("auto", torch.device("mps")) == "32-true"
    assert device_of("cpu") == CPU


def test_fp16_on_a_cpu_is_refused():
    with pytest.raises(RunError, match=r"fp16 is for GPUs; on 'cpu' use training.precision 'auto'"):
        mode_of("fp16", CPU)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RunError, match="device 'cuda': torch finds no CUDA GPU on this machine"):
        device_of("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(RunError, match="device 'cuda:2': there are 2 GPUs, counted from 0"):
        device_of("cuda:2")
    assert device_of("cuda:1").index == 1
