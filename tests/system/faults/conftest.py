"""The job that the fault tests disturb, and what it gives when nobody does."""

import pytest

import checkpoints
import cluster as clusters

SHAPE = dict(hidden_size=256, intermediate_size=512, num_hidden_layers=6)
JOB = ["--samples", 16, "--seq-len", 128, "--rank", 16]


@pytest.fixture(scope="session")
def job(make_model, texts):
    """The model and the flags of `submit`."""
    return make_model("llama2", **SHAPE), ["--calibration", texts["calibration"], *JOB]


@pytest.fixture(scope="session")
def undisturbed(job, tmp_path_factory):
    """{file: sha256}."""
    model, flags = job
    return checkpoints.digests(clusters.compress_undisturbed(tmp_path_factory.mktemp("undisturbed"), model, flags))
