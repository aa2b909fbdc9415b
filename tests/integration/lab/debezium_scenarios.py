# SPDX-License-Identifier: Apache-2.0
"""What is played to the real Debezium and to narwal: tables, a connector's properties, and what happens, in rounds.

Between two rounds both have read everything: Debezium asks the server for a table's columns when it reads of a change
of theirs, and would see those of later. S. is the scenario's schema, in SQL and in properties.
"""
import re

JSON = "org.apache.kafka.connect.json.JsonConverter"
SCHEMAS = {"key.converter": JSON, "value.converter": JSON, "key.converter.schemas.enable": "true",
           "value.converter.schemas.enable": "true"}
PLAIN = {"key.converter": JSON, "value.converter": JSON, "key.converter.schemas.enable": "false",
         "value.converter.schemas.enable": "false"}
UNWRAP = {"transforms": "unwrap", "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState"}
SALT = "CzQMA0cB5K"
SHARED = """
CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree;
"""


class Scenario:
    """
    setup   SQL before the copy
    rounds  of SQL, each a list of transactions
    known   what differs: topic, path (before and after are "image"), operations ("": any)
    least   so many events are equal
    last    SQL at each round's end, which makes a message with "mark MARK" in a topic with "marker" in its name
    """

    def __init__(self, name, setup, *rounds, properties=None, known=(), least=1, base=SCHEMAS, last=None):
        self.name, self.schema, self.known, self.least = name, f"s_{name}", known, least
        self.last = self.place(last or "INSERT INTO S.marker VALUES (MARK, 'mark MARK')")
        self.setup = [f"CREATE SCHEMA {self.schema}; "
                      f"CREATE TABLE {self.schema}.marker (id bigint PRIMARY KEY, mark text)",
                      *self.placed(setup)]
        self.rounds = [self.placed(texts) for texts in rounds]
        given = {key: self.place(value) for key, value in (properties or {}).items()}
        if last is None and "table.include.list" in given:
            given["table.include.list"] += f",{self.schema}.marker"
        elif "table.include.list" not in given and "schema.include.list" not in given:
            given["schema.include.list"] = self.schema
        self.properties = {"topic.creation.default.partitions": "3", "topic.creation.default.replication.factor": "1",
                           **base, **given}
        for key in [key for key, value in self.properties.items() if value == ""]:
            del self.properties[key]

    def place(self, text):
        return re.sub(r"\bS\b(?=[.\\])", self.schema, text)

    def placed(self, texts):
        """Of one text or of several."""
        return [self.place(text) for text in (texts if isinstance(texts, list) else [texts])]

    def copied(self, server):
        """Whether Debezium reads from its slot."""
        return server.value("SELECT count(*) FROM pg_replication_slots WHERE active AND slot_name = %s",
                            (f"debezium_dbz_{self.name}",)) == 1


HIDDEN = (".*", r"value-schema\..*\.parameters.*", "")
EMPTY = (".*", r"image\.[ad]", "")
ONCE = (("transaction|tx", "only [AB]", ""),)
UNSENT = ("message", r"value\.source\.ts_.*", "")
UNIQUE = ((".*", "only [AB]", ""),)
TWO = ("CREATE TABLE S.t (id integer PRIMARY KEY, v text, n integer); "
       "INSERT INTO S.t VALUES (1, 'copied', 1), (2, NULL, NULL)")
FULL = TWO + "; ALTER TABLE S.t REPLICA IDENTITY FULL"


def followed(name, table):
    """Until narwal has the new table in its publication; what is in it before is copied."""
    return ("DO $$ BEGIN FOR i IN 1..300 LOOP EXIT WHEN EXISTS (SELECT FROM pg_publication_tables "
            f"WHERE pubname = 'debezium_nw_{name}' AND tablename = '{table}'); PERFORM pg_sleep(0.1); END LOOP; END $$")


