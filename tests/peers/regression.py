#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""narwal beside PostgreSQL's own regression suite: every table, type and DDL that its authors test.

    tests/peers/regression.py SOURCE [--version N] [--rounds N]

SOURCE is an unpacked PostgreSQL source tree of that version (of Debian's package, for example);
pg_regress comes with the server. NARWAL_BUILD chooses the build. For maintainers: two minutes.

1. copied: the suite runs, then narwal copies what it left (over 400 tables) and follows random
   changes of every table.
2. followed: narwal follows the suite while it runs, with all its DDL, through a publication FOR ALL
   TABLES. It must never stop, and every table that still exists has to be the same. What pgoutput
   does not send (a rewrite, an attached partition, a column that no row has used) shows in the
   tables of NOT_SENT.
"""
import argparse
import pathlib
import random
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from lab import check, cluster, folder, narwal, oracle  # noqa: E402

SUITE_SECONDS_MAX = 900
ROWS_PER_STATEMENT = 50
COLUMNS_MAX = 12
DATABASE = "regression"

# Tables that the log cannot give, because of what the suite does to them last.
NOT_SENT = {
    "a column came, went or changed, and no row followed":
        {"mlparted", "a_star", "b_star", "c_star", "d_star", "e_star", "itest3", "itest13",
         "gtest25", "gtest29", "domnotnull", "alter_table_under_transition_tables", "bar2",
         "has_fast_default"},
    "renamed columns, and the catalog was read later": {"f_star"},
    "the table was rewritten": {"d", "test_tbl3"},
    "a partition was attached or detached":
        {"past_parted", "fk_partitioned_fk", "droppk", "bar1"},
}

# Every table with a whole old row, so that updates and deletes are published and the suite's own
# statements go on working.
IDENTITY = """
CREATE SCHEMA narwal_test;
CREATE FUNCTION narwal_test.identity() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE made record;
BEGIN
    FOR made IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE object_type = 'table' LOOP
        IF (SELECT relkind IN ('r', 'p') AND relpersistence = 'p' AND relreplident <> 'f'
            FROM pg_class WHERE oid = made.objid) THEN
            EXECUTE format('ALTER TABLE ONLY %s REPLICA IDENTITY FULL', made.objid::regclass);
        END IF;
    END LOOP;
EXCEPTION WHEN others THEN NULL;
END $$;
CREATE EVENT TRIGGER narwal_test ON ddl_command_end
    WHEN tag IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO')
    EXECUTE FUNCTION narwal_test.identity();
"""
TABLES = """
SELECT c.oid, n.nspname, c.relname, c.oid::regclass::text FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 4
"""


class Suite:
    def __init__(self, server, source):
        self.server = server
        self.inputs = pathlib.Path(source).resolve() / "src" / "test" / "regress"
        self.out = server.folder / "regress"
        self.out.mkdir()
        server.own(self.out)
        server.sql(f"CREATE DATABASE {DATABASE} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
        server.sql("CREATE SCHEMA lab; CREATE TABLE lab.marker (id bigint PRIMARY KEY)",
                   database=DATABASE)

    def run(self):
        """What fails of it does not matter here: the load does, not its output."""
        library = self.server.bin.parent / "lib"
        clients = cluster.servers.SYSTEM / str(cluster.servers.CLIENTS_MAJOR) / "bin"
        programs = [path for path in (library / "pgxs", library / "postgresql" / "pgxs")
                    if path.exists()]
        command = [programs[0] / "src/test/regress/pg_regress", "--use-existing",
                   f"--inputdir={self.inputs}", f"--outputdir={self.out}", f"--dlpath={self.out}",
                   f"--bindir={clients}",
                   f"--host={self.server.socket}", f"--port={self.server.port}", "--user=postgres",
                   f"--schedule={self.inputs / 'parallel_schedule'}", "--max-concurrent-tests=20"]
        subprocess.run(cluster.as_server_user(command), stdout=subprocess.DEVNULL, cwd=self.out,
                       stderr=subprocess.DEVNULL, timeout=SUITE_SECONDS_MAX)

    def tables(self):
        with self.server.connect(DATABASE) as connection, connection.cursor() as cursor:
            cursor.execute(TABLES)
            return {oid: (schema, name, text) for oid, schema, name, text in cursor.fetchall()}


class Churn:
    """Random changes of every table; what a constraint refuses is undone by its savepoint."""

    def __init__(self, suite, seed):
        self.random = random.Random(seed)
        self.connection = suite.server.connect(DATABASE, autocommit=False)
        self.cursor = self.connection.cursor()
        self.tables = [text for _, _, text in suite.tables().values()]
        self.done = 0

    def run(self):
        self.cursor.execute("SET session_replication_role = replica")
        self.connection.commit()
        for table in self.tables:
            self.table(table)
            if self.random.random() < 0.3:
                self.connection.commit()
            elif self.random.random() < 0.1:
                self.connection.rollback()
        self.connection.commit()
        self.connection.close()
        return self.done

    def table(self, table):
        self.cursor.execute(
            "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = %s::regclass AND "
            "attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity = ''", (table,))
        columns = [name for (name,) in self.cursor.fetchall()]
        some = f"WHERE ctid IN (SELECT ctid FROM ONLY {table} ORDER BY random() LIMIT %s)"
        if columns:
            names = ", ".join(columns)
            self.attempt(f"INSERT INTO {table} ({names}) SELECT {names} FROM ONLY {table} {some}")
            for column in columns[:COLUMNS_MAX]:
                self.attempt(f"UPDATE ONLY {table} SET {column} = {column} {some}")
            self.attempt(f"UPDATE ONLY {table} SET {self.random.choice(columns)} = NULL {some}")
        self.attempt(f"DELETE FROM ONLY {table} {some}")

    def attempt(self, statement):
        self.cursor.execute("SAVEPOINT attempt")
        try:
            self.cursor.execute(statement, (self.random.randrange(ROWS_PER_STATEMENT),))
            self.done += self.cursor.rowcount
            self.cursor.execute("RELEASE attempt")
        except cluster.psycopg2.Error:
            self.cursor.execute("ROLLBACK TO attempt")


class RegressionTest(check.Case):
    source = None
    rounds = 4

    def prepare(self):
        # The suite's own settings; its plans and texts depend on them.
        self.server = self.cluster(options={
            "datestyle": "Postgres, MDY", "timezone": "PST8PDT", "bytea_output": "hex",
            "intervalstyle": "postgres_verbose", "autovacuum": "off"})
        self.suite = Suite(self.server, self.source)

    def follow(self, **source):
        reader = self.enter(narwal.Narwal(self.server, database=DATABASE,
                                          settings={"source": source}))
        return reader.start().wait_streaming()

    def compare(self, reader, known):
        """Each table of the files that still exists, with what the database has."""
        state, tables, bad = folder.State(reader.out), self.suite.tables(), []
        target = f"{DATABASE}_oracle"
        reader.terminate()
        self.server.sql(f"CREATE DATABASE {target} TEMPLATE {DATABASE}")
        self.server.sql("DROP EVENT TRIGGER IF EXISTS narwal_test", database=target)
        compared = 0
        for table in state.folder.tables:
            place = (table.schema, table.name)
            if table.oid not in tables or place != tables[table.oid][:2] or table.name in known:
                continue
            log = folder.log(table)
            log.copied = True
            result = oracle.compare([log], self.server.dsn(DATABASE), self.server.dsn(target),
                                    [place], types=False)
            compared += 1
            if not result.good:
                bad.append(f"{place}: {result.report()}")
        self.assertFalse(bad, "\n".join(bad))
        return compared

    def test_copied(self):
        self.prepare()
        self.suite.run()
        for _, _, text in self.suite.tables().values():
            self.server.sql(f"ALTER TABLE ONLY {text} REPLICA IDENTITY FULL", database=DATABASE)
        reader = self.follow()
        done = sum(Churn(self.suite, seed).run() for seed in range(self.rounds))
        reader.wait_caught_up()
        compared = self.compare(reader, set())
        print(f"{compared} tables, {done} changes of them: the same", end=" ... ", flush=True)
        self.assertGreater(compared, 300)

    def test_followed(self):
        self.prepare()
        self.server.sql(IDENTITY + "CREATE PUBLICATION everything FOR ALL TABLES "
                        "WITH (publish_via_partition_root)", database=DATABASE)
        reader = self.follow(publication={"name": "everything", "create": False})
        self.suite.run()
        self.assertTrue(reader.running, reader.log_tail())
        reader.wait_caught_up()
        compared = self.compare(reader, set().union(*NOT_SENT.values()))
        print(f"{compared} tables are the same", end=" ... ", flush=True)
        self.assertGreater(compared, 200)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", help="an unpacked PostgreSQL source tree of that version")
    parser.add_argument("--version", default="15")
    parser.add_argument("--rounds", type=int, default=RegressionTest.rounds)
    options, rest = parser.parse_known_args()
    RegressionTest.source, RegressionTest.rounds = options.source, options.rounds
    sys.argv[1:] = ["--version", options.version, *rest]
    check.main()


if __name__ == "__main__":
    main()
