"""Tokens, certificates and allowed places with real programs; certificates come from the openssl program."""

import collections
import json
import os
import pathlib
import shutil
import signal
import subprocess
import types

import pytest

import cluster as clusters

FAILED, AUTH, UNAVAILABLE, CONFLICT = 1, 4, 5, 7
SMALL = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=2,
             num_key_value_heads=1)
FLAGS = ["--samples", 8, "--seq-len", 32, "--rank", 4]


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def make_authority(folder):
    folder.mkdir()
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", 2,
            "-subj", f"/CN=authority {folder.name}", "-keyout", folder / "ca.key", "-out", folder / "ca.pem")


def make_certificate(authority, name):
    """NAME.pem and NAME.key in the authority's folder."""
    key, request, names = (authority / f"{name}.{end}" for end in ("key", "csr", "ext"))
    names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
            "-keyout", key, "-out", request)
    openssl("x509", "-req", "-in", request, "-CA", authority / "ca.pem", "-CAkey", authority / "ca.key",
            "-CAcreateserial", "-days", 2, "-extfile", names, "-out", authority / f"{name}.pem")


def tls(authority, name=None):
    """The variables of a client that trusts an authority and, with a name, has a certificate of it."""
    variables = {"CALDERA_TLS_CA": authority / "ca.pem"}
    if name is not None:
        variables |= {"CALDERA_TLS_CERT": authority / f"{name}.pem", "CALDERA_TLS_KEY": authority / f"{name}.key"}
    return variables