SHAPES = [
    Scenario("add_column", TWO, "ALTER TABLE S.t ADD c bigint",
             ["INSERT INTO S.t VALUES (3, 'x', 1, 10)",
              "UPDATE S.t SET v = 'y' WHERE id = 1",
              "DELETE FROM S.t WHERE id = 2"]),
    Scenario("add_not_null_default", TWO,
             ["ALTER TABLE S.t ADD c text NOT NULL DEFAULT 'there'", "INSERT INTO S.t (id) VALUES (3)"],
             ["UPDATE S.t SET v = 'y'", "DELETE FROM S.t WHERE id = 1"]),
    Scenario("drop_column", FULL, ["UPDATE S.t SET n = 5"], ["ALTER TABLE S.t DROP n"],
             ["INSERT INTO S.t VALUES (3, 'x')", "UPDATE S.t SET v = 'y'", "DELETE FROM S.t WHERE id = 1"]),
    Scenario("rename_column", TWO, "ALTER TABLE S.t RENAME v TO w",
             ["UPDATE S.t SET w = 'y'", "INSERT INTO S.t VALUES (3, 'x', 3)"]),
    Scenario("change_type", TWO, ["ALTER TABLE S.t ALTER n TYPE bigint, ALTER v TYPE varchar(300)"],
             ["INSERT INTO S.t VALUES (3, 'x', 9007199254740993)", "UPDATE S.t SET v = 'y'"]),
    Scenario("change_type_of_key", TWO, ["ALTER TABLE S.t ALTER id TYPE bigint"],
             ["INSERT INTO S.t VALUES (9007199254740993, 'x', 1)",
              "UPDATE S.t SET v = 'y'",
              "DELETE FROM S.t WHERE id = 1"],
             base=PLAIN),
    Scenario("change_type_to_text", FULL, ["ALTER TABLE S.t ALTER n TYPE text USING 'n' || n"],
             ["INSERT INTO S.t VALUES (3, 'x', 'z')", "DELETE FROM S.t WHERE id = 1"]),
    Scenario("drop_key", FULL, ["ALTER TABLE S.t DROP CONSTRAINT t_pkey"],
             ["INSERT INTO S.t VALUES (3, 'x', 1)", "UPDATE S.t SET v = 'y' WHERE id = 1"]),
    Scenario("add_key",
             "CREATE TABLE S.t (id integer, v text, n integer); ALTER TABLE S.t REPLICA IDENTITY FULL; "
             "INSERT INTO S.t VALUES (1)",
             ["UPDATE S.t SET v = 'a'"], ["ALTER TABLE S.t ADD PRIMARY KEY (id)"],
             ["INSERT INTO S.t VALUES (3, 'x', 1)", "UPDATE S.t SET v = 'y' WHERE id = 1"]),
    Scenario("another_key",
             "CREATE TABLE S.t (id integer PRIMARY KEY, other integer NOT NULL); INSERT INTO S.t VALUES (1, 2)",
             ["ALTER TABLE S.t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (other)"],
             ["INSERT INTO S.t VALUES (3, 4)",
              "UPDATE S.t SET id = 7 WHERE other = 2",
              "UPDATE S.t SET other = 9 WHERE other = 4",
              "DELETE FROM S.t WHERE other = 2"]),
    Scenario("key_order",
             "CREATE TABLE S.t (a integer, b integer, c integer, d integer, PRIMARY KEY (d, b, a)); "
             "INSERT INTO S.t VALUES (1, 2, 3, 4)",
             ["UPDATE S.t SET c = 1"], ["ALTER TABLE S.t ADD e text"], ["UPDATE S.t SET e = 'x'", "DELETE FROM S.t"]),
    Scenario("identity_changes", TWO, ["ALTER TABLE S.t REPLICA IDENTITY FULL"], ["UPDATE S.t SET v = 'y'"],
             ["ALTER TABLE S.t REPLICA IDENTITY DEFAULT"], ["UPDATE S.t SET v = 'z'", "DELETE FROM S.t WHERE id = 1"]),
    Scenario("rename_table", TWO, ["ALTER TABLE S.t RENAME TO u"],
             ["INSERT INTO S.u VALUES (3, 'x', 1)", "UPDATE S.u SET v = 'y'"]),
    Scenario("new_table", TWO,
             ["CREATE TABLE S.u (id integer PRIMARY KEY, v text NOT NULL DEFAULT 'd')", followed("new_table", "u")],
             ["INSERT INTO S.u VALUES (1, 'x')", "UPDATE S.u SET v = 'y'", "DELETE FROM S.u"]),
    Scenario("dropped_and_made", TWO,
             ["DROP TABLE S.t", "CREATE TABLE S.t (id text PRIMARY KEY, z integer)", followed("dropped_and_made", "t")],
             ["INSERT INTO S.t VALUES ('a', 1)", "UPDATE S.t SET z = 2"]),
    Scenario("ddl_inside", TWO,
             ["INSERT INTO S.t VALUES (3, 'x', 1); ALTER TABLE S.t ADD c integer; "
              "INSERT INTO S.t VALUES (4, 'x', 1, 2)"],
             ["UPDATE S.t SET c = 3"]),
    Scenario("change_default",
             "CREATE TABLE S.t (id integer PRIMARY KEY, v text DEFAULT 'one', n integer NOT NULL DEFAULT 1); "
             "INSERT INTO S.t VALUES (1)",
             ["INSERT INTO S.t VALUES (2)"],
             ["ALTER TABLE S.t ALTER v SET DEFAULT 'two', ALTER n SET DEFAULT 2, ADD more integer DEFAULT 5"],
             ["INSERT INTO S.t VALUES (3)", "UPDATE S.t SET n = 7"]),
    Scenario("set_not_null", TWO, ["UPDATE S.t SET v = 'v', n = 1"],
             ["ALTER TABLE S.t ALTER v SET NOT NULL, ALTER n DROP NOT NULL, ADD x integer"],
             ["INSERT INTO S.t VALUES (3, 'x', 1)", "DELETE FROM S.t WHERE id = 1"]),
]
NAMES = [
    Scenario("quoted_names",
             'CREATE TABLE S."Quoted_ Table" ("Quoted_ Id" integer PRIMARY KEY, "Text \'x\' Col" text, "A.b" integer, '
             '"sel-ect" text); INSERT INTO S."Quoted_ Table" VALUES (1, \'x\', 2, \'y\')',
             ['INSERT INTO S."Quoted_ Table" VALUES (2, \'x\', 2, \'y\')',
              'UPDATE S."Quoted_ Table" SET "A.b" = 4',
              'DELETE FROM S."Quoted_ Table" WHERE "A.b" = 4']),
    Scenario("unicode_names",
             'CREATE TABLE S."größe_表" ("schlüssel" integer PRIMARY KEY, "值" text); '
             "INSERT INTO S.\"größe_表\" VALUES (1, 'ä')",
             ['INSERT INTO S."größe_表" VALUES (2, \'x\')', 'UPDATE S."größe_表" SET "值" = \'表\'']),
    Scenario("dotted_table",
             'CREATE TABLE S."a.b" (id integer PRIMARY KEY, v text); INSERT INTO S."a.b" VALUES (1, \'x\')',
             ['UPDATE S."a.b" SET v = \'y\'']),
    Scenario("odd_table",
             'CREATE TABLE S."back\\slash" (id integer PRIMARY KEY, v text); '
             'CREATE TABLE S."dollar$" (id integer PRIMARY KEY, "$v" text); '
             "INSERT INTO S.\"back\\slash\" VALUES (1, 'x'); INSERT INTO S.\"dollar$\" VALUES (1, 'x')",
             ['UPDATE S."back\\slash" SET v = \'y\'', 'UPDATE S."dollar$" SET "$v" = \'y\'']),
    Scenario("quote_in_column",
             'CREATE TABLE S.t (id integer PRIMARY KEY, """q""" text, "UPPER" text, "1st" text); '
             "INSERT INTO S.t VALUES (1, 'a', 'b', 'c')",
             ['UPDATE S.t SET """q""" = \'y\'']),
    Scenario("adjusted_names",
             'CREATE TABLE S."1 ü-t" ("1 id" integer PRIMARY KEY, "a b.c-d" text); '
             "INSERT INTO S.\"1 ü-t\" VALUES (1, 'a')",
             ['UPDATE S."1 ü-t" SET "a b.c-d" = \'y\''],
             properties={"schema.name.adjustment.mode": "avro", "field.name.adjustment.mode": "avro"}),
    Scenario("long_names",
             f'CREATE TABLE S.{"t" * 63} (id integer PRIMARY KEY, {"c" * 63} text); '
             f'INSERT INTO S.{"t" * 63} VALUES (1, \'a\')',
             [f'UPDATE S.{"t" * 63} SET {"c" * 63} = \'b\'']),
    Scenario("no_columns",
             "CREATE TABLE S.u (id integer PRIMARY KEY); INSERT INTO S.u VALUES (1)",
             ["CREATE TABLE S.t ()"], ["INSERT INTO S.u VALUES (2)"]),
    Scenario("schema_regex",
             "CREATE TABLE S.t (id integer PRIMARY KEY); CREATE SCHEMA s_schema_regex2; "
             "CREATE TABLE s_schema_regex2.t (id integer PRIMARY KEY); CREATE SCHEMA s_other_regex; "
             "CREATE TABLE s_other_regex.t (id integer PRIMARY KEY)",
             ["INSERT INTO S.t VALUES (1)",
              "INSERT INTO s_schema_regex2.t VALUES (2)",
              "INSERT INTO s_other_regex.t VALUES (3)"],
             properties={"schema.include.list": "s_schema_regex.*"}),
    Scenario("table_regex",
             "CREATE TABLE S.abc (id integer PRIMARY KEY); CREATE TABLE S.abd (id integer PRIMARY KEY); "
             "CREATE TABLE S.xyz (id integer PRIMARY KEY)",
             ["INSERT INTO S.abc VALUES (1); INSERT INTO S.abd VALUES (2); INSERT INTO S.xyz VALUES (3)"],
             properties={"table.include.list": "S\\.ab[cd]"}),
    Scenario("excluded_table",
             "CREATE TABLE S.a (id integer PRIMARY KEY); CREATE TABLE S.b (id integer PRIMARY KEY)",
             ["INSERT INTO S.a VALUES (1); INSERT INTO S.b VALUES (2)"],
             properties={"table.exclude.list": "S.b"}),
    Scenario("views",
             "CREATE TABLE S.t (id integer PRIMARY KEY); CREATE VIEW S.v AS SELECT * FROM S.t; "
             "CREATE MATERIALIZED VIEW S.m AS SELECT * FROM S.t; INSERT INTO S.t VALUES (1)",
             ["INSERT INTO S.v VALUES (2)", "REFRESH MATERIALIZED VIEW S.m"],
             properties={"publication.autocreate.mode": "filtered"}),
]
COLUMNS = ("CREATE TABLE S.t (id integer PRIMARY KEY, a text, b varchar(50), c integer, d text); "
           "ALTER TABLE S.t REPLICA IDENTITY FULL; INSERT INTO S.t VALUES (1, 'ä long text', 'short', 5, NULL)")
