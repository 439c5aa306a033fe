"""`caldera eval --reference`: divergence of a model from its original, against torch in float64."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
import transformers

import checkpoints
import cluster
import tiny_models

FAILED, NOT_FOUND = 1, 3
SMALL = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=2,
             num_key_value_heads=1)
SEQ_LEN, SEQUENCES = 128, 8
MAX_TOKENS = SEQ_LEN * SEQUENCES
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def original(make_model):
    return make_model("llama31", **SMALL)


@pytest.fixture(scope="module")
def perturbed(original, tmp_path_factory):
    """The original with noise of a twentieth of each weight's size."""
    folder = tmp_path_factory.mktemp("perturbed") / "model"
    shutil.copytree(original, folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(original, torch_dtype=torch.float32)
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(0.05 * parameter.square().mean().sqrt() * noise)
    model.save_pretrained(folder)
    return folder


def compare(model, reference, text, max_tokens=MAX_TOKENS):
    return cluster.caldera("eval", model, "--reference", reference, "--text", text, "--seq-len",
                           SEQ_LEN, "--max-tokens", max_tokens, "-o", "json")


@pytest.fixture(scope="module")
def report(original, perturbed, texts):
    done = compare(perturbed, original, texts["evaluation"])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def log_probabilities(folder, batch):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float64).eval()
    with torch.no_grad():
        return torch.log_softmax(model(batch).logits[:, :-1], -1)


@pytest.fixture(scope="module")
def oracle(original, perturbed, texts):
    """Figures of every scored token, [sequences, seq_len - 1], by torch in float64."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(original)
    batch = checkpoints.windows(tokenizer, texts["evaluation"].read_text(encoding="utf-8"), SEQ_LEN,
                                MAX_TOKENS)
    reference, model = log_probabilities(original, batch), log_probabilities(perturbed, batch)
    targets = batch[:, 1:, None]
    return {
        "kl": (reference.exp() * (reference - model)).sum(-1).numpy(),
        "reference_nll": -reference.gather(-1, targets)[..., 0].numpy(),
        "nll": -model.gather(-1, targets)[..., 0].numpy(),
        "agreement": (reference.argmax(-1) == model.argmax(-1)).double().numpy(),
    }


def standard_error(values):
    """Of a mean over sequences of equal length."""
    means = values.mean(1)
    return means.std(ddof=1) / math.sqrt(len(means))


def test_the_divergence_is_that_of_torch(report, oracle):
    print(json.dumps(report, indent=2))
    assert report["kl"] == pytest.approx(oracle["kl"].mean(), rel=TOLERANCE)
    assert report["kl_standard_error"] == pytest.approx(standard_error(oracle["kl"]), rel=TOLERANCE)
    assert report["kl_p99"] == pytest.approx(
        np.percentile(oracle["kl"], 99, method="inverted_cdf"), rel=TOLERANCE)
    assert report["kl"] > 1e-3


def test_the_difference_of_losses_is_that_of_torch(report, oracle):
    gaps = oracle["nll"] - oracle["reference_nll"]
    assert report["nll_difference"] == pytest.approx(gaps.mean(), rel=TOLERANCE)
    assert report["nll_difference_standard_error"] == pytest.approx(standard_error(gaps), rel=TOLERANCE)


def test_the_agreement_is_that_of_torch(report, oracle):
    # One token may have two ids that float32 cannot tell apart.
    assert report["top1_agreement"] == pytest.approx(oracle["agreement"].mean(),
                                                     abs=1.01 / report["tokens"])
    assert 0.1 < report["top1_agreement"] < 1


def test_the_perplexities_and_their_errors_are_those_of_torch(report, oracle):
    perplexity = math.exp(oracle["nll"].mean())
    assert report["tokens"] == SEQUENCES * (SEQ_LEN - 1) and report["sequences"] == SEQUENCES
    assert report["nll"] == pytest.approx(oracle["nll"].mean(), rel=TOLERANCE)
    assert report["nll_standard_error"] == pytest.approx(standard_error(oracle["nll"]), rel=TOLERANCE)
    assert report["perplexity"] == pytest.approx(perplexity, rel=TOLERANCE)
    assert report["perplexity_standard_error"] == pytest.approx(
        perplexity * standard_error(oracle["nll"]), rel=TOLERANCE)
    assert report["reference_perplexity"] == pytest.approx(
        math.exp(oracle["reference_nll"].mean()), rel=TOLERANCE)


def test_eval_without_a_reference_gives_the_same_perplexity(report, perturbed, texts):
    alone = cluster.caldera_json("eval", perturbed, "--text", texts["evaluation"], "--seq-len", SEQ_LEN,
                                 "--max-tokens", MAX_TOKENS)
    for field in ("perplexity", "perplexity_standard_error", "nll", "nll_standard_error"):
        assert alone[field] == pytest.approx(report[field], rel=1e-5)
    assert "kl" not in alone and "reference" not in alone


def test_a_model_does_not_diverge_from_itself(original, texts):
    done = compare(original, original, texts["evaluation"])
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["kl"] == report["kl_p99"] == report["kl_standard_error"] == 0
    assert report["nll_difference"] == 0 and report["top1_agreement"] == 1
    assert report["reference_perplexity"] == report["perplexity"]


def test_one_sequence_has_no_standard_errors(original, perturbed, texts):
    done = compare(perturbed, original, texts["evaluation"], max_tokens=SEQ_LEN)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["sequences"] == 1 and report["kl"] > 0
    for field in ("perplexity", "nll", "nll_difference", "kl"):
        assert report[field + "_standard_error"] is None


def assert_error(done, code, *culprits):
    print(done.stderr)
    assert done.returncode == code, (done.returncode, done.stderr)
    assert done.stdout == ""
    for culprit in culprits:
        assert str(culprit) in done.stderr


def test_another_vocabulary_is_refused(original, make_model, texts):
    other = make_model("llama31", vocabulary_size=400, **SMALL)
    assert_error(compare(other, original, texts["evaluation"]), FAILED, other, original, "400", "512")


def test_another_tokenizer_of_the_same_size_is_refused(original, texts, tmp_path):
    other = shutil.copytree(original, tmp_path / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    ids = tokenizer["model"]["vocab"]
    words = [word for word in ids if len(word) > 1 and word not in (tiny_models.BOS, tiny_models.EOS)]
    ids.update(zip(words, [ids[word] for word in reversed(words)]))
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert_error(compare(other, original, texts["evaluation"]), FAILED, other, original,
                 texts["evaluation"], "tokenizers differ", "window 0")


def test_a_text_too_short_is_refused(original, perturbed, tmp_path):
    text = tmp_path / "short.txt"
    text.write_text("Too few words to score.\n")
    assert_error(compare(perturbed, original, text), FAILED, text, "too short")


def test_a_missing_reference_is_not_found(original, texts, tmp_path):
    assert_error(compare(original, tmp_path / "none", texts["evaluation"]), NOT_FOUND, tmp_path / "none")
