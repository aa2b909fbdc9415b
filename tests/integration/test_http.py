#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reads over HTTP: metrics, status, ready, who may ask, and what a client may not do to narwal; and
narwal top."""
import concurrent.futures
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import termios
import time

from lab import check, cluster
from lab.narwal import ROOT, Narwal
from lab.web import Web

sys.path.insert(0, str(ROOT / "tests" / "servers"))
import tools  # noqa: E402

TOKEN = "c0ffee-0123456789-canary"
CONNECTIONS_MAX = 32  # core/serve/http_private.h


class Case(check.Case):
    @classmethod
    def setUpClass(cls):
        cls.server = None

    def setUp(self):
        if type(self).server is None:
            try:
                server = cluster.Cluster(check.version(), tls=True)
                server.__enter__()
            except cluster.servers.Unavailable as error:
                self.skipTest(str(error))
            type(self).server = server
            self.addClassCleanup(server.__exit__)
            server.sql("CREATE SCHEMA lab")
            server.sql("CREATE TABLE lab.marker (id bigint PRIMARY KEY, at timestamptz DEFAULT now())")
            server.sql("CREATE TABLE lab.items (id int PRIMARY KEY, v text)")

    def narwal(self, **http):
        self.port = cluster.free_port()
        http = {"listen": f"127.0.0.1:{self.port}", **http}
        narwal = self.enter(Narwal(self.server, settings={"http": http}))
        self.addCleanup(self.drop_slot, narwal)
        self.web = Web(self.port)
        return narwal

    def drop_slot(self, narwal):
        """So that a WAL sender that another test freezes is the only one."""
        if narwal.running:
            narwal.kill()
        self.server.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots")
        for _ in range(100):
            if self.server.value("SELECT count(*) FROM pg_replication_slots WHERE active") == 0:
                break
            time.sleep(0.05)
        self.server.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")

    def assert_refused(self, narwal, *words):
        self.assertNotEqual(narwal.run_to_end(20), 0)
        for word in words:
            self.assertIn(word, narwal.log())


class ReadsTest(Case):
    def test_what_is_answered(self):
        narwal = self.narwal()
        narwal.start().wait_streaming()
        narwal.wait("ready", lambda: self.web.ask("/ready").code == 200)
        for route, kind in (("/", "text/html"), ("/metrics", "text/plain"), ("/ready", "text/plain"),
                            ("/status", "application/json"), ("/tables", "application/json"),
                            ("/healthz", "text/plain")):
            with self.subTest(route=route):
                answer = self.web.ask(route)
                self.assertEqual(answer.code, 200, answer)
                self.assertTrue(answer.headers["Content-Type"].startswith(kind), answer.headers)
                self.assertEqual(answer.headers["Cache-Control"], "no-store")
                self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
                head = self.web.ask(route, "HEAD")
                self.assertEqual((head.code, head.text), (200, ""))
        self.assertRegex(self.web.ask("/").headers["Content-Security-Policy"],
                         r"^default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-[^']+'; "
                         "connect-src 'self'; ")
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
            answer = self.web.ask("/status", method, body="x" * 100000 if method == "POST" else None)
            self.assertEqual((answer.code, answer.headers["Allow"]), (405, "GET, HEAD"), method)
        for route in ("/nope", "/status/", "/../status", "/%2e%2e/status", "//"):
            self.assertEqual(self.web.ask(route).code, 404, route)
        self.assertEqual(self.web.ask("/status", Host="evil.example").code, 421)
        self.assertEqual(self.web.ask("/status", Host=f"localhost:{self.port}").code, 200)
        self.assertEqual(self.web.ask("/status", Host="[::1]:80").code, 200)
        over_http = self.web.ask("/status").json
        code, text = narwal.call("status", "--json")
        self.assertEqual(set(json.loads(text)), set(over_http), text)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        self.assertFalse(self.web.answers())

    def test_who_waits_for_an_lsn_is_told_when_it_is_durable(self):
        narwal = self.narwal()
        narwal.start().wait_streaming()
        name = narwal.config["sinks"][0].get("name", "file")
        sql = self.server.sql
        for route, code in (("/wait", 400), ("/wait?lsn=nonsense", 400), ("/wait?lsn=0/1&timeout=0", 400),
                            ("/wait?lsn=0/1&sink=nobody", 404)):
            self.assertEqual(self.web.ask(route).code, code, route)
        for _ in range(3):
            sql("INSERT INTO lab.marker SELECT coalesce(max(id), 0) + 1 FROM lab.marker")
            lsn = self.server.value("SELECT pg_current_wal_lsn()")
            before = time.monotonic()
            answer = self.web.ask(f"/wait?lsn={lsn}&sink={name}")
            self.assertEqual((answer.code, answer.text), (200, f"{lsn} is durable\n"))
            self.assertLess(time.monotonic() - before, 10)
        self.assertEqual(self.web.ask(f"/wait?lsn={lsn}").code, 200)
        before = time.monotonic()
        self.assertEqual(self.web.ask("/wait?lsn=FFFF/0&timeout=1").code, 504)
        self.assertGreater(time.monotonic() - before, 0.9)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:  # those that wait hold up nobody
            waiting = [pool.submit(self.web.ask, "/wait?lsn=FFFF/0&timeout=20") for _ in range(4)]
            time.sleep(0.3)
            self.assertEqual(self.web.ask("/healthz").code, 200)
            self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
            for one in waiting:
                try:
                    self.assertEqual(one.result(10).code, 503)
                except OSError:
                    pass  # or the connection ended

    def test_metrics_are_what_prometheus_wants_and_what_is_there(self):
        narwal = self.narwal(ready_after="30s")
        narwal.start().wait_streaming()
        self.server.sql("INSERT INTO lab.items SELECT g, 'x' FROM generate_series(1, 1000) g "
                        "ON CONFLICT (id) DO UPDATE SET v = excluded.v || 'x'")
        narwal.wait_caught_up()
        narwal.wait("a report", lambda: self.web.metrics()["narwal_source_rows_total"] >= 1000)
        code, text = narwal.call("table", "pause", "lab.items")
        self.assertEqual(code, 0, text)
        narwal.wait("the pause", lambda: self.web.metrics()['narwal_tables{state="paused"}'] == 1)
        metrics = self.web.metrics()
        self.assertEqual(metrics["narwal_ready"], 1)
        self.assertEqual(metrics['narwal_phase{state="streaming"}'], 1)
        self.assertEqual(metrics['narwal_sink_state{sink="file",state="running"}'], 1)
        self.assertEqual(metrics['narwal_tables{state="streaming"}'], 1)
        self.assertGreater(metrics['narwal_table_trouble_seconds{table="lab.items",sink="",state="paused"}'], 0)
        self.assertAlmostEqual(metrics['narwal_sink_last_commit_timestamp_seconds{sink="file"}'],
                               time.time(), delta=20)
        self.assertAlmostEqual(metrics["process_start_time_seconds"], time.time(), delta=60)
        self.assertGreater(metrics["process_resident_memory_bytes"], 1 << 20)
        # What the server says it was told, and what we say.
        narwal.wait("the same position", lambda: narwal.confirmed_lsn() ==
                    self.web.metrics()["narwal_source_durable_lsn_bytes"])
        retained = "SELECT pg_current_wal_lsn() - restart_lsn FROM pg_replication_slots"
        self.server.sql("SELECT pg_logical_emit_message(true, 'lab', repeat('x', 300000))")
        narwal.wait("retained WAL", lambda: self.web.metrics().get(
            "narwal_source_retained_wal_bytes", 0) > 0)
        self.assertGreaterEqual(self.server.value(retained), 0)
        text = self.web.ask("/metrics").text
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        self.assertEqual(len(lines), len({line.rpartition(" ")[0] for line in lines}), "a series twice")
        self.assert_open_metrics(text)
        self.assert_all_is_there(text)
        self.assert_promtool(text)
        self.assert_debezium()
        self.assertEqual(narwal.call("table", "resume", "lab.items")[0], 0)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def assert_debezium(self):
        """Under its names, and the same figures."""
        text = self.web.ask("/metrics/debezium").text
        found = {(name, context): float(value) for name, context, value in re.findall(
            r'^debezium_metrics_(\w+){plugin="postgres",name="[^"]+",context="(\w+)"} (\S+)$', text, re.M)}
        ours = self.web.metrics()
        self.assertEqual(len(found), len([line for line in text.splitlines() if not line.startswith("#")]))
        self.assertEqual(found["Connected", "streaming"], 1)
        self.assertEqual(found["TotalNumberOfEventsSeen", "streaming"], ours["narwal_source_rows_total"])
        self.assertEqual(found["NumberOfCommittedTransactions", "streaming"],
                         ours["narwal_source_transactions_total"])
        self.assertEqual(found["SnapshotRunning", "snapshot"], 0)
        self.assertEqual(found["RemainingTableCount", "snapshot"], 0)
        self.assertGreater(found["MaxQueueSizeInBytes", "streaming"], 0)
        self.assertTrue(self.web.ask("/metrics/debezium", Accept="application/openmetrics-text").text.endswith("# EOF\n"))

    def assert_open_metrics(self, text):
        answer = self.web.ask("/metrics", Accept="application/openmetrics-text;version=1.0.0,*/*;q=0.1")
        self.assertTrue(answer.headers["Content-Type"].startswith("application/openmetrics-text"))
        self.assertTrue(answer.text.endswith("\n# EOF\n"))
        counters = re.findall(r"^# TYPE (\w+) counter$", answer.text, re.M)
        self.assertGreater(len(counters), 5)
        for name in counters:
            self.assertFalse(name.endswith("_total"), name)
            self.assertNotRegex(answer.text, rf"(?m)^{name}[ {{]")
        self.assertIn("\nnarwal_source_rows_total ", answer.text)
        samples = re.compile(r"^(?!#)(\S+(?: \S+)*?\}?) ", re.M)
        self.assertEqual(len(samples.findall(answer.text)), len(samples.findall(text)))

    def assert_all_is_there(self, text):
        """What rules, dashboard and documentation name."""
        there = set(re.findall(r"^# TYPE (\w+) ", text, re.M))
        named = set()
        for file in ("packaging/prometheus/narwal.rules.yml", "packaging/grafana/narwal.json"):
            named |= set(re.findall(r"\b(?:narwal|process)_\w+", (ROOT / file).read_text()))
        self.assertGreater(len(named), 30)
        self.assertEqual(named - there, set())
        documented = set(re.findall(r"^\| `((?:narwal|process)_\w+)` \|",
                                    (ROOT / "docs/monitoring.md").read_text(), re.M))
        plugins = {name for name in documented if name.startswith("narwal_sink_kafka_")}  # where such a sink is: test_kafka.py
        self.assertEqual(len(plugins), 5)
        self.assertEqual(documented - plugins, there)

    def assert_promtool(self, text):
        try:
            promtool = tools.promtool()
        except cluster.servers.Unavailable as error:
            self.skipTest(str(error))
        result = subprocess.run([promtool, "check", "metrics"], input=text, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual((result.returncode, result.stdout), (0, ""))

    def test_ready_says_progress_and_not_life(self):
        narwal = self.narwal(ready_after="2s")
        narwal.start()
        narwal.wait("an answer", self.web.answers)
        narwal.wait_streaming()
        narwal.wait("ready", lambda: self.web.ask("/ready").code == 200)
        time.sleep(5)  # idle is no fault
        self.assertEqual(self.web.ask("/ready").text, "ready\n")
        walsender = self.server.value("SELECT active_pid FROM pg_replication_slots")
        os.kill(walsender, signal.SIGSTOP)
        try:
            self.server.sql("INSERT INTO lab.marker VALUES (%s)", (time.time_ns(),))
            narwal.wait("not ready", lambda: self.web.ask("/ready").code == 503, 30)
            self.assertIn("the server's WAL ends at", self.web.ask("/ready").text)
            self.assertEqual(self.web.ask("/healthz").code, 200)
            self.assertEqual(self.web.metrics()["narwal_ready"], 0)
            self.assertFalse(self.web.ask("/status").json["ready"])
        finally:
            os.kill(walsender, signal.SIGCONT)
        narwal.wait("ready again", lambda: self.web.ask("/ready").code == 200, 30)
        self.server.stop()
        try:
            narwal.wait("not ready", lambda: self.web.ask("/ready").code == 503, 30)
            self.assertEqual(self.web.ask("/healthz").code, 200)
        finally:
            self.server.start()
        narwal.wait("ready again", lambda: self.web.ask("/ready").code == 200, 60)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_clients_that_do_not_go_on_harm_nobody(self):
        narwal = self.narwal()
        narwal.start().wait_streaming()
        clients = []
        for number in range(CONNECTIONS_MAX):
            client = socket.create_connection(("127.0.0.1", self.port), 5)
            client.sendall(b"GET /status HTTP/1.1\r\nX-Slow: " if number % 2 else b"")
            clients.append(client)
        with self.assertRaises(OSError):
            self.web.ask("/healthz")
        deadline = time.monotonic() + 60
        while not self.web.answers():  # a byte now and then does not help them
            self.assertLess(time.monotonic(), deadline, "they stay for ever")
            for client in clients[1::2]:
                try:
                    client.sendall(b"x")
                except OSError:
                    pass
            time.sleep(1)
        for client in clients:
            client.close()
        large = socket.create_connection(("127.0.0.1", self.port), 5)
        try:
            large.sendall(b"GET /status HTTP/1.1\r\nX-Large: " + b"x" * 1000000 + b"\r\n\r\n")
            self.assertRegex(large.recv(100), rb"^HTTP/1\.1 4\d\d ")
        except ConnectionError:
            pass  # it was told so in the middle of it
        large.close()
        memory = narwal.memory_peak()
        self.assertLess(memory, 128 << 20)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())


class TopTest(Case):
    """narwal top on a terminal of 80 columns and 24 lines."""

    def start(self, *words):
        self.terminal, other = pty.openpty()
        self.addCleanup(os.close, self.terminal)
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(other)
        process = subprocess.Popen(words, stdin=other, stdout=other, stderr=other,
                                   env={**os.environ, "TERM": "xterm"})
        self.other = other
        self.addCleanup(os.close, other)
        self.addCleanup(process.kill)
        self.seen = ""
        return process

    def frame(self):
        """The last screen that is whole, as lines."""
        while select.select([self.terminal], [], [], 0.1)[0]:
            self.seen += os.read(self.terminal, 65536).decode()
        whole = self.seen.rpartition("\033[J")[0].rpartition("\033[H")[2]
        lines = re.sub(r"\033\[[?\d]*[a-zA-Z]", "", whole).split("\r\n")
        self.assertLessEqual(len(lines), 24)
        for line in lines:
            self.assertLessEqual(len(line), 80, line)
        return lines

    def wait_frame(self, what, found, seconds=20):
        deadline = time.monotonic() + seconds
        while not any(found in line for line in self.frame()):
            self.assertLess(time.monotonic(), deadline, (what, self.frame()))

    def test_it_moves_says_that_narwal_is_gone_and_gives_the_terminal_back(self):
        narwal = self.narwal()
        narwal.start().wait_streaming()
        narwal.wait("ready", lambda: self.web.ask("/ready").code == 200)
        process = self.start(*narwal.command("top", narwal.file))
        self.wait_frame("the pipeline", "lab.items")
        self.wait_frame("the stream", "   streaming   up ")
        first = self.frame()
        self.assertRegex(first[0], rf"^{narwal.name}   streaming   up ")
        self.assertTrue(any(line.startswith("file ") and " running " in line for line in first), first)
        self.assertEqual(first[-1], "tables: 2 streaming")
        for number in range(8):
            self.server.sql("INSERT INTO lab.marker VALUES (%s)", (time.time_ns(),))
            time.sleep(0.3)
        self.wait_frame("a rate", "lab.marker")
        deadline = time.monotonic() + 10
        while not any(re.match(r"lab\.marker +streaming +[1-9]", line) for line in self.frame()):
            self.assertLess(time.monotonic(), deadline, self.frame())
            self.server.sql("INSERT INTO lab.marker VALUES (%s)", (time.time_ns(),))
        once = narwal.call("top")
        self.assertEqual(once[0], 0, once)
        self.assertIn("lab.items", once[1])
        self.assertNotIn("\033", once[1])
        narwal.kill()
        self.wait_frame("the loss", "NO ANSWER for")
        self.assertEqual(narwal.call("top")[0], 1)
        os.write(self.terminal, b"q")
        self.assertEqual(process.wait(5), 0)
        self.frame()
        self.assertTrue(self.seen.endswith("\033[?25h\033[?1049l"), self.seen[-40:])
        self.assertEqual(termios.tcgetattr(self.other), self.before)


class WhoMayAskTest(Case):
    def credentials(self):
        token = self.server.folder / "token"
        token.write_text(TOKEN + "\n")
        return {"tls_cert": str(self.server.data / "server.crt"),
                "tls_key": str(self.server.data / "server.key"), "token": f"${{file:{token}}}"}

    def test_an_address_that_others_reach_takes_tls_and_a_token(self):
        whole = self.credentials()
        port = cluster.free_port()
        for key in ("tls_cert", "token", None):
            some = {name: value for name, value in whole.items() if name != key} if key else {}
            if key == "tls_cert":
                del some["tls_key"]
            with self.subTest(without=key or "all"):
                self.assert_refused(self.narwal(listen=f"0.0.0.0:{port}", **some), "narwal.yaml:",
                                    "takes tls_cert, tls_key and token")
        narwal = self.narwal(listen=f"0.0.0.0:{port}", **whole)
        narwal.start().wait_streaming()
        web = Web(port, ca=self.server.ca, token=TOKEN)
        narwal.wait("ready", lambda: web.ask("/ready").code == 200)
        for route in ("/metrics", "/status", "/tables", "/healthz"):
            self.assertEqual(web.ask(route).code, 200, route)
        self.assertEqual(web.ask("/status", Host="narwal.example:443").code, 200)
        for token in (None, TOKEN + "x", TOKEN[:-1], "wrong"):
            web.token = token
            for route in ("/metrics", "/status", "/tables", "/ready", "/healthz"):
                answer = web.ask(route)
                self.assertEqual(answer.code, 401, (token, route))
                self.assertIn("Bearer", answer.headers["WWW-Authenticate"])
        self.assertEqual(web.ask("/").code, 200)  # the page's text alone; it asks for the token
        with self.assertRaises(OSError):
            Web(port).ask("/healthz")  # without TLS
        said = narwal.log(True) + narwal.call("status", "--json")[1] + narwal.call("check", "--config")[1]
        self.assertNotIn(TOKEN, said)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_token_and_certificate_are_read_again_on_reload(self):
        folder = self.server.folder
        whole = self.credentials()
        (folder / "token").write_text(TOKEN + "\n")
        for name, suffix in (("tls_cert", "crt"), ("tls_key", "key")):
            shutil.copy(whole[name], folder / f"http.{suffix}")
            whole[name] = str(folder / f"http.{suffix}")
        narwal = self.narwal(**whole)
        narwal.start().wait_streaming()
        web = Web(self.port, ca=self.server.ca, token=TOKEN)
        self.assertEqual(web.ask("/healthz").code, 200)
        # Another token, and another certificate under the same name.
        (folder / "token").write_text(TOKEN[::-1] + "\n")
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        cluster.openssl("req", "-x509", *key, "-keyout", folder / "http.key", "-out", folder / "http.crt",
                        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
        code, text = narwal.call("reload")
        self.assertEqual(code, 0, text)
        self.assertNotIn(TOKEN[::-1], text)
        with self.assertRaises(OSError):
            web.ask("/healthz")
        web.ca = folder / "http.crt"
        self.assertEqual(web.ask("/healthz").code, 401)
        web.token = TOKEN[::-1]
        self.assertEqual(web.ask("/healthz").code, 200)
        # What is wrong changes nothing.
        (folder / "http.key").write_text("no key")
        code, text = narwal.call("reload")
        self.assertEqual(code, 1, text)
        self.assertIn("http.tls_key", text)
        self.assertEqual(web.ask("/healthz").code, 200)
        self.assertIn("the former ones stay", narwal.log())
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_what_is_open_to_others_stays_guarded(self):
        narwal = self.narwal(listen=f"0.0.0.0:{cluster.free_port()}", **self.credentials())
        narwal.start().wait_streaming()
        web = Web(int(narwal.config["http"]["listen"].split(":")[1]), ca=self.server.ca)
        narwal.config["http"] = {"listen": f"127.0.0.1:{self.port}"}
        narwal.write()
        code, text = narwal.call("reload")
        self.assertEqual(code, 1, text)
        self.assertEqual(web.ask("/status").code, 401)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_what_is_wrong_with_it_is_said_at_the_start(self):
        whole = self.credentials()
        for http, words in (
                ({"token": "fifteen-letters"}, ("shorter than 16",)),
                ({"tls_cert": whole["tls_cert"]}, ("belong together",)),
                ({"listen": "db1:9465"}, ("numeric address",)),
                ({"listen": ":9465"}, ("ADDRESS:PORT",)),
                ({**whole, "tls_key": "/nowhere"}, ("http.tls_key", "/nowhere", "No such file")),
                ({**whole, "tls_key": whole["tls_cert"]}, ("http.tls_cert and http.tls_key",)),
                ({"listen": "unix:/nowhere/at/all"}, ("unix:/nowhere/at/all", "No such file"))):
            with self.subTest(http=http):
                self.assert_refused(self.narwal(**http), *words)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            self.assert_refused(self.narwal(listen=f"127.0.0.1:{port}"), f"127.0.0.1:{port}",
                                "Address already in use", "choose another port")
        self.assertEqual(self.server.value("SELECT count(*) FROM pg_replication_slots"), 0)

    def test_a_unix_socket(self):
        path = pathlib.Path(self.server.folder / "http.sock")
        narwal = self.narwal(listen=f"unix:{path}")
        narwal.start().wait_streaming()
        web = Web(path=path)
        narwal.wait("a report", lambda: web.ask("/healthz").text == "ok\n")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o660)
        self.assert_refused(self.narwal(listen=f"unix:{path}"), "NW2012 ", "Address already in use")
        narwal.kill()
        self.assertTrue(path.exists())
        narwal.start()
        narwal.wait("an answer", web.answers)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        self.assertFalse(path.exists())
        path.write_text("not ours")
        self.assert_refused(narwal, "Address already in use")
        self.assertEqual(path.read_text(), "not ours")


if __name__ == "__main__":
    check.main()
