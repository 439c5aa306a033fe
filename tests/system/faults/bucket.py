"""A bucket of a real S3 (s3_server.py), which programs reach through a proxy that breaks requests (s3_proxy.py)."""

import re
import tempfile

import s3_proxy


class Bucket:
    def __init__(self, server, name):
        self.server = server
        self.name = server.make_bucket(name)
        self.proxy = s3_proxy.FaultProxy(("127.0.0.1", server.port))
        self.store_uri = f"s3://{name}/store"
        self.environment = {**server.environment, "AWS_ENDPOINT_URL_S3": self.proxy.endpoint}

    def list(self, prefix):
        """The keys below a prefix, at most a thousand."""
        quoted = prefix.replace("/", "%2F")
        status, body = self.server.curl("GET", f"/{self.name}?list-type=2&prefix={quoted}")
        assert status == 200, body
        return re.findall(r"<Key>([^<]+)</Key>", body.decode())

    def get(self, key):
        return self.server.get(self.name, key)

    def put(self, key, content):
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            self.server.put(self.name, key, file.name)

    def stop(self):
        self.proxy.stop()