MOVES = ["INSERT INTO S.t VALUES (2, 'text of mine ü😀', 'b', 1, 'd')",
         "UPDATE S.t SET a = a || '!', c = 9",
         "UPDATE S.t SET d = NULL, a = NULL, b = NULL WHERE id = 2",
         "DELETE FROM S.t WHERE id = 2"]
FILTERS = [
    Scenario("columns_included", COLUMNS, MOVES, properties={"column.include.list": "S.t.id,S.t.a,S.marker.*"}),
    Scenario("columns_excluded", COLUMNS, MOVES, properties={"column.exclude.list": "S.t.a,S.t.c"}),
    Scenario("columns_excluded_regex", COLUMNS, MOVES, properties={"column.exclude.list": ".*\\.t\\.(b|d)"}),
    Scenario("masked", COLUMNS, MOVES, properties={"column.mask.with.5.chars": "S.t.a,S.t.d"}, known=(HIDDEN, EMPTY)),
    Scenario("masked_by_nothing", COLUMNS, MOVES, properties={"column.mask.with.0.chars": "S.t.a"},
             known=(HIDDEN, EMPTY)),
    Scenario("truncated", COLUMNS, MOVES, properties={"column.truncate.to.4.chars": "S.t.a,S.t.b"}, known=(HIDDEN,)),
    Scenario("hashed", COLUMNS, MOVES, properties={"column.mask.hash.v2.SHA-256.with.salt." + SALT: "S.t.a"},
             known=(HIDDEN,)),
    Scenario("key_columns", COLUMNS, MOVES, properties={"message.key.columns": "S.t:c,b"}),
    Scenario("key_columns_regex", COLUMNS + "; CREATE TABLE S.tu (id integer, c integer)",
             [*MOVES, "INSERT INTO S.tu VALUES (1, 2)"], properties={"message.key.columns": "S.(t|tu):c"}),
    Scenario("skip_updates", COLUMNS, [*MOVES, "TRUNCATE S.t"], properties={"skipped.operations": "u"}),
    Scenario("skip_deletes", COLUMNS, [*MOVES, "UPDATE S.t SET id = id + 10", "INSERT INTO S.t VALUES (2)"],
             properties={"skipped.operations": "d,t"}),
    Scenario("skip_changes", COLUMNS, MOVES + ["TRUNCATE S.t"],
             properties={"skipped.operations": "u,d,t", "tombstones.on.delete": "false"}),
    Scenario("skip_none", COLUMNS, [*MOVES, "TRUNCATE S.t"], properties={"skipped.operations": "none"}),
    Scenario("truncate_two", COLUMNS + "; CREATE TABLE S.u (id integer PRIMARY KEY)",
             ["TRUNCATE S.t, S.u", "INSERT INTO S.u VALUES (1)"],
             properties={"skipped.operations": "none"}),
    Scenario("no_tombstones", COLUMNS, [*MOVES, "UPDATE S.t SET id = 7"], properties={"tombstones.on.delete": "false"}),
    Scenario("without_change", COLUMNS, [*MOVES, "UPDATE S.t SET a = a", "UPDATE S.t SET id = id"]),
]
BIG = ("CREATE TABLE S.t (id integer PRIMARY KEY, n integer, v text, w bytea NOT NULL, j jsonb, a text[], "
       "i integer[], h public.hstore, d date[], b bytea[]); "
       "ALTER TABLE S.t ALTER v SET STORAGE EXTERNAL, ALTER w SET STORAGE EXTERNAL, ALTER j SET STORAGE EXTERNAL, "
       "ALTER a SET STORAGE EXTERNAL, ALTER i SET STORAGE EXTERNAL, ALTER h SET STORAGE EXTERNAL, "
       "ALTER d SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL")
