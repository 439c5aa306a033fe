"""`caldera compress --embedding-bits`: what the tables cost, and that all readers see the same values."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

import caldera_numpy_reader as reader
import checkpoints
import cluster

SHAPE = dict(num_hidden_layers=1)
JOB = ["--samples", 8, "--seq-len", 64, "--rank", 0, "--q-bits", 4]
# Bytes of a row of 96 (smollm2, tied) or 128 columns, and of the column scales.
ROW = {4: {96: 48 + 6, 128: 64 + 8}, 8: {96: 98, 128: 130}}
TABLES = {"smollm2": ["model.embed_tokens"], "llama2": ["lm_head", "model.embed_tokens"]}


@pytest.fixture(scope="module", params=sorted(TABLES))
def compressed(request, make_model, texts, tmp_path_factory):
    """(kind, model, {bits: (checkpoint, summary)})."""
    model = make_model(request.param, **SHAPE)
    outputs = {}
    for bits in (4, 8):
        output = tmp_path_factory.mktemp(f"embedding-{bits}") / "out"
        outputs[bits] = output, cluster.caldera_json(
            "compress", model, output, "--calibration", texts["calibration"], *JOB,
            "--embedding-bits", bits)
    return request.param, model, outputs


def dense(output):
    folder = output.with_name("dense")
    if not folder.exists():
        cluster.caldera_json("export", output, folder, "--format", "dense", "--dtype", "f32")
    return folder


def test_the_bits_of_the_model_fall_by_those_of_the_tables(compressed):
    kind, model, outputs = compressed
    config = json.loads((model / "config.json").read_text())
    width = config["hidden_size"]
    saved = len(TABLES[kind]) * (config["vocab_size"] * (ROW[8][width] - ROW[4][width]) - 2 * width)
    facts = {bits: cluster.caldera_json("inspect", output) for bits, (output, _) in outputs.items()}
    assert [facts[bits]["embedding_bits"] for bits in (4, 8)] == [4, 8]
    difference = facts[8]["model_bits_per_weight"] - facts[4]["model_bits_per_weight"]
    assert difference == pytest.approx(8 * saved / facts[4]["parameters"], rel=1e-9)
    assert facts[4]["bits_per_weight"] == facts[8]["bits_per_weight"]
    assert outputs[4][1]["model_bits_per_weight"] == facts[4]["model_bits_per_weight"]


def test_the_dense_export_has_the_very_floats_of_the_format(compressed):
    kind, _, outputs = compressed
    for output, _ in outputs.values():
        exported = load_file(dense(output) / "model.safetensors")
        shard = min(output.glob("model-00001-of-*.safetensors"))
        tables = reader.read_embeddings(shard)
        assert sorted(tables) == TABLES[kind]
        for name, table in tables.items():
            np.testing.assert_array_equal(exported[f"{name}.weight"].view(np.uint32), table.view(np.uint32))


def test_four_bits_come_close_to_the_original(compressed):
    kind, model, outputs = compressed
    original = load_file(model / "model.safetensors")
    for name, table in reader.read_embeddings(min(outputs[4][0].glob("model-00001-of-*"))).items():
        weight = original[f"{name}.weight"]
        error = np.linalg.norm(table - weight) / np.linalg.norm(weight)
        print(f"{kind} {name}: relative error {error:.4f}")
        assert 0.01 < error < 0.09


def test_eval_of_four_bits_is_that_of_its_export_in_transformers(compressed, texts):
    _, model, outputs = compressed
    ours = cluster.caldera_json("eval", outputs[4][0], "--reference", model, "--text", texts["evaluation"],
                                "--seq-len", 64, "--max-tokens", 1024)
    theirs, tokens = checkpoints.perplexity(dense(outputs[4][0]), texts["evaluation"], 64, 1024)
    print(f"ours {ours['perplexity']:.4f}, transformers {theirs:.4f}, KL {ours['kl']:.4f}")
    assert ours["tokens"] == tokens
    assert ours["perplexity"] == pytest.approx(theirs, rel=5e-3)
    assert 0 < ours["kl"] < 0.5


def test_verify_accepts_the_checkpoint(compressed):
    assert cluster.caldera_json("verify", compressed[2][4][0])["ok"]
