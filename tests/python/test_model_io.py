"""Readers and writer of common/model against the packages that define the formats."""

import json
import os
import subprocess

import gguf
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config

TOOL = os.path.join(os.environ["CALDERA_BUILD"], "bin", "test-read-tensor")

SMALL = dict(
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=50,
    max_position_embeddings=128,
)
LLAMA3_SCALING = dict(
    rope_type="llama3",
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=8192,
)


def run(*arguments):
    done = subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def error_of(*arguments):
    done = subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 1, done.stdout
    return done.stderr


def tensors_of(model):
    return {t["name"]: t for t in json.loads(run("list", model))["tensors"]}


def read(model, tensor, tmp_path, first=0, rows=None):
    shape = tensors_of(model)[tensor]["shape"]
    rows = shape[0] - first if rows is None else rows
    out = tmp_path / "rows.f32"
    run("dump", model, tensor, first, rows, out)
    return np.fromfile(out, np.float32).reshape([rows] + shape[1:])


def read_raw(model, tensor, tmp_path):
    out = tmp_path / "tensor.raw"
    run("raw", model, tensor, out)
    return out.read_bytes()


def same_bits(a, b):
    return np.array_equal(
        np.ascontiguousarray(a, np.float32).view(np.uint32),
        np.ascontiguousarray(b, np.float32).view(np.uint32),
    )


# Hugging Face directories


def random_model(kind, config_class, directory, **more):
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config_class(**SMALL, **more))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model


