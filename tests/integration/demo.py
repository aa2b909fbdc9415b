#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""./dev demo: a throw-away PostgreSQL under load, narwal into files, kill -9, and the proof."""
import argparse
import os
import random
import shutil
import sys
import threading
import time

from lab import check, cluster, narwal

KILLS = 3
BATCH = 40
SESSIONS = 2

SCHEMA = """
CREATE SCHEMA shop;
CREATE SCHEMA lab;
CREATE TABLE lab.marker (id bigint PRIMARY KEY);
CREATE TABLE shop.customers (id bigserial PRIMARY KEY, name text NOT NULL, email text,
    joined timestamptz NOT NULL DEFAULT now(), tags text[]);
CREATE TABLE shop.addresses (customer bigint, kind text, street text, PRIMARY KEY (customer, kind));
CREATE TABLE shop.products (sku text PRIMARY KEY, title text, price numeric(12,2), details jsonb);
CREATE TABLE shop.stock (sku text PRIMARY KEY, pieces integer NOT NULL);
CREATE TABLE shop.orders (id bigserial PRIMARY KEY, customer bigint, state text NOT NULL,
    total numeric(12,2), placed timestamptz NOT NULL DEFAULT now());
CREATE TABLE shop.order_lines ("order" bigint, line integer, sku text, pieces integer,
    price numeric(12,2), PRIMARY KEY ("order", line));
CREATE TABLE shop.payments (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), "order" bigint,
    amount numeric(12,2), paid date);
CREATE TABLE shop.carts (customer bigint PRIMARY KEY, content jsonb);
CREATE TABLE shop.reviews (id bigserial PRIMARY KEY, sku text, stars smallint, words text);
CREATE TABLE shop.sessions (token bytea, customer bigint, at timestamptz);
ALTER TABLE shop.sessions REPLICA IDENTITY FULL;
CREATE TABLE shop.clicks (at timestamptz NOT NULL, page text) PARTITION BY RANGE (at);
CREATE TABLE shop.clicks_past PARTITION OF shop.clicks FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
CREATE TABLE shop.clicks_now PARTITION OF shop.clicks DEFAULT;
CREATE TABLE shop.heartbeats (id integer PRIMARY KEY, at timestamptz);
INSERT INTO shop.products SELECT 'sku-' || g, 'Product ' || g, g, jsonb_build_object('text',
    repeat(md5(g::text), 100)) FROM generate_series(1, 2000) g;
INSERT INTO shop.stock SELECT sku, 100 FROM shop.products;
INSERT INTO shop.customers (name, email) SELECT 'Customer ' || g, g || '@example.com'
    FROM generate_series(1, {customers}) g;
INSERT INTO shop.orders (customer, state, total) SELECT g % {customers}, 'delivered', g
    FROM generate_series(1, {customers}) g;
"""
TABLES = [("shop", name) for name in (
    "customers", "addresses", "products", "stock", "orders", "order_lines", "payments", "carts",
    "reviews", "sessions", "clicks", "heartbeats")]

# One round of the shop's application; $n is a random number.
ROUND = """
INSERT INTO shop.orders (customer, state, total)
    SELECT (random() * 5000)::int, 'new', g FROM generate_series(1, %(batch)s) g;
INSERT INTO shop.order_lines SELECT id, line, 'sku-' || (1 + (random() * 1999)::int), 1, total
    FROM shop.orders, generate_series(1, 2) line WHERE state = 'new' ON CONFLICT DO NOTHING;
UPDATE shop.orders SET state = 'paid' WHERE state = 'new' AND id %% 2 = %(half)s;
INSERT INTO shop.payments ("order", amount, paid)
    SELECT id, total, current_date FROM shop.orders WHERE state = 'paid' LIMIT %(batch)s;
UPDATE shop.orders SET state = 'delivered' WHERE state = 'paid';
UPDATE shop.stock SET pieces = pieces - 1 WHERE sku IN (SELECT 'sku-' || (1 + (random() * 1999)::int)
    FROM generate_series(1, %(batch)s / 2));
UPDATE shop.products SET price = price + 0.01 WHERE sku = %(sku)s;
INSERT INTO shop.carts SELECT (random() * 3000)::int, '{"items": [1, 2, 3]}' ON CONFLICT (customer)
    DO UPDATE SET content = carts.content || jsonb_build_object('n', random());
INSERT INTO shop.addresses VALUES (%(key)s, 'home', 'Main Street ' || %(key)s)
    ON CONFLICT (customer, kind) DO UPDATE SET street = excluded.street || '!';
INSERT INTO shop.reviews (sku, stars, words) VALUES (%(sku)s, 5, repeat('good ', 20));
DELETE FROM shop.reviews WHERE id %% 7 = 0;
INSERT INTO shop.sessions VALUES ('\\x00ff', %(key)s, now()), ('\\x00ff', %(key)s, now());
DELETE FROM shop.sessions WHERE customer = %(key)s + 1;
INSERT INTO shop.clicks SELECT now(), '/page/' || g FROM generate_series(1, %(batch)s / 4) g;
"""

