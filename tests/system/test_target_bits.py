"""`--target-bits`: every matrix gets its own bits, all together stay within what was asked for."""

import pytest

import cluster

# Few matrices take more than 2.1 bits when their columns have 2.
SHAPE = dict(hidden_size=256, intermediate_size=768, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2)
FLAGS = ["--samples", 16, "--seq-len", 64, "--threads", 1]


@pytest.fixture(scope="module")
def compress(make_model, texts, tmp_path_factory):
    """compress(flags...) -> what inspect says of the checkpoint."""
    model = make_model("llama31", **SHAPE)

    def run(*flags):
        output = tmp_path_factory.mktemp("target") / "out"
        cluster.caldera_json("compress", model, output, "--calibration", texts["calibration"], *FLAGS, *flags)
        return cluster.caldera_json("inspect", output)

    return run


@pytest.mark.parametrize("target,rank", [(2.5, 0), (3.25, 0), (3, 8)])
def test_the_target_is_met_and_not_exceeded(compress, target, rank):
    facts = compress("--target-bits", target, "--rank", rank)
    print(f"target {target}, rank {rank}: {facts['bits_per_weight']:.4f} bits per weight")
    assert target - .02 <= facts["bits_per_weight"] <= target
    assert facts["target_bits"] == target
    bits = {matrix["q_bits"] for matrix in facts["matrices"]}
    assert len(bits) > 1 and min(bits) >= 2 and max(bits) <= 4
    assert all(matrix["probe_divergence"] > 0 and matrix["rank"] == rank for matrix in facts["matrices"])


def test_what_matters_most_for_its_size_gets_most_bits(compress):
    matrices = [matrix for matrix in compress("--target-bits", 2.5)["matrices"] if matrix["m"] == matrix["n"]]
    matrices.sort(key=lambda matrix: matrix["probe_divergence"])
    assert len(matrices) == 4  # q and o of two layers
    assert matrices[0]["q_bits"] <= matrices[-1]["q_bits"]


def test_the_target_can_count_the_whole_model(compress):
    facts = compress("--target-bits", 3.75, "--target-bits-include", "embeddings")
    print(f"{facts['model_bits_per_weight']:.4f} bits of the model, {facts['bits_per_weight']:.4f} of its matrices")
    assert 3.74 <= facts["model_bits_per_weight"] <= 3.75
    assert facts["bits_per_weight"] < 3.5  # tables have 8 bits


@pytest.mark.parametrize("flags,field", [
    (["--target-bits", 1.5], "decomposition.target_bits"),
    (["--target-bits", 2], "decomposition.target_bits"),  # no room for scales and signs
    (["--target-bits", 2.5, "--q-bits", 3], "decomposition.q_bits"),
    (["--target-bits", 2.5, "--recipe", "published"], "decomposition.target_bits"),
    (["--target-bits", 2.5, "--target-bits-include", "norms"], "decomposition.target_bits_include"),
])
def test_a_target_that_cannot_be_is_refused_by_name(flags, field, make_model, texts, tmp_path):
    done = cluster.caldera("compress", make_model("llama31", **SHAPE), tmp_path / "out",
                           "--calibration", texts["calibration"], *FLAGS, *flags)
    assert done.returncode != 0 and field in done.stderr
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_an_estimate_takes_a_target(make_model):
    estimate = cluster.caldera_json("estimate", make_model("llama31", **SHAPE), "--target-bits", 2.5)
    assert 2.4 < estimate["bits_per_weight"] <= 2.5
