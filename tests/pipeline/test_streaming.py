import io
import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from delineate.cli import app
from delineate.errors import DataError
from delineate.inference import Segmenter
from delineate.io import read_label_values
from delineate.networks import Facts, build_network, write_model
from delineate.pipeline import LiveWishes, Unwatched, live
from delineate.pipeline.frames import Raw, Source
from delineate.planning.plan import (
    Augmentation,
    ChannelPlan,
    Configuration,
    NetworkSpec,
    Normalization,
    Plan,
    Training,
)
from delineate.space import Geometry, LabelSchema

SIZE = (32, 16)


class Clock:
    """A frame takes as long as is said; everything else takes no time."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A 2D model with weights as they were drawn."""
    spec = NetworkSpec(
        features=(4, 8),
        strides=((1, 1), (2, 2)),
        kernels=((3, 3),) * 2,
        encoder_blocks=(1, 1),
        decoder_blocks=(1,),
        deep_supervision=False,
    )
    configuration = Configuration(
        spacing=(1.0, 1.0, 1.0),
        median_shape=(*SIZE, 1),
        patch=(*SIZE, 1),
        batch=2,
        slice_axis=2,
        network=spec,
        batch_dice=False,
    )
    plan = Plan(
        dataset="tests",
        fingerprint="0" * 64,
        labels=LabelSchema.of("one", "two"),
        channels=(ChannelPlan(name="US", normalization=Normalization(rule="zscore")),),
        orientation="LPS",
        configurations={"2d": configuration},
        use=("2d",),
        augmentation={"2d": Augmentation()},
        training=Training(
            optimizer="adamw", learning_rate=1e-3, weight_decay=0.01, schedule="cosine", steps=1
        ),
        reasons={},
    )
    folder = tmp_path_factory.mktemp("live") / "model"
    weights = {"2d": {0: build_network(spec, 1, 3, seed=1).state_dict()}}
    facts = Facts(created="2026-11-20", cases=1, patients=1)
    write_model(folder, plan=plan, weights=weights, card="", facts=facts)
    return folder


def write_frames(folder, count=4):
    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        Image.fromarray(rng.integers(1, 255, SIZE[::-1], dtype=np.uint8)).save(folder / f"f{number}.png")
    return folder


def rows_of(out):
    return [json.loads(line) for line in (out / "frames.jsonl").read_text().splitlines()]


def test_every_frame_of_a_folder_gets_its_labels_and_a_line(tmp_path, model):
    frames = write_frames(tmp_path / "in")
    out = tmp_path / "out"
    summary = live(model, frames, out, LiveWishes(deadline_ms=60_000), Unwatched())
    rows = rows_of(out)
    assert [(row["name"], row["flag"], row["labels"]) for row in rows] == [
        (f"f{n}", "full", f"f{n}.png") for n in range(4)
    ]
    assert all(row["latency_ms"] <= row["written_ms"] for row in rows)
    assert (summary.frames, summary.full, summary.late) == (4, 4, 0)
    assert json.loads((out / "summary.json").read_text())["full"] == 4
    segmenter = Segmenter.open(model)
    first = next(Source(frames, ("US",), lambda: 0.0, lambda s: None).frames()).picture
    assert np.array_equal(read_label_values(out / "f0.png").array, segmenter.segment(first).labels.array)


def test_a_repeated_frame_names_the_labels_of_the_one_before(tmp_path, model):
    """A clock that stands still but for the pace: nothing takes time, until a frame is late already."""
    frames = write_frames(tmp_path / "in")

    class Late(Clock):
        """Half a second passes between any two looks at it, once there is a result."""

        def __call__(self):
            self.now += 0.5 * (tmp_path / "out" / "f0.png").exists()
            return self.now

    clock = Late()
    how = LiveWishes(deadline_ms=200, repeat_ms=5000, warm_up=False)
    live(model, frames, tmp_path / "out", how, Unwatched(), clock=clock, wait=clock.wait)
    *looked_at, last = rows_of(tmp_path / "out")
    assert looked_at[0]["flag"] == "full"
    assert last["flag"] == "repeated"
    computed = [row for row in looked_at if row["of"] == row["frame"]]
    assert (last["labels"], last["of"]) == (computed[-1]["labels"], computed[-1]["frame"])
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == [
        row["labels"] for row in computed
    ]


def test_raw_frames_come_by_themselves(tmp_path, model):
    raw = Raw.of("32x16")
    sent = np.random.default_rng(0).integers(1, 255, (3, 16, 32), dtype=np.uint8)
    how = LiveWishes(deadline_ms=60_000)
    summary = live(model, (io.BytesIO(sent.tobytes()), raw), tmp_path / "out", how, Unwatched())
    assert summary.frames == 3
    assert summary.warm_up_ms is not None
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == [
        f"frame_00000{n}.png" for n in range(3)
    ]


def test_frames_of_the_same_name_do_not_overwrite_each_other(tmp_path, model):
    frames = write_frames(tmp_path / "in", 1)
    Image.open(frames / "f0.png").save(frames / "f0.tif")
    live(model, frames, tmp_path / "out", LiveWishes(deadline_ms=60_000), Unwatched())
    assert [row["labels"] for row in rows_of(tmp_path / "out")] == ["f0.png", "f0_000001.png"]
    assert (tmp_path / "out" / "f0_000001.png").is_file()


def test_a_frame_that_cannot_be_read_is_a_line_and_the_others_go_on(tmp_path, model):
    frames = write_frames(tmp_path / "in", 2)
    (frames / "broken.png").write_bytes(b"\x89PNG")
    live(model, frames, tmp_path / "out", LiveWishes(deadline_ms=60_000), Unwatched())
    first, *others = rows_of(tmp_path / "out")
    assert (first["name"], first["flag"], first["labels"]) == ("broken", "dropped", None)
    assert "broken.png" in first["why"]
    assert [row["flag"] for row in others] == ["full", "full"]


def test_a_stream_without_a_frame_is_an_error(tmp_path, model):
    (tmp_path / "in").mkdir()
    with pytest.raises(DataError, match="no frame could be read"):
        live(model, tmp_path / "in", tmp_path / "out", LiveWishes(), Unwatched())
    (tmp_path / "in" / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"no frame could be read: .*a\.png"):
        live(model, tmp_path / "in", tmp_path / "out2", LiveWishes(), Unwatched())


def test_results_of_another_stream_are_not_mixed_with_this_one(tmp_path, model):
    frames = write_frames(tmp_path / "in", 1)
    live(model, frames, tmp_path / "out", LiveWishes(), Unwatched())
    with pytest.raises(DataError, match=r"holds the results of another stream \(frames\.jsonl\)"):
        live(model, frames, tmp_path / "out", LiveWishes(), Unwatched())
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        live(model, tmp_path / "nowhere", tmp_path / "new", LiveWishes(), Unwatched())


def test_the_warm_up_is_as_large_as_is_said_or_left_out(tmp_path, model):
    frames = write_frames(tmp_path / "in", 2)
    how = LiveWishes(deadline_ms=60_000, warm_up=Geometry.of_image((16, 16)))
    assert live(model, frames, tmp_path / "a", how, Unwatched()).warm_up_ms is not None
    how = LiveWishes(deadline_ms=60_000, warm_up=False)
    assert live(model, frames, tmp_path / "b", how, Unwatched()).warm_up_ms is None


class Words(Unwatched):
    """Remembers what is said."""

    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


def test_an_empty_folder_that_may_grow_says_that_nothing_is_warmed_up(tmp_path, model):
    (tmp_path / "in").mkdir()
    watch = Words()
    with pytest.raises(DataError, match="no frame could be read"):
        live(model, tmp_path / "in", tmp_path / "out", LiveWishes(follow_s=0.1), watch)
    assert any("nothing is warmed up" in text for text in watch.said)


def test_ctrl_c_ends_a_stream_and_what_was_done_stays(tmp_path, model):
    class Stopped(io.BytesIO):
        def read(self, size=-1):
            if self.tell() >= 2 * 512:
                raise KeyboardInterrupt
            return super().read(size)

    watch = Words()
    stream = Stopped(bytes([9]) * 4 * 512)

    summary = live(model, (stream, Raw.of("32x16")), tmp_path / "out", LiveWishes(deadline_ms=6e4), watch)
    assert summary.frames == 2
    assert "stopped" in watch.said
    assert (tmp_path / "out" / "summary.json").is_file()


def test_the_command_prints_percentiles_and_the_cold_start(tmp_path, model):
    frames = write_frames(tmp_path / "in")
    words = ["live", str(model), str(frames), "-o", str(tmp_path / "out"), "--deadline-ms", "60000"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "4 frames: 4 full, 0 reduced, 0 repeated, 0 dropped; 0 after the deadline" in done.output
    assert "latency in ms: p50 " in done.output
    assert "cold start: " in done.output


def test_the_command_takes_raw_frames_from_its_input(tmp_path, model):
    words = ["live", str(model), "-", "-o", str(tmp_path / "out"), "--raw", "32x16", "--warm-up", "none"]
    done = CliRunner().invoke(app, [*words, "--sizes", "1,2", "--deadline-ms", "60000"], input=bytes(3 * 512))
    assert done.exit_code == 0, done.output
    assert len(rows_of(tmp_path / "out")) == 3
    assert "the first frame, which is among the latencies" in done.output


@pytest.mark.parametrize("words", [["-"], ["somewhere", "--raw", "32x16"]])
def test_raw_frames_and_stdin_belong_together(words, tmp_path, model):
    done = CliRunner().invoke(app, ["live", str(model), *words, "-o", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "raw frames come from -" in done.output
