"""A worker of two MPI ranks on two hosts: what happens when a cable is cut in the middle of a layer."""

import collections
import contextlib
import os
import signal

import pytest

import checkpoints
import cluster as clusters
import hosts

# A busy machine may take seconds for a matrix: what stalls for that is no failure of the unit.
SHORT_LEASES = ["--lease-seconds", 3, "--heartbeat-seconds", .5, "--stall-seconds", 8, "--backoff-seconds", .2,
                "--max-failures", 100, "--exclude-after", 100, "--speculate-after", 0]
WORKER_FLAGS = ["--insecure", "--hang-seconds", 1]
BETWEEN_RANKS = 9  # number of a link


class TwoHosts:
    """Three hosts in a line: coordinator, rank 0, rank 1. Started by `with`."""

    def __init__(self, folder):
        self.folder = folder
        self._undo = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            self.network = hosts.Network(["rank 0"])
            undo.callback(self.network.remove)
            self.first = self.network.workers["rank 0"]
            self.second = hosts.Namespace()
            undo.callback(self.second.remove)
            self.cable = hosts.Link(self.first, self.second, BETWEEN_RANKS)
            host = clusters.Host(self.network.COORDINATOR, self.network.coordinator.host.prefix)
            self.cluster = clusters.Cluster(self.folder / "cluster", SHORT_LEASES, host=host)
            undo.callback(self._end_processes)
            self.cluster.start_coordinator()
            self.agent = self._write_agent()
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *exception):
        self._undo.close()

    def _end_processes(self):
        self.cluster.stop()
        for pid in (*self.first.pids(), *self.second.pids()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _write_agent(self):
        """What mpirun calls as it would ssh (AGENT HOST COMMAND): the second host, which has a name of its own."""
        agent = self.folder / "agent.sh"
        agent.write_text("#!/bin/sh\nshift\n"
                         f"exec {' '.join(self.second.host.prefix)} unshare -u "
                         "sh -c 'hostname second-host; exec sh -c \"$0\"' \"$*\"\n")
        agent.chmod(0o755)
        return agent

    def start_worker(self):
        mpi = ["--mca", "plm_rsh_agent", self.agent, "--mca", "btl", "tcp,self",
               "--mca", "btl_tcp_if_include", self.cable.subnet, "--mca", "oob_tcp_if_include", self.cable.subnet,
               "--host", f"{self.cable.near}:1,{self.cable.far}:1"]
        return self.cluster.start_worker("two-hosts", ranks=2, flags=WORKER_FLAGS, host=self.first.host, mpi_flags=mpi)

    @staticmethod
    def ranks_on(namespace):
        """The processes of the worker there, without mpirun and its daemon."""
        found = []
        for pid in namespace.pids():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8") as name:
                if name.read().strip() == "caldera-worker":
                    found.append(pid)
        return found

    def wait_for_commits(self, job, count):
        clusters.wait_for(
            lambda: self.cluster.caldera_json("get", job)["progress"]["matrices_committed"] >= count,
            f"{count} matrices", pause=.2)


@pytest.fixture
def two_hosts(tmp_path):
    with TwoHosts(tmp_path) as started:
        yield started


def assert_whole(cluster, name, output, undisturbed):
    commits = collections.Counter((event["layer"], event["matrix"]["projection"]) for event in cluster.events(name)
                                  if event["type"] == "matrix.committed")
    assert set(commits.values()) == {1} and len(commits) % len(checkpoints.PROJECTIONS) == 0
    assert checkpoints.digests(output) == undisturbed


def test_a_cable_cut_between_the_ranks_ends_the_worker_and_the_unit_is_run_again(job, undisturbed, two_hosts):
    model, flags = job
    cluster = two_hosts.cluster
    worker = two_hosts.start_worker()
    output = two_hosts.folder / "out"
    name = cluster.submit(model, output, *flags)
    two_hosts.wait_for_commits(name, 2)
    assert len(two_hosts.ranks_on(two_hosts.first)) == len(two_hosts.ranks_on(two_hosts.second)) == 1

    with two_hosts.cable.cut():
        # Rank 0 goes on heartbeating; it hangs in a collective, loses the lease for that, and ends itself.
        clusters.wait_for(lambda: not two_hosts.ranks_on(two_hosts.first), "the end of rank 0")
    assert "ending this process" in cluster.log("two-hosts")
    # Once the cable is back the second host learns of it.
    assert worker.wait(timeout=clusters.PATIENCE) != 0
    clusters.wait_for(lambda: not two_hosts.second.pids(), "the end of rank 1")

    two_hosts.start_worker()
    cluster.wait(name)
    assert any("made no progress" in event["message"] for event in cluster.events(name))
    assert_whole(cluster, name, output, undisturbed)


def test_a_unit_whose_worker_is_cut_off_goes_to_another_and_what_the_first_says_later_is_refused(
        job, undisturbed, two_hosts):
    model, flags = job
    cluster = two_hosts.cluster
    two_hosts.start_worker()
    output = two_hosts.folder / "out"
    name = cluster.submit(model, output, *flags)
    two_hosts.wait_for_commits(name, 2)

    with two_hosts.network.links["rank 0"].cut():
        cluster.start_worker("other", flags=WORKER_FLAGS)
        cluster.wait(name)
    clusters.wait_for(lambda: " ended: " in cluster.log("two-hosts"), "what the first worker says")

    types = [event["type"] for event in cluster.events(name)]
    assert "lease.expired" in types and "lease.revived" not in types
    assert_whole(cluster, name, output, undisturbed)
