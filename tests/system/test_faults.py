"""kill -9 at bad moments: the job finishes, nothing committed is computed again, the bytes are those of
an undisturbed run."""

import json
import os
import pathlib
import signal
import subprocess

import pytest

import checkpoints
import cluster as clusters

LAYERS = 2
SHAPE = dict(hidden_size=256, intermediate_size=512, num_hidden_layers=LAYERS)
JOB = ["--samples", 8, "--seq-len", 64, "--rank", 16]
SHORT_LEASES = ["--lease-seconds", 3, "--heartbeat-seconds", 0.5, "--restart-grace-seconds", 4,
                "--backoff-seconds", 0.2, "--max-failures", 20]


@pytest.fixture(scope="module")
def job(make_model, texts):
    """Arguments of `submit` but for the output."""
    return make_model("llama2", **SHAPE), ["--calibration", texts["calibration"], *JOB]


@pytest.fixture(scope="module")
def undisturbed(job, tmp_path_factory):
    model, flags = job
    return checkpoints.digests(clusters.compress_undisturbed(tmp_path_factory.mktemp("undisturbed"), model, flags))


class Watcher:
    """`caldera watch` on a pipe: events as they happen."""

    def __init__(self, cluster, job):
        command = [clusters.BIN / "caldera", "watch", job, "-o", "jsonl",
                   "--coordinator", cluster.address]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                                        env=clusters.ENVIRONMENT)

    def until(self, type_, count=1):
        """Reads events until `count` of this type came."""
        for line in self.process.stdout:
            count -= json.loads(line)["type"] == type_
            if count == 0:
                return
        raise AssertionError(f"the job ended before {type_} was seen often enough")

    def close(self):
        self.process.kill()
        self.process.communicate()


def wait_for_commits(cluster, job, count):
    watcher = Watcher(cluster, job)
    try:
        watcher.until("matrix.committed", count)
    finally:
        watcher.close()


def committed(cluster, job):
    """(layer, projection) of every committed matrix, with its object."""
    layers = cluster.caldera_json("layers", job)["layers"]
    return {(layer["index"], matrix["projection"]): matrix["object"]["sha256"]
            for layer in layers for matrix in layer["matrices"]}


def assert_whole(cluster, job, undisturbed):
    """Seven commits per layer, and the bytes of the undisturbed run."""
    commits = [(event["layer"], event["matrix"]["projection"]) for event in cluster.events(job)
               if event["type"] == "matrix.committed"]
    assert len(commits) == len(set(commits)) == 7 * LAYERS
    assert checkpoints.digests(cluster.folder / "out") == undisturbed


def attempts(output):
    return {matrix["name"]: matrix["attempt"] for matrix in checkpoints.run_record(output)["matrices"]}


def test_worker_then_coordinator_killed_and_both_restarted(job, undisturbed, start_cluster):
    model, flags = job
    cluster = start_cluster(coordinator_flags=SHORT_LEASES)
    worker = cluster.start_worker()
    output = cluster.folder / "out"
    name = cluster.submit(model, output, *flags)
    wait_for_commits(cluster, name, 2)
    cluster.kill(worker)
    before = committed(cluster, name)
    calls_before = clusters.calls(cluster.scrape(), "CommitMatrix", code="OK")
    assert 2 <= len(before) < 7 * LAYERS
    cluster.kill(cluster.coordinator)

    cluster.start_coordinator()
    assert committed(cluster, name) == before
    cluster.start_worker()
    cluster.wait(name)

    after = committed(cluster, name)
    assert {key: after[key] for key in before} == before
    calls_after = clusters.calls(cluster.scrape(), "CommitMatrix", code="OK")
    print(f"{calls_before:.0f} matrices committed before the kill, {calls_after:.0f} after")
    assert calls_before + calls_after == 7 * LAYERS
    first_layer = [attempts(output)[f"model.layers.{layer}.{projection}"]
                   for layer, projection in before]
    assert set(first_layer) == {1}
    assert_whole(cluster, name, undisturbed)


def test_another_worker_takes_over_when_the_lease_expires(job, undisturbed, start_cluster):
    model, flags = job
    # No second lease: it would have the unit done before the first one expires.
    cluster = start_cluster(coordinator_flags=[*SHORT_LEASES, "--speculate-after", 0])
    worker = cluster.start_worker("first")
    name = cluster.submit(model, cluster.folder / "out", *flags)
    wait_for_commits(cluster, name, 2)
    cluster.kill(worker)
    cluster.start_worker("second")
    cluster.wait(name)
    assert "lease.expired" in [event["type"] for event in cluster.events(name)]
    assert clusters.metric(cluster.scrape(), "caldera_lease_expirations_total") >= 1
    assert_whole(cluster, name, undisturbed)


