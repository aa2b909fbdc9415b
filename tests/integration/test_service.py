#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""narwal under a service manager: what it tells through NOTIFY_SOCKET, and when it is silent."""
import json
import os
import socket
import threading
import time

from lab import check
from lab.narwal import Narwal, build

WATCHDOG_SECONDS = 4  # told at least this often, or the manager would kill it


class Manager:
    """The service manager's end: every message with the time when it came."""

    def __init__(self, folder):
        self.path = str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.messages = []
        self.thread = threading.Thread(target=self.read, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()

    @property
    def environment(self):
        return {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": str(WATCHDOG_SECONDS * 1000000)}

    def read(self):
        while True:
            text = self.socket.recv(4096).decode()
            if not text:
                return
            self.messages.append((time.monotonic(),
                                  dict(line.split("=", 1) for line in text.splitlines())))

    def last(self, key):
        """When a message with this key came last, and its value."""
        found = [(at, lines[key]) for at, lines in list(self.messages) if key in lines]
        return found[-1] if found else (0, None)


class ServiceTest(check.Case):
    def setUp(self):
        self.server = self.cluster()
        self.server.sql("CREATE SCHEMA lab")
        self.server.sql("CREATE TABLE lab.marker (id bigint PRIMARY KEY, at timestamptz DEFAULT now())")
        self.manager = self.enter(Manager(self.server.folder))

    def narwal(self, **settings):
        return self.enter(Narwal(self.server, settings={"tables": {"include": ["lab.*"]}, **settings}))

    def test_ready_status_alive_and_stopping(self):
        narwal = self.narwal()
        narwal.start(**self.manager.environment)
        narwal.wait("READY=1", lambda: self.manager.last("READY")[1] == "1")
        narwal.wait_streaming()
        narwal.wait("a status", lambda: "lag" in (self.manager.last("STATUS")[1] or ""))
        for _ in range(30):
            self.assertLess(time.monotonic() - self.manager.last("WATCHDOG")[0], WATCHDOG_SECONDS / 2)
            time.sleep(0.1)
        self.assertEqual(self.manager.last("STOPPING"), (0, None))
        self.assertEqual((narwal.state_dir / "control.sock").stat().st_mode & 0o777, 0o600)
        self.assertEqual(narwal.state_dir.stat().st_mode & 0o777, 0o700)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        time.sleep(0.1)
        self.assertEqual(self.manager.last("STOPPING")[1], "1")

    def test_not_ready_while_the_server_is_away_and_yet_alive(self):
        port = self.server.port
        self.server.stop()
        narwal = self.narwal(source={"dsn": f"host=127.0.0.1 port={port} user=postgres dbname=postgres"})
        narwal.start(**self.manager.environment)
        narwal.wait("another try", lambda: "trying again" in narwal.log())
        time.sleep(WATCHDOG_SECONDS)
        self.assertLess(time.monotonic() - self.manager.last("WATCHDOG")[0], WATCHDOG_SECONDS / 2)
        self.assertEqual(self.manager.last("READY"), (0, None))
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        self.assertIn("stopped while it waited to try again", narwal.log())
        narwal.start(**self.manager.environment)
        self.server.start()
        narwal.wait("READY=1", lambda: self.manager.last("READY")[1] == "1", 60)

    def test_a_plugin_that_hangs_is_no_reason_to_be_killed(self):
        self.server.sql("INSERT INTO lab.marker VALUES (1)")
        narwal = self.narwal(plugin_dir=str(build() / "tests/sdk/plugins"),
                             sinks=[{"type": "hang", "name": "hangs", "text": "a text that is still there"}])
        narwal.start(**self.manager.environment)
        narwal.wait("the plugin hangs", lambda: "NW2413 sink hangs: hangs" in narwal.log())
        time.sleep(WATCHDOG_SECONDS + 1)
        self.assertTrue(narwal.running, narwal.log_tail())
        self.assertLess(time.monotonic() - self.manager.last("WATCHDOG")[0], WATCHDOG_SECONDS / 2)

    def test_an_engine_thread_that_hangs_is(self):
        narwal = self.narwal()
        narwal.start(**self.manager.environment, NARWAL_HANG_AT="turn:50")
        narwal.wait("the hang is seen", lambda: "NW2010 thread engine hangs" in narwal.log())
        at = time.monotonic()
        time.sleep(WATCHDOG_SECONDS)
        self.assertTrue(narwal.running, narwal.log_tail())
        self.assertLess(self.manager.last("WATCHDOG")[0], at)

    def test_a_mistake_in_the_configuration_is_not_tried_again(self):
        """Exit code 2, which the unit does not restart after."""
        for settings in ({"limits": {"memory": 1}},
                         {"sinks": [{"type": "file", "path": "/x", "compres": "zstd"}]},
                         {"sinks": [{"type": "no-such-plugin"}]}):
            narwal = self.narwal(**settings)
            self.assertEqual(narwal.run_to_end(**self.manager.environment), 2, narwal.log_tail())
        self.assertEqual(self.manager.last("READY"), (0, None))


class StatusAllTest(check.Case):
    def test_every_pipeline_has_a_line(self):
        server = self.cluster()
        server.sql("CREATE SCHEMA lab")
        server.sql("CREATE TABLE lab.marker (id bigint PRIMARY KEY, at timestamptz DEFAULT now())")
        states = server.folder / "states"
        states.mkdir()
        self.assertEqual(self.all(states), (0, ["no pipeline has its state in /var/lib/narwal/"]))
        pipelines = []
        for name in ("orders", "stopped"):
            narwal = self.enter(Narwal(server, name=name))
            narwal.state_dir = states / name
            narwal.config["state_dir"] = str(narwal.state_dir)
            pipelines.append(narwal.start().wait_streaming())
            narwal.wait("a report", lambda: "streaming" in narwal.call("status")[1])
        code, lines = self.all(states)
        self.assertEqual(code, 0, lines)
        self.assertRegex(lines[0], r"^orders +streaming +lag file [\d.]+ s   durable \w+/\w+   slot narwal_orders$")
        self.assertEqual(pipelines[1].terminate(), 0)
        code, lines = self.all(states)
        self.assertEqual((code, len(lines)), (1, 2), lines)
        self.assertRegex(lines[1], r"^stopped +not running since about [-\d]+ [:\d]+ \([\d.]+ s\)   "
                                   r"slot narwal_stopped holds WAL from \w+/\w+ on, unless it was dropped$")
        code, lines = self.all(states, "--json")
        found = {one["name"]: one for one in json.loads(lines[0])}
        self.assertEqual([found["orders"]["running"], found["stopped"]["running"]], [True, False])
        self.assertEqual(found["stopped"]["slot"], "narwal_stopped")

    def all(self, states, *words):
        """With this folder in the place of /var/lib/narwal."""
        script = ('mount -t tmpfs none /var/lib && mkdir /var/lib/narwal && '
                  f'mount --bind {states} /var/lib/narwal && exec "$@"')
        way = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
        result = check.subprocess.run(
            [*way, "sh", "-c", script, "sh", build() / "narwal", "status", "--all", *words], text=True,
            stdout=check.subprocess.PIPE, stderr=check.subprocess.STDOUT)
        if "unshare" in result.stdout or "mount:" in result.stdout:
            self.skipTest(result.stdout)
        return result.returncode, result.stdout.splitlines()


if __name__ == "__main__":
    check.main()
