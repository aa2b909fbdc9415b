#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Two hosts and a server on one network, a folder that both hosts see, and a load: whichever narwal is
the owner is killed, frozen, cut off or stopped, at random, and the other goes on. 0 lost, 0 doubled.

A round takes about five seconds; there are seven times NARWAL_SCALE. NARWAL_SEED repeats one."""
import random
import signal
import time

from lab import check, cluster, hosts, network, workload
from lab.narwal import Narwal

ROUNDS = 7
AFTER = 2
HBA = cluster.HBA + "host all all 10.213.0.0/16 trust\nhost replication all 10.213.0.0/16 trust\n"


class TwoHostsTest(check.Case):
    def setUp(self):
        self.dice = random.Random(check.seed())
        try:
            self.network = self.enter(network.Network())
            self.places = {name: self.network.host(name) for name in "ab"}
        except network.Unavailable as why:
            self.skipTest(str(why))
        try:
            self.server = cluster.Cluster(check.version(), hba=HBA, options={"wal_sender_timeout": "10s"})
        except cluster.servers.Unavailable as error:
            self.skipTest(str(error))
        self.server.addresses = f"127.0.0.1,{self.network.address}"
        self.enter(self.server)
        workload.create_tables(self.server.connect())
        self.load = workload.Workload(self.server.dsn(), seed=check.seed(), sessions=2, pause=0.02, bulk_rows=500)

    def first(self, **settings):
        dsn = self.server.dsn(way="tcp", host=self.network.address)
        first = self.enter(Narwal(self.server, dsn=dsn, settings={
            "standby": {"after": f"{AFTER}s"}, **settings}))
        copies = [str(first.out), str(first.out) + "-too"]
        first.config["sinks"] = [{"type": "file", "name": f"files{number}", "path": path, "rotate_size": "1MiB"}
                                 for number, path in enumerate(copies)]
        first.place = self.places["a"]
        return first

    def second(self, first):
        second = self.enter(hosts.another(first, "b"))
        second.place = self.places["b"]
        return second

    def streams(self, narwal):
        narwal.wait("a stream", lambda: hosts.status(narwal).get("phase") == "streaming", 40)

    # ---- what happens to an owner; each ends with it down -----------------------------------------

    def killed(self, owner, other, name):
        owner.kill()
        self.streams(other)

    def stopped(self, owner, other, name):
        self.assertEqual(owner.terminate(), 0, owner.log_tail())
        self.streams(other)

    def frozen(self, owner, other, name):
        owner.process.send_signal(signal.SIGSTOP)
        self.streams(other)
        time.sleep(self.dice.uniform(0, 1))
        owner.process.send_signal(signal.SIGCONT)
        self.fenced(owner)

    def cut_off(self, owner, other, name):
        self.network.cut(name)
        self.streams(other)
        time.sleep(self.dice.uniform(0, 1))
        self.network.cut(name, False)
        self.fenced(owner)

    def fenced(self, owner):
        self.assertEqual(owner.wait_exit(40), 4, owner.log_tail())
        self.assertRegex(owner.log(), r"error NW(2350|2406) (sink \w+: )?another narwal has taken over")

    def blinked(self, owner, other, name):
        """Shorter than standby.after: nothing changes hands."""
        self.network.cut(name)
        time.sleep(AFTER / 4)
        self.network.cut(name, False)
        self.assertEqual(hosts.status(other).get("phase"), "standby", other.log_tail())
        self.assertTrue(owner.running, owner.log_tail())
        self.killed(owner, other, name)

    # ---- the tests -------------------------------------------------------------------------------

    def compare(self, narwal):
        for path in [narwal.out, type(narwal.out)(f"{narwal.out}-too")]:
            narwal.out = path
            narwal.wait_caught_up()
            result = narwal.compare(workload.TABLES)
            print(result, end=" ... ", flush=True)
            self.assertTrue(result.good, f"{result.report()}\n{narwal.log_tail()}")
            code, text = narwal.call_verify()
            self.assertEqual(code, 0, text)

    def test_killed_frozen_cut_off_and_moved(self):
        first = self.first()
        second = self.second(first)
        rounds = [self.killed, self.frozen, self.cut_off, self.stopped, self.frozen, self.cut_off, self.blinked]
        with self.load:
            self.load.run_until(lambda: self.load.transactions > 50)
            first.start().wait_streaming()
            first.wait("the end of the spool", lambda: ": live" in first.log())
            first.wait_caught_up()
            first.options = ["--standby"]
            names = {first: "a", second: "b"}
            owner, other = first, second
            for number in range(int(ROUNDS * check.scale())):
                other.start()
                other.wait("it to stand by", lambda: "another narwal has slot" in other.log(), 40)
                time.sleep(self.dice.uniform(0, 1))
                what = rounds[number] if number < len(rounds) else self.dice.choice(rounds)
                what(owner, other, names[owner])
                owner, other = other, owner
            print(f"{self.load.transactions} transactions, {number + 1} moves", end=" ... ", flush=True)
        self.compare(owner)
        self.assertEqual(owner.terminate(), 0, owner.log_tail())

    def moved(self, first, point):
        """The owner kills itself at that moment, and the other host's narwal takes over."""
        second = self.second(first)
        self.server.sql("INSERT INTO lab.plain SELECT g, g, repeat('x', 500) FROM generate_series(1000, 20000) g "
                        "ON CONFLICT DO NOTHING")
        second.start()
        second.wait("it to wait", lambda: "there is no slot" in second.log(), 20)
        self.assertEqual(first.start(NARWAL_CRASH_AT=point).wait_exit(), -signal.SIGKILL)
        second.wait("it to take over", lambda: "NW2013" in second.log(), 20)
        return second

    def test_moved_before_any_copy_is_whole(self):
        """Then the second begins to copy anew: nothing of what was acknowledged is missing in that."""
        first = self.first()
        with self.load:
            second = self.moved(first, "copy:2")
            self.streams(second)
        self.compare(second)
        self.assertEqual(second.terminate(), 0, second.log_tail())

    def test_moved_while_the_spool_is_read(self):
        """What was acknowledged is in the spool on the first host: the second refuses, and the first goes on."""
        first = self.first(copy={"rate": "5MiB"})
        with self.load:
            second = self.moved(first, "play:100")
            self.assertEqual(second.wait_exit(40), 1, second.log_tail())
            self.assertRegex(second.log(), "error NW2307 .*whose spool has the changes between")
            first.start().wait_streaming()
        self.compare(first)
        self.assertEqual(first.terminate(), 0, first.log_tail())


if __name__ == "__main__":
    check.main()
