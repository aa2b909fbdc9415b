#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Run the tests of several builds as one ctest run: `./dev test` calls this after building.

ctest knows one build directory. This collects what each build registered (`ctest --show-only`), puts
the build's name before each test's name, writes one CTestTestfile.cmake into build/test, and runs it.
At the end it lists what was skipped and why, and repeats ctest's summary. Arguments go to ctest, but
--all, which adds what runs every night: the versions of PostgreSQL between the oldest and the newest,
mutants that few seeds see, under ASan kills at every moment and what is long, and Kafka under both
sanitizers.
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
MERGED = ROOT / "build" / "test"

# Soak tests run for hours and are started by hand.
ALL = "--all" in sys.argv[1:]
ARGUMENTS = [word for word in sys.argv[1:] if word != "--all"]
LEFT_OUT = "^soak$" if ALL else "^(soak|nightly)$"
# Build and the selection of its tests. Under TSan runs what has threads; a parser or
# the simulator, which has one, gains nothing there.
BUILDS = [
    ("dev", []),
    ("asan", []),
    ("tsan", ["-L", "^(unit|stress|threads)$"]),
]
ENVIRONMENT = {
    "dev": [],
    "asan": ["ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
             "UBSAN_OPTIONS=print_stacktrace=1"],
    "tsan": [f"TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions={ROOT}/tests/tsan.supp"],
}
# Names that tests of one build use for each other; they must not meet those of another build.
OWN_NAMES = {"DEPENDS", "FIXTURES_REQUIRED", "FIXTURES_SETUP", "FIXTURES_CLEANUP"}
TEST_SECONDS_MAX = 600
# Tests of servers wait for most of their time: so many of them for each processor. Those that compute take two places.
PLACES = 3
BUSY = re.compile(r"^it\.(copy_and_stream|oracle|memory|extremes|demo|kill)\b")
OUTPUT_BYTES_MAX = 1 << 20
SERVERS_BYTES_MAX = 8 << 30


def wrapper(build):
    """ASan and TSan of gcc 12 now and then find a library where their shadow memory must lie, and crash
    at start, when the kernel randomises more than 28 bits of an address. The wish to have none is
    inherited, also by the narwal that a test starts."""
    if build == "dev":
        return []
    works = subprocess.run(["setarch", "-R", "true"], stderr=subprocess.DEVNULL).returncode == 0
    return ["setarch", "-R"] if works else []


def quoted(text):
    return f"[==[{text}]==]"


def property_text(build, name, value):
    values = value if isinstance(value, list) else [value]
    if name in OWN_NAMES:
        values = [f"{build}.{item}" for item in values]
    if name == "ENVIRONMENT":
        values = ENVIRONMENT[build] + values
    return f"{name} {quoted(';'.join(str(item) for item in values))}"


def test_text(build, test):
    name = quoted(f"{build}.{test['name']}")
    properties = {item["name"]: item["value"] for item in test["properties"]}
    properties.setdefault("ENVIRONMENT", [])
    if "it" not in properties.get("LABELS", []) or BUSY.match(test["name"]):
        properties.setdefault("PROCESSORS", 2)
    if not properties["ENVIRONMENT"] and not ENVIRONMENT[build]:
        del properties["ENVIRONMENT"]
    command = " ".join(quoted(word) for word in wrapper(build) + test["command"])
    rest = " ".join(property_text(build, *item) for item in properties.items())
    return f"add_test({name} {command})\nset_tests_properties({name} PROPERTIES {rest})\n"


def collect():
    texts = []
    for build, selection in BUILDS:
        shown = subprocess.run(
            ["ctest", "--test-dir", str(ROOT / "build" / build), "--show-only=json-v1", *selection,
             "-LE", LEFT_OUT],
            check=True, stdout=subprocess.PIPE).stdout
        for test in json.loads(shown)["tests"]:
            if "command" not in test:
                sys.exit(f"run.py: {build}: {test['name']} was not built")
            texts.append(test_text(build, test))
    MERGED.mkdir(parents=True, exist_ok=True)
    (MERGED / "CTestTestfile.cmake").write_text("".join(texts))


@contextlib.contextmanager
def memory_folder():
    """Where the servers' data may lie in memory, if there is plenty: the environment that says so.
    narwal's own files stay on the disk."""
    parent = pathlib.Path("/dev/shm")
    available = 0
    if parent.is_dir():
        meminfo = dict(line.split(":") for line in open("/proc/meminfo"))
        available = min(int(meminfo["MemAvailable"].split()[0]) << 10, shutil.disk_usage(parent).free)
    if available < SERVERS_BYTES_MAX:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="narwal-", dir=parent, ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o711)
        yield {"NARWAL_MEMORY_FOLDER": folder}


def run_ctest(report):
    """Run ctest, pass its output on, and return its exit status and its summary lines."""
    jobs = PLACES * os.cpu_count()
    command = ["ctest", "--test-dir", str(MERGED), "-j", str(jobs), "--output-on-failure",
               "--no-tests=error", "--timeout", str(TEST_SECONDS_MAX),
               "--test-output-size-passed", str(OUTPUT_BYTES_MAX),
               "--output-junit", str(report), *ARGUMENTS]
    summary = []
    with memory_folder() as environment, subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, errors="replace",
            env={**os.environ, **environment}) as ctest:
        for line in ctest.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            if "tests passed," in line or line.startswith("Total Test time"):
                summary.append(line)
    return ctest.returncode, summary


def skips(report):
    """Yield (test, reason): whole tests that ended with 77, and cmocka's skipped cases."""
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        name = case.get("name")
        lines = [line for line in (case.findtext("system-out") or "").splitlines() if line.strip()]
        if case.find("skipped") is not None:
            yield name, lines[-1] if lines else "no reason given"
            continue
        for index, line in enumerate(lines):
            if line.startswith("[  SKIPPED ] ") and not line.endswith("test(s), listed below:"):
                reason = lines[index - 1] if index > 0 else ""
                if not reason.startswith("["):
                    yield f"{name}: {line.split('] ')[1]}", reason
                elif reason.startswith("[ RUN "):
                    yield f"{name}: {line.split('] ')[1]}", "no reason given"


def main():
    collect()
    report = MERGED / "junit.xml"
    report.unlink(missing_ok=True)
    status, summary = run_ctest(report)
    skipped = list(skips(report)) if report.exists() else []
    print(f"\nSkipped: {len(skipped) or 'nothing'}")
    for name, reason in skipped:
        print(f"    {name}: {reason}")
    print()
    print("".join(summary), end="")
    return status


if __name__ == "__main__":
    sys.exit(main())
