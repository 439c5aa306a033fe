"""A proxy before an S3 that breaks what a test tells it to break.

Requests pass unchanged (the signature covers the Host header, which stays the server's), so any S3 may lie
behind. It listens on 127.0.0.1 and runs in the test's own process.

    proxy = FaultProxy(("127.0.0.1", port))
    proxy.inject([Fault("lost", method="PUT", count=2)])
    ... AWS_ENDPOINT_URL_S3=proxy.endpoint ...
    proxy.stop()

Faults by name:
    500, 503   this status, the server is not asked
    timeout    no answer for `seconds`, then the connection is closed; the server is not asked
    lost       the server is asked and acts; its answer is dropped
    cut        half of the answer's body, then the connection is closed
    refused    the connection is closed before the request is read on to the server
    corrupt    one bit of the request's body is changed on its way to the server
"""

import dataclasses
import http.client
import http.server
import random
import re
import threading
import time

NAMES = ("500", "503", "timeout", "lost", "cut", "refused", "corrupt")
# Ends a connection with each side, so they are not passed on.
HOP_HEADERS = ("connection", "transfer-encoding", "keep-alive")


@dataclasses.dataclass
class Fault:
    """The next `count` requests that match fail in one way."""

    name: str
    count: int = 1
    method: str = ""     # "" = any
    pattern: str = ""    # regular expression, searched for in path and query
    seconds: float = 2.0

    def __post_init__(self):
        assert self.name in NAMES, self.name

    def matches(self, method, path):
        return self.count > 0 and self.method in ("", method) and re.search(self.pattern, path)


class FaultProxy:
    """Starts with its construction. `rate` of all requests fail besides, in ways drawn by `seed`."""

    def __init__(self, server, rate=0.0, seed=0, names=NAMES, seconds=2.0):
        self.server = server
        self.rate, self.names, self.seconds = rate, names, seconds
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.faults = []
        self.counts = {}       # by name of the fault; "" = passed
        self.requests = []     # (method, path, fault)
        self.down = threading.Event()  # while set, every connection is refused
        handler = type("Handler", (_Handler,), {"proxy": self})
        self.listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.listener.daemon_threads = True
        self.thread = threading.Thread(target=self.listener.serve_forever, daemon=True)
        self.thread.start()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.listener.server_address[1]}"

    def inject(self, faults):
        with self.lock:
            self.faults.extend(faults)

    def set_rate(self, rate):
        with self.lock:
            self.rate = rate

    def clear(self):
        """No more faults; forgets what was counted."""
        with self.lock:
            self.faults, self.rate, self.counts, self.requests = [], 0.0, {}, []

    def pending(self):
        """How many of the injected faults have not happened yet."""
        with self.lock:
            return sum(fault.count for fault in self.faults)

    def stop(self):
        self.listener.shutdown()
        self.listener.server_close()
        self.thread.join()

    def draw(self, method, path):
        """The fault of a request and its seconds; ("", 0) = none."""
        with self.lock:
            name, seconds = "", 0.0
            if self.down.is_set():
                name = "refused"
            for fault in self.faults:
                if not name and fault.matches(method, path):
                    fault.count -= 1
                    name, seconds = fault.name, fault.seconds
            if not name and self.random.random() < self.rate:
                name, seconds = self.random.choice(self.names), self.seconds
            self.counts[name] = self.counts.get(name, 0) + 1
            self.requests.append((method, path, name))
            return name, seconds


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy = None

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _serve(self):
        fault, seconds = self.proxy.draw(self.command, self.path)
        if fault == "refused":
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if fault == "timeout":
            time.sleep(seconds)
            self.close_connection = True
            return
        if fault in ("500", "503"):
            self._answer(int(fault), {}, b"")
            return
        if fault == "corrupt" and body:
            middle = len(body) // 2
            body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1:]
        status, headers, answer = self._ask(body)
        if fault == "lost":
            self.close_connection = True
        elif fault == "cut":
            self._answer(status, headers, answer, answer[:len(answer) // 2])
            self.close_connection = True
        else:
            self._answer(status, headers, answer)

    def _ask(self, body):
        connection = http.client.HTTPConnection(*self.proxy.server, timeout=300)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP_HEADERS:
                    connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            headers = {name: value for name, value in response.getheaders()
                       if name.lower() not in HOP_HEADERS}
            return response.status, headers, response.read()
        finally:
            connection.close()

    def _answer(self, status, headers, body, sent=None):
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        length = headers.get("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if sent is None else sent)

    def log_message(self, *arguments):
        pass

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve
