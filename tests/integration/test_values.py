#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Values of every type against PostgreSQL's own output: copy and stream, binary and text.

What is expected of a type comes from the table of docs/values.md, what is expected of a value from
the server: its text, and its canonical bytes by the SQL expression of that table.
"""
import re

from lab import canonical, check, oracle, type_matrix, workload
from lab.cluster import servers  # noqa: F401, puts tests/servers on the path
from lab.narwal import BINARY_SECONDS_MAX, Narwal

import extensions  # noqa: E402

# Settings of the role and of the database that must change nothing.
NASTY = ("datestyle = 'SQL, DMY'", "intervalstyle = 'iso_8601'", "timezone = 'Asia/Kolkata'",
         "extra_float_digits = -5", "bytea_output = 'escape'", "xmloption = 'document'",
         "search_path = 'lab', 'typed', 'other'", "client_encoding = 'LATIN1'",
         "lc_monetary = 'C.UTF-8'", "quote_all_identifiers = on", "default_transaction_isolation = "
         "'serializable'", "xmlbinary = 'hex'", "lc_messages = 'C.UTF-8'", "row_security = off",
         "array_nulls = off", "statement_timeout = '1s'", "idle_in_transaction_session_timeout = '1s'")
STEP = 1000  # between the ids of the same value in the copy, inserted, and updated


class Column:
    """A table of one type: (id, v)."""

    def __init__(self, number, kind, rows):
        self.kind = kind
        self.schema = "typed" if kind.typed else "plain"
        self.name = f"t{number}"
        self.table = f"{self.schema}.{self.name}"
        self.rows = rows

    def create(self, cursor):
        cursor.execute(f"CREATE TABLE {self.table} (id integer PRIMARY KEY, v {self.kind.sql})")
        cursor.execute(f"ALTER TABLE {self.table} REPLICA IDENTITY FULL")
        for index, value in enumerate(self.kind.values):
            cursor.execute(f"INSERT INTO {self.table} VALUES (%s, %s::{self.kind.sql})",
                           (index + 1, value))
        cursor.execute(f"INSERT INTO {self.table} VALUES (0, NULL)")

    def change(self, cursor):
        cursor.execute(f"INSERT INTO {self.table} SELECT id + {STEP}, v FROM {self.table}")
        cursor.execute(f"UPDATE {self.table} SET id = id + {STEP} WHERE id >= {STEP}")
        cursor.execute(f"DELETE FROM {self.table} WHERE id >= {2 * STEP}")

    def read(self, cursor):
        """id -> (what the output function prints, canonical bytes), and the table's line."""
        cursor.execute(
            "WITH RECURSIVE down AS (SELECT atttypid AS oid, atttypmod AS typmod FROM "
            f"pg_catalog.pg_attribute WHERE attrelid = '{self.table}'::pg_catalog.regclass AND "
            "attname = 'v' UNION ALL SELECT t.typbasetype, t.typtypmod FROM down JOIN "
            "pg_catalog.pg_type t ON t.oid = down.oid AND t.typtype = 'd') "
            "SELECT format_type(d.oid, NULL), substring(format_type(d.oid, d.typmod) from "
            "'\\(.*\\)'), t.typtype = 'e' FROM down d JOIN pg_catalog.pg_type t "
            "ON t.oid = d.oid AND t.typtype <> 'd'")
        self.row = canonical.row_of(self.rows, *cursor.fetchone())
        expression = re.sub(r"\bc\b", "v", self.row.sql)
        cursor.execute(f"SELECT id, textsend(concat(v)), {expression}, v IS DISTINCT FROM NULL "
                       f"FROM {self.table}")
        self.expected = {}
        for id_, printed, hashed, there in cursor.fetchall():
            self.expected[id_] = self.values(bytes(printed), bytes(hashed)) if there else (None, None)

    def values(self, printed, hashed):
        """Text, and canonical bytes. Before 16 "char" prints bytes as they are: docs/values.md."""
        if self.kind.sql.startswith('"char"') and any(byte >= 0x80 for byte in printed):
            form = '"\\\\%03o"' if self.kind.sql.endswith("[]") else "\\%03o"
            text = "".join(form % byte if byte >= 0x80 else chr(byte) for byte in printed)
            return text, text.encode() if self.kind.sql.endswith("[]") else hashed
        return printed.decode(), hashed


