# SPDX-License-Identifier: Apache-2.0
"""Scenarios (debezium_scenarios.py) of what is rare: types made, renamed and dropped on the way, keys that are not sent, several
changes of a table in one transaction, rows that come in many at once, names that are nearly the same.
"""
from .debezium_scenarios import BIG, COLUMNS, FULL, HIDDEN, PARTED, PLAIN, TWO, UNWRAP, Scenario, followed

T = "CREATE TABLE S.t (id integer PRIMARY KEY, v text); INSERT INTO S.t VALUES (1, 'copied')"
# Debezium keeps the labels that it has read of a type with this name.
LABELS = (".*", r"value-schema\..*\.parameters\.allowed", "")
TYPES = [
    Scenario("made_enum", T, ["CREATE TYPE S.e AS ENUM ('a', 'b'); ALTER TABLE S.t ADD e S.e, ADD es S.e[]"],
             ["INSERT INTO S.t VALUES (2, 'x', 'a', '{a,b}')", "UPDATE S.t SET es = '{}'"]),
    Scenario("made_inside", T,
             ["CREATE TYPE S.e AS ENUM ('a', 'b'); CREATE DOMAIN S.d AS S.e[]; CREATE DOMAIN S.c AS public.citext; "
              "ALTER TABLE S.t ADD e S.e, ADD es S.e[], ADD d S.d, ADD c S.c; INSERT INTO S.t VALUES (2, 'x', 'a', '{a,b}', '{b}', 'Ci'); "
              "UPDATE S.t SET e = 'b'"], ["DELETE FROM S.t"]),
    Scenario("made_domains", T,
             ["CREATE DOMAIN S.d AS numeric(9,2); CREATE DOMAIN S.dd AS S.d; CREATE DOMAIN S.a AS integer[]; CREATE DOMAIN S.ts AS timestamp(3); "
              "ALTER TABLE S.t ADD d S.d, ADD dd S.dd, ADD a S.a, ADD ts S.ts, ADD da S.d[]"],
             ["INSERT INTO S.t VALUES (2, 'x', 1.5, 2.5, '{1,NULL}', '2024-01-01 12:00:00.123', '{1.25}')"]),
    Scenario("made_others", T,
             ["CREATE TYPE S.r AS RANGE (subtype = text); CREATE TYPE S.c AS (a integer, b text); ALTER TABLE S.t ADD r S.r, ADD c S.c, ADD rs S.r[]"],
             ["INSERT INTO S.t VALUES (2, 'x', '[a,b)', '(1,x)', '{\"[a,b)\"}')", "UPDATE S.t SET v = 'y'"]),
    Scenario("made_others_sent", T,
             ["CREATE TYPE S.r AS RANGE (subtype = text); CREATE TYPE S.c AS (a integer, b text); ALTER TABLE S.t ADD r S.r, ADD c S.c"],
             ["INSERT INTO S.t VALUES (2, 'x', '[a,b)', '(1,x)')", "UPDATE S.t SET v = 'y'"], properties={"include.unknown.datatypes": "true"}),
    Scenario("made_extension", T, ["CREATE EXTENSION isn; CREATE EXTENSION intarray; CREATE EXTENSION cube; CREATE EXTENSION seg; "
                                    "ALTER TABLE S.t ADD i isbn, ADD c cube, ADD s seg, ADD e ean13, ADD ia isbn[]"],
             ["INSERT INTO S.t VALUES (2, 'x', '978-0-11-000222-4', '(1,2)', '1..2', NULL, NULL)"]),
    Scenario("remade_enum",
             "CREATE TYPE S.e AS ENUM ('a', 'b'); CREATE TABLE S.t (id integer PRIMARY KEY, e S.e, es S.e[]); INSERT INTO S.t VALUES (1, 'a', '{b}')",
             ["ALTER TABLE S.t ALTER e TYPE text, ALTER es TYPE text[]; DROP TYPE S.e; CREATE TYPE S.e AS ENUM ('c', 'd')"],
             ["INSERT INTO S.t VALUES (2, 'free', '{text}')"],
             ["ALTER TABLE S.t DROP e, DROP es; ALTER TABLE S.t ADD e S.e, ADD es S.e[]"],
             ["INSERT INTO S.t VALUES (3, 'c', '{c,d}')", "UPDATE S.t SET e = 'd'"], known=(LABELS,)),
    Scenario("renamed_label",
             "CREATE TYPE S.e AS ENUM ('a', 'b'); CREATE TABLE S.t (id integer PRIMARY KEY, e S.e, es S.e[]); INSERT INTO S.t VALUES (1, 'a', '{b}')",
             ["ALTER TYPE S.e RENAME VALUE 'a' TO 'z'"], ["INSERT INTO S.t VALUES (2, 'z', '{z,b}')", "UPDATE S.t SET es = NULL"],
             ["ALTER TYPE S.e RENAME TO f"], ["INSERT INTO S.t VALUES (3, 'z', '{z,b}')"],
             ["ALTER TABLE S.t ADD n integer"], ["INSERT INTO S.t VALUES (4, 'z', '{z,b}', 1)"], known=(LABELS,)),
    Scenario("odd_enums",
             "CREATE TYPE S.\"E t,'\" AS ENUM ('', ',', 'a,b', '\"', '''', '\\', '{}', 'NULL', ' x ', 'ü😀'); "
             "CREATE TABLE S.t (id integer PRIMARY KEY, e S.\"E t,'\", es S.\"E t,'\"[] NOT NULL DEFAULT '{}'); "
             "INSERT INTO S.t SELECT row_number() OVER (), v, ARRAY[v, v] FROM unnest(enum_range(NULL::S.\"E t,'\")) v",
             ["INSERT INTO S.t SELECT 100 + row_number() OVER (), v, ARRAY[v, v] FROM unnest(enum_range(NULL::S.\"E t,'\")) v",
              "UPDATE S.t SET e = NULL", "DELETE FROM S.t WHERE id > 100"]),
    Scenario("key_of_types",
             "CREATE TYPE S.e AS ENUM ('a', 'b,'); CREATE DOMAIN S.d AS S.e; CREATE DOMAIN S.n AS numeric(9,2); "
             "CREATE TABLE S.t (e S.e, d S.d, n S.n, es S.e[], h public.hstore NOT NULL, v text, PRIMARY KEY (e, d, n, es)); "
             "INSERT INTO S.t VALUES ('a', 'b,', 1, '{a}', '', 'x')",
             ["INSERT INTO S.t VALUES ('b,', 'b,', 1.5, '{}', 'a=>1', 'x')", "UPDATE S.t SET v = 'y'", "UPDATE S.t SET es = '{\"b,\"}', n = 7 WHERE e = 'a'",
              "DELETE FROM S.t"], base=PLAIN, known=((".*", r"header\..*\.n", ""),)),
    Scenario("arrays_odd",
             "CREATE TABLE S.t (id integer PRIMARY KEY, a integer[], t text[], n numeric(6,2)[], u uuid[], d date[], b boolean[], j jsonb[], c public.citext[])",
             ["INSERT INTO S.t VALUES (1, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')",
              "INSERT INTO S.t VALUES (2, '[5:6]={1,2}', '[0:1]={a,NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL,t}', '{NULL}', '{NULL,\"\"}')",
              "INSERT INTO S.t (id, t, j) VALUES (3, '{\"\",\"NULL\",null,\"a,b\",\"{x}\",\"q\\\"\",\"b\\\\\"}', ARRAY['{\"a\": [1, null]}', '\"x\"', 'null']::jsonb[])",
              "UPDATE S.t SET a = '{1}'", "DELETE FROM S.t"]),
]
# A table that is made while both run is copied as it is then.
COPIED_LATER = ((".*u", "only A", "u"), (".*u", r"value\.(op|source\..*)", "c"), (".*u", r"image\.v", "c"))
INSIDE = [
    Scenario("inside_many", FULL,
             ["INSERT INTO S.t VALUES (3, 'a', 1); ALTER TABLE S.t ADD c integer DEFAULT 7; INSERT INTO S.t VALUES (4, 'b', 1, 2); "
              "ALTER TABLE S.t DROP n; UPDATE S.t SET v = 'c'; ALTER TABLE S.t RENAME v TO w; INSERT INTO S.t VALUES (5, 'd', 3); "
              "ALTER TABLE S.t ALTER w TYPE varchar(9); DELETE FROM S.t WHERE id = 4"], ["UPDATE S.t SET w = 'e'"]),
    Scenario("inside_identity", TWO,
             ["UPDATE S.t SET v = 'a'; ALTER TABLE S.t REPLICA IDENTITY FULL; UPDATE S.t SET v = 'b'; ALTER TABLE S.t REPLICA IDENTITY DEFAULT; DELETE FROM S.t"]),
    Scenario("inside_rolled_back", FULL,
             ["BEGIN; SAVEPOINT a; ALTER TABLE S.t ADD c integer; INSERT INTO S.t VALUES (3, 'x', 1, 2); ROLLBACK TO a; INSERT INTO S.t VALUES (4, 'y', 1); COMMIT"],
             ["BEGIN; ALTER TABLE S.t ADD c integer; INSERT INTO S.t VALUES (5, 'x', 1, 2); ROLLBACK", "INSERT INTO S.t VALUES (6, 'z', 1)"]),
    Scenario("inside_truncate", TWO,
             ["INSERT INTO S.t VALUES (3, 'a', 1); TRUNCATE S.t; INSERT INTO S.t VALUES (4, 'b', 1); UPDATE S.t SET v = 'c'"],
             properties={"skipped.operations": "none"}),
    Scenario("inside_made", TWO,
             ["CREATE TABLE S.u (id integer PRIMARY KEY, v text); INSERT INTO S.u VALUES (1, 'x'); UPDATE S.u SET v = 'y'", followed("inside_made", "u")],
             ["INSERT INTO S.u VALUES (2, 'z')"], known=COPIED_LATER),
    Scenario("inside_rewritten", TWO, ["INSERT INTO S.t VALUES (3, 'x', 1); ALTER TABLE S.t ALTER n TYPE bigint; INSERT INTO S.t VALUES (4, 'x', 5000000000)"],
             ["CLUSTER S.t USING t_pkey", "UPDATE S.t SET n = 1"], ["VACUUM FULL S.t"], ["UPDATE S.t SET n = 2"]),
    Scenario("schema_moves", [TWO, "CREATE SCHEMA s_schema_moves_to"], ["ALTER TABLE S.t SET SCHEMA s_schema_moves_to"],
             ["INSERT INTO s_schema_moves_to.t VALUES (3, 'x', 1)"], ["ALTER TABLE s_schema_moves_to.t SET SCHEMA s_schema_moves"],
             ["INSERT INTO S.t VALUES (4, 'x', 1)"], properties={"schema.include.list": "s_schema_moves,s_schema_moves_to"}),
    Scenario("logged_again", "CREATE UNLOGGED TABLE S.t (id integer PRIMARY KEY, v text); INSERT INTO S.t VALUES (1, 'x'); CREATE TABLE S.o (id integer PRIMARY KEY)",
             ["INSERT INTO S.t VALUES (2, 'unlogged'); INSERT INTO S.o VALUES (1)"]),
    Scenario("dropped_before", "CREATE TABLE S.t (x integer, id integer PRIMARY KEY, y text, v text); INSERT INTO S.t VALUES (1, 1, 'y', 'v'); "
             "ALTER TABLE S.t DROP x, DROP y; ALTER TABLE S.t REPLICA IDENTITY FULL; INSERT INTO S.t VALUES (2, 'w')",
             ["UPDATE S.t SET v = 'z'", "DELETE FROM S.t WHERE id = 1"], ["ALTER TABLE S.t ADD y integer"], ["INSERT INTO S.t VALUES (5, 'a', 7)"]),
    Scenario("fast_default", TWO + "; ALTER TABLE S.t REPLICA IDENTITY FULL",
             ["ALTER TABLE S.t ADD d text DEFAULT 'stored', ADD e integer NOT NULL DEFAULT 5, ADD f text[] DEFAULT '{a}'"],
             ["UPDATE S.t SET v = 'y'", "DELETE FROM S.t WHERE id = 2"], ["ALTER TABLE S.t ALTER d DROP DEFAULT"], ["UPDATE S.t SET v = 'z'"]),
]
KEYS = [
    Scenario("large_in_key", "CREATE TABLE S.t (id integer, k text, n integer, PRIMARY KEY (id, k)); ALTER TABLE S.t ALTER k SET STORAGE EXTERNAL; "
             "INSERT INTO S.t VALUES (1, repeat('k', 2500), 1)",
             ["INSERT INTO S.t VALUES (2, repeat('l', 2500), 1)", "UPDATE S.t SET n = 2", "UPDATE S.t SET id = id + 10", "UPDATE S.t SET k = 'short' WHERE id = 11", "DELETE FROM S.t"]),
    Scenario("large_in_key_full", "CREATE TABLE S.t (id integer, k text, n integer, PRIMARY KEY (id, k)); ALTER TABLE S.t ALTER k SET STORAGE EXTERNAL; "
             "ALTER TABLE S.t REPLICA IDENTITY FULL; INSERT INTO S.t VALUES (1, repeat('k', 2500), 1)",
             ["INSERT INTO S.t VALUES (2, repeat('l', 2500), 1)", "UPDATE S.t SET n = 2", "UPDATE S.t SET id = id + 10", "DELETE FROM S.t"]),
    Scenario("large_in_index", "CREATE TABLE S.t (id integer, k text NOT NULL, n integer, w text); ALTER TABLE S.t ALTER k SET STORAGE EXTERNAL, ALTER w SET STORAGE EXTERNAL; "
             "CREATE UNIQUE INDEX t_k ON S.t (k); ALTER TABLE S.t REPLICA IDENTITY USING INDEX t_k; INSERT INTO S.t VALUES (1, repeat('k', 2500), 1, repeat('w', 3000))",
             ["INSERT INTO S.t VALUES (2, repeat('l', 2500), 1)", "UPDATE S.t SET n = 2", "UPDATE S.t SET id = id + 10", "UPDATE S.t SET k = 'short' WHERE id = 11", "DELETE FROM S.t"]),
    Scenario("large_asked_key", "CREATE TABLE S.t (id integer PRIMARY KEY, k text, n integer); ALTER TABLE S.t ALTER k SET STORAGE EXTERNAL; INSERT INTO S.t VALUES (1, repeat('k', 2500), 1)",
             ["INSERT INTO S.t VALUES (2, repeat('l', 2500), 1)", "UPDATE S.t SET n = 2", "DELETE FROM S.t"], properties={"message.key.columns": "S.t:k"}),
    Scenario("keyless_large", BIG.replace(" PRIMARY KEY", "") + "; ALTER TABLE S.t REPLICA IDENTITY FULL",
             ["INSERT INTO S.t SELECT 1, 0, repeat('v', 9000), repeat('w', 9000)::bytea", "UPDATE S.t SET n = 1", "UPDATE S.t SET v = NULL", "DELETE FROM S.t"],
             known=((".*", "only A", "tombstone"),)),
    Scenario("asked_key_null", COLUMNS, ["INSERT INTO S.t VALUES (2, NULL, NULL, NULL, NULL)", "UPDATE S.t SET c = 1", "UPDATE S.t SET b = 'x', c = NULL", "DELETE FROM S.t"],
             properties={"message.key.columns": "S.t:b,c"}, base=PLAIN),
    Scenario("asked_key_default", TWO, ["UPDATE S.t SET v = 'n'", "UPDATE S.t SET id = id + 10", "DELETE FROM S.t"], properties={"message.key.columns": "S.t:v"}),
    Scenario("asked_key_excluded", COLUMNS, ["UPDATE S.t SET a = 'b'", "DELETE FROM S.t"], properties={"message.key.columns": "S.t:c", "column.exclude.list": "S.t.a,S.t.d"}),
    Scenario("generated_key", "CREATE TABLE S.t (a integer, id integer GENERATED ALWAYS AS (a * 2) STORED, v text, PRIMARY KEY (a)); CREATE UNIQUE INDEX t_id ON S.t (id)",
             ["INSERT INTO S.t (a, v) VALUES (1, 'x')", "UPDATE S.t SET v = 'y'", "UPDATE S.t SET a = 2", "DELETE FROM S.t"]),
    Scenario("identity_dropped_index", "CREATE TABLE S.t (id integer NOT NULL, v text); CREATE UNIQUE INDEX t_id ON S.t (id); ALTER TABLE S.t REPLICA IDENTITY USING INDEX t_id",
             ["INSERT INTO S.t VALUES (1, 'x')"], ["DROP INDEX S.t_id"], ["INSERT INTO S.t VALUES (2, 'y')"]),
    Scenario("keys_swap", "CREATE TABLE S.t (id integer PRIMARY KEY DEFERRABLE, v text); ALTER TABLE S.t REPLICA IDENTITY FULL; INSERT INTO S.t VALUES (1, 'a'), (2, 'b')",
             ["UPDATE S.t SET id = 3 - id", "UPDATE S.t SET id = 3 - id, v = v || '!'"]),
    Scenario("key_text_odd", "CREATE TABLE S.t (k text, c char(5), b bytea, PRIMARY KEY (k, c, b)); INSERT INTO S.t VALUES ('', '', '')",
             ["INSERT INTO S.t VALUES ('a\"b\\c', 'x', '\\x00'), (E'\\t\\n', ' y', '\\xff'), ('ü😀', 'ü', '\\x5c22')", "UPDATE S.t SET c = 'z'", "DELETE FROM S.t"], base=PLAIN,
             known=((".*", r"header\..*", ""),)),
]
MANY = [
    Scenario("copy_program", TWO, ["COPY S.t (id) FROM PROGRAM 'seq 100 2100'", "COPY S.t FROM PROGRAM 'printf \"5\\\\tq\\\\\\\\tw\\\\t\\\\\\\\N\\\\n\"'"]),
    Scenario("truncate_cascade", "CREATE TABLE S.t (id serial PRIMARY KEY); CREATE TABLE S.u (id integer PRIMARY KEY, t integer REFERENCES S.t); "
             "CREATE TABLE S.w (id integer PRIMARY KEY, u integer REFERENCES S.u); INSERT INTO S.t DEFAULT VALUES; INSERT INTO S.u VALUES (1, 1)",
             ["TRUNCATE S.t RESTART IDENTITY CASCADE", "INSERT INTO S.t DEFAULT VALUES; INSERT INTO S.u VALUES (2, 1); TRUNCATE S.t, S.u, S.w; INSERT INTO S.t DEFAULT VALUES"],
             properties={"skipped.operations": "none"}),
    Scenario("truncate_parted", PARTED, ["TRUNCATE S.p1", "INSERT INTO S.p VALUES (9, 2, 'c')", "TRUNCATE S.p", "INSERT INTO S.p VALUES (3, 1, 'c')"],
             properties={"skipped.operations": "none", "publish.via.partition.root": "true"}),
    Scenario("truncate_leaves", PARTED, ["TRUNCATE S.p1", "INSERT INTO S.p VALUES (9, 2, 'c')", "TRUNCATE S.p", "INSERT INTO S.p VALUES (3, 1, 'c')"],
             properties={"skipped.operations": "none"}, known=((".*", "only [AB]", ""),)),
    Scenario("many_columns", "CREATE TABLE S.t (id integer PRIMARY KEY, " + ", ".join(f"c{i} integer" for i in range(900)) + "); INSERT INTO S.t (id, c5) VALUES (1, 1)",
             ["UPDATE S.t SET c899 = 7", "DELETE FROM S.t"]),
    Scenario("deep_parts", "CREATE TABLE S.p (a integer, b integer, v text, PRIMARY KEY (a, b)) PARTITION BY RANGE (a); "
             "CREATE TABLE S.p1 PARTITION OF S.p FOR VALUES FROM (0) TO (10) PARTITION BY LIST (b); CREATE TABLE S.p1a PARTITION OF S.p1 FOR VALUES IN (1); "
             "CREATE TABLE S.p1d PARTITION OF S.p1 DEFAULT; CREATE TABLE S.pd PARTITION OF S.p DEFAULT; INSERT INTO S.p VALUES (1, 1, 'x'), (50, 1, 'y')",
             ["INSERT INTO S.p VALUES (2, 2, 'z'), (3, 1, 'w')", "UPDATE S.p SET b = 7 WHERE a = 3", "UPDATE S.p SET a = 70 WHERE a = 1", "DELETE FROM S.p WHERE a = 2"],
             properties={"publish.via.partition.root": "true"}),
    Scenario("parts_unlike", "CREATE TABLE S.p (id integer, part integer, v text, n numeric(5,2), PRIMARY KEY (part, id)) PARTITION BY LIST (part); "
             "CREATE TABLE S.q (gone text, n numeric(5,2), v text, part integer NOT NULL, id integer NOT NULL, PRIMARY KEY (part, id)); ALTER TABLE S.q DROP gone; "
             "ALTER TABLE S.p ATTACH PARTITION S.q FOR VALUES IN (1); CREATE TABLE S.r PARTITION OF S.p FOR VALUES IN (2); INSERT INTO S.p VALUES (1, 1, 'a', 1.5), (2, 2, 'b', 2.5)",
             ["INSERT INTO S.p VALUES (3, 1, 'c', 3.5), (4, 2, 'd', 4.5)", "UPDATE S.p SET v = 'x'", "UPDATE S.p SET part = 3 - part", "DELETE FROM S.p WHERE id = 3"],
             properties={"publish.via.partition.root": "true"}),
    Scenario("many_savepoints", TWO, ["BEGIN; " + "".join(f"SAVEPOINT s{i}; INSERT INTO S.t VALUES ({100 + i}, 'x', {i}); " + ("ROLLBACK TO s%d; " % i if i % 3 == 0 else "") for i in range(120)) + "COMMIT"]),
    Scenario("large_values", "CREATE TABLE S.t (id integer PRIMARY KEY, v text, b bytea, j jsonb)",
             ["INSERT INTO S.t SELECT 1, repeat('ü', 200000), decode(repeat('00ff', 100000), 'hex'), jsonb_build_object('a', repeat('\"', 50000))", "UPDATE S.t SET b = NULL", "DELETE FROM S.t"]),
]
NAMES = [
    Scenario("names_alike", 'CREATE TABLE S."a b" (id integer PRIMARY KEY, v text); CREATE TABLE S."A" (id integer PRIMARY KEY, "V" text, w text); '
             'CREATE TABLE S.a (id integer PRIMARY KEY, v text); INSERT INTO S."A" VALUES (1, \'X\', \'x\')',
             ['INSERT INTO S."a b" VALUES (1, \'x\'); INSERT INTO S."A" VALUES (2, \'Y\', \'y\'); INSERT INTO S.a VALUES (3, \'z\')', 'UPDATE S."A" SET w = \'q\'']),
    Scenario("names_reserved", 'CREATE TABLE S."select" ("from" integer PRIMARY KEY, "where" text, "op" text, "before" text, "after" text, "source" text, "ts_ms" bigint, "__deleted" text); '
             'INSERT INTO S."select" VALUES (1, \'x\', \'u\', \'b\', \'a\', \'s\', 5, \'no\')', ['UPDATE S."select" SET "op" = \'c\'', 'DELETE FROM S."select"']),
    Scenario("names_reserved_flat", 'CREATE TABLE S."select" ("from" integer PRIMARY KEY, "op" text, "__op" text, "__deleted" text, "ts_ms" bigint); '
             'INSERT INTO S."select" VALUES (1, \'x\', \'u\', \'b\', 5)', ['UPDATE S."select" SET "op" = \'c\''], base={**PLAIN, **UNWRAP}),
    Scenario("names_schema", ['CREATE SCHEMA "s_names_schema.X-1"; CREATE TABLE "s_names_schema.X-1"."T.a" ("I.d" integer PRIMARY KEY, "ä b" text)',
                              "CREATE TABLE S.t (id integer PRIMARY KEY)"],
             ['INSERT INTO "s_names_schema.X-1"."T.a" VALUES (1, \'x\')', 'UPDATE "s_names_schema.X-1"."T.a" SET "ä b" = \'y\'', "INSERT INTO S.t VALUES (1)"],
             properties={"schema.include.list": "s_names_schema.*"}),
    Scenario("columns_dotted", 'CREATE TABLE S.t (id integer PRIMARY KEY, "a.b" text, "c d" text, "E" text, f text); ALTER TABLE S.t REPLICA IDENTITY FULL',
             ["INSERT INTO S.t VALUES (1, 'a', 'c', 'E', 'e')", 'UPDATE S.t SET "a.b" = \'z\'', "DELETE FROM S.t"], properties={"column.exclude.list": "S.t.c d"}),
    Scenario("columns_regex", COLUMNS, ["INSERT INTO S.t VALUES (2, 'x', 'y', 1, 'd')", "DELETE FROM S.t"], properties={"column.exclude.list": r"S\.t\.[ab]"}),
    Scenario("columns_of_all", COLUMNS + "; CREATE TABLE S.u (id integer PRIMARY KEY, a text, z text)", ["INSERT INTO S.t VALUES (2, 'x', 'y', 1, 'd'); INSERT INTO S.u VALUES (1, 'a', 'z')"],
             properties={"column.exclude.list": r".*\.a"}),
    Scenario("columns_and_key", COLUMNS, ["INSERT INTO S.t VALUES (2, 'x', 'y', 1, 'd')", "UPDATE S.t SET id = 5 WHERE id = 2", "DELETE FROM S.t"],
             properties={"column.include.list": "S.t.(id|a|b),S.marker.*"}),
    Scenario("schema_excluded", TWO + "; CREATE SCHEMA s_schema_excluded_no; CREATE TABLE s_schema_excluded_no.t (id integer PRIMARY KEY)",
             ["INSERT INTO s_schema_excluded_no.t VALUES (1)", "UPDATE S.t SET v = 'x'"], properties={"schema.include.list": "s_schema_excluded"}),
    Scenario("tables_alternatives", "".join(f"CREATE TABLE S.{name} (id integer PRIMARY KEY); " for name in ("t1", "t12", "u_1", "v1")),
             ["INSERT INTO S.t1 VALUES (1); INSERT INTO S.t12 VALUES (1); INSERT INTO S.u_1 VALUES (1); INSERT INTO S.v1 VALUES (1)"],
             properties={"table.include.list": r"S\.(t1|u_1)"}),
]
COPIED = [
    Scenario("masked_types", "CREATE TABLE S.t (id integer PRIMARY KEY, a varchar(3), b char(4), c text, d public.citext, e varchar); ALTER TABLE S.t REPLICA IDENTITY FULL; "
             "INSERT INTO S.t VALUES (1, 'abc', 'ab', 'ünï', 'Cit', '')",
             ["INSERT INTO S.t VALUES (2, 'ab', 'ü', repeat('ü😀', 10), 'x', 'varchar')", "UPDATE S.t SET a = 'x'", "DELETE FROM S.t"],
             properties={"column.truncate.to.2.chars": "S.t.(a|c|e)"}, known=(HIDDEN, (".*", r"image\.c", ""))),  # half of a character
    Scenario("modes_mixed", "CREATE TABLE S.t (id integer PRIMARY KEY, n numeric(9,3) NOT NULL, m money NOT NULL, i interval NOT NULL, b bytea NOT NULL, t time(2) NOT NULL, "
             "ts timestamp(4) NOT NULL, d date NOT NULL, h public.hstore NOT NULL, bi bit(3) NOT NULL, u uuid NOT NULL, f real NOT NULL); "
             "INSERT INTO S.t VALUES (1, 1.5, 2.5, '1 day', '\\xff', '12:00:01.25', '2024-01-01 12:00:01.2345', '2024-02-29', 'a=>1', '101', gen_random_uuid(), 1.5)",
             ["UPDATE S.t SET n = 7", "DELETE FROM S.t"],
             properties={"decimal.handling.mode": "double", "interval.handling.mode": "string", "binary.handling.mode": "base64-url-safe",
                         "time.precision.mode": "adaptive_time_microseconds", "hstore.handling.mode": "map"}, base=PLAIN),
    Scenario("modes_connect", "CREATE TABLE S.t (id integer PRIMARY KEY, n numeric(9,3) NOT NULL, i interval NOT NULL, b bytea NOT NULL, t time(2) NOT NULL, "
             "ts timestamp(4) NOT NULL, d date NOT NULL, z timestamptz NOT NULL, tz timetz NOT NULL); "
             "INSERT INTO S.t VALUES (1, 1.5, '1 day', '\\xff', '12:00:01.25', '2024-01-01 12:00:01.2345', '2024-02-29', '2024-02-29 01:00+01', '12:00+01')",
             ["UPDATE S.t SET n = 7", "DELETE FROM S.t"], properties={"decimal.handling.mode": "string", "time.precision.mode": "connect", "binary.handling.mode": "hex"}),
    Scenario("no_rows_full", "CREATE TABLE S.t (id integer PRIMARY KEY, v text NOT NULL DEFAULT 'd', w integer DEFAULT 3)", ["INSERT INTO S.t (id) VALUES (1)", "UPDATE S.t SET w = NULL, id = 2", "DELETE FROM S.t"],
             properties={"value.converter.replace.null.with.default": "false"}, known=((".*", r"value\.source\.snapshot", ""),)),
    Scenario("xmls", "CREATE TABLE S.t (id integer PRIMARY KEY, x xml, j json, jb jsonb, ts tsvector, q tsquery, b box, c cidr, m macaddr8); "
             "INSERT INTO S.t VALUES (1, '<a b=\"c\"/>', '{\"a\":1,  \"a\":2}', '{\"a\":1,  \"a\":2}', 'a:1A b', 'a & b', '(1,2),(3,4)', '10.0.0.0/8', '08:00:2b:01:02:03:04:05')",
             ["INSERT INTO S.t VALUES (2, '<?xml version=\"1.0\"?><a/>', ' [ 1 ] ', '1.10', '', NULL, '(0,0),(0,0)', '::/0', NULL)", "UPDATE S.t SET m = NULL", "DELETE FROM S.t"]),
]
GROUPS = {"corner_types": TYPES, "corner_inside": INSIDE, "corner_keys": KEYS, "corner_many": MANY, "corner_names": NAMES, "corner_copied": COPIED}