FILL = ("INSERT INTO S.t SELECT {}, 0, repeat('v', 9000), repeat('w', 9000)::bytea, "
        "jsonb_build_object('k', repeat('j', 9000)), ARRAY[repeat('a', 9000), 'x'], array_fill(7, ARRAY[3000]), "
        "public.hstore('k', repeat('h', 9000)), array_fill('2024-01-01'::date, ARRAY[3000]), "
        "ARRAY[repeat('b', 9000)::bytea]")
LARGE = [FILL.format(2),
         "UPDATE S.t SET n = 1",
         "UPDATE S.t SET v = repeat('z', 9000), n = 2",
         "UPDATE S.t SET id = id + 10 WHERE id = 2",
         "DELETE FROM S.t WHERE id = 1"]


def large(name, full=False, known=(), **properties):
    setup = BIG + ("; ALTER TABLE S.t REPLICA IDENTITY FULL" if full else "")
    return Scenario(f"large_{name}", [setup, FILL.format(1)], LARGE, known=known,
                    properties={key.replace("_", "."): value for key, value in properties.items()})


TOAST = [
    large("plain"),
    large("full", full=True),
    large("placeholder", unavailable_value_placeholder="none ü"),
    large("placeholder_hex", unavailable_value_placeholder="hex:6e6f7420f09f9880"),
    large("hex", binary_handling_mode="hex"),
    large("map", hstore_handling_mode="map"),
    large("micros", time_precision_mode="microseconds"),
    Scenario("large_key", [BIG, FILL.format(1)], LARGE, base=PLAIN),
    Scenario("large_flat", [BIG, FILL.format(1)], LARGE, base={**PLAIN, **UNWRAP}, known=((".*", "value", ""),)),
    Scenario("large_new_column", [BIG, FILL.format(1)], ["ALTER TABLE S.t ADD x integer"], ["UPDATE S.t SET x = 1"],
             ["ALTER TABLE S.t DROP v"], ["UPDATE S.t SET x = 2"]),
]
PARTED = ("CREATE TABLE S.p (id integer, part integer, v text, PRIMARY KEY (part, id)) PARTITION BY LIST (part); "
          "CREATE TABLE S.p1 PARTITION OF S.p FOR VALUES IN (1); CREATE TABLE S.p2 PARTITION OF S.p FOR VALUES IN (2); "
          "INSERT INTO S.p VALUES (1, 1, 'a'), (2, 2, 'b')")
PARTED_MOVES = ["INSERT INTO S.p VALUES (3, 1, 'c'), (4, 2, 'd')",
                "UPDATE S.p SET v = v || '!'",
                "UPDATE S.p SET part = 2 WHERE id = 1",
                "DELETE FROM S.p WHERE id = 2"]
