#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every `narwal` command that README.md and docs/ name, run as it is written there.

A reader's own names (files, hosts, tables) are replaced, and what a sentence leaves out is filled in:
`narwal table pause` is run with a table and a configuration. What nothing replaces is an error, so a
new command in the docs is run by this test or noticed by it.
"""
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import time

from lab import check, narwal
from lab.cluster import as_server_user, server_user

ROOT = narwal.ROOT
SECONDS_MAX = 60
PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"^(?: {4})?(?:\S+/)?(narwal [a-z].*)$|`(narwal [a-z][^`\n]*)`", re.M)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
# What such a line is that begins with the word and is no command.
PROSE = re.compile(r"^narwal (copies|at|has|then|stopped|received|is|needs|says|waits|told|does) ?")
NEEDS_FILE = {"status", "pause", "resume", "reload", "top", "wait", "table", "copy", "plan", "check",
              "teardown", "support", "run", "ddl-trigger", "adopt",
              "dead-letter", "sink"}
GROUPS = {"table", "copy", "ddl-trigger", "files", "sink", "dead-letter"}
# What an ordinary answer is where there is nothing to do.
NOTHING_TO_DO = {"dead-letter": "NW2421", "copy": "NW1505", "table repair": "NW1505", "table resume": "NW1505"}


def written():
    """Every command of the docs, in their order, and where it is."""
    found = {}
    for page in PAGES:
        text = (ROOT / page).read_text()
        code = [body for kind, body in FENCE.findall(text) if kind in ("", "sh")]
        outside = FENCE.sub("", text)
        for part, lines in ((outside, False), *((body, True) for body in code)):
            for line, span in COMMAND.findall(part):
                command = (line if lines or line.startswith("narwal") else "") or span
                indented = re.search(rf"^    (\S+/)?{re.escape(line)}$", part, re.M) if line else None
                if not (command or indented) or (line and not lines and not indented):
                    continue
                command = re.split(r"\s+#\s| \| |  +(?=[a-z])| > ", command or line)[0]
                for one in command.split(" && "):
                    if one.startswith("narwal ") and not PROSE.match(one):
                        found.setdefault(one.strip(), page)
    return found


class DocsTest(check.Case):
    def setUp(self):
        self.server = self.cluster()
        self.home = self.server.folder / "docs"
        (self.home / "bin").mkdir(parents=True)
        (self.home / "bin" / "narwal").symlink_to(narwal.build() / "narwal")
        self.environment = {**os.environ, "HOME": str(self.home), "LC_ALL": "C.UTF-8",
                            "PATH": f"{self.home}/bin:/usr/bin:/bin"}
        self.dsn = self.server.dsn("depot")
        self.server.sql("CREATE DATABASE depot")
        self.sql("CREATE SCHEMA shop")
        for name in ("orders", "carts", "lines"):
            self.sql(f"CREATE TABLE shop.{name} (id integer PRIMARY KEY, note text)")
        self.sql("INSERT INTO shop.orders SELECT g, 'n' FROM generate_series(1, 1000) g")
        self.write("orders.yaml", "orders")
        self.server.own(self.home, *self.home.rglob("*"))
        self.news = 0

        if subprocess.run(as_server_user(self.program(["version"])), stdout=subprocess.DEVNULL,
                          check=False).returncode != 0:
            self.skipTest(f"{server_user().pw_name} may not run narwal")

    def write(self, file, name):
        (self.home / file).write_text(
            f"name: {name}\nplugin_dir: {narwal.build()}/plugins\nsource:\n  dsn: \"{self.dsn}\"\n"
            f"tables: {{include: ['shop.*'], new_tables: ignore}}\n"
            f"sinks:\n  - {{type: file, name: archive, path: {self.home}/{name}}}\n"
            f"  - {{type: file, name: other, path: {self.home}/{name}-other}}\n")

    def sql(self, statement):
        self.server.sql(statement, database="depot")

    # ---- from the docs' words to ours ------------------------------------------------------------

    def ours(self, command):
        """The command with a reader's own names; None: it is no whole command."""
        text = re.sub(r"[\[\]]|--help more", "", command)
        table = "shop.orders"
        if " table add" in text:
            self.news += 1
            table = f"shop.new_{self.news}"
        if " table drop" in text:
            table = "shop.carts"
        for theirs, mine in (
                (r"\b(FILE|inventory|shadow)\.yaml", "orders.yaml"), (r"SCHEMA\.TABLE|sales\.t\b|shop\.invoices|shop\.carts|"
                                                   r"public\.log|(?<= )shop\.orders", table),
                (r"'(sales|shop)\.\*'|\bPATTERN", "'shop.*'"), (r"\bSTATE\b", "streaming"),
                (r"\bID\b", "1"), (r"--sink SINK", "--sink archive"), (r"\bSINK\b", "other"),
                (r"\bCODE\b", "NW2307"), (r"--publication NAME", "--publication narwal_orders"),
                (r"\./mine\.so|build/print\.so path=\S+|\bPLUGIN(\.so)?",
                 f"{narwal.build()}/plugins/null.so"), (r" key=value.*", ""),
                (r"\bFOLDER|\bCOPY\b|\./copy(?= |$)", f"{self.home}/orders"),
                (r"\"(postgresql://|host=)[^\"]*\"|(?<=--dba )DSN|(?<=tail )DSN|(?<=init )DSN", f"\"{self.dsn}\""),
                (r"(?<= )postgresql://\S+", f"\"{self.dsn}\""), (r"--sink \w+:\S*", "--sink null:"),
                (r"\"\$DSN\"", f"\"{self.dsn}\""), (r"COMMAND", "run")):
            text = re.sub(theirs, mine, text)
        words = shlex.split(text)[1:]
        kind = " ".join(words[:2]) if words[0] in GROUPS else words[0]
        if kind in GROUPS:
            return None
        if words[0] == "table" and kind != "table list" and len(words) == 2:
            words.append(table)
        if words[0] == "dead-letter" and len(words) == 1:
            return None
        if words[0] == "dead-letter" and words[1] != "list" and len(words) == 2:
            words.append("1")
        if words[0] == "sink" and kind != "sink list" and len(words) == 2:
            words.append("other")
        if words[:2] == ["files", "verify"] and len(words) == 2:
            words.append(f"{self.home}/orders")
        if words[0] in ("tail", "init") and len(words) == 1:
            words.append(self.dsn)
        if words[0] == "explain" and len(words) == 1:
            words.append("NW2307")
        if words[0] in ("diff-topics", "import-debezium", "take-over", "export-debezium"):
            words.append("--help")  # there is neither broker nor connector here; options are read
        if words[0] == "sink-check" and len(words) == 1:
            words.append(f"{narwal.build()}/plugins/null.so")
        if words[0] in NEEDS_FILE and not any(
                word.endswith(".yaml") or word in ("--source", "--all", "--help") for word in words):
            words.append("orders.yaml")
        return words

    def program(self, words):
        return [str(self.home / "bin" / "narwal"), *words]

    # ---- running them ----------------------------------------------------------------------------

    def run_words(self, words, codes=(0,), said=None):
        result = subprocess.run(as_server_user(self.program(words)), cwd=self.home, text=True,
                                env=self.environment, stdin=subprocess.DEVNULL, timeout=SECONDS_MAX,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if said is not None and result.returncode == 1 and said in result.stdout:
            return result.stdout
        self.assertIn(result.returncode, codes, f"narwal {shlex.join(words)}\n{result.stdout}")
        return result.stdout

    def start(self, words, ready, seconds=SECONDS_MAX):
        """One that does not end by itself, until it says `ready`."""
        log = open(self.home / f"log{time.time_ns()}", "w+")
        self.addCleanup(log.close)
        process = subprocess.Popen(as_server_user(self.program(words), "KILL"), cwd=self.home,
                                   env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        deadline = time.monotonic() + seconds
        while ready not in pathlib.Path(log.name).read_text():
            self.assertIsNone(process.poll(), pathlib.Path(log.name).read_text())
            self.assertLess(time.monotonic(), deadline, pathlib.Path(log.name).read_text())
            time.sleep(0.05)
        return process

    def stop(self, process):
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(SECONDS_MAX), 0)

    def settle(self):
        """Until no table waits for a copy."""
        deadline = time.monotonic() + SECONDS_MAX
        while re.search(r"\b(waiting|copying|paused)\b", self.run_words(["table", "list", "orders.yaml"], (0, 1))):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)

    def perform(self, words):
        kind = " ".join(words[:2]) if words[0] in GROUPS else words[0]
        if kind in ("tail", "top"):
            if kind == "tail":
                self.stop(self.start(words, "^C ends"))
            else:
                self.run_words(words)
            return
        if kind == "table add":
            self.sql(f"CREATE TABLE IF NOT EXISTS {words[2]} (id integer PRIMARY KEY)")
        if kind == "table resume":
            self.run_words(["table", "pause", *words[2:]])
        if kind == "resume":
            self.run_words(["pause", *words[1:]])
        if kind == "sink attach":
            self.run_words(["sink", "detach", *words[2:]])
        self.run_words(words, said=NOTHING_TO_DO.get(kind) or NOTHING_TO_DO.get(words[0]))
        if kind == "table pause":
            self.run_words(["table", "resume", *words[2:]])
        if kind == "sink detach":
            self.run_words(["sink", "attach", *words[2:]])
            self.settle()
        if kind == "pause":
            self.run_words(["resume", *words[1:]])
        if words[0] == "table" and kind != "table list":
            self.settle()

    def test_each(self):
        commands = written()
        self.assertGreater(len(commands), 60, "what a command looks like has changed")
        ours = {}
        for command, page in commands.items():
            words = self.ours(command)
            if words is not None:
                ours.setdefault(tuple(words), (page, command))
        late = ("files", "support", "init", "run", "adopt", "teardown")
        follows = self.start(["run", "orders.yaml"], "values in binary")
        self.settle()
        for words, (page, command) in ours.items():
            if words[0] not in late:
                with self.subTest(page=page, command=command):
                    self.perform(list(words))
        self.settle()
        self.stop(follows)
        for words, (page, command) in sorted(ours.items(), key=lambda item: late.index(item[0][0])
                                             if item[0][0] in late else -1):
            if words[0] in late:
                with self.subTest(page=page, command=command):
                    self.last(list(words))
        print(f"{len(ours)} commands", end=" ... ", flush=True)

    @staticmethod
    def source(words):
        """What a teardown is of, for a run."""
        return [*words[1:3], "--sink", "null:"] if "--source" in words else ["orders.yaml"]

    def last(self, words):
        """Those that are for a pipeline that does not run."""
        if words[0] == "run":
            if "--until" in words or "--help" in words:
                self.run_words(words)
            else:
                self.stop(self.start(words, "values in binary"))
        elif words[0] == "teardown":
            for folder in self.home.glob("orders*/"):
                shutil.rmtree(folder)  # of the slot that the last one removed
            self.run_words(["run", *self.source(words), "--until", "now"])
            self.run_words(words + ([] if {"--dry-run", "--help"} & set(words) else ["--yes"]))
        elif words[0] == "init" and "-o" not in words:
            self.run_words([*words, "-o", f"made{time.time_ns()}.yaml"])
        else:
            self.run_words(words)


if __name__ == "__main__":
    check.main()
