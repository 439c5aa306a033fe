"""Bad input: a clear error that names the culprit, the exit code of its kind, no checkpoint."""

import contextlib
import json
import os
import shutil
import subprocess

import pytest
import safetensors.torch
import torch

import cluster as clusters

FAILED, USAGE, NOT_FOUND, UNAVAILABLE, CONFLICT = 1, 2, 3, 5, 7
SMALL = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=2,
             num_key_value_heads=1)
WEIGHT = "model.layers.1.mlp.down_proj.weight"


@pytest.fixture
def model(make_model, tmp_path):
    """A private copy to spoil."""
    return shutil.copytree(make_model("llama31", **SMALL), tmp_path / "model")


@pytest.fixture
def compress(model, texts, tmp_path):
    """compress(*flags) -> CompletedProcess of a run on the copy; no manifest may come of it."""

    def run(*flags, calibration=texts["calibration"]):
        output = tmp_path / "out"
        done = clusters.caldera("compress", model, output, "--calibration", calibration, "--samples", 8,
                                "--seq-len", 32, "--rank", 4, "--threads", 1, *flags, "-o", "json")
        assert not (output / "manifest.json").exists()
        return done

    return run


def edit_tensors(model, edit):
    path = model / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    edit(tensors)
    safetensors.torch.save_file(tensors, path, {"format": "pt"})


def assert_error(done, code, *culprits):
    print(done.stderr)
    assert done.returncode == code, (done.returncode, done.stderr)
    assert done.stdout == ""
    for culprit in culprits:
        assert culprit in done.stderr


def test_the_unspoilt_copy_is_accepted(model, texts, tmp_path):
    done = clusters.caldera("compress", model, tmp_path / "good", "--calibration",
                            texts["calibration"], "--samples", 8, "--seq-len", 32, "--rank", 4)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "good" / "manifest.json").exists()


def test_truncated_safetensors(model, compress):
    path = model / "model.safetensors"
    os.truncate(path, path.stat().st_size - 1000)
    assert_error(compress(), FAILED, "model.safetensors")


def test_safetensors_cut_inside_the_header(model, compress):
    os.truncate(model / "model.safetensors", 100)
    assert_error(compress(), FAILED, "model.safetensors", "header")


def test_wrong_shape(model, compress):
    def transpose(tensors):
        tensors[WEIGHT] = tensors[WEIGHT].T.contiguous()

    edit_tensors(model, transpose)
    assert_error(compress(), FAILED, str(model), WEIGHT, "shape")


def test_missing_tensor(model, compress):
    edit_tensors(model, lambda tensors: tensors.pop(WEIGHT))
    assert_error(compress(), NOT_FOUND, WEIGHT, "missing")


def test_nan_weight(model, compress):
    def spoil(tensors):
        tensors[WEIGHT][3, 5] = torch.nan

    edit_tensors(model, spoil)
    assert_error(compress(), FAILED, WEIGHT, "row 3", "column 5", "finite")


def test_missing_tokenizer(model, compress):
    (model / "tokenizer.json").unlink()
    assert_error(compress(), NOT_FOUND, "missing tokenizer", "model")


