#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One pipeline, several hosts: only one narwal is the owner of slot and sinks, and a standby takes its
place when it is gone. Here the hosts are folders; test_two_hosts.py has network namespaces."""
import os
import pathlib
import random
import re
import signal
import socket
import time
import urllib.request

from lab import check, cluster, hosts, workload
from lab.narwal import Narwal
from lab.proxy import Proxy

AFTER = 2


class LockProxy(Proxy):
    """Goes silent when the claim's lock is asked for; with `loses` that client is cut off from a session
    that stays, with the lock. Once."""

    def __init__(self, target, loses=False):
        super().__init__(target)
        self.loses, self.lost, self.met = loses, [], False

    def __exit__(self, *why):
        super().__exit__(*why)
        for server in self.lost:
            server.close()

    def forward(self, source):
        try:
            met = not self.met and b"pg_try_advisory_lock" in source.recv(1 << 16, socket.MSG_PEEK)
        except OSError:
            met = False  # closed meanwhile, which the proxy handles
        self.met = self.met or met
        if met and not self.loses:
            self.silent = True
            return
        super().forward(source)
        if met:
            with self.lock:
                server = self.pairs.pop(source)
                self.pairs.pop(server)
            for end in (source, server):
                self.selector.unregister(end)
            self.lost.append(server)
            source.close()


class TakeoverTest(check.Case):
    @classmethod
    def setUpClass(cls):
        cls.shared = None

    @classmethod
    def tearDownClass(cls):
        if cls.shared:
            cls.shared.__exit__(None, None, None)

    def setUp(self):
        try:
            type(self).shared = self.shared or cluster.Cluster(check.version()).__enter__()
        except cluster.servers.Unavailable as error:
            self.skipTest(str(error))
        self.server = self.shared
        self.server.sql("DROP DATABASE IF EXISTS pipeline")
        self.server.sql("CREATE DATABASE pipeline")
        workload.create_tables(self.server.connect("pipeline"))
        self.load = workload.Workload(self.server.dsn("pipeline"), seed=check.seed(), sessions=2, pause=0.02,
                                      bulk_rows=200)

    def first(self, **settings):
        return self.enter(Narwal(self.server, database="pipeline", settings={"standby": {"after": f"{AFTER}s"}, **settings}))

    def another(self, first, label, **more):
        return self.enter(hosts.another(first, label, **more))

    def wait_log(self, narwal, text, seconds=30):
        narwal.wait(text, lambda: text in narwal.log(), seconds)

    def start_first(self, first):
        """Until nothing that was acknowledged is on its disk alone."""
        first.start().wait_streaming()
        self.wait_log(first, ": live")
        return first.wait_caught_up()

    def finish(self, *narwals):
        """The owner catches up, and the copy is right; the others end by themselves or are stopped."""
        owner = narwals[0]
        owner.wait_caught_up()
        result = owner.compare(workload.TABLES, "pipeline")
        self.assertTrue(result.good, f"{result.report()}\n{owner.log_tail()}")
        for narwal in narwals:
            if narwal.running:
                self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        code, text = owner.call_verify()
        self.assertEqual(code, 0, text)
        self.server.sql("SELECT pg_drop_replication_slot(%s)", (owner.slot,))

    def test_a_second_start_touches_nothing_while_the_first_lives(self):
        """Also one with another state folder, whose lock does not help, and while nobody reads the slot."""
        first = self.first()
        second = self.another(first, "b", options=())
        with self.load:
            self.start_first(first)
            before = hosts.fencing(first)
            second.start()
            self.wait_log(second, "NW1211")
            self.assertEqual(first.call("pause")[0], 0)
            first.wait("a free slot", lambda: not self.server.value(
                "SELECT active FROM pg_replication_slots WHERE slot_name = %s", (first.slot,)))
            self.wait_log(second, "NW1211 another narwal has slot")
            time.sleep(2.5)  # it tries again now and then
            self.assertEqual(hosts.fencing(first), before, second.log_tail())
            self.assertEqual(first.call("resume")[0], 0)
            first.wait_caught_up()
            before = hosts.fencing(first)  # its own, by its second attempt
            time.sleep(1)
            self.assertEqual(hosts.fencing(first), before, second.log_tail())
            self.assertEqual(first.terminate(), 0, first.log_tail())
            second.wait("a stream", lambda: hosts.status(second).get("phase") == "streaming")
            self.assertGreater(hosts.fencing(first), before)
        self.finish(second, first)

    def test_a_standby_takes_over_from_one_that_was_killed(self):
        port = cluster.free_port()
        first = self.first()
        second = self.another(first, "b", settings={"http": {"listen": f"127.0.0.1:{port}"}})
        second.start()
        self.wait_log(second, f"there is no slot {first.slot} yet")
        with self.load:
            self.start_first(first)
            self.wait_log(second, f"another narwal has slot {first.slot} (process")
            before = hosts.fencing(first)
            status = hosts.status(second)
            self.assertEqual((status["phase"], status["ready"]), ("standby", True), status)
            self.assertIn("another narwal has slot", status["standby"])
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
                self.assertIn(b"standing by", answer.read())
            code, text = second.call("pause")
            self.assertEqual(code, 1, text)
            self.assertIn("NW1505", text)
            # It reloads what it waits for, and a server that restarts is no owner that is gone.
            second.config["standby"] = {"after": f"{AFTER + 1}s"}
            second.write()
            code, text = second.call("reload")
            self.assertEqual(code, 0, text)
            self.wait_log(second, "silent for 3.0")
        self.server.restart()
        first.wait_caught_up()
        self.assertEqual(hosts.fencing(first), before, second.log_tail())
        self.assertNotIn("NW2013", second.log())
        again = workload.Workload(self.server.dsn("pipeline"), seed=check.seed() + 1, sessions=2, pause=0.02)
        with again:
            first.kill()
            killed = time.monotonic()
            self.wait_log(second, "NW2013 taking over")
            self.assertGreater(time.monotonic() - killed, AFTER)
            second.wait("a stream", lambda: hosts.status(second).get("phase") == "streaming")
        self.finish(second)

    def through(self, proxy):
        return self.enter(Narwal(self.server, database="pipeline", dsn=self.server.dsn(
            "pipeline", way="tcp", port=proxy.port)))

    def test_a_server_that_is_slow_to_answer_is_waited_for(self):
        """Longer than somebody who may yet give it up is waited for."""
        proxy = self.enter(LockProxy(self.server.port))
        first = self.through(proxy).start()
        first.wait("the question", lambda: proxy.silent)
        time.sleep(4)
        stat = pathlib.Path(f"/proc/{first.process.pid}/stat").read_text().rpartition(")")[2].split()
        self.assertLess((int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK"), 1, "seconds of a CPU")
        proxy.silent = False
        first.wait("a stream", lambda: hosts.status(first).get("phase") == "streaming", 15)
        self.finish(first)

    def test_a_lock_of_which_the_answer_was_lost(self):
        """The server has given it to a session that nobody is behind any more: it is our own."""
        proxy = self.enter(LockProxy(self.server.port, loses=True))
        first = self.through(proxy).start()
        first.wait("a stream", lambda: hosts.status(first).get("phase") == "streaming", 15)
        self.assertEqual(len(proxy.lost), 1)
        self.finish(first)

    def test_an_owner_whose_claim_breaks_beside_a_second_start(self):
        """It reads the slot: the lock that is free for a moment is not taken."""
        first = self.first()
        second = self.another(first, "b", options=())
        with self.load:
            self.start_first(first)
            before = hosts.fencing(first)
            second.start()
            self.wait_log(second, "NW1211 another narwal has slot")
            for number in range(1, 4):
                second.wait("a pause", lambda: second.log().count("trying again in") >= number)
                pause = re.findall(r"trying again in ([\d.]+) s", second.log())[number - 1]
                time.sleep(float(pause) + 0.5)  # now it looks, for two seconds
                ended = self.holder()
                self.server.sql("SELECT pg_terminate_backend(%s)", (ended,))
                first.wait("its lock again", lambda: self.holder() not in (None, ended))
            self.assertTrue(first.running, first.log_tail())
            self.assertEqual(hosts.fencing(first), before, second.log_tail())
            self.assertEqual(second.log().count("streaming from"), 0, second.log_tail())
            second.kill()
        self.finish(first)

    def holder(self):
        return self.server.value("SELECT pid FROM pg_locks WHERE locktype = 'advisory'")

    def test_one_that_thaws_before_it_opens_its_sinks(self):
        """Frozen once it was the only one: it does not throw out who has come since."""
        first = self.first()
        second = self.another(first, "b")
        with self.load:
            self.start_first(first)
            self.assertEqual(first.terminate(), 0, first.log_tail())
            first.start(NARWAL_FREEZE_AT="owned:1")
            first.wait("it to freeze", lambda: pathlib.Path(
                f"/proc/{first.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", 30)
            second.start()
            self.wait_log(second, "NW2013 taking over")
            second.wait("a stream", lambda: hosts.status(second).get("phase") == "streaming")
            before = hosts.fencing(second)
            first.process.send_signal(signal.SIGCONT)
            self.assertEqual(first.wait_exit(10), 4, first.log_tail())
            self.assertIn("error NW2350", first.log())
            self.assertEqual(hosts.fencing(second), before, first.log_tail())
        self.finish(second)

    def test_one_that_lost_its_place_ends(self):
        first = self.first()
        first.start().wait_streaming()
        with self.server.connect("pipeline") as other, other.cursor() as cursor:
            cursor.execute("SELECT pid, classid::int, objid::int FROM pg_locks WHERE locktype = 'advisory'")
            (pid, kind, key), = cursor.fetchall()
            cursor.execute("SELECT pg_terminate_backend(%s)", (pid,))
            first.wait("its own lock again", lambda: self.server.value(
                "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND pid <> %s", (pid,)))
            first.wait_caught_up()
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", (kind, key))
            self.assertEqual(first.wait_exit(10), 4, first.log_tail())
            self.assertRegex(first.log(), "error NW2350 another narwal has taken over slot")
        other.close()
        first.start()
        self.finish(first)

    def test_a_frozen_owner_is_replaced_and_ends_when_it_thaws(self):
        """The server would keep its sessions for wal_sender_timeout, a minute here, and longer."""
        first = self.first(sinks=[{"type": "null"}])
        second = self.another(first, "b")
        with self.load:
            first.start()
            first.wait("a stream", lambda: hosts.status(first).get("phase") == "streaming")
            second.start()
            self.wait_log(second, "another narwal has slot")
            first.process.send_signal(signal.SIGSTOP)
            self.wait_log(second, "NW2013 taking over", AFTER + 6)
            self.assertEqual(second.log().count("NW2014 the owner of slot"), 1, second.log_tail())
            second.wait("a stream", lambda: hosts.status(second).get("phase") == "streaming")
            confirmed = second.confirmed_lsn()
            first.process.send_signal(signal.SIGCONT)
            self.assertEqual(first.wait_exit(10), 4, first.log_tail())
            self.assertIn("NW2350", first.log())
            second.wait("an acknowledgement", lambda: second.confirmed_lsn() > confirmed)
            self.assertEqual(second.log().count("streaming from"), 1, second.log_tail())
        self.assertEqual(second.terminate(), 0, second.log_tail())
        self.server.sql("SELECT pg_drop_replication_slot(%s)", (second.slot,))

    def test_frozen_at_any_moment_and_thawed_when_another_has_taken_over(self):
        """Each of a chain stops itself at some moment (NARWAL_FREEZE_AT), inside a commit, between two
        operations on files or before it acknowledges, still holding the file sink's lock. Its standby
        takes over, goes on, and only then it thaws."""
        dice = random.Random(check.seed())
        points = ["sink-file", "commit", "sink-file", "acknowledge", "write", "sink-file"]
        owner = self.first(sinks=[{"type": "file", "path": "", "rotate_size": "64KiB", "journal_size": "64KiB"}])
        owner.config["sinks"][0]["path"] = str(owner.out)
        self.start_first(owner)
        self.assertEqual(owner.terminate(), 0, owner.log_tail())
        with self.load:
            owner.start(NARWAL_FREEZE_AT=f"sink-file:{dice.randint(40, 300)}")
            for number in range(int(len(points) * check.scale())):
                point = points[number % len(points)]
                standby = self.another(owner, f"h{number}")
                last = number + 1 == int(len(points) * check.scale())
                count = dice.randint(*{"sink-file": (40, 300), "write": (10, 200)}.get(point, (3, 20)))
                standby.start(**({} if last else {"NARWAL_FREEZE_AT": f"{point}:{count}"}))
                owner.wait("it to freeze", lambda: pathlib.Path(
                    f"/proc/{owner.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", 30)
                before = hosts.fencing(owner)
                self.wait_log(standby, "NW2013 taking over")
                standby.wait("its own number", lambda: hosts.fencing(standby) > before)
                time.sleep(dice.uniform(0, 2))
                owner.process.send_signal(signal.SIGCONT)
                self.assertEqual(owner.wait_exit(10), 4, owner.log_tail())
                self.assertRegex(owner.log(), "error NW(2350|2406) (sink file: )?another narwal has taken over")
                owner = standby
        self.finish(owner)

    def test_one_that_comes_back_with_an_old_state(self):
        """A table was paused there; the other one, which knows nothing of it, copied it. So does this one."""
        first = self.first()
        second = self.another(first, "b", options=())
        with self.load:
            self.start_first(first)
            self.assertEqual(first.call("table", "pause", "lab.plain")[0], 0)
            first.wait("kept rows", lambda: hosts.status(first).get("rows_kept", 0) > 0)
            self.assertEqual(first.terminate(), 0, first.log_tail())
            second.start()
            second.wait("a stream", lambda: hosts.status(second).get("phase") == "streaming")
            second.wait("no table that waits", lambda: hosts.status(second).get("stopped_tables_count") == 0)
            second.wait_caught_up()
            self.assertEqual(second.terminate(), 0, second.log_tail())
            first.start()
            self.wait_log(first, "warn  NW2015")
            first.wait("no table that waits", lambda: hosts.status(first).get("phase") == "streaming" and
                       hosts.status(first).get("stopped_tables_count") == 0)
        self.finish(first)

    def test_two_standbys_and_one_that_is_stopped_while_it_waits(self):
        first = self.first()
        with self.load:
            self.start_first(first)
            others = [self.another(first, label).start() for label in "bcd"]
            for other in others:
                self.wait_log(other, "another narwal has slot")
            self.assertEqual(others[2].terminate(5), 0, others[2].log_tail())
            first.kill()
            owners = []
            others[0].wait("one that took over", lambda: owners.extend(
                other for other in others[:2] if "NW2013" in other.log()) or owners)
            owner = owners[0]
            other = others[1] if owner is others[0] else others[0]
            owner.wait("a stream", lambda: hosts.status(owner).get("phase") == "streaming")
            self.assertEqual(hosts.status(other)["phase"], "standby")
            self.assertNotIn("NW2013", other.log())
            # The planned way: the owner drains, the other goes on.
            self.assertEqual(owner.terminate(), 0, owner.log_tail())
            other.wait("a stream", lambda: hosts.status(other).get("phase") == "streaming")
        self.finish(other)


if __name__ == "__main__":
    check.main()
