"""Facts about uploading: the hub's own client against a stand-in of the hub on localhost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import pytest
from hub_stand_in import HubStandIn

from bonanza.errors import EndpointError, UsageError
from bonanza.exports.hub import push

TOKEN = "hf_this_is_a_secret"
# Of the client, which hands files to its HTTP library in an old way
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw:DeprecationWarning")
COMMAND = [sys.executable, "-c", "from bonanza.cli import main; main()", "export"]


@pytest.fixture
def hub(monkeypatch):
    """A hub that the client in this process finds, and a token for it."""
    with HubStandIn(TOKEN) as stand_in:
        # The client reads its environment once, when it is imported.
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", stand_in.address)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)  # Xet is a service of its own
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield stand_in


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "dataset" / "data").mkdir(parents=True)
    (tmp_path / "dataset" / "README.md").write_text("---\nlicense: mit\n---\n")
    (tmp_path / "dataset" / "data" / "train-00000-of-00001.parquet").write_bytes(b"PAR1" * 1000)
    return tmp_path / "dataset"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_is_uploaded_whole_to_a_private_dataset(hub, folder):
    assert push(folder, "pairs") == f"{hub.address}/datasets/someone/pairs"
    assert hub.files == {"someone/pairs": contents(folder)}
    assert (hub.repos["someone/pairs"]["type"], hub.repos["someone/pairs"]["visibility"]) == ("dataset", "private")
    assert "POST /datasets/someone/pairs.git/info/lfs/objects/batch" in hub.requests


def test_data_of_an_earlier_upload_is_replaced(hub, folder):
    push(folder, "someone/pairs")
    hub.files["someone/pairs"]["data/train-00001-of-00002.parquet"] = b"of a larger export"
    hub.files["someone/pairs"]["LICENSE"] = b"written on the hub"
    push(folder, "someone/pairs")
    assert hub.files["someone/pairs"] == contents(folder) | {"LICENSE": b"written on the hub"}


@pytest.mark.parametrize(
    ("token", "name", "fails", "error", "said"),
    [
        ("", "pairs", {}, UsageError, "no token."),
        ("hf_wrong", "pairs", {}, UsageError, "the hub refuses"),
        (TOKEN, "not/a/name", {}, UsageError, "not a name the hub allows"),
        (TOKEN, "pairs", {"/commit/": 403}, UsageError, "the hub refuses"),
        (TOKEN, "pairs", {"/commit/": 500}, EndpointError, "the same command tries again"),
    ],
)
def test_a_failed_upload_says_why_and_never_the_token(hub, folder, monkeypatch, token, name, fails, error, said):
    monkeypatch.setenv("HF_TOKEN", token)
    hub.fails = fails
    with pytest.raises(error) as failed:
        push(folder, name)
    assert said in str(failed.value)
    assert f"{folder} is written" in str(failed.value)
    assert TOKEN not in str(failed.value)
    assert "hf_wrong" not in str(failed.value)


def test_a_hub_that_is_not_there_says_so(hub, folder, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(EndpointError, match="not uploaded"):
        push(folder, "pairs")


@pytest.mark.slow
def test_the_command_uploads_the_dataset_of_a_run(finished_run, tmp_path):
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    with HubStandIn(TOKEN) as hub:
        settings = {"HF_ENDPOINT": hub.address, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path), "HF_TOKEN": TOKEN}
        arguments = [str(finished_run), "--out", str(tmp_path / "out"), "--push-to-hub", "pairs"]
        done = subprocess.run([*COMMAND, *arguments], check=False, env=kept | settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"uploaded    {hub.address}/datasets/someone/pairs" in done.stdout
    assert hub.files == {"someone/pairs": contents(tmp_path / "out" / "dataset")}
    everything = b"".join(contents(tmp_path).values()).decode("utf-8", "replace")
    assert TOKEN not in everything + done.stdout + done.stderr
