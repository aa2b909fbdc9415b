# SPDX-License-Identifier: Apache-2.0
"""A hot standby that follows a server as it goes on."""
import shutil

from .cluster import Cluster


class Standby(Cluster):
    """A copy of the primary, which stops for a moment for it, without its slots.

    options   over those of a hot standby with feedback; the primary has a physical slot `standby`
    """

    def __init__(self, primary, options=None):
        super().__init__(primary.version, options={
            "primary_conninfo": primary.dsn(way="tcp"), "primary_slot_name": "standby",
            "hot_standby_feedback": "on", "wal_receiver_status_interval": "1s", **(options or {})})
        self.primary = primary

    def create(self):
        super().create()
        self.primary.sql("SELECT pg_create_physical_replication_slot('standby')")
        self.primary.stop()
        shutil.rmtree(self.data)
        shutil.copytree(self.primary.data, self.data, ignore=shutil.ignore_patterns("postmaster.*"))
        for slot in (self.data / "pg_replslot").iterdir():
            shutil.rmtree(slot)
        self.primary.start()
        self.write("standby.signal", "")
        for path in [self.data, *self.data.rglob("*")]:
            self.own(path)
