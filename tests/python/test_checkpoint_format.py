"""docs/formats/checkpoint.md, held against what the library writes and decodes."""

import json
import os
import subprocess

import numpy as np
import pytest
from safetensors import safe_open

import caldera_numpy_reader as reader

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


def test_the_code_tables_are_the_lattices_they_claim():
    words = reader.decode_e8p(np.arange(65536))
    assert len(np.unique(words, axis=0)) == 65536
    shift = np.where(np.arange(65536) >> 15, 0.25, -0.25)
    assert not ((words - shift[:, None]).sum(1) % 2).any()
    assert len(np.unique(reader.BALL, axis=0)) == 256
    norms, counts = np.unique((reader.BALL**2).sum(1), return_counts=True)
    assert dict(zip(norms, counts)) == {0.0: 1, 2.0: 240, 4.0: 15}
