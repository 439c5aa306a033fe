"""Fixtures of the system tests: small models, texts and clusters of real processes.

CALDERA_BUILD is the build directory (its bin/ holds the programs), CALDERA_SMOLLM2 the GGUF of the real
model.
"""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "python"))

import cluster as clusters  # noqa: E402
import s3_server  # noqa: E402


@pytest.fixture(scope="session")
def texts(tmp_path_factory):
    """{"calibration": path, "evaluation": path}: different texts of one language."""
    import tiny_models  # brings torch, which not every test needs

    folder = tmp_path_factory.mktemp("texts")
    paths = {}
    for seed, name in enumerate(("calibration", "evaluation"), start=1):
        paths[name] = folder / f"{name}.txt"
        paths[name].write_text(tiny_models.generate_text(120_000, seed), encoding="utf-8")
    return paths


@pytest.fixture(scope="session")
def make_model(tmp_path_factory):
    """make_model(name, **changes) -> folder of a Hugging Face model; made once per set of changes."""
    import tiny_models

    made = {}

    def make(name, **changes):
        key = (name, tuple(sorted(changes.items())))
        if key not in made:
            made[key] = tmp_path_factory.mktemp(name) / "model"
            tiny_models.save_model(name, made[key], **changes)
        return made[key]

    return make


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """A running S3Server (s3_server.py)."""
    ports = [clusters.free_port() for _ in range(4)]
    server = s3_server.S3Server(tmp_path_factory.mktemp("s3") / "server", ports)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def start_cluster(tmp_path):
    """start_cluster(...) -> Cluster in the test's own folder; stopped when the test ends."""
    started = []

    def start(**options):
        folder = tmp_path / f"cluster-{len(started)}"
        started.append(clusters.Cluster(folder, **options))
        started[-1].start_coordinator()
        return started[-1]

    yield start
    for cluster in started:
        cluster.stop()
