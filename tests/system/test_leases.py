"""What leases promise, with real processes: cancellation in the middle of a matrix, workers with an end of time, a second
worker for a unit that runs late."""

import contextlib
import os
import signal
import subprocess
import threading
import time

import pytest

import checkpoints
import cluster as clusters

# One layer whose matrices take a minute and more each on one core.
LARGE = dict(hidden_size=2048, intermediate_size=2048, num_hidden_layers=1)
FEW_TOKENS = ["--samples", 4, "--seq-len", 32, "--rank", 64]


def worker_of(cluster, worker_id="worker"):
    workers = cluster.caldera_json("workers")["workers"]
    return next((worker for worker in workers if worker["worker_id"] == worker_id), {})


def wait_for_matrix(cluster):
    """Until the worker is in the middle of its first matrix."""
    clusters.wait_for(lambda: "layer 0 self_attn" in worker_of(cluster).get("lease", ""), "the first matrix", pause=.2)
    time.sleep(3)


def types(cluster, job):
    return [event["type"] for event in cluster.events(job)]


@pytest.mark.parametrize("ranks", [0, 2])
def test_a_cancelled_job_frees_its_worker_in_the_middle_of_a_matrix(make_model, texts, start_cluster, ranks):
    cluster = start_cluster()  # with the default heartbeat of 15 s
    worker = cluster.start_worker(ranks=ranks)
    model = make_model("llama2", **LARGE)
    job = cluster.submit(model, cluster.folder / "out", "--calibration", texts["calibration"], *FEW_TOKENS)
    wait_for_matrix(cluster)
    cluster.caldera_json("cancel", job)
    cancelled = time.monotonic()
    clusters.wait_for(lambda: "ended" in cluster.log("worker"), "the end of the task", pause=.05)
    print(f"{ranks} ranks: {time.monotonic() - cancelled:.1f} s from the cancellation to the end of the task")
    assert types(cluster, job).count("matrix.committed") < len(checkpoints.PROJECTIONS)
    # The same processes take on the next job.
    assert worker.poll() is None
    small = make_model("llama2", hidden_size=64, intermediate_size=128, num_hidden_layers=1)
    flags = ["--calibration", texts["calibration"], "--samples", 4, "--seq-len", 32, "--rank", 8]
    cluster.wait(cluster.submit(small, cluster.folder / "next", *flags))


@pytest.mark.parametrize("ranks", [0, 2])
def test_a_drain_does_not_wait_for_a_matrix_that_does_not_fit(make_model, texts, start_cluster, ranks):
    cluster = start_cluster()
    worker = cluster.start_worker(ranks=ranks)  # with a drain timeout of 0
    model = make_model("llama2", **LARGE)
    job = cluster.submit(model, cluster.folder / "out", "--calibration", texts["calibration"], *FEW_TOKENS)
    wait_for_matrix(cluster)
    worker.send_signal(signal.SIGUSR1)
    asked = time.monotonic()
    assert worker.wait(timeout=clusters.PATIENCE) == 0
    print(f"{ranks} ranks: {time.monotonic() - asked:.1f} s from the signal to the exit")
    cluster.caldera_json("cancel", job)
    released = [event["message"] for event in cluster.events(job) if event["type"] == "lease.released"]
    assert len(released) == 1 and "drained" in released[0], released


def test_a_worker_takes_on_nothing_that_it_has_no_time_for(make_model, texts, start_cluster):
    cluster = start_cluster(coordinator_flags=["--lease-seconds", 60])
    model = make_model("llama2", hidden_size=64, intermediate_size=128, num_hidden_layers=1)
    flags = ["--calibration", texts["calibration"], "--samples", 4, "--seq-len", 32, "--rank", 8]
    job = cluster.submit(model, cluster.folder / "out", *flags)
    hurried = cluster.start_worker("hurried", flags=["--available-seconds", 5])
    assert hurried.wait(timeout=clusters.PATIENCE) == 0
    assert "the time of this worker is over" in cluster.log("hurried")
    assert cluster.caldera_json("get", job)["state"] == "PENDING"
    cluster.start_worker("leisurely", flags=["--available-until", "2999-12-31T23:59:59Z"])
    cluster.wait(job)


def test_the_end_of_a_workers_time_is_parsed_strictly():
    for flags in (["--available-until", "tomorrow"], ["--available-seconds", "-1"],
                  ["--available-until", "2999-12-31T23:59:59Z", "--available-seconds", "9"]):
        command = [clusters.BIN / "caldera-worker", "--coordinator", "127.0.0.1:1", *flags]
        assert subprocess.run(command, capture_output=True).returncode == 2, flags


@contextlib.contextmanager
def slowed(process):
    """The process computes a tenth of the time, and is alive all of it."""
    over = threading.Event()

    def pulse():
        while process.poll() is None and not over.is_set():
            os.kill(process.pid, signal.SIGSTOP)
            time.sleep(.18)
            os.kill(process.pid, signal.SIGCONT)
            time.sleep(.02)

    thread = threading.Thread(target=pulse)
    thread.start()
    yield
    over.set()
    thread.join()


def test_a_unit_that_runs_late_gets_a_second_worker_and_the_same_bytes(make_model, texts, start_cluster, tmp_path):
    model = make_model("llama2", hidden_size=256, intermediate_size=512, num_hidden_layers=4)
    flags = ["--calibration", texts["calibration"], "--samples", 4, "--seq-len", 64, "--rank", 16]
    undisturbed = checkpoints.digests(clusters.compress_undisturbed(tmp_path / "undisturbed", model, flags))
    cluster = start_cluster(coordinator_flags=["--heartbeat-seconds", .5, "--speculate-after", 1.2])
    slow = cluster.start_worker("slow")
    job = cluster.submit(model, cluster.folder / "out", *flags)
    clusters.wait_for(lambda: "compress" in worker_of(cluster, "slow").get("lease", ""), "a layer at the slow worker")
    with slowed(slow):
        cluster.start_worker("quick")
        cluster.wait(job)
    events = cluster.events(job)
    second = [event["message"] for event in events if "runs late" in event["message"]]
    assert second, [event["type"] for event in events]
    print(second)
    commits = [(event["layer"], event["matrix"]["projection"]) for event in events if event["type"] == "matrix.committed"]
    assert len(commits) == len(set(commits)) == 7 * 4
    assert checkpoints.digests(cluster.folder / "out") == undisturbed
