"""Faults that a seed draws, done to real processes while a job runs."""

import collections
import contextlib
import os
import pathlib
import random
import signal
import subprocess
import time

import cluster as clusters

LEASE_SECONDS = 2
FLAGS = ["--lease-seconds", LEASE_SECONDS, "--heartbeat-seconds", 0.4, "--restart-grace-seconds", 3,
         "--backoff-seconds", 0.2, "--max-backoff-seconds", 1, "--stall-seconds", 3,
         # Everything here is lost many times by design, through no fault of the unit.
         "--max-failures", 1000, "--exclude-after", 1000]
WORKER_FLAGS = ["--hang-seconds", 1]
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")


class Victims:
    """A coordinator, a worker of one process and one of two MPI ranks, and ways to hurt them."""

    def __init__(self, cluster, seed):
        self.cluster = cluster
        self.random = random.Random(seed)
        self.done = collections.Counter()
        self.workers = {}
        for name in ("plain", "mpi"):
            self._start(name)

    def _start(self, name):
        ranks = 2 if name == "mpi" else 0
        self.workers[name] = self.cluster.start_worker(name, ranks=ranks, flags=WORKER_FLAGS)

    def _ensure(self, name):
        """A worker that left (hung and ended itself, refused by a coordinator that went) comes back."""
        if self.workers[name].poll() is not None:
            self._start(name)

    def _ranks(self):
        """Rank -> pid of the MPI worker."""
        found = {}
        for pid, line in clusters.children_of(self.workers["mpi"].pid).items():
            with contextlib.suppress(OSError):
                environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                for entry in environment:
                    if "caldera-worker" in line and entry.startswith(b"OMPI_COMM_WORLD_RANK="):
                        found[int(entry.partition(b"=")[2])] = pid
        return found

    # --- The faults.

    def kill_worker(self):
        name = self.random.choice(["plain", "mpi"])
        self.cluster.kill(self.workers[name])
        self._start(name)

    def kill_rank(self):
        ranks = self._ranks()
        if len(ranks) < 2:
            return False
        os.kill(ranks[self.random.randrange(2)], signal.SIGKILL)
        self.workers["mpi"].wait(timeout=clusters.PATIENCE)
        return None

    def freeze_rank(self):
        """One rank stops: its worker's collective hangs."""
        ranks = self._ranks()
        if len(ranks) < 2:
            return False
        with self._frozen(ranks[self.random.randrange(2)]):
            time.sleep(LEASE_SECONDS * self.random.uniform(.5, 2.5))
        return None

    def drain_worker(self):
        name = self.random.choice(["plain", "mpi"])
        # mpirun forwards SIGUSR1 and kills its ranks after SIGTERM.
        self.workers[name].send_signal(signal.SIGUSR1 if name == "mpi" else signal.SIGTERM)
        assert self.workers[name].wait(timeout=clusters.PATIENCE) == 0, self.cluster.logs()

    def freeze_worker(self):
        """Longer than its lease: it comes back to find its unit with another, or not."""
        with self._frozen(self.workers["plain"].pid):
            time.sleep(LEASE_SECONDS * self.random.uniform(1.1, 1.8))

    def kill_coordinator(self):
        self.cluster.kill(self.cluster.coordinator)
        time.sleep(self.random.uniform(0, 1))
        self.cluster.start_coordinator()

    def freeze_coordinator(self):
        with self._frozen(self.cluster.coordinator.pid):
            time.sleep(LEASE_SECONDS * self.random.uniform(.5, 1.5))

    def stop_coordinator(self):
        self.cluster.coordinator.terminate()
        self.cluster.coordinator.wait(timeout=clusters.PATIENCE)
        self.cluster.start_coordinator()

    def kill_everything(self):
        for process in (*self.workers.values(), self.cluster.coordinator):
            if process.poll() is None:
                self.cluster.kill(process)
        self.cluster.start_coordinator()

    @staticmethod
    @contextlib.contextmanager
    def _frozen(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
        yield
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    FAULTS = (kill_worker, kill_rank, freeze_rank, drain_worker, freeze_worker, kill_coordinator,
              freeze_coordinator, stop_coordinator, kill_everything)

    def hurt(self):
        """One fault; False when this one found nobody to hurt."""
        fault = self.random.choice(self.FAULTS)
        if fault(self) is False:
            return False
        self.done[fault.__name__] += 1
        for name in self.workers:
            self._ensure(name)
        return True

    def still_needed(self):
        for name in self.workers:
            self._ensure(name)


def state_of(cluster, job):
    """The state of the job, or "" while nobody answers."""
    done = subprocess.run([clusters.BIN / "caldera", "get", job, "-o", "json", "--coordinator", cluster.address,
                           "--patience", "0"], capture_output=True, text=True, env=clusters.ENVIRONMENT, timeout=60)
    return next((state for state in (*ENDED, "RUNNING", "PENDING") if f'"{state}"' in done.stdout), "")


def run(cluster, job, seed, count):
    """Up to `count` faults while the job runs, then leaves it alone until it has ended. What was done."""
    victims = Victims(cluster, seed)
    done = 0
    while done < count and state_of(cluster, job) not in ENDED:
        time.sleep(victims.random.uniform(0, 1))
        done += victims.hurt()
    while state_of(cluster, job) not in ENDED:
        victims.still_needed()
        time.sleep(.5)
    return victims.done
