"""`caldera decompose` on one matrix: its figures against numpy and against the operating system's."""

import json
import resource

import numpy as np
import pytest
from safetensors.numpy import save_file

import caldera_numpy_reader
import cluster

ROWS, COLUMNS = 384, 320


def make_case(rows, columns, seed=3):
    """A weight and the covariance of correlated inputs, float32."""
    draw = np.random.default_rng(seed)
    mixing = draw.normal(size=(columns, columns)) * 1.1 ** -np.arange(columns)[:, None] ** 0.7
    samples = draw.normal(size=(4 * columns, columns)) @ (mixing + 0.3 * np.eye(columns))
    hessian = (samples.T @ samples / len(samples)).astype(np.float32)
    low_rank = draw.normal(size=(rows, 12)) @ draw.normal(size=(12, columns)) / 12
    weight = (0.02 * (draw.normal(size=(rows, columns)) + low_rank)).astype(np.float32)
    return {"weight": weight, "hessian": (hessian + hessian.T) / 2}


@pytest.fixture(scope="module")
def case():
    return make_case(ROWS, COLUMNS)


@pytest.fixture(scope="module")
def case_file(case, tmp_path_factory):
    path = tmp_path_factory.mktemp("case") / "case.safetensors"
    save_file(case, path)
    return path


def relative_error(case, decoded):
    """sqrt(tr(D H D^T) / tr(W H W^T)) in float64."""
    weight, hessian = case["weight"].astype(np.float64), case["hessian"].astype(np.float64)
    difference = weight - decoded
    energy = [np.einsum("ij,jk,ik->", a, hessian, a, optimize=True) for a in (difference, weight)]
    return np.sqrt(energy[0] / energy[1])


SETTINGS = [(2, 0, 4, "e8p"), (2, 64, 4, "e8p"), (2, 13, 16, "e8p"), (3, 16, 8, "e8p"), (4, 0, 4, "e8p"),
            (2, 64, 4, "trellis-10"), (3, 0, 4, "trellis-12"), (4, 16, 16, "trellis"),
            (2.5, 0, 4, "trellis-10"), (2.3, 32, 4, "e8p"), (3.25, 8, 16, "e8p")]


@pytest.mark.parametrize("q_bits,rank,factor_bits,codebook", SETTINGS)
def test_numpy_finds_the_error_that_is_printed(case, case_file, tmp_path, q_bits, rank, factor_bits, codebook):
    codes = tmp_path / "codes.safetensors"
    report = cluster.caldera_json("decompose", "--input", case_file, "--q-bits", q_bits, "--rank", rank,
                                  "--factor-bits", factor_bits, "--codebook", codebook, "--threads", 2,
                                  "--output", codes)
    decoded = caldera_numpy_reader.read_weights(codes)["weight"]
    expected = relative_error(case, decoded)
    print(f"{codebook} {q_bits} bits, rank {rank}: {report['relative_error']:.5f}, "
          f"{report['bits_per_weight']:.2f} bits, {report['seconds']:.2f} s")
    assert report["relative_error"] == pytest.approx(expected, rel=1e-4)
    assert 0 < expected < 1
    bits = q_bits + rank * factor_bits * (ROWS + COLUMNS) / (ROWS * COLUMNS)
    assert bits <= report["bits_per_weight"] < 1.2 * bits + 0.2
    assert report["peak_rss_bytes"] > 4 * ROWS * COLUMNS
    assert 0 < sum(report["step_seconds"].values()) <= report["seconds"] + 0.01  # each to a millisecond
    assert (report["step_seconds"]["low_rank"] > 0) == (rank > 0)


def test_more_bits_and_rank_give_less_error(case_file):
    errors = [cluster.caldera_json("decompose", "--input", case_file, "--q-bits", q_bits, "--rank", rank,
                                   "--factor-bits", 8)["relative_error"]
              for q_bits, rank in ((2, 0), (2, 32), (4, 32))]
    assert errors[0] > errors[1] > errors[2]


def test_threads_do_not_change_a_byte(case_file, tmp_path):
    files = []
    for threads in (1, 2, 3):
        files.append(tmp_path / f"{threads}.safetensors")
        cluster.caldera_json("decompose", "--input", case_file, "--rank", 24, "--threads", threads,
                             "--output", files[-1])
    assert len({path.read_bytes() for path in files}) == 1


def cpu_of(*arguments):
    """User and system seconds of one `caldera` run, and the run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = cluster.caldera(*arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done


def test_cpu_seconds_are_those_of_the_operating_system(tmp_path):
    case = make_case(1024, 768)
    save_file(case, tmp_path / "case.safetensors")
    # As many bytes in a shape that is refused as soon as it is read.
    load_only = {**case, "hessian": case["hessian"].reshape(384, 1536)}
    save_file(load_only, tmp_path / "load.safetensors")
    flags = ["--rank", 64, "--threads", 2, "-o", "json"]
    load, refused = cpu_of("decompose", "--input", tmp_path / "load.safetensors", *flags)
    assert refused.returncode == 1 and "hessian" in refused.stderr
    whole, done = cpu_of("decompose", "--input", tmp_path / "case.safetensors", *flags)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["cpu_seconds"]
    print(f"cpu_seconds {told:.3f}; measured {whole:.3f} less {load:.3f} for loading")
    assert abs(told - (whole - load)) <= 0.1 * (whole - load) + 0.05


@pytest.mark.parametrize("missing", ["weight", "hessian"])
def test_a_missing_tensor_is_named(case, tmp_path, missing):
    path = tmp_path / "part.safetensors"
    save_file({name: tensor for name, tensor in case.items() if name != missing}, path)
    done = cluster.caldera("decompose", "--input", path)
    assert done.returncode == 3
    assert missing in done.stderr and "part.safetensors" in done.stderr


@pytest.mark.parametrize("spoilt,where", [("weight", (7, 9)), ("hessian", (5, 5))])
def test_a_value_that_is_no_number_is_named(case, tmp_path, spoilt, where):
    tensor = case[spoilt].copy()
    tensor[where] = np.nan
    path = tmp_path / "nan.safetensors"
    save_file({**case, spoilt: tensor}, path)
    done = cluster.caldera("decompose", "--input", path)
    assert done.returncode == 1
    for word in (spoilt, f"row {where[0]}", f"column {where[1]}", "nan.safetensors"):
        assert word in done.stderr


@pytest.mark.parametrize("flags", [["--rank", 320], ["--q-bits", 5], ["--factor-bits", 3]],
                         ids=lambda flags: flags[0])
def test_options_out_of_range_are_refused(case_file, flags):
    done = cluster.caldera("decompose", "--input", case_file, *flags)
    assert done.returncode in (1, 2) and done.stdout == "" and done.stderr != ""