class Examining(check.Case):
    """Tables of one type each in the database `strange`, against what the server says of them."""

    def examine(self, narwal, *schemas):
        logs = {(log.schema, log.name): log for log in narwal.state().logs()}
        images = 0
        for column in self.columns:
            if column.schema in schemas:
                log = logs[column.schema, column.name]
                label = f"{narwal.name}: {column.kind.sql}"
                for schema in log.schemas.values():
                    kind = next(c["kind"] for c in schema["columns"] if c["name"] == "v")
                    if kind not in column.row.kinds:
                        self.problems.append(f"{label} is {kind}, not {column.row.kinds}")
                for where, events in (("copy", log.copy()), ("stream", log.changes())):
                    for event in events:
                        images += self.examine_event(f"{label} {where}", column, event)
        return images

    def examine_event(self, label, column, event):
        images = 0
        for side in ("before", "after"):
            image = event.get(side)
            if image is not None:
                images += 1
                self.examine_value(f"{label} {side}", column.row,
                                   column.expected[int(image["id"]) % STEP], image.get("v", "absent"))
        return images

    def examine_value(self, label, row, expected, value):
        printed, hashed = expected
        form = printed
        if row.json == "bool" and printed is not None:
            form = printed == "t"
        if value != form:
            self.problems.append(f"{label}: {value!r:.200}, the server prints {form!r:.200}")
        elif canonical.canonical(row, value) != hashed:
            self.problems.append(f"{label}: canonical bytes of {value!r:.200} are "
                                 f"{canonical.canonical(row, value)!r:.200}, the server's {hashed!r:.200}")


