#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Servers with extensions that no PostgreSQL package has: PostGIS and pgvector.

Each is a tree of its own in the servers' cache, a server's files with the extension's among them;
nothing is installed. PostGIS comes from Debian's packages, fetched by `apt-get download` (8 MB; its
package would bring 50 others), pgvector from a wheel of PyPI that has it, built for PostgreSQL 16.

    tests/servers/extensions.py     fetch both and print where they are
"""
import hashlib
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import servers

POSTGIS_MAJOR = 15  # what Debian 12 has
POSTGIS_PACKAGES = ("postgresql-15-postgis-3", "postgresql-15-postgis-3-scripts")
POSTGIS_LIBRARIES = ("libgeos-c1v5", "libproj25", "libprotobuf-c1", "libjson-c5", "libxml2")
VECTOR_MAJOR = 16
VECTOR_WHEEL = "pgserver==0.1.4"
VECTOR_SHA256 = "d595789b47624a3d963aa9aa6359da9be31beb7e61f1a45541953242068b8813"
VECTOR_INSIDE = "pgserver/pginstall"


def call(words, what, folder):
    """Run a package client; its output."""
    try:
        result = subprocess.run([str(word) for word in words], cwd=folder, stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                timeout=servers.FETCH_SECONDS_MAX)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise servers.Unavailable(f"{what}: {error}") from error
    if result.returncode != 0:
        raise servers.Unavailable(f"{what}: {(result.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return result.stdout


def tree(name, make):
    """A tree of the cache; made beside its final place when it is not there yet."""
    folder = servers.cache_folder() / name

    def beside():
        with tempfile.TemporaryDirectory(prefix=".make-", dir=folder.parent) as work:
            work = pathlib.Path(work)
            make(work, work / "tree")
            subprocess.run(["chmod", "-R", "a+rX", str(work / "tree")], check=True)
            (work / "tree").rename(folder)
    return servers.kept(folder, beside)


def postgis():
    """(major, folder of the programs, folder of libraries they need besides)"""
    folder = tree(f"postgresql-{POSTGIS_MAJOR}-postgis", make_postgis)
    return POSTGIS_MAJOR, folder / "lib" / "postgresql" / str(POSTGIS_MAJOR) / "bin", folder / "libraries"


def make_postgis(work, folder):
    system = servers.SYSTEM / str(POSTGIS_MAJOR)
    share = pathlib.Path("/usr/share/postgresql") / str(POSTGIS_MAJOR)
    if not (system / "bin" / "postgres").exists():
        raise servers.Unavailable(f"PostGIS is Debian's, and its PostgreSQL is not in {system}")
    unpacked = work / "unpacked"
    for package in [*POSTGIS_PACKAGES, *missing_libraries(work)]:
        call(["apt-get", "download", package], package, work)
    for package in work.glob("*.deb"):
        call(["dpkg-deb", "-x", package, unpacked], package.name, work)
    # The programs look for their files relative to where they are.
    to = folder / "lib" / "postgresql" / system.name
    shutil.copytree(system, to, symlinks=True, ignore=shutil.ignore_patterns("bitcode", "pgxs"))
    shutil.copy(unpacked / system.relative_to("/") / "lib" / "postgis-3.so", to / "lib")
    to = folder / "share" / "postgresql" / share.name
    shutil.copytree(share, to, symlinks=True)
    scripts = unpacked / share.relative_to("/") / "extension"
    shutil.copy(scripts / "postgis-3.control", to / "extension" / "postgis.control")
    for script in scripts.glob("postgis--*.sql"):
        if script.name.count("--") < 2:  # not those that upgrade
            shutil.copy(script, to / "extension")
    (folder / "libraries").mkdir()
    for library in (unpacked / "usr" / "lib").glob("*-linux-*/*.so*"):
        shutil.copy(library, folder / "libraries")


def missing_libraries(work):
    """What PostGIS's library needs and this system has not; not all that the package asks for."""
    closure = call(["apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts",
                    "--no-breaks", "--no-replaces", "--no-enhances", *POSTGIS_LIBRARIES], "PostGIS", work)
    needed = set(re.findall(r"^([a-z0-9][a-z0-9.+-]*)$", closure, re.M))
    there = call(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\\n"], "packages", work)
    return sorted(package for package in needed - {line.split()[-1] for line in there.splitlines()
                                                   if line.startswith("installed ")}
                  if package.startswith("lib"))


def vector():
    """As postgis()."""
    folder = tree(f"postgresql-{VECTOR_MAJOR}-vector", make_vector)
    return VECTOR_MAJOR, folder / "bin", None


def make_vector(work, folder):
    if servers.machine() != "amd64":
        raise servers.Unavailable(f"no build of pgvector is known for {servers.machine()}")
    server = servers.pinned(VECTOR_MAJOR)
    call([sys.executable, "-m", "venv", work / "venv"], "pip", work)
    call([work / "venv" / "bin" / "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
          "--python-version", "3.11", "--dest", work, VECTOR_WHEEL], VECTOR_WHEEL, work)
    wheel, = work.glob("*.whl")
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != VECTOR_SHA256:
        raise servers.Unavailable(f"{wheel.name} is not the one that is known")
    shutil.unpack_archive(wheel, work / "unpacked", "zip")
    shutil.copytree(server, folder, symlinks=True)
    inside = work / "unpacked" / VECTOR_INSIDE
    shutil.copy(inside / "lib" / "postgresql" / "vector.so", folder / "lib" / "postgresql")
    for script in (inside / "share" / "postgresql" / "extension").glob("vector*"):
        shutil.copy(script, folder / "share" / "postgresql" / "extension")


def main():
    status = 0
    for name, make in (("PostGIS", postgis), ("pgvector", vector)):
        try:
            print(f"{name}: {make()[1]}")
        except servers.Unavailable as error:
            print(f"{name}: not available: {error}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
