"""Whole jobs whose store, model, text and output lie in a bucket or on a web server: the bytes are those
of a job on local files."""

import hashlib
import json
import shutil

import pytest

import checkpoints
import cluster as clusters
import range_server
import s3_proxy

SHAPE = dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
             num_key_value_heads=2)
JOB = ["--samples", 8, "--seq-len", 32, "--rank", 4, "--iterations", 2]
INTEGRITY = 8


@pytest.fixture(scope="module")
def model(make_model):
    return make_model("llama2", **SHAPE)


@pytest.fixture(scope="module")
def reference(model, texts, tmp_path_factory):
    """The published folder of the job on local files."""
    flags = ["--calibration", texts["calibration"], *JOB]
    return clusters.compress_undisturbed(tmp_path_factory.mktemp("reference") / "job", model, flags)


@pytest.fixture(scope="module")
def bucket(s3, model, texts):
    """A bucket with the model and the text in it."""
    name = s3.make_bucket("jobs")
    s3.put_folder(name, "models/tiny", model)
    s3.put(name, "texts/calibration.txt", texts["calibration"])
    return name


def digests_in_bucket(s3, bucket, prefix):
    """As checkpoints.digests, of what the manifest there lists, and of the manifest."""
    manifest = s3.get(bucket, f"{prefix}/manifest.json")
    files = {"manifest.json": hashlib.sha256(manifest).hexdigest()}
    for name in json.loads(manifest)["files"]:
        files[name] = hashlib.sha256(s3.get(bucket, f"{prefix}/{name}")).hexdigest()
    return files


@pytest.mark.parametrize("access", ["auto", "stream"])
def test_a_job_in_a_bucket_gives_the_bytes_of_one_on_files(s3, bucket, reference, start_cluster,
                                                           access):
    cluster = start_cluster(store=f"s3://{bucket}/store-{access}", environment=s3.environment)
    cluster.start_worker(flags=["--store-access", access])
    output = f"s3://{bucket}/out-{access}"
    job = cluster.submit(f"s3://{bucket}/models/tiny", output, "--calibration",
                         f"s3://{bucket}/texts/calibration.txt", *JOB)
    cluster.wait(job)
    log = (cluster.folder / "worker.log").read_text()
    assert ("store direct" in log) == (access == "auto")
    assert digests_in_bucket(s3, bucket, f"out-{access}") == checkpoints.digests(reference)
    folder = cluster.folder / "downloaded"
    cluster.caldera_json("download", job, folder)
    assert checkpoints.digests(folder) == checkpoints.digests(reference)
    # Another job there is refused.
    again = cluster.caldera("submit", f"s3://{bucket}/models/tiny", output, "--calibration",
                            f"s3://{bucket}/texts/calibration.txt", *JOB)
    assert again.returncode != 0 and "manifest.json" in again.stderr


def test_the_bytes_stay_the_same_while_requests_fail(s3, bucket, reference, start_cluster):
    proxy = s3_proxy.FaultProxy(("127.0.0.1", s3.port), rate=0.05, seed=11, seconds=0.5)
    try:
        environment = {**s3.environment, "AWS_ENDPOINT_URL_S3": proxy.endpoint}
        cluster = start_cluster(store=f"s3://{bucket}/store-faults", environment=environment)
        cluster.start_worker()
        cluster.wait(cluster.submit(
            f"s3://{bucket}/models/tiny", f"s3://{bucket}/out-faults", "--calibration",
            f"s3://{bucket}/texts/calibration.txt", *JOB))
        print("requests", dict(sorted(proxy.counts.items())))
        assert sum(proxy.counts.get(name, 0) for name in s3_proxy.NAMES) >= 10, proxy.counts
        cluster.stop()
    finally:
        proxy.stop()
    assert digests_in_bucket(s3, bucket, "out-faults") == checkpoints.digests(reference)


def test_a_bucket_and_files_may_be_mixed(s3, bucket, reference, model, texts, start_cluster,
                                         tmp_path):
    cluster = start_cluster(environment=s3.environment)
    cluster.start_worker()
    calibration = ["--calibration", texts["calibration"]]
    cluster.wait(cluster.submit(model, f"s3://{bucket}/out-from-files", *calibration, *JOB))
    assert digests_in_bucket(s3, bucket, "out-from-files") == checkpoints.digests(reference)
    cluster.stop()
    other = start_cluster(store=f"s3://{bucket}/store-mixed", environment=s3.environment)
    other.start_worker()
    other.wait(other.submit(model, tmp_path / "out", *calibration, *JOB))
    assert checkpoints.digests(tmp_path / "out") == checkpoints.digests(reference)


def test_one_command_compresses_into_a_bucket(s3, bucket, reference, model, texts, tmp_path,
                                              monkeypatch):
    monkeypatch.chdir(tmp_path)  # where the state of a job into a bucket lies
    environment = {**clusters.ENVIRONMENT, **s3.environment}
    clusters.caldera_json("compress", model, f"s3://{bucket}/out-local", "--calibration",
                          texts["calibration"], "--threads", 1, *JOB, environment=environment)
    assert digests_in_bucket(s3, bucket, "out-local") == checkpoints.digests(reference)
    assert list(tmp_path.iterdir()) == []


def test_a_model_is_read_from_a_web_server(reference, model, texts, start_cluster, tmp_path):
    site = tmp_path / "site"
    shutil.copytree(model, site / "tiny")
    shutil.copy(texts["calibration"], site / "calibration.txt")
    server = range_server.RangeServer(site)
    try:
        estimate = clusters.caldera_json("estimate", f"{server.url}/tiny", "--rank", 4)
        assert estimate["source_bytes"] == (model / "model.safetensors").stat().st_size
        cluster = start_cluster()
        cluster.start_worker()
        output = tmp_path / "out"
        cluster.wait(cluster.submit(f"{server.url}/tiny/", output, "--calibration",
                                    f"{server.url}/calibration.txt", *JOB))
        assert checkpoints.digests(output) == checkpoints.digests(reference)
    finally:
        server.stop()


def test_a_checkpoint_in_a_bucket_is_inspected_verified_scored_and_exported(s3, bucket, reference,
                                                                          texts, tmp_path):
    environment = {**clusters.ENVIRONMENT, **s3.environment}
    uri = s3.put_folder(bucket, "copies/good", reference)

    def same(command, *flags):
        ours = clusters.caldera_json(command, uri, *flags, environment=environment)
        theirs = clusters.caldera_json(command, reference, *flags)
        for answer in (ours, theirs):
            answer.pop("name", None), answer.pop("model", None), answer.pop("seconds", None)
        assert ours == theirs
        return ours

    assert same("verify")["ok"]
    assert same("inspect")["matrices"]
    assert same("eval", "--text", texts["evaluation"], "--seq-len", 64, "--max-tokens", 512,
                "--threads", 1)["perplexity"] > 1
    clusters.caldera_json("export", uri, tmp_path / "a", "--dtype", "f32", environment=environment)
    clusters.caldera_json("export", reference, tmp_path / "b", "--dtype", "f32")
    assert checkpoints.digests(tmp_path / "a") == checkpoints.digests(tmp_path / "b")
    shard = max(reference.glob("*.safetensors"))
    damaged = bytearray(shard.read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    s3.put(bucket, f"copies/good/{shard.name}", tmp_path / "damaged")
    done = clusters.caldera("verify", uri, environment=environment)
    assert done.returncode == INTEGRITY and shard.name in done.stderr