class ValuesTest(Examining):
    def setUp(self):
        self.server = self.cluster()
        self.server.sql("CREATE DATABASE strange")
        connection = oracle.connect(self.server.dsn("strange"))
        self.cursor = connection.cursor()
        self.addCleanup(connection.close)
        workload.create_types(connection)
        self.cursor.execute("CREATE TABLE lab.marker (id bigint PRIMARY KEY)")
        self.cursor.execute("CREATE SCHEMA typed; CREATE SCHEMA plain")
        self.cursor.execute(type_matrix.TYPES_SQL)
        rows = canonical.table()
        self.columns = [Column(number, kind, rows)
                        for number, kind in enumerate(type_matrix.of_version(check.version()))]
        self.cursor.execute("CREATE ROLE odd LOGIN SUPERUSER REPLICATION")
        for setting in NASTY:  # for later sessions than ours
            self.cursor.execute(f"ALTER DATABASE strange SET {setting}")
            self.cursor.execute(f"ALTER ROLE odd SET {setting}")

    def follow(self, name, schemas, **source):
        source["dsn"] = self.server.dsn("strange", user="odd")
        narwal = self.enter(Narwal(self.server, name=name, database="strange", settings={
            "source": source, "tables": {"include": ["lab.marker"] + [f"{s}.*" for s in schemas]}}))
        return narwal.start()

    def test_every_type(self):
        for column in self.columns:
            column.create(self.cursor)
        binary = self.follow("binary", ["typed"])
        text = self.follow("text", ["typed", "plain"], values="text")
        for narwal in (binary, text):
            narwal.wait_streaming()
        self.assertRegex(binary.stream_query(BINARY_SECONDS_MAX), "binary '?(true|on|1)",
                         "values did not come in binary")
        self.assertNotRegex(text.stream_query(), "binary '?(true|on|1)")
        for column in self.columns:
            column.change(self.cursor)
        for narwal in (binary, text):
            narwal.wait_caught_up()
        for column in self.columns:
            column.read(self.cursor)
        lines = {tuple(column.row.names) for column in self.columns}
        self.assertEqual([row.names for row in canonical.table() if tuple(row.names) not in lines], [])
        self.problems = []
        images = self.examine(binary, "typed") + self.examine(text, "typed", "plain")
        self.assertEqual(self.problems, [], "\n".join([""] + self.problems[:30]))
        # Each value: once in the copy, inserted, before and after the update, before the delete.
        values = [len(column.kind.values) + 1 for column in self.columns]
        typed = [len(column.kind.values) + 1 for column in self.columns if column.kind.typed]
        self.assertEqual(images, 5 * (sum(values) + sum(typed)))
        print(f"{len(self.columns)} types, {images} values ... ", end="", flush=True)

    def test_no_type_is_forgotten(self):
        """Each type that the server has is in the matrix."""
        self.cursor.execute(
            "SELECT typname FROM pg_catalog.pg_type WHERE typnamespace = 'pg_catalog'::regnamespace "
            "AND typtype IN ('b', 'r', 'm') AND NOT (typcategory = 'A' AND typname LIKE '\\_%')")
        there = {name for name, in self.cursor.fetchall()} - type_matrix.WITHOUT_VALUES
        self.cursor.execute("CREATE TEMP TABLE every (id integer)")
        for number, column in enumerate(self.columns):
            self.cursor.execute(f"ALTER TABLE every ADD v{number} {column.kind.sql}")
        self.cursor.execute("SELECT t.typname FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type "
                            "t ON t.oid = a.atttypid WHERE attrelid = 'pg_temp.every'::regclass")
        tested = {name for name, in self.cursor.fetchall()}
        self.assertEqual(there - tested, set())


class ExtensionsTest(Examining):
    """Extensions that PostgreSQL does not come with."""

    def follow(self, made, extension, kinds):
        """The values of `kinds` in the copy and in the stream; the open cursor."""
        try:
            major, programs, libraries = made()
        except extensions.servers.Unavailable as error:
            self.skipTest(str(error))
        server = self.cluster(version=major, programs=programs, libraries=libraries)
        connection = oracle.connect(server.dsn())
        self.addCleanup(connection.close)
        self.cursor = connection.cursor()
        self.cursor.execute("CREATE SCHEMA lab; CREATE TABLE lab.marker (id bigint PRIMARY KEY);"
                            f"CREATE SCHEMA plain; CREATE EXTENSION {extension} SCHEMA public")
        self.columns = [Column(number, kind, canonical.table()) for number, kind in enumerate(kinds)]
        for column in self.columns:
            column.create(self.cursor)
        narwal = self.enter(Narwal(server, settings={"tables": {"include": ["lab.marker", "plain.*"]}}))
        narwal.start().wait_streaming()
        for column in self.columns:
            column.change(self.cursor)
        narwal.wait_caught_up()
        for column in self.columns:
            column.read(self.cursor)
        self.problems = []
        images = self.examine(narwal, "plain")
        self.assertEqual(self.problems, [])
        self.assertEqual(images, 5 * sum(len(kind.values) + 1 for kind in kinds))

    def test_postgis(self):
        points = ("POINT(1 2)", "SRID=4326;POINT Z (1 2 3)", "POINT EMPTY",
                  "SRID=3857;POLYGON((0 0,4 0,4 4,0 4,0 0),(1 1,2 1,2 2,1 2,1 1))",
                  "GEOMETRYCOLLECTION(POINT(0.1 -0),LINESTRING(1 2,4 5))", "LINESTRING M (1 2 3,4 5 6)")
        self.follow(extensions.postgis, "postgis", [
            type_matrix.text("public.geometry", *points),
            type_matrix.text("public.geometry(Point,4326)", "SRID=4326;POINT(1 2)"),
            type_matrix.text("public.geography", "SRID=4326;POINT(-71.06 42.28)", "LINESTRING(0 0,1 1)"),
            type_matrix.text("public.geometry[]", "{0101000000000000000000F03F0000000000000040:NULL}"),
            type_matrix.text("public.box2d", "BOX(0 0,1.5 2)"),
            type_matrix.text("public.box3d", "BOX3D(0 0 0,1.5 2 3)")])
        self.cursor.execute("SELECT count(*), count(*) FILTER (WHERE concat(v) = "
                            "upper(encode(public.ST_AsEWKB(v), 'hex'))) FROM plain.t0 WHERE id > 0")
        self.assertEqual(self.cursor.fetchone(), (len(points), len(points)), "it is EWKB in hex")

    def test_pgvector(self):
        self.follow(extensions.vector, "vector", [
            type_matrix.text("public.vector", "[1,2.5,-0]", "[1e-30,3.4e38]"),
            type_matrix.text("public.vector(3)", "[0.1,0.2,0.3]"),
            type_matrix.text("public.vector[]", '{"[1,2]",NULL}')])


