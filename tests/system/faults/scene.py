"""Where the drawn faults happen: a coordinator, a plain worker and one of two MPI ranks. By seed in turn

  proxied  on hosts of their own, small disks below the state and the store, a proxy before the coordinator
  s3       on this host, a small disk below the state, the store in a bucket of a real S3 behind a proxy
  direct   as proxied, without the proxy
"""

import contextlib
import json
import pathlib
import random
import subprocess
import sys
import threading

import cluster as clusters
import disks
import hosts

LEASE_SECONDS = 2
COORDINATOR_FLAGS = [
    "--lease-seconds", LEASE_SECONDS, "--heartbeat-seconds", .4, "--restart-grace-seconds", 3,
    "--backoff-seconds", .2, "--max-backoff-seconds", 1,
    # Long enough for a busy machine: units that stall without a fault would never end.
    "--stall-seconds", 10, "--staging-seconds", 5,
    # Everything here is lost many times by design, through no fault of the unit.
    "--max-failures", 1000, "--exclude-after", 1000]
WORKER_FLAGS = ["--hang-seconds", 2, "--insecure"]
KINDS = ("proxied", "s3", "direct")
WORKERS = {"plain": 0, "mpi": 2}  # ranks
PORT, PROXY_PORT = 7070, 7071
STATE_MEGABYTES, STORE_MEGABYTES = 32, 64


class Proxy:
    """calls_proxy.py in the coordinator's namespace."""

    def __init__(self, network, log):
        self.address = f"{network.COORDINATOR}:{PROXY_PORT}"
        program = pathlib.Path(__file__).with_name("calls_proxy.py")
        with open(log, "wb") as errors:
            self.process = subprocess.Popen(
                [*network.coordinator.host.prefix, sys.executable, program, self.address, f"127.0.0.1:{PORT}"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
        self.told = []
        line = self.process.stdout.readline()
        assert line, pathlib.Path(log).read_text()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.told.append(json.loads(line))

    def _order(self, order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def do(self, fault, seconds, patience):
        """What the proxy told of the call it met, or None when there was none in `patience` seconds."""
        known = len(self.told)
        self._order({"fault": fault, "seconds": seconds})

        def met():
            return [told for told in self.told[known:] if told["fault"] == fault]

        with contextlib.suppress(AssertionError):
            return clusters.wait_for(met, fault, timeout=patience)[0]
        self._order({"fault": "none"})
        return None

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)


def kind_of(seed):
    return KINDS[(seed - 1) % len(KINDS)]


class Scene:
    """Started by `with`; everything is gone afterwards. `bucket` (bucket.py) is for scenes of the kind s3."""

    def __init__(self, folder, seed, bucket=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.draw = random.Random(seed)
        self.kind = kind_of(seed)
        self.bucket = bucket
        self.workers = {}
        self.hosts = dict.fromkeys(WORKERS, clusters.LOCAL)
        self.proxy = None
        self._undo = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            if self.kind == "s3":
                self.cluster = clusters.Cluster(self.folder / "cluster", COORDINATOR_FLAGS, store=self.bucket.store_uri,
                                                port=clusters.free_port(), environment=self.bucket.environment)
            else:
                self._make_hosts(undo)
                self.store_disk = disks.SmallDisk(self.cluster.store, STORE_MEGABYTES)
                undo.callback(self.store_disk.unmount)
            self.state_disk = disks.SmallDisk(self.cluster.folder / "state", STATE_MEGABYTES)
            undo.callback(self.state_disk.unmount)
            self._start_cluster(undo)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *exception):
        self._undo.close()

    def _make_hosts(self, undo):
        self.network = hosts.Network(WORKERS)
        undo.callback(self.network.remove)
        self.hosts = {name: namespace.host for name, namespace in self.network.workers.items()}
        # The proxy speaks for the coordinator where there is one.
        address = clusters.LOCAL.address if self.kind == "proxied" else self.network.COORDINATOR
        host = clusters.Host(address, self.network.coordinator.host.prefix)
        self.cluster = clusters.Cluster(self.folder / "cluster", COORDINATOR_FLAGS, port=PORT, host=host)

    def _start_cluster(self, undo):
        undo.callback(self.cluster.stop)
        self.cluster.start_coordinator()
        if self.kind == "proxied":
            self.proxy = Proxy(self.network, self.cluster.folder / "proxy.log")
            undo.callback(self.proxy.stop)
        for name in WORKERS:
            self.start_worker(name)

    def start_worker(self, name):
        # Where bytes travel through the coordinator, cuts and the proxy meet uploads too.
        streams = self.kind != "direct" and name == "plain"
        flags = [*WORKER_FLAGS, "--store-access", "stream"] if streams else WORKER_FLAGS
        self.workers[name] = self.cluster.start_worker(
            name, ranks=WORKERS[name], flags=flags, host=self.hosts[name],
            coordinator=self.proxy.address if self.proxy else None)

    def ensure_workers(self):
        """A worker that left (hung and ended itself, drained, refused) comes back."""
        for name, process in self.workers.items():
            if process.poll() is not None:
                self.start_worker(name)

    def some_worker(self):
        return self.draw.choice(list(self.workers))

    def seconds(self, least, most):
        """A drawn time in lease times."""
        return LEASE_SECONDS * self.draw.uniform(least, most)

    def job(self, name):
        """The job, or None while nobody answers."""
        done = subprocess.run(
            [*self.cluster.host.prefix, clusters.BIN / "caldera", "get", name, "-o", "json", "--coordinator",
             self.cluster.address, "--patience", "0", *self.cluster.client_flags],
            capture_output=True, text=True, env=self.cluster.environment, timeout=60)
        return json.loads(done.stdout) if done.returncode == 0 else None