BOLD, DIM, GREEN, RED, PLAIN = "\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m"


class Screen:
    """Lines, and one that is redrawn on a terminal; without one a line now and then."""

    def __init__(self, plain):
        self.live = sys.stdout.isatty() and not plain
        self.open = False
        self.last = 0

    def paint(self, text, color):
        return f"{color}{text}{PLAIN}" if self.live else text

    def say(self, text):
        if self.open:
            sys.stdout.write("\n")
        self.open = False
        print(text, flush=True)

    def status(self, text):
        if self.live:
            width = shutil.get_terminal_size().columns
            sys.stdout.write(f"\r\033[K  {text[:width - 3]}")
            sys.stdout.flush()
            self.open = True
        elif time.monotonic() - self.last > 3:
            self.last = time.monotonic()
            print("  " + text, flush=True)


class Shop:
    """The application: sessions that buy, pay and click until they are told to stop."""

    def __init__(self, server):
        self.server = server
        self.ending = threading.Event()
        self.failure = None
        self.threads = [threading.Thread(target=self.session, args=(number,), daemon=True)
                        for number in range(SESSIONS)]

    def session(self, number):
        try:
            connection = self.server.connect(autocommit=False)
            cursor = connection.cursor()
            cursor.execute("SET synchronous_commit = off")
            connection.commit()
            numbers = random.Random(number)
            while not self.ending.is_set():
                try:
                    self.round(cursor, numbers)
                    connection.commit() if numbers.random() < 0.9 else connection.rollback()
                except cluster.psycopg2.errors.DeadlockDetected:
                    connection.rollback()
            connection.close()
        except Exception as error:
            self.failure = error

    def round(self, cursor, numbers):
        cursor.execute(ROUND, {"batch": BATCH, "half": numbers.randint(0, 1),
                               "sku": f"sku-{numbers.randint(1, 2000)}",
                               "key": numbers.randint(1, 500)})
        cursor.execute("INSERT INTO shop.heartbeats VALUES (%s, now()) ON CONFLICT (id) DO UPDATE "
                       "SET at = excluded.at", (numbers.randint(1, 3),))

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(60)
        if self.failure:
            raise self.failure