class EncodingTest(check.Case):
    """Databases that are not in UTF-8."""

    TYPED = ("text", "varchar(40)", "char(40)", "json", "jsonb", "text[]", "lab.odd", "bytea")
    TYPES = TYPED + ("lab.odd[]", "lab.pair", "other.custom", "public.hstore")

    def create(self, encoding, values):
        """A database with a table of each type, whose values are bytes; its cursor."""
        self.server = self.cluster()
        self.server.sql(f"CREATE DATABASE strange ENCODING '{encoding}' TEMPLATE template0 LOCALE 'C'")
        connection = oracle.connect(self.server.dsn("strange"))
        self.addCleanup(connection.close)
        cursor = connection.cursor()
        cursor.execute("SET client_encoding = 'SQL_ASCII'")  # bytes in, bytes out
        cursor.execute(b"CREATE SCHEMA lab; CREATE TABLE lab.marker (id bigint PRIMARY KEY);"
                       b"CREATE TYPE lab.odd AS ENUM ('plain', 'odd \xe9'); SET search_path = ''")
        cursor.execute(b"CREATE TYPE lab.pair AS (a integer, b text); CREATE TYPE lab.mood AS ENUM ()")
        cursor.execute("CREATE DOMAIN lab.positive AS integer")
        cursor.execute(type_matrix.TYPES_SQL)
        forms = {"json": b'["%s"]', "jsonb": b'["%s"]', "text[]": b'{NULL,"%s"}', "bytea": b"%s",
                 "lab.pair": b'(1,"%s")', "public.hstore": b'"%s"=>"%s"'}
        for number, name in enumerate(self.TYPES):
            cursor.execute(f"CREATE TABLE lab.t{number} (id integer PRIMARY KEY, v {name})")
            cursor.execute(f"ALTER TABLE lab.t{number} REPLICA IDENTITY FULL")
            for index, value in enumerate(values):
                form = forms.get(name, b"%s")
                literal = form.replace(b"%s", value)
                if name.startswith("lab.odd"):
                    literal = b"odd \xe9" if name == "lab.odd" else b'{plain,"odd \xe9"}'
                cursor.execute(f"INSERT INTO lab.t{number} VALUES ({index + 1}, '".encode() + literal +
                               f"'::{name})".encode())
        return cursor

    def follow(self, cursor, client, types):
        """Copied, then inserted, updated and deleted: each image against the server's bytes."""
        narwal = self.enter(Narwal(self.server, database="strange", settings={"tables": {
            "include": ["lab.marker"] + [f"lab.t{number}" for number in range(len(types))]}}))
        narwal.start().wait_streaming()
        if types == self.TYPED:
            self.assertRegex(narwal.stream_query(BINARY_SECONDS_MAX), "binary '?(true|on|1)")
        else:
            self.assertNotRegex(narwal.stream_query(), "binary '?(true|on|1)")
        for number in range(len(types)):
            for statement in ("INSERT INTO {} SELECT id + 1000, v FROM {}",
                              "UPDATE {} SET id = id + 1000 WHERE id > 1000",
                              "DELETE FROM {} WHERE id > 1000"):
                cursor.execute(statement.replace("{}", f"lab.t{number}"))
        narwal.wait_caught_up()
        cursor.execute(f"SET client_encoding = {client}")
        logs = {log.name: log for log in narwal.state().logs()}
        odd = 0
        for number, name in enumerate(types):
            expression = "v" if name == "bytea" else "textsend(concat(v))"
            cursor.execute(f"SELECT id, {expression} FROM lab.t{number}")
            expected = {id_: bytes(value) for id_, value in cursor.fetchall()}
            images = [(where, event[side]) for where, events in (("copy", logs[f"t{number}"].copy()),
                                                                  ("stream", logs[f"t{number}"].changes()))
                      for event in events for side in ("before", "after") if event.get(side)]
            self.assertEqual(len(images), 5 * len(expected), name)
            for where, image in images:
                value = image["v"]
                found = bytes.fromhex(value["$bytes"]) if isinstance(value, dict) else \
                    bytes.fromhex(value[2:]) if name == "bytea" else value.encode()
                self.assertEqual(found, expected[int(image["id"]) % 1000], f"{name} {where} {value}")
                odd += isinstance(value, dict)
        return odd

    def test_bytes_that_are_no_text(self):
        """SQL_ASCII: carried as they are, in the copy and in both forms of the stream."""
        values = [b"plain", b"caf\xc3\xa9", b"caf\xe9", b"\xff\xfe", b"\xed\xa0\x80"]
        cursor = self.create("SQL_ASCII", values)
        # Three of the values in all types but enums and bytea, and the enums' label each time.
        self.assertEqual(self.follow(cursor, "SQL_ASCII", self.TYPES),
                         5 * (3 * (len(self.TYPES) - 3) + 2 * len(values)))
        self.assertEqual(self.follow(cursor, "SQL_ASCII", self.TYPED),
                         5 * (3 * (len(self.TYPED) - 2) + len(values)))

    def test_another_encoding_arrives_as_utf8(self):
        cursor = self.create("LATIN1", [b"plain", b"caf\xe9", b"\xff \x80"])
        self.assertEqual(self.follow(cursor, "UTF8", self.TYPES), 0)


    def test_a_character_that_utf8_does_not_have(self):
        """Byte 81 of WIN1252: the copy waits until it is mended, the stream cannot go on."""
        cursor = self.create("WIN1252", [])
        # Else the mended row's former value is in the WAL too, perhaps behind the slot that the copy has just made.
        cursor.execute("ALTER TABLE lab.t0 REPLICA IDENTITY DEFAULT")
        cursor.execute(b"INSERT INTO lab.t0 VALUES (1, 'a\x81'), (2, 'caf\xe9')")
        narwal = self.enter(Narwal(self.server, database="strange")).start()
        reason = 'character with byte sequence 0x81 in encoding "WIN1252" has no equivalent'
        narwal.wait("the reason", lambda: reason in narwal.log())
        cursor.execute("UPDATE lab.t0 SET v = 'mended' WHERE id = 1")
        narwal.wait_streaming().wait_caught_up()
        log = next(log for log in narwal.state().logs() if log.name == "t0")
        self.assertEqual({event["after"]["v"] for event in log.copy()}, {"mended", "café"})
        cursor.execute(b"INSERT INTO lab.t0 VALUES (3, '\x81')")
        self.assertNotEqual(narwal.wait_exit(), 0)
        self.assertIn(reason, narwal.log())
        self.assertRegex(narwal.log(), "NW2326 .*drop the slot")

    def test_names_that_are_no_text(self):
        cursor = self.create("SQL_ASCII", [])
        cursor.execute(b'CREATE TABLE lab."t\xe9" (id integer PRIMARY KEY, "v\xe9" text)')
        cursor.execute(b'INSERT INTO lab."t\xe9" VALUES (1, \'x\')')
        narwal = self.enter(Narwal(self.server, database="strange")).start().wait_streaming()
        cursor.execute(b'INSERT INTO lab."t\xe9" VALUES (2, \'y\')')
        narwal.wait_caught_up()
        log = next(log for log in narwal.state().logs() if log.name == "t\udce9")
        self.assertEqual([event["after"] for event in [*log.copy(), *log.changes()]],
                         [{"id": "1", "v\udce9": "x"}, {"id": "2", "v\udce9": "y"}])


