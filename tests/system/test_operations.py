"""Every recipe of docs/operations.md against a small cluster that is in the condition it is for."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

import checkpoints
import cluster as clusters
import recipes
import test_security as security

FAILED, NOT_FOUND, UNAVAILABLE, CONFLICT = 1, 3, 5, 7
LAYERS = 2
SHAPE = dict(hidden_size=256, intermediate_size=512, num_hidden_layers=LAYERS)
JOB = ["--samples", 8, "--seq-len", 64, "--rank", 16]
SHORT = ["--lease-seconds", 3, "--heartbeat-seconds", .5, "--restart-grace-seconds", 3,
         "--backoff-seconds", .1, "--max-failures", 20]
SCENARIOS = {}


@pytest.fixture(scope="module")
def job(make_model, texts):
    return make_model("llama2", **SHAPE), ["--calibration", texts["calibration"], *JOB]


@pytest.fixture(scope="module")
def undisturbed(job, tmp_path_factory):
    model, flags = job
    return checkpoints.digests(clusters.compress_undisturbed(tmp_path_factory.mktemp("undisturbed"), model, flags))


class Scene:
    """A cluster, a recipe with the variables of the page, and a job."""

    def __init__(self, title, folder, job):
        self.cluster = None
        self.folder = folder
        self.model, self.flags = job
        self.recipe = recipes.Recipe(title, folder)
        self.mounted = []
        self.name = ""

    def start(self, flags=SHORT, **options):
        self.cluster = clusters.Cluster(self.folder / "cluster", flags, port=clusters.free_port(), **options)
        return self.cluster

    def open(self, flags=SHORT, **options):
        """A cluster that runs."""
        cluster = self.start(flags, **options)
        cluster.start_coordinator()
        self.tell()
        return cluster

    def tell(self):
        cluster = self.cluster
        self.recipe.set(CALDERA_COORDINATOR=cluster.address, METRICS=f"127.0.0.1:{cluster.metrics_port}",
                        STATE_DIR=cluster.folder / "state", STORE=cluster.store, OUT=self.output)

    @property
    def output(self):
        return self.cluster.folder / "out"

    def submit(self):
        self.name = self.cluster.submit(self.model, self.output, *self.flags)
        self.recipe.set(JOB=self.name)
        return self.name

    def in_the_middle(self, worker_id="node1", **options):
        """A worker at a job with a few matrices committed."""
        worker = self.cluster.start_worker(worker_id, **options)
        self.recipe.set(WORKER_PID=worker.pid)
        self.submit()
        self.wait_for_matrices(2)
        return worker

    def wait_for_matrices(self, count):
        clusters.wait_for(lambda: self.job()["progress"]["matrices_committed"] >= count, f"{count} matrices")

    def job(self):
        return self.cluster.caldera_json("get", self.name)

    def wait_until_failed(self):
        clusters.wait_for(lambda: self.job()["state"] == "FAILED", "the failure of the job")

    def small_disk(self, name, mebibytes):
        folder = self.folder / name
        folder.mkdir()
        self.mount("-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", folder)
        return folder

    def mount(self, *arguments):
        done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == 0, f"mounting needs CAP_SYS_ADMIN: {done.stderr}"
        self.mounted.append(arguments[-1])

    def close(self):
        self.recipe.stop()
        if self.cluster is not None:
            self.cluster.stop()
            for worker in self.cluster.workers:  # ranks that outlived their mpirun
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(worker.pid, signal.SIGKILL)
        for folder in reversed(self.mounted):
            subprocess.run(["umount", "-l", folder], stderr=subprocess.DEVNULL)


def scenario(title):
    def register(function):
        SCENARIOS[title] = function
        return function

    return register


def value_of(printed):
    """The value of the only metric that was printed."""
    return float(printed.split()[-1])


@scenario("CoordinatorDown")
def coordinator_down(scene, undisturbed):
    cluster = scene.open()
    scene.in_the_middle()
    cluster.kill(cluster.coordinator)
    assert cluster.address in scene.recipe.shows(code=UNAVAILABLE)
    scene.recipe.do()
    printed = scene.recipe.over()
    assert "SERVING" in printed and "node1" in printed
    cluster.wait(scene.name)
    assert checkpoints.digests(scene.output) == undisturbed


@scenario("NoHealthyWorkers")
def no_healthy_workers(scene, undisturbed):
    scene.open()
    scene.submit()
    printed = scene.recipe.shows()
    assert 'caldera_jobs{state="pending"} 1' in printed
    assert not re.search(r'caldera_workers\{state="(idle|busy|draining)"\} [^0]', printed)
    scene.recipe.do()
    assert "node1" in scene.recipe.over()
    scene.cluster.wait(scene.name)
    assert checkpoints.digests(scene.output) == undisturbed


def ranks_of(mpirun):
    """{rank: pid}."""
    found = {}
    for pid, line in clusters.children_of(mpirun.pid).items():
        with open(f"/proc/{pid}/environ", "rb") as file:
            rank = re.search(rb"OMPI_COMM_WORLD_RANK=(\d+)", file.read())
        if "caldera-worker" in line and rank:
            found[int(rank.group(1))] = pid
    return found


@scenario("JobStalled")
def job_stalled(scene, undisturbed):
    scene.open()
    worker = scene.in_the_middle(ranks=2)
    os.kill(ranks_of(worker)[1], signal.SIGSTOP)  # rank 0 goes on heartbeating
    printed = scene.recipe.shows()
    assert f'job_id="{scene.name.split("/")[1]}"' in printed and "node1" in printed
    scene.recipe.do()
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait(timeout=clusters.PATIENCE)
    scene.recipe.over()
    assert checkpoints.digests(scene.output) == undisturbed


@scenario("LeaseExpirationsHigh")
def lease_expirations_high(scene, undisturbed):
    cluster = scene.open()
    worker = scene.in_the_middle()
    worker.send_signal(signal.SIGSTOP)
    for name, labels in (("caldera_workers", dict(state="lost")), ("caldera_lease_expirations_total", {})):
        clusters.wait_for(lambda: clusters.metric(cluster.scrape(), name, **labels), name)
    printed = scene.recipe.shows()
    assert re.search(r"caldera_lease_expirations_total [1-9]", printed) and "node1" in printed
    scene.recipe.do()
    scene.recipe.over()
    cluster.wait(scene.name)
    assert checkpoints.digests(scene.output) == undisturbed


@scenario("UnitRetriesExhausted")
def unit_retries_exhausted(scene, undisturbed):
    cluster = scene.open(["--backoff-seconds", .1, "--exclude-after", 1])
    scene.in_the_middle(flags=["--store-patience", .5])
    away = cluster.store.with_name("away")
    cluster.store.rename(away)
    scene.wait_until_failed()
    printed = scene.recipe.shows()
    assert re.search(r"caldera_tasks_exhausted_total\{kind=\"compress\"\} 1", printed)
    assert str(cluster.store) in printed
    away.rename(cluster.store)
    scene.recipe.do()
    scene.recipe.over()
    assert checkpoints.digests(scene.output) == undisturbed


@scenario("StoreDown")
def store_down(scene, undisturbed):
    disk = scene.small_disk("disk", 64)
    store = scene.folder / "store"
    store.mkdir()
    scene.mount("--bind", disk, store)
    scene.open(["--backoff-seconds", 3600], store=store)
    scene.in_the_middle()
    subprocess.run(["umount", "-l", store], check=True)
    clusters.wait_for(lambda: clusters.metric(scene.cluster.scrape(), "caldera_store_up") == 0, "the metric")
    assert value_of(scene.recipe.shows()) == 0
    # What would stand in the host's fstab.
    shim = scene.folder / "mount"
    shim.write_text(f'#!/bin/sh\nexec {shutil.which("mount")} --bind {disk} "$1"\n')
    shim.chmod(0o755)
    scene.recipe.do()
    scene.recipe.over()
    assert checkpoints.digests(scene.output) == undisturbed


@scenario("StoreSpaceLow")
def store_space_low(scene, undisturbed):
    disk = scene.small_disk("disk", 64)
    cluster = scene.open(store=disk / "store")
    cluster.start_worker("node1")
    scene.submit()
    cluster.wait(scene.name)
    before = value_of(scene.recipe.shows())
    scene.recipe.do()
    assert value_of(scene.recipe.over()) > before
    assert cluster.caldera_json("list")["jobs"] == []
    assert checkpoints.digests(scene.output) == undisturbed


@scenario("StateSpaceLow")
def state_space_low(scene, undisturbed):
    disk = scene.small_disk("disk", 16)
    cluster = scene.start(["--backoff-seconds", 3600])
    (cluster.folder / "state").symlink_to(disk)
    (disk / "spare").write_bytes(bytes(8 << 20))
    cluster.start_coordinator()
    scene.tell()
    scene.in_the_middle()
    with open(disk / "filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)) == 4096:
            pass
    printed = scene.recipe.shows(code=FAILED)
    assert "caldera_state_free_bytes" in printed
    assert "state.sqlite" in printed and "bytes free" in printed
    scene.recipe.do()
    scene.recipe.over()
    assert checkpoints.digests(scene.output) == undisturbed


def tensors_of(path):
    """Names in the header of a safetensors file."""
    with open(path, "rb") as file:
        return [name for name in json.loads(file.read(int.from_bytes(file.read(8), "little")))
                if name != "__metadata__"]


@scenario("StoreVerifyFailures")
def store_verify_failures(scene, undisturbed):
    cluster = scene.open()
    worker = scene.in_the_middle()
    clusters.wait_for(lambda: scene.job()["progress"]["layers_done"] >= 1, "a layer")
    worker.send_signal(signal.SIGSTOP)
    objects = [path for path in (cluster.store / "objects" / "sha256").glob("*/*")
               if path.read_bytes()[8:9] == b"{"]
    shard = next(path for path in objects if any("input_layernorm" in name for name in tensors_of(path)))
    shard.chmod(0o644)
    with open(shard, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))
    worker.send_signal(signal.SIGCONT)
    scene.wait_until_failed()
    printed = scene.recipe.shows()
    assert re.search(r"caldera_store_verify_failures_total [1-9]", printed) and str(shard) in printed
    scene.recipe.do()
    scene.recipe.over()
    assert checkpoints.digests(scene.output) == undisturbed


@scenario("A job has failed")
def job_failed(scene, undisturbed):
    cluster = scene.open(["--lease-seconds", 2, "--heartbeat-seconds", .5, "--max-failures", 1])
    cluster.kill(scene.in_the_middle())
    scene.wait_until_failed()
    printed = scene.recipe.shows()
    assert scene.name in printed and "worker node1 was lost" in printed
    cluster.start_worker("node2")
    scene.recipe.do()
    scene.recipe.over()
    assert checkpoints.digests(scene.output) == undisturbed


@scenario("A job has drifted")
def job_drifted(scene, undisturbed):
    cluster = scene.open()
    text = scene.folder / "text.txt"
    shutil.copy(scene.flags[1], text)
    scene.flags = ["--calibration", text, *JOB]
    scene.recipe.set(MODEL=scene.model, TEXT=text, JOB_FLAGS=" ".join(map(str, JOB)))
    scene.in_the_middle()
    cluster.caldera_json("cancel", scene.name)
    with open(text, "a") as file:
        file.write("Another line.\n")
    assert "calibration.sha256" in scene.recipe.shows(code=CONFLICT)
    scene.recipe.do()
    scene.recipe.over()
    assert clusters.caldera("verify", scene.output).returncode == 0


@scenario("A job is not wanted any more")
def job_not_wanted(scene, undisturbed):
    cluster = scene.open()
    scene.in_the_middle()
    scene.recipe.do()
    scene.recipe.over(code=NOT_FOUND)
    clusters.wait_for(lambda: not list((cluster.store / "receipts").glob("*/*")), "the end of the receipts")


@scenario("A worker has to go")
def worker_has_to_go(scene, undisturbed):
    cluster = scene.open()
    worker = scene.in_the_middle()
    scene.recipe.do()
    assert worker.wait(timeout=clusters.PATIENCE) == 0
    scene.recipe.over()
    cluster.start_worker("node2")
    cluster.wait(scene.name)
    assert not [event for event in cluster.events(scene.name) if event["type"] == "lease.expired"]
    assert checkpoints.digests(scene.output) == undisturbed


@scenario("The state database is lost")
def database_lost(scene, undisturbed):
    cluster = scene.open()
    scene.in_the_middle()
    cluster.kill(cluster.coordinator)
    for file in (cluster.folder / "state").glob("state.sqlite*"):
        file.unlink()
    assert f"recovered {scene.name}:" in scene.recipe.do()
    scene.recipe.over()
    assert checkpoints.digests(scene.output) == undisturbed


@scenario("Backing up and restoring the state")
def backup_and_restore(scene, undisturbed):
    scene.open()
    scene.in_the_middle()
    scene.recipe.do()
    scene.wait_for_matrices(7)
    scene.recipe.do()
    scene.recipe.over()
    assert checkpoints.digests(scene.output) == undisturbed


@scenario("A new version")
def new_version(scene, undisturbed):
    cluster = scene.open()
    worker = scene.in_the_middle()
    scene.recipe.do()
    cluster.kill(worker)
    cluster.coordinator.wait(timeout=clusters.PATIENCE)
    scene.recipe.do()
    printed = scene.recipe.over()
    assert "node1 " in printed
    assert checkpoints.digests(scene.output) == undisturbed


def make_server_certificate(authority, folder, days):
    """server.pem and server.key of 127.0.0.1 in a new folder."""
    folder.mkdir()
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    security.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=server",
                     "-keyout", folder / "server.key", "-out", folder / "request")
    security.openssl("x509", "-req", "-in", folder / "request", "-CA", authority / "ca.pem", "-CAkey",
                     authority / "ca.key", "-CAcreateserial", "-days", days, "-extfile", folder / "names",
                     "-out", folder / "server.pem")


@scenario("A certificate expires")
def certificate_expires(scene, undisturbed):
    security.make_authority(scene.folder / "authority")
    for name, days in (("old", 2), ("new", 90)):
        make_server_certificate(scene.folder / "authority", scene.folder / name, days)
    in_use = scene.folder / "in-use"
    in_use.symlink_to("old")
    trust = {"CALDERA_TLS_CA": str(scene.folder / "authority" / "ca.pem")}
    cluster = scene.open([*SHORT, "--tls-cert", in_use / "server.pem", "--tls-key", in_use / "server.key"],
                         environment=trust)
    scene.recipe.set(TLS_DIR=in_use, NEW_TLS_DIR="new", **trust)
    scene.in_the_middle()
    assert "will expire" in scene.recipe.shows(code=FAILED)
    scene.recipe.do()
    scene.recipe.over()
    cluster.wait(scene.name)
    assert checkpoints.digests(scene.output) == undisturbed


@scenario("Clocks differ")
def clocks_differ(scene, undisturbed):
    cluster = scene.open()
    port = clusters.free_port()
    environment = clusters.with_clock("+1h")
    cluster.start_worker("node1", environment=environment, flags=["--metrics-listen", f"127.0.0.1:{port}"])
    (scene.folder / "worker.log").symlink_to(cluster.folder / "node1.log")
    scene.recipe.set(WORKER_METRICS=f"127.0.0.1:{port}")
    clusters.wait_for(lambda: "the coordinator's clock is" in cluster.log("node1"), "the warning")
    assert -3700 < value_of(scene.recipe.shows()) < -3500


def test_every_section_of_the_page_is_tried():
    assert list(recipes.sections()) == list(SCENARIOS)
    assert all(recipes.sections().values())


@pytest.mark.parametrize("title", SCENARIOS)
def test_recipe(title, job, undisturbed, tmp_path):
    scene = Scene(title, tmp_path, job)
    try:
        SCENARIOS[title](scene, undisturbed)
        assert scene.recipe.blocks == []
    except BaseException:
        if scene.cluster is not None:
            print(scene.cluster.logs())
        raise
    finally:
        scene.close()
