#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Check that every include points the right way.

    layers.py DIR         check the tree at DIR; a violation is one line each, exit status 1
    layers.py --self-test check that wrong trees are refused and a right one is not

The rules (DESIGN: layout):
  - a folder of core/ includes "folder/file.h" only from itself and from folders to its left in
    STAGES, and <narwal/...>;
  - a sink includes <narwal/...>, its own files, and "lib/..." (sinks/lib); sinks/lib only itself;
  - a tool (tools/) includes "folder/file.h" of core/, of sinks/lib, and of the sink whose name it has;
  - a public header includes no file of core/ or sinks/ at all, and of narwal only <narwal/...>.
"""
import pathlib
import re
import sys
import tempfile

STAGES = ("base ring io config pg txn source decode transform sink pipeline verify serve cli").split()
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
PUBLIC = re.compile(r"^narwal/[a-z_]+\.h$")


def includes_of(path):
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


def first_folder(name):
    return name.split("/")[0] if "/" in name else ""


def reason_core(stage, quote, name):
    folder = first_folder(name)
    if name.startswith("narwal/") or (quote == "<" and folder not in STAGES):
        return None
    if ".." in name.split("/"):
        return "has '..' in its path"
    if folder not in STAGES:
        return "is not in a folder of core/"
    if STAGES.index(folder) > STAGES.index(stage):
        return f"is in {folder}/, which is to the right of {stage}/"
    return None


def reason_sink(sink, quote, name, siblings):
    folder = first_folder(name)
    if PUBLIC.match(name) or (quote == '"' and folder in ("lib", sink)):
        return None
    if quote == '"':
        return None if name in siblings else "is neither <narwal/...> nor lib/ nor this sink's own"
    if folder in STAGES or folder == "lib" or folder == "core":
        return "is the host's, not the SDK's"
    return None


def reason_tool(tool, quote, name):
    folder = first_folder(name)
    if PUBLIC.match(name) or (quote == '"' and folder in (*STAGES, "lib", tool)):
        return None
    return "is neither core's, nor lib/, nor this tool's own" if quote == '"' or folder in STAGES else None


def reason_public(quote, name):
    folder = first_folder(name)
    if PUBLIC.match(name) and quote == "<":
        return None
    if quote == '"' or folder in STAGES or folder in ("core", "lib", "sinks"):
        return "does not belong in a public header"
    return None


def violations(root):
    """Yield (path, line, included name, reason)."""
    for path in sorted(root.glob("core/**/*.[ch]")):
        stage = path.relative_to(root / "core").parts[0]
        if stage not in STAGES:
            yield path, 1, stage, "is not a stage of core/"
            continue
        for line, quote, name in includes_of(path):
            reason = reason_core(stage, quote, name)
            if reason:
                yield path, line, name, reason
    for path in sorted(root.glob("sinks/**/*.[ch]")):
        sink = path.relative_to(root / "sinks").parts[0]
        siblings = {sibling.name for sibling in path.parent.glob("*.h")}
        for line, quote, name in includes_of(path):
            reason = reason_sink(sink, quote, name, siblings)
            if reason:
                yield path, line, name, reason
    for path in sorted(root.glob("tools/**/*.[ch]")):
        for line, quote, name in includes_of(path):
            reason = reason_tool(path.relative_to(root / "tools").parts[0], quote, name)
            if reason:
                yield path, line, name, reason
    for path in sorted(root.glob("include/**/*.h")):
        for line, quote, name in includes_of(path):
            reason = reason_public(quote, name)
            if reason:
                yield path, line, name, reason


def check(root):
    wrong = list(violations(root))
    for path, line, name, reason in wrong:
        print(f"{path.relative_to(root)}:{line}: {name} {reason}")
    files = sum(1 for folder in ("core", "sinks", "tools", "include") for _ in root.glob(f"{folder}/**/*.[ch]"))
    if files == 0:
        print(f"{root}: no C files found")
        return 1
    print(f"{files} files, {len(wrong)} includes that point the wrong way")
    return 1 if wrong else 0


# (path, include line, is it wrong?)
CASES = [
    ("core/decode/a.c", '#include "decode/a.h"', False),
    ("core/decode/a.c", '#include "base/cursor.h"', False),
    ("core/decode/a.c", "#include <narwal/batch.h>", False),
    ("core/decode/a.c", "#include <openssl/ssl.h>", False),
    ("core/decode/a.c", '#include "sink/worker.h"', True),
    ("core/base/a.h", '  #  include "ring/spsc.h"', True),
    ("core/base/a.h", "#include <ring/spsc.h>", True),
    ("core/base/a.h", '#include "../ring/spsc.h"', True),
    ("core/base/a.h", '#include "spsc.h"', True),
    ("core/newfolder/a.h", "", True),
    ("sinks/file/a.c", "#include <narwal/sink.h>", False),
    ("sinks/file/a.c", '#include "file/journal.h"', False),
    ("sinks/file/a.c", '#include "lib/json.h"', False),
    ("sinks/file/a.c", "#include <zstd.h>", False),
    ("sinks/file/a.c", '#include "base/cursor.h"', True),
    ("sinks/file/a.c", "#include <base/cursor.h>", True),
    ("sinks/file/a.c", '#include "null/null.h"', True),
    ("sinks/lib/a.c", '#include "lib/json.h"', False),
    ("sinks/lib/a.c", '#include "file/journal.h"', True),
    ("tools/kafka/a.c", '#include "cli/command.h"', False),
    ("tools/kafka/a.c", '#include "kafka/kafka.h"', False),
    ("tools/kafka/a.c", '#include "file/journal.h"', True),
    ("tools/kafka/a.c", "#include <cli/command.h>", True),
    ("include/narwal/a.h", "#include <narwal/status.h>", False),
    ("include/narwal/a.h", "#include <stdint.h>", False),
    ("include/narwal/a.h", '#include "base/cursor.h"', True),
    ("include/narwal/a.h", "#include <base/cursor.h>", True),
]


def self_test():
    failures = 0
    for path, line, wrong in CASES:
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, path)
            file.parent.mkdir(parents=True)
            file.write_text(f"/* text */\n{line}\n")
            if bool(list(violations(pathlib.Path(folder)))) != wrong:
                print(f"{path}: {line!r} should {'' if wrong else 'not '}be refused")
                failures += 1
    with tempfile.TemporaryDirectory() as folder:
        if check(pathlib.Path(folder)) == 0:
            print("an empty tree should be refused")
            failures += 1
    print(f"{len(CASES) + 1} cases, {failures} failed")
    return 1 if failures else 0


def main():
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    return self_test() if sys.argv[1] == "--self-test" else check(pathlib.Path(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
