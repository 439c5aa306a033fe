"""`caldera lplr` on scikit-learn's handwritten digits: its figures against numpy's, its readers against numpy's files."""

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from sklearn.datasets import load_digits

import caldera_numpy_reader
import cluster

FAILED, USAGE, NOT_FOUND = 1, 2, 3


@pytest.fixture(scope="module")
def digits():
    """1797 x 64 grey values from 0 to 16, float64."""
    return load_digits().data


@pytest.fixture(scope="module")
def digits_file(digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("digits") / "digits.npy"
    np.save(path, digits.astype(np.uint8))
    return path


def relative_error(data, approximation):
    return np.linalg.norm(data - approximation) / np.linalg.norm(data)


def truncated_svd(data, rank, dtype):
    """The best rank-`rank` approximation from factors rounded to `dtype`, singular values split evenly."""
    u, s, v = np.linalg.svd(data, full_matrices=False)
    root = np.sqrt(s[:rank])
    left, right = (u[:, :rank] * root).astype(dtype), (root[:, None] * v[:rank]).astype(dtype)
    return left.astype(np.float64) @ right.astype(np.float64)


SETTINGS = [(8, 4, 0), (32, 4, 0), (13, 8, 0), (32, 16, 0), (64, 8, 0), (8, 4, 2), (16, 8, 3), (5, 16, 4)]


@pytest.mark.parametrize("rank,bits,residual_bits", SETTINGS)
def test_numpy_finds_the_figures_that_are_printed(digits, digits_file, tmp_path, rank, bits, residual_bits):
    codes, copy = tmp_path / "codes.safetensors", tmp_path / "copy.npy"
    report = cluster.caldera_json("lplr", "--input", digits_file, "--rank", rank, "--bits", bits,
                                  "--residual-bits", residual_bits, "--threads", 2, "--output", codes,
                                  "--reconstruct", copy)
    decoded = caldera_numpy_reader.read_weights(codes)["data"]
    print(f"rank {rank} at {bits} bits, residual {residual_bits}: error {report['relative_error']:.5f} "
          f"({report['unquantised_error']:.5f} unquantised), {report['bits_per_value']:.3f} bits")
    assert report["relative_error"] == pytest.approx(relative_error(digits, decoded), rel=1e-4)
    reconstructed = np.load(copy)
    assert reconstructed.dtype == np.float32 and reconstructed.flags["C_CONTIGUOUS"]
    np.testing.assert_allclose(reconstructed, decoded, rtol=0, atol=1e-4)
    assert report["relative_error"] == pytest.approx(relative_error(digits, reconstructed), rel=1e-9)
    with safe_open(codes, framework="numpy") as file:
        stored = sum(file.get_tensor(name).nbytes for name in file.keys())
    assert report["bytes"] == stored and report["file_bytes"] == codes.stat().st_size
    assert report["bits_per_value"] == pytest.approx(8 * stored / digits.size)
    assert report["compression_ratio"] == pytest.approx(4 * digits.size / stored)
    svd = relative_error(digits, truncated_svd(digits, rank, np.float64))
    assert svd - 1e-6 <= report["unquantised_error"] <= 1.01 * svd + 1e-6


@pytest.mark.parametrize("rank,residual_bits", [(16, 0), (32, 0), (61, 0), (8, 2)])
def test_it_beats_a_truncated_svd_in_float16_at_the_same_bits(digits, digits_file, rank, residual_bits):
    report = cluster.caldera_json("lplr", "--input", digits_file, "--rank", rank, "--bits", 4,
                                  "--residual-bits", residual_bits)
    rows, columns = digits.shape
    bits_per_rank = 16 * (rows + columns) / digits.size
    svd_rank = int(np.ceil(report["bits_per_value"] / bits_per_rank))  # not fewer bits than ours
    svd = relative_error(digits, truncated_svd(digits, svd_rank, np.float16))
    print(f"{report['bits_per_value']:.3f} bits: lplr rank {rank}, residual {residual_bits}: "
          f"{report['relative_error']:.4f} ({report['unquantised_error']:.4f} unquantised); {svd_rank * bits_per_rank:.3f} bits: SVD in float16, rank "
          f"{svd_rank}: {svd:.4f}")
    assert report["relative_error"] < 0.85 * svd


def compress(path, output, *flags):
    """The bytes that a small compression of `path` writes."""
    cluster.caldera_json("lplr", "--input", path, "--rank", 4, "--output", output, *flags)
    return output.read_bytes()


@pytest.fixture(scope="module")
def expected(digits_file, tmp_path_factory):
    return compress(digits_file, tmp_path_factory.mktemp("expected") / "codes.safetensors")


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_dtype_and_order_of_numpy_gives_the_same_bytes(digits, expected, tmp_path, dtype, order):
    path = tmp_path / "x.npy"
    np.save(path, digits.astype(dtype, order=order))
    assert compress(path, tmp_path / "codes.safetensors") == expected


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_npy_gives_the_same_bytes(digits, expected, tmp_path, version):
    path = tmp_path / "x.npy"
    with path.open("wb") as file:
        np.lib.format.write_array(file, digits, version=version)
    assert compress(path, tmp_path / "codes.safetensors") == expected


@pytest.mark.parametrize("header", ["", "pixel 0" + ",pixel" * 63])
def test_csv_gives_the_same_bytes(digits, expected, tmp_path, header):
    path = tmp_path / "x.csv"
    np.savetxt(path, digits, delimiter=",", header=header, comments="")
    assert compress(path, tmp_path / "codes.safetensors") == expected


def test_a_tensor_of_several_gives_the_same_bytes(digits, expected, tmp_path):
    path, codes = tmp_path / "x.safetensors", tmp_path / "codes.safetensors"
    save_file({"digits": digits.astype(np.float32), "other": np.eye(3, dtype=np.float32)}, path)
    assert compress(path, codes, "--tensor", "digits") == expected
    done = cluster.caldera("lplr", "--input", path, "--rank", 4)
    assert done.returncode == FAILED and "digits, other" in done.stderr


def test_threads_do_not_change_a_byte_and_seeds_do(digits_file, expected, tmp_path):
    for threads in (1, 2, 3):
        assert compress(digits_file, tmp_path / "codes.safetensors", "--threads", threads) == expected
    assert compress(digits_file, tmp_path / "codes.safetensors", "--seed", 1) != expected


@pytest.mark.parametrize("text,culprits", [
    ("1,2\n3,x\n", ["line 2", "column 2", '"x"']),
    ("a,b\n1,2\n3\n", ["line 3", "1 columns"]),
    ("1,2\n,4\n", ["line 2", "column 1", "empty"]),
    ("1,2\n3,nan\n", ["line 2", "column 2", "nan"]),
    ("1,inf\n3,4\n", ["line 1", "column 2", "inf"]),
    ("", ["no line of numbers"]),
], ids=["word", "ragged", "empty cell", "nan", "inf", "empty file"])
def test_bad_csv_is_refused_by_place(tmp_path, text, culprits):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    done = cluster.caldera("lplr", "--input", path, "--rank", 1)
    assert done.returncode == FAILED and done.stdout == ""
    for culprit in [str(path), *culprits]:
        assert culprit in done.stderr


@pytest.mark.parametrize("array,culprits", [
    (np.arange(5.0), ["1 dimensions"]),
    (np.zeros((2, 2, 2)), ["3 dimensions"]),
    (np.zeros((2, 2), dtype=">f4"), ["big-endian"]),
    (np.zeros((2, 2), dtype=complex), ["<c16"]),
    (np.zeros((2, 2), dtype=bool), ["|b1"]),
    (np.array([["a", "b"]]), ["<U1"]),
    (np.zeros((0, 4)), ["0 x 4"]),
    (np.array([[1, 2], [3, np.nan]]), ["row 1", "column 1", "not finite"]),
    (np.array([[1, 1e300], [3, 4]]), ["row 0", "column 1", "float32"]),
], ids=["vector", "cube", "big-endian", "complex", "bool", "text", "no rows", "nan", "too large"])
def test_bad_npy_is_refused_by_what_is_wrong(tmp_path, array, culprits):
    path = tmp_path / "bad.npy"
    np.save(path, array)
    done = cluster.caldera("lplr", "--input", path, "--rank", 1)
    assert done.returncode == FAILED and done.stdout == ""
    for culprit in [str(path), *culprits]:
        assert culprit in done.stderr


@pytest.mark.parametrize("flags,code,culprit", [
    (["--rank", 65], FAILED, "rank 65 of a 1797 x 64 matrix"),
    (["--rank", 0], FAILED, "rank 0"),
    (["--rank", 4, "--bits", 5], FAILED, "5 bits"),
    (["--rank", 4, "--residual-bits", 8], FAILED, "residual of 8 bits"),
    (["--rank", 4, "--tensor", "w"], FAILED, "no named tensors"),
    ([], USAGE, "--rank"),
], ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None)
def test_bad_options_are_refused(digits_file, flags, code, culprit):
    done = cluster.caldera("lplr", "--input", digits_file, *flags)
    assert done.returncode == code and done.stdout == "" and culprit in done.stderr


def test_a_missing_file_is_named(tmp_path):
    done = cluster.caldera("lplr", "--input", tmp_path / "none.npy", "--rank", 1)
    assert done.returncode == NOT_FOUND and "none.npy" in done.stderr
