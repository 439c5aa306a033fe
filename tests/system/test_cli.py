"""The client's commands against a running cluster: output and exit codes that scripts rely on."""

import json
import signal
import subprocess

import pytest

import checkpoints
import cluster as clusters

FAILED, NOT_FOUND, CANCELLED, CONFLICT, INTEGRITY, INTERRUPTED = 1, 3, 6, 7, 8, 130
SMALL = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=2,
             num_key_value_heads=1)
FLAGS = ["--samples", 8, "--seq-len", 32, "--rank", 4]


@pytest.fixture(scope="module")
def job_flags(make_model, texts):
    """MODEL and flags of a small job."""
    return make_model("llama31", **SMALL), ["--calibration", texts["calibration"], *FLAGS]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, job_flags):
    """One worker, and the finished job "done"."""
    running = clusters.Cluster(tmp_path_factory.mktemp("cli") / "cluster")
    try:
        running.start_coordinator()
        running.worker_metrics = clusters.free_port()
        running.start_worker(flags=["--metrics-listen", f"127.0.0.1:{running.worker_metrics}"])
        model, flags = job_flags
        name = running.submit(model, running.folder / "out", *flags, "--job-id", "done")
        assert name == "compressionJobs/done"
        running.wait("done")
        yield running
    finally:
        running.stop()


@pytest.fixture
def idle(start_cluster):
    """A coordinator without workers: its jobs stay pending."""
    return start_cluster()


def submit(cluster, job_flags, *more):
    model, flags = job_flags
    return cluster.caldera("submit", model, cluster.folder / "other", *flags, *more)


def test_get_shows_the_whole_job(cluster):
    job = cluster.caldera_json("get", "done")
    assert job["name"] == "compressionJobs/done" and job["state"] == "SUCCEEDED"
    assert job["spec"]["decomposition"] == {
        "recipe": "default", "codebook": "trellis-10", "q_bits": 2, "rank": 4, "l_bits": 4, "r_bits": 4, "iterations": 0, "seed": 0,
        "target_bits": 0, "target_bits_include": ""}
    assert job["spec"]["output_uri"] == f"file://{cluster.folder}/out"
    assert job["progress"]["matrices"] == job["progress"]["matrices_committed"] == 14
    assert job["progress"]["ratio"] == 1
    assert job["result"]["manifest_sha256"] == checkpoints.digests(cluster.folder / "out")["manifest.json"]
    assert job["create_time"].endswith("Z") and job["create_time"] <= job["start_time"] <= job["end_time"]
    assert job == cluster.caldera_json("get", "compressionJobs/done")


def test_list_finds_jobs_by_state(cluster):
    names = [job["name"] for job in cluster.caldera_json("list")["jobs"]]
    assert "compressionJobs/done" in names
    succeeded = cluster.caldera_json("list", "--state", "SUCCEEDED")["jobs"]
    assert "compressionJobs/done" in [job["name"] for job in succeeded]
    assert cluster.caldera_json("list", "--state", "FAILED") == {"jobs": []}
    assert cluster.caldera("list", "--state", "NONSENSE").returncode == FAILED


def test_list_in_every_format(cluster):
    assert "compressionJobs/done" in cluster.caldera("list", "-o", "name").stdout.split()
    table = cluster.caldera("list").stdout.splitlines()
    assert table[0].split()[:2] == ["NAME", "STATE"]
    lines = cluster.caldera("list", "-o", "jsonl").stdout.splitlines()
    assert "compressionJobs/done" in [json.loads(line)["name"] for line in lines]


def test_layers_show_their_matrices(cluster):
    layers = cluster.caldera_json("layers", "done")["layers"]
    assert [layer["index"] for layer in layers] == [0, 1]
    for layer in layers:
        assert layer["state"] == "SUCCEEDED" and layer["worker"] == "worker"
        assert [matrix["projection"] for matrix in layer["matrices"]] == checkpoints.PROJECTIONS
        assert all(len(matrix["object"]["sha256"]) == 64 for matrix in layer["matrices"])


def test_workers_are_listed(cluster):
    workers = cluster.caldera_json("workers")["workers"]
    assert [(worker["worker_id"], worker["ranks"]) for worker in workers] == [("worker", 1)]
    assert workers[0]["state"] in ("idle", "busy")


def test_watch_replays_and_resumes(cluster):
    events = cluster.events("done")
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    types = [event["type"] for event in events]
    assert types[0] == "job.created" and types[-1] == "job.succeeded"
    assert types.count("matrix.committed") == 14
    assert cluster.events("done", after=5) == events[5:]
    assert cluster.caldera("watch", "done", "-o", "jsonl").returncode == 0


