"""Errors users meet: each says what is wrong and where, nothing spins, and work goes on when the cause is gone."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

import checkpoints
import cluster as clusters

FAILED, UNAVAILABLE, CONFLICT, INTEGRITY = 1, 5, 7, 8
LAYERS = 2
SHAPE = dict(hidden_size=256, intermediate_size=512, num_hidden_layers=LAYERS)
JOB = ["--samples", 8, "--seq-len", 64, "--rank", 16]
# A failed attempt would show: it would have to wait an hour for the next one.
NO_SECOND_CHANCE = ["--backoff-seconds", 3600, "--max-backoff-seconds", 3600]
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def job(make_model, texts):
    return make_model("llama2", **SHAPE), ["--calibration", texts["calibration"], *JOB]


@pytest.fixture(scope="module")
def undisturbed(job, tmp_path_factory):
    model, flags = job
    return checkpoints.digests(clusters.compress_undisturbed(tmp_path_factory.mktemp("undisturbed"), model, flags))


@pytest.fixture
def small_disk(tmp_path):
    """small_disk(name, mebibytes) -> a folder on a file system of that size."""
    mounted = []

    def mount(name, mebibytes):
        folder = tmp_path / name
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", folder],
                              capture_output=True, text=True)
        assert done.returncode == 0, f"mounting needs CAP_SYS_ADMIN: {done.stderr}"
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    """Takes all the room there is; gives it back by unlink()."""
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file:
        for size in (MEBIBYTE, 4096):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
    return filler


def wait_for_log(cluster, name, text):
    clusters.wait_for(lambda: text in (cluster.folder / f"{name}.log").read_text(errors="replace"),
                      f"{text!r} in the log of {name}")


def commits(cluster, job):
    return cluster.caldera_json("get", job)["progress"]["matrices_committed"]


def assert_undisturbed(cluster, name, undisturbed, output=None):
    """It came to the end without a single failed attempt, and with the right bytes."""
    cluster.wait(name)
    assert not [event for event in cluster.events(name) if event["type"] in ("task.failed", "lease.expired")]
    assert checkpoints.digests(output or cluster.folder / "out") == undisturbed


def test_a_store_that_goes_away_costs_no_attempt(job, undisturbed, start_cluster):
    model, flags = job
    cluster = start_cluster(coordinator_flags=NO_SECOND_CHANCE)
    for number, access in enumerate(("auto", "stream")):
        cluster.start_worker(f"worker-{access}", flags=["--store-access", access])
        name = cluster.submit(model, cluster.folder / f"out-{access}", *flags)
        clusters.wait_for(lambda: commits(cluster, name) >= 2, "two matrices")
        away = cluster.store.with_name("away")
        cluster.store.rename(away)
        wait_for_log(cluster, f"worker-{access}", f"store {cluster.store}: not there")
        clusters.wait_for(lambda: clusters.metric(cluster.scrape(), "caldera_store_up") == 0, "the metric")
        time.sleep(1)
        assert cluster.caldera_json("get", name)["state"] == "RUNNING"
        away.rename(cluster.store)
        assert_undisturbed(cluster, name, undisturbed, cluster.folder / f"out-{access}")
        assert clusters.metric(cluster.scrape(), "caldera_store_up") == 1
        cluster.workers[number].send_signal(signal.SIGTERM)
        assert cluster.workers[number].wait(timeout=clusters.PATIENCE) == 0
        assert cluster.caldera_json("workers")["workers"][number]["state"] == "gone"


def test_a_store_that_stays_away_fails_the_job_by_its_path(job, start_cluster):
    model, flags = job
    cluster = start_cluster(coordinator_flags=["--backoff-seconds", 0.1, "--exclude-after", 1])
    cluster.start_worker(flags=["--store-patience", 1])
    name = cluster.submit(model, cluster.folder / "out", *flags)
    clusters.wait_for(lambda: commits(cluster, name) >= 1, "a matrix")
    away = cluster.store.with_name("away")
    cluster.store.rename(away)
    waited = cluster.caldera("wait", name)
    assert waited.returncode == FAILED and str(cluster.store) in waited.stderr, waited
    assert cluster.caldera_json("get", name)["state"] == "FAILED"
    away.rename(cluster.store)
    cluster.caldera_json("resume", name)
    cluster.wait(name)


def test_a_full_store_is_named_with_its_room_and_waited_for(job, undisturbed, start_cluster, small_disk):
    model, flags = job
    disk = small_disk("disk", 64)
    cluster = start_cluster(coordinator_flags=NO_SECOND_CHANCE, store=disk / "store")
    cluster.start_worker()
    name = cluster.submit(model, cluster.folder / "out", *flags)
    clusters.wait_for(lambda: commits(cluster, name) >= 2, "two matrices")
    filler = fill(disk)
    wait_for_log(cluster, "worker", "waiting for the store")
    told = cluster.log("worker")
    assert str(disk) in told and "No space left on device" in told and re.search(r"\(\d+ bytes free\)", told)
    refused = cluster.caldera("submit", model, cluster.folder / "other", *flags)
    assert refused.returncode == FAILED and str(disk) in refused.stderr and "are free" in refused.stderr
    assert clusters.metric(cluster.scrape(), "caldera_store_free_bytes") < MEBIBYTE
    filler.unlink()
    assert_undisturbed(cluster, name, undisturbed)


def test_publishing_waits_for_room_in_the_output(job, undisturbed, start_cluster, small_disk):
    model, flags = job
    disk = small_disk("disk", 64)
    output = disk / "out"
    cluster = start_cluster(coordinator_flags=NO_SECOND_CHANCE)
    name = cluster.submit(model, output, *flags)
    filler = fill(disk)
    cluster.start_worker()
    wait_for_log(cluster, "coordinator", "publishing waits")
    assert str(disk) in cluster.log("coordinator") and "bytes free" in cluster.log("coordinator")
    assert cluster.caldera_json("get", name)["state"] == "RUNNING"
    filler.unlink()
    assert_undisturbed(cluster, name, undisturbed, output)
    assert "job.waiting" in [event["type"] for event in cluster.events(name)]


def test_publishing_gives_up_when_its_patience_is_over(job, start_cluster, small_disk):
    model, flags = job
    disk = small_disk("disk", 64)
    cluster = start_cluster(coordinator_flags=["--store-patience", 1])
    name = cluster.submit(model, disk / "out", *flags)
    filler = fill(disk)
    cluster.start_worker()
    waited = cluster.caldera("wait", name)
    assert waited.returncode == FAILED and str(disk) in waited.stderr and "publishing" in waited.stderr
    assert not (disk / "out" / "manifest.json").exists()
    filler.unlink()
    cluster.caldera_json("resume", name)
    cluster.wait(name)


def test_a_full_state_disk_refuses_jobs_and_lets_workers_wait(job, undisturbed, tmp_path, small_disk):
    model, flags = job
    disk = small_disk("disk", 16)
    cluster = clusters.Cluster(tmp_path / "cluster", NO_SECOND_CHANCE)
    (cluster.folder / "state").symlink_to(disk)
    try:
        cluster.start_coordinator()
        cluster.start_worker()
        name = cluster.submit(model, cluster.folder / "out", *flags)
        clusters.wait_for(lambda: commits(cluster, name) >= 2, "two matrices")
        filler = fill(disk)
        wait_for_log(cluster, "worker", "state.sqlite")
        refused = cluster.caldera("cancel", name)
        assert refused.returncode == FAILED, refused
        assert "state.sqlite" in refused.stderr and "bytes free" in refused.stderr
        assert clusters.metric(cluster.scrape(), "caldera_state_free_bytes") < MEBIBYTE
        filler.unlink()
        assert_undisturbed(cluster, name, undisturbed)
    finally:
        cluster.stop()


def test_a_model_that_changes_under_its_job_is_noticed(job, start_cluster, tmp_path):
    original, flags = job
    model = shutil.copytree(original, tmp_path / "model")
    cluster = start_cluster()
    worker = cluster.start_worker()
    name = cluster.submit(model, cluster.folder / "out", *flags)
    clusters.wait_for(lambda: commits(cluster, name) >= 2, "two matrices")
    os.kill(worker.pid, signal.SIGSTOP)
    # In place, without a trace in names, sizes and headers: all weights of the last layer's down_proj.
    path = model / "model.safetensors"
    content = bytearray(path.read_bytes())
    header = int.from_bytes(content[:8], "little")
    offsets = re.search(rb'"model.layers.1.mlp.down_proj.weight":\{[^}]*"data_offsets":\[(\d+),(\d+)\]',
                        content[8:8 + header])
    first, last = (8 + header + int(offset) for offset in offsets.groups())
    content[first:last:4] = bytes(byte ^ 1 for byte in content[first:last:4])
    with open(path, "r+b") as file:
        file.write(content)
    os.kill(worker.pid, signal.SIGCONT)
    waited = cluster.caldera("wait", name)
    assert waited.returncode == INTEGRITY, waited
    assert "model.layers.1.mlp.down_proj.weight" in waited.stderr and "changed under the job" in waited.stderr
    assert not (cluster.folder / "out" / "manifest.json").exists()


def test_a_worker_with_another_clock_says_so_and_works(job, undisturbed, start_cluster):
    model, flags = job
    cluster = start_cluster(coordinator_flags=[*NO_SECOND_CHANCE, "--lease-seconds", 5, "--heartbeat-seconds", 1])
    for name, shift in (("late", "-1h"), ("early", "+1h")):
        cluster.start_worker(name, environment=clusters.with_clock(shift))
    name = cluster.submit(model, cluster.folder / "out", *flags)
    assert_undisturbed(cluster, name, undisturbed)
    for worker, direction in (("late", "3600 s ahead of"), ("early", "3600 s behind")):
        wait_for_log(cluster, worker, "the coordinator's clock is " + direction)
        assert cluster.log(worker).count("the coordinator's clock is") == 1


def test_a_worker_without_a_coordinator_says_whom_it_waits_for_and_gives_up(tmp_path):
    address = f"127.0.0.1:{clusters.free_port()}"
    started = time.monotonic()
    done = subprocess.run([clusters.BIN / "caldera-worker", "--coordinator", address, "--patience", "1"],
                          capture_output=True, text=True, env=clusters.ENVIRONMENT, timeout=60)
    assert done.returncode == FAILED, done
    assert f"coordinator {address}: " in done.stderr.splitlines()[0] and "trying again for 1 s" in done.stderr
    assert f"coordinator {address}: " in done.stderr.splitlines()[-1]
    assert time.monotonic() - started < 30


def test_a_worker_that_is_told_to_go_while_it_waits_for_a_coordinator_goes_in_peace():
    address = f"127.0.0.1:{clusters.free_port()}"
    with subprocess.Popen([clusters.BIN / "caldera-worker", "--coordinator", address], stderr=subprocess.PIPE,
                          text=True, env=clusters.ENVIRONMENT) as worker:
        assert "trying again" in worker.stderr.readline()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=clusters.PATIENCE) == 0
        assert '"error"' not in worker.stderr.read()


def other_version(program, folder):
    """A copy of a program that believes to be another version, and that version."""
    version = subprocess.run([clusters.BIN / program, "--version"], capture_output=True, text=True).stdout.strip()
    # Four bytes stay together, be they text or part of an instruction.
    ours = version[:4].encode()
    theirs = ours[:2] + bytes([ours[2] + 8]) + ours[3:]
    copy = folder / program
    copy.write_bytes((clusters.BIN / program).read_bytes().replace(ours, theirs))
    copy.chmod(0o755)
    other = subprocess.run([copy, "--version"], capture_output=True, text=True).stdout.strip()
    assert other == theirs.decode() + version[4:]
    return copy, other


def test_a_worker_of_another_version_is_refused_by_name_and_ends(start_cluster, tmp_path):
    cluster = start_cluster()
    program, version = other_version("caldera-worker", tmp_path)
    started = time.monotonic()
    done = subprocess.run([program, "--coordinator", cluster.address, "--worker-id", "forgotten"],
                          capture_output=True, text=True, env=clusters.ENVIRONMENT, timeout=60)
    assert done.returncode == FAILED and time.monotonic() - started < 30
    for text in ["forgotten", version, "both must be the same"]:
        assert text in done.stderr.splitlines()[-1]
    assert cluster.caldera_json("workers")["workers"] == []


def test_workers_of_before_an_upgrade_leave(job, start_cluster, tmp_path):
    model, flags = job
    cluster = start_cluster(port=clusters.free_port())
    worker = cluster.start_worker("old", flags=["--hang-seconds", 5])
    name = cluster.submit(model, cluster.folder / "out", *flags)
    clusters.wait_for(lambda: commits(cluster, name) >= 2, "two matrices")
    cluster.kill(cluster.coordinator)
    program, version = other_version("caldera-coordinator", tmp_path)
    cluster.start_coordinator(program)
    assert worker.wait(timeout=clusters.PATIENCE) == FAILED
    assert version in cluster.log("old") and "both must be the same" in cluster.log("old")
    failed = cluster.caldera_json("get", name)
    assert failed["state"] == "FAILED" and "code_version" in failed["error"]["message"]
    assert cluster.caldera("resume", name).returncode == CONFLICT
    assert cluster.caldera_json("resume", name, "--accept-version")["state"] == "RUNNING"


def test_clients_without_a_coordinator_exit_with_5():
    address = f"127.0.0.1:{clusters.free_port()}"
    for command in (["list"], ["get", "x"], ["workers"], ["health"], ["watch", "x"], ["wait", "x"]):
        done = clusters.caldera(*command, "--coordinator", address, "--patience", "0")
        assert done.returncode == UNAVAILABLE and address in done.stderr, (command, done)


@pytest.mark.parametrize("flag", ["--listen", "--metrics-listen"])
def test_a_taken_port_is_named(tmp_path, start_cluster, flag):
    first = start_cluster()
    taken = first.address if flag == "--listen" else f"127.0.0.1:{first.metrics_port}"
    flags = {"--listen": "127.0.0.1:0", flag: taken}
    done = subprocess.run([clusters.BIN / "caldera-coordinator", "--state-dir", tmp_path / "second",
                           *(word for pair in flags.items() for word in pair)],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == FAILED, done
    assert taken in done.stderr and "Address already in use" in done.stderr


def test_a_taken_metrics_port_ends_a_worker_with_all_its_ranks(start_cluster):
    cluster = start_cluster()
    worker = cluster.start_worker("mpi", ranks=2, flags=["--metrics-listen", f"127.0.0.1:{cluster.metrics_port}"])
    assert worker.wait(timeout=60) == FAILED
    assert f"127.0.0.1:{cluster.metrics_port}: Address already in use" in cluster.log("mpi")


def test_a_second_coordinator_on_one_state_directory_is_refused(start_cluster):
    cluster = start_cluster()
    done = subprocess.run([clusters.BIN / "caldera-coordinator", "--listen", "127.0.0.1:0", "--state-dir",
                           cluster.folder / "state"], capture_output=True, text=True, timeout=60)
    assert done.returncode == FAILED, done
    told = f"{cluster.folder}/state is in use by another coordinator (process {cluster.coordinator.pid})"
    assert told in done.stderr