class Demo:
    stand = "the files"  # where it goes on after a kill
    rebuilds = "rebuilds the tables from the files in another database"

    def __init__(self, server, screen, seconds, pipeline=None):
        self.server = server
        self.screen = screen
        self.seconds = seconds
        self.pipeline = pipeline or narwal.Narwal(server, name="demo")
        self.kills = 0
        self.lines = self.lines_at = 0
        self.rate = 0.0

    def show(self):
        """Rate and lag, as seen from outside: in the files, and at the server's end of the WAL."""
        state = self.pipeline.state()
        now = time.monotonic()
        if now - self.lines_at > 1:
            self.rate = (state.lines - self.lines) / (now - self.lines_at)
            self.lines, self.lines_at = state.lines, now
        if state.lsn == 0:
            self.screen.status(f"copy   {state.lines:>11,} rows   {max(self.rate, 0):>8,.0f} rows/s")
            return
        behind = max(self.server.lsn() - state.lsn, 0)
        self.screen.status(f"live   {state.lines:>11,} lines  {max(self.rate, 0):>8,.0f} changes/s   "
                           f"behind {behind / 1024:>8,.0f} KiB of WAL   durable "
                           f"{cluster.lsn_text(state.lsn)}")

    def watch(self, seconds, until=lambda: False):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not until():
            if not self.pipeline.running:
                raise AssertionError(f"narwal ended\n{self.pipeline.log_tail()}")
            self.show()
            time.sleep(0.2)

    def kill(self, moment):
        self.pipeline.kill()
        self.kills += 1
        self.screen.say(self.screen.paint(f"kill -9 ({self.kills}) {moment}", RED))
        self.pipeline.start()

    def run(self):
        screen, pipeline = self.screen, self.pipeline
        shop = Shop(self.server)
        shop.start()
        screen.say(f"A shop of {len(TABLES)} tables is busy. narwal run {pipeline.file.name}: copy, "
                   f"then stream, into {self.into()}")
        pipeline.start().wait_slot()
        self.kill(self.first_moment())
        self.watch(60, lambda: pipeline.streams())
        self.watch(self.seconds / 3)
        self.kill(f"in the stream: it goes on where {self.stand} stand")
        self.watch(self.seconds / 3)
        self.kill("once more")
        self.watch(self.seconds / 3)
        shop.stop()
        screen.say("The shop is closed. Waiting for the last change ...")
        pipeline.wait_caught_up()
        self.show()
        if pipeline.terminate() != 0:
            raise AssertionError(f"narwal did not end in order\n{pipeline.log_tail()}")
        screen.say(f"A separate Python program {self.rebuilds}\n"
                   "and compares them with the shop's, row by row, both ways ...")
        return self.compare()

    def into(self):
        return f"{self.pipeline.out.name}/"

    def first_moment(self):
        """Waits for the moment of the first kill, and says what it is."""
        self.watch(0.3)
        return ("during the copy: it begins the copy again" if self.pipeline.state().lsn == 0 else
                "just after the copy")

    def compare(self):
        return self.pipeline.compare(TABLES)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=40, help="length of the stream (40)")
    parser.add_argument("--plain", action="store_true", help="no colours, no live line")
    parser.add_argument("--keep", action="store_true", help="leave the server's folder and the files")
    options = parser.parse_args()
    screen = Screen(options.plain)
    os.environ.setdefault("NARWAL_BUILD", str(narwal.ROOT / "build" / "release"))
    if options.keep:
        os.environ["NARWAL_KEEP"] = "1"
    try:
        with cluster.Cluster(15, {"logical_decoding_work_mem": "1MB", "max_wal_size": "4GB"},
                             fresh=True) as server:
            screen.say(screen.paint("A throw-away PostgreSQL 15", BOLD) +
                       f" on port {server.port}, in {server.folder}")
            server.sql(SCHEMA.replace("{customers}", "60000"))
            result = Demo(server, screen, options.seconds).run()
            # What was copied counts too: every row went through narwal once.
            verdict = f"{KILLS} kills, {result.changes:,} changes, {result.rows:,} rows in " \
                      f"{result.tables} tables compared: {result.lost} lost, {result.doubled} " \
                      f"doubled, {result.different} different"
            good = result.good and result.tables == len(TABLES)
            screen.say(screen.paint(verdict, GREEN if good else RED))
            if not good:
                screen.say(result.report())
                return 1
    except check.cluster.servers.Unavailable as error:
        print(error)
        return check.SKIPPED
    binary = os.path.relpath(narwal.build() / "narwal")
    print(f"""
Your own database (wal_level = logical, a role with REPLICATION):
  {binary} tail postgresql://you@host/db        prints changes, leaves nothing behind
  {binary} check --source postgresql://you@host/db
  {binary} run --source postgresql://you@host/db --sink file:./copy""")
    return 0


if __name__ == "__main__":
    sys.exit(main())
