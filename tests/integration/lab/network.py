# SPDX-License-Identifier: Apache-2.0
"""Hosts on one network: a namespace for each, connected by a bridge that this host is on, too."""
import os
import shutil
import subprocess


class Unavailable(Exception):
    pass


def ip(*words):
    result = subprocess.run(["ip", *map(str, words)], stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode != 0:
        raise Unavailable(f"ip {' '.join(map(str, words))}: {result.stdout.strip()}")


class Network:
    """Use as a context manager. `address` is this host's; host(name) makes another."""

    def __init__(self):
        self.number = os.getpid() % 250
        self.bridge = f"nwb{os.getpid() % 100000}"
        self.address = f"10.213.{self.number}.1"
        self.names = []

    def __enter__(self):
        if os.geteuid() != 0:
            raise Unavailable("network namespaces can be made by root only")
        if not shutil.which("ip"):
            raise Unavailable("the program ip is not there (iproute2)")
        try:
            ip("link", "add", self.bridge, "type", "bridge")
            ip("addr", "add", f"{self.address}/24", "dev", self.bridge)
            ip("link", "set", self.bridge, "up")
        except Unavailable:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", self.space(name)], check=False)
        subprocess.run(["ip", "link", "del", self.bridge], check=False, stderr=subprocess.DEVNULL)

    def space(self, name):
        return f"{self.bridge}-{name}"

    def link(self, name):
        return f"{self.bridge}{name}"

    def host(self, name):
        """@return the words that start a program there."""
        self.names.append(name)
        space, link = self.space(name), self.link(name)
        ip("netns", "add", space)
        ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space)
        ip("link", "set", link, "master", self.bridge, "up")
        ip("-n", space, "addr", "add", f"10.213.{self.number}.{len(self.names) + 1}/24", "dev", "eth0")
        ip("-n", space, "link", "set", "eth0", "up")
        ip("-n", space, "link", "set", "lo", "up")
        return ["ip", "netns", "exec", space]

    def cut(self, name, off=True):
        """Nothing comes through any more, and nothing says so."""
        ip("link", "set", self.link(name), "down" if off else "up")
