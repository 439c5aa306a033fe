#!/usr/bin/env python3
"""Uploads to the S3 store beside `curl -T` of the same number of bytes to the same server, in turn.

Starts Ceph's radosgw as the tests do; both sides speak https. Ours is hashed, sent in parts and committed under
its digest; curl sends one unsigned body. Prints each pair and the ratio of the rates (sums of bytes over sums of seconds).

    bench/s3.py [--build build/release] [--mib 256] [--pairs 5]
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "system"))

import cluster  # noqa: E402
import s3_server  # noqa: E402


def curl_seconds(server, file, number):
    """What curl says that the upload took, without the start of its process."""
    done = subprocess.run(
        ["curl", "-sS", "-X", "PUT", "-T", file, "--aws-sigv4", "aws:amz:us-east-1:s3", "--user",
         f"{s3_server.ACCESS_KEY}:{s3_server.SECRET_KEY}",
         "--cacert", server.authority, "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-w", "%{http_code} %{time_total}",
         f"{server.tls_endpoint}/bench/curl/{number}"], capture_output=True, text=True, check=True)
    status, seconds = done.stdout.split()[-2:]
    assert status == "200", done.stdout
    return float(seconds)


def upload_seconds(server, program, size):
    done = subprocess.run([program, "s3://bench/store", str(size)], capture_output=True, text=True,
                          env={**os.environ, **server.tls_environment}, check=True)
    return json.loads(done.stdout)["seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=ROOT / "build/release", type=pathlib.Path)
    parser.add_argument("--mib", default=256, type=int)
    parser.add_argument("--pairs", default=5, type=int)
    flags = parser.parse_args()
    size = flags.mib << 20
    program = flags.build / "bin" / "bench-s3-upload"
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "bytes"
        file.write_bytes(os.urandom(size))
        ports = [cluster.free_port() for _ in range(4)]
        server = s3_server.S3Server(pathlib.Path(folder) / "s3", ports)
        try:
            server.start()
            server.make_bucket("bench")
            # The first of each makes pools and warms up; nobody is measured by it.
            curl_seconds(server, file, "first"), upload_seconds(server, program, size)
            curl, ours = 0.0, 0.0
            for number in range(flags.pairs):
                one, other = curl_seconds(server, file, number), upload_seconds(server, program, size)
                print(f"curl {flags.mib / one:6.0f} MiB/s   store {flags.mib / other:6.0f} MiB/s   "
                      f"ratio {one / other:.2f}", flush=True)
                curl, ours = curl + one, ours + other
            print(json.dumps({"pairs": flags.pairs, "mib": flags.mib,
                              "curl_mib_per_second": flags.pairs * flags.mib / curl,
                              "store_mib_per_second": flags.pairs * flags.mib / ours,
                              "ratio": curl / ours}))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
