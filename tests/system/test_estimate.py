"""`caldera estimate`: what it foretells against what `caldera compress` then stores, and models of 70 billion
parameters from their headers alone."""

import json
import struct
import subprocess
import sys

import pytest

import checkpoints
import cluster

FAILED, USAGE, NOT_FOUND = 1, 2, 3
SMALL = dict(hidden_size=96, intermediate_size=160, num_hidden_layers=2, num_attention_heads=3,
             num_key_value_heads=1)
MEBIBYTE = 1 << 20

SETTINGS = {
    "smollm2": [
        ["--rank", 0],
        ["--rank", 16],
        ["--rank", 9, "--q-bits", 2.5, "--l-bits", 8],
        ["--rank", 0, "--q-bits", 3.3, "--codebook", "e8p", "--embedding-bits", 16],
    ],
    "llama31": [
        ["--rank", 12, "--factor-bits", 16, "--iterations", 1],
        ["--rank", 0, "--q-bits", 3, "--codebook", "trellis-12"],
        ["--rank", 4, "--recipe", "published", "--iterations", 1, "--embedding-bits", 16],
    ],
}
CASES = [(kind, flags) for kind, settings in SETTINGS.items() for flags in settings]


@pytest.mark.parametrize("kind,flags", CASES, ids=lambda value: " ".join(map(str, value)))
def test_sizes_are_those_of_the_checkpoint(make_model, texts, tmp_path, kind, flags):
    model, out = make_model(kind, **SMALL), tmp_path / "out"
    estimate = cluster.caldera_json("estimate", model, *flags)
    summary = cluster.caldera_json("compress", model, out, "--calibration", texts["calibration"],
                                   "--samples", 8, "--seq-len", 32, *flags)
    facts = cluster.caldera_json("inspect", out)
    assert estimate["bits_per_weight"] == summary["bits_per_weight"]
    assert estimate["model_bits_per_weight"] == summary["model_bits_per_weight"]
    assert estimate["source_bytes"] == summary["source_bytes"]
    assert 2 * estimate["parameters"] == summary["bfloat16_bytes"]
    stored = {matrix["name"]: matrix for matrix in facts["matrices"]}
    for layer in range(SMALL["num_hidden_layers"]):
        for projection in estimate["projections"]:
            matrix = stored.pop(f"model.layers.{layer}.{projection['name']}")
            assert (projection["rows"], projection["columns"]) == (matrix["m"], matrix["n"])
            assert projection["bits_per_weight"] == matrix["bits_per_weight"]
            weights = matrix["m"] * matrix["n"]
            assert 8 * projection["bytes"] == round(matrix["bits_per_weight"] * weights)
    assert not stored
    assert estimate["matrix_bytes"] == SMALL["num_hidden_layers"] * sum(
        projection["bytes"] for projection in estimate["projections"])
    assert estimate["embedding_bytes"] == tensor_bytes(out / "model-00001-of-00003.safetensors")
    assert estimate["output_bytes"] == pytest.approx(summary["output_bytes"], rel=5e-3)


def tensor_bytes(path):
    """Of a safetensors file without its header."""
    with open(path, "rb") as file:
        return path.stat().st_size - 8 - struct.unpack("<Q", file.read(8))[0]


def test_a_job_needs_more_with_more_to_do(make_model):
    model = make_model("smollm2", **SMALL)

    def needs(*flags):
        estimate = cluster.caldera_json("estimate", model, *flags)
        assert estimate["flops"] > 0 and estimate["cpu_hours"] > 0
        assert estimate["peak_memory_bytes"] > MEBIBYTE
        return estimate

    plain, factors = needs("--rank", 0), needs("--rank", 16)
    assert factors["flops"] > plain["flops"]
    assert needs("--samples", 256, "--rank", 0)["flops"] > plain["flops"]
    assert needs("--rank", 0, "--seq-len", 1024)["peak_memory_bytes"] > plain["peak_memory_bytes"]


