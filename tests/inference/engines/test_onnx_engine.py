import pytest
import torch

from delineate.errors import ModelError
from delineate.inference.engines import OnnxRuntime
from delineate.inference.engines.graph import exported, windows


def test_it_gives_the_logits_of_torch_and_refuses_windows_of_another_size(model):
    configuration = model.plan.configuration()
    network = model.network("3d_fullres", 0)
    engine = OnnxRuntime(exported(network, configuration, 1), 1)
    x = windows(configuration, 1, 3)
    with torch.inference_mode():
        assert torch.allclose(engine(x), network(x), atol=1e-4)
    with pytest.raises(ModelError, match="windows of 8 x 8 x 8, got 4 x 8 x 8"):
        engine(torch.zeros(1, 1, 4, 8, 8))


def test_what_is_no_network_is_refused():
    with pytest.raises(ModelError, match=r"engine onnx cannot read this network: .*protobuf parsing failed"):
        OnnxRuntime(b"nonsense", 1)
