"""The real model: SmolLM2-135M compressed on one testament of the King James Bible, scored on the other.

Prints its figures (pytest -s)."""

import os
import re
import subprocess

import pytest
import torch

import checkpoints
import cluster
from test_logits import gguf_llama

SMOLLM2 = os.environ.get("CALDERA_SMOLLM2", "")
SEQ_LEN, MAX_TOKENS = 512, 4096



@pytest.fixture(scope="module")
def bible(tmp_path_factory):
    """Two different texts, one verse a line."""
    folder = tmp_path_factory.mktemp("bible")
    paths = {}
    for name, range_ in (("calibration", "Gen1:1-Gen50:26"), ("evaluation", "Mat1:1-Mat28:20")):
        verses = subprocess.run(["bible", "-f", range_], capture_output=True, text=True, check=True)
        paths[name] = folder / f"{name}.txt"
        paths[name].write_text(re.sub(r"(?m)^[A-Za-z0-9]+:[0-9]+ ", "", verses.stdout))
    return paths


@pytest.fixture(scope="module")
def compress(bible, tmp_path_factory):
    """compress(q_bits, rank, samples) -> (checkpoint folder, summary)."""

    def run(q_bits, rank, samples=16):
        output = tmp_path_factory.mktemp(f"smollm2-{q_bits}bit-r{rank}") / "out"
        summary = cluster.caldera_json(
            "compress", SMOLLM2, output, "--calibration", bible["calibration"], "--samples", samples,
            "--seq-len", 256, "--q-bits", q_bits, "--rank", rank, "--factor-bits", 4)
        print(f"{q_bits} bits, rank {rank}: {summary['bits_per_weight']:.3f} bits per weight, "
              f"{summary['model_bits_per_weight']:.3f} of the model, "
              f"{summary['output_bytes'] / 2**20:.0f} of {summary['bfloat16_bytes'] / 2**20:.0f} MiB, "
              f"mean error {summary['mean_relative_error']:.4f}, {summary['seconds']:.0f} s, "
              f"{summary['peak_rss_bytes'] / 2**20:.0f} MiB at most")
        return output, summary

    return run


@pytest.fixture(scope="module")
def perplexity(bible):
    """perplexity(name, model): ours, printed."""

    def evaluate(name, model):
        report = cluster.caldera_json("eval", model, "--text", bible["evaluation"], "--seq-len", SEQ_LEN,
                                      "--max-tokens", MAX_TOKENS)
        assert report["tokens"] == MAX_TOKENS // SEQ_LEN * (SEQ_LEN - 1)
        print(f"{name}: perplexity {report['perplexity']:.3f} ({report['seconds']:.0f} s)")
        return report["perplexity"]

    return evaluate


@pytest.fixture(scope="module")
def original(perplexity):
    return perplexity("original", SMOLLM2)


@pytest.fixture(scope="module")
def two_bit(compress):
    return compress(2, 64)


@pytest.fixture(scope="module")
def two_bit_perplexity(two_bit, perplexity):
    return perplexity("2 bits, rank 64", two_bit[0])


@pytest.fixture(scope="module")
def dense(two_bit):
    folder = two_bit[0].with_name("dense")
    cluster.caldera_json("export", two_bit[0], folder, "--format", "dense", "--dtype", "f32")
    return folder


def round_to_nearest(weight):
    """2-bit symmetric rounding, each row with the scale of least squared error among 40."""
    peak = weight.abs().amax(1, keepdim=True)
    best, best_error = torch.zeros_like(weight), torch.full_like(peak, torch.inf)
    for share in torch.linspace(0.05, 1, 40):
        scale = (share * peak / 1.5).clamp_min(1e-12)
        rounded = ((weight / scale - 0.5).round().clamp(-2, 1) + 0.5) * scale
        error = (weight - rounded).square().sum(1, keepdim=True)
        best = torch.where(error < best_error, rounded, best)
        best_error = torch.minimum(error, best_error)
    return best


@pytest.fixture(scope="module")
def rounded(dense, tmp_path_factory):
    """The original with its linear layers rounded to 2 bits, as Hugging Face folder."""
    folder = tmp_path_factory.mktemp("rounded") / "model"
    model = gguf_llama(SMOLLM2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("_proj.weight"):
                parameter.copy_(round_to_nearest(parameter))
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((dense / name).read_bytes())
    return folder


def test_two_bits_keep_the_model_alive(two_bit, two_bit_perplexity, original):
    print(f"2 bits, rank 64: {two_bit_perplexity / original:.2f} times the original's perplexity")
    assert two_bit_perplexity <= 3.0 * original


def test_two_bits_are_far_better_than_rounding(two_bit_perplexity, rounded, perplexity):
    assert two_bit_perplexity <= 0.2 * perplexity("2-bit rounding to nearest", rounded)


def test_the_bits_are_what_the_settings_say(two_bit):
    summary = two_bit[1]
    # Rank 64 at 4 bits over 576 x 576, 192 x 576 and 1536 x 576: 256 (m + n) / (m n) on average 0.74.
    assert 2.73 < summary["bits_per_weight"] < 2.85
    # Over a fifth of the parameters are embeddings, at 8 bits.
    assert 3.5 < summary["model_bits_per_weight"] < 4.2
    assert summary["output_bytes"] < 0.35 * summary["bfloat16_bytes"]


def test_two_bits_diverge_little_from_the_original(two_bit, bible):
    report = cluster.caldera_json("eval", two_bit[0], "--reference", SMOLLM2, "--text",
                                  bible["evaluation"], "--seq-len", 256, "--max-tokens", 1024)
    print(f"2 bits, rank 64: KL {report['kl']:.3f} +- {report['kl_standard_error']:.3f}, "
          f"the same first token {100 * report['top1_agreement']:.0f} %")
    assert 0.1 < report["kl"] < 1
    assert 0.4 < report["top1_agreement"] < 0.9


def test_verify_accepts_the_checkpoint(two_bit):
    assert cluster.caldera_json("verify", two_bit[0])["ok"]


def test_four_bits_without_factors_keep_the_perplexity(compress, perplexity, original):
    output, summary = compress(4, 0, samples=32)
    compressed = perplexity("4 bits, rank 0", output)
    print(f"4 bits, rank 0: {100 * (compressed / original - 1):+.2f} %")
    assert compressed <= 1.08 * original
    assert 4 <= summary["bits_per_weight"] < 4.05


def test_the_dense_export_gives_our_perplexity_in_transformers(dense, two_bit_perplexity, bible):
    theirs, tokens = checkpoints.perplexity(dense, bible["evaluation"], SEQ_LEN, MAX_TOKENS)
    print(f"dense export in transformers: perplexity {theirs:.3f}")
    assert tokens == MAX_TOKENS // SEQ_LEN * (SEQ_LEN - 1)
    assert two_bit_perplexity == pytest.approx(theirs, rel=5e-3)