MODELS = {
    "llama2": (LlamaConfig, dict(tie_word_embeddings=False)),
    "llama3": (LlamaConfig, dict(rope_scaling=LLAMA3_SCALING, rope_theta=500000.0)),
    "linear": (LlamaConfig, dict(rope_scaling=dict(rope_type="linear", factor=2.0))),
    "smollm2": (LlamaConfig, dict(tie_word_embeddings=True)),
    "biased": (LlamaConfig, dict(attention_bias=True, mlp_bias=True)),
    "mistral": (MistralConfig, dict(sliding_window=16)),
    "mistral-full": (MistralConfig, dict(sliding_window=None)),
    "qwen2": (Qwen2Config, dict()),
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_model_saved_by_transformers_is_read_bit_exactly(kind, dtype, tmp_path):
    config_class, more = MODELS[kind]
    model = random_model(kind, config_class, tmp_path, **more).to(dtype)
    directory = tmp_path / "model"
    # Small shards, so that the index is in use.
    model.save_pretrained(directory, max_shard_size="60KB" if dtype == torch.float32 else "5GB")
    run("validate", directory)
    listed = tensors_of(directory)
    state = model.state_dict()
    if model.config.tie_word_embeddings:
        del state["lm_head.weight"]
    assert set(listed) == set(state)
    for name in list(state)[::5]:
        assert same_bits(read(directory, name, tmp_path), state[name].float().numpy())
        assert read_raw(directory, name, tmp_path) == state[name].view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("kind", MODELS)
def test_our_config_json_means_the_same_to_transformers(kind, tmp_path):
    config_class, more = MODELS[kind]
    model = random_model(kind, config_class, tmp_path, **more)
    model.save_pretrained(tmp_path)
    ours = tmp_path / "ours"
    ours.mkdir()
    (ours / "config.json").write_text(run("config", tmp_path))
    theirs, read_back = AutoConfig.from_pretrained(tmp_path), AutoConfig.from_pretrained(ours)
    assert type(theirs) is type(read_back)
    fields = [*SMALL, "rms_norm_eps", "rope_theta", "rope_scaling", "tie_word_embeddings",
              "hidden_act", "bos_token_id", "eos_token_id"]
    fields += ["sliding_window"] if kind.startswith("mistral") else []
    fields += ["attention_bias", "mlp_bias"] if config_class is LlamaConfig else []
    for field in fields:
        assert getattr(theirs, field, None) == getattr(read_back, field, None), field


def test_a_truncated_shard_and_a_wrong_shape_are_named(tmp_path):
    model = random_model("llama2", LlamaConfig, tmp_path)
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert "model.safetensors" in error_of("list", tmp_path)
    file.write_bytes(whole)
    config = json.loads((tmp_path / "config.json").read_text())
    config["intermediate_size"] = 100
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert "[96, 64], expected [100, 64]" in error_of("validate", tmp_path)


def test_files_of_our_writer_open_in_safetensors(tmp_path):
    tensors = {
        "bytes": torch.arange(7, dtype=torch.uint8),
        "codes": torch.arange(-3, 2, dtype=torch.int16),
        "scales \u00e9\"": torch.randn(3),
        "weight": torch.randn(4, 5).to(torch.bfloat16),
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "flags": torch.tensor([True, False, True]),
    }
    save_file(tensors, tmp_path / "theirs.safetensors", metadata={"b": "2", "a": "1"})
    run("rewrite", tmp_path / "theirs.safetensors", tmp_path / "ours.safetensors")
    with safe_open(tmp_path / "ours.safetensors", "pt") as ours:
        assert ours.metadata() == {"a": "1", "b": "2"}
        assert sorted(ours.keys()) == sorted(tensors)
        for name, tensor in tensors.items():
            found = ours.get_tensor(name)
            assert found.dtype == tensor.dtype and torch.equal(found, tensor), name
    run("rewrite", tmp_path / "ours.safetensors", tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (
        tmp_path / "ours.safetensors").read_bytes()


# GGUF

QUANTS = gguf.GGMLQuantizationType
QUANTISABLE = [QUANTS.Q4_0, QUANTS.Q4_1, QUANTS.Q5_0, QUANTS.Q5_1, QUANTS.Q8_0, QUANTS.BF16]


def random_blocks(kind, rows, columns, random):
    """Random bytes with finite halves where the type has scales."""
    values, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (rows * columns // values, size), dtype=np.uint8)
    halves = {QUANTS.Q4_K: [0, 2], QUANTS.Q6_K: [208], QUANTS.Q4_1: [0, 2], QUANTS.Q5_1: [0, 2]}
    for at in halves.get(kind, [0]):
        scales = random.normal(size=len(blocks)).astype(np.float16)
        blocks[:, at : at + 2] = scales.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(rows, columns // values * size)


def write_gguf(path, tensors, arch="llama", **metadata):
    """tensors: GGUF name -> (array, quantisation type or None)."""
    writer = gguf.GGUFWriter(path, arch)
    writer.add_embedding_length(SMALL["hidden_size"])
    writer.add_feed_forward_length(SMALL["intermediate_size"])
    writer.add_block_count(SMALL["num_hidden_layers"])
    writer.add_context_length(SMALL["max_position_embeddings"])
    writer.add_head_count(SMALL["num_attention_heads"])
    writer.add_head_count_kv(SMALL["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_token_list(["a", "b", "\u00e9"])
    writer.add_token_scores([0.5, -1.0, 2.0])
    for key, value in metadata.items():
        getattr(writer, key)(value)
    for name, (data, kind) in tensors.items():
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


EMBEDDING = {"token_embd.weight": (np.zeros((3, 64), np.float32), None)}


@pytest.mark.parametrize("kind", QUANTISABLE, ids=lambda kind: kind.name)
def test_tensors_quantised_by_gguf_py_are_read_bit_exactly(kind, tmp_path):
    values = np.random.default_rng(2).normal(size=(64, 96)).astype(np.float32)
    packed = gguf.quants.quantize(values, kind)
    path = tmp_path / "model.gguf"
    write_gguf(path, EMBEDDING | {"blk.0.ffn_down.weight": (packed, kind)})
    name = "model.layers.0.mlp.down_proj.weight"
    expected = gguf.quants.dequantize(packed, kind)
    assert same_bits(read(path, name, tmp_path), expected)
    assert same_bits(read(path, name, tmp_path, first=7, rows=3), expected[7:10])
    assert read_raw(path, name, tmp_path) == packed.tobytes()


@pytest.mark.parametrize(
    "kind", [QUANTS.Q4_K, QUANTS.Q6_K, *QUANTISABLE[:-1]], ids=lambda kind: kind.name)
def test_random_blocks_decode_as_in_gguf_py(kind, tmp_path):
    packed = random_blocks(kind, 24, 512, np.random.default_rng(3))
    path = tmp_path / "model.gguf"
    write_gguf(path, EMBEDDING | {"blk.0.ffn_down.weight": (packed, kind)})
    found = read(path, "model.layers.0.mlp.down_proj.weight", tmp_path)
    assert same_bits(found, gguf.quants.dequantize(packed, kind))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_query_and_key_rows_come_in_hugging_face_order(dtype, tmp_path):
    random = np.random.default_rng(4)
    query = random.normal(size=(64, 64)).astype(dtype)
    key = random.normal(size=(32, 64)).astype(dtype)

    def permute(weights, heads):  # as llama.cpp's converter does
        split = weights.reshape(heads, 2, weights.shape[0] // heads // 2, -1)
        return np.ascontiguousarray(split.swapaxes(1, 2).reshape(weights.shape))

    path = tmp_path / "model.gguf"
    write_gguf(path, EMBEDDING | {"blk.0.attn_q.weight": (permute(query, 4), None),
                                  "blk.0.attn_k.weight": (permute(key, 2), None)})
    for name, expected in [("q", query), ("k", key)]:
        name = f"model.layers.0.self_attn.{name}_proj.weight"
        assert same_bits(read(path, name, tmp_path), expected.astype(np.float32))
        assert same_bits(read(path, name, tmp_path, first=5, rows=20),
                         expected[5:25].astype(np.float32))
        assert "permuted" in error_of("raw", path, name, tmp_path / "out")


def test_rope_factors_of_the_converter_become_llama3_scaling(tmp_path):
    # head_dim 16, as transformers computes it: inv_freq(default) / inv_freq(llama3).
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    config = LlamaConfig(**SMALL, rope_scaling=LLAMA3_SCALING, rope_theta=500000.0)
    plain, _ = ROPE_INIT_FUNCTIONS["default"](config, "cpu")
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    path = tmp_path / "model.gguf"
    write_gguf(path, EMBEDDING | {"rope_freqs.weight": ((plain / scaled).numpy(), None)},
               add_rope_freq_base=500000.0)
    ours = json.loads(run("config", path))
    assert ours["rope_scaling"] == LLAMA3_SCALING
    assert ours["rope_theta"] == 500000.0
    assert ours["rms_norm_eps"] == 1e-5


def test_qwen2_gguf_rows_are_not_permuted(tmp_path):
    query = np.random.default_rng(5).normal(size=(64, 64)).astype(np.float32)
    path = tmp_path / "model.gguf"
    bias = {f"blk.0.attn_{p}.bias": (np.zeros(n, np.float32), None)
            for p, n in [("q", 64), ("k", 32), ("v", 32)]}
    write_gguf(path, EMBEDDING | bias | {"blk.0.attn_q.weight": (query, None)}, arch="qwen2")
    assert same_bits(read(path, "model.layers.0.self_attn.q_proj.weight", tmp_path), query)
    assert json.loads(run("config", path))["architectures"] == ["Qwen2ForCausalLM"]


def test_an_unsupported_block_type_is_named(tmp_path):
    packed = np.zeros((2, 176), np.uint8)
    path = tmp_path / "model.gguf"
    write_gguf(path, EMBEDDING | {"blk.0.ffn_down.weight": (packed, QUANTS.Q5_K)})
    assert "blk.0.ffn_down.weight: type Q5_K" in error_of("list", path)


def test_smollm2_is_read_as_gguf_py_reads_it(tmp_path):
    path = os.environ["CALDERA_SMOLLM2"]
    run("validate", path)
    tensors = {t.name: t for t in gguf.GGUFReader(path).tensors}
    for theirs, ours in [("token_embd.weight", "model.embed_tokens.weight"),
                         ("blk.29.ffn_down.weight", "model.layers.29.mlp.down_proj.weight"),
                         ("output_norm.weight", "model.norm.weight")]:
        tensor = tensors[theirs]
        part = slice(100, 164)  # rows; all 49152 of the embeddings would take long
        assert same_bits(read(path, ours, tmp_path, first=100, rows=64).ravel(),
                         gguf.quants.dequantize(tensor.data[part], tensor.tensor_type).ravel())
    query = gguf.quants.dequantize(tensors["blk.3.attn_q.weight"].data, QUANTS.Q4_1)
    ours = read(path, "model.layers.3.self_attn.q_proj.weight", tmp_path)
    assert same_bits(ours, query.reshape(9, 32, 2, 576).swapaxes(1, 2).reshape(576, 576))