PARTITIONS = [
    Scenario("parted_root", PARTED, PARTED_MOVES, properties={"publish.via.partition.root": "true"}),
    Scenario("parted_root_filtered", PARTED, PARTED_MOVES,
             properties={"publish.via.partition.root": "true", "publication.autocreate.mode": "filtered",
                         "table.include.list": "S.p"}),
    Scenario("parted_leaves", PARTED, PARTED_MOVES, known=((".*", "only [AB]", ""),)),
    Scenario("parted_new_leaf", PARTED, [*PARTED_MOVES, "CREATE TABLE S.p3 PARTITION OF S.p FOR VALUES IN (3)"],
             ["INSERT INTO S.p VALUES (7, 3, 'x')"], properties={"publish.via.partition.root": "true"}),
    Scenario("parted_attached",
             [PARTED, "CREATE TABLE S.q (part integer NOT NULL, v text, id integer NOT NULL, PRIMARY KEY (part, id))"],
             ["INSERT INTO S.q VALUES (5, 'x', 1)"], ["ALTER TABLE S.p ATTACH PARTITION S.q FOR VALUES IN (5)"],
             ["INSERT INTO S.p VALUES (8, 5, 'y')"], properties={"publish.via.partition.root": "true"}),
    Scenario("inherited",
             "CREATE TABLE S.p (id integer PRIMARY KEY, v text); CREATE TABLE S.c (w integer) INHERITS (S.p); "
             "ALTER TABLE S.c ADD PRIMARY KEY (id); INSERT INTO S.p VALUES (1, 'a'); "
             "INSERT INTO S.c VALUES (2, 'b', 3)",
             ["UPDATE S.p SET v = 'x'", "INSERT INTO S.c VALUES (4, 'b', 3)"],
             known=((".*p", "only A", "r"),)),
]
PUBLICATION = [
    Scenario("pub_filtered", TWO + "; CREATE TABLE S.other (id integer PRIMARY KEY)",
             ["INSERT INTO S.t VALUES (3, 'x', 1); INSERT INTO S.other VALUES (1)"],
             properties={"publication.autocreate.mode": "filtered", "table.include.list": "S.t"}),
    Scenario("pub_disabled",
             TWO + ("; CREATE PUBLICATION debezium_dbz_pub_disabled FOR ALL TABLES; "
                    "CREATE PUBLICATION debezium_nw_pub_disabled FOR ALL TABLES"),
             ["INSERT INTO S.t VALUES (3, 'x', 1)"], properties={"publication.autocreate.mode": "disabled"}),
    Scenario("pub_no_updates",
             TWO + "; " +
             ("CREATE PUBLICATION debezium_dbz_pub_no_updates FOR ALL TABLES WITH (publish = 'insert,delete'); "
              "CREATE PUBLICATION debezium_nw_pub_no_updates FOR ALL TABLES WITH (publish = 'insert,delete')"),
             ["INSERT INTO S.t VALUES (3, 'x', 1)", "UPDATE S.t SET v = 'y'", "DELETE FROM S.t WHERE id = 3"],
             properties={"publication.autocreate.mode": "disabled"}),
    Scenario("pub_columns",
             TWO + ("; CREATE PUBLICATION debezium_dbz_pub_columns FOR TABLE S.t (id, v), S.marker; "
                    "CREATE PUBLICATION debezium_nw_pub_columns FOR TABLE S.t (id, v), S.marker"),
             ["INSERT INTO S.t VALUES (3, 'x', 1)", "UPDATE S.t SET v = 'y'"],
             properties={"publication.autocreate.mode": "disabled"},
             known=((".*t", r"value-schema\..*", "r"), (".*t", r"image\.n", "r"))),
    Scenario("pub_rows",
             TWO + ("; CREATE PUBLICATION debezium_dbz_pub_rows FOR TABLE S.t WHERE (id > 2), S.marker; "
                    "CREATE PUBLICATION debezium_nw_pub_rows FOR TABLE S.t WHERE (id > 2), S.marker"),
             ["INSERT INTO S.t VALUES (3, 'x', 1)", "UPDATE S.t SET v = 'y'", "UPDATE S.t SET id = 1000 - id"],
             properties={"publication.autocreate.mode": "disabled"}, known=((".*t", "only A", "r"),)),
]
NO_COPY = {"snapshot.mode": "no_data"}
COPIES = [
    Scenario("no_data", TWO, ["UPDATE S.t SET v = 'y'"], properties=NO_COPY),
    Scenario("when_needed", TWO, ["UPDATE S.t SET v = 'y'"], properties={"snapshot.mode": "when_needed"}),
    Scenario("many_rows",
             "CREATE TABLE S.t (id integer PRIMARY KEY, v text); "
             "INSERT INTO S.t SELECT n, repeat('x', n % 50) FROM generate_series(1, 5000) n",
             ["UPDATE S.t SET v = 'y' WHERE id % 100 = 0"], properties={"snapshot.fetch.size": "100"}),
    Scenario("threads",
             "CREATE TABLE S.t (id integer PRIMARY KEY, v text); "
             "INSERT INTO S.t SELECT n, repeat('x', n % 50) FROM generate_series(1, 5000) n; "
             "CREATE TABLE S.u (id integer PRIMARY KEY, v text); "
             "INSERT INTO S.u SELECT n, repeat('x', n % 50) FROM generate_series(1, 5000) n",
             ["UPDATE S.t SET v = 'y' WHERE id % 100 = 0"], properties={"snapshot.max.threads": "2"}),
    Scenario("isolation", TWO, ["UPDATE S.t SET v = 'y'"],
             properties={"snapshot.isolation.mode": "repeatable_read", "snapshot.locking.mode": "shared"}),
    Scenario("empty_table", "CREATE TABLE S.t (id integer PRIMARY KEY)", ["INSERT INTO S.t VALUES (1)"]),
    Scenario("row_security", TWO + "; ALTER TABLE S.t ENABLE ROW LEVEL SECURITY",
             ["INSERT INTO S.t VALUES (3, 'x', 1)"]),
]
BLOCKS = {"provide.transaction.metadata": "true"}
TRANSACTIONS = [
    Scenario("savepoints", TWO,
             ["BEGIN; INSERT INTO S.t VALUES (3, 'in', 1); SAVEPOINT a; INSERT INTO S.t VALUES (4, 'out', 1); "
              "ROLLBACK TO a; INSERT INTO S.t VALUES (5, 'in', 1); SAVEPOINT b; UPDATE S.t SET v = 'b'; RELEASE b; "
              "COMMIT"],
             known=ONCE, properties=BLOCKS),
    Scenario("rolled_back", TWO,
             ["BEGIN; INSERT INTO S.t VALUES (3, 'out', 1); ROLLBACK", "INSERT INTO S.t VALUES (4, 'in', 1)"],
             known=ONCE, properties=BLOCKS),
    Scenario("rolled_back_large", TWO,
             ["BEGIN; INSERT INTO S.t SELECT n, 'out', 1 FROM generate_series(10, 5000) n; ROLLBACK",
              "INSERT INTO S.t VALUES (4, 'in', 1)"]),
    Scenario("empty", TWO,
             ["BEGIN; SELECT pg_current_xact_id(); COMMIT",
              "CREATE TABLE public.s_empty (id integer)",
              "INSERT INTO public.s_empty VALUES (1)",
              "INSERT INTO S.t VALUES (4, 'in', 1)"],
             known=ONCE, properties=BLOCKS),
    Scenario("large_transaction", TWO,
             ["INSERT INTO S.t SELECT n, repeat('x', 50), n FROM generate_series(10, 6000) n; UPDATE S.t SET n = 1; "
              "DELETE FROM S.t WHERE id > 100"],
             known=ONCE, properties=BLOCKS),
    Scenario("two_phases", TWO,
             ["BEGIN; INSERT INTO S.t VALUES (3, 'in', 1); PREPARE TRANSACTION 'scenario_a'",
              "BEGIN; INSERT INTO S.t VALUES (4, 'out', 1); PREPARE TRANSACTION 'scenario_b'",
              "INSERT INTO S.t VALUES (5, 'between', 1)",
              "COMMIT PREPARED 'scenario_a'",
              "ROLLBACK PREPARED 'scenario_b'",
              "UPDATE S.t SET v = 'after'"],
             known=ONCE, properties=BLOCKS),
    Scenario("several_tables", TWO + "; CREATE TABLE S.u (id integer PRIMARY KEY)",
             ["INSERT INTO S.t VALUES (3, 'x', 1); INSERT INTO S.u VALUES (1); UPDATE S.t SET v = 'y'; "
              "DELETE FROM S.u"],
             known=ONCE, properties={**BLOCKS, "topic.transaction": "tx"}),
    Scenario("same_row_twice", FULL,
             ["INSERT INTO S.t VALUES (3, 'x', 1); UPDATE S.t SET v = 'y' WHERE id = 3; "
              "UPDATE S.t SET id = 4 WHERE id = 3; DELETE FROM S.t WHERE id = 4; "
              "INSERT INTO S.t VALUES (3, 'again', 1)"]),
    Scenario("cascades",
             "CREATE TABLE S.t (id integer PRIMARY KEY); "
             "CREATE TABLE S.u (id integer PRIMARY KEY, t integer REFERENCES S.t ON UPDATE CASCADE ON DELETE CASCADE); "
             "INSERT INTO S.t VALUES (1), (2); INSERT INTO S.u VALUES (1, 1), (2, 2)",
             ["UPDATE S.t SET id = 10 WHERE id = 1", "DELETE FROM S.t WHERE id = 2"],
             known=(*ONCE, (".*", r"value\.transaction\..*", "")), properties=BLOCKS),
    Scenario("upserts", TWO,
             ["INSERT INTO S.t VALUES (1, 'z', 3), (9, 'new', 1) ON CONFLICT (id) DO UPDATE SET v = excluded.v",
              "UPDATE S.t SET id = 100 - id",
              "INSERT INTO S.t VALUES (99, 'z', 3) ON CONFLICT DO NOTHING",
              "MERGE INTO S.t USING (VALUES (98), (77)) m (k) ON id = k WHEN MATCHED THEN DELETE WHEN NOT MATCHED "
              "THEN INSERT (id) VALUES (k)"]),
    Scenario("origins", TWO,
             ["SELECT pg_replication_origin_create('elsewhere')",
              "SELECT pg_replication_origin_session_setup('elsewhere'); BEGIN; "
              "SELECT pg_replication_origin_xact_setup('0/1234', '2024-06-01 12:00'); "
              "INSERT INTO S.t VALUES (3, 'from elsewhere', 1); COMMIT",
              "INSERT INTO S.t VALUES (4, 'here', 1)"],
             known=((".*", r"value\.source\.origin_lsn", "c"),)),
    Scenario("copy_in", TWO,
             ["CREATE TEMP TABLE x AS SELECT n AS id FROM generate_series(10, 300) n; INSERT INTO S.t SELECT id FROM x",
              "TRUNCATE S.t",
              "INSERT INTO S.t VALUES (1)"],
             properties={"skipped.operations": "none"}),
]
TALK = ["SELECT pg_logical_emit_message(true, 'one', 'content ü')",
        "SELECT pg_logical_emit_message(false, 'two', '\\x00ff'::bytea)",
        "INSERT INTO S.t VALUES (5, 'x', 1); SELECT pg_logical_emit_message(true, 'one', 'inside'); "
        "SELECT pg_logical_emit_message(false, 'one', 'beside'); UPDATE S.t SET v = 'y'",
        "BEGIN; SELECT pg_logical_emit_message(true, 'one', 'lost'); "
        "SELECT pg_logical_emit_message(false, 'one', 'kept'); ROLLBACK",
        "SELECT pg_logical_emit_message(true, '', '')"]
