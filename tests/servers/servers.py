#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL 14 to 18 for the tests: Debian's own where it is that version, else a pinned download.

The downloads are the artifacts io.zonky.test.postgres:embedded-postgres-binaries-linux-* (a jar
that holds a .txz), fetched once through Maven's own client, verified, and unpacked into a cache
outside the build tree: $NARWAL_CACHE/servers, else $XDG_CACHE_HOME/narwal/servers, else
/var/cache/narwal/servers for root (whose home the servers' user cannot enter) and
~/.cache/narwal/servers for everybody else. They have postgres, initdb and pg_ctl; client programs
are Debian's.

    tests/servers/servers.py [MAJOR...]     fetch (default: all) and print where they are
"""
import contextlib
import fcntl
import hashlib
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile

MAJORS = (14, 15, 16, 17, 18)
SYSTEM = pathlib.Path("/usr/lib/postgresql")
CLIENTS_MAJOR = 15
GROUP = "io.zonky.test.postgres:embedded-postgres-binaries-linux-"
FETCH_SECONDS_MAX = 300

# major -> (version, {machine: sha256 of the jar})
PINNED = {
    14: ("14.24.0", {
        "amd64": "2722d05eb22c671104c9918d59d8ba9f5656898f5452a0207bb4cce21eef5dc4"}),
    15: ("15.19.0", {
        "amd64": "95f0b66fe72d4ca66c815773c44cb1196ea38552463e89a35f18114b3ed1565f"}),
    16: ("16.15.0", {
        "amd64": "653abc065c682b85d3da50168fb95dc524bd85426cdec9ce3695a550ef431df2",
        "arm64v8": "f846a9989d686b7977d6eca9bc9d8b2b69e3f70c7eb60e032197d9c574a6136c"}),
    17: ("17.11.0", {
        "amd64": "0dd7b72b6f335b8ecfb355fa24c5781e8a93edd09880bb77eb52ebbf29b3e96d",
        "arm64v8": "8b042e0ea418b1927d95399207950da0734d27fe01e29503ade3bdc464ad4c2b"}),
    18: ("18.6.0", {
        "amd64": "008ee189eaa7ca2b58bd01dd950291e638b998392cf982297acd4779ec898ac1",
        "arm64v8": "5f54e016723afa6213925a8acb939bac52944b1d348f65c7a20f0cd2928c31be"}),
}


class Unavailable(Exception):
    """This server cannot be had here; the text says why and what would help."""


def cache_folder():
    if os.environ.get("NARWAL_CACHE"):
        return pathlib.Path(os.environ["NARWAL_CACHE"]) / "servers"
    if os.environ.get("XDG_CACHE_HOME"):
        return pathlib.Path(os.environ["XDG_CACHE_HOME"]) / "narwal" / "servers"
    if os.geteuid() == 0:
        return pathlib.Path("/var/cache/narwal/servers")
    return pathlib.Path.home() / ".cache" / "narwal" / "servers"


def clients():
    """The folder of Debian's client programs (psql, pg_recvlogical); they talk to all versions."""
    folder = SYSTEM / str(CLIENTS_MAJOR) / "bin"
    if not (folder / "pg_recvlogical").exists():
        raise Unavailable(f"PostgreSQL's client programs are not in {folder}: "
                          f"install postgresql-{CLIENTS_MAJOR}")
    return folder


def binaries(major):
    """The folder with postgres and initdb of a major version; fetched when it is not there yet."""
    system = SYSTEM / str(major) / "bin"
    if (system / "postgres").exists() and (system / "initdb").exists():
        return system
    return pinned(major) / "bin"


def pinned(major):
    """The folder of a major version's download."""
    version, sums = PINNED[major]
    folder = cache_folder() / f"postgresql-{version}"
    return kept(folder, lambda: fetch(version, sums, folder), "bin/postgres")


def kept(folder, make, there="."):
    """The folder, which is in the cache; make() makes it, once, when it lacks what has to be there."""
    if not (folder / there).exists():
        with locked(cache_folder()):
            if not (folder / there).exists():
                make()
    return folder


@contextlib.contextmanager
def locked(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / ".lock", "w")
    except OSError as error:
        raise Unavailable(f"the cache {folder} cannot be used: {error.strerror}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def machine():
    names = {"x86_64": "amd64", "aarch64": "arm64v8"}
    return names.get(platform.machine(), platform.machine())


def fetch(version, sums, folder):
    """Download, verify, unpack beside the final place, and rename: there is never half a server."""
    if machine() not in sums:
        raise Unavailable(f"no build of PostgreSQL {version} is pinned for {platform.machine()}")
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.parent) as work:
        work = pathlib.Path(work)
        jar = download(f"{GROUP}{machine()}:{version}", work)
        digest = hashlib.sha256(jar.read_bytes()).hexdigest()
        if digest != sums[machine()]:
            raise Unavailable(f"{jar.name} has sha256 {digest}, expected {sums[machine()]}")
        unpack(jar, work / "unpacked")
        (work / "unpacked").rename(folder)


def download(artifact, work):
    if shutil.which("mvn") is None:
        raise Unavailable(f"{artifact} is fetched with Maven's client, which is not installed "
                          "(Debian: apt-get install --no-install-recommends maven)")
    command = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artifact}",
               f"-DoutputDirectory={work}"]
    try:
        result = subprocess.run(command, cwd=work, stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                timeout=FETCH_SECONDS_MAX)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{artifact}: no answer within {FETCH_SECONDS_MAX} s") from error
    jars = list(work.glob("*.jar"))
    if result.returncode != 0 or len(jars) != 1:
        errors = [line for line in result.stdout.splitlines() if "ERROR" in line]
        raise Unavailable(f"{artifact} could not be fetched: {(errors or ['no reason given'])[0]}")
    return jars[0]


def unpack(jar, folder):
    with zipfile.ZipFile(jar) as archive:
        inner = next(name for name in archive.namelist() if name.endswith(".txz"))
        archive.extract(inner, jar.parent)
    folder.mkdir()
    subprocess.run(["tar", "-xJf", str(jar.parent / inner), "-C", str(folder), "--no-same-owner"],
                   check=True)
    # The server's user is another one than ours when we are root.
    subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)


def main():
    status = 0
    for major in [int(word) for word in sys.argv[1:]] or MAJORS:
        try:
            print(f"PostgreSQL {major}: {binaries(major)}")
        except Unavailable as error:
            print(f"PostgreSQL {major}: not available: {error}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
