#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The alert rules by promtool, and that rules, dashboard and documentation name what narwal has.

    check.py NARWAL     the built program, which says what metrics there are

That these are in a real answer of /metrics is for tests/integration/test_http.py.
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "servers"))
import servers  # noqa: E402
import tools  # noqa: E402

RULES = ROOT / "packaging" / "prometheus" / "narwal.rules.yml"
TESTS = ROOT / "packaging" / "prometheus" / "narwal.rules.test.yml"
BOARD = ROOT / "packaging" / "grafana" / "narwal.json"
NAME = re.compile(r"\b(?:narwal|process)_[a-z_]+\b")
SKIPPED = 77


def expressions():
    """(where, PromQL) of every rule and panel."""
    for number, line in enumerate(RULES.read_text().splitlines(), 1):
        if NAME.search(line) and not line.lstrip().startswith(("summary:", "description:")):
            yield f"{RULES.name}:{number}", line
    board = json.loads(BOARD.read_text())
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield f"{BOARD.name}: {panel['title']}", target["expr"]


def overlaps(panels):
    places = {}
    for panel in panels:
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                if places.setdefault((x, y), panel["title"]) != panel["title"] or x > 23:
                    yield panel["title"]


def main():
    wrong = []
    known = set(re.findall(r"^\| `(\w+)`", subprocess.run(
        [sys.argv[1], "document", "metrics"], check=True, text=True, stdout=subprocess.PIPE).stdout, re.M))
    for where, expression in expressions():
        wrong += [f"{where}: there is no metric {name}" for name in NAME.findall(expression)
                  if name not in known]
    board = json.loads(BOARD.read_text())
    wrong += [f"{BOARD.name}: panel {title} lies on another" for title in set(overlaps(board["panels"]))]
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text())
    tested = TESTS.read_text()
    documented = (ROOT / "docs" / "monitoring.md").read_text()
    for alert in alerts:
        if len(re.findall(rf"alertname: {alert}\b", tested)) < 2:
            wrong.append(f"{TESTS.name}: {alert} is not tested to fire and not to")
        if f"`{alert}`" not in documented:
            wrong.append(f"docs/monitoring.md: nothing about {alert}")
    print("\n".join(wrong) or f"{len(known)} metrics, {len(alerts)} alerts, {len(board['panels'])} panels")
    if wrong:
        sys.exit(1)
    try:
        promtool = tools.promtool()
    except servers.Unavailable as error:
        print(error)
        sys.exit(SKIPPED)
    for words in (["check", "rules", RULES], ["test", "rules", TESTS]):
        result = subprocess.run([promtool, *map(str, words)], text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, cwd=RULES.parent)
        if result.returncode != 0:
            sys.exit(result.stdout)
    # A panel's expression is one that Prometheus parses: as a rule it is checked.
    with tempfile.TemporaryDirectory() as folder:
        rules = [{"record": "x:y", "expr": target["expr"].replace("$instance", ".*")}
                 for panel in board["panels"] for target in panel["targets"]]
        file = pathlib.Path(folder, "board.yml")
        file.write_text(json.dumps({"groups": [
            {"name": str(number), "rules": [rule]} for number, rule in enumerate(rules)]}))
        result = subprocess.run([promtool, "check", "rules", "--lint=none", str(file)], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if result.returncode != 0:
            sys.exit(result.stdout)


if __name__ == "__main__":
    main()
