# SPDX-License-Identifier: Apache-2.0
"""Scenarios (debezium_scenarios.py) of single properties of the connector."""
from .debezium_scenarios import COLUMNS, MOVES, PLAIN, UNWRAP, Scenario

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
GROUPS = {"properties": SKIPPED}