@pytest.fixture(scope="module")
def authorities(tmp_path_factory):
    """Two authorities with a server's and a client's certificate each; the first is ours."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("ours", "others"):
        make_authority(folder / name)
        for holder in ("server", "client"):
            make_certificate(folder / name, holder)
    return types.SimpleNamespace(ours=folder / "ours", others=folder / "others")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    """The file of the coordinator, and of each holder the file and text of his token."""
    folder = tmp_path_factory.mktemp("tokens")
    lines, files = [], {}
    for name, role, *more in (("alice", "user"), ("node", "worker"), ("root", "admin"),
                              ("late", "admin", "--days", "1e-9")):
        files[name] = folder / f"{name}.token"
        done = clusters.caldera("token", name, "--role", role, "--secret-file", files[name], *more)
        assert done.returncode == 0, done.stderr
        assert files[name].stat().st_mode & 0o777 == 0o600
        lines.append(done.stdout)
    (folder / "tokens").write_text("# who may\n" + "".join(lines))
    secrets = {name: path.read_text().strip() for name, path in files.items()}
    secrets["unknown"] = "caldera_" + "0123456789abcdef" * 4
    assert not any(secret in "".join(lines) for secret in secrets.values())
    return types.SimpleNamespace(file=folder / "tokens", files=files, secrets=secrets)


class SecureCluster(clusters.Cluster):
    """A cluster whose programs get variables of their own."""

    def run(self, variables, command, *arguments):
        """caldera as somebody with these variables."""
        return subprocess.run(
            [clusters.BIN / "caldera", command, *map(str, arguments), "--coordinator", self.address],
            capture_output=True, text=True, timeout=clusters.PATIENCE, env=environment(variables))

    def start_worker_as(self, variables, name="worker", flags=()):
        command = [clusters.BIN / "caldera-worker", "--coordinator", self.address, "--worker-id", name,
                   "--threads", 1, "--drain-timeout", 0, *flags]
        self.workers.append(self._start(command, name, clusters.LOCAL, environment(variables)))
        return self.workers[-1]

    def lines(self, name="coordinator"):
        """The log of a program as objects."""
        return [json.loads(line) for line in (self.folder / f"{name}.log").read_text().splitlines()]


def environment(variables):
    return {**clusters.ENVIRONMENT, **{name: str(value) for name, value in dict(variables).items()}}


@pytest.fixture
def start_secure(tmp_path):
    """start_secure(*flags) -> SecureCluster with a coordinator that runs with these flags."""
    started = []

    def start(*flags):
        started.append(SecureCluster(tmp_path / f"cluster-{len(started)}", coordinator_flags=flags))
        started[-1].start_coordinator()
        return started[-1]

    yield start
    for cluster in started:
        cluster.stop()


def server_flags(authority):
    return ["--tls-ca", authority / "ca.pem", "--tls-cert", authority / "server.pem",
            "--tls-key", authority / "server.key"]


def test_every_refusal_has_its_code_and_one_line_in_the_log(start_secure, authorities, tokens):
    ours, others = authorities.ours, authorities.others
    cluster = start_secure("--token-file", tokens.file, *server_flags(ours))
    ours_client = tls(ours, "client")
    cases = [
        (AUTH, "no token", ours_client),
        (AUTH, "not known", {**ours_client, "CALDERA_TOKEN": tokens.secrets["unknown"]}),
        (AUTH, "late expired on", {**ours_client, "CALDERA_TOKEN": tokens.secrets["late"]}),
        (AUTH, "node has the role worker", {**ours_client, "CALDERA_TOKEN_FILE": tokens.files["node"]}),
        (UNAVAILABLE, "", {**tls(ours), "CALDERA_TOKEN_FILE": tokens.files["root"]}),
        (UNAVAILABLE, "", {**tls(others, "client"), "CALDERA_TLS_CA": ours / "ca.pem",
                           "CALDERA_TOKEN_FILE": tokens.files["root"]}),
        (UNAVAILABLE, "", {**tls(others, "client"), "CALDERA_TOKEN_FILE": tokens.files["root"]}),
        (UNAVAILABLE, "", {"CALDERA_TOKEN_FILE": tokens.files["root"]}),
    ]
    said = []
    for code, text, variables in cases:
        for _ in range(2):
            done = cluster.run(variables, "list", "--patience", .5)
            assert done.returncode == code, (variables, done.stderr)
            assert text in done.stderr and done.stdout == ""
            said.append(done.stderr)
    for _ in range(2):
        worker = cluster.start_worker_as({**ours_client, "CALDERA_TOKEN_FILE": tokens.files["alice"]}, "alice")
        assert worker.wait(clusters.PATIENCE) == 1
    assert "alice has the role user, which may not call Register" in cluster.log("alice")
    good = cluster.run({**ours_client, "CALDERA_TOKEN_FILE": tokens.files["alice"]}, "list")
    assert good.returncode == 0, good.stderr

    warnings = [line for line in cluster.lines() if line["level"] in ("warning", "error")]
    print(*warnings, sep="\n")
    refused = collections.Counter(line["reason"] for line in warnings if "reason" in line)
    assert refused == {"MISSING_TOKEN": 1, "INVALID_TOKEN": 1, "EXPIRED_TOKEN": 1, "ROLE_NOT_PERMITTED": 1}
    handshakes = collections.Counter(line["message"] for line in warnings if "reason" not in line)
    assert set(handshakes.values()) == {1}
    for part in ("peer did not return a certificate", "certificate verify failed", "wrong version"):
        assert any(part in message for message in handshakes), (part, handshakes)
    everything = "".join(said) + cluster.logs()
    for secret in tokens.secrets.values():
        assert secret[len("caldera_"):] not in everything


def files_below(*folders):
    return [path for folder in folders for path in pathlib.Path(folder).rglob("*") if path.is_file()]


def processes_of(cluster):
    return [process.pid for process in (cluster.coordinator, *cluster.workers)]


def test_a_secret_is_nowhere_but_in_its_file(start_secure, authorities, tokens, make_model, texts):
    ours = authorities.ours
    cluster = start_secure("--token-file", tokens.file, *server_flags(ours), "--log-level", "debug")
    user = {**tls(ours, "client"), "CALDERA_TOKEN_FILE": tokens.files["alice"]}
    port = clusters.free_port()
    cluster.start_worker_as({**tls(ours, "client"), "CALDERA_TOKEN_FILE": tokens.files["node"]},
                            flags=["--metrics-listen", f"127.0.0.1:{port}", "--log-level", "debug",
                                   "--store-access", "stream"])
    done = cluster.run(user, "submit", make_model("llama31", **SMALL), cluster.folder / "out", "--calibration",
                       texts["calibration"], *FLAGS, "-o", "name")
    assert done.returncode == 0, done.stderr
    job = done.stdout.strip()
    seen = [done.stdout, done.stderr]
    for pid in processes_of(cluster):
        seen += [pathlib.Path(f"/proc/{pid}/{name}").read_text() for name in ("cmdline", "environ")]
    done = cluster.run(user, "wait", job, "-o", "json")
    assert done.returncode == 0, done.stderr + cluster.logs()
    assert json.loads(done.stdout)["owner"] == "alice"
    pages = [cluster.scrape(), clusters.scrape(port), cluster.run(user, "get", job, "-o", "json").stdout]
    assert all(pages)
    seen += [done.stdout, *pages]
    done = cluster.run(user, "download", job, cluster.folder / "copy")
    assert done.returncode == 0, done.stderr

    files = files_below(cluster.folder)
    assert {"state.sqlite", "manifest.json", "run.json", "coordinator.log", "worker.log", "job.json"} <= {
        path.name for path in files}
    key = (ours / "client.key").read_text().splitlines()[1]
    secrets = [secret[len("caldera_"):] for secret in tokens.secrets.values()] + [key]
    for secret in secrets:
        assert not any(secret in text for text in seen)
        assert [path for path in files if secret.encode() in path.read_bytes()] == []


def test_a_new_certificate_is_used_without_a_restart(start_secure, authorities, tmp_path):
    in_use = tmp_path / "in-use"
    shutil.copytree(authorities.ours, in_use)
    cluster = start_secure(*server_flags(in_use))

    def healthy(authority):
        return cluster.run(tls(authority, "client"), "health", "--patience", 30).returncode == 0

    assert healthy(authorities.ours) and not healthy(authorities.others)
    for name in ("ca.pem", "server.pem", "server.key"):
        shutil.copy(authorities.others / name, in_use / f"new-{name}")
        os.replace(in_use / f"new-{name}", in_use / name)
    clusters.wait_for(lambda: healthy(authorities.others), "the new certificate")
    assert not healthy(authorities.ours)
    assert cluster.coordinator.poll() is None


def test_files_outside_the_allowed_roots_are_refused(start_secure, make_model, texts, tmp_path):
    root = tmp_path / "allowed"
    shutil.copytree(make_model("llama31", **SMALL), root / "model")
    shutil.copy(texts["calibration"], root / "text.txt")
    outside = shutil.copytree(root, tmp_path / "outside")
    (root / "link").symlink_to(outside)
    shutil.copytree(root / "model", root / "patched")
    (root / "patched" / "model.safetensors").unlink()
    (root / "patched" / "model.safetensors").symlink_to(outside / "model" / "model.safetensors")
    cluster = start_secure("--allow-root", root)

    def submit(model=root / "model", output=root / "out", text=root / "text.txt"):
        return cluster.run({}, "submit", model, output, "--calibration", text, *FLAGS, "--validate-only")

    assert submit().returncode == 0
    for bad in (dict(model=outside / "model"), dict(output=outside / "out"), dict(text=outside / "text.txt"),
                dict(model=root / "link" / "model"), dict(output=root / "link" / "out"),
                dict(text=root / "link" / "text.txt"), dict(model=root / "patched")):
        done = submit(**bad)
        assert done.returncode == AUTH, (bad, done.stderr)
        assert "--allow-root" in done.stderr


@pytest.mark.parametrize("flags,culprit", [
    ([], "TLS"),
    (["--tls-cert", "server.pem", "--tls-key", "server.key"], "token file"),
    (["--tls-cert", "server.pem", "--tls-key", "client.key", "--tls-ca", "ca.pem"], "client.key"),
    (["--tls-cert", "server.pem", "--tls-ca", "ca.pem"], "go together"),
    (["--tls-cert", "server.pem", "--tls-key", "server.key", "--tls-ca", "absent.pem"], "absent.pem"),
], ids=["plaintext", "open to all", "another key", "no key", "no authority"])
def test_the_coordinator_does_not_listen_to_others_unprotected(authorities, tmp_path, flags, culprit):
    words = [str(authorities.ours / word) if "." in word else word for word in flags]
    done = subprocess.run([clusters.BIN / "caldera-coordinator", "--listen", "0.0.0.0:0", "--state-dir",
                           tmp_path / "state", *words], capture_output=True, text=True,
                          timeout=clusters.PATIENCE)
    assert done.returncode == 1, done.stderr
    assert culprit in done.stderr


def test_the_health_port_tells_nothing_else(start_secure, authorities, tokens):
    port = clusters.free_port()
    cluster = start_secure("--token-file", tokens.file, *server_flags(authorities.ours),
                           "--health-listen", f"127.0.0.1:{port}")
    cluster.address = f"127.0.0.1:{port}"
    healthy = cluster.run({}, "health", "--service", "caldera.v1.DispatchService", "-o", "json")
    assert json.loads(healthy.stdout)["status"] == "SERVING"
    assert cluster.run({"CALDERA_TOKEN_FILE": tokens.files["root"]}, "list").returncode == FAILED


def test_a_token_is_never_taken_from_a_flag_nor_sent_in_plaintext_to_others(tokens):
    secret = tokens.secrets["alice"]
    assert clusters.caldera("list", "--token", secret).returncode == 2
    done = subprocess.run([clusters.BIN / "caldera", "list", "--coordinator", "192.0.2.1:7070"],
                          capture_output=True, text=True, timeout=clusters.PATIENCE,
                          env=environment({"CALDERA_TOKEN": secret}))
    assert done.returncode == CONFLICT and "loopback" in done.stderr
    done = subprocess.run([clusters.BIN / "caldera", "list"], capture_output=True, text=True,
                          timeout=clusters.PATIENCE, env=environment({"CALDERA_TOKEN": secret[:-1]}))
    assert done.returncode == FAILED and "CALDERA_TOKEN" in done.stderr and secret[8:-1] not in done.stderr


def test_a_token_without_a_file_is_printed_once_with_its_line():
    done = clusters.caldera("token", "bob", "--role", "user", "--days", 90)
    secret, line = done.stdout.splitlines()
    assert secret.startswith("caldera_") and len(secret) == 72
    assert line.startswith("bob user sha256:") and line.endswith("Z")
    assert clusters.caldera("token", "b/b", "--role", "user").returncode == FAILED


def test_the_cluster_of_compress_lets_in_only_its_own(make_model, texts, tmp_path):
    """Its port can be reached by everybody on the machine."""
    output = tmp_path / "out"
    running = subprocess.Popen(
        [clusters.BIN / "caldera", "compress", str(make_model("llama31", **SMALL)), str(output), "--calibration",
         str(texts["calibration"]), *map(str, FLAGS), "--threads", "1", "--keep-state"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment({}))

    def worker():
        return [pid for pid, line in clusters.children_of(running.pid).items() if "caldera-worker" in line]

    (frozen,) = clusters.wait_for(worker, "the worker")
    os.kill(frozen, signal.SIGSTOP)  # the job does not end meanwhile
    address = pathlib.Path(f"{output}.caldera/address").read_text().strip()
    done = clusters.caldera("list", "--coordinator", address)
    os.kill(frozen, signal.SIGCONT)
    _, stderr = running.communicate(timeout=clusters.PATIENCE)
    assert running.returncode == 0, stderr
    assert done.returncode == AUTH, done.stderr
    log = pathlib.Path(f"{output}.caldera/logs/coordinator.log").read_text()
    secret = pathlib.Path(f"{output}.caldera/token")
    assert secret.stat().st_mode & 0o777 == 0o600
    assert secret.read_text() not in log + stderr
