# SPDX-License-Identifier: Apache-2.0
"""What answers as Kafka Connect does of one connector, and keeps what is written there."""
import contextlib
import http.server
import json
import pathlib
import threading


class Connect(http.server.ThreadingHTTPServer):
    """Answers as Connect does of one connector; what is written there is kept."""

    def __init__(self, config, offset, state="STOPPED"):
        self.config, self.offset, self.state, self.patched = config, offset, state, None
        self.later = None  # what it stores once it was asked
        self.answers, self.seen = [], []  # statuses for what is written; who asked for which path
        self.arguments = set()  # of all processes, as each user sees them while Connect is asked
        super().__init__(("127.0.0.1", 0), Answers)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/connectors/taken"

    def __exit__(self, *why):
        self.shutdown()
        super().__exit__(*why)


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append((self.headers["Authorization"], self.path))
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                self.server.arguments.add(path.read_text(errors="replace"))
        part = self.path.rpartition("/")[2]
        connect = self.server
        self.answer({"name": "taken", "config": connect.config} if part == "taken" else
                    {"connector": {"state": connect.state}, "tasks": []} if part == "status" else
                    {"offsets": [{"partition": {"server": connect.config["topic.prefix"]}, "offset": connect.offset}]})
        if part == "offsets" and connect.later:
            connect.offset = connect.later

    def do_PUT(self):
        self.server.state = "STOPPED"
        self.answer({})

    def do_PATCH(self):
        self.server.seen.append((self.headers["Authorization"], self.path))
        self.server.patched = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer({"message": "altered"}, self.server.answers.pop(0) if self.server.answers else 200)

    def answer(self, what, status=200):
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
