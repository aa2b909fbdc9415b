# SPDX-License-Identifier: Apache-2.0
"""HTTP as narwal's clients speak it: over TCP, TLS or a unix socket."""
import http.client
import json
import socket
import ssl

SECONDS_MAX = 10


class Answer:
    def __init__(self, response):
        self.code = response.status
        self.headers = response.headers
        self.text = response.read().decode()

    def __repr__(self):
        return f"{self.code} {self.text}"

    @property
    def json(self):
        return json.loads(self.text)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=SECONDS_MAX)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Web:
    """port on 127.0.0.1, or path of a unix socket; ca: a file, for TLS; token: to send."""

    def __init__(self, port=None, path=None, ca=None, token=None):
        self.port, self.path, self.ca, self.token = port, path, ca, token

    def connection(self):
        if self.path:
            return UnixConnection(self.path)
        if self.ca:
            return http.client.HTTPSConnection("localhost", self.port, timeout=SECONDS_MAX,
                                               context=ssl.create_default_context(cafile=self.ca))
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS_MAX)

    def ask(self, route, method="GET", body=None, **headers):
        connection = self.connection()
        try:
            if self.token:
                headers["Authorization"] = f"Bearer {self.token}"
            connection.request(method, route, body=body, headers=headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def answers(self):
        """Whether somebody listens."""
        try:
            return self.ask("/healthz").code > 0
        except OSError:
            return False

    def metrics(self):
        """{'name{labels}': value}"""
        lines = self.ask("/metrics").text.splitlines()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}