class UnknownTypeTest(check.Case):
    def test_a_type_that_nobody_knows_appears_later(self):
        """Followed in binary; then a column of a new base type comes, which has no binary form at all."""
        server = self.cluster()
        server.sql("CREATE SCHEMA lab; CREATE TABLE lab.marker (id bigint PRIMARY KEY)")
        values = "1.50, '2024-02-29 23:59:59.5+00', '\\x00ff', 'ünï', '{1,NULL}', '-0', 'NaN', '24:00:00'"
        for name in ("changed", "other"):
            server.sql(f"CREATE TABLE lab.{name} (id integer PRIMARY KEY, n numeric(9,3), ts timestamptz, "
                       "b bytea, t text, a integer[], f float8, m numeric(4,2), e time)")
            server.sql(f"INSERT INTO lab.{name} VALUES (1, {values})")
        narwal = self.enter(Narwal(server)).start().wait_streaming()
        self.assertRegex(narwal.stream_query(BINARY_SECONDS_MAX), "binary '?(true|on|1)")
        for name in ("changed", "other"):
            server.sql(f"INSERT INTO lab.{name} VALUES (2, {values})")
        server.sql("CREATE TYPE lab.odd;"
                   "CREATE FUNCTION lab.odd_in(cstring) RETURNS lab.odd AS 'textin' LANGUAGE internal STRICT;"
                   "CREATE FUNCTION lab.odd_out(lab.odd) RETURNS cstring AS 'textout' LANGUAGE internal STRICT;"
                   "CREATE TYPE lab.odd (INPUT = lab.odd_in, OUTPUT = lab.odd_out, LIKE = text)")
        server.sql(f"BEGIN; INSERT INTO lab.other VALUES (3, {values});"
                   "ALTER TABLE lab.changed ADD odd lab.odd;"
                   f"INSERT INTO lab.changed VALUES (3, {values}, 'first');"
                   f"INSERT INTO lab.other VALUES (4, {values}); COMMIT")
        server.sql(f"INSERT INTO lab.changed VALUES (4, {values}, NULL), (5, {values}, 'last')")
        narwal.wait_caught_up()
        self.assertNotRegex(narwal.stream_query(), "binary '?(true|on|1)")
        self.assertRegex(narwal.log(), "info +NW2109 lab.changed has a column")
        self.assertNotIn("trying again", narwal.log())
        logs = {log.name: log for log in narwal.state().logs()}
        images = {name: [event["after"] for event in [*logs[name].copy(), *logs[name].changes()]
                         if event["op"] == "I"] for name in ("changed", "other")}
        for name in images:
            for image in images[name]:
                self.assertEqual({**images["other"][0], "id": image["id"]},
                                 {column: image[column] for column in images["other"][0]}, name)
        self.assertEqual([image["id"] for image in images["other"]], list("1234"))
        self.assertEqual([(image["id"], image.get("odd", "absent")) for image in images["changed"]],
                         [("1", "absent"), ("2", "absent"), ("3", "first"), ("4", None), ("5", "last")])
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())


if __name__ == "__main__":
    check.main()
