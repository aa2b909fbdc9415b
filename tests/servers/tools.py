#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that tests use and whose Debian packages bring more than a contributor wants.

promtool comes with `prometheus`, which would start a server: its package is fetched by apt-get
and unpacked into the cache of servers.py instead. Nothing is installed.

    tests/servers/tools.py      fetch and print where it is
"""
import pathlib
import shutil
import subprocess
import tempfile

import servers

FETCH_SECONDS_MAX = 120


def promtool():
    """The path of the program; raises servers.Unavailable."""
    found = shutil.which("promtool")
    if found:
        return pathlib.Path(found)
    folder = servers.cache_folder() / "prometheus"
    return servers.kept(folder, lambda: fetch("prometheus", "usr/bin/promtool", folder), "promtool") / "promtool"


def fetch(package, program, folder):
    """Verified by apt, unpacked beside the final place, and renamed."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise servers.Unavailable(f"{pathlib.Path(program).name} is not installed, and this is no "
                                  f"Debian, whose package {package} has it")
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.parent) as work:
        work = pathlib.Path(work)
        work.chmod(0o755)  # apt-get fetches as a user of its own
        try:
            for command in (["apt-get", "download", "-q=2", package],
                            ["sh", "-c", "dpkg-deb -x ./*.deb unpacked"]):
                subprocess.run(command, cwd=work, check=True, stdin=subprocess.DEVNULL, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               timeout=FETCH_SECONDS_MAX)
        except (subprocess.SubprocessError, OSError) as error:
            output = getattr(error, "output", None) or str(error)
            raise servers.Unavailable(f"Debian's package {package} could not be fetched: "
                                      f"{output.strip().splitlines()[-1]}") from error
        ready = work / "ready"
        ready.mkdir()
        (work / "unpacked" / program).rename(ready / pathlib.Path(program).name)
        ready.rename(folder)


if __name__ == "__main__":
    print(promtool())
