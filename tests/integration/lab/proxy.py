# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy that breaks: it cuts connections, or goes silent."""
import selectors
import socket
import struct
import threading

CHUNK = 1 << 16


class Proxy:
    """Forwards a free loopback port to another; a thread of its own. Use as a context manager."""

    def __init__(self, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.pairs = {}
        self.silent = False
        self.refuse = False
        self.ending = False
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.accepted = 0

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending = True
        self.thread.join(5)
        self.cut()
        self.listener.close()

    def work(self):
        while not self.ending:
            for key, _ in self.selector.select(0.1):
                if key.fileobj is self.listener:
                    self.accept()
                elif not self.silent:
                    self.forward(key.fileobj)

    def accept(self):
        client, _ = self.listener.accept()
        if self.refuse:
            client.close()
            return
        try:
            server = socket.create_connection(("127.0.0.1", self.target), 2)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        self.accepted += 1
        with self.lock:
            self.pairs[client], self.pairs[server] = server, client
        for one in (client, server):
            self.selector.register(one, selectors.EVENT_READ)

    def forward(self, source):
        try:
            data = source.recv(CHUNK)
            if data:
                self.pairs[source].sendall(data)
                return
        except (OSError, KeyError):
            pass
        self.close(source)

    def close(self, one):
        with self.lock:
            other = self.pairs.pop(one, None)
            self.pairs.pop(other, None)
        for end in (one, other):
            if end is not None:
                try:
                    self.selector.unregister(end)
                except (KeyError, ValueError):
                    pass
                end.close()

    def cut(self):
        """Reset every connection, both ways."""
        with self.lock:
            ends = list(self.pairs)
        for end in ends:
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                pass
            self.close(end)