MESSAGES = [
    Scenario("messages", TWO, TALK),
    Scenario("messages_hex", TWO, TALK, properties={"binary.handling.mode": "hex"}, base=PLAIN),
    Scenario("messages_none", TWO, TALK, properties={"message.prefix.exclude.list": ".*"}),
    Scenario("messages_some", TWO, TALK, properties={"message.prefix.include.list": "o.*,three"}),
    Scenario("messages_others", TWO, TALK, properties={"message.prefix.exclude.list": "tw.*"}),
    Scenario("messages_blocks", TWO, TALK, properties=BLOCKS, known=ONCE),
    Scenario("delimiter", TWO, ["UPDATE S.t SET v = 'y'"], properties={**BLOCKS, "topic.delimiter": "-"}, least=0),
    Scenario("schema_strategy", TWO, ["UPDATE S.t SET v = 'y'"],
             properties={"topic.naming.strategy": "io.debezium.schema.SchemaTopicNamingStrategy"}),
    Scenario("heartbeats", TWO, ["UPDATE S.t SET v = 'y'"], properties={"heartbeat.interval.ms": "1000"}),
    Scenario("no_headers", TWO, ["UPDATE S.t SET v = 'y'"], properties={"extended.headers.enabled": "false"}),
]
DEFAULTS = [
    Scenario("default_functions",
             "CREATE TABLE S.t (id serial PRIMARY KEY, data text, at timestamp NOT NULL DEFAULT "
             "pg_catalog.timezone('UTC', pg_catalog.now()), u uuid DEFAULT pg_catalog.gen_random_uuid(), b bigserial, "
             "s smallserial, f text DEFAULT current_database(), g date DEFAULT ('now'::text)::date, "
             "h integer GENERATED ALWAYS AS IDENTITY, l timestamptz DEFAULT now() + interval '1 day', "
             "m text DEFAULT pg_catalog.concat('a', 'b'), o text DEFAULT md5('x'))",
             ["INSERT INTO S.t (data) VALUES ('x')", "UPDATE S.t SET data = 'y'", "DELETE FROM S.t"]),
    Scenario("default_digits",
             "CREATE TABLE S.t (id serial PRIMARY KEY, cost numeric(8,4) DEFAULT 1.123456, "
             "d numeric(4,2) NOT NULL DEFAULT 3, e numeric NOT NULL DEFAULT 5.50, r real DEFAULT 0.1, "
             "n numeric(10,0) DEFAULT 5.6, neg integer NOT NULL DEFAULT (-7), "
             "dp double precision NOT NULL DEFAULT '1e100', sm smallint DEFAULT '5'::smallint, "
             "bi bigint DEFAULT 5000000000, ch text NOT NULL DEFAULT E'tab\\tq''', "
             "v varchar(3) DEFAULT 'abc'::varchar, c character(4) NOT NULL DEFAULT 'x')",
             ["INSERT INTO S.t (cost) VALUES (5.5)",
              "INSERT INTO S.t (cost) VALUES (0)",
              "INSERT INTO S.t DEFAULT VALUES",
              "UPDATE S.t SET n = 1",
              "DELETE FROM S.t"],
             known=((".*", r"value-schema\.fields\[\d\]\.fields\[[15]\]\.default", ""),
                    (".*", r"image\.(cost|n)", "d"))),
    Scenario("default_times",
             "CREATE TABLE S.t (id serial PRIMARY KEY, d date NOT NULL DEFAULT '2024-02-29', "
             "e date NOT NULL DEFAULT '0001-01-01 BC', t time NOT NULL DEFAULT '10:11:12', "
             "tt time(3) NOT NULL DEFAULT '10:11:12.345', z timetz NOT NULL DEFAULT '10:11:12+03', "
             "ts timestamp(0) NOT NULL DEFAULT '2024-01-01 00:00:01', tss timestamp NOT NULL DEFAULT '1900-01-01 "
             "00:00:01.000001', tz timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00', "
             "i interval NOT NULL DEFAULT '1 year 2 days')",
             ["INSERT INTO S.t DEFAULT VALUES", "UPDATE S.t SET id = 9", "DELETE FROM S.t"]),
    Scenario("default_times_connect",
             "CREATE TABLE S.t (id serial PRIMARY KEY, d date NOT NULL DEFAULT '2024-02-29', "
             "t time NOT NULL DEFAULT '10:11:12', tt time(3) NOT NULL DEFAULT '10:11:12.345', "
             "ts timestamp(0) NOT NULL DEFAULT '2024-01-01 00:00:01', tss timestamp NOT NULL DEFAULT '1900-01-01 "
             "00:00:01.001', tz timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00', "
             "i interval NOT NULL DEFAULT '1 year 2 days')",
             ["INSERT INTO S.t DEFAULT VALUES", "UPDATE S.t SET id = 9", "DELETE FROM S.t"],
             properties={"time.precision.mode": "connect", "interval.handling.mode": "string"}),
    Scenario("default_hstore",
             "CREATE TABLE S.t (id integer PRIMARY KEY, h public.hstore NOT NULL DEFAULT "
             "'a=>1,b=>NULL'::public.hstore, b boolean); INSERT INTO S.t VALUES (1, 'x=>y', true)",
             ["UPDATE S.t SET b = false", "DELETE FROM S.t"]),
    Scenario("default_hstore_map",
             "CREATE TABLE S.t (id integer PRIMARY KEY, h public.hstore NOT NULL DEFAULT "
             "'a=>1,b=>NULL'::public.hstore, b boolean); INSERT INTO S.t VALUES (1, 'x=>y', true)",
             ["UPDATE S.t SET b = false", "DELETE FROM S.t"],
             properties={"hstore.handling.mode": "map"}),
    Scenario("default_enum",
             "CREATE TYPE S.\"Mood Type\" AS ENUM ('good', 'So so', 'it''s'); "
             'CREATE TABLE S.t (id integer PRIMARY KEY, m S."Mood Type" NOT NULL DEFAULT \'So so\'::S."Mood Type", '
             "o S.\"Mood Type\" DEFAULT 'it''s')",
             ["INSERT INTO S.t VALUES (1)", "INSERT INTO S.t VALUES (2, 'good', NULL)"],
             ["ALTER TYPE S.\"Mood Type\" ADD VALUE 'new' BEFORE 'So so'"],
             ["INSERT INTO S.t VALUES (3, 'new', 'new')", "UPDATE S.t SET o = 'good'"],
             known=((".*", r"value-schema\.fields\[\d\]\.fields\[2\]\.default", ""),
                    (".*", r"image\.o", ""),
                    (".*", r"value-schema\..*\.parameters\.allowed", ""))),
    Scenario("default_domain",
             "CREATE DOMAIN S.amount AS numeric(9,2) NOT NULL DEFAULT 7.5; CREATE DOMAIN S.word AS varchar(7); "
             "CREATE DOMAIN S.deep AS S.word DEFAULT 'deep'; "
             "CREATE TABLE S.t (id integer PRIMARY KEY, a S.amount, b S.word DEFAULT 'w', c S.deep)",
             ["INSERT INTO S.t (id) VALUES (1)", "INSERT INTO S.t VALUES (2, 1, NULL, NULL)", "DELETE FROM S.t"]),
    Scenario("default_null_kept",
             "CREATE TABLE S.t (id integer PRIMARY KEY, a text DEFAULT 'd', b integer DEFAULT 5); "
             "INSERT INTO S.t VALUES (1, NULL, NULL)",
             ["UPDATE S.t SET b = 7", "UPDATE S.t SET b = NULL"],
             properties={"value.converter.replace.null.with.default": "false"},
             known=((".*", r"value\.source\.snapshot", ""),)),
    Scenario("bits",
             "CREATE TABLE S.t (id integer PRIMARY KEY, a bit DEFAULT '1', b bit(8) NOT NULL DEFAULT B'10101010', "
             "c varbit(1), d varbit(20) DEFAULT '111', e bit(17)); "
             "INSERT INTO S.t (id, c, e) VALUES (1, '1', B'10101010101010101')",
             ["INSERT INTO S.t (id) VALUES (2)", "UPDATE S.t SET c = NULL", "DELETE FROM S.t"]),
    Scenario("money",
             "CREATE TABLE S.t (id integer PRIMARY KEY, m money NOT NULL DEFAULT 1.23, n money); "
             "INSERT INTO S.t VALUES (1, -92233720368547758.08, 92233720368547758.07)",
             ["INSERT INTO S.t VALUES (2, 1, NULL)", "UPDATE S.t SET n = -0.01", "DELETE FROM S.t"]),
    Scenario("money_string",
             "CREATE TABLE S.t (id integer PRIMARY KEY, m money NOT NULL DEFAULT 1.23, n money); "
             "INSERT INTO S.t VALUES (1, -92233720368547758.08, 92233720368547758.07)",
             ["INSERT INTO S.t VALUES (2, 1, NULL)", "UPDATE S.t SET n = -0.01", "DELETE FROM S.t"],
             properties={"decimal.handling.mode": "string"}),
    Scenario("old_times",
             "CREATE TABLE S.t (id integer PRIMARY KEY, a timestamp, b timestamptz, c date); "
             "INSERT INTO S.t VALUES (1, '1500-02-28 01:02:03.4', '1500-02-28 01:02:03.4+00', '1500-02-28'), (2, "
             "'1582-10-10', '1582-10-10+00', '1582-10-10')",
             ["INSERT INTO S.t VALUES (3, '1500-02-28 01:02:03.4', '1500-02-28 01:02:03.4+00', '1500-02-28')"],
             known=((".*", r"image\.c", "r"),)),
    Scenario("hstores",
             "CREATE TABLE S.t (id integer PRIMARY KEY, h public.hstore); "
             "INSERT INTO S.t VALUES (1, 'a=>1'), (2, ''), (3, NULL), (4, '\"q\\\"u\"=>\"\\\\\", ü=>NULL')",
             ["INSERT INTO S.t VALUES (5, '\"key #1\"=>\"va \\\" l\", b=>\"NULL\"')",
              "UPDATE S.t SET h = 'z=>1,aa=>2'"],
             properties={"hstore.handling.mode": "map"}),
]
KEYS = [
    Scenario("unique_only",
             "CREATE TABLE S.t (id integer NOT NULL UNIQUE, v text); ALTER TABLE S.t REPLICA IDENTITY FULL; "
             "INSERT INTO S.t VALUES (1, 'x')",
             ["INSERT INTO S.t VALUES (2, 'x')", "UPDATE S.t SET v = 'y'", "DELETE FROM S.t"]),
    Scenario("unique_null",
             "CREATE TABLE S.t (id integer UNIQUE, v text); ALTER TABLE S.t REPLICA IDENTITY FULL; "
             "INSERT INTO S.t VALUES (1, 'x')",
             ["INSERT INTO S.t VALUES (2, 'x')", "UPDATE S.t SET v = 'y'"]),
    Scenario("unique_expression",
             "CREATE TABLE S.t (id integer NOT NULL, v text NOT NULL); CREATE UNIQUE INDEX ON S.t (id, lower(v)); "
             "CREATE UNIQUE INDEX ON S.t (id) WHERE v > 'a'; ALTER TABLE S.t REPLICA IDENTITY FULL; "
             "INSERT INTO S.t VALUES (1, 'x')",
             ["INSERT INTO S.t VALUES (2, 'x')", "UPDATE S.t SET v = 'y'"]),
    Scenario("keyless",
             "CREATE TABLE S.t (id integer, v text); INSERT INTO S.t VALUES (1, 'x'); "
             "ALTER TABLE S.t REPLICA IDENTITY FULL",
             ["INSERT INTO S.t VALUES (1, 'x')", "UPDATE S.t SET v = 'y'"]),
    Scenario("keyless_default",
             "CREATE TABLE S.t (id integer, v text); INSERT INTO S.t VALUES (1, 'x')",
             ["INSERT INTO S.t VALUES (1, 'x')"]),
    Scenario("identity_nothing",
             "CREATE TABLE S.t (id integer PRIMARY KEY, v text); ALTER TABLE S.t REPLICA IDENTITY NOTHING",
             ["INSERT INTO S.t VALUES (1, 'x')"]),
    Scenario("identity_index",
             "CREATE TABLE S.t (id integer PRIMARY KEY, o integer NOT NULL, v text); "
             "CREATE UNIQUE INDEX t_o ON S.t (o); ALTER TABLE S.t REPLICA IDENTITY USING INDEX t_o; "
             "INSERT INTO S.t VALUES (1, 2, 'x')",
             ["INSERT INTO S.t VALUES (2, 3, 'x')", "UPDATE S.t SET v = 'y'"],
             known=UNIQUE),
    Scenario("key_included",
             "CREATE TABLE S.t (id integer, v text, w text, PRIMARY KEY (id) INCLUDE (w)); "
             "INSERT INTO S.t VALUES (1, 'x', 'y')",
             ["UPDATE S.t SET w = 'z'", "UPDATE S.t SET id = 5", "DELETE FROM S.t"]),
    Scenario("key_moves", FULL, ["UPDATE S.t SET id = id + 10", "UPDATE S.t SET id = 5, v = 'n' WHERE id = 11"],
             base=PLAIN),
    Scenario("key_deferred",
             "CREATE TABLE S.t (id integer PRIMARY KEY DEFERRABLE, v text); INSERT INTO S.t VALUES (1, 'x'); "
             "ALTER TABLE S.t REPLICA IDENTITY FULL",
             ["UPDATE S.t SET v = 'y'", "UPDATE S.t SET id = 5", "DELETE FROM S.t"]),
    Scenario("key_of_defaults",
             "CREATE TABLE S.t (id integer DEFAULT 5, u text DEFAULT 'k', v text, PRIMARY KEY (id, u)); "
             "INSERT INTO S.t (v) VALUES ('x')",
             ["UPDATE S.t SET v = 'y'", "UPDATE S.t SET u = 'z'", "DELETE FROM S.t"]),
]
BOX = ("CREATE TABLE S.outbox (id uuid PRIMARY KEY, aggregatetype varchar(255) NOT NULL, "
       "aggregateid varchar(255) NOT NULL, type varchar(255) NOT NULL, payload jsonb, version integer, "
       "eventtime timestamp, deleted boolean)")
