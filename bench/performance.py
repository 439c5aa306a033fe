#!/usr/bin/env python3
"""The tables of docs/performance.md, measured on this machine: `python3 bench/performance.py` after a build of
the preset `release`. About twenty minutes on two cores; other programs should rest meanwhile. Each figure is the
median of three rounds, and rates are compared with those of sgemm measured beside them."""
import json
import os
import pathlib
import platform
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / "build/release/bin"
ENVIRONMENT = {**os.environ, "OMP_WAIT_POLICY": "passive"}
MPIRUN = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", "2"] + (
    ["--allow-run-as-root"] if os.geteuid() == 0 else [])


def medians(program, pattern, repetitions=3):
    """Name -> what Google Benchmark reports for it."""
    done = subprocess.run([BIN / program, f"--benchmark_filter={pattern}", "--benchmark_format=json",
                           f"--benchmark_repetitions={repetitions}", "--benchmark_report_aggregates_only=true"],
                          env=ENVIRONMENT, stdout=subprocess.PIPE, check=True)
    return {run["run_name"].removesuffix("/manual_time").removesuffix("/real_time"): run
            for run in json.loads(done.stdout)["benchmarks"] if run["aggregate_name"] == "median"}


def seconds(run):
    return run["real_time"] * {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1}[run["time_unit"]]


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("| --- |" + " ---: |" * (len(head) - 1))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    flags = next(line for line in open("/proc/cpuinfo") if line.startswith("flags"))
    vectors = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "SSE"
    commit = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude", "*"], cwd=ROOT,
                            stdout=subprocess.PIPE, text=True, check=False).stdout.strip() or "unknown"
    print(f"{cpu} ({vectors}), {os.cpu_count()} cores, {platform.platform()}, commit {commit}.\n")


def roofline():
    print("## Yardsticks\n")
    runs = medians("bench-roofline", ".")
    table(["", "1 thread", "2 threads"],
          [["sgemm, GFLOP/s"] + [f"{runs[f'Sgemm/{n}']['FLOPS'] / 1e9:.0f}" for n in (1, 2)],
           ["memory (triad), GB/s"] + [f"{runs[f'Triad/{n}']['bytes_per_second'] / 1e9:.1f}" for n in (1, 2)]])


def codes():
    print("## Codes, one core\n")
    runs = medians("bench-e8p", "BM_(En|De)code/") | medians("bench-trellis", "Trellis")
    names = [(f"E8P, {bits} bits", f"BM_Encode/{bits - 2}", f"BM_Decode/{bits - 2}") for bits in (2, 3, 4)]
    names += [(f"trellis-{l}, {bits} bits", f"BM_TrellisEncode/{l}/{bits}", f"BM_TrellisDecode/{l}/{bits}")
              for l in (10, 12) for bits in (2, 3, 4)]

    def rate(name):
        if name not in runs:
            return ""
        values = 8 if "Trellis" in name else 1  # an item of these is a value
        return f"{runs[name]['items_per_second'] / values / 1e6:.1f}"

    table(["million 8-vectors/s", "encode", "decode"], [[name, rate(e), rate(d)] for name, e, d in names])


def steps():
    print("## Steps, n = 4096\n")
    runs = medians("bench-steps", "/4096/(1|2)(/128)?(/|$)")
    names = [("LDLQ, E8P", "LdlqStep", ""), ("sweep", "PlainSweep", ""), ("sweep, rank 128", "DowndatedSweep", "/128"),
             ("downdate, rank 128", "DowndateStep", "/128"), ("top eigenvectors, 128", "Eigenvectors", "/128"),
             ("signal, rank 128", "SignalStep", "/128"), ("correction, rank 128", "LowRankStep", "/128"),
             ("reported error", "ReportedError", "")]
    rows = []
    for title, name, rank in names:
        one, two = (runs[f"{name}/4096/{threads}{rank}"] for threads in (1, 2))
        rows.append([title] + [f"{run[key]:.2f}" for run in (one, two)
                               for key in ("cpu_seconds", "cpu_ratio", "sgemm_ratio")])
    table(["", "1 thread: CPU s", "of sgemm by CPU", "by wall", "2 threads: CPU s", "by CPU", "by wall"], rows)


def whole():
    print("## Whole decompositions\n")
    runs = medians("bench-decompose", ".")
    rows, shares = [], []
    for name, run in runs.items():
        m, n, q_bits, rank, factor_bits, threads = name.split("/")[1:7]
        title = f"{m} x {n}, {q_bits} bits" + (f", r {rank}, {factor_bits}-bit factors" if rank != "0" else "")
        rows.append([title, threads, f"{seconds(run):.2f}", f"{run['cpu_seconds']:.2f}", f"{run['floor_ratio']:.2f}",
                     f"{run['relative_error']:.4f}"])
        parts = {key.removeprefix("seconds_"): value for key, value in run.items() if key.startswith("seconds_")}
        shares.append([title, threads] + [f"{100 * value / seconds(run):.0f}" for value in parts.values()] +
                      [f"{100 * (1 - sum(parts.values()) / seconds(run)):.0f}"])
        names = list(parts)
    table(["E8P", "threads", "seconds", "CPU seconds", "over the floor", "error"], rows)
    print("Share of the wall time, %:\n")
    table(["", "threads"] + names + ["rest"], shares)


def ranks():
    print("## Ranks against threads, 4096 x 4096, E8P, rank 256\n")
    done = subprocess.run(MPIRUN + [BIN / "bench-layer70b", "--matrices", "q", "--scale", "2", "--rank", "256",
                                    "--layouts", "1x1,1x2,2x1"], env=ENVIRONMENT, stdout=subprocess.PIPE, check=True)
    lines = [json.loads(line) for line in done.stdout.decode().splitlines() if line.startswith("{")]
    rows = [[line["layout"], f"{line['seconds']:.1f}", f"{line['peak_bytes'] / 2**30:.2f}"]
            for line in lines if line.get("name") == "q"]
    first = float(rows[0][1])
    table(["ranks x threads", "seconds", "speed-up", "GiB"],
          [[layout, took, f"{first / float(took):.2f}", peak] for layout, took, peak in rows])


if __name__ == "__main__":
    if not BIN.is_dir():
        sys.exit(f"{BIN}: not there; build the preset release first")
    machine()
    for section in (roofline, codes, steps, whole, ranks):
        section()
