"""Drawn faults against real processes: every job ends with the bytes of an undisturbed run, each matrix committed
once. CALDERA_FAULTS (tests/run.sh --faults N) is how many; a seed that failed is run again by CALDERA_FAULT_SEED."""

import collections
import os

import pytest

import checkpoints
import cluster as clusters
import fault_schedule

FAULTS = int(os.environ.get("CALDERA_FAULTS", 10))
FIRST_SEED = int(os.environ.get("CALDERA_FAULT_SEED", 1))
IN_ONE_RUN = 10
LAYERS = 6
SHAPE = dict(hidden_size=256, intermediate_size=512, num_hidden_layers=LAYERS)
JOB = ["--samples", 16, "--seq-len", 128, "--rank", 16]


@pytest.fixture(scope="module")
def job(make_model, texts):
    return make_model("llama2", **SHAPE), ["--calibration", texts["calibration"], *JOB]


@pytest.fixture(scope="module")
def undisturbed(job, tmp_path_factory):
    model, flags = job
    return checkpoints.digests(clusters.compress_undisturbed(tmp_path_factory.mktemp("undisturbed"), model, flags))


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + -(-FAULTS // IN_ONE_RUN)))
def test_drawn_faults_lose_nothing_and_commit_nothing_twice(job, undisturbed, start_cluster, seed):
    model, flags = job
    cluster = start_cluster(port=clusters.free_port(), coordinator_flags=fault_schedule.FLAGS)
    name = cluster.submit(model, cluster.folder / "out", *flags)
    done = fault_schedule.run(cluster, name, seed, IN_ONE_RUN)
    print(f"seed {seed}: {sum(done.values())} faults: {dict(done)}")
    result = cluster.caldera_json("get", name)
    assert result["state"] == "SUCCEEDED", (result.get("error"), cluster.logs())
    commits = collections.Counter((event["layer"], event["matrix"]["projection"])
                                  for event in cluster.events(name) if event["type"] == "matrix.committed")
    assert len(commits) == 7 * LAYERS and set(commits.values()) == {1}
    assert checkpoints.digests(cluster.folder / "out") == undisturbed
