#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A Python that has fastavro, an Avro reader that is not ours: in the cache, made once.

    tests/servers/avro_reader.py      make it and print where it is
"""
import subprocess
import sys

import servers

VERSION = "1.13.1"


def python():
    """The path of the interpreter; raises servers.Unavailable."""
    folder = servers.cache_folder() / f"fastavro-{VERSION}"
    program = folder / "bin" / "python3"
    servers.kept(folder, lambda: make(folder, program, [f"fastavro=={VERSION}"], "fastavro"), "ready")
    return program


def make(folder, program, packages, what):
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([program, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", *packages],
                       check=True, stdout=subprocess.DEVNULL, timeout=servers.FETCH_SECONDS_MAX)
    except (OSError, subprocess.SubprocessError) as error:
        raise servers.Unavailable(f"{what} ({packages[0]}) could not be installed: {error}") from error
    (folder / "ready").touch()


if __name__ == "__main__":
    print(python())
