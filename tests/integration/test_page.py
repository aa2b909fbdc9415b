#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The page that narwal serves, in a browser, while narwal works: what moves, what stops, what is lost.

NARWAL_SCREENSHOTS=FOLDER leaves pictures there, those of docs/images.
"""
import os
import pathlib
import threading
import time

from lab import browser, check, cluster
from lab.narwal import Narwal

TOKEN = "page-token-0123456789"


class PageTest(check.Case):
    def setUp(self):
        try:
            browser.program()
        except browser.Unavailable as error:
            self.skipTest(str(error))
        self.server = self.cluster()
        self.server.sql("CREATE SCHEMA lab")
        self.server.sql("CREATE TABLE lab.marker (id bigint PRIMARY KEY, at timestamptz DEFAULT now())")
        self.server.sql("CREATE TABLE lab.orders (id bigint PRIMARY KEY, note text)")
        self.server.sql("CREATE TABLE lab.customers (id int PRIMARY KEY, note text)")
        self.server.sql("CREATE TABLE lab.\"<b>odd</b>&amp;\" (id int PRIMARY KEY)")
        self.stop = threading.Event()

    def narwal(self, **http):
        http = {"ready_after": "5s", **http}
        self.port = cluster.free_port()
        out = {"type": "file", "path": str(self.server.folder / "files")}
        narwal = self.enter(Narwal(self.server, name="shop", settings={
            "tables": {"drop_column": "stop"}, "http": {"listen": f"127.0.0.1:{self.port}", **http},
            "sinks": [{"name": "archive", **out}, {"name": "void", "type": "null"}]}))
        narwal.out = self.server.folder / "files"
        return narwal

    def load(self):
        def work():
            connection = self.server.connect()
            cursor = connection.cursor()
            number = 0
            while not self.stop.wait(0.02):
                number += 40
                cursor.execute("INSERT INTO lab.orders SELECT g, 'x' FROM generate_series(%s, %s) g",
                               (number, number + 39))
                if number % 200 == 0:
                    cursor.execute("INSERT INTO lab.customers VALUES (%s)", (number,))
            connection.close()
        thread = threading.Thread(target=work)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.stop.set)

    def draw(self, page, name):
        folder = os.environ.get("NARWAL_SCREENSHOTS")
        if folder:
            page.draw(pathlib.Path(folder) / name)

    def rows(self, page):
        """The list of tables, as a reader sees it: {name: [state, rate, ...]}"""
        cells = page.value("[...document.querySelectorAll('#tables tr')].map("
                           "r => [...r.children].map(c => c.innerText))")
        return {row[0]: row[1:] for row in cells}

    def points(self, page, selector):
        return page.value(f"document.querySelector('{selector} polyline')?.getAttribute('points')") or ""

    def test_it_moves_shows_what_stopped_and_that_narwal_is_gone(self):
        narwal = self.narwal()
        narwal.start().wait_streaming()
        self.load()
        page = self.enter(browser.Browser())
        page.open(f"http://127.0.0.1:{self.port}/")
        page.wait("the pipeline", lambda: "PostgreSQL 15." in page.text("#server"))
        page.wait("ready", lambda: "ready" in page.text("#ready"))
        page.wait("the stream", lambda: "streaming" in page.text("#phase"))  # a report may be half a second old
        self.assertIn("narwal_shop", page.text("#server"))
        self.assertRegex(page.text("#sinks"), r"archive \(file\)\s+● running")
        self.assertRegex(page.text("#sinks"), r"void \(null\)\s+● running")
        # It moves.
        page.wait("a rate of a table", lambda: self.rows(page).get("lab.orders", ["", "0"])[1] != "0")
        first = self.points(page, "#own")
        received = page.text("#own dd")
        page.wait("another line", lambda: self.points(page, "#own") not in ("", first))
        self.assertNotEqual(page.text("#own dd"), received)
        page.wait("a line of a table", lambda: self.points(page, "#tables tr").count(" ") > 4)
        # What others named is text.
        self.assertIn('lab.<b>odd</b>&amp;', self.rows(page))
        # A table stops, and is first in the list; the filter leaves it alone.
        self.server.sql("ALTER TABLE lab.customers DROP COLUMN note, ADD note2 text")
        self.server.sql("INSERT INTO lab.customers VALUES (-1)")
        stopped = page.wait("the stopped table", lambda: self.rows(page).get("lab.customers", [""])[0]
                            .endswith("stopped") and self.rows(page), 40)
        self.assertEqual(next(iter(stopped)), "lab.customers")
        self.assertIn("■ stopped", stopped["lab.customers"][0])
        self.assertIn("column", stopped["lab.customers"][4])
        self.assertIn("1 stopped", page.text("#counts"))
        page.wait("the warning", lambda: "lab.customers" in page.text("#troubles"))
        if os.environ.get("NARWAL_SCREENSHOTS"):
            time.sleep(50)
        self.draw(page, "page.png")
        page.value("document.getElementById('state').value = 'stopped';"
                   "document.getElementById('state').dispatchEvent(new Event('change'))")
        self.assertEqual(list(self.rows(page)), ["lab.customers"])
        page.value("document.getElementById('state').value = '';"
                   "document.getElementById('state').dispatchEvent(new Event('change'));"
                   "document.getElementById('pattern').value = 'ORD';"
                   "document.getElementById('pattern').dispatchEvent(new Event('input'))")
        self.assertEqual(list(self.rows(page)), ["lab.orders"])
        # Narwal goes, and comes back.
        self.assertEqual(page.text("#lost"), "")
        narwal.kill()
        page.wait("the loss", lambda: "narwal has not answered for" in page.text("#lost"))
        self.draw(page, "page-lost.png")
        narwal.start()
        page.wait("the end of the loss", lambda: page.text("#lost") == "" and
                  "streaming" in page.text("#phase"), 30)
        # The server goes.
        self.stop.set()
        self.server.stop()
        page.wait("the server's loss", lambda: "not connected" in page.text("#ready"), 30)
        page.wait("the count of tries", lambda: " times" in page.text("#troubles"))
        self.assertEqual([line for line in page.console if line], [])

    def test_it_is_read_on_a_narrow_dark_screen(self):
        narwal = self.narwal()
        narwal.start().wait_streaming()
        page = self.enter(browser.Browser(width=390, height=800, dark=True))
        page.open(f"http://127.0.0.1:{self.port}/")
        page.wait("the tables", lambda: "lab.orders" in self.rows(page))
        self.assertLessEqual(page.value("document.documentElement.scrollWidth"), 390)
        self.assertEqual(page.value("getComputedStyle(document.body).backgroundColor"), "rgb(13, 17, 23)")
        for kind in ("--text", "--soft", "--good", "--warn", "--bad"):
            self.assertGreater(contrast(page, kind, "--back"), 4.5, kind)
            self.assertGreater(contrast(page, kind, "--box"), 4.5, kind)
        self.draw(page, "page-narrow.png")
        self.assertEqual([line for line in page.console if line], [])

    def test_it_asks_for_the_token(self):
        narwal = self.narwal(token=TOKEN)
        narwal.start().wait_streaming()
        page = self.enter(browser.Browser())
        page.open(f"http://127.0.0.1:{self.port}/")
        page.wait("the question", lambda: "http.token" in page.text("#ask"))
        self.assertEqual(page.text("main"), "")
        for token, shown in (("wrong-token-0123456789", False), (TOKEN, True)):
            page.value(f"document.getElementById('token').value = '{token}';"
                       "document.getElementById('ask').requestSubmit()")
            if shown:
                page.wait("the pipeline", lambda: "PostgreSQL" in page.text("#server"))
            else:
                page.wait("the refusal", lambda: "that is not it" in page.text("#refused"))
        self.assertEqual(page.text("#ask"), "")


def contrast(page, one, other):
    """As WCAG 2 defines it."""
    def luminance(name):
        value = page.value(f"getComputedStyle(document.documentElement).getPropertyValue('{name}')").strip()
        parts = [int(value[i:i + 2], 16) / 255 for i in (1, 3, 5)]
        parts = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


if __name__ == "__main__":
    check.main()
