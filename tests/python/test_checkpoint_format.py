"""docs/formats/checkpoint.md, held against what the library writes and decodes."""

import json
import os
import subprocess

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import caldera_numpy_reader as reader

CALDERA = os.path.join(os.environ["CALDERA_BUILD"], "bin", "caldera")
TOOL = os.path.join(os.environ["CALDERA_BUILD"], "bin", "test-encode-matrix")

SHAPES = [(1, 1, 0), (7, 13, 0), (7, 13, 3), (8, 8, 8), (64, 24, 5), (136, 72, 9), (576, 192, 16)]


def encode(path, rows, columns, rank, q_bits=2, l_bits=4, r_bits=4, seed=1, codebook="e8p", axis="rows"):
    arguments = [rows, columns, rank, q_bits, l_bits, r_bits, seed, codebook, axis]
    done = subprocess.run([TOOL, str(path), *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return str(path)


def assert_decodes(path):
    expected = reader.read_weights(path)["matrix"]
    with safe_open(path, framework="numpy") as file:
        actual = file.get_tensor("weight")
    assert actual.shape == expected.shape
    # float32 sums of up to rank + 2 log2(block) terms in the library, float64 here.
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("rows,columns,rank", SHAPES)
def test_numpy_decodes_every_shape(tmp_path, rows, columns, rank):
    assert_decodes(encode(tmp_path / "m.safetensors", rows, columns, rank))


@pytest.mark.parametrize("q_bits", [0, 2, 3, 4])
@pytest.mark.parametrize("l_bits", [4, 8, 16])
@pytest.mark.parametrize("r_bits", [4, 8, 16])
def test_numpy_decodes_every_width(tmp_path, q_bits, l_bits, r_bits):
    assert_decodes(encode(tmp_path / "m.safetensors", 40, 24, 5, q_bits, l_bits, r_bits))


@pytest.mark.parametrize("codebook", ["trellis-10", "trellis-12"])
@pytest.mark.parametrize("q_bits", [2, 3, 4])
@pytest.mark.parametrize("rows", [7, 136, 192])
def test_numpy_decodes_every_trellis(tmp_path, codebook, q_bits, rows):
    assert_decodes(encode(tmp_path / "m.safetensors", rows, 24, 5, q_bits, codebook=codebook))


@pytest.mark.parametrize("q_bits", [2, 3, 4])
@pytest.mark.parametrize("rows,columns", [(1, 1), (7, 13), (136, 24)])
def test_numpy_decodes_codewords_along_rows(tmp_path, q_bits, rows, columns):
    assert_decodes(encode(tmp_path / "m.safetensors", rows, columns, 1, q_bits, axis="columns"))


@pytest.mark.parametrize("codebook", ["e8p", "trellis-10", "trellis-12"])
@pytest.mark.parametrize("q_bits", [2.25, 2.9, 3.3])
@pytest.mark.parametrize("rows,columns", [(7, 13), (136, 24)])
def test_numpy_decodes_columns_of_different_widths(tmp_path, codebook, q_bits, rows, columns):
    assert_decodes(encode(tmp_path / "m.safetensors", rows, columns, 5, q_bits, codebook=codebook))


def test_tensors_are_those_of_the_format(tmp_path):
    path = encode(tmp_path / "m.safetensors", 20, 12, 3, 3, 8, 16)
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys() if name != "weight"}
        header = json.loads(file.metadata()["matrix"])
    layout = {name.removeprefix("matrix."): (t.dtype.name, t.shape) for name, t in tensors.items()}
    assert layout == {
        "q_codes": ("uint16", (3, 12)),
        "q_codes_residual": ("uint8", (3, 12)),
        "q_scale": ("float32", (1,)),
        "l_codes": ("int8", (24, 8)),
        "l_scale": ("float32", (3,)),
        "r_codes": ("float16", (8, 12)),
        "r_scale": ("float32", (3,)),
        "sign_in": ("uint8", (2,)),
        "sign_out": ("uint8", (3,)),
    }
    assert header == {
        "format": "caldera.matrix.v1",
        "rows": 20,
        "columns": 12,
        "rank": 3,
        "codebook": "e8p",
        "codeword_axis": "rows",
        "q_bits": 3,
        "l_bits": 8,
        "r_bits": 16,
        "input_block": 4,
        "output_block": 4,
    }


def test_rank_zero_has_no_factor_tensors(tmp_path):
    path = encode(tmp_path / "m.safetensors", 16, 8, 0)
    with safe_open(path, framework="numpy") as file:
        assert not [name for name in file.keys() if ".l_" in name or ".r_" in name]


def test_a_q_of_no_bits_has_no_tensors(tmp_path):
    path = encode(tmp_path / "m.safetensors", 16, 8, 3, q_bits=0)
    with safe_open(path, framework="numpy") as file:
        assert not [name for name in file.keys() if ".q_" in name]


def random_table(rows, columns, bits, seed):
    """(tensors, header or None) of a table "lm_head" of random codes and halves of every size."""
    draw = np.random.default_rng(seed)

    def halves(*shape):
        return draw.integers(0, 0x7C00, shape, np.uint16).view(np.float16)

    if bits == 8:
        codes = draw.integers(-128, 128, (rows, columns), np.int8)
        return {"lm_head.codes": codes, "lm_head.scale": halves(rows)}, None
    codes = draw.integers(0, 256, (rows, -(-columns // 2)), np.uint8)
    if columns % 2:
        codes[:, -1] &= 15
    header = {"bits": bits, "columns": columns, "format": "caldera.embedding.v1", "rows": rows}
    return {"lm_head.codes": codes, "lm_head.scale": halves(rows, -(-columns // 32)),
            "lm_head.column_scale": halves(columns)}, header


def write_checkpoint(folder, tensors, header):
    """A checkpoint of nothing but the tensors, for the readers that look at no others."""
    folder.mkdir()
    config = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=64, intermediate_size=8,
                  num_hidden_layers=1, num_attention_heads=2, vocab_size=9, max_position_embeddings=8,
                  quantization_config={"quant_method": "caldera", "version": 1})
    (folder / "config.json").write_text(json.dumps(config))
    metadata = {"format": "pt"}
    if header:
        metadata["lm_head"] = json.dumps(header, sort_keys=True, separators=(",", ":"))
    save_file(tensors, folder / "model.safetensors", metadata)
    return folder


def export(folder):
    output = folder.with_name("dense")
    command = [CALDERA, "export", folder, output, "--format", "dense", "--dtype", "f32"]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True), output


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("rows,columns", [(1, 1), (5, 33), (300, 64), (7, 127)])
def test_numpy_reads_the_very_floats_of_a_table(tmp_path, bits, rows, columns):
    folder = write_checkpoint(tmp_path / "in", *random_table(rows, columns, bits, seed=columns))
    expected = reader.read_embeddings(folder / "model.safetensors")["lm_head"]
    done, output = export(folder)
    assert done.returncode == 0, done.stderr
    actual = load_file(output / "model.safetensors")["lm_head.weight"]
    np.testing.assert_array_equal(actual.view(np.uint32), expected.view(np.uint32))


def test_a_table_of_unknown_bits_is_refused_by_name(tmp_path):
    tensors, header = random_table(5, 64, 4, seed=1)
    folder = write_checkpoint(tmp_path / "in", tensors, {**header, "bits": 3})
    done, _ = export(folder)
    assert done.returncode != 0 and "lm_head.codes: tables of 3 bits" in done.stderr
    with pytest.raises(ValueError, match="lm_head.*3 bits"):
        reader.read_embeddings(folder / "model.safetensors")


def test_the_code_tables_are_the_lattices_they_claim():
    words = reader.decode_e8p(np.arange(65536))
    assert len(np.unique(words, axis=0)) == 65536
    shift = np.where(np.arange(65536) >> 15, 0.25, -0.25)
    assert not ((words - shift[:, None]).sum(1) % 2).any()
    assert len(np.unique(reader.BALL, axis=0)) == 256
    norms, counts = np.unique((reader.BALL**2).sum(1), return_counts=True)
    assert dict(zip(norms, counts)) == {0.0: 1, 2.0: 240, 4.0: 15}
