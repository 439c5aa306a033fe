#!/usr/bin/env python3
"""What `caldera estimate` says of a job beside what the job takes, on this machine: hours, CPU hours and the largest
process. Prints one JSON object; `measured_over_estimated` is 1 where the estimate is right.

    bench/estimate.py MODEL TEXT [--build build/release] [flags of both commands, such as --rank 64]
"""

import argparse
import json
import pathlib
import resource
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]


def children_cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    flags, both = parser.parse_known_args()
    caldera = flags.build / "bin" / "caldera"

    def run(*arguments):
        done = subprocess.run([caldera, *arguments, *both, "-o", "json"], check=True, stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout)

    estimate = run("estimate", flags.model)
    with tempfile.TemporaryDirectory() as folder:
        cpu_before, start = children_cpu_seconds(), time.monotonic()
        summary = run("compress", flags.model, str(pathlib.Path(folder) / "out"), "--calibration", flags.text)
        seconds, cpu_seconds = time.monotonic() - start, children_cpu_seconds() - cpu_before
    estimated = {"hours": estimate["hours"], "cpu_hours": estimate["cpu_hours"],
                 "peak_memory_bytes": estimate["peak_memory_bytes"], "output_bytes": estimate["output_bytes"]}
    measured = {"hours": seconds / 3600, "cpu_hours": cpu_seconds / 3600,
                "peak_memory_bytes": summary["peak_rss_bytes"], "output_bytes": summary["output_bytes"]}
    print(json.dumps({"estimated": estimated, "measured": measured,
                      "measured_over_estimated": {key: measured[key] / estimated[key] for key in measured}}, indent=2))


if __name__ == "__main__":
    main()
