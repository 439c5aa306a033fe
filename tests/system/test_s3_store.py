"""The S3 store against a real S3 server, plain and through a proxy that breaks requests."""

import os
import re
import subprocess

import pytest

import cluster as clusters
import s3_proxy
import s3_server

AUTH, NOT_FOUND = 4, 3


def environment_of(s3, endpoint=None):
    return {**clusters.ENVIRONMENT, **s3.environment,
            **({"AWS_ENDPOINT_URL_S3": endpoint} if endpoint else {})}


@pytest.fixture(scope="module")
def buckets(s3):
    """What tests/common/store/s3_test_bucket.h asks for."""
    small = (s3_server.SMALL_ACCESS_KEY, s3_server.SMALL_SECRET_KEY)
    return {"CALDERA_TEST_S3_BUCKET": s3.make_bucket("contract"),
            "CALDERA_TEST_S3_SMALL": ":".join([s3.make_bucket("small", key=small), *small])}


def run_store_tests(environment, pattern):
    """The tests of bin/store_test that match; how many passed."""
    done = subprocess.run([clusters.BIN / "store_test", f"--gtest_filter={pattern}"],
                          capture_output=True, text=True, env=environment,
                          timeout=clusters.PATIENCE)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return int(re.search(r"PASSED\s+\] (\d+) test", done.stdout)[1])


def test_the_contract_of_all_stores_holds(s3, buckets):
    passed = run_store_tests({**environment_of(s3), **buckets}, "S3/CheckpointStoreContract.*")
    assert passed >= 19


def test_objects_in_parts_leftovers_and_copies(s3, buckets):
    passed = run_store_tests({**environment_of(s3), **buckets}, "Server/S3StoreTest.*")
    assert passed >= 10


# Of the ways to fail, "corrupt" is told by the server, which checks the digest of each body.
def test_the_same_holds_while_requests_fail(s3, buckets):
    proxy = s3_proxy.FaultProxy(("127.0.0.1", s3.port), rate=0.06, seed=4, seconds=0.2)
    try:
        # Virtual hosts bypass the proxy: its address has no names. What a full store says is not
        # asked of one that fails at random.
        passed = run_store_tests({**environment_of(s3, proxy.endpoint), **buckets},
                                 "S3/CheckpointStoreContract.*:Server/S3StoreTest.*"
                                 "-*VirtualHosts*:*AFullStore*")
        print("tests", passed, "requests", dict(sorted(proxy.counts.items())))
        assert passed >= 28
        assert all(proxy.counts.get(name) for name in s3_proxy.NAMES), proxy.counts
    finally:
        proxy.stop()


def test_the_contract_holds_over_https(s3, buckets):
    environment = {**environment_of(s3), **s3.tls_environment, **buckets}
    # Virtual hosts have no certificate here.
    passed = run_store_tests(
        environment, "S3/CheckpointStoreContract.*:Server/S3StoreTest.*-*VirtualHosts*")
    assert passed >= 28


def test_a_certificate_of_another_authority_is_refused(s3, buckets):
    environment = {**environment_of(s3, s3.tls_endpoint), "AWS_CA_BUNDLE": ""}
    done = clusters.caldera("inspect", f"s3://{buckets['CALDERA_TEST_S3_BUCKET']}/x",
                            environment=environment)
    assert done.returncode == AUTH and "certificate" in done.stderr, done.stderr


def test_a_wrong_key_is_refused_and_no_secret_is_told(s3, tmp_path):
    s3.make_bucket("locked")
    for change, reason in (({"AWS_SECRET_ACCESS_KEY": "hushhush"}, "SignatureDoesNotMatch"),
                           ({"AWS_ACCESS_KEY_ID": "NOBODY"}, "InvalidAccessKeyId"),
                           ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "",
                             "HOME": str(tmp_path)}, "no S3 credentials")):
        environment = {**environment_of(s3), **change}
        done = clusters.caldera("inspect", "s3://locked/x", environment=environment)
        assert (done.returncode, reason in done.stderr) == (AUTH, True), done.stderr
        coordinator = subprocess.run(
            [clusters.BIN / "caldera-coordinator", "--listen", "127.0.0.1:0", "--state-dir",
             tmp_path / "state", "--store", "s3://locked/store"], env=environment,
            capture_output=True, text=True, timeout=clusters.PATIENCE)
        assert coordinator.returncode == 1 and reason in coordinator.stderr, coordinator.stderr
        told = done.stdout + done.stderr + coordinator.stdout + coordinator.stderr
        assert "hushhush" not in told and s3_server.SECRET_KEY not in told


def test_keys_may_come_from_a_profile(s3, tmp_path):
    profile = tmp_path / "keys"
    profile.write_text(f"[lab]\naws_access_key_id = {s3_server.ACCESS_KEY}\n"
                       f"aws_secret_access_key = {s3_server.SECRET_KEY}\n"
                       f"endpoint_url = {s3.endpoint}\n")
    bare = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = clusters.caldera("inspect", "s3://locked-not/x", environment={
        **bare, "AWS_SHARED_CREDENTIALS_FILE": str(profile), "AWS_PROFILE": "lab"})
    # The keys were good: what is missing is the bucket.
    assert done.returncode == NOT_FOUND and "s3://locked-not" in done.stderr, done.stderr
