# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of its own for a test: made, started, killed, and always cleaned up.

The server runs as an unprivileged user (root becomes postgres), listens on a free loopback port
and on a unix socket in its own folder, and dies with this process even when that is killed.
"""
import hashlib
import os
import pathlib
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import psycopg2

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "servers"))
import servers  # noqa: E402

START_SECONDS_MAX = 180
STOP_SECONDS_MAX = 60
PORT_TRIES_MAX = 5
PORTS_FROM = 10000
chance = random.SystemRandom()  # tests that run side by side may have one seed

# What tests want: logical decoding, no waiting for the disk, small buffers so that transactions
# are streamed, and quick notice of peers that are gone.
DEFAULTS = {
    "wal_level": "logical",
    "fsync": "off",
    "full_page_writes": "off",
    "max_wal_senders": "20",
    "max_replication_slots": "20",
    "max_prepared_transactions": "20",
    "max_connections": "60",
    "logical_decoding_work_mem": "64kB",
    "shared_buffers": "64MB",
    "max_wal_size": "2GB",
    "wal_sender_timeout": "60s",
    "track_commit_timestamp": "on",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %a ",
    "lc_messages": "C",
    "timezone": "Asia/Kathmandu",
    "datestyle": "German, DMY",
    "intervalstyle": "sql_standard",
    "bytea_output": "escape",
}
HBA = "local all all trust\nhost all all 127.0.0.1/32 trust\n" \
      "local replication all trust\nhost replication all 127.0.0.1/32 trust\n"
INIT = ["-U", "postgres", "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]
SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


def server_user():
    """The user that servers run as; None: ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise servers.Unavailable("there is no user postgres or nobody that a server could run as")


def as_server_user(command, death=None):
    """The command, run as the servers' user; with `death` it gets that signal when we end."""
    user = server_user()
    drop = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"] if user else []
    watch = ["--pdeathsig", death] if death else []
    return ["setpriv", *watch, *drop, *map(str, command)] if drop or watch else list(command)


def free_port():
    """Below the ports of connections, of which one could take it before somebody listens on it."""
    end = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", chance.randrange(PORTS_FROM, end) if end >= 2 * PORTS_FROM else 0))
            except OSError:
                continue
            return probe.getsockname()[1]


def quote_conninfo(value):
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"


def init(programs, data):
    """initdb makes this data folder."""
    data.mkdir(mode=0o700)
    user = server_user()
    if user:
        os.chown(data, user.pw_uid, user.pw_gid)
    subprocess.run(as_server_user([programs / "initdb", "-D", data, *INIT]), check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                   cwd="/")


def prepared(programs):
    """A data folder as initdb leaves it, made once for each version and user and kept in the cache:
    hundreds of tests begin with a copy of it."""
    version = subprocess.run([programs / "postgres", "--version"], check=True,
                             stdout=subprocess.PIPE).stdout
    built = (programs / "postgres").stat().st_mtime_ns
    key = f"{version} {programs} {built} {os.geteuid()} {INIT}"
    folder = servers.cache_folder() / f"data-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    if not folder.exists():
        with servers.locked(folder.parent):
            if not folder.exists():
                making = folder.with_suffix(".making")
                shutil.rmtree(making, ignore_errors=True)
                init(programs, making)
                making.rename(folder)
    return folder


