import pytest
import torch

from delineate.errors import PlanError
from delineate.networks import autocast_type, device_of

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_what_is_asked_for_is_used():
    assert autocast_type("fp32", CPU) is None
    assert autocast_type("bf16", CPU) is torch.bfloat16
    assert autocast_type("fp16", GPU) is torch.float16


def test_auto_is_bf16_exactly_where_the_processor_multiplies_it():
    facts = torch.cpu.get_capabilities()
    native = bool(facts.get("avx512_bf16") or facts.get("amx_bf16"))
    assert (autocast_type("auto", CPU) is torch.bfloat16) == native


def test_auto_is_float32_on_devices_that_we_know_nothing_of():
    assert autocast_type("auto", torch.device("meta")) is None


def test_fp16_is_refused_on_a_cpu():
    with pytest.raises(PlanError, match="fp16 is for GPUs; on 'cpu' use"):
        autocast_type("fp16", CPU)


def test_a_device_is_found_by_name():
    assert device_of("cpu") == CPU


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(PlanError, match=r"'cuda:99': torch finds \d+ CUDA GPUs here. Use the device 'cpu'"):
        device_of("cuda:99")


def test_what_is_no_device_is_refused():
    with pytest.raises(PlanError, match="'gpu' is no device; expected 'cpu', 'cuda'"):
        device_of("gpu")


def test_int8_is_no_precision_of_torch():
    with pytest.raises(PlanError, match="int8 is for networks that delineate compress made so"):
        autocast_type("int8", torch.device("cpu"))
