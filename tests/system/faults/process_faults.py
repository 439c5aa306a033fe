"""Processes that are killed, frozen and drained."""

import contextlib
import os
import pathlib
import signal
import time

import cluster as clusters


def _ranks(scene):
    """Rank -> pid of the MPI worker."""
    found = {}
    for pid, line in clusters.children_of(scene.workers["mpi"].pid).items():
        with contextlib.suppress(OSError):
            environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            for entry in environment:
                if "caldera-worker" in line and entry.startswith(b"OMPI_COMM_WORLD_RANK="):
                    found[int(entry.partition(b"=")[2])] = pid
    return found


def _some_rank(scene):
    ranks = _ranks(scene)
    return ranks[scene.draw.randrange(2)] if len(ranks) == 2 else None


def leaders(scene):
    """The processes of workers that write to the store."""
    found = [scene.workers["plain"].pid]
    with contextlib.suppress(KeyError):
        found.append(_ranks(scene)[0])
    return found


@contextlib.contextmanager
def _frozen(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    yield
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def kill_worker(scene):
    name = scene.some_worker()
    scene.cluster.kill(scene.workers[name])
    scene.start_worker(name)


def kill_rank(scene):
    rank = _some_rank(scene)
    if rank is None:
        return False
    os.kill(rank, signal.SIGKILL)
    scene.workers["mpi"].wait(timeout=clusters.PATIENCE)
    return True


def freeze_rank(scene):
    """One rank stops: its worker's collective hangs."""
    rank = _some_rank(scene)
    if rank is None:
        return False
    with _frozen(rank):
        time.sleep(scene.seconds(.5, 6.5))
    return True


def drain_worker(scene):
    name = scene.some_worker()
    if scene.workers[name].poll() is not None:
        return False
    # mpirun forwards SIGUSR1 and kills its ranks after SIGTERM.
    scene.workers[name].send_signal(signal.SIGUSR1 if name == "mpi" else signal.SIGTERM)
    code = scene.workers[name].wait(timeout=clusters.PATIENCE)
    # On a busy machine the step in flight may outlast --hang-seconds.
    assert code == 0 or "ending this process" in scene.cluster.log(name), scene.cluster.logs()
    return True


def freeze_worker(scene):
    """Longer than its lease: it comes back to find its unit with another, or not."""
    with _frozen(scene.workers["plain"].pid):
        time.sleep(scene.seconds(1.1, 1.8))


def kill_coordinator(scene):
    scene.cluster.kill(scene.cluster.coordinator)
    time.sleep(scene.draw.uniform(0, 1))
    scene.cluster.start_coordinator()


def freeze_coordinator(scene):
    with _frozen(scene.cluster.coordinator.pid):
        time.sleep(scene.seconds(.5, 1.5))


def stop_coordinator(scene):
    scene.cluster.coordinator.terminate()
    scene.cluster.coordinator.wait(timeout=clusters.PATIENCE)
    scene.cluster.start_coordinator()


def kill_everything(scene):
    for process in (*scene.workers.values(), scene.cluster.coordinator):
        if process.poll() is None:
            scene.cluster.kill(process)
    scene.cluster.start_coordinator()


FAULTS = (kill_worker, kill_rank, freeze_rank, drain_worker, freeze_worker, kill_coordinator, freeze_coordinator,
          stop_coordinator, kill_everything)
