"""A tool on Python's http.server: answers every request and prints one JSON line about what it understood."""

import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from urllib.parse import parse_qs, unquote_to_bytes, urlsplit

printing = Lock()
ANSWER = b'{"jsonrpc":"2.0","id":1,"result":{}}'


def say(words):
    with printing:
        print(json.dumps(words), flush=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body of an answer are two writes.
    wbufsize = -1
    disable_nagle_algorithm = True

    def answer(self):
        # No framing but the length: the sidecar must not send chunks.
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(length)
        parts = urlsplit(self.path)
        path = [unquote_to_bytes(segment) for segment in parts.path.split("/")[1:]]
        query = parse_qs(
            parts.query, keep_blank_values=True, encoding="utf-8", errors="surrogateescape", max_num_fields=2000
        )
        seen = {
            "method": self.command,
            "target": self.path,
            "version": self.request_version,
            "headers": [[name, value] for name, value in self.headers.items()],
            "bytes": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
            "segments": [segment.decode("utf-8", "surrogateescape") for segment in path],
            "query": [[name, values] for name, values in query.items()],
        }
        say(seen)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(ANSWER)))
        if "X-Nonce" in self.headers:
            self.send_header("X-Nonce", self.headers["X-Nonce"])
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(ANSWER)
        self.wfile.flush()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, *_):
        pass

    def send_error(self, code, message=None, explain=None):
        say({"broken": f"{code} {message}"})
        super().send_error(code, message, explain)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        error = sys.exc_info()[1]
        # The sidecar may let go of a connection at any time.
        if not isinstance(error, ConnectionError):
            say({"broken": repr(error)})


server = Server(("127.0.0.1", 0), Handler)
say({"port": server.server_address[1]})
try:
    server.serve_forever()
except KeyboardInterrupt:
    sys.exit(0)
