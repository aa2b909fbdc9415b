#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Check that what a user reads begins with a code, and that every code means one thing.

    codes.py DIR          check the tree at DIR; what is wrong is one line each, exit status 1
    codes.py DIR --table  each code, and the tests that provoke it
    codes.py --self-test  check that wrong texts are found and right ones are not

A code is NW and four digits. The rules:
  - the texts of nw_fail(), nw_complain(), nw_log() at WARN and ERROR, and of stops begin with one, or
    stand behind FILE:LINE:COLUMN:, or take that of another error: "%.6s ...", nw_error_code(err);
  - no code is needed where only memory was refused ("out of memory ..." and NW2901 is said of it),
    for malformed bytes (NW_CORRUPT, NW2902), where the text of an error is passed on ("%s"), and
    in what INNER names, which another text with a code always has inside;
  - docs/runbook.md has one section for each code of the sources, and no other: title, cause, danger,
    mend. No code has two sections, no title two codes;
  - a code is in files of one folder, or SHARED says why the situation is met in several;
  - each code is in a test that provokes it, or unprovoked.txt says why in none.
"""
import pathlib
import re
import sys

CODE = re.compile(r"NW\d{4}(?!\d)")
TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'|[A-Za-z_]\w*|\d[\w.]*|\s+|.', re.S)
PASSED_ON = re.compile(r"%(\.\d+|\.\*)?s($|[;.:] |\\\\n|%)")
LED = re.compile(r"(%s:%zu:(%zu|1): |%s:%u:%u: |%s:1:1: )?NW\d{4} ")
TAKEN = re.compile(r"nw_code_or|nw_error_code")

# Calls whose text a user reads: the argument that is the text.
TEXT_OF = {"nw_fail": 2, "nw_complain": 0, "nw_log": 1, "log": 2, "nw_dealer_stop": 2,
           "nw_run_table_trouble": 3, "nw_dealer_give_up": 2, "nw_run_backlogs_give_up": 1,
           "nw_preflight_add": 3, "refuse": 1, "gone_end": 2, "snprintf": 2}

# Texts that need none, and why.
EXEMPT = {
    "%s\\nnarwal ddl-trigger %s --sql prints the statements for a superuser": "passed on",
    "it is not followed any more, as narwal %s asked; sinks keep what they have of it, and "
    "narwal table add brings it back with a copy": "as asked",
    "it is copied, as narwal %s asked; sinks keep what they have of it until then": "as asked",
    "and %u more": "behind lines with their codes",
    "%s": "the text of another error, or \"\"",
}

# Codes of one situation that is met in several folders.
SHARED = set("""
NW1003 NW1005 NW1007 NW1008 NW1013 NW1014 NW1119 NW1203 NW1209 NW1214 NW1220 NW1225 NW1226 NW1318 NW1501 NW1502 NW1503 NW1504
NW1505 NW1508 NW1542 NW1552 NW1510 NW1513 NW2001 NW2002 NW2004 NW2005 NW2006 NW2101 NW2106 NW2308 NW2327 NW2328 NW2350 NW2372 NW2405
NW2406 NW2408 NW2419 NW2420 NW2501 NW2505 NW2509 NW2510 NW2511 NW2514 NW2515 NW2606 NW2701 NW2702 NW2703 NW2705 NW2708 NW2722 NW2901 NW2902 NW2903
""".split())
EXAMPLES = ("core/cli/cmd_explain.c", "core/cli/commands.c")

RUNBOOK = "docs/runbook.md"
UNPROVOKED = "tests/codes/unprovoked.txt"
NOT_PROVOKING = ("tests/unit/test_code.c", "tests/unit/test_log.c")  # any code would do there

# Texts that another text with a code always has inside: a file, and why.
INNER = {
    "core/config/where.c": "NW1010 has it inside, with the rule's place",
    "core/config/policies.c": "NW1003 has it inside, with the key's place",
    "core/config/tree.c": "nw_tree_fail() puts place and code before it",
    "core/io/env_fault.c": "only in tests",
    "core/io/env_model.c": "only in tests",
    "core/source/notes.c": "NW2113 has it inside",
    "core/sink/check.c": "narwal sink-check prints a verdict of its own",
    "core/verify/canonical.c": "out of memory, with the column",
}


def tokens(text):
    line = 1
    for match in TOKEN.finditer(text):
        token = match.group()
        if not token.isspace() and not token.startswith(("/*", "//")):
            yield line, token
        line += token.count("\n")


def calls(text, names):
    """Yield (line, name, [arguments as lists of tokens]); literals that follow each other are one."""
    every = list(tokens(text))
    for at, (line, name) in enumerate(every):
        if name not in names or at + 1 == len(every) or every[at + 1][1] != "(":
            continue
        depth, arguments = 0, [[]]
        for _, token in every[at + 1:]:
            depth += (token in "([{") - (token in ")]}")
            if depth == 0:
                break
            if depth == 1 and token == ",":
                arguments.append([])
            elif not (depth == 1 and token == "(" and not arguments[0] and len(arguments) == 1):
                last = arguments[-1]
                if token[0] == '"' and last and last[-1][0] == '"':
                    last[-1] = last[-1][:-1] + token[1:]
                else:
                    last.append(token)
        yield line, name, arguments


def is_quiet(name, arguments):
    """Whether nobody has to act on it, or its text is made elsewhere."""
    flat = [token for argument in arguments for token in argument]
    if name in ("nw_log", "log"):
        return "NW_LOG_INFO" in flat or "NW_LOG_DEBUG" in flat
    if name == "snprintf":
        return "reason" not in arguments[0]
    if name == "nw_run_table_trouble":
        return "NW_TABLE_WAITING" in flat or "NW_TABLE_LEFT_OUT" in flat
    return "NW_CORRUPT" in flat


def literals(argument):
    """The texts that it can be: one, or those of condition ? "one" : "other"."""
    for before, token in zip(["?"] + argument, argument):
        if token[0] == '"' and before in "?:":
            yield token[1:-1]


def texts_of(path, text):
    """Yield (line, text, whether it has a code) of what a user may read."""
    for line, name, arguments in calls(text, TEXT_OF):
        at = TEXT_OF[name]
        if len(arguments) <= at or (name == "log" and "->" not in text) or is_quiet(name, arguments):
            continue
        rest = " ".join(token for argument in arguments[at + 1:] for token in argument)
        for literal in literals(arguments[at]):
            good = (LED.match(literal) or literal.startswith(("out of memory", "no memory")) or
                    PASSED_ON.match(literal) or (literal.startswith("%.6s ") and TAKEN.search(rest)) or
                    literal in EXEMPT or
                    (path, literal) == ("core/sink/host.c", "sink %s: %s") or name == "nw_preflight_add")
            yield line, literal, bool(good)


def sources(root):
    for folder in ("core", "sinks", "tools"):
        for path in sorted(root.glob(f"{folder}/**/*.c")):
            yield path.relative_to(root).as_posix(), path.read_text(errors="replace")


def check_texts(root):
    for path, text in sources(root):
        if path in INNER:
            continue
        for line, literal, good in texts_of(path, text):
            if not good:
                yield f"{path}:{line}: no code: \"{literal[:70]}\""


def codes_of_sources(root):
    """{code: {files}}; comments and what explain shows as an example do not count."""
    found = {}
    for path, text in sources(root):
        for _, token in tokens(text):
            for code in CODE.findall(token) if token[0] == '"' and path not in EXAMPLES else []:
                found.setdefault(code, set()).add(path)
    return found


def stage_of(path):
    """The folder of a file; of the core's the stage's, which may have folders of its own."""
    return path.rsplit("/", 1)[0] if not path.startswith("core/") else "/".join(path.split("/")[:2])


def check_shared(found):
    for code, paths in sorted(found.items()):
        folders = {stage_of(path) for path in paths}
        if len(folders) > 1 and code not in SHARED:
            yield f"{code} is in {' and '.join(sorted(folders))}: one situation? Then SHARED in codes.py names it"
    for code in sorted(SHARED):
        if len({path.rsplit("/", 1)[0] for path in found.get(code, [])}) < 2:
            yield f"{code} is in SHARED and not in several folders"


def sections_of(root):
    """Yield (code, title, text) of the runbook, in its order."""
    text = (root / RUNBOOK).read_text()
    for part in re.split(r"(?m)^(?=#{1,3} )", text):
        match = re.match(r"### (\S+) (.*)\n", part)
        if match:
            yield match.group(1), match.group(2), part[match.end():]


def check_runbook(root, found):
    sections = list(sections_of(root))
    codes = [code for code, _, _ in sections]
    titles = [title for _, title, _ in sections]
    for code in sorted(set(found) - set(codes)):
        yield f"{RUNBOOK}: no section for {code} of {', '.join(sorted(found[code]))}"
    for code in sorted(set(codes) - set(found)):
        yield f"{RUNBOOK}: {code} is in no source"
    for code in sorted({code for code in codes if codes.count(code) > 1}):
        yield f"{RUNBOOK}: {code} has two sections"
    for title in sorted({title for title in titles if titles.count(title) > 1}):
        yield f"{RUNBOOK}: two codes have the title \"{title}\""
    for before, code in zip(codes, codes[1:]):
        if code < before:
            yield f"{RUNBOOK}: {code} stands behind {before}"
    for code, _, text in sections:
        if re.findall(r"(?m)^- \*\*(\w+)\.\*\*", text) != ["Cause", "Danger", "Mend"]:
            yield f"{RUNBOOK}: {code} needs Cause, Danger and Mend, in this order"
        for named in CODE.findall(text):
            if named not in codes:
                yield f"{RUNBOOK}: {code} names {named}, which has no section"


def tests_of(root):
    """{code: {tests that name it}}"""
    found = {}
    for path in sorted(root.glob("tests/**/*")):
        name = path.relative_to(root).as_posix()
        if path.suffix in (".py", ".c", ".h") and not name.startswith("tests/codes/") and name not in NOT_PROVOKING:
            for code in CODE.findall(path.read_text(errors="replace")):
                found.setdefault(code, set()).add(name)
    return found


def unprovoked_of(root):
    """{code: why no test provokes it}"""
    found = {}
    for line in (root / UNPROVOKED).read_text().splitlines():
        if line and not line.startswith("#"):
            code, _, why = line.partition(" ")
            found[code] = why.strip()
    return found


def check_tests(root, found):
    provoked, unprovoked = tests_of(root), unprovoked_of(root)
    for code in sorted(set(found) - set(provoked) - set(unprovoked)):
        yield f"{code}: no test provokes it; write one, or say in {UNPROVOKED} why there is none"
    for code in sorted(set(unprovoked) & set(provoked)):
        yield f"{UNPROVOKED}: {code} is provoked by {', '.join(sorted(provoked[code]))}"
    for code in sorted(set(unprovoked) - set(found)):
        yield f"{UNPROVOKED}: {code} is in no source"
    for code, why in sorted(unprovoked.items()):
        if not why:
            yield f"{UNPROVOKED}: {code}: say why"


def check(root):
    found = codes_of_sources(root)
    wrong = [*check_texts(root), *check_shared(found), *check_runbook(root, found), *check_tests(root, found)]
    for line in wrong:
        print(line)
    if not found:
        print(f"{root}: no codes found")
    print(f"{len(found)} codes, {len(set(found) & set(tests_of(root)))} provoked by a test; {len(wrong)} wrong")
    return 1 if wrong or not found else 0


def table(root):
    provoked, unprovoked = tests_of(root), unprovoked_of(root)
    for code, title, _ in sections_of(root):
        print(f"{code} {title}\n       {' '.join(sorted(provoked.get(code, []))) or 'none: ' + unprovoked.get(code, '?')}")
    return 0


# (line of a source, is it wrong?)
CASES = [
    ('nw_fail(err, NW_FATAL, "NW2301 slot %s is gone", name);', False),
    ('nw_fail(err, NW_FATAL, "slot %s is gone", name);', True),
    ('nw_fail(err, NW_FATAL, "the code is NW2301");', True),
    ('nw_fail(err, NW_FATAL, "%s:%u:%u: NW1003 no such thing", file, 1u, 2u);', False),
    ('nw_fail(err, NW_FATAL, "out of memory for %u rows", count);', False),
    ('nw_fail(err, NW_CORRUPT, "a row ends early");', False),
    ('nw_fail(err, why.status, "%s; start again", why.text);', False),
    ('nw_fail(err, NW_FATAL, broken ? "NW2301 a" : "b is gone");', True),
    ('nw_log(NW_LOG_WARN, "%.6s sink %s: %s", nw_error_code(&e), name, nw_code_rest(e.text));', False),
    ('nw_log(NW_LOG_WARN, "%.6s sink %s: %s", level, name, e.text);', True),
    ('nw_log(NW_LOG_WARN, "sink %s: %s", name, e.text);', True),
    ('nw_log(NW_LOG_INFO, "sink %s works again", name);', False),
    ('nw_log(NW_LOG_ERROR, "it has %" PRIu64 " bytes", size);', True),
    ('nw_complain("unknown option %s", text);', True),
    ('snprintf(stop.reason, sizeof stop.reason, "it was dropped");', True),
    ('snprintf(text, sizeof text, "it was dropped");', False),
    ('/* nw_complain("no") */', False),
]


def self_test():
    failures = 0
    for line, wrong in CASES:
        if any(not good for _, _, good in texts_of("core/a.c", line)) != wrong:
            print(f"{line} should {'' if wrong else 'not '}be found")
            failures += 1
    print(f"{len(CASES)} cases, {failures} failed")
    return 1 if failures else 0


def main():
    words = sys.argv[1:]
    if words == ["--self-test"]:
        return self_test()
    if not words or len(words) > 2 or (len(words) == 2 and words[1] != "--table"):
        print(__doc__)
        return 2
    return table(pathlib.Path(words[0])) if len(words) == 2 else check(pathlib.Path(words[0]))


if __name__ == "__main__":
    sys.exit(main())
