# SPDX-License-Identifier: Apache-2.0
"""Scenarios (debezium_scenarios.py) of single properties of the connector."""
from .debezium_scenarios import COLUMNS, MOVES, PLAIN, SCHEMAS, UNWRAP, Scenario

IDLE = [COLUMNS + "; ALTER TABLE S.t ADD at timestamp(6) DEFAULT '2024-02-29 12:00:00.123456', ADD n numeric DEFAULT 1.0, "
        "ADD x xid DEFAULT '1', ADD large text; "
        "CREATE TABLE S.u (id integer PRIMARY KEY, a text, c integer); INSERT INTO S.u VALUES (1, 'a', 1)",
        "UPDATE S.t SET large = (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 900) n)"]
IDLE_MOVES = [*MOVES, "UPDATE S.t SET a = a", "UPDATE S.t SET c = c + 1", "UPDATE S.t SET x = '2'",
              "UPDATE S.t SET at = at + interval '1 us'", "UPDATE S.t SET n = 1.00", "UPDATE S.t SET n = 'NaN'",
              "UPDATE S.t SET n = 'NaN', c = 8", "UPDATE S.t SET large = NULL", "UPDATE S.t SET large = NULL, c = 9",
              "UPDATE S.u SET a = a", "UPDATE S.u SET c = 2", "UPDATE S.t SET id = 7",
              "BEGIN; UPDATE S.t SET c = 1; UPDATE S.t SET b = 'z'; UPDATE S.t SET b = 'z'; COMMIT"]
SKIPPED = [
    Scenario("change_skipped", IDLE, IDLE_MOVES, least=17,
             properties={"skip.messages.without.change": "true", "column.exclude.list": "S.t.c,S.u.c"}),
    Scenario("change_skipped_flat", IDLE, IDLE_MOVES, base={**PLAIN, **UNWRAP}, known=((".*", "value", ""),), least=11,
             properties={"skip.messages.without.change": "true", "time.precision.mode": "connect",
                         "decimal.handling.mode": "double", "column.include.list": "S.t.(id|a|at|n),S.u.*,S.marker.*"}),
]
LINES = ("CREATE TABLE S.lines (order_id integer, pos integer, v text, PRIMARY KEY (pos, order_id)); "
         "CREATE TABLE S.old_lines (v text, pos integer, order_id integer); ALTER TABLE S.old_lines REPLICA IDENTITY FULL; "
         "CREATE TABLE S.other (id integer PRIMARY KEY, v text); CREATE TABLE S.uni (v text NOT NULL UNIQUE); "
         "INSERT INTO S.lines VALUES (1, 2, 'x'); INSERT INTO S.old_lines VALUES ('y', 3, 4); INSERT INTO S.other VALUES (1)")
LINES_MOVE = ["INSERT INTO S.lines VALUES (3, 4, 'x'); INSERT INTO S.old_lines VALUES ('x', 7, 8); INSERT INTO S.uni VALUES ('a')",
              "UPDATE S.lines SET v = 'z'; UPDATE S.old_lines SET v = 'z'", "UPDATE S.old_lines SET order_id = 9", "DELETE FROM S.old_lines",
              "INSERT INTO S.other VALUES (2)"]
KEYS = [
    Scenario("keys_of_all", LINES, LINES_MOVE, properties={"message.key.columns": "(.*).(lines|old_lines):order_id,pos"}, least=9),
    Scenario("keys_add_up", LINES, LINES_MOVE, base=PLAIN,
             properties={"message.key.columns": "S.lines:v;S.(.*)lines:order.*;(.*).uni:nothing"}, least=9),
    Scenario("keys_by_columns", LINES, LINES_MOVE, properties={"message.key.columns": "S.[lo].*:.*_id, pos"}, least=9),
]
TYPES = ["smallint", "oid", "real", "double precision", "boolean", '"char"', "numeric", "numeric(12,2)", "numeric(3,5)", "text",
         "varchar", "varchar(300)", "char(8)", "bpchar", "name", "bytea", "jsonb", "uuid", "date", "time", "time(0)", "time(1)", "timetz(4)",
         "timestamp(0)", "timestamp(3)", "timestamp", "timestamptz", "timestamptz(2)", "interval", "interval(2)", "interval year to month",
         "inet", "bit", "bit(9)", "varbit", "varbit(3)", "xid", "money", "xml", "point", "polygon", "tsvector", "int4range", "int4multirange",
         "public.hstore", "public.citext", "public.ltree", "integer[]", "varchar(20)[]", "numeric(7,3)[]", "numeric[]", "timestamp(3)[]",
         "double precision[]", '"char"[]', "text[]", "S.mood", "S.mood[]", "S.amount", "S.word", "S.deep", "S.dints", "S.dt", "S.dm", "S.dbits",
         "S.span", 'S."Odd Type"']
