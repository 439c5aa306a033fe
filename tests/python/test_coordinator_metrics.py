"""A running coordinator's /metrics as Prometheus' own linter sees it."""
import os
import pathlib
import shutil
import signal
import subprocess
import time
import urllib.request

import pytest

BUILD = pathlib.Path(os.environ.get("CALDERA_BUILD", "build"))


@pytest.fixture(name="coordinator")
def start_coordinator(tmp_path):
    """Yields (address, metrics text reader); the process must end cleanly on SIGTERM."""
    address_file = tmp_path / "address"
    log = (tmp_path / "log").open("w+")
    process = subprocess.Popen(
        [BUILD / "bin" / "caldera-coordinator", "--listen", "127.0.0.1:0", "--state-dir",
         tmp_path / "state", "--metrics-listen", "127.0.0.1:0", "--address-file", address_file],
        stderr=log)
    try:
        deadline = time.monotonic() + 30
        while not address_file.exists() and process.poll() is None:
            assert time.monotonic() < deadline, "the coordinator did not start"
            time.sleep(0.05)
        while "metrics port" not in pathlib.Path(log.name).read_text():
            assert time.monotonic() < deadline, "the coordinator did not start"
            time.sleep(0.05)
        text = pathlib.Path(log.name).read_text()
        port = int(text.split("metrics port ")[1].split('"')[0].split(",")[0].split()[0])
        yield lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics",
                                             timeout=10).read().decode()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


def test_every_series_has_help_and_type(coordinator):
    text = coordinator()
    described = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP")}
    typed = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    for line in text.splitlines():
        if line.startswith("#") or not line:
            continue
        name = line.split("{")[0].split()[0]
        families = {name, name.removesuffix("_bucket"), name.removesuffix("_sum"),
                    name.removesuffix("_count")}
        assert families & described and families & typed, name


def test_promtool_finds_nothing(coordinator):
    promtool = shutil.which("promtool")
    text = coordinator()
    assert "caldera_build_info{" in text and "process_resident_memory_bytes" in text
    if promtool:
        result = subprocess.run([promtool, "check", "metrics"], input=text, text=True,
                                capture_output=True, check=False)
        assert result.returncode == 0 and not result.stderr, result.stderr