def test_the_rates_of_another_machine_replace_those_of_this_one(make_model, tmp_path):
    model = make_model("smollm2", **SMALL)
    rates = tmp_path / "rates.json"
    first = cluster.caldera_json("estimate", model, "--rank", 8)
    rates.write_text(json.dumps(first))
    again = cluster.caldera_json("estimate", model, "--rank", 8, "--rates", rates)
    assert again["cpu_hours"] == first["cpu_hours"] and again["rates"] == first["rates"]
    half = {name: rate / 2 for name, rate in first["rates"].items()}
    rates.write_text(json.dumps(half))
    slow = cluster.caldera_json("estimate", model, "--rank", 8, "--rates", rates, "--workers", 2,
                                "--cores", 4)
    assert slow["cpu_hours"] == pytest.approx(2 * first["cpu_hours"])
    assert slow["hours"] < slow["cpu_hours"]
    assert (slow["workers"], slow["cores"]) == (2, 4)


def test_a_coordinator_says_the_same_of_the_model_on_its_host(make_model, start_cluster, tmp_path):
    model, rates = make_model("smollm2", **SMALL), tmp_path / "rates.json"
    flags = ["--rank", 8, "--q-bits", 2.5, "--workers", 3, "--cores", 2, "--rates", rates]
    rates.write_text(json.dumps(cluster.caldera_json("estimate", model, "--rank", 8)))
    here = cluster.caldera_json("estimate", model, *flags)
    running = start_cluster()
    assert running.caldera_json("estimate", model, *flags) == here
    refused = running.caldera("estimate", model, "--rank", 32)
    assert refused.returncode == FAILED and "decomposition.rank" in refused.stderr
    missing = running.caldera("estimate", tmp_path / "none")
    assert missing.returncode == NOT_FOUND and "none" in missing.stderr
    assert running.caldera_json("list")["jobs"] == []


def test_the_table_is_for_people(make_model):
    done = cluster.caldera("estimate", make_model("smollm2", **SMALL), "--rank", 8)
    assert done.returncode == 0, done.stderr
    for text in ["bits_per_weight", "MiB", "hours", "mlp.down_proj", "PROJECTION"]:
        assert text in done.stdout


@pytest.mark.parametrize("flags,culprit", [
    (["--rank", 32], "decomposition.rank"),
    (["--rank", -1], "decomposition.rank"),
    (["--q-bits", 5], "decomposition.q_bits"),
    (["--factor-bits", 5], "decomposition.l_bits"),
    (["--embedding-bits", 7], "embedding_bits"),
    (["--codebook", "abc"], "decomposition.codebook"),
    (["--recipe", "abc"], "decomposition.recipe"),
    (["--seq-len", 1], "calibration.seq_len"),
    (["--samples", 3, "--ranges", 9], "calibration.ranges"),
], ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else value)
def test_bad_settings_are_refused_as_compress_refuses_them(make_model, texts, tmp_path, flags, culprit):
    model = make_model("smollm2", **SMALL)
    refused = cluster.caldera("estimate", model, *flags)
    assert refused.returncode == FAILED and culprit in refused.stderr and refused.stdout == ""
    compress = cluster.caldera("compress", model, tmp_path / "out", "--calibration",
                               texts["calibration"], *flags)
    assert compress.returncode == FAILED
    told = refused.stderr.removeprefix("caldera: ").strip()
    assert told in compress.stderr


def test_bad_places_and_rates(make_model, tmp_path):
    model, rates = make_model("smollm2", **SMALL), tmp_path / "rates.json"
    missing = cluster.caldera("estimate", tmp_path / "none")
    assert missing.returncode == NOT_FOUND and "none" in missing.stderr
    for text, culprit in [("{", "rates.json"), ('{"sgemm_flops": 1}', "e8p_2"),
                          ('{"sgemm_flops": -1}', "sgemm_flops")]:
        rates.write_text(text)
        bad = cluster.caldera("estimate", model, "--rank", 8, "--rates", rates)
        assert bad.returncode == FAILED and culprit in bad.stderr and bad.stdout == ""
    gone = cluster.caldera("estimate", model, "--rank", 8, "--rates", tmp_path / "no.json")
    assert gone.returncode == NOT_FOUND and "no.json" in gone.stderr
    assert cluster.caldera("estimate", model, "--workers", 0).returncode == USAGE
    assert cluster.caldera("estimate").returncode == USAGE


