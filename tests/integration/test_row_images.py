#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Which values a change brings: unchanged TOAST, replica identities, keys that change, tables without.

One server and two narwals, one in text and one in binary, follow all tables. Each test makes its
changes, waits, and looks at the lines of its tables in both; at last the tables are rebuilt by the
reader that docs/files.md describes and compared with the source.
"""
import re
import unittest

import psycopg2

from lab import check, cluster, folder
from lab.narwal import BINARY_SECONDS_MAX, Narwal

# Text that is stored out of line: it does not compress.
WIDE = "(SELECT string_agg(md5((g * {0})::text), '') FROM generate_series(1, 300) g)"
# Column -> (type, SQL of a value that is stored out of line). {0} makes values differ.
TYPED = {
    "t": ("text", WIDE),
    "v": ("varchar(20000)", WIDE),
    "c": ("char(9700)", WIDE),
    "b": ("bytea", f"decode({WIDE}, 'hex')"),
    "j": ("json", f"to_json({WIDE})"),
    "jb": ("jsonb", f"jsonb_build_object('k', {WIDE})"),
    "n": ("numeric", "('1' || translate(" + WIDE + ", 'abcdef', '123456'))::numeric"),
    "ta": ("text[]", f"ARRAY[{WIDE}, NULL, 'x']"),
    "na": ("numeric[]", "ARRAY[('1' || translate(" + WIDE + ", 'abcdef', '123456'))::numeric]"),
    "ia": ("integer[]", "(SELECT array_agg(hashint4(g * {0})) FROM generate_series(1, 3000) g)"),
    "ua": ("uuid[]", "(SELECT array_agg(md5((g * {0})::text)::uuid) FROM generate_series(1, 900) g)"),
    "bv": ("bit varying", "(SELECT string_agg(hashint4(g * {0})::bit(32)::text, '') FROM "
                          "generate_series(1, 3000) g)::bit varying"),
}
OTHER = {
    "x": ("xml", f"('<a>' || {WIDE} || '</a>')::xml"),
    "h": ("public.hstore", f"public.hstore('k', {WIDE})"),
    "ci": ("public.citext", f"{WIDE}::public.citext"),
    "ts": ("tsvector", "(SELECT string_agg(md5((g * {0})::text), ' ') FROM generate_series(1, 300) g)"
                       "::tsvector"),
    "p": ("lab.wide_pair", f"ROW(1, {WIDE})::lab.wide_pair"),
    "fa": ("float8[]", "(SELECT array_agg(hashint4(g * {0}) / 3.0) FROM generate_series(1, 1500) g)"),
    "r": ("lab.textrange", f"lab.textrange('a', 'b' || {WIDE})"),
}


def definition(columns):
    return ", ".join(f"{name} {type}" for name, (type, _) in columns.items())


def wide_tables(schema, columns):
    """A table for each replica identity, with every column stored out of line."""
    statements = []
    for name, identity in (("wide", "DEFAULT"), ("wide_full", "FULL"),
                           ("wide_index", "USING INDEX wide_index_code")):
        statements.append(f"CREATE TABLE {schema}.{name} (id integer PRIMARY KEY, code integer NOT NULL, "
                          f"counter integer, {definition(columns)})")
        statements += [f"ALTER TABLE {schema}.{name} ALTER {column} SET STORAGE EXTERNAL"
                       for column in columns]
        statements.append(f"CREATE UNIQUE INDEX {name}_code ON {schema}.{name} (code)")
        statements.append(f"ALTER TABLE {schema}.{name} REPLICA IDENTITY {identity}")
    return ";".join(statements)


TABLES = f"""
CREATE EXTENSION hstore SCHEMA public; CREATE EXTENSION citext SCHEMA public;
CREATE SCHEMA lab; CREATE SCHEMA other;
CREATE TABLE lab.marker (id bigint PRIMARY KEY);
CREATE TYPE lab.wide_pair AS (i integer, t text);
CREATE TYPE lab.textrange AS RANGE (subtype = text);
{wide_tables("lab", TYPED)};
{wide_tables("other", OTHER)};
CREATE TABLE lab.wide_key (id integer, k text, counter integer, t text, PRIMARY KEY (k, id));
ALTER TABLE lab.wide_key ALTER k SET STORAGE EXTERNAL, ALTER t SET STORAGE EXTERNAL;
CREATE TABLE lab.switched (id integer PRIMARY KEY, code text NOT NULL, part integer NOT NULL, v text);
CREATE UNIQUE INDEX switched_code ON lab.switched (part, code);
CREATE TABLE lab.nothing (id integer PRIMARY KEY, v text);
ALTER TABLE lab.nothing REPLICA IDENTITY NOTHING;
CREATE TABLE lab.keyless_log (v text);
CREATE TABLE lab.bag (a integer, v text, f double precision, n numeric);
ALTER TABLE lab.bag REPLICA IDENTITY FULL;
CREATE TABLE lab.swapped (id integer PRIMARY KEY, v text);
CREATE TABLE lab.chain (id integer PRIMARY KEY, v text);
CREATE TABLE lab.aged (id integer, gone text, kept text);
ALTER TABLE lab.aged REPLICA IDENTITY FULL;
CREATE TABLE lab.floats (f double precision, r real, n numeric, m numeric(20,5));
ALTER TABLE lab.floats REPLICA IDENTITY FULL;
CREATE TABLE lab.calm (id integer PRIMARY KEY, v text);
INSERT INTO lab.bag VALUES (1, 'x', 0.1, 1.10), (1, 'x', 0.1, 1.10), (NULL, NULL, NULL, NULL),
    (NULL, NULL, NULL, NULL), (2, '', '-0', 'NaN');
