# SPDX-License-Identifier: Apache-2.0
"""Headless Chromium, spoken to through its debugging pipe: pages are opened, asked, and drawn.

Protocol: https://chromedevtools.github.io/devtools-protocol/, messages of JSON that end in NUL, on the
descriptors 3 (to it) and 4 (from it).
"""
import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

PROGRAMS = ("chromium-headless-shell", "chromium")
SECONDS_MAX = 60


class Unavailable(Exception):
    pass


def program():
    for name in PROGRAMS:
        if shutil.which(name):
            return shutil.which(name)
    raise Unavailable("there is no Chromium (Debian: apt-get install --no-install-recommends "
                      "chromium-headless-shell fonts-dejavu-core)")


class Browser:
    def __init__(self, width=1100, height=900, dark=False):
        self.width, self.height, self.dark = width, height, dark
        self.number = 0
        self.console = []  # what pages complained of

    def __enter__(self):
        self.profile = tempfile.mkdtemp(prefix="narwal-browser-")
        to_read, self.to = os.pipe()
        self.source, from_write = os.pipe()

        def descriptors():  # wherever they are, they must not overwrite each other
            ours = [os.dup(to_read), os.dup(from_write)]
            ours = [os.dup(one) if one in (3, 4) else one for one in ours]
            ours = [os.dup(one) if one in (3, 4) else one for one in ours]
            os.dup2(ours[0], 3)
            os.dup2(ours[1], 4)
        self.process = subprocess.Popen(
            [program(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--remote-debugging-pipe", "--hide-scrollbars", "--no-first-run", "--disable-extensions",
             f"--user-data-dir={self.profile}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            close_fds=False, preexec_fn=descriptors)
        os.close(to_read)
        os.close(from_write)
        self.left = b""
        pages = [one for one in self.ask("Target.getTargets")["targetInfos"] if one["type"] == "page"]
        self.session = None
        self.session = self.ask("Target.attachToTarget", targetId=pages[0]["targetId"],
                                flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")
        self.ask("Emulation.setDeviceMetricsOverride", width=self.width, height=self.height,
                 deviceScaleFactor=1, mobile=False)
        self.ask("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if self.dark else "light"}])
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.to)
        os.close(self.source)
        shutil.rmtree(self.profile, ignore_errors=True)

    session = None

    def ask(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return answer["result"]
            self.note(answer)
        raise AssertionError(f"{method}: no answer within {SECONDS_MAX} s")

    def receive(self):
        while b"\0" not in self.left:
            more = os.read(self.source, 1 << 20)
            if not more:
                raise AssertionError("the browser ended")
            self.left += more
        message, _, self.left = self.left.partition(b"\0")
        return json.loads(message)

    def note(self, event):
        parameters = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.console.append(parameters["exceptionDetails"].get("exception", {}).get("description"))
        elif event.get("method") == "Log.entryAdded" and parameters["entry"]["source"] != "network":
            self.console.append(parameters["entry"]["text"])

    def open(self, url):
        self.ask("Page.navigate", url=url)

    def value(self, expression):
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True,
                          awaitPromise=True)
        if "exceptionDetails" in result:
            raise AssertionError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def text(self, selector):
        """What a reader sees; "" when it is not shown."""
        return self.value(f"(e => e && e.checkVisibility() ? e.innerText : '')"
                          f"(document.querySelector({json.dumps(selector)}))")

    def wait(self, what, done, seconds=20):
        deadline = time.monotonic() + seconds
        while True:
            found = done()
            if found:
                return found
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not within {seconds} s; the page says:\n"
                                     f"{self.text('body')}\n{self.console}")
            time.sleep(0.2)

    def draw(self, path):
        """The whole page as PNG."""
        height = self.value("document.documentElement.scrollHeight")
        shot = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip={
            "x": 0, "y": 0, "width": self.width, "height": height, "scale": 1})
        pathlib.Path(path).write_bytes(base64.b64decode(shot["data"]))