LLAMA_70B = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_act="silu",
                 hidden_size=8192, intermediate_size=28672, num_hidden_layers=80,
                 num_attention_heads=64, num_key_value_heads=8, rms_norm_eps=1e-5,
                 tie_word_embeddings=False, torch_dtype="bfloat16")
LARGE = {
    "llama-2-70b": dict(LLAMA_70B, vocab_size=32000, max_position_embeddings=4096,
                        rope_theta=10000.0),
    "llama-3-70b": dict(LLAMA_70B, vocab_size=128256, max_position_embeddings=8192,
                        rope_theta=500000.0),
}


def shapes(config):
    """{tensor: shape} of a Llama."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    keys = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    outputs = dict(zip(checkpoints.PROJECTIONS, [hidden, keys, keys, hidden, inner, inner, hidden]))
    tensors = {"model.embed_tokens.weight": [config["vocab_size"], hidden],
               "model.norm.weight": [hidden], "lm_head.weight": [config["vocab_size"], hidden]}
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        for name, rows in outputs.items():
            tensors[f"{prefix}{name}.weight"] = [rows, inner if "down" in name else hidden]
        for norm in ["input_layernorm", "post_attention_layernorm"]:
            tensors[f"{prefix}{norm}.weight"] = [hidden]
    return tensors


def save_sparse(folder, config, count):
    """A model of the true shapes in `count` shards that take no space: a header and a hole each."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    places, tensors = {}, list(shapes(config).items())
    for number in range(count):
        name, header, end = f"model-{number + 1:05}-of-{count:05}.safetensors", {}, 0
        for tensor, shape in tensors[number * len(tensors) // count:(number + 1) * len(tensors) // count]:
            size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
            header[tensor] = dict(dtype="BF16", shape=shape, data_offsets=[end, end + size])
            places[tensor] = name
            end += size
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(folder / name, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            file.truncate(8 + len(text) + end)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


MEASURE = """
import json, resource, subprocess, sys, time
started = time.monotonic()
print(subprocess.run(sys.argv[1:], check=True, capture_output=True, text=True).stdout)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps(dict(seconds=time.monotonic() - started, cpu_seconds=usage.ru_utime + usage.ru_stime,
                      peak_rss_bytes=usage.ru_maxrss << 10)), file=sys.stderr)
"""


def measured(*arguments):
    """The JSON of a command and what it used, told by a small process: a child's peak counts from its parent's."""
    command = [sys.executable, "-c", MEASURE, cluster.BIN / "caldera", *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True,
                          env=cluster.ENVIRONMENT)
    return json.loads(done.stdout), json.loads(done.stderr)


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("flags", [["--q-bits", 2.5, "--rank", 0], ["--rank", 256]],
                         ids=lambda flags: " ".join(map(str, flags)))
def test_seventy_billion_parameters_from_headers(tmp_path, name, flags):
    config = LARGE[name]
    save_sparse(tmp_path / name, config, 30)
    estimate, usage = measured("estimate", tmp_path / name, *flags, "-o", "json")
    print(usage, json.dumps(estimate))
    assert usage["peak_rss_bytes"] < 200 * MEBIBYTE
    parameters = sum(shape[0] * (shape[1] if len(shape) > 1 else 1) for shape in shapes(config).values())
    assert estimate["parameters"] == parameters
    assert estimate["source_bytes"] > 2 * parameters
    assert 2 < estimate["bits_per_weight"] < estimate["model_bits_per_weight"] < 4
    assert estimate["output_bytes"] == pytest.approx(
        parameters * estimate["model_bits_per_weight"] / 8, rel=1e-3)
    # H of down_proj alone, as given, rotated and factored.
    assert estimate["peak_memory_bytes"] > 3 * 4 * config["intermediate_size"] ** 2
    assert estimate["flops"] > 2 * 128 * 512 * .9 * parameters  # the forward pass alone