LETTERS = ["INSERT INTO S.outbox VALUES ('00000000-0000-0000-0000-000000000001', 'Order', '10', 'Created', "
           '\'{"a": 1, "b": [1, 2.5], "c": {"d": "x"}}\', 1, \'2024-06-01 12:00:00.123456\', false)',
           "INSERT INTO S.outbox VALUES ('00000000-0000-0000-0000-000000000002', 'User', '11', 'Gone', NULL, NULL, "
           "NULL, true)",
           "DELETE FROM S.outbox"]
LAST = ("INSERT INTO S.outbox VALUES (gen_random_uuid(), 'marker', 'm', 'marker', '{\"mark\": \"mark MARK\"}', 1, "
        "'2024-06-01', false)")


def outbox(name, letters=LETTERS, known=(), **settings):
    return Scenario(f"outbox_{name}", BOX, letters, known=known, base=PLAIN, least=2, last=LAST,
                    properties={"table.include.list": "S.outbox", "transforms": "outbox",
                                "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter",
                                "transforms.outbox.route.topic.replacement": f"dbz_outbox_{name}.${{routedByValue}}",
                                **{f"transforms.outbox.{key}": value for key, value in settings.items()}})


OUTBOX = [
    outbox("plain"),
    outbox("mixed", known=((".*Order", r"value(\..*)?", ""),), **{"table.expand.json.payload": "true"}),
    outbox("expanded", letters=[text.replace("2.5", "2") for text in LETTERS], **{"table.expand.json.payload": "true"}),
    outbox("placed",
           **{"table.fields.additional.placement": "type:header:eventType,version:envelope:v,deleted:header"}),
    outbox("other",
           **{"route.by.field": "type", "table.field.event.key": "type", "table.field.event.timestamp": "eventtime"}),
]
GROUPS = {"shapes": SHAPES, "names": NAMES, "filters": FILTERS, "toast": TOAST,
          "partitions": [*PARTITIONS, *PUBLICATION], "copies": COPIES, "transactions": TRANSACTIONS,
          "messages": MESSAGES, "defaults": DEFAULTS, "keys": KEYS, "outbox": OUTBOX}