def test_a_killed_mpi_job_is_replaced(job, undisturbed, start_cluster):
    model, flags = job
    cluster = start_cluster(coordinator_flags=SHORT_LEASES)
    worker = cluster.start_worker(ranks=2)
    name = cluster.submit(model, cluster.folder / "out", *flags)
    wait_for_commits(cluster, name, 3)
    # One dead rank ends the whole MPI job.
    ranks = [pid for pid, line in clusters.children_of(worker.pid).items() if "caldera-worker" in line]
    assert len(ranks) == 2
    subprocess.run(["kill", "-9", str(max(ranks))], check=True)
    worker.wait(timeout=clusters.PATIENCE)
    cluster.start_worker(ranks=2)
    cluster.wait(name)
    assert_whole(cluster, name, undisturbed)


def test_a_worker_outlives_its_coordinator(job, undisturbed, start_cluster):
    model, flags = job
    cluster = start_cluster(port=clusters.free_port(), coordinator_flags=SHORT_LEASES)
    worker = cluster.start_worker()
    output = cluster.folder / "out"
    name = cluster.submit(model, output, *flags)
    wait_for_commits(cluster, name, 3)
    cluster.kill(cluster.coordinator)
    cluster.start_coordinator()
    cluster.wait(name)
    assert worker.poll() is None
    assert_whole(cluster, name, undisturbed)


def test_a_cancelled_job_resumes_to_the_same_bytes(job, undisturbed, start_cluster):
    model, flags = job
    cluster = start_cluster(port=clusters.free_port(), coordinator_flags=SHORT_LEASES)
    cluster.start_worker()
    name = cluster.submit(model, cluster.folder / "out", *flags)
    wait_for_commits(cluster, name, 2)
    assert cluster.caldera_json("cancel", name)["state"] == "CANCELLED"
    before = committed(cluster, name)
    cluster.kill(cluster.coordinator)
    cluster.start_coordinator()
    resumed = cluster.caldera_json("resume", name)
    assert resumed["state"] == "RUNNING" and resumed["progress"]["matrices_committed"] == len(before)
    cluster.wait(name)
    assert {key: committed(cluster, name)[key] for key in before} == before
    assert_whole(cluster, name, undisturbed)


def test_a_hung_rank_costs_its_worker_the_lease_and_its_life(job, undisturbed, start_cluster):
    model, flags = job
    cluster = start_cluster(coordinator_flags=[*SHORT_LEASES, "--stall-seconds", 3])
    worker = cluster.start_worker("hung", ranks=2, flags=["--hang-seconds", 1])
    name = cluster.submit(model, cluster.folder / "out", *flags)
    wait_for_commits(cluster, name, 2)
    followers = [pid for pid, line in clusters.children_of(worker.pid).items() if "caldera-worker" in line
                 and b"OMPI_COMM_WORLD_RANK=1\0" in pathlib.Path(f"/proc/{pid}/environ").read_bytes()]
    os.kill(followers[0], signal.SIGSTOP)  # rank 0 goes on heartbeating
    assert worker.wait(timeout=clusters.PATIENCE) != 0
    assert "ending this process" in cluster.log("hung")
    cluster.start_worker("second")
    cluster.wait(name)
    assert any("made no progress" in event["message"] for event in cluster.events(name))
    assert_whole(cluster, name, undisturbed)


def test_a_job_survives_the_loss_of_the_database(job, undisturbed, start_cluster):
    model, flags = job
    cluster = start_cluster(coordinator_flags=SHORT_LEASES)
    worker = cluster.start_worker("first")
    name = cluster.submit(model, cluster.folder / "out", *flags)
    wait_for_commits(cluster, name, 3)
    before = committed(cluster, name)
    cluster.kill(worker)
    cluster.kill(cluster.coordinator)
    state = cluster.folder / "state"
    refused = clusters.caldera("recover", "--state-dir", state, "--store", f"file://{cluster.store}")
    assert refused.returncode != 0 and "holds 1 jobs" in refused.stderr
    for file in state.glob("state.sqlite*"):
        file.unlink()
    recovered = clusters.caldera("recover", "--state-dir", state, "--store", f"file://{cluster.store}")
    assert recovered.returncode == 0 and f"recovered {name}:" in recovered.stdout, recovered
    cluster.start_coordinator()
    # One more may have been committed before the worker was killed.
    known = committed(cluster, name)
    assert known.items() >= before.items()
    cluster.start_worker("second")
    cluster.caldera_json("resume", name)
    cluster.wait(name)
    after = committed(cluster, name)
    assert len(after) == 7 * LAYERS and after.items() >= known.items()
    # The events of the first part are lost with the database; the bytes are not.
    assert clusters.calls(cluster.scrape(), "CommitMatrix", code="OK") == 7 * LAYERS - len(known)
    assert checkpoints.digests(cluster.folder / "out") == undisturbed
