#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A plugin that never returns does not keep narwal from ending, nor lose what it was lent.

    hang_check.py FOLDER_OF_THE_PLUGIN
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from lab import check  # noqa: E402
from lab.narwal import Narwal  # noqa: E402

PLUGINS = sys.argv.pop(1)
STOP_SECONDS_MAX = 40


class HangTest(check.Case):
    options = {}

    def test_narwal_ends_and_takes_nothing_away(self):
        server = self.cluster()
        server.sql("CREATE TABLE t (id int PRIMARY KEY)")
        server.sql("INSERT INTO t VALUES (1)")
        narwal = self.enter(Narwal(server, settings={
            "plugin_dir": PLUGINS,
            "limits": {"drain": "1s"},
            "sinks": [{"type": "hang", "name": "hangs", "text": "a text that is still there"}]}))
        # Freed memory is overwritten, so that the plugin sees it.
        narwal.start(MALLOC_PERTURB_=165)
        narwal.wait("the plugin hangs", lambda: "NW2413 sink hangs: hangs" in narwal.log())
        self.assertEqual(narwal.terminate(STOP_SECONDS_MAX), 1, narwal.log_tail())
        self.assertIn("sink hangs: the plugin hang did not return from a call in time", narwal.log())


if __name__ == "__main__":
    check.main()
