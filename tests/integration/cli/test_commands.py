#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Commands, their help, their exit codes, and that no secret is printed; tail on a real server."""
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time

import support
from support import check, narwal, run

COMMANDS = ("run", "check", "plan", "status", "teardown", "tail", "topology", "sink-check", "files", "explain",
            "version", "copy", "wait", "reload", "pause", "resume", "table", "ddl-trigger", "adopt")
CANARY = "canary-4711"


class Words(check.unittest.TestCase):
    def test_every_command_is_listed_and_explains_itself(self):
        listed = run("--help")
        self.assertEqual(listed.code, 0)
        for command in COMMANDS:
            with self.subTest(command):
                self.assertIn(f"  {command} ", listed.out)
                result = run(command, "--help")
                self.assertEqual(result.code, 0, result)
                self.assertIn(f"usage: narwal {command}", result.out)

    def test_wrong_calls_end_with_2_and_say_what_was_meant(self):
        for words, text in (
                ((), "usage: narwal COMMAND"),
                (("chekc",), 'unknown command "chekc"; did you mean "check"?'),
                (("frobnicate",), 'unknown command "frobnicate"; narwal --help lists them'),
                (("check", "--sourse", "x"), "unknown option --sourse; did you mean --source?"),
                (("check", "--source"), "--source needs a value"),
                (("check",), "name a configuration file, or --source DSN"),
                (("check", "a.yaml", "b.yaml"), '"b.yaml" is one argument too many'),
                (("run",), "name a configuration file, or --source DSN"),
                (("tail",), "of which database?"),
                (("tail", "dbname=x", "--count", "none"), "--count none is no number"),
                (("status",), "of which narwal?"),
                (("check", "/nonexistent.yaml"), "cannot read the configuration /nonexistent.yaml")):
            with self.subTest(words):
                result = run(*words)
                self.assertEqual(result.code, 2, result)
                self.assertIn(text, result.err)

    def test_explain_says_what_codes_mean(self):
        listed = run("explain")
        codes = re.findall(r"^  (NW\d{4}) ", listed.out, re.M)
        self.assertGreater(len(codes), 100)
        self.assertEqual(codes, sorted(set(codes)))
        whole = run("explain", "--all").out
        self.assertEqual(re.findall(r"^(NW\d{4}) ", whole, re.M), codes)
        for code in (codes[0], codes[-1], codes[0].lower(), codes[-1][2:]):
            with self.subTest(code):
                result = run("explain", code)
                self.assertEqual(result.code, 0, result)
                self.assertIn(result.out, whole)
                self.assertRegex(result.out, r"^NW\d{4} .*\n\nCause\. (?s:.*)\nDanger\. (?s:.*)\nMend\. ")
                self.assertNotIn("**", result.out)
                self.assertFalse(result.out.endswith("\n\n"))
        for code, text in (("nonsense", "is no code"), ("23071", "is no code"), ("9999", "Near it are")):
            with self.subTest(code):
                result = run("explain", code)
                self.assertEqual((result.code, result.out), (1, ""), result)
                self.assertIn(text, result.err)

    def test_a_terminal_is_told_where_more_is_said(self):
        with tempfile.TemporaryDirectory() as folder:
            words = [str(narwal.build() / "narwal"), "status", "--state-dir", folder]
            shown = subprocess.run(["script", "-qec", " ".join(words), "/dev/null"], text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            piped = run("status", "--state-dir", folder)
        self.assertRegex(shown.stdout, r"narwal: NW1502 .*\s+narwal explain NW1502 says more\s*$")
        self.assertIn("NW1502", piped.err)
        self.assertNotIn("explain", piped.err)
        self.assertNotIn("says more", run("frobnicate").err)

    def test_what_keeps_a_run_from_starting_has_a_code(self):
        """Without a server: each ends before one is asked."""
        with tempfile.TemporaryDirectory() as folder, socket.socket() as taken:
            home = pathlib.Path(folder)
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            newer, locked, foreign = home / "newer", home / "locked", home / "foreign"
            for made in (newer, locked, foreign):
                made.mkdir(mode=0o700)
            with sqlite3.connect(newer / "state.db") as db:
                db.execute("PRAGMA user_version = 99")
            db.close()
            lock = (locked / "lock").open("w")
            fcntl.flock(lock, fcntl.LOCK_EX)
            for code, more in (
                    ("NW2002", {"state_dir": "/dev/null/state"}), ("NW2003", {"state_dir": str(newer)}),
                    ("NW2001", {"state_dir": str(locked)}), ("NW2008", {"state_dir": str(home / ("x" * 110))}),
                    ("NW2012", {"http": {"listen": f"127.0.0.1:{taken.getsockname()[1]}"}}),
                    ("NW1010", {"transforms": [{"tables": ["a.b"], "mask": "sha256"}]}),
                    ("NW1013", {"source": {"dsn": "dbname=x", "slot": {"name": "x" * 70}}}),
                    ("NW1012", {"source": {"dsn": "host=h nonsense=1"}})):
                with self.subTest(code):
                    file = home / f"{code}.yaml"
                    file.write_text(json.dumps({
                        "state_dir": str(home / f"state-{code}"), "source": {"dsn": "host=127.0.0.1 port=1 dbname=x"},
                        "sinks": [{"type": "file", "path": str(home / "out")}], **more}))
                    result = run("run", file)
                    self.assertNotEqual(result.code, 0, result)
                    self.assertRegex(result.err, rf'("code":"{code}"|: {code} )')
            lock.close()

    def test_a_narwal_that_answers_nonsense(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as other:
            other.bind(str(pathlib.Path(folder, "control.sock")))
            other.listen()

            def answer():
                for _ in range(2):
                    asked, _ = other.accept()
                    asked.recv(100)
                    asked.sendall(b"nonsense\n")
                    asked.close()
            thread = threading.Thread(target=answer)
            thread.start()
            for words in (("status",), ("table", "pause", "a.b")):
                result = run(*words, "--state-dir", folder)
                self.assertEqual(result.code, 1, result)
                self.assertIn("NW1503", result.err)
            thread.join()

    def test_version_names_the_libraries(self):
        result = run("version")
        self.assertEqual(result.code, 0)
        for name in ("narwal", "libpq", "liburing", "hwloc"):
            self.assertIn(name, result.out)

    def test_status_of_nothing_fails(self):
        with tempfile.TemporaryDirectory() as folder:
            result = run("status", "--state-dir", folder)
        self.assertEqual(result.code, 1)
        self.assertNotEqual(result.err, "")

    def test_verifying_what_is_no_folder_of_a_sink_says_what_it_is(self):
        with tempfile.TemporaryDirectory() as folder:
            def refusal(path):
                result = run("files", "verify", path)
                self.assertEqual(result.code, 1, result)
                return result.err

            home = pathlib.Path(folder)
            self.assertRegex(refusal(home / "none"), "NW2606 .*wanted is the folder that a file sink writes")
            self.assertIn("and this one is empty", refusal(home))
            for name in "abcdef":
                (home / name).mkdir()
            self.assertRegex(refusal(home), r"would have _journal in it, and this one has "
                                            r"(\w, ){5}\.\.\.")
            (home / "_journal").mkdir()
            self.assertIn(f"narwal files verify {home}/a/..", refusal(home / "a"))

    def test_the_configuration_in_force(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "shop.yaml")
            file.write_text(f"source: {{dsn: 'postgresql://u:{CANARY}%40@h/db', password: {CANARY}}}\n"
                            f"state_dir: {folder}/s\nsinks: [{{type: file, path: /x}}]\n")
            result = run("check", file, "--config")
            self.assertEqual(result.code, 0, result)
            self.assertNotIn(CANARY, result.out + result.err)
            self.assertIn(f"{file}:1:15: NW1007 a password is written out in dsn", result.err)
            for line in (r"name: shop +# default", r"  dsn: 'user=u password=\*\*\* .*'",
                         r"  password: '\*\*\*'", r"    path: /x", r"    compress: none +# default",
                         rf"  spill_dir: {folder}/s/spill +# default"):
                self.assertRegex(result.out, rf"(?m)^{line}$")
            again = pathlib.Path(folder, "again.yaml")
            again.write_text(result.out)
            self.assertEqual(re.sub(" +# default", "", run("check", again, "--config").out),
                             re.sub(" +# default", "", result.out))
            self.assertFalse(pathlib.Path(folder, "s").exists())

    def test_all_mistakes_are_said_at_once(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "a.yaml")
            file.write_text("source: {dsn: x, messages: maybe}\nsinks: [{type: file, path: /x, "
                            "compres: zstd}]\nlimits: {memory: 2}\n")
            for command in ("check", "run"):
                result = run(command, file)
                self.assertEqual(result.code, 2, result)
                self.assertEqual([line.split(": ")[1].removeprefix(str(file))
                                  for line in result.err.splitlines()],
                                 [":1:28", ":2:32", ":3:18"], result)
            file.write_text("source: {dsn: x}\nsinks:\n- {type: file, compres: zstd, rotate: 1}\n")
            result = run("run", file)
            self.assertEqual(result.code, 2, result)
            for text in ("compres", "rotate", "path is missing"):
                self.assertIn(text, result.err)

    def test_sink_check_says_how_the_plugin_gets_what_it_requires(self):
        result = run("sink-check", narwal.build() / "plugins" / "file.so")
        self.assertEqual(result.code, 1, result)
        self.assertIn("file.so VALUE", result.err)

    def test_a_start_that_fails_leaves_no_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            state = pathlib.Path(folder, "a/b/state")
            result = run("run", "--source", "dbname=x", "--sink", "file", "--state-dir", state)
            self.assertEqual(result.code, 2, result)
            self.assertRegex(result.err, "NW1008 .*sink file has no path: write file:PATH")
            result = run("run", "--source", "hots=x", "--sink", "null:", "--state-dir", state)
            self.assertEqual(result.code, 1, result)
            self.assertEqual(list(pathlib.Path(folder).iterdir()), [])
            state.parent.mkdir(parents=True)
            run("run", "--source", "hots=x", "--sink", "null:", "--state-dir", state)
            self.assertEqual(list(state.parent.iterdir()), [])

    def test_no_secret_is_printed_by_any_refusal(self):
        with tempfile.TemporaryDirectory() as folder:
            secret = pathlib.Path(folder, "secret")
            secret.write_text(CANARY + "\n")
            secret.chmod(0o600)
            file = pathlib.Path(folder, "a.yaml")
            for dsn, more in ((f"host=127.0.0.1 port=1 password={CANARY}", ""),
                              (f"postgresql://u:{CANARY}@127.0.0.1:1/db", ""),
                              (f"host=127.0.0.1 port=1 pasword={CANARY}", ""),
                              ("host=127.0.0.1 port=1", f"  password: {CANARY}\n"),
                              ("host=127.0.0.1 port=1", f"  password: ${{file:{secret}}}\n"),
                              ("host=127.0.0.1 port=${env:NW_CANARY}", "")):
                with self.subTest(dsn=dsn, more=more):
                    file.write_text(f"source:\n  dsn: \"{dsn}\"\n{more}sinks: [{{type: 'null'}}]\n")
                    result = run("check", file, env={**os.environ, "NW_CANARY": CANARY})
                    self.assertEqual(result.code, 1, result)
                    self.assertNotIn(CANARY, result.out + result.err)


class Documents(check.unittest.TestCase):
    def test_the_reference_page_is_what_the_program_writes(self):
        result = run("document")
        self.assertEqual(result.code, 0, result)
        self.assertEqual((narwal.ROOT / "docs/configuration.md").read_text(), result.out,
                         "write it anew: narwal document > docs/configuration.md")

    def test_the_manual_pages_have_every_command_and_key(self):
        page = run("document", "man").out
        for command in COMMANDS:
            self.assertIn(f".Ss narwal {command}\n", page)
            for option in re.findall(r"(?m)^  (--[\w-]+)", run(command, "--help").out):
                self.assertIn(option.replace("-", "\\-"), page)
        page = run("document", "man5").out
        for key in re.findall(r"(?m)^\| `(\w+)` ", (narwal.ROOT / "docs/configuration.md").read_text()):
            self.assertIn(f'.It "{key}"\n', page)
        if shutil.which("mandoc") is None:
            return
        for name in ("man", "man5"):
            lint = subprocess.run(["mandoc", "-Tlint", "-Wall"], input=run("document", name).out,
                                  text=True, stdout=subprocess.PIPE).stdout
            # Whether other pages are installed here does not matter.
            self.assertEqual([line for line in lint.splitlines() if "manual not found" not in line], [])

    def complete(self, *words):
        script = run("document", "bash").out + (
            "COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _narwal; echo \"${COMPREPLY[@]}\"")
        return subprocess.run(["bash", "-c", script, "bash", "narwal", *words], text=True, check=True,
                              stdout=subprocess.PIPE).stdout.split()

    def test_bash_completes_commands_words_options_and_files(self):
        self.assertEqual(self.complete("ta"), ["table", "tail", "take-over"])
        self.assertEqual(self.complete("table", "re"), ["refresh", "repair", "resume"])
        self.assertEqual(self.complete("table", "list", "--st"), ["--state-dir", "--state"])
        self.assertEqual(self.complete("run", "--q"), ["--quiet"])
        for command in COMMANDS:
            self.assertIn(command, self.complete(""))
            options = set(re.findall(r"(?m)^  (--[\w-]+)", run(command, "--help").out))
            self.assertLessEqual(options, set(self.complete(command, "--")), command)
        with tempfile.TemporaryDirectory() as folder:
            for name in ("a.yaml", "b.txt"):
                pathlib.Path(folder, name).touch()
            self.assertEqual(self.complete("run", folder + "/"), [f"{folder}/a.yaml"])
            self.assertEqual(self.complete("run", "--state-dir", folder), [folder])

    def test_every_metric_is_documented(self):
        result = run("document", "metrics")
        self.assertEqual(result.code, 0, result)
        self.assertIn(result.out, (narwal.ROOT / "docs/monitoring.md").read_text(),
                      "put there what narwal document metrics prints")


class Tail(check.Case):
    def setUp(self):
        self.server = self.cluster()
        self.server.sql("CREATE TABLE keyed (id int PRIMARY KEY, v text)")
        self.server.sql("CREATE TABLE keyless (v text)")

    def start(self, *words):
        return subprocess.Popen([str(narwal.build() / "narwal"), "tail", self.server.dsn(), *words],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def wait_streaming(self):
        for _ in range(200):
            if self.server.value("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"):
                return
            time.sleep(0.05)
        self.fail("tail does not stream")

    def left(self):
        return self.server.value("SELECT (SELECT count(*) FROM pg_publication) + "
                                 "(SELECT count(*) FROM pg_replication_slots)")

    def test_changes_are_printed_and_nothing_is_left(self):
        process = self.start("--count", "7")
        self.wait_streaming()
        self.server.sql("INSERT INTO keyed VALUES (1, E'a\\nb'), (2, NULL)")
        self.server.sql("UPDATE keyed SET id = 3 WHERE id = 1")
        self.server.sql("DELETE FROM keyed WHERE id = 2")
        self.server.sql("INSERT INTO keyless VALUES (E'\\x1b[31m')")
        self.server.sql("UPDATE keyless SET v = 'fine'")  # the application's statement still works
        self.server.sql("SELECT pg_logical_emit_message(true, 'p', 'hello')")
        self.server.sql("TRUNCATE keyed, keyless")
        out = process.communicate(timeout=30)[0]
        self.assertEqual(process.returncode, 0)
        lines = [line for line in out.splitlines() if line.split()[0] not in ("BEGIN", "COMMIT")]
        self.assertEqual(lines[:6], [
            "INSERT   public.keyed  id=1 v=a\\nb",
            "INSERT   public.keyed  id=2 v=NULL",
            "UPDATE   public.keyed  id=1  -> id=3 v=a\\nb",
            "DELETE   public.keyed  id=2",
            "INSERT   public.keyless  v=\\x1b[31m",
            "MESSAGE  p: hello"])
        self.assertRegex(lines[6], r"^TRUNCATE public\.key\w+, public\.key\w+$")
        self.assertEqual(self.left(), 0)

    def test_table_selects_and_a_signal_ends_it(self):
        process = self.start("--table", "keyed")
        self.wait_streaming()
        self.server.sql("INSERT INTO keyless VALUES ('unseen')")
        self.server.sql("INSERT INTO keyed VALUES (1, 'seen')")
        for line in process.stdout:
            if line.startswith("COMMIT"):
                break
            self.assertNotIn("unseen", line)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0)
        self.assertEqual(self.left(), 0)

    def test_what_a_kill_leaves_the_next_tail_removes(self):
        process = self.start()
        self.wait_streaming()
        process.kill()
        process.communicate()
        for _ in range(200):
            if self.server.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = "
                                 "'narwal tail'") == 0:
                break
            time.sleep(0.05)
        self.assertEqual(self.server.value("SELECT count(*) FROM pg_publication"), 2)
        self.assertEqual(run("tail", self.server.dsn(), "--table", "none").code, 1)
        self.assertEqual(self.left(), 0)


if __name__ == "__main__":
    check.main()
