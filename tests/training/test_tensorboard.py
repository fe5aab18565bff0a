"""TensorBoard: written where it is installed, refused where it is not."""

import builtins

import pytest

from delineate.errors import MissingPackage
from delineate.training.history import Validation
from delineate.training.tensorboard import TensorBoard
from delineate.training.watch import Step


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_it_sees_is_written(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with TensorBoard(tmp_path) as board:
        board(Step(10, 0.1, 5, 45, loss=0.7, rate=0.01))
        board(Step(20, 0.2, 9, 40, 0.5, 0.009, Validation(loss=0.6, dice={"a": 0.25, "b": None})))
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"loss/training", "loss/validation", "rate", "dice/a"}
    assert [(e.step, round(e.value, 3)) for e in events.Scalars("loss/training")] == [(10, 0.7), (20, 0.5)]
    assert events.Scalars("dice/a")[0].value == 0.25


def test_it_says_how_to_install_it(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("torch.utils.tensorboard"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackage, match=r'pip install "delineate\[track\]"'):
        TensorBoard(tmp_path)
