# SPDX-License-Identifier: Apache-2.0
"""A server that answers otherwise: a proxy before a real one that changes some of what it says.

For what a server says that is hard to bring about: an old version, ten terabytes, a billion
transactions, a failure between two statements. All else is the real server's.
"""
import collections
import socket
import struct
import threading

CANCEL, SSL, GSS = 80877102, 80877103, 80877104
FOREVER = 1 << 30


class Rule:
    """What is done with the answers to each statement that contains `words`.

    row    takes the columns of a row, bytes or None, and gives other ones; None drops the row
    add    rows that come behind the server's
    copy   the same with the content of a CopyData message; None drops it
    error  (SQLSTATE, text): the answer, in place of the server's, which is not asked
    cut    the connection ends in place of the answer
    skip   the first so many of such statements are left alone
    times  so many are not
    """

    def __init__(self, words, row=None, add=(), copy=None, error=None, cut=False, skip=0, times=FOREVER):
        self.words = words.encode()
        self.row, self.add, self.copy, self.error, self.cut = row, add, copy, error, cut
        self.skip, self.times = skip, times
        self.met = 0

    def takes(self, sql):
        if self.words not in sql:
            return False
        self.met += 1
        return self.skip < self.met <= self.skip + self.times


def message(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body


def error_message(sqlstate, text, severity="ERROR"):
    fields = (b"S" + severity.encode(), b"V" + severity.encode(), b"C" + sqlstate.encode(),
              b"M" + text.encode())
    return message(b"E", b"\0".join(fields) + b"\0\0")


def columns_of(body):
    columns, at = [], 2
    for _ in range(struct.unpack_from("!H", body)[0]):
        size = struct.unpack_from("!i", body, at)[0]
        at += 4
        columns.append(None if size < 0 else body[at:at + size])
        at += max(size, 0)
    return columns


def row_of(columns):
    parts = [struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
             for value in columns]
    return struct.pack("!H", len(columns)) + b"".join(parts)


class Link:
    """One connection: a thread for each direction."""

    def __init__(self, answers, client):
        self.answers = answers
        self.client = client
        self.server = socket.create_connection(("127.0.0.1", answers.target), 10)
        self.server.settimeout(None)
        self.asked = collections.deque()  # [kind, rule]: P and Q statements, and Syncs
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.guard, args=(work,), daemon=True)
                        for work in (self.requests, self.replies)]
        for thread in self.threads:
            thread.start()

    def guard(self, work):
        try:
            work()
        except (OSError, EOFError, struct.error):
            pass
        self.cut()

    def cut(self):
        for end in (self.client, self.server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.cut()
        for thread in self.threads:
            thread.join(10)
        self.client.close()
        self.server.close()

    @staticmethod
    def read(end, size):
        parts = []
        while size > 0:
            part = end.recv(min(size, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def begin(self):
        """The startup packet. @return whether the connection goes on."""
        while True:
            size = struct.unpack("!I", self.read(self.client, 4))[0]
            body = self.read(self.client, size - 4)
            code = struct.unpack_from("!I", body)[0]
            if code not in (SSL, GSS):
                break
            self.client.sendall(b"N")
        if b"\0replication\0" in body and self.answers.no_walsender is not None:
            self.client.sendall(error_message(*self.answers.no_walsender, severity="FATAL"))
            return False
        self.server.sendall(struct.pack("!I", size) + body)
        return code != CANCEL

    def requests(self):
        if not self.begin():
            return
        while True:
            kind, size = struct.unpack("!cI", self.read(self.client, 5))
            body = self.read(self.client, size - 4)
            if kind == b"Q":
                body = self.ask(kind, body[:-1]) + b"\0"
            elif kind == b"P":
                name, sql, rest = body.split(b"\0", 2)
                body = b"\0".join((name, self.ask(kind, sql), rest))
            elif kind == b"S":
                with self.lock:
                    self.asked.append((kind, None))
            self.server.sendall(message(kind, body))

    def ask(self, kind, sql):
        """@return what the server is asked in its place."""
        rule = self.answers.rule(sql)
        with self.lock:
            self.asked.append((kind, rule))
        if rule is not None and (rule.error or rule.cut):
            return b"SELECT refused_by_a_rule"
        return sql

    def replies(self):
        while True:
            kind, size = struct.unpack("!cI", self.read(self.server, 5))
            body = self.read(self.server, size - 4)
            with self.lock:
                rule = next((rule for _, rule in self.asked), None)
                self.answered(kind)
            told = self.told(kind, body, rule)
            if told is not None:
                self.client.sendall(told)

    def answered(self, kind):
        """Forget what this message ends the answer of."""
        if kind == b"Z":
            while self.asked and self.asked.popleft()[0] == b"P":
                pass
        elif kind in (b"C", b"E", b"I", b"s") and self.asked and self.asked[0][0] == b"P":
            self.asked.popleft()

    def told(self, kind, body, rule):
        if kind == b"S":
            name, value, _ = body.split(b"\0")
            value = self.answers.parameters.get(name.decode(), value.decode()).encode()
            return message(kind, name + b"\0" + value + b"\0")
        if rule is not None and rule.cut:
            raise EOFError
        if kind == b"E" and rule is not None and rule.error:
            return error_message(*rule.error)
        if kind == b"D" and rule is not None and rule.row:
            columns = rule.row(columns_of(body))
            return None if columns is None else message(kind, row_of(columns))
        if kind == b"C" and rule is not None and rule.add:
            return b"".join(message(b"D", row_of(row)) for row in rule.add) + message(kind, body)
        if kind == b"d" and rule is not None and rule.copy:
            body = rule.copy(body)
            return None if body is None else message(kind, body)
        return message(kind, body)


class Answers:
    """Listens on a free loopback port; use as a context manager, without TLS.

    rules         see Rule; the first that takes a statement
    parameters    what the server reports at the begin of a session: {"server_version": "13.14"}
    no_walsender  (SQLSTATE, text) for every replication connection
    """

    def __init__(self, target, *rules, parameters=None, no_walsender=None):
        self.target = target
        self.rules = list(rules)
        self.parameters = parameters or {}
        self.no_walsender = no_walsender
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.links = []

    def __enter__(self):
        threading.Thread(target=self.work, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for link in self.links:
            link.close()

    def work(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                self.links.append(Link(self, client))
            except OSError:
                client.close()

    def rule(self, sql):
        return next((rule for rule in self.rules if rule.takes(sql)), None)
