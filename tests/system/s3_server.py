"""A real S3 for tests: Ceph's radosgw with its monitor and one OSD that keeps objects in memory.

Debian's radosgw, ceph-mon, ceph-osd and ceph-common; everything on 127.0.0.1 in a folder of its own; ended
by the handles of its own processes.
"""

import contextlib
import os
import pathlib
import subprocess
import time
import urllib.error
import urllib.request
import uuid

ACCESS_KEY, SECRET_KEY = "CALDERATESTKEY", "calderaTestSecretOfNobody"
# A user who may hold a megabyte.
SMALL_ACCESS_KEY, SMALL_SECRET_KEY = "CALDERASMALLKEY", "calderaSmallSecretOfNobody"
SMALL_BYTES = 1 << 20
PATIENCE = 120

CONFIG = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon2},v1:127.0.0.1:{mon1}]
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
ms bind ipv6 = false
public network = 127.0.0.0/8
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
mon allow pool size one = true
mon warn on pool no redundancy = false
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 4294967296
mon data avail crit = 1
osd memory target = 939524096
mon data = {folder}/mon
osd data = {folder}/osd
run dir = {folder}
pid file = {folder}/$name.pid
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
keyring = {folder}/keyring
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{port} ssl_endpoint=127.0.0.1:{tls_port} ssl_certificate={folder}/tls.pem
rgw dns name = localhost
rgw data = {folder}/rgw
rgw user quota bucket sync interval = 1
rgw bucket quota ttl = 1
rgw user quota sync interval = 1
"""


class S3Server:
    """Started by start(); `environment` is what a program needs to reach it.

    `ports`: four free ones, for the monitor (two), http and https.
    """

    def __init__(self, folder, ports):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.mon1, self.mon2, self.port, self.tls_port = ports
        self.processes = []
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.tls_endpoint = f"https://127.0.0.1:{self.tls_port}"
        self.authority = self.folder / "tls.crt"

    @property
    def environment(self):
        return {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                "AWS_ENDPOINT_URL_S3": self.endpoint, "AWS_REGION": "us-east-1",
                "AWS_SHARED_CREDENTIALS_FILE": "", "AWS_PROFILE": ""}

    @property
    def tls_environment(self):
        """The same over https."""
        return {**self.environment, "AWS_ENDPOINT_URL_S3": self.tls_endpoint,
                "AWS_CA_BUNDLE": str(self.authority)}

    def start(self):
        fsid = str(uuid.uuid4())
        for name in ("mon", "osd", "rgw"):
            (self.folder / name).mkdir()
        (self.folder / "ceph.conf").write_text(CONFIG.format(
            fsid=fsid, folder=self.folder, mon1=self.mon1, mon2=self.mon2, port=self.port,
            tls_port=self.tls_port))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", self.folder / "tls.key", "-out", self.authority],
                       check=True, capture_output=True)
        (self.folder / "tls.pem").write_bytes(
            (self.folder / "tls.key").read_bytes() + self.authority.read_bytes())
        self._run("ceph-authtool", "--create-keyring", self.folder / "keyring", "--gen-key", "-n",
                  "mon.", "--cap", "mon", "allow *")
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a",
                  f"[v2:127.0.0.1:{self.mon2},v1:127.0.0.1:{self.mon1}]", self.folder / "monmap")
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", self.folder / "monmap",
                  "--keyring", self.folder / "keyring")
        self._start("ceph-mon", "-i", "a")
        osd = str(uuid.uuid4())
        self._wait(lambda: self._run("ceph", "osd", "new", osd, timeout=20), "the monitor")
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._start("ceph-osd", "-i", "0")
        self._start("radosgw", "-n", "client.rgw")
        self._wait(self._answers, "radosgw")
        self._make_user("u", ACCESS_KEY, SECRET_KEY)
        self._make_user("small", SMALL_ACCESS_KEY, SMALL_SECRET_KEY)
        self._admin("quota", "set", "--quota-scope=user", "--uid=small",
                    f"--max-size={SMALL_BYTES}")
        self._admin("quota", "enable", "--quota-scope=user", "--uid=small")
        return self

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def curl(self, method, path, *more, key=(ACCESS_KEY, SECRET_KEY)):
        """One signed request by curl; (status, body)."""
        done = subprocess.run(
            ["curl", "-sS", "-X", method, "--aws-sigv4", "aws:amz:us-east-1:s3", "--user",
             ":".join(key), "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-w", "%{http_code}",
             *map(str, more), self.endpoint + path],
            capture_output=True, timeout=PATIENCE, check=True)
        return int(done.stdout[-3:]), done.stdout[:-3]

    def make_bucket(self, name, key=(ACCESS_KEY, SECRET_KEY)):
        status, body = self.curl("PUT", f"/{name}", key=key)
        assert status == 200, body
        return name

    def put(self, bucket, path, file):
        """Uploads a file under bucket/path."""
        status, body = self.curl("PUT", f"/{bucket}/{path}", "-T", file)
        assert status == 200, body

    def put_folder(self, bucket, prefix, folder):
        """Uploads the files of a folder; the URI of what it is then."""
        for file in sorted(pathlib.Path(folder).iterdir()):
            self.put(bucket, f"{prefix}/{file.name}", file)
        return f"s3://{bucket}/{prefix}"

    def get(self, bucket, path):
        status, body = self.curl("GET", f"/{bucket}/{path}")
        assert status == 200, body
        return body

    def _make_user(self, name, access_key, secret_key):
        self._admin("user", "create", f"--uid={name}", f"--display-name={name}",
                    f"--access-key={access_key}", f"--secret-key={secret_key}")

    def _admin(self, *arguments):
        self._run("radosgw-admin", *arguments)

    def _answers(self):
        try:
            urllib.request.urlopen(self.endpoint, timeout=5).close()
            return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

    def _command(self, program, *arguments):
        # ceph-authtool and monmaptool read no configuration.
        config = [] if program in ("ceph-authtool", "monmaptool") else [
            "-c", self.folder / "ceph.conf"]
        return [str(word) for word in (program, *config, *arguments)]

    def _run(self, *command, timeout=PATIENCE):
        done = subprocess.run(self._command(*command), capture_output=True, text=True,
                              timeout=timeout, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise RuntimeError(f"{command}: {done.stdout}{done.stderr}")
        return True

    def _start(self, *command):
        with open(self.folder / f"{command[0]}.out", "ab") as log:
            self.processes.append(subprocess.Popen(
                [*self._command(*command), "-f"], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, env={**os.environ, "TMPDIR": str(self.folder)}))

    def _wait(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for process in self.processes:
                assert process.poll() is None, f"{process.args}: ended with {process.returncode}"
            with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
                if condition():
                    return
            time.sleep(0.2)
        raise AssertionError(f"still waiting after {PATIENCE} s for {what}")
