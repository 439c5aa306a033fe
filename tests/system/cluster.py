"""The programs as a user runs them: one-shot commands, and a coordinator with workers."""

import dataclasses
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import urllib.request

BIN = pathlib.Path(os.environ.get("CALDERA_BUILD", "build/release")).resolve() / "bin"
# Generous: the tests say nothing about speed, and machines may be busy.
PATIENCE = 600
ENVIRONMENT = {**os.environ, "OMP_WAIT_POLICY": "passive", "NO_COLOR": "1"}
MPIRUN = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n"]


@dataclasses.dataclass(frozen=True)
class Host:
    """Where a process runs: the address it listens at, and what brings a command there."""

    address: str = "127.0.0.1"
    prefix: tuple = ()


LOCAL = Host()


def caldera(*arguments, timeout=PATIENCE, host=LOCAL, environment=None):
    """Runs `caldera ARGUMENTS`: the CompletedProcess, with text output."""
    return subprocess.run(
        [*host.prefix, BIN / "caldera", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment or ENVIRONMENT,
    )


def caldera_json(*arguments, host=LOCAL, environment=None):
    """What a command that must succeed prints with -o json."""
    done = caldera(*arguments, "-o", "json", host=host, environment=environment)
    assert done.returncode == 0, (arguments, done.stderr)
    return json.loads(done.stdout)


def wait_for(condition, what, timeout=PATIENCE, pause=0.02):
    """The first true value of condition()."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(pause)
    raise AssertionError(f"still waiting after {timeout} s for {what}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def scrape(port):
    """The text of a metrics endpoint, or "" while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return answer.read().decode()
    except OSError:
        return ""


def metric(text, name, **labels):
    """Sum of the samples of `name` with these labels."""
    total = 0.0
    for line in text.splitlines():
        match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)(?: \d+)?", line)
        if match is None or match.group(1) != name:
            continue
        present = dict(re.findall(r'(\w+)="([^"]*)"', match.group(2) or ""))
        if all(present.get(key) == value for key, value in labels.items()):
            total += float(match.group(3))
    return total


def calls(text, method, **labels):
    """Calls of a gRPC method that a coordinator's metrics count."""
    return metric(text, "caldera_grpc_server_handled_total", method=method, **labels)


def with_clock(shift):
    """The environment of a process whose wall clock is off, such as by "-1h"."""
    library = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return {"LD_PRELOAD": str(library), "FAKETIME": shift, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def children_of(pid):
    """{pid: command line} of the living children of a process."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == pid:
                children[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        except (OSError, IndexError):
            continue  # ended meanwhile
    return children


class Cluster:
    """A coordinator with its own state and store in `folder`, and its workers.

    Processes have groups of their own, so that a group (mpirun and its ranks) can be ended as one.
    `store` is a folder or a URI; `environment` is added to that of the tests.
    """

    def __init__(self, folder, coordinator_flags=(), store=None, port=0, host=LOCAL, environment=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.environment = {**ENVIRONMENT, **(environment or {})}
        self.store = store or self.folder / "store"
        self.flags = list(coordinator_flags)
        self.port = port
        self.host = host
        # Clients refuse plaintext beyond loopback unless told.
        self.client_flags = [] if host.address == LOCAL.address else ["--insecure"]
        self.metrics_port = 0
        self.address = ""
        self.coordinator = None
        self.workers = []

    def start_coordinator(self, program=BIN / "caldera-coordinator"):
        address_file = self.folder / "address"
        address_file.unlink(missing_ok=True)
        self.metrics_port = free_port()
        command = [program, "--listen", f"{self.host.address}:{self.port}",
                   "--state-dir", self.folder / "state", "--store", self.store_uri(),
                   "--metrics-listen", f"127.0.0.1:{self.metrics_port}",
                   "--address-file", address_file, "--check-invariants", *self.client_flags, *self.flags]
        self.coordinator = self._start(command, "coordinator", self.host)

        def address():
            assert self.coordinator.poll() is None, self.log("coordinator")
            return address_file.exists() and address_file.read_text().strip()

        self.address = wait_for(address, "the coordinator's address")

    def store_uri(self):
        return self.store if "://" in str(self.store) else f"file://{self.store}"

    def start_worker(self, worker_id="worker", ranks=0, threads=1, flags=(), host=None, coordinator=None,
                     mpi_flags=(), environment=None):
        """A plain process, or with ranks > 0 an MPI job; `coordinator` when it is to call another address;
        `environment` is added to ours."""
        command = [BIN / "caldera-worker", "--coordinator", coordinator or self.address, "--worker-id",
                   worker_id, "--threads", threads, "--drain-timeout", 0, *flags]
        if ranks > 0:
            command = [*MPIRUN, ranks, *mpi_flags, *command]
        self.workers.append(self._start(command, worker_id, host or self.host, environment))
        return self.workers[-1]

    def _start(self, command, name, host, environment=None):
        with open(self.folder / f"{name}.log", "ab") as log:
            return subprocess.Popen([*host.prefix, *map(str, command)], stdin=subprocess.DEVNULL,
                                    stdout=log, stderr=log, env={**self.environment, **(environment or {})},
                                    start_new_session=True)

    def log(self, name):
        """The end of a process's log."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def logs(self):
        return "\n".join(f"== {path.name}\n{self.log(path.stem)}"
                         for path in sorted(self.folder.glob("*.log")))

    def caldera(self, command, *arguments):
        return caldera(command, *arguments, "--coordinator", self.address, *self.client_flags, host=self.host,
                       environment=self.environment)

    def caldera_json(self, command, *arguments):
        return caldera_json(command, *arguments, "--coordinator", self.address, *self.client_flags,
                            host=self.host, environment=self.environment)

    def submit(self, model, output, *flags):
        """Starts a job; its name."""
        done = self.caldera("submit", model, output, *flags, "-o", "name")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def wait(self, job):
        """The job, which must succeed."""
        try:
            done = self.caldera("wait", job, "-o", "json")
        except subprocess.TimeoutExpired as error:
            alive = [process.poll() for process in [self.coordinator, *self.workers]]
            raise AssertionError(f"{error}; exit statuses {alive}; {self.logs()}") from None
        assert done.returncode == 0, done.stderr + self.logs()
        return json.loads(done.stdout)

    def events(self, job, after=0):
        """All events of a job that has ended."""
        done = self.caldera("watch", job, "-o", "jsonl", "--after", after)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def scrape(self):
        return scrape(self.metrics_port)

    @staticmethod
    def kill(process):
        """kill -9 of a process and its group."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self):
        for process in [*self.workers, self.coordinator]:
            if process is None or process.poll() is not None:
                continue
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.kill(process)


def compress_undisturbed(folder, model, flags):
    """The output of a job that one worker does from end to end."""
    cluster = Cluster(folder / "cluster")
    try:
        cluster.start_coordinator()
        cluster.start_worker()
        cluster.wait(cluster.submit(model, cluster.folder / "out", *flags))
        return cluster.folder / "out"
    finally:
        cluster.stop()