INSERT INTO lab.aged SELECT g, 'gone', 'kept ' || g FROM generate_series(1, 6) g;
INSERT INTO lab.swapped VALUES (1, 'one'), (2, 'two');
INSERT INTO lab.chain SELECT g, 'v' || g FROM generate_series(1, 5) g;
INSERT INTO lab.calm VALUES (1, 'calm');
INSERT INTO lab.switched SELECT g, 'code ' || g, g % 2, 'v' FROM generate_series(1, 9) g;
INSERT INTO lab.floats VALUES (0.1, 0.1, 0.10, 0.1), ('-0', '-0', '-0.00', 'NaN'), ('NaN', 'NaN', 'NaN', 1),
    ('Infinity', '-Infinity', 'Infinity', 2), (1e15, 1e6, 1e30, 3), (5e-324, 1e-45, 1e-30, 4),
    (3.141592653589793, 3.1415927, 3.141592653589793238462643383279, 3.14159),
    (123456789.123456789, 16777217, 123456789.123456789, 123456789.12346);
"""
COLLATION = """
CREATE COLLATION lab.nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE lab.nocase (k text COLLATE lab.nocase PRIMARY KEY, v text);
INSERT INTO lab.nocase VALUES ('Straße', 'a'), ('abc', 'b');
"""


class RowImagesTest(unittest.TestCase):
    longMessage = True
    maxDiff = 2000

    @classmethod
    def setUpClass(cls):
        try:
            cls.server = cls.enter(cluster.Cluster(check.version()))
        except cluster.servers.Unavailable as error:
            raise unittest.SkipTest(str(error))
        cls.server.sql(TABLES)
        try:
            cls.server.sql(COLLATION)
            cls.collations = True
        except psycopg2.Error:  # a server without ICU
            cls.collations = False
        for schema, columns in (("lab", TYPED), ("other", OTHER)):
            for name in ("wide", "wide_full", "wide_index"):
                cls.insert_wide(f"{schema}.{name}", columns, 1)
        cls.text = cls.enter(Narwal(cls.server, name="text", settings={"source": {"values": "text"}}))
        cls.binary = cls.enter(Narwal(cls.server, name="binary",
                                      settings={"tables": {"include": ["lab.*"]}}))
        for narwal in (cls.text, cls.binary):
            narwal.start()
        for narwal in (cls.text, cls.binary):
            narwal.wait_streaming()
        for narwal, wanted in ((cls.text, False), (cls.binary, True)):
            query = narwal.stream_query(BINARY_SECONDS_MAX if wanted else 3)
            if bool(re.search("binary '?(true|on|1)", query)) != wanted:
                raise AssertionError(f"{narwal.name} follows by {query}")

    @classmethod
    def enter(cls, manager):
        value = manager.__enter__()
        cls.addClassCleanup(manager.__exit__, None, None, None)
        return value

    @classmethod
    def insert_wide(cls, table, columns, number):
        values = ", ".join(value.format(number) for _, value in columns.values())
        cls.server.sql(f"INSERT INTO {table} SELECT {number}, {number}, 0, {values}")

    # ---- looking at what arrived -----------------------------------------------------------------

    def followers(self, schema):
        narwals = [self.text] if schema == "other" else [self.text, self.binary]
        for narwal in narwals:
            narwal.wait_caught_up()
        return narwals

    def lines(self, narwal, schema, name):
        """The changes of a table but schema versions, and its versions by number."""
        log = next(log for log in narwal.state().logs() if (log.schema, log.name) == (schema, name))
        return [event for event in log.changes() if event["op"] != "S"], log.schemas

    def assert_rebuilt(self, narwal, schema, name):
        """What a reader makes of the files is what the source has."""
        rebuilt = next(table for table in narwal.state().folder.tables
                       if (table.schema, table.name) == (schema, name)).rebuild()
        columns = [row[0] for row in self.server.sql(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT "
            "attisdropped AND attgenerated = '' ORDER BY attnum", (f"{schema}.{name}",))]
        connection = folder.oracle.connect(self.server.dsn())
        with connection.cursor() as cursor:
            texts = ", ".join(f"CASE WHEN {c} IS DISTINCT FROM NULL THEN concat({c}) END" for c in columns)
            cursor.execute(f"SELECT {texts} FROM {schema}.{name}")
            wanted = sorted(cursor.fetchall(), key=repr)
        connection.close()
        found = sorted((tuple(self.printed(row[c]) for c in columns) for row in rebuilt), key=repr)
        self.assertEqual([len(found), len(wanted)], [len(wanted)] * 2)
        for one, other in zip(found, wanted):
            self.assertEqual([str(v)[:200] for v in one], [str(v)[:200] for v in other])
            self.assertEqual(one, other)

    @staticmethod
    def printed(value):
        """A value of the file as PostgreSQL prints it; numbers are text here."""
        return value if value is None or isinstance(value, str) else \
            {True: "t", False: "f"}[value] if isinstance(value, bool) else str(value)

    def assert_image(self, event, side, present, missing=()):
        """present: the columns of the image; None: there is no such image."""
        image = event.get(side)
        self.assertEqual(None if image is None else set(image),
                         None if present is None else set(present), (side, str(event)[:500]))
        self.assertEqual(set(event.get(f"{side}_missing", ())), set(missing), (side, str(event)[:500]))

    # ---- unchanged TOAST -------------------------------------------------------------------------

    def test_unchanged_toast_of_every_type(self):
        for schema, columns in (("lab", TYPED), ("other", OTHER)):
            for name in ("wide", "wide_full", "wide_index"):
                self.change_wide(f"{schema}.{name}", columns)
            for narwal in self.followers(schema):
                for name in ("wide", "wide_full", "wide_index"):
                    with self.subTest(narwal=narwal.name, table=f"{schema}.{name}"):
                        self.assert_wide(narwal, schema, name, set(columns))
                        self.assert_rebuilt(narwal, schema, name)

    def change_wide(self, table, columns):
        """Rows 1 copied, 2 streamed, 3 inserted and updated in one transaction; then keys."""
        self.insert_wide(table, columns, 2)
        values = ", ".join(value.format(3) for _, value in columns.values())
        other = ", ".join(f"{name} = {value.format(4)}" for name, (_, value) in columns.items())
        nulls = ", ".join(f"{name} = NULL" for name in columns)
        for statement in (
                f"INSERT INTO {table} SELECT 3, 3, 0, {values}; "
                f"UPDATE {table} SET counter = 1 WHERE id = 3; UPDATE {table} SET counter = 2 WHERE id = 3",
                f"UPDATE {table} SET counter = 1 WHERE id = 1",
                f"UPDATE {table} SET counter = 1 WHERE id = 2",
                f"UPDATE {table} SET id = 11, code = 11 WHERE id = 1",
                f"UPDATE {table} SET id = 12 WHERE id = 2",
                f"UPDATE {table} SET {other} WHERE id = 3",
                f"UPDATE {table} SET {nulls} WHERE id = 3",
                f"DELETE FROM {table} WHERE id = 12"):
            self.server.sql(statement)

    def assert_wide(self, narwal, schema, name, wide):
        lines, _ = self.lines(narwal, schema, name)
        whole, key = {"id", "code", "counter"} | wide, {"wide": {"id"}, "wide_index": {"code"}}.get(name)
        self.assertEqual("".join(line["op"] for line in lines), "IIUUUUUUUUD")
        for line in lines:
            self.assertEqual({value for side in ("before", "after") for value in line.get(side, {}).values()
                              if value == ""}, set(), "a placeholder")
        unchanged = [2, 3, 4, 5, 6, 7]
        for index, line in enumerate(lines[:10]):
            if key is None:  # REPLICA IDENTITY FULL: the old image has all of it
                self.assert_image(line, "after", whole)
                self.assert_image(line, "before", whole if line["op"] == "U" else None)
                if index in unchanged:
                    self.assertEqual({c: line["before"][c] for c in wide},
                                     {c: line["after"][c] for c in wide})
                continue
            missing = wide if index in unchanged else set()
            self.assert_image(line, "after", whole - missing, missing)
            # Line 6 changes both keys, line 7 only the primary key.
            changed = index == 6 or (index == 7 and name == "wide")
            self.assert_image(line, "before", key if changed else None, whole - key if changed else ())
        self.assert_image(lines[10], "before", key or whole, whole - key if key else ())
        self.assertTrue(all(lines[9]["after"][column] is None for column in wide))

    def test_a_key_that_is_stored_out_of_line(self):
        """Its old value is sent with every change, and fills the new image where it did not change."""
        random = "(SELECT string_agg(md5((g * {0})::text), '') FROM generate_series(1, 75) g)"
        for number in (1, 2):
            self.server.sql(f"INSERT INTO lab.wide_key SELECT {number}, {random.format(number)}, 0, "
                            f"{WIDE.format(7)}")
        keys = [value for value, in self.server.sql("SELECT k FROM lab.wide_key ORDER BY id")]
        self.server.sql("UPDATE lab.wide_key SET counter = 1 WHERE id = 1")
        self.server.sql("UPDATE lab.wide_key SET id = 3 WHERE id = 1")
        self.server.sql("UPDATE lab.wide_key SET k = 'short' WHERE id = 2")
        self.server.sql("DELETE FROM lab.wide_key WHERE id = 3")
        for narwal in self.followers("lab"):
            lines, _ = self.lines(narwal, "lab", "wide_key")
            self.assertEqual([line["op"] for line in lines], list("IIUUUD"))
            for line in lines[2:5]:
                self.assert_image(line, "after", {"id", "k", "counter"}, {"t"})
                self.assert_image(line, "before", {"id", "k"}, {"counter", "t"})
            images = [(line["before"]["id"], line["before"]["k"], line["after"]["id"], line["after"]["k"])
                      for line in lines[2:5]]
            self.assertEqual(images, [("1", keys[0], "1", keys[0]), ("1", keys[0], "3", keys[0]),
                                      ("2", keys[1], "2", "short")])
            self.assert_image(lines[5], "before", {"id", "k"}, {"counter", "t"})
            self.assert_rebuilt(narwal, "lab", "wide_key")

    # ---- replica identities ----------------------------------------------------------------------

    def fails_at_the_source(self, statement):
        with self.assertRaises(psycopg2.errors.ObjectNotInPrerequisiteState):
            self.server.sql(statement)

    def test_an_identity_that_is_switched_while_it_is_followed(self):
        """Each change has the images of the identity in force for it, and a version that says which."""
        change = "UPDATE lab.switched SET {0} WHERE id = {1}; "
        table = "ALTER TABLE lab.switched REPLICA IDENTITY "
        code = "code = code || ' changed'"
        self.server.sql(change.format("v = 'a'", 1) + change.format("id = 21", 1))        # default
        self.server.sql(change.format("v = 'b'", 2) + table + "FULL; " + change.format("v = 'c'", 2))
        self.server.sql("DELETE FROM lab.switched WHERE id = 3")
        self.server.sql(table + "USING INDEX switched_code")
        self.server.sql(change.format("v = 'd'", 4) + change.format(code, 4))
        self.server.sql("DELETE FROM lab.switched WHERE id = 5")
        self.server.sql(change.format("id = 26", 6))
        self.server.sql("DROP INDEX lab.switched_code")
        # Without the index nothing identifies a row: the server refuses, and keeps taking inserts.
        self.fails_at_the_source(change.format("v = 'e'", 7))
        self.server.sql("INSERT INTO lab.switched VALUES (10, 'code 10', 0, 'v')")
        self.server.sql(table + "NOTHING")
        self.fails_at_the_source("DELETE FROM lab.switched WHERE id = 7")
        self.server.sql("INSERT INTO lab.switched VALUES (11, 'code 11', 0, 'v')")
        self.server.sql(table + "DEFAULT")
        self.server.sql(change.format("v = 'f'", 7) + "DELETE FROM lab.switched WHERE id = 8")
        whole, key = {"id", "code", "part", "v"}, {"part", "code"}
        images = [("U", None, "d"), ("U", {"id"}, "d"), ("U", None, "d"), ("U", whole, "f"),
                  ("D", whole, "f"), ("U", None, "i"), ("U", key, "i"), ("D", key, "i"),
                  ("U", None, "i"), ("I", None, "i"), ("I", None, "n"), ("U", None, "d"), ("D", {"id"}, "d")]
        for narwal in self.followers("lab"):
            lines, schemas = self.lines(narwal, "lab", "switched")
            self.assertEqual([line["op"] for line in lines], [op for op, _, _ in images])
            for line, (op, before, identity) in zip(lines, images):
                schema = schemas[line["schema"]]
                self.assert_image(line, "before", before, whole - before if before else ())
                self.assert_image(line, "after", whole if op != "D" else None)
                self.assertEqual(schema["replica_identity"], identity)
                if before is not None:
                    self.assertEqual({c["name"] for c in schema["columns"] if c["identity"]}, before)
                if op != "I":  # the columns by which a reader finds the row
                    self.assertEqual(set(schema["key"]), {"part", "code"} if identity == "i" else {"id"})
            self.assert_rebuilt(narwal, "lab", "switched")

    def test_without_an_identity_only_inserts_are_published(self):
        """Publishing more would make the application's updates fail."""
        for table in ("nothing (id, v)", "keyless_log (v)"):
            values = "1, 'v'" if "id" in table else "'v'"
            self.server.sql(f"INSERT INTO lab.{table} VALUES ({values})")
            name = table.split()[0]
            self.server.sql(f"UPDATE lab.{name} SET v = 'not published'")
            self.server.sql(f"DELETE FROM lab.{name}")
        for narwal in self.followers("lab"):
            for name in ("nothing", "keyless_log"):
                lines, schemas = self.lines(narwal, "lab", name)
                self.assertEqual([line["op"] for line in lines], ["I"])
                self.assertEqual(lines[0]["after"]["v"], "v")

    # ---- keys that change ------------------------------------------------------------------------

    def test_keys_swapped_in_one_transaction(self):
        self.server.sql("BEGIN; UPDATE lab.swapped SET id = 0 WHERE id = 1; UPDATE lab.swapped SET id = 1 "
                        "WHERE id = 2; UPDATE lab.swapped SET id = 2 WHERE id = 0; COMMIT")
        self.server.sql("BEGIN; UPDATE lab.chain SET id = -id; UPDATE lab.chain SET id = 1 - id; "
                        "DELETE FROM lab.chain WHERE id = 2; INSERT INTO lab.chain VALUES (1, 'new'); "
                        "UPDATE lab.chain SET id = 2 WHERE id = 1; COMMIT")
        for narwal in self.followers("lab"):
            lines, _ = self.lines(narwal, "lab", "swapped")
            self.assertEqual([(line["before"]["id"], line["after"]["id"]) for line in lines],
                             [("1", "0"), ("2", "1"), ("0", "2")])
            for name in ("swapped", "chain"):
                self.assert_rebuilt(narwal, "lab", name)

    def test_keys_that_a_collation_calls_equal(self):
        """Keys are bytes here: what differs in bytes has changed."""
        if not self.collations:
            self.skipTest("this server was built without ICU")
        self.server.sql("UPDATE lab.nocase SET k = 'STRASSE' WHERE k = 'straße'")
        self.server.sql("UPDATE lab.nocase SET k = 'ABC' WHERE k = 'Abc'")
        self.server.sql("UPDATE lab.nocase SET v = 'c' WHERE k = 'aBC'")
        with self.assertRaises(psycopg2.errors.UniqueViolation):
            self.server.sql("INSERT INTO lab.nocase VALUES ('abC', 'd')")
        for narwal in self.followers("lab"):
            lines, _ = self.lines(narwal, "lab", "nocase")
            self.assertEqual([(line.get("before"), line["after"]) for line in lines[-2:]],
                             [({"k": "abc"}, {"k": "ABC", "v": "b"}), (None, {"k": "ABC", "v": "c"})])
            self.assert_rebuilt(narwal, "lab", "nocase")

    # ---- tables without a key --------------------------------------------------------------------

    def assert_compared(self, narwal, *names):
        result = narwal.compare([("lab", name) for name in names])
        self.assertTrue(result.good, result.report())

    def test_equal_rows_are_counted(self):
        first = "ctid = (SELECT min(ctid) FROM lab.bag WHERE {0})"
        for condition in ("a = 1", "a IS NULL"):
            self.server.sql("DELETE FROM lab.bag WHERE " + first.format(condition))
        self.server.sql("INSERT INTO lab.bag VALUES (1, 'x', 0.1, 1.10), (1, 'x', 0.1, 1.1)")
        self.server.sql("UPDATE lab.bag SET v = 'y' WHERE a = 1")  # 1.10 and 1.1 stay apart
        self.server.sql("DELETE FROM lab.bag WHERE " + first.format("n::text = '1.10'"))
        self.server.sql("UPDATE lab.bag SET a = a WHERE a = 2")
        for narwal in self.followers("lab"):
            lines, schemas = self.lines(narwal, "lab", "bag")
            self.assertEqual("".join(line["op"] for line in lines), "DDIIUUUDU")
            for line in lines:
                if line["op"] != "I":
                    self.assert_image(line, "before", {"a", "v", "f", "n"})
            self.assertEqual(schemas[lines[0]["schema"]]["key"], [])
            self.assert_compared(narwal, "bag")

    def test_old_images_have_the_default_of_a_column_added_later(self):
        self.server.sql("ALTER TABLE lab.aged ADD c text DEFAULT 'was not there', ADD n numeric DEFAULT 1.50")
        self.server.sql("ALTER TABLE lab.aged DROP gone")
        self.server.sql("UPDATE lab.aged SET kept = 'changed' WHERE id = 1")
        self.server.sql("UPDATE lab.aged SET c = NULL WHERE id = 2")
        self.server.sql("DELETE FROM lab.aged WHERE id = 3")
        self.followers("lab")  # what rows of before have in the column is looked up while it has the default
        self.server.sql("ALTER TABLE lab.aged ALTER c DROP DEFAULT")
        self.server.sql("UPDATE lab.aged SET id = 14 WHERE id = 4")
        for narwal in self.followers("lab"):
            lines, _ = self.lines(narwal, "lab", "aged")
            self.assertEqual("".join(line["op"] for line in lines), "UUDU")
            for number, line in enumerate(lines, 1):
                self.assertEqual(line["before"], {"id": str(number), "kept": f"kept {number}",
                                                  "c": "was not there", "n": "1.50"})
            self.assertEqual([line.get("after", {}).get("c") for line in lines],
                             ["was not there", None, None, "was not there"])
            self.assert_compared(narwal, "aged")

    def test_floats_find_their_rows(self):
        self.server.sql("UPDATE lab.floats SET m = 0 WHERE f > 0.05 AND f < 0.2")
        self.server.sql("UPDATE lab.floats SET f = f, m = m")
        self.server.sql("DELETE FROM lab.floats WHERE f = 0 OR f = 'Infinity'")
        for narwal in self.followers("lab"):
            lines, _ = self.lines(narwal, "lab", "floats")
            self.assertEqual("".join(line["op"] for line in lines), "U" * 9 + "DD")
            for line in lines[1:9]:
                self.assertEqual(line["before"], line["after"])
            self.assert_compared(narwal, "floats")

    # ---- changes of nothing ----------------------------------------------------------------------

    def test_changes_of_nothing(self):
        """An update to the same values is an update; an empty transaction moves the position."""
        self.server.sql("UPDATE lab.calm SET v = v")
        self.server.sql("UPDATE lab.calm SET v = 'not here' WHERE id = 2")
        self.server.sql("BEGIN; SAVEPOINT a; UPDATE lab.calm SET v = 'x'; ROLLBACK TO a; COMMIT")
        self.server.sql("BEGIN; SELECT txid_current(); COMMIT")
        for narwal in self.followers("lab"):
            lines, _ = self.lines(narwal, "lab", "calm")
            self.assertEqual([(line["op"], line.get("before"), line["after"]) for line in lines],
                             [("U", None, {"id": "1", "v": "calm"})])
            self.assert_rebuilt(narwal, "lab", "calm")


if __name__ == "__main__":
    check.main()
