#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The first ten minutes: the commands of README.md and docs/operations.md, as they are written there.

Only names of a reader's own (hosts, folders) are replaced. Everything runs as an ordinary user with
a home of its own, since a user's state is found there.
"""
import fcntl
import os
import pathlib
import pty
import re
import shlex
import signal
import struct
import subprocess
import termios
import time

from lab import check, narwal
from lab.cluster import as_server_user, server_user

ROOT = narwal.ROOT
SECONDS_MAX = 60
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
INDENTED = re.compile(r"(?:^    \S.*\n)+", re.M)


def section(path, heading):
    """A section's text, without its heading."""
    text = (ROOT / path).read_text()
    found = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^\1 |\Z)", text, re.M | re.S)
    assert found, f"{path} has no section {heading}"
    return found[2]


def blocks(text, language=""):
    return [body for kind, body in FENCE.findall(text) if kind == language]


def lines(text):
    """Commands without their comments."""
    return [re.sub(r"\s+#\s.*$", "", line).strip() for line in text.splitlines() if line.strip()]


class FirstMinutesTest(check.Case):
    def setUp(self):
        self.server = self.cluster()
        self.home = self.server.folder / "home"
        self.home.mkdir()
        program = narwal.build() / "narwal"
        for place in (self.home / "bin" / "narwal", self.home / "build" / "release" / "narwal"):
            place.parent.mkdir(parents=True)
            place.symlink_to(program)
        self.secret = self.home / "orders.password"
        self.secret.write_text("not asked for\n")
        self.secret.chmod(0o600)
        self.server.own(self.home, self.secret, *self.home.rglob("*"))
        self.environment = {"HOME": str(self.home), "PATH": f"{self.home}/bin:/usr/bin:/bin",
                            "LC_ALL": "C.UTF-8"}
        if self.run_line("narwal version", None) != 0:
            self.skipTest(f"{server_user().pw_name} may not run {program}")
        for database in ("shop", "orders"):
            self.server.sql(f"CREATE DATABASE {database}")
            for statement in ("CREATE TABLE items (id int PRIMARY KEY, amount numeric)",
                              "CREATE TABLE log (at bigint PRIMARY KEY, v text)",
                              "CREATE TABLE tmp_x (v text)",
                              "INSERT INTO items SELECT g, g FROM generate_series(1, 1000) g"):
                self.server.sql(statement, database=database)

    def mine(self, text):
        """The text with a reader's own names."""
        for theirs, ours in (
                ("postgresql://you@host/shop", f"postgresql://postgres@/shop?host={self.server.socket}"
                                               f"&port={self.server.port}"),
                ("host=db1", f"host={self.server.socket} port={self.server.port}"),
                ("user=you", "user=postgres"),
                ("/etc/narwal/orders.password", str(self.secret)),
                ("/srv/orders", str(self.home / "archive"))):
            text = text.replace(theirs, ours)
        return text

    def start(self, line, **more):
        return subprocess.Popen(as_server_user(["sh", "-c", f"exec {line}"], "KILL"), cwd=self.home,
                                env=self.environment, text=True, **more)

    def run_line(self, line, code=0, **more):
        """One command to its end; what it printed."""
        with self.subTest(line):
            result = subprocess.run(as_server_user(["sh", "-c", line]), cwd=self.home, text=True,
                                    env=self.environment, stdin=subprocess.DEVNULL, timeout=SECONDS_MAX,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
            if code is None:
                return result.returncode
            self.assertEqual(result.returncode, code, f"{line}\n{result.stdout}")
            return result.stdout

    def until(self, what, done):
        deadline = time.monotonic() + SECONDS_MAX
        while not done():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.1)

    def write(self, database, value):
        self.server.sql("INSERT INTO items VALUES (%s, 5) ON CONFLICT DO NOTHING", (value,), database)

    def follow(self, line, copy):
        """`narwal run` until it is live and a new row has arrived; it goes on."""
        log = open(self.home / "log", "w+")
        self.addCleanup(log.close)
        process = self.start(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(process.kill)
        said = lambda: pathlib.Path(log.name).read_text()  # noqa: E731
        self.until(f"{line} copies", lambda: "copy complete" in said() or process.poll() is not None)
        self.assertIsNone(process.poll(), said())
        self.write("shop", 5001)
        self.write("orders", 5001)
        self.until("the new row", lambda: "5001" in self.rows(copy))
        return process, said

    def rows(self, copy):
        """All that is in the files so far, complete or not."""
        files = [str(path) for path in copy.rglob("*.json*")]
        return files and subprocess.run(["zstd", "-dcf", *files], text=True, errors="replace",
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout

    def stop(self, process):
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(SECONDS_MAX), 0)

    def left(self):
        return self.server.value("SELECT count(*) FROM pg_replication_slots")

    def test_one_live_line_below_what_is_logged(self):
        """On a terminal of 60 columns."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        process = self.start("narwal run --source 'dbname=shop user=postgres host=%s port=%s' --sink null:"
                             % (self.server.socket, self.server.port),
                             stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.addCleanup(process.kill)
        out = b""
        while b"live " not in out or b"values in binary" not in out:
            out += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        try:
            while True:
                out += os.read(ours, 4096)
        except OSError:  # it is closed
            os.close(ours)
        self.assertEqual(process.wait(SECONDS_MAX), 0)
        rows = out.decode().replace("\r\n", "\n").split("\n")
        self.assertGreater(out.count(b"\r\x1b[K"), 0)
        for row in rows:
            # What was there before a row is cleared does not count.
            *before, last = row.split("\r\x1b[K")
            for text in before:
                self.assertLess(len(text), 60, row)
                self.assertNotRegex(text, r"^20\d\d-")
            self.assertRegex(last, r"^(20\d\d-.*Z (info|warn) .*)?$")
        self.assertRegex(rows[-2], r"to remove it: narwal teardown --source")
        self.assertEqual(rows[-1].split("\r\x1b[K")[-1], "")

    # ---- README.md -------------------------------------------------------------------------------

    def test_your_own_database(self):
        first, last = [lines(self.mine(block)) for block in blocks(
            section("README.md", "Your own database"))[:2]]
        build, tail, look, run = first
        self.assertEqual(build, "./dev build release")  # is done
        process = self.start(tail, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        for stream in (process.stdout, process.stderr):
            self.addCleanup(stream.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        while "changes of 3 tables; ^C ends" not in process.stderr.readline():
            self.assertIsNone(process.poll())
        self.until("the tail's slot", lambda: self.left() == 1)
        self.write("shop", 4000)
        self.assertIn("4000", process.stdout.readline() + process.stdout.readline())
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(SECONDS_MAX), 0)
        self.assertEqual(self.left(), 0)
        self.assertIn("0 to mend", self.run_line(look))
        process, said = self.follow(run, self.home / "copy")
        self.stop(process)
        self.assertEqual(self.left(), 1)
        # What the end of the run says is what the README says, as far as this user's server goes.
        named = re.search(r"to remove it: (narwal teardown .*?)\"", said())[1].replace("\\\"", '"')
        self.assertEqual(shlex.split(named)[1:], shlex.split(last[0])[1:])
        self.run_line(f"{last[0]} --yes")
        self.assertEqual(self.left(), 0)
        self.assertEqual(self.server.value("SELECT count(*) FROM pg_publication", database="shop"), 0)
        self.run_line("narwal files verify ./copy")

    def test_with_a_configuration(self):
        text = section("README.md", "With a configuration")
        init, commands = [lines(self.mine(block)) for block in blocks(text)]
        written = self.run_line(init[0])
        self.assertIn("orders.yaml is written: 3 tables, ", written)
        self.assertIn("0 to mend", self.run_line("narwal check orders.yaml"))
        self.assertIn("NW1521", self.run_line(init[0], code=1))
        (self.home / "orders.yaml").write_text(self.mine(blocks(text, "yaml")[0]))

        # docs/operations.md: the role, which is not there yet.
        role = [line for block in INDENTED.findall(section("docs/operations.md",
                                                           "A role with the least rights"))
                for line in lines(self.mine(block))]
        self.assertIn("--sql --dba", role[0])
        self.run_line(role[0], code=1)
        self.run_line(role[1])
        self.assertIn("\\password", role[2])  # asks for one; this server trusts its users
        self.assertIn("0 to mend", self.run_line(role[3]))

        process = None
        for line in commands:
            if " && " in line:
                look, run = line.split(" && ")
                self.run_line(look)
                process, _ = self.follow(run, self.home / "archive")
            elif line == "narwal copy pause orders.yaml":
                self.assertIn("NW1505 nothing is being copied", self.run_line(line, code=1))
            elif line in ("narwal run --standby orders.yaml", "narwal adopt orders.yaml"):  # one runs here
                self.assertIn("NW2001", self.run_line(line, code=1))
            elif line == "narwal take-over orders.yaml URL":  # this one writes files
                self.assertIn("NW1557", self.run_line(line, code=2))
            elif line == "narwal status --all":  # a table is paused by now
                self.assertIn("1 table not as the others", self.run_line(line, code=1))
            else:
                self.run_line(line)
        self.assertIn("0 to mend", self.run_line("narwal plan orders.yaml"))  # it runs
        self.stop(process)
        self.teardown()

    def teardown(self):
        """docs/operations.md: what would go; then it asks."""
        dry, real = lines(self.mine(INDENTED.findall(section(
            "docs/operations.md", "What narwal makes on the server, and how to remove it"))[0]))
        self.assertIn("nothing was removed (--dry-run)", self.run_line(dry))
        self.assertEqual(self.left(), 1)
        for answer, slots in (("no", 1), ("y", 0)):
            ours, theirs = pty.openpty()
            process = self.start(real, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            os.write(ours, f"{answer}\n".encode())
            out = process.communicate(timeout=SECONDS_MAX)[0]
            os.close(ours)
            os.close(theirs)
            self.assertIn("Remove? [y/N] ", out)
            self.assertEqual((process.returncode, self.left()), (slots, slots), out)
        # A DBA made the publications.
        self.assertIn("stays   publication narwal_orders: it belongs to role postgres", out)
        self.assertTrue((self.home / "archive").exists())
        self.assertFalse((self.home / ".local/state/narwal/orders").exists())


if __name__ == "__main__":
    check.main()