class Cluster:
    """Use as a context manager; entering makes and starts it.

    options   settings over DEFAULTS; wait_for_disk keeps fsync on
    tls       also offers TLS, with a certificate for localhost signed by `ca` (a file)
    programs  a folder of postgres and initdb of that version, and libraries that they need besides
    fresh     made by initdb for this test alone: its system identifier is like no other's
    """

    def __init__(self, version=15, options=None, tls=False, hba=HBA, wait_for_disk=False,
                 programs=None, libraries=None, fresh=False):
        self.version = version
        self.options = {**DEFAULTS, **(options or {})}
        if wait_for_disk:
            self.options["fsync"] = self.options["full_page_writes"] = "on"
        self.tls = tls
        self.programs = programs
        self.environment = {**os.environ, "LD_LIBRARY_PATH": str(libraries)} if libraries else None
        self.hba = hba
        self.fresh = fresh
        self.folder = None
        self.in_memory = None
        self.process = None
        self.port = None
        self.addresses = "127.0.0.1"  # to listen on

    def __enter__(self):
        try:
            self.create()
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_):
        self.remove()

    # ---- making it -------------------------------------------------------------------------------

    def create(self):
        self.bin = self.programs or servers.binaries(self.version)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"narwal-pg{self.version}-"))
        # Making and removing its thousand files is most of what a short test costs on a disk.
        self.in_memory = os.environ.get("NARWAL_MEMORY_FOLDER")
        self.data = self.folder / "data"
        if self.in_memory:
            self.in_memory = pathlib.Path(tempfile.mkdtemp(prefix="data-", dir=self.in_memory))
            self.in_memory.chmod(0o711)
            self.data = self.in_memory / "data"
        self.socket = self.folder / "s"
        self.log = self.folder / "server.log"
        self.socket.mkdir(mode=0o755)
        self.folder.chmod(0o711)
        self.own(self.socket)
        if self.fresh:
            init(self.bin, self.data)
        else:
            subprocess.run(["cp", "-a", "--reflink=auto", "--sparse=always", prepared(self.bin),
                            self.data], check=True)
        self.write("pg_hba.conf", self.hba)
        if self.tls:
            self.make_certificates()

    def own(self, *paths):
        user = server_user()
        for path in paths:
            if user:
                os.chown(path, user.pw_uid, user.pw_gid)

    def write(self, name, text):
        path = self.data / name
        path.write_text(text)
        path.chmod(0o600)
        self.own(path)

    def make_certificates(self):
        """A certificate authority of our own, and a certificate for localhost signed by it."""
        self.ca = self.folder / "ca.crt"
        authority = self.folder / "ca.key"
        request = self.folder / "server.csr"
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        openssl("req", "-x509", *key, "-keyout", authority, "-out", self.ca, "-days", "2",
                "-subj", "/CN=narwal test authority")
        openssl("req", *key, "-keyout", self.data / "server.key", "-out", request,
                "-subj", "/CN=localhost")
        names = self.folder / "names"
        names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", authority,
                "-CAcreateserial", "-out", self.data / "server.crt", "-days", "2",
                "-extfile", names)
        for name in ("server.key", "server.crt"):
            (self.data / name).chmod(0o600)
            self.own(self.data / name)
        self.options["ssl"] = "on"

    # ---- running it ------------------------------------------------------------------------------

    def start(self, wait=True):
        for _ in range(PORT_TRIES_MAX):
            # After a restart clients expect the server where it was.
            port = self.port or free_port()
            settings = {**self.options, "port": port, "listen_addresses": self.addresses,
                        "unix_socket_directories": self.socket}
            words = [word for item in settings.items() for word in ("-c", f"{item[0]}={item[1]}")]
            with open(self.log, "ab") as log:
                self.process = subprocess.Popen(
                    as_server_user([self.bin / "postgres", "-D", self.data, *words], "SIGQUIT"),
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                    env=self.environment, start_new_session=True)
            if not wait or self.wait_ready(port):
                self.port = port
                return
        raise AssertionError(f"PostgreSQL {self.version} does not start:\n{self.log_tail()}")

    def wait_ready(self, port):
        """False: the port was taken by someone else meanwhile."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                if "could not create any TCP/IP sockets" in self.log_tail() and not self.port:
                    return False
                break
            try:
                psycopg2.connect(self.dsn(port=port), connect_timeout=2).close()
                return True
            except psycopg2.OperationalError:
                time.sleep(0.05)
        raise AssertionError(f"PostgreSQL {self.version} does not start:\n{self.log_tail()}")

    @property
    def pid(self):
        return self.process.pid

    def signal(self, mode):
        self.process.send_signal(SIGNALS[mode])

    def stop(self, mode="fast", seconds=STOP_SECONDS_MAX):
        """Stop, and return how long it took; raises subprocess.TimeoutExpired."""
        started = time.monotonic()
        if self.process.poll() is None:
            self.signal(mode)
            self.process.wait(seconds)
        return time.monotonic() - started

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def kill(self):
        """kill -9 to the postmaster; its children notice and end."""
        self.process.kill()
        self.process.wait()
        # A new postmaster refuses to start while old children hold the shared memory.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        time.sleep(0.5)

    def remove(self):
        if self.process and self.process.poll() is None:
            try:
                self.stop("immediate", 20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.folder and not os.environ.get("NARWAL_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)
            if self.in_memory:
                shutil.rmtree(self.in_memory, ignore_errors=True)

    def log_tail(self, lines=30):
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    # ---- talking to it ---------------------------------------------------------------------------

    def dsn(self, database="postgres", user="postgres", way="unix", port=None, **more):
        """A connection string. way: unix, tcp, tls (verified)."""
        words = {"dbname": database, "user": user, "port": port or self.port, **more}
        if way == "unix":
            words["host"] = self.socket
        else:
            words.setdefault("host", "localhost" if way == "tls" else "127.0.0.1")
            words.setdefault("sslmode", "verify-full" if way == "tls" else "disable")
            if way == "tls":
                words["hostaddr"] = "127.0.0.1"
                words["sslrootcert"] = more.get("sslrootcert") or self.ca
        return " ".join(f"{key}={quote_conninfo(value)}" for key, value in words.items())

    def connect(self, database="postgres", autocommit=True, **more):
        connection = psycopg2.connect(self.dsn(database, application_name="lab", **more))
        connection.autocommit = autocommit
        return connection

    def sql(self, statement, parameters=None, database="postgres"):
        """Run one statement on a connection of its own; the rows, if it has any."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    def value(self, statement, parameters=None, database="postgres"):
        rows = self.sql(statement, parameters, database)
        return rows[0][0] if rows else None

    def lsn(self, database="postgres"):
        return lsn_number(self.value("SELECT pg_current_wal_insert_lsn()", database=database))


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def lsn_number(text):
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def lsn_text(number):
    return f"{number >> 32:X}/{number & 0xFFFFFFFF:X}"
