"""The forward pass against transformers in float32: logits and perplexity.

Models with random weights cover the architectures; SmolLM2 (GGUF, path in CALDERA_SMOLLM2) is the real
one. Bound: max |a - b| <= 1e-4 max |b|.
"""

import os
import subprocess
from pathlib import Path

import gguf
import numpy as np
import pytest
import safetensors.torch
import torch
import transformers

BUILD = Path(os.environ.get("CALDERA_BUILD", "build/release"))
TOOL = BUILD / "bin" / "test-logits"
SMOLLM2 = os.environ.get("CALDERA_SMOLLM2", "")
TOLERANCE = 1e-4

SMALL = dict(
    vocab_size=97,
    hidden_size=48,
    intermediate_size=80,
    num_hidden_layers=3,
    num_attention_heads=6,
    num_key_value_heads=2,
    max_position_embeddings=512,
    tie_word_embeddings=False,
    attn_implementation="eager",
)
LLAMA3_SCALING = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}

CONFIGS = {
    "llama2_mha": transformers.LlamaConfig(**{**SMALL, "num_key_value_heads": 6}),
    "llama31_gqa": transformers.LlamaConfig(
        **SMALL, rope_theta=500000.0, rope_scaling=LLAMA3_SCALING
    ),
    "llama_linear_rope": transformers.LlamaConfig(
        **SMALL, rope_scaling={"rope_type": "linear", "factor": 4.0}
    ),
    "llama_all_biases": transformers.LlamaConfig(**SMALL, attention_bias=True, mlp_bias=True),
    "mistral_sliding": transformers.MistralConfig(**SMALL, head_dim=16, sliding_window=40),
    "mistral_full": transformers.MistralConfig(**SMALL, head_dim=8, sliding_window=None),
    "qwen2_tied": transformers.Qwen2Config(**{**SMALL, "tie_word_embeddings": True}),
}


def randomise(model):
    """Weights, biases and norms of a size at which every part of the formula shows in the logits."""
    generator = torch.Generator().manual_seed(7)
    for name, parameter in model.named_parameters():
        with torch.no_grad():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5, generator=generator)
            elif parameter.dim() == 1:
                parameter.normal_(0, 0.5, generator=generator)
            else:
                parameter.normal_(0, 1.5 / parameter.shape[1] ** 0.5, generator=generator)


def run_tool(*arguments):
    result = subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def our_logits(model_path, ids, folder):
    (folder / "ids.txt").write_text(" ".join(map(str, ids)))
    run_tool("logits", model_path, folder / "ids.txt", folder / "logits.f32")
    return np.fromfile(folder / "logits.f32", dtype="<f4").reshape(len(ids), -1)


def their_logits(model, ids):
    with torch.no_grad():
        return model(torch.tensor([list(ids)])).logits[0].float().numpy()


def relative_difference(ours, theirs):
    assert ours.shape == theirs.shape
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def random_ids(count, vocabulary):
    return np.random.default_rng(5).integers(0, vocabulary, count).tolist()


@pytest.fixture(params=CONFIGS, ids=str)
def small_model(request, tmp_path):
    model = transformers.AutoModelForCausalLM.from_config(
        CONFIGS[request.param], torch_dtype=torch.float32
    ).eval()
    randomise(model)
    model.save_pretrained(tmp_path / "model")
    return model, tmp_path


@pytest.mark.parametrize("length", [1, 150])
def test_logits_of_small_models_are_those_of_transformers(small_model, length):
    model, folder = small_model
    ids = random_ids(length, model.config.vocab_size)
    ours = our_logits(folder / "model", ids, folder)
    difference = relative_difference(ours, their_logits(model, ids))
    print(f"relative difference {difference:.2e}")
    assert difference <= TOLERANCE


def test_perplexity_of_small_models_is_that_of_transformers(small_model):
    model, folder = small_model
    ids = random_ids(100, model.config.vocab_size)
    (folder / "ids.txt").write_text(" ".join(map(str, ids)))
    tokens, nll, perplexity = map(
        float, run_tool("perplexity", folder / "model", folder / "ids.txt", 33).split()
    )
    losses = []
    for window in (ids[0:33], ids[33:66], ids[66:99]):
        log_probabilities = torch.log_softmax(
            torch.tensor(their_logits(model, window), dtype=torch.float64), -1
        )
        losses += [-log_probabilities[t, window[t + 1]].item() for t in range(32)]
    assert tokens == 96
    assert nll == pytest.approx(np.mean(losses), rel=1e-5)
    assert perplexity == pytest.approx(np.exp(np.mean(losses)), rel=1e-4)


def test_a_missing_tensor_is_named(tmp_path):
    model = transformers.AutoModelForCausalLM.from_config(CONFIGS["llama2_mha"])
    model.save_pretrained(tmp_path)
    weights = safetensors.torch.load_file(tmp_path / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    safetensors.torch.save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "ids.txt").write_text("1 2 3")
    result = subprocess.run(
        [TOOL, "logits", tmp_path, tmp_path / "ids.txt", tmp_path / "out"],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "model.layers.1.mlp.up_proj.weight" in result.stderr


GGUF_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
GGUF_TOP_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}


def hugging_face_name(name):
    if name in GGUF_TOP_NAMES:
        return GGUF_TOP_NAMES[name]
    _, layer, stem, kind = name.split(".")
    return f"model.layers.{layer}.{GGUF_NAMES[stem]}.{kind}"


def half_split_rows(weight, heads):
    """GGUF keeps the two values of a rotary pair next to each other, Hugging Face half a head apart."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def gguf_llama(path):
    """The model of a Llama GGUF in transformers, weights dequantised by gguf-py."""
    reader = gguf.GGUFReader(path)

    def field(name):
        part = reader.fields[f"llama.{name}"]
        return part.parts[part.data[0]][0].item()

    heads, shared = field("attention.head_count"), field("attention.head_count_kv")
    state = {}
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if ".attn_q." in tensor.name:
            values = half_split_rows(values, heads)
        if ".attn_k." in tensor.name:
            values = half_split_rows(values, shared)
        state[hugging_face_name(tensor.name)] = torch.tensor(values)
    embedding = state["model.embed_tokens.weight"]
    config = transformers.LlamaConfig(
        vocab_size=embedding.shape[0],
        hidden_size=field("embedding_length"),
        intermediate_size=field("feed_forward_length"),
        num_hidden_layers=field("block_count"),
        num_attention_heads=heads,
        num_key_value_heads=shared,
        rms_norm_eps=field("attention.layer_norm_rms_epsilon"),
        rope_theta=field("rope.freq_base"),
        max_position_embeddings=field("context_length"),
        tie_word_embeddings="lm_head.weight" not in state,
    )
    state.setdefault("lm_head.weight", embedding)
    model = transformers.LlamaForCausalLM(config).float().eval()
    model.load_state_dict(state)
    return model


def test_logits_of_smollm2_are_those_of_transformers(tmp_path):
    model = gguf_llama(SMOLLM2)
    ids = random_ids(200, model.config.vocab_size)
    ours = our_logits(SMOLLM2, ids, tmp_path)
    difference = relative_difference(ours, their_logits(model, ids))
    print(f"relative difference {difference:.2e}")
    assert difference <= TOLERANCE
