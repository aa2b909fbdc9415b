#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Install a build into an empty prefix and check what a user and a plugin author find there.

    check.py SOURCE_DIR BUILD_DIR LIBDIR
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile


def run(*command, **more):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **more).stdout.strip()


def check(condition, text):
    if not condition:
        sys.exit(f"install: {text}")


def check_program(source, prefix):
    version = re.search(r"project\(narwal VERSION (\S+)", (source / "CMakeLists.txt").read_text()).group(1)
    program = prefix / "bin" / "narwal"
    check(program.is_file(), "there is no bin/narwal")
    output = run(str(program), "version")
    check(version in output, f"`narwal version` says {output!r}, not {version}")


def check_plugins(folder):
    check((folder / "narwal-kafka").is_file(), "there is no narwal-kafka beside the plugins")
    names = sorted(path.name for path in folder.glob("*.so"))
    check({"file.so", "null.so"} <= set(names), f"plugins are {names}")
    for name in names:
        symbols = run("nm", "--dynamic", "--defined-only", str(folder / name))
        exported = sorted(line.split()[-1] for line in symbols.splitlines() if line.split()[1] in "TDBR")
        check(exported == ["nw_sink_entry"], f"{name} exports {exported}")
        undefined = run("nm", "--dynamic", "--undefined-only", str(folder / name))
        check(" nw_" not in undefined, f"{name} needs symbols of the host")


def check_headers(source, prefix):
    """Each header compiles alone, with what pkg-config says and nothing else."""
    wanted = sorted(path.name for path in (source / "include" / "narwal").glob("*.h"))
    found = sorted(path.name for path in (prefix / "include" / "narwal").iterdir())
    check(found == wanted, f"headers are {found}, not {wanted}")
    flags = run("pkg-config", "--cflags", "narwal-sink").split()
    for name in found:
        run("cc", "-std=c17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", *flags,
            "-x", "c", "-", input=f"#include <narwal/{name}>\nint unused;\n")


def check_pkg_config(source, prefix, libdir):
    abi = re.search(r"#define NW_SINK_ABI (\d+)u", (source / "include/narwal/sink.h").read_text()).group(1)
    check(run("pkg-config", "--variable=abi", "narwal-sink") == abi, f"abi is not {abi}")
    plugins = pathlib.Path(run("pkg-config", "--variable=plugindir", "narwal-sink")).resolve()
    check(plugins == (prefix / libdir / "narwal").resolve(), f"plugindir is {plugins}")


def anchors(page):
    """What a link into the page may name: its headings, as a forge writes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def check_links(folder):
    """A link from a page to another file, or to a heading, leads somewhere, also once they are installed."""
    pages = sorted(folder.rglob("*.md"))
    check(len(pages) > 10, f"there are {len(pages)} pages in {folder}")
    for page in pages:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            if re.match(r"[a-z]+:", link):
                continue
            name, _, anchor = link.partition("#")
            there = (page.parent / name) if name else page
            check(there.exists() and folder in there.resolve().parents, f"{page.name} links to {link}, which is not installed")
            check(not anchor or anchor in anchors(there), f"{page.name} links to {link}, a heading that is not there")


TYPED = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1='> '; fpath=($1 \\$fpath); PATH=$2:\\$PATH; autoload -Uz compinit; compinit -D -u; echo be''gin"
zpty -r shell seen '*begin*'
for typed wanted in 'table li' 'table list' stat status 'status --al' 'status --all'; do
    zpty -w -n shell "narwal $typed"$'\\t'
    zpty -r shell seen "*narwal ${wanted}*"
    zpty -w -n shell $'\\x15'
done
zpty -d shell
"""


def check_completion(prefix):
    """zsh completes a command, a word of it, and an option."""
    zsh = shutil.which("zsh")
    if zsh is None:
        print("there is no zsh to complete in")
        return
    folder = next(prefix.glob("share/zsh/*"))
    try:
        run(zsh, "-f", "-c", TYPED, "zsh", str(folder), str(prefix / "bin"), timeout=30)
    except subprocess.TimeoutExpired:
        sys.exit("install: zsh does not complete `narwal table li`, `narwal stat` or `narwal status --al`")


def main():
    source, build, libdir = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    with tempfile.TemporaryDirectory() as folder:
        prefix = pathlib.Path(folder, "made")
        run("cmake", "--install", build, "--prefix", str(prefix))
        # Moved afterwards: nothing installed may know the prefix.
        prefix = prefix.rename(pathlib.Path(folder, "moved"))
        os.environ["PKG_CONFIG_PATH"] = str(prefix / libdir / "pkgconfig")
        check_headers(source, prefix)
        check_pkg_config(source, prefix, libdir)
        check_plugins(prefix / libdir / "narwal")
        check_program(source, prefix)
        check_completion(prefix)
        check_links((prefix / "share" / "doc" / "narwal").resolve())
    print("installed, moved, and everything is there")


if __name__ == "__main__":
    main()