TYPED = ["CREATE TYPE S.mood AS ENUM ('a', 'b'); CREATE TYPE S.\"Odd Type\" AS ENUM ('a'); CREATE DOMAIN S.amount AS numeric(9,2); "
         "CREATE DOMAIN S.word AS varchar(7); CREATE DOMAIN S.deep AS S.word; CREATE DOMAIN S.dints AS integer[]; "
         "CREATE DOMAIN S.dt AS timestamp(3); CREATE DOMAIN S.dm AS S.mood; CREATE DOMAIN S.dbits AS bit(5); CREATE DOMAIN S.span AS interval(3)",
         "CREATE TABLE S.t (id serial PRIMARY KEY, big bigserial, small smallserial, ident integer GENERATED ALWAYS AS IDENTITY, "
         + ", ".join(f"c{index} {kind}" for index, kind in enumerate(TYPES)) + "); ALTER TABLE S.t REPLICA IDENTITY FULL; "
         "INSERT INTO S.t DEFAULT VALUES; CREATE TABLE S.u (id integer PRIMARY KEY, v varchar(3), n numeric(5,2))"]
TYPED_MOVES = [["INSERT INTO S.t DEFAULT VALUES", "UPDATE S.t SET big = 7", "INSERT INTO S.u VALUES (1)"], ["ALTER TABLE S.t ADD extra varchar(9)"],
               ["INSERT INTO S.t (extra) VALUES ('x')", "DELETE FROM S.t WHERE id = 1"]]
# Copied, a numeric without digits has the length 0.
NUMERIC = (".*", r'value-schema\..*\.parameters\."__debezium\.source\.column\.(length|scale)"', "r?")
SOURCE_TYPES = [
    Scenario("types_of_all", TYPED, *TYPED_MOVES, properties={"column.propagate.source.type": ".*", "include.unknown.datatypes": "true"},
             known=(NUMERIC,), least=6),
    Scenario("types_of_some", TYPED, *TYPED_MOVES, properties={
        "datatype.propagate.source.type": ".+\\.(NUMERIC|varchar|_int4|odd type), S.t.serial", "column.propagate.source.type": "S.u.V",
        "field.name.adjustment.mode": "avro"}, known=(NUMERIC,), least=6),
    Scenario("types_flat", TYPED, *TYPED_MOVES, base={**SCHEMAS, **UNWRAP}, properties={"column.propagate.source.type": "S.t.*"},
             known=(NUMERIC, (".*", "value(-schema)?", "")), least=5),
]
INDEXED = ("CREATE TABLE S.t (id integer PRIMARY KEY, o integer NOT NULL, v text); CREATE UNIQUE INDEX t_o ON S.t (o); "
           "ALTER TABLE S.t REPLICA IDENTITY USING INDEX t_o; INSERT INTO S.t VALUES (1, 2, 'x'), (5, 6, 'x')")
INDEXED_MOVES = ["INSERT INTO S.t VALUES (2, 3, 'x')", "UPDATE S.t SET v = 'y'", "UPDATE S.t SET o = 7 WHERE id = 1", "UPDATE S.t SET id = 9 WHERE id = 2",
                 "DELETE FROM S.t WHERE id = 5"]
INDEXES = [
    Scenario("identity_index_moves", INDEXED, INDEXED_MOVES, known=((".*", "only [AB]", ""),)),
    Scenario("identity_index_keyed", INDEXED, INDEXED_MOVES, properties={"message.key.columns": "S.t:id"}, least=11),
]
GROUPS = {"properties": [*SKIPPED, *KEYS, *SOURCE_TYPES, *INDEXES]}
