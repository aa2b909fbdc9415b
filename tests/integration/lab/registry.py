# SPDX-License-Identifier: Apache-2.0
"""A schema registry with Confluent's API on a free loopback port, kept in memory: Apicurio Registry.

Its default compatibility is NONE; level() sets what Confluent's begins with.
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from .cluster import as_server_user, free_port, server_user

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "servers"))
import registry as parts  # noqa: E402

START_SECONDS_MAX = 120
HEAP = ["-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
MEDIA = "application/vnd.schemaregistry.v1+json"


class Registry:
    """Use as a context manager; entering starts it."""

    def __init__(self):
        self.process = None

    @property
    def tls_url(self):
        """Its certificate is signed by nobody but itself: `certificate`."""
        return f"https://localhost:{self.tls_port}/apis/ccompat/v7"

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/apis/ccompat/v7"

    def __enter__(self):
        self.java, self.jars = parts.java(), parts.folder()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="narwal-registry-"))
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.data.mkdir()
        self.log = self.folder / "log"
        self.port, self.tls_port = free_port(), free_port()
        self.certificate, self.key = self.folder / "certificate.pem", self.folder / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                        "-keyout", str(self.key), "-out", str(self.certificate)], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.key.chmod(0o644)  # of the folder, which only this test has
        user = server_user()
        if user:
            shutil.chown(self.data, user.pw_uid, user.pw_gid)
        return self.start()

    def __exit__(self, *_):
        if self.process:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        """Begin; what it had is gone."""
        command = as_server_user([self.java, *HEAP, f"-Djava.io.tmpdir={self.data}", "-Dquarkus.http.host=127.0.0.1",
                                  f"-Dquarkus.http.port={self.port}", f"-Dquarkus.http.ssl-port={self.tls_port}",
                                  "-Dquarkus.management.host=127.0.0.1", f"-Dquarkus.management.port={free_port()}",
                                  f"-Dquarkus.http.ssl.certificate.files={self.certificate}",
                                  f"-Dquarkus.http.ssl.certificate.key-files={self.key}",
                                  "-Dquarkus.http.insecure-requests=enabled", "-jar", str(self.jars / "quarkus-run.jar")],
                                 "KILL")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                self.get("/subjects")
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError("the registry does not start\n" + self.log.read_text()[-3000:]) from None
                time.sleep(0.2)

    def kill(self):
        self.process.kill()
        self.process.wait()

    # ---- what it has -----------------------------------------------------------------------------

    def call(self, method, path, body=None):
        request = urllib.request.Request(self.url + path, method=method,
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"Content-Type": MEDIA})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def get(self, path):
        return self.call("GET", path)

    def subjects(self):
        return sorted(self.get("/subjects"))

    def versions(self, subject):
        return self.get(f"/subjects/{urllib.parse.quote(subject, safe='')}/versions")

    def latest(self, subject):
        """Its id, version and schema, of the last version."""
        return self.get(f"/subjects/{urllib.parse.quote(subject, safe='')}/versions/latest")

    def schema(self, number):
        return json.loads(self.get(f"/schemas/ids/{number}")["schema"])

    def register(self, subject, schema):
        return self.call("POST", f"/subjects/{urllib.parse.quote(subject, safe='')}/versions",
                         {"schema": json.dumps(schema)})["id"]

    def level(self, subject, level):
        self.call("PUT", f"/config/{urllib.parse.quote(subject, safe='')}", {"compatibility": level})
