"""A web server on 127.0.0.1 that serves a folder in ranges, as object stores and model hubs do."""

import http.server
import pathlib
import re
import threading


class RangeServer:
    def __init__(self, folder):
        handler = type("Handler", (_Handler,), {"folder": pathlib.Path(folder)})
        self.listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.listener.daemon_threads = True
        self.thread = threading.Thread(target=self.listener.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.listener.server_address[1]}"

    def stop(self):
        self.listener.shutdown()
        self.listener.server_close()
        self.thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder = None

    def do_GET(self):
        path = self.folder / self.path.lstrip("/")
        if not path.is_file():
            self.answer(404, b"")
            return
        body = path.read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
        if asked is None:
            self.answer(200, body)
            return
        first, last = int(asked[1]), min(int(asked[2]), len(body) - 1)
        if first >= len(body):
            self.answer(416, b"", f"bytes */{len(body)}")
        else:
            self.answer(206, body[first:last + 1], f"bytes {first}-{last}/{len(body)}")

    def answer(self, status, body, content_range=None):
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(body)))
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        self.wfile.write(body)
