from typer.testing import CliRunner

from delineate.cli import app

TOLD = {
    "TORCHELASTIC_RUN_ID": "none",
    "RANK": "0",
    "WORLD_SIZE": "2",
    "LOCAL_RANK": "0",
    "LOCAL_WORLD_SIZE": "2",
    "GROUP_RANK": "0",
    "GROUP_WORLD_SIZE": "1",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}


def test_torchrun_and_devices_contradict_each_other(tmp_path):
    done = CliRunner().invoke(app, ["train", str(tmp_path), "--devices", "2"], env=TOLD)
    assert done.exit_code == 2
    assert "leave out --devices" in " ".join(done.output.split())