def test_broken_tokenizer(model, compress):
    path = model / "tokenizer.json"
    os.truncate(path, path.stat().st_size // 2)
    assert_error(compress(), FAILED, "tokenizer.json")


def test_unknown_architecture(model, compress):
    path = model / "config.json"
    config = json.loads(path.read_text())
    config.update(architectures=["GPT2LMHeadModel"], model_type="gpt2")
    path.write_text(json.dumps(config))
    assert_error(compress(), FAILED, "config.json", "GPT2LMHeadModel")


def test_missing_model(compress, model):
    shutil.rmtree(model)
    assert_error(compress(), NOT_FOUND, str(model))


@pytest.mark.parametrize("flags,field", [
    (["--rank", "32"], "decomposition.rank"),       # of 32 x 64
    (["--rank", "4000"], "decomposition.rank"),
    (["--q-bits", "5"], "decomposition.q_bits"),
    (["--factor-bits", "5"], "decomposition.l_bits"),
    (["--embedding-bits", "5"], "embedding_bits"),
    (["--codebook", "abc"], "decomposition.codebook"),
    (["--seq-len", "1"], "calibration.seq_len"),
    (["--ranges", "9"], "calibration.ranges"),
], ids=" ".join)
def test_bad_field(compress, flags, field):
    assert_error(compress(*flags), FAILED, field)


def test_calibration_too_short(compress, tmp_path):
    text = tmp_path / "short.txt"
    text.write_text("Too few words to calibrate with.\n")
    assert_error(compress(calibration=text), FAILED, "short.txt", "too short")


def test_calibration_that_is_not_text(compress, tmp_path):
    text = tmp_path / "binary.txt"
    text.write_bytes(b"good words \xff\xfe" * 1000)
    assert_error(compress(calibration=text), FAILED, "binary.txt", "UTF-8")


def test_missing_calibration(compress, tmp_path):
    assert_error(compress(calibration=tmp_path / "none.txt"), NOT_FOUND, "none.txt")


def test_output_that_is_a_checkpoint(model, texts, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    (output / "manifest.json").write_text("mine")
    done = clusters.caldera("compress", model, output, "--calibration", texts["calibration"],
                            "--samples", 8, "--seq-len", 32, "--rank", 4)
    assert_error(done, CONFLICT, str(output), "manifest.json")
    assert (output / "manifest.json").read_text() == "mine"
    assert [path.name for path in output.iterdir()] == ["manifest.json"]


@contextlib.contextmanager
def small_disk(folder, size):
    """A file system of its own of `size`; other users than root need a sudo that asks nothing."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    folder.mkdir()
    subprocess.run([*sudo, "mount", "-t", "tmpfs", "-o", f"size={size},mode=777", "tmpfs", folder],
                   check=True)
    try:
        yield folder
    finally:
        subprocess.run([*sudo, "umount", "-l", folder], check=True)


def fill(folder):
    with contextlib.suppress(OSError), open(folder / "ballast", "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_disk_too_small_is_refused_at_once(make_model, texts, tmp_path):
    model = make_model("llama2", vocabulary_size=512)
    with small_disk(tmp_path / "disk", "600k") as disk:
        done = clusters.caldera("compress", model, disk / "out", "--calibration",
                                texts["calibration"], "--samples", 8, "--seq-len", 32, "--rank", 8)
        assert not (disk / "out" / "manifest.json").exists()
        assert_error(done, FAILED, str(disk), "bytes")


@pytest.mark.parametrize("access", ["auto", "stream"])
def test_a_disk_that_fills_up_fails_the_job(model, texts, tmp_path, start_cluster, access):
    with small_disk(tmp_path / "disk", "2m") as disk:
        cluster = start_cluster(store=disk / "store", coordinator_flags=[
            "--backoff-seconds", 0.1, "--max-failures", 2, "--store-patience", 1])
        job = cluster.submit(model, disk / "out", "--calibration", texts["calibration"],
                             "--samples", 8, "--seq-len", 32, "--rank", 4)
        fill(disk)
        cluster.start_worker(flags=["--store-access", access, "--store-patience", 1, "--patience", 2])
        done = cluster.caldera("wait", job, "-o", "jsonl")
        assert_error(done, FAILED, "No space left", str(disk))
        assert not (disk / "out" / "manifest.json").exists()
        assert cluster.caldera_json("get", job)["state"] == "FAILED"
        cluster.stop()


@pytest.mark.parametrize("arguments", [
    ["compress", "only-a-model"], ["submit"], ["compress", "a", "b", "--no-such-flag"], ["frobnicate"],
    ["list", "-o", "xml"], [], ["compress", "a", "b", "--calibration", "c", "--rank", "many"],
    ["export", "a", "b", "--format", "docx"]], ids=" ".join)
def test_usage_errors(arguments):
    done = clusters.caldera(*arguments)
    assert done.returncode == USAGE
    assert done.stderr != "" and done.stdout == ""


@pytest.mark.parametrize("command", ["get", "wait", "cancel", "resume", "layers"])
def test_an_unreachable_coordinator(command):
    address = f"127.0.0.1:{clusters.free_port()}"
    done = clusters.caldera(command, "x", "--coordinator", address, "--patience", 0.5)
    assert_error(done, UNAVAILABLE, address)


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_folder_that_is_no_checkpoint(command, model):
    assert_error(clusters.caldera(command, model), NOT_FOUND, "manifest.json")
