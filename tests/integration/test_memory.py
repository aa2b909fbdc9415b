#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Memory stays within the budget plus 64 MiB: a huge transaction, and a sink that stands still.

NARWAL_MEMORY_MB is the size of the transaction; 4096 is what is promised, less is what `./dev test`
has time for.
"""
import os
import time

from lab import check
from lab.narwal import Narwal

MIB = 1 << 20
BUDGET = 128 * MIB
ALLOWANCE = 64 * MIB
TRANSACTION_MB = int(os.environ.get("NARWAL_MEMORY_MB", "400"))
ROW_BYTES = 1000
STOPPED_SECONDS = 10


class MemoryTest(check.Case):
    def setUp(self):
        if "asan" in str(os.environ.get("NARWAL_BUILD", "")):
            self.skipTest("a sanitizer multiplies memory: the dev build tests this")
        self.server = self.cluster(options={"logical_decoding_work_mem": "4MB"})
        self.server.sql("CREATE SCHEMA lab")
        self.server.sql("CREATE TABLE lab.marker (id bigint PRIMARY KEY)")
        self.server.sql("CREATE TABLE lab.big (id integer PRIMARY KEY, filler text)")

    def narwal(self, **source):
        return self.enter(Narwal(self.server, settings={
            "limits": {"memory": "128MiB", "spill": "20GiB"}, "source": source}))

    def insert(self, megabytes):
        """One transaction of so many MB."""
        rows = megabytes * 1000000 // ROW_BYTES
        self.server.sql("INSERT INTO lab.big SELECT g, repeat(md5(g::text), %s) FROM "
                        "generate_series(1, %s) g", (ROW_BYTES // 32, rows))
        return rows

    def assert_bounded(self, narwal):
        peak = narwal.memory_peak()
        print(f"peak {peak // MIB} MiB", end=" ... ", flush=True)
        self.assertLessEqual(peak, BUDGET + ALLOWANCE)

    def assert_all_there(self, narwal, rows):
        narwal.wait_caught_up(seconds=300)
        self.assert_bounded(narwal)
        self.assertGreaterEqual(narwal.state().lines, rows)
        self.assertEqual(self.server.value("SELECT count(*) FROM lab.big"), rows)

    def test_one_huge_transaction(self):
        narwal = self.narwal().start().wait_streaming()
        rows = self.insert(TRANSACTION_MB)
        self.assert_all_there(narwal, rows)
        self.assertEqual(narwal.terminate(), 0)

    def test_one_huge_table_is_copied(self):
        rows = self.insert(TRANSACTION_MB)
        narwal = self.narwal().start().wait_streaming()
        self.assert_all_there(narwal, rows)

    def test_logical_messages_are_larger_than_memory(self):
        """They are not spilled: what was delivered of them is let go."""
        narwal = self.narwal().start().wait_streaming()
        self.server.sql("""DO $$ BEGIN FOR i IN 1..200 LOOP
            PERFORM pg_logical_emit_message(true, 'big', repeat('x', 1000000));
            END LOOP; INSERT INTO lab.big VALUES (1, ''); END $$""")
        self.assert_all_there(narwal, 1)
        messages = [line for file in (narwal.out / "_messages").iterdir()
                    for line in file.read_bytes().splitlines() if b'"big"' in line]
        self.assertEqual(len(messages), 200)

    def test_huge_transaction_while_the_sink_stands_still(self):
        """Its files are on a full disk for a while: the sink's thread waits, feedback goes on."""
        narwal = self.narwal()
        full = FullDisk(self, narwal.home / "disk")
        narwal.config["sinks"][0]["path"] = str(full.path / "out")
        narwal.out = full.path / "out"
        narwal.start().wait_streaming()
        full.fill()
        rows = self.insert(TRANSACTION_MB // 2)
        lsn = self.server.lsn()
        narwal.wait("all of it is received", lambda: self.server.value(
            "SELECT sent_lsn - '0/0'::pg_lsn FROM pg_stat_replication") >= lsn, 300)
        for _ in range(STOPPED_SECONDS):
            self.assertTrue(narwal.running, narwal.log_tail())
            time.sleep(1)
        self.assert_bounded(narwal)
        self.assertEqual(self.server.value("SELECT count(*) FROM pg_stat_replication"), 1)
        full.free()
        self.assert_all_there(narwal, rows)


class FullDisk:
    """A small file system of its own that can be filled and emptied; needs root."""

    def __init__(self, test, path):
        self.path = path
        path.mkdir()
        size = TRANSACTION_MB * 3
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=0777", "tmpfs", str(path)]
        if os.geteuid() != 0 or check.subprocess.run(command, stderr=check.subprocess.DEVNULL).returncode:
            test.skipTest("a file system to fill needs root and mount")
        test.addCleanup(check.subprocess.run, ["umount", "-l", str(path)])

    def fill(self):
        with open(self.path / "ballast", "wb") as ballast:
            try:
                while True:
                    ballast.write(b"\0" * MIB)
                    ballast.flush()
            except OSError:
                pass

    def free(self):
        (self.path / "ballast").unlink()


if __name__ == "__main__":
    check.main()
