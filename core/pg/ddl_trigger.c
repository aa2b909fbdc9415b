/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See ddl_trigger.h. The function runs with its owner's rights (a DDL's author may not be allowed
 * to read what it reads) and looks names up in pg_catalog alone. Whatever fails in it is a warning:
 * the application's command goes on.
 */
#include "pg/ddl_trigger.h"

#include <stddef.h>

/* Tables that the command is about: named by it, with a column of a type that was altered (also as
 * an array), or with a column that went away with something else. */
#define AFFECTED                                                                                   \
    "  IF tg_event = 'sql_drop' THEN\n"                                                            \
    "    SELECT array_agg(DISTINCT d.objid) INTO affected\n"                                       \
    "      FROM pg_event_trigger_dropped_objects() d\n"                                            \
    "      WHERE d.classid = 'pg_class'::regclass AND d.objsubid <> 0;\n"                          \
    "  ELSE\n"                                                                                     \
    "    SELECT array_agg(DISTINCT t.oid) INTO affected\n"                                         \
    "      FROM pg_event_trigger_ddl_commands() d CROSS JOIN LATERAL (\n"                          \
    "        SELECT d.objid AS oid WHERE d.classid = 'pg_class'::regclass\n"                       \
    "        UNION ALL SELECT i.indrelid FROM pg_index i\n"                                        \
    "          WHERE d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid\n"                \
    "        UNION ALL SELECT a.attrelid FROM pg_attribute a JOIN pg_type y ON y.oid = "           \
    "a.atttypid\n"                                                                                 \
    "          WHERE d.classid = 'pg_type'::regclass AND NOT a.attisdropped AND a.attnum > 0\n"    \
    "            AND d.objid IN (y.oid, y.typelem, y.typbasetype)) t;\n"                           \
    "  END IF;\n"

#define NOTE                                                                                       \
    "  FOR note IN\n"                                                                              \
    "    SELECT json_build_object('v', 1, 'oid', c.oid::bigint, 'schema', n.nspname,\n"            \
    "      'name', c.relname, 'identity', c.relreplident, 'attributes', c.relnatts,\n"             \
    "      'columns', (SELECT json_agg(json_build_object('attnum', a.attnum, 'name', a.attname,\n" \
    "        'type', a.atttypid::bigint, 'typmod', a.atttypmod, 'not_null', a.attnotnull,\n"       \
    "        'default', pg_get_expr(x.adbin, x.adrelid), 'generated', a.attgenerated,\n"           \
    "        'labels', (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e\n"    \
    "          WHERE e.enumtypid = a.atttypid),\n"                                                 \
    "        'item_labels', (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder)\n"              \
    "          FROM pg_type y JOIN pg_enum e ON e.enumtypid = y.typelem\n"                         \
    "          WHERE y.oid = a.atttypid AND y.typsubscript = "                                     \
    "'array_subscript_handler'::regproc))\n"                                                       \
    "        ORDER BY a.attnum)\n"                                                                 \
    "        FROM pg_attribute a LEFT JOIN pg_attrdef x\n"                                         \
    "          ON x.adrelid = a.attrelid AND x.adnum = a.attnum\n"                                 \
    "        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))::text\n"           \
    "    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace\n"                          \
    "    WHERE c.oid = ANY (affected) AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p'\n"    \
    "    ORDER BY c.oid\n"                                                                         \
    "  LOOP\n"                                                                                     \
    "    PERFORM pg_logical_emit_message(true, '" NW_DDL_PREFIX "', note);\n"                      \
    "  END LOOP;\n"

const char *const NW_DDL_TRIGGER_REMOVE[] = {
    "DROP EVENT TRIGGER IF EXISTS narwal_ddl_end",
    "DROP EVENT TRIGGER IF EXISTS narwal_ddl_drop",
    "DROP FUNCTION IF EXISTS narwal.note_ddl()",
    "DROP SCHEMA IF EXISTS narwal",
    NULL,
};

const char *const NW_DDL_TRIGGER_INSTALL[] = {
    "CREATE SCHEMA IF NOT EXISTS narwal",
    "CREATE OR REPLACE FUNCTION narwal.note_ddl() RETURNS event_trigger LANGUAGE plpgsql\n"
    "SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $narwal$\n"
    "DECLARE\n"
    "  affected oid[];\n"
    "  note text;\n"
    "BEGIN\n" AFFECTED NOTE "EXCEPTION WHEN OTHERS THEN\n"
    "  RAISE WARNING 'narwal could not note this change of a table: %', SQLERRM;\n"
    "END\n"
    "$narwal$",
    "REVOKE ALL ON FUNCTION narwal.note_ddl() FROM PUBLIC",
    "DROP EVENT TRIGGER IF EXISTS narwal_ddl_end",
    "CREATE EVENT TRIGGER narwal_ddl_end ON ddl_command_end\n"
    "WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE', 'ALTER TYPE',\n"
    "  'ALTER DOMAIN', 'CREATE INDEX', 'ALTER INDEX', 'CREATE SCHEMA', 'IMPORT FOREIGN SCHEMA')\n"
    "EXECUTE FUNCTION narwal.note_ddl()",
    "DROP EVENT TRIGGER IF EXISTS narwal_ddl_drop",
    "CREATE EVENT TRIGGER narwal_ddl_drop ON sql_drop EXECUTE FUNCTION narwal.note_ddl()",
    NULL,
};

const char NW_DDL_TRIGGER_COUNT[] =
    "SELECT count(*) FROM pg_catalog.pg_event_trigger WHERE evtname IN ('narwal_ddl_end', "
    "'narwal_ddl_drop') AND evtenabled IN ('O', 'A')";
