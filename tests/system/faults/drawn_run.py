"""Jobs in a scene (scene.py) while faults are drawn and done, and what must hold of each job afterwards."""

import collections
import re
import sqlite3
import time

import call_faults
import checkpoints
import cluster as clusters
import disk_faults
import network_faults
import process_faults
import s3_faults

CODES = {8: "RESOURCE_EXHAUSTED", 14: "UNAVAILABLE", 15: "DATA_LOSS"}  # google.rpc.Code
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")
# Without faults a job takes about 20 s on two idle cores.
JOB_PATIENCE = 420
# A job that fails again and again for one damaged object is not being mended.
MOST_RESUMES = 20
FAMILIES = {
    "proxied": (process_faults.FAULTS, network_faults.FAULTS, disk_faults.FAULTS, call_faults.FAULTS),
    "s3": (process_faults.FAULTS, s3_faults.FAULTS, (disk_faults.fill_state,)),
    "direct": (process_faults.FAULTS, network_faults.FAULTS, disk_faults.FAULTS),
}
CAUSES = {**disk_faults.CAUSES, **s3_faults.CAUSES}


def _deck(scene):
    """All kinds of faults of a scene in a drawn order, a family after the other."""
    hands = [list(family) for family in FAMILIES[scene.kind]]
    scene.draw.shuffle(hands)
    for hand in hands:
        scene.draw.shuffle(hand)
    deck = []
    while any(hands):
        deck.extend(hand.pop() for hand in hands if hand)
    return deck


class Run:
    """Up to `count` faults, over as many jobs as they take."""

    def __init__(self, scene, count):
        self.scene = scene
        self.left = count
        self.done = collections.Counter()
        self.resumed = collections.Counter()  # by the code a job had failed with
        self.deck = []

    def hurt(self):
        """One fault, unless it finds nobody to hurt."""
        self.deck = self.deck or _deck(self.scene)
        fault = self.deck.pop(0)
        if fault(self.scene) is not False:
            self.done[fault.__name__] += 1
            self.left -= 1

    def state(self, name):
        """Of the job; one that failed for a fault that was done is resumed."""
        job = self.scene.job(name)
        if job is None:
            return ""
        if job["state"] == "FAILED":
            self._resume(name, job["error"])
            return "RESUMED"
        return job["state"]

    def _resume(self, name, error):
        causes = {CAUSES[fault] for fault in self.done if fault in CAUSES}
        code = CODES.get(error["code"])
        assert code in causes and error["message"], (error, dict(self.done))
        self.resumed[code] += 1
        assert sum(self.resumed.values()) <= MOST_RESUMES, (error, self.scene.cluster.logs())
        done = self.scene.cluster.caldera("resume", name)
        assert done.returncode == 0, done.stderr

    def job(self, model, flags, output):
        """Submits a job and hurts it until it has ended or all faults are done; its name."""
        name = self.scene.cluster.submit(model, output, *flags)
        deadline = time.monotonic() + JOB_PATIENCE
        while (state := self.state(name)) not in ENDED:
            assert time.monotonic() < deadline, f"{name} is {state or 'unknown'}\n{self.scene.cluster.logs()}"
            if self.left > 0:
                time.sleep(self.scene.draw.uniform(0, 1))
                self.hurt()
            else:
                time.sleep(.3)
            self.scene.ensure_workers()
        assert state == "SUCCEEDED", self.scene.cluster.logs()
        return name


def check(scene, name, output, undisturbed):
    """Nothing is lost, nothing was committed twice, the bytes are those of an undisturbed run."""
    commits = collections.Counter()
    lost = collections.Counter()
    for event in scene.cluster.events(name):
        if event["type"] == "matrix.committed":
            commits[event["layer"], event["matrix"]["projection"]] += 1
        damaged = re.match(r"layer (\d+) (\S+): object", event["message"])
        if event["type"] == "object.lost" and damaged:
            lost[int(damaged[1]), damaged[2]] += 1
    layers = 1 + max(layer for layer, projection in commits)
    wanted = {(layer, projection): 1 + lost[layer, projection]
              for layer in range(layers) for projection in checkpoints.PROJECTIONS}
    assert commits == wanted, (commits, lost)
    _check_database(scene, name.rpartition("/")[2], len(wanted))
    assert checkpoints.digests(output) == undisturbed
    verified = clusters.caldera("verify", output)
    assert verified.returncode == 0, verified.stderr
    if scene.kind != "s3":
        staging = scene.cluster.store / "staging"
        clusters.wait_for(lambda: not any(staging.iterdir()), "the sweep of what dead attempts had staged", timeout=60)


def _check_database(scene, job, matrices):
    path = scene.cluster.folder / "state" / "state.sqlite"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = database.execute("SELECT layer, projection FROM matrices WHERE job = ?", (job,)).fetchall()
    assert len(rows) == len(set(rows)) == matrices
