#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Build the sample sink out of tree against an installed narwal, and check it and narwal's own sinks.

    sample_check.py SAMPLE_DIR BUILD_DIR LIBDIR
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

LINES_MAX = 150


def run(*command, **more):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, **more).stdout


def sink_check_run(program, plugin, *options):
    done = subprocess.run([program, "sink-check", plugin, *options], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    verdicts = re.findall(r"^(ok|FAIL|skip)  ", done.stdout, re.M)
    print(f"-- {pathlib.Path(plugin).name}: {verdicts.count('ok')} ok, {verdicts.count('skip')} skipped, "
          f"{verdicts.count('FAIL')} failed")
    return done, verdicts


def sink_check(program, plugin, *options):
    done, verdicts = sink_check_run(program, plugin, *options)
    if done.returncode != 0 or verdicts.count("ok") < 10:
        sys.exit(f"{plugin} does not conform (exit code {done.returncode}):\n{done.stdout}")
    return done.stdout


def forgetful_check(sample, folder, program):
    """The sample, changed so that it forgets its position: it must not pass."""
    mutant = pathlib.Path(folder, "forgetful")
    shutil.copytree(sample, mutant)
    source = (mutant / "print_sink.c").read_text()
    changed = source.replace("recovery->positions_count = s->position.size > 0;",
                             "recovery->positions_count = 0;")
    if changed == source:
        sys.exit("the sample's recover() is not as this check knows it")
    (mutant / "print_sink.c").write_text(changed)
    run("cmake", "-S", mutant, "-B", mutant / "made", "-DCMAKE_BUILD_TYPE=Release")
    run("cmake", "--build", mutant / "made")
    done, _ = sink_check_run(program, mutant / "made" / "print.so", f"path={folder}/forgotten")
    if done.returncode != 1 or "FAIL  gives its position back: " not in done.stdout:
        sys.exit(f"a sink that forgets its position passes (exit code {done.returncode}):\n{done.stdout}")


def main():
    sample, build, libdir = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    lines = (sample / "print_sink.c").read_text().count("\n")
    if lines >= LINES_MAX:
        sys.exit(f"the sample sink has {lines} lines, and is to have fewer than {LINES_MAX}")
    with tempfile.TemporaryDirectory() as folder:
        prefix = pathlib.Path(folder, "prefix")
        run("cmake", "--install", build, "--prefix", prefix)
        os.environ["PKG_CONFIG_PATH"] = str(prefix / libdir / "pkgconfig")
        made = pathlib.Path(folder, "made")
        run("cmake", "-S", sample, "-B", made, "-DCMAKE_BUILD_TYPE=Release")
        run("cmake", "--build", made)
        program = prefix / "bin" / "narwal"
        output = sink_check(program, made / "print.so", f"path={folder}/position")
        if "narwal_check_first" not in output:
            sys.exit("the sample printed no rows")
        plugins = prefix / libdir / "narwal"
        output = sink_check(program, plugins / "null.so")
        if "skip  gives its position back: it stores nothing" not in output:
            sys.exit("null.so was asked for a position")
        forgetful_check(sample, folder, program)
        for compression in ("none", "gzip", "zstd"):
            sink_check(program, plugins / "file.so", f"path={folder}/files-{compression}",
                       f"compress={compression}")


if __name__ == "__main__":
    main()