def test_watch_prints_the_job_last(cluster):
    done = cluster.caldera("watch", "done", "-o", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["state"] == "SUCCEEDED"


def test_download_brings_the_published_bytes(cluster, tmp_path):
    report = cluster.caldera_json("download", "done", tmp_path / "copy")
    published = checkpoints.digests(cluster.folder / "out")
    assert checkpoints.digests(tmp_path / "copy") == published
    assert report["files"] >= len(published)


def test_health(cluster):
    assert cluster.caldera_json("health")["status"] == "SERVING"
    service = cluster.caldera_json("health", "--service", "caldera.v1.DispatchService")
    assert service["status"] == "SERVING"


def test_version_tells_the_build():
    version = clusters.caldera_json("version")
    assert {"version", "commit", "compiler", "build_type", "simd"} <= version.keys()
    assert version["version"] == clusters.caldera("--version").stdout.strip()


def test_validate_only_starts_nothing(cluster, job_flags):
    done = submit(cluster, job_flags, "--validate-only", "--job-id", "tried", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"]["layers"] == 2
    assert cluster.caldera("get", "tried").returncode == NOT_FOUND
    bad = submit(cluster, job_flags, "--validate-only", "--q-bits", 5)
    assert bad.returncode == FAILED and "decomposition.q_bits" in bad.stderr


def test_a_used_job_id_is_a_conflict(cluster, job_flags):
    again = submit(cluster, job_flags, "--job-id", "done")
    assert again.returncode == CONFLICT and "done" in again.stderr


def test_a_bad_job_id_is_named(cluster, job_flags):
    done = submit(cluster, job_flags, "--job-id", "No Spaces!")
    assert done.returncode == FAILED and "job_id" in done.stderr


@pytest.mark.parametrize("command", ["get", "wait", "watch", "cancel", "resume", "layers", "delete"])
def test_an_unknown_job_is_not_found(cluster, command):
    done = cluster.caldera(command, "nobody")
    assert done.returncode == NOT_FOUND
    assert "nobody" in done.stderr and done.stdout == ""


def test_download_of_an_unknown_job_is_not_found(cluster, tmp_path):
    assert cluster.caldera("download", "nobody", tmp_path / "copy").returncode == NOT_FOUND


def test_a_pending_job_is_cancelled_and_deleted(idle, job_flags):
    assert submit(idle, job_flags, "--job-id", "waiting").stdout == "compressionJobs/waiting\n"
    assert idle.caldera_json("get", "waiting")["state"] == "PENDING"
    assert idle.caldera("delete", "waiting").returncode == CONFLICT
    assert idle.caldera_json("cancel", "waiting")["state"] == "CANCELLED"
    assert idle.caldera("wait", "waiting").returncode == CANCELLED
    assert idle.caldera("watch", "waiting").returncode == CANCELLED
    assert idle.caldera("download", "waiting", idle.folder / "copy").returncode not in (0, 2)
    assert idle.caldera("delete", "waiting").returncode == 0
    assert idle.caldera("get", "waiting").returncode == NOT_FOUND
    assert not (idle.folder / "other" / "manifest.json").exists()


def test_jobs_survive_a_restart_of_the_coordinator(idle, job_flags):
    submit(idle, job_flags, "--job-id", "waiting", "--priority", 3)
    before = idle.caldera_json("get", "waiting")
    idle.kill(idle.coordinator)
    idle.start_coordinator()
    assert idle.caldera_json("get", "waiting") == before
    assert before["priority"] == 3


def test_interrupting_watch_leaves_the_job(idle, job_flags):
    submit(idle, job_flags, "--job-id", "waiting")
    command = [clusters.BIN / "caldera", "watch", "waiting", "-o", "jsonl", "--coordinator", idle.address]
    watch = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert json.loads(watch.stdout.readline())["type"] == "job.created"
    watch.send_signal(signal.SIGINT)
    _, told = watch.communicate(timeout=clusters.PATIENCE)
    assert watch.returncode == INTERRUPTED and "caldera watch" in told
    assert idle.caldera_json("get", "waiting")["state"] == "PENDING"


def test_interrupting_compress_stops_its_cluster_and_can_be_continued(job_flags, tmp_path):
    model, flags = job_flags
    # Iterations enough that the job is still running when the signal comes.
    command = [clusters.BIN / "caldera", "compress", model, tmp_path / "out", *flags, "--threads", 1,
               "--iterations", 200]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, env=clusters.ENVIRONMENT)

    def all_children():
        assert process.poll() is None, process.communicate()
        children = clusters.children_of(process.pid)
        return "caldera-worker" in " ".join(children.values()) and children

    children = clusters.wait_for(all_children, "a worker")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=clusters.PATIENCE)
    assert process.returncode == INTERRUPTED
    assert not [pid for pid in children if is_alive(pid)]
    assert not (tmp_path / "out" / "manifest.json").exists()
    done = clusters.caldera(*command[1:])
    assert done.returncode == 0, done.stderr


def is_alive(pid):
    return subprocess.run(["kill", "-0", str(pid)], capture_output=True).returncode == 0


def test_verify_tells_a_changed_byte(cluster, tmp_path):
    cluster.caldera_json("download", "done", tmp_path / "copy")
    shard = tmp_path / "copy" / "model-00002-of-00003.safetensors"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    done = clusters.caldera("verify", tmp_path / "copy")
    assert done.returncode == INTEGRITY and shard.name in done.stderr


def promtool(exposition):
    assert exposition
    return subprocess.run(["promtool", "check", "metrics"], input=exposition, capture_output=True,
                          text=True)


@pytest.mark.parametrize("program", ["coordinator", "worker"])
def test_promtool_finds_no_fault_with_the_metrics(cluster, program):
    port = cluster.metrics_port if program == "coordinator" else cluster.worker_metrics
    text = clusters.scrape(port)
    checked = promtool(text)
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout + checked.stderr == ""
    assert clusters.metric(text, "caldera_build_info") == 1


def test_the_metrics_tell_what_happened(cluster):
    text = cluster.scrape()
    assert clusters.calls(text, "CommitMatrix", code="OK") == 14
    assert clusters.metric(text, "caldera_relative_error_count") == 14
    assert clusters.metric(text, "caldera_store_bytes_written_total") > 0
    assert clusters.metric(text, "caldera_jobs", state="succeeded") >= 1
    worker = clusters.scrape(cluster.worker_metrics)
    assert clusters.metric(worker, "caldera_flops_total") > 0
