"""`caldera compress` on small models: one command, a real cluster behind it, a checkpoint that other
libraries read."""

import json
import subprocess
import time

import pytest
import safetensors

import checkpoints
import cluster

KINDS = ["llama2", "llama31", "smollm2"]
SEQ_LEN, MAX_TOKENS = 128, 4096
DISPATCH = ["AcquireLease", "CommitMatrix", "CompleteLease"]


class Compression:
    """A run of `caldera compress`, watched from outside while it works."""

    def __init__(self, model, output, calibration):
        self.model, self.output = model, output
        self.children, self.exposition = set(), ""
        port = cluster.free_port()
        command = [cluster.BIN / "caldera", "compress", model, output, "--calibration", calibration,
                   "--samples", "32", "--seq-len", "128", "--rank", "8", "--threads", "1",
                   "--metrics-listen", f"127.0.0.1:{port}", "-o", "json"]
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=cluster.ENVIRONMENT)
        while process.poll() is None:
            self.children.update(cluster.children_of(process.pid).values())
            self.exposition = cluster.scrape(port) or self.exposition
            time.sleep(0.02)
        self.stdout, self.stderr = process.communicate()
        self.returncode = process.returncode


@pytest.fixture(scope="module", params=KINDS)
def compression(request, make_model, texts, tmp_path_factory):
    output = tmp_path_factory.mktemp("compressed") / "out"
    done = Compression(make_model(request.param), output, texts["calibration"])
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def dense(compression):
    """The checkpoint's decoded weights as float32 Hugging Face folder."""
    folder = compression.output.with_name("dense")
    cluster.caldera_json("export", compression.output, folder, "--format", "dense", "--dtype", "f32")
    return folder


def test_the_summary_tells_bits_bytes_and_errors(compression):
    summary = json.loads(compression.stdout)
    assert summary["state"] == "SUCCEEDED"
    assert 2 < summary["bits_per_weight"] < 8
    assert 2 < summary["model_bits_per_weight"] < 16
    assert 0 < summary["mean_relative_error"] <= summary["max_relative_error"] < 1
    assert summary["output_bytes"] < summary["bfloat16_bytes"] < summary["source_bytes"]
    assert summary["seconds"] > 0 and summary["peak_rss_bytes"] > 1 << 20


def test_the_work_was_done_by_child_processes_over_grpc(compression):
    programs = " ".join(compression.children)
    assert "caldera-coordinator" in programs and "caldera-worker" in programs
    counts = {method: cluster.calls(compression.exposition, method) for method in DISPATCH}
    print(counts)
    assert all(counts.values()), counts


def test_nothing_is_left_beside_the_checkpoint(compression):
    assert {path.name for path in compression.output.parent.iterdir()} <= {"out", "dense"}


def test_inspect_lists_every_matrix(compression):
    facts = cluster.caldera_json("inspect", compression.output)
    config = json.loads((compression.model / "config.json").read_text())
    expected = [f"model.layers.{layer}.{name}" for layer in range(config["num_hidden_layers"])
                for name in checkpoints.PROJECTIONS]
    assert [matrix["name"] for matrix in facts["matrices"]] == expected
    for matrix in facts["matrices"]:
        assert matrix["rank"] == 8 and matrix["q_bits"] == 2 and matrix["m"] > 0 and matrix["n"] > 0
        assert 2 < matrix["bits_per_weight"] and 0 < matrix["relative_error"] < 1
    weights = [matrix["m"] * matrix["n"] for matrix in facts["matrices"]]
    bits = sum(m["bits_per_weight"] * w for m, w in zip(facts["matrices"], weights)) / sum(weights)
    assert facts["bits_per_weight"] == pytest.approx(bits, rel=1e-9)
    files = [path for path in compression.output.iterdir()
             if path.name not in ("manifest.json", "run.json")]
    assert facts["bytes"] == sum(path.stat().st_size for path in files)


def test_verify_accepts_the_checkpoint(compression):
    report = cluster.caldera_json("verify", compression.output)
    assert report["ok"] and not report["missing"] + report["corrupt"] + report["extra"]


def test_every_shard_opens_with_safetensors(compression):
    index = json.loads((compression.output / "model.safetensors.index.json").read_text())
    shards = sorted(compression.output.glob("*.safetensors"))
    assert {path.name for path in shards} == set(index["weight_map"].values())
    found = {}
    for shard in shards:
        with safetensors.safe_open(shard, framework="numpy") as file:
            found.update({name: shard.name for name in file.keys()})
            assert all(file.get_tensor(name).size > 0 for name in file.keys())
    assert found == index["weight_map"]


def evaluate(folder, text):
    return cluster.caldera_json("eval", folder, "--text", text, "--seq-len", SEQ_LEN,
                                "--max-tokens", MAX_TOKENS)


def test_eval_of_the_original_is_that_of_transformers(compression, texts):
    ours = evaluate(compression.model, texts["evaluation"])
    theirs, tokens = checkpoints.perplexity(compression.model, texts["evaluation"], SEQ_LEN,
                                            MAX_TOKENS)
    assert ours["tokens"] == tokens == MAX_TOKENS // SEQ_LEN * (SEQ_LEN - 1)
    assert ours["perplexity"] == pytest.approx(theirs, rel=1e-3)


def test_the_dense_export_gives_our_perplexity_in_transformers(compression, dense, texts):
    ours = evaluate(compression.output, texts["evaluation"])
    theirs, tokens = checkpoints.perplexity(dense, texts["evaluation"], SEQ_LEN, MAX_TOKENS)
    print(f"ours {ours['perplexity']:.4f}, transformers {theirs:.4f}")
    assert ours["tokens"] == tokens
    assert ours["perplexity"] == pytest.approx(theirs, rel=5e-3)


def test_eval_of_the_dense_export_is_that_of_the_checkpoint(compression, dense, texts):
    checkpoint = evaluate(compression.output, texts["evaluation"])
    exported = evaluate(dense, texts["evaluation"])
    assert exported["perplexity"] == pytest.approx(checkpoint["perplexity"], rel=5e-3)


def test_eval_measures_the_checkpoint_against_its_original(compression, texts):
    report = cluster.caldera_json("eval", compression.output, "--reference", compression.model, "--text",
                                  texts["evaluation"], "--seq-len", SEQ_LEN, "--max-tokens", MAX_TOKENS)
    original = evaluate(compression.model, texts["evaluation"])
    checkpoint = evaluate(compression.output, texts["evaluation"])
    assert report["reference_perplexity"] == pytest.approx(original["perplexity"], rel=1e-5)
    assert report["perplexity"] == pytest.approx(checkpoint["perplexity"], rel=1e-5)
    assert report["nll_difference"] == pytest.approx(checkpoint["nll"] - original["nll"], abs=1e-5)
    assert 0 < report["kl_standard_error"] < report["kl"] < report["kl_p99"]
    assert 0 < report["top1_agreement"] < 1


def test_the_dense_export_is_an_ordinary_model(dense, compression):
    exported = json.loads((dense / "config.json").read_text())
    original = json.loads((compression.model / "config.json").read_text())
    assert "quantization_config" not in exported
    assert exported["architectures"] == original["architectures"]
