"""Precision: what "auto" means where."""

import pytest
import torch

from delineate.errors import PlanError
from delineate.training.precision import mode_of

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


def test_fp16_on_a_cpu_is_refused():
    with pytest.raises(PlanError, match=r"fp16 is for GPUs; on 'cpu' use 'auto'"):
        mode_of("fp16", CPU)
