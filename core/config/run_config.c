/* SPDX-License-Identifier: Apache-2.0 */
/* See run_config.h. The tables below are the one source for validation and for the docs. */
#include "config/run_config.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define CONFIG_BYTES_MAX (16u << 20)
#define KEYS_MAX         64u

static const char *const SNAPSHOTS[] = {"initial", "never", "only", NULL};
static const char *const ORIGINS[] = {"any", "none", NULL};
static const char *const VALUES[] = {"auto", "text", NULL};
static const char *const KEYLESS[] = {"insert_only", "skip", NULL};
static const char *const NEW_TABLES[] = {"copy", "ignore", "stop", NULL};
static const char *const EXCEEDED[] = {"wait", "drop_slot", NULL};
static const char *const STALLED[] = {"wait", "detach", NULL};
static const char *const OLD[] = {"warn", "renew", NULL};
static const char *const ACKS[] = {"spool", "sink", NULL};
static const char *const PINNING[] = {"auto", "never", NULL};
static const char *const IO_ENGINES[] = {"auto", "io_uring", "pread", NULL};
static const char *const LEVELS[] = {"error", "warn", "info", "debug", NULL};
static const char *const FORMATS[] = {"auto", "text", "json", NULL};

static const struct nw_option TOP[] = {
    {"name", NW_OPTION_TEXT, 0, NULL, 0, 0, NULL,
     "Name of this pipeline: the slot is narwal_NAME, the state folder ends in NAME. Default: the "
     "configuration file's name, or the database's."},
    {"state_dir", NW_OPTION_PATH, 0, NULL, 0, 0, NULL,
     "Folder of narwal's own state, locked while it runs. Default: /var/lib/narwal/NAME as root, "
     "else ~/.local/state/narwal/NAME."},
    {"plugin_dir", NW_OPTION_PATH, 0, NULL, 0, 0, NULL,
     "Absolute folder of the sink plugins, not writable by others. Default: where narwal was "
     "installed."},
};
enum { TOP_NAME, TOP_STATE_DIR, TOP_PLUGIN_DIR, TOP_COUNT };
static const char *const TOP_SECTIONS[] = {"source", "copy",    "tables",  "transforms",
                                           "sinks",  "protect", "limits",  "epoch",
                                           "log",    "http",    "standby", NULL};

static const struct nw_option SOURCE[] = {
    {"dsn", NW_OPTION_TEXT, NW_OPTION_REQUIRED | NW_OPTION_RELOADABLE, NULL, 0, 0, NULL,
     "How to reach the database: a libpq connection string or URI."},
    {"password", NW_OPTION_TEXT, NW_OPTION_SECRET | NW_OPTION_RELOADABLE, NULL, 0, 0, NULL,
     "The role's password; better ${file:/path}, ${credential:NAME} of systemd or ${env:NAME}, "
     "read again for each connection, or a libpq passfile."},
    {"snapshot", NW_OPTION_CHOICE, 0, "initial", 0, 0, SNAPSHOTS,
     "initial: copy every table, then stream. never: stream only. only: copy, then stop."},
    {"origin", NW_OPTION_CHOICE, 0, "any", 0, 0, ORIGINS,
     "none: leave out changes that came to the server by replication (PostgreSQL 16 and later)."},
    {"messages", NW_OPTION_BOOL, 0, "true", 0, 0, NULL, "Follow pg_logical_emit_message() too."},
    {"streaming", NW_OPTION_BOOL, 0, "true", 0, 0, NULL,
     "Receive large transactions while they run, and keep them on disk until they commit."},
    {"values", NW_OPTION_CHOICE, 0, "auto", 0, 0, VALUES,
     "auto: values in binary while every published column's binary form is known. text: never."},
    {"connect_timeout", NW_OPTION_DURATION, NW_OPTION_RELOADABLE, "10s", 1000000, 600000000, NULL,
     "How long to wait for a connection, per host."},
};
enum {
    SOURCE_DSN,
    SOURCE_PASSWORD,
    SOURCE_SNAPSHOT,
    SOURCE_ORIGIN,
    SOURCE_MESSAGES,
    SOURCE_STREAMING,
    SOURCE_VALUES,
    SOURCE_CONNECT_TIMEOUT,
    SOURCE_COUNT
};
static const char *const SOURCE_SECTIONS[] = {"slot", "publication", "heartbeat", NULL};

/* slot and publication; only the slot has the last */
static const struct nw_option NAMED[] = {
    {"name", NW_OPTION_TEXT, 0, NULL, 0, 0, NULL, "Default: narwal_NAME."},
    {"create", NW_OPTION_BOOL, 0, "true", 0, 0, NULL,
     "Make it when it is not there; false: only use it."},
    {"failover", NW_OPTION_BOOL, 0, "false", 0, 0, NULL,
     "Have standbys keep it too, so that a promoted one goes on with it (PostgreSQL 17)."},
};
enum { NAMED_NAME, NAMED_CREATE, NAMED_FAILOVER, NAMED_COUNT };

static const struct nw_option COPY[] = {
    {"workers", NW_OPTION_INTEGER, 0, "4", 1, 32, NULL,
     "Sessions that copy side by side, each a part of a table."},
    {"chunk", NW_OPTION_SIZE, NW_OPTION_RELOADABLE, NULL, 64 << 10, 1ll << 40, NULL,
     "About how much of a table is read in one transaction. Default: 32MiB to 1GiB, by size and "
     "workers."},
    {"rate", NW_OPTION_SIZE, NW_OPTION_RELOADABLE, NULL, 1 << 10, 1ll << 40, NULL,
     "Most bytes a second that all workers together read. Default: as fast as it goes."},
    {"lock_wait", NW_OPTION_DURATION, NW_OPTION_RELOADABLE, "1s", 1000, 3600000000, NULL,
     "How long a table's ACCESS SHARE lock may be waited for, which queues others behind it."},
    {"where", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
     "Lines \"PATTERN: CONDITION\", for tables of which the first copy shall not have all rows: "
     "those that the SQL condition is true of, or none with false; the first whose pattern matches "
     "holds. Their changes are followed all the same, and later copies have all rows."},
};
enum { COPY_WORKERS, COPY_CHUNK, COPY_RATE, COPY_LOCK_WAIT, COPY_WHERE, COPY_COUNT };

static const struct nw_option TABLES[] = {
    {"include", NW_OPTION_LIST, NW_OPTION_RELOADABLE, NULL, 0, 0, NULL,
     "Patterns over schema.table: * is any text, ? one byte, [ab] one of these; [*], [?] and [[] "
     "are "
     "the characters themselves. Default: every table outside system schemas."},
    {"exclude", NW_OPTION_LIST, NW_OPTION_RELOADABLE, NULL, 0, 0, NULL,
     "Patterns of the same kind, taken away again."},
    {"no_key", NW_OPTION_CHOICE, 0, "insert_only", 0, 0, KEYLESS,
     "Tables without a usable replica identity: follow inserts and truncates only, or leave them "
     "out. Their updates and deletes cannot be published without breaking the application."},
    {"new_tables", NW_OPTION_CHOICE, NW_OPTION_RELOADABLE, "copy", 0, 0, NEW_TABLES,
     "A table newly matches: it was put into the publication, renamed into the patterns, or made "
     "since. copy: it is copied while the others stream, and followed. ignore: it is left out. "
     "stop: it counts as stopped."},
    {"drop_column", NW_OPTION_CHOICE, NW_OPTION_RELOADABLE, "apply", 0, 0, NW_POLICY_RULES,
     "A column was dropped (or renamed, with stop). keep: sinks that hold tables keep the column. "
     "stop: the table stops."},
    {"drop_table", NW_OPTION_CHOICE, NW_OPTION_RELOADABLE, "apply", 0, 0, NW_POLICY_RULES,
     "A table was dropped. What sinks have of it stays. apply: they get an event. stop: it counts "
     "as stopped, not as dropped; keep: it is not marked."},
    {"truncate", NW_OPTION_CHOICE, NW_OPTION_RELOADABLE, "apply", 0, 0, NW_POLICY_RULES,
     "keep: sinks do not hear of it, and what they have stays. stop: the table stops."},
    {"ambiguous_rename", NW_OPTION_CHOICE, NW_OPTION_RELOADABLE, "auto", 0, 0, NW_POLICY_AMBIGUOUS,
     "A column may be a former one under another name as well as another one, and the catalog does "
     "not tell any more. stop: the table stops. drop_add: it is another one. rename: it is the "
     "former one. auto: stop, but drop_add where every sink knows columns by their names alone, as "
     "Kafka does. narwal ddl-trigger makes it exact."},
    {"type_change", NW_OPTION_CHOICE, NW_OPTION_RELOADABLE, "apply", 0, 0, NW_POLICY_APPLY_STOP,
     "A column has another type, length or precision. apply: rows have it from then on, and what "
     "sinks have of older rows stays as it was. stop: the table stops."},
    {"policies", NW_OPTION_LIST, NW_OPTION_RELOADABLE, NULL, 0, 0, NULL,
     "Lines \"PATTERN key=value ...\" with the five keys above, for tables that differ; the first "
     "whose pattern matches holds."},
};
enum {
    TABLES_INCLUDE,
    TABLES_EXCLUDE,
    TABLES_NO_KEY,
    TABLES_NEW,
    TABLES_DROP_COLUMN,
    TABLES_DROP_TABLE,
    TABLES_TRUNCATE,
    TABLES_AMBIGUOUS_RENAME,
    TABLES_TYPE_CHANGE,
    TABLES_POLICIES,
    TABLES_COUNT
};

static const struct nw_option PROTECT[] = {
    {"ack", NW_OPTION_CHOICE, 0, "spool", 0, 0, ACKS,
     "While the copy runs, what the server may forget. spool: what is synced in the spool, on "
     "narwal's disk, so that WAL does not pile up there. sink: only what every sink has."},
    {"spool", NW_OPTION_SIZE, 0, "100GiB", 64ll << 20, 1ll << 50, NULL,
     "Most that the spool may take on disk. When it is full WAL stays on the server."},
    {"spool_dir", NW_OPTION_PATH, 0, NULL, 0, 0, NULL,
     "Folder of the spool, on a disk that is not scratch. Default: spool in the state folder."},
    {"retained_wal", NW_OPTION_SIZE, NW_OPTION_RELOADABLE, NULL, 16ll << 20, 1ll << 50, NULL,
     "Most WAL that the slot may hold back on the server before when_exceeded is done. Looked at "
     "every ten seconds. Default: no limit of narwal's."},
    {"when_exceeded", NW_OPTION_CHOICE, NW_OPTION_RELOADABLE, "wait", 0, 0, EXCEEDED,
     "wait: warn, and go on. drop_slot: end the run and drop the slot, so that the server can "
     "forget its WAL; a new copy is needed then."},
    {"snapshot_age", NW_OPTION_DURATION, NW_OPTION_RELOADABLE, "4h", 1000000, 31536000000000, NULL,
     "How old the snapshot of a copy should become at most: while there is one, vacuum removes "
     "nothing in the whole database that died since. Looked at every ten seconds."},
    {"when_old", NW_OPTION_CHOICE, NW_OPTION_RELOADABLE, "warn", 0, 0, OLD,
     "warn: only that. renew: the copy lets its snapshot go and goes on under a new one; what is "
     "durable of tables with a key stays, and of that only what changed is read again. A table "
     "without a key is read to its end first."},
};
enum {
    PROTECT_ACK,
    PROTECT_SPOOL,
    PROTECT_SPOOL_DIR,
    PROTECT_RETAINED_WAL,
    PROTECT_WHEN_EXCEEDED,
    PROTECT_SNAPSHOT_AGE,
    PROTECT_WHEN_OLD,
    PROTECT_COUNT
};

static const char *const REFUSED[] = {"stop", "dead_letter", NULL};
static const struct nw_option SINK[] = {
    {"name", NW_OPTION_TEXT, 0, NULL, 0, 0, NULL, "Default: its type."},
    {"type", NW_OPTION_TEXT, NW_OPTION_REQUIRED, NULL, 0, 0, NULL,
     "The plugin: file, null, or the name of a .so in plugin_dir."},
    {"workers", NW_OPTION_INTEGER, 0, "1", 1, 16, NULL,
     "Threads of this sink, as far as the plugin allows; tables are spread over them."},
    {"refused", NW_OPTION_CHOICE, 0, "stop", 0, 0, REFUSED,
     "A row that the sink refuses. stop: its table stops at this sink. dead_letter: the row is "
     "kept "
     "in dead-letters.db in the state folder, and the table goes on without it (narwal "
     "dead-letter)."},
    {"dead_letters", NW_OPTION_SIZE, 0, "64MiB", 65536, 1ll << 40, NULL,
     "Most that the sink's dead letters may take on disk; then its tables stop at refused rows."},
    {"dead_letter_rows", NW_OPTION_INTEGER, 0, "1000", 1, 100000, NULL,
     "Most rows that the sink may refuse within one commit before their table stops: finding each "
     "takes a recovery of the sink."},
    {"stalled", NW_OPTION_CHOICE, 0, "wait", 0, 0, STALLED,
     "When it has taken nothing for stalled_after while others go on. wait: so do the server's WAL "
     "and narwal. detach: it is left out, and holds nothing back; narwal sink attach brings it "
     "back, with new copies of its tables. The last sink is always waited for."},
    {"stalled_after", NW_OPTION_DURATION, 0, "1h", 1000000, 31536000000000, NULL,
     "How long that is."},
};
enum {
    SINK_NAME,
    SINK_TYPE,
    SINK_WORKERS,
    SINK_REFUSED,
    SINK_DEAD_LETTERS,
    SINK_DEAD_LETTER_ROWS,
    SINK_STALLED,
    SINK_STALLED_AFTER,
    SINK_COUNT
};

static const struct nw_option LIMITS[] = {
    {"memory", NW_OPTION_SIZE, NW_OPTION_RELOADABLE, "1GiB", 64ll << 20, 1ll << 44, NULL,
     "Budget for rows in flight; past it they spill to disk, and then the source waits. The "
     "default "
     "is less where the machine or the control group has less than twice as much."},
    {"spill", NW_OPTION_SIZE, NW_OPTION_RELOADABLE, "20GiB", 64ll << 20, 1ll << 50, NULL,
     "Most that spilled rows and transactions in progress may take on disk, per sink and source."},
    {"backlog", NW_OPTION_SIZE, NW_OPTION_RELOADABLE, "1GiB", 1ll << 20, 1ll << 50, NULL,
     "Most that the kept changes of each table that is paused or stopped may take on disk, in the "
     "state folder. What is more is left out, and the table is copied again."},
    {"spill_dir", NW_OPTION_PATH, 0, NULL, 0, 0, NULL,
     "Folder for spilled data, emptied at start. Default: spill in the state folder."},
    {"cpus", NW_OPTION_INTEGER, 0, NULL, 1, 1024, NULL,
     "Cores to plan for. Default: those that this process may use."},
    {"pin", NW_OPTION_CHOICE, 0, "auto", 0, 0, PINNING,
     "auto: threads have cores of their own where the machine is narwal's alone (narwal "
     "topology)."},
    {"io", NW_OPTION_CHOICE, 0, "auto", 0, 0, IO_ENGINES,
     "How files are written. auto: io_uring where the kernel allows it."},
    {"drain", NW_OPTION_DURATION, NW_OPTION_RELOADABLE, "30s", 0, 3600000000, NULL,
     "How long a stop may take to make durable what was received."},
};
enum {
    LIMITS_MEMORY,
    LIMITS_SPILL,
    LIMITS_BACKLOG,
    LIMITS_SPILL_DIR,
    LIMITS_CPUS,
    LIMITS_PIN,
    LIMITS_IO,
    LIMITS_DRAIN,
    LIMITS_COUNT
};

static const struct nw_option EPOCH[] = {
    {"time", NW_OPTION_DURATION, NW_OPTION_RELOADABLE, "250ms", 1000, 60000000, NULL,
     "Under load, commit at least this often; a sink that is ready commits sooner."},
    {"size", NW_OPTION_SIZE, NW_OPTION_RELOADABLE, "64MiB", 65536, 1ll << 40, NULL,
     "Commit when this much was received; never inside a transaction."},
};
enum { EPOCH_TIME, EPOCH_SIZE, EPOCH_COUNT };

static const struct nw_option STANDBY[] = {
    {"after", NW_OPTION_DURATION, NW_OPTION_RELOADABLE, "15s", 2000000, 3600000000, NULL,
     "With `run --standby`: how long the slot has to be free, or its owner silent, before this one "
     "takes over. Longer than the owner takes to connect again."},
};
enum { STANDBY_AFTER, STANDBY_COUNT };

static const struct nw_option LOG[] = {
    {"level", NW_OPTION_CHOICE, NW_OPTION_RELOADABLE, "info", 0, 0, LEVELS, "What is logged."},
    {"format", NW_OPTION_CHOICE, 0, "auto", 0, 0, FORMATS,
     "auto: text on a terminal, JSON lines otherwise."},
};
enum { LOG_LEVEL, LOG_FORMAT, LOG_COUNT };

static const struct nw_option_table TABLE_TOP = {"", "Top level", TOP, TOP_COUNT, TOP_SECTIONS};
static const struct nw_option_table TABLE_SOURCE = {"source", "source", SOURCE, SOURCE_COUNT,
                                                    SOURCE_SECTIONS};
static const struct nw_option_table TABLE_SLOT = {"source.slot", "source.slot", NAMED, NAMED_COUNT,
                                                  NULL};
static const struct nw_option_table TABLE_PUBLICATION = {"source.publication", "source.publication",
                                                         NAMED, NAMED_FAILOVER, NULL};
static const struct nw_option_table TABLE_COPY = {"copy", "copy", COPY, COPY_COUNT, NULL};
static const struct nw_option_table TABLE_TABLES = {"tables", "tables", TABLES, TABLES_COUNT, NULL};
static const struct nw_option_table TABLE_PROTECT = {"protect", "protect", PROTECT, PROTECT_COUNT,
                                                     NULL};
static const struct nw_option_table TABLE_SINK = {"sinks",
                                                  "sinks (a list; further keys are the "
                                                  "plugin's)",
                                                  SINK, SINK_COUNT, NULL};
static const struct nw_option_table TABLE_LIMITS = {"limits", "limits", LIMITS, LIMITS_COUNT, NULL};
static const struct nw_option_table TABLE_EPOCH = {"epoch", "epoch", EPOCH, EPOCH_COUNT, NULL};
static const struct nw_option_table TABLE_STANDBY = {"standby", "standby", STANDBY, STANDBY_COUNT,
                                                     NULL};
static const struct nw_option_table TABLE_LOG = {"log", "log", LOG, LOG_COUNT, NULL};

const struct nw_option_table *nw_config_table(size_t index)
{
    static const struct nw_option_table *const tables[] = {
        &TABLE_TOP,    &TABLE_SOURCE, &TABLE_SLOT,         &TABLE_PUBLICATION, &NW_HEARTBEAT_TABLE,
        &TABLE_COPY,   &TABLE_TABLES, &NW_TRANSFORM_TABLE, &TABLE_SINK,        &TABLE_PROTECT,
        &TABLE_LIMITS, &TABLE_EPOCH,  &TABLE_STANDBY,      &TABLE_LOG,         &NW_HTTP_TABLE};

    return index < sizeof tables / sizeof tables[0] ? tables[index] : NULL;
}

void nw_config_document(FILE *out)
{
    for (size_t i = 0; nw_config_table(i) != NULL; i++) {
        nw_options_document(nw_config_table(i), out);
    }
}

/* ---- sections into fields ---- */

/* Of several failures, the first is returned; problems has them all. */
static void failure_keep(nw_status *status, struct nw_error *err, nw_status each,
                         const struct nw_error *why)
{
    if (*status == NW_OK && each != NW_OK) {
        *status = each;
        *err = *why;
    }
}

/* One section. Whatever is wrong in it, the others are looked at too; err keeps the first. */
static void section_take(struct nw_run_config *config, const struct nw_option_table *table,
                         const struct nw_node *map, struct nw_setting *settings, nw_status *status,
                         struct nw_error *err)
{
    struct nw_error why = {0};
    nw_status each =
        nw_options_resolve(table, map, &config->arena, settings, config->problems, &why);

    failure_keep(status, err, each, &why);
}

/* A mistake that no table finds. */
static nw_status noted(struct nw_run_config *config, const struct nw_node *at, nw_status status,
                       const struct nw_error *err)
{
    nw_problems_add(config->problems, at->line, at->column, err->text);
    return status;
}

static nw_status top_take(struct nw_run_config *config, const struct nw_node *root,
                          struct nw_error *err)
{
    struct nw_setting s[TOP_COUNT];
    nw_status status = NW_OK;

    section_take(config, &TABLE_TOP, root, s, &status, err);
    config->name = s[TOP_NAME].text;
    config->state_dir = s[TOP_STATE_DIR].text;
    config->plugin_dir = s[TOP_PLUGIN_DIR].text;
    return status;
}

static const char *source_of(const struct nw_node *map, const char *key)
{
    const struct nw_node *node = nw_tree_member(map, key);

    return node == NULL ? NULL : node->source;
}

static nw_status source_take(struct nw_run_config *config, const struct nw_node *map,
                             struct nw_error *err)
{
    struct nw_setting s[SOURCE_COUNT];
    struct nw_setting slot[NAMED_COUNT];
    struct nw_setting publication[NAMED_COUNT];
    struct nw_error why = {0};
    nw_status status = NW_OK;

    section_take(config, &TABLE_SOURCE, map, s, &status, err);
    section_take(config, &TABLE_SLOT, nw_tree_member(map, "slot"), slot, &status, err);
    section_take(config, &TABLE_PUBLICATION, nw_tree_member(map, "publication"), publication,
                 &status, err);
    failure_keep(&status, err, nw_heartbeat_config_take(config, map, &why), &why);
    if (status != NW_OK) {
        return status;
    }
    config->dsn = s[SOURCE_DSN].text;
    config->password = s[SOURCE_PASSWORD].text;
    config->dsn_source = source_of(map, "dsn");
    config->password_source = source_of(map, "password");
    config->snapshot = s[SOURCE_SNAPSHOT].number;
    config->origin_none = s[SOURCE_ORIGIN].number == 1;
    config->messages = s[SOURCE_MESSAGES].flag;
    config->streaming = s[SOURCE_STREAMING].flag;
    config->binary = s[SOURCE_VALUES].number == 0;
    config->connect_timeout_us = s[SOURCE_CONNECT_TIMEOUT].number;
    config->slot_name = slot[NAMED_NAME].text;
    config->slot_create = slot[NAMED_CREATE].flag;
    config->slot_failover = slot[NAMED_FAILOVER].flag;
    config->publication_name = publication[NAMED_NAME].text;
    config->publication_create = publication[NAMED_CREATE].flag;
    return NW_OK;
}

static nw_status source_find(struct nw_run_config *config, const struct nw_node *root,
                             struct nw_error *err)
{
    const struct nw_node *source = nw_tree_member(root, "source");

    if (source == NULL) {
        (void)nw_tree_fail(root, "NW1008", err,
                           "source is missing, as: source: {dsn: \"postgresql://user@host/db\"}");
        return noted(config, root, NW_FATAL, err);
    }
    return source_take(config, source, err);
}

static nw_status limits_take(struct nw_run_config *config, const struct nw_node *root,
                             struct nw_error *err)
{
    struct nw_setting s[LIMITS_COUNT];
    struct nw_setting epoch[EPOCH_COUNT];
    struct nw_setting log[LOG_COUNT];
    struct nw_setting protect[PROTECT_COUNT];
    struct nw_setting standby[STANDBY_COUNT];
    nw_status status = NW_OK;

    section_take(config, &TABLE_LIMITS, nw_tree_member(root, "limits"), s, &status, err);
    section_take(config, &TABLE_EPOCH, nw_tree_member(root, "epoch"), epoch, &status, err);
    section_take(config, &TABLE_LOG, nw_tree_member(root, "log"), log, &status, err);
    section_take(config, &TABLE_PROTECT, nw_tree_member(root, "protect"), protect, &status, err);
    section_take(config, &TABLE_STANDBY, nw_tree_member(root, "standby"), standby, &status, err);
    if (status != NW_OK) {
        return status;
    }
    config->memory_bytes = s[LIMITS_MEMORY].number;
    config->spill_bytes = s[LIMITS_SPILL].number;
    config->spill_dir = s[LIMITS_SPILL_DIR].text;
    config->backlog_bytes = s[LIMITS_BACKLOG].number;
    config->cpus = s[LIMITS_CPUS].number;
    config->pin = s[LIMITS_PIN].number == 0;
    config->io = s[LIMITS_IO].text;
    config->drain_us = s[LIMITS_DRAIN].number;
    config->standby_us = standby[STANDBY_AFTER].number;
    config->epoch_us = epoch[EPOCH_TIME].number;
    config->epoch_bytes = epoch[EPOCH_SIZE].number;
    config->ack_spool = protect[PROTECT_ACK].number == 0;
    config->spool_bytes = protect[PROTECT_SPOOL].number;
    config->spool_dir = protect[PROTECT_SPOOL_DIR].text;
    config->retained_wal_bytes = protect[PROTECT_RETAINED_WAL].number;
    config->drop_slot = protect[PROTECT_WHEN_EXCEEDED].number == 1;
    config->snapshot_age_us = protect[PROTECT_SNAPSHOT_AGE].number;
    config->renew_snapshot = protect[PROTECT_WHEN_OLD].number == 1;
    config->log_level = log[LOG_LEVEL].number + 1;
    config->log_format = log[LOG_FORMAT].number;
    return NW_OK;
}

/* The lines of tables.policies. */
static nw_status policies_take(struct nw_run_config *config, const struct nw_node *root,
                               const struct nw_setting *lines, struct nw_error *err)
{
    const struct nw_node *at = nw_tree_member(nw_tree_member(root, "tables"), "policies");
    uint32_t count = 0;

    while (lines->items != NULL && lines->items[count] != NULL) {
        count++;
    }
    config->policies = nw_arena_array(&config->arena, count + 1, sizeof *config->policies);
    if (config->policies == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory");
    }
    for (uint32_t i = 0; i < count; i++) {
        struct nw_error why = {0};

        if (nw_config_policy_read(lines->items[i], &config->usual, &config->arena,
                                  &config->policies[i], &why) != NW_OK) {
            (void)nw_tree_fail(at, "NW1003", err, "tables.policies: %s", why.text);
            return noted(config, at, NW_FATAL, err);
        }
        config->policies_count++;
    }
    return NW_OK;
}

static nw_status tables_take(struct nw_run_config *config, const struct nw_node *root,
                             struct nw_error *err)
{
    struct nw_setting s[TABLES_COUNT];
    struct nw_setting copy[COPY_COUNT];
    nw_status status = NW_OK;

    section_take(config, &TABLE_TABLES, nw_tree_member(root, "tables"), s, &status, err);
    section_take(config, &TABLE_COPY, nw_tree_member(root, "copy"), copy, &status, err);
    if (status != NW_OK) {
        return status;
    }
    config->include = s[TABLES_INCLUDE].items;
    config->exclude = s[TABLES_EXCLUDE].items;
    config->keyless_skip = s[TABLES_NO_KEY].number == 1;
    config->new_tables = s[TABLES_NEW].number;
    config->copy_workers = copy[COPY_WORKERS].number;
    config->copy_chunk_bytes = copy[COPY_CHUNK].number;
    config->copy_rate_bytes = copy[COPY_RATE].number;
    config->lock_wait_us = copy[COPY_LOCK_WAIT].number;
    status =
        nw_copy_where_config_take(config, nw_tree_member(root, "copy"), &copy[COPY_WHERE], err);
    if (status != NW_OK) {
        return noted(config, nw_tree_member(root, "copy"), status, err);
    }
    config->usual.values[NW_POLICY_DROP_COLUMN] = s[TABLES_DROP_COLUMN].number;
    config->usual.values[NW_POLICY_DROP_TABLE] = s[TABLES_DROP_TABLE].number;
    config->usual.values[NW_POLICY_TRUNCATE] = s[TABLES_TRUNCATE].number;
    config->usual.values[NW_POLICY_AMBIGUOUS_RENAME] = s[TABLES_AMBIGUOUS_RENAME].number;
    config->usual.values[NW_POLICY_TYPE_CHANGE] = s[TABLES_TYPE_CHANGE].number;
    return policies_take(config, root, &s[TABLES_POLICIES], err);
}

static nw_status transforms_take(struct nw_run_config *config, const struct nw_node *root,
                                 struct nw_error *err)
{
    return nw_transform_rules_take(root, &config->arena, &config->transforms, config->problems,
                                   err);
}

bool nw_config_sink_key(const char *key)
{
    bool found = false;

    for (uint32_t i = 0; i < SINK_COUNT; i++) {
        found = found || strcmp(SINK[i].name, key) == 0;
    }
    return found;
}

/* The host's part of a sink; what else is in the mapping is the plugin's, looked at later. */
static nw_status sink_take(struct nw_run_config *config, const struct nw_node *map,
                           struct nw_error *err)
{
    struct nw_sink_config *sink = &config->sinks[config->sinks_count];
    struct nw_setting s[SINK_COUNT];
    struct nw_option_table table = TABLE_SINK;
    const char *plugin_keys[KEYS_MAX + 1];
    uint32_t count = 0;
    nw_status status = NW_OK;

    for (const struct nw_node *node = map->first; node != NULL && count < KEYS_MAX;
         node = node->next) {
        if (node->key != NULL && !nw_config_sink_key(node->key)) {
            plugin_keys[count++] = node->key;
        }
    }
    plugin_keys[count] = NULL;
    table.sections = plugin_keys;
    section_take(config, &table, map, s, &status, err);
    if (s[SINK_TYPE].text == NULL) { /* even mistaken, its plugin can look at its own keys */
        return status;
    }
    sink->type = s[SINK_TYPE].text;
    sink->name = s[SINK_NAME].set ? s[SINK_NAME].text : sink->type;
    sink->workers = (uint32_t)s[SINK_WORKERS].number;
    sink->dead_letters = s[SINK_REFUSED].number == 1;
    sink->dead_letters_bytes = s[SINK_DEAD_LETTERS].number;
    sink->dead_letter_rows = (uint32_t)s[SINK_DEAD_LETTER_ROWS].number;
    sink->detaches = s[SINK_STALLED].number == 1;
    sink->stalled_after_us = s[SINK_STALLED_AFTER].number;
    sink->options = map;
    for (uint32_t i = 0; i < config->sinks_count; i++) {
        if (strcmp(config->sinks[i].name, sink->name) == 0) {
            (void)nw_tree_fail(map, "NW1009", err, "two sinks have the name %s: give one a name",
                               sink->name);
            return noted(config, map, NW_FATAL, err);
        }
    }
    config->sinks_count++;
    return status;
}

static nw_status sink_look(struct nw_run_config *config, const struct nw_node *node,
                           struct nw_error *err)
{
    if (config->sinks_count == NW_CONFIG_SINKS_MAX) {
        (void)nw_tree_fail(node, "NW1009", err, "NW1009 more than %u sinks", NW_CONFIG_SINKS_MAX);
        return noted(config, node, NW_FATAL, err);
    }
    if (node->kind != NW_NODE_MAP) {
        (void)nw_tree_fail(node, "NW1003", err,
                           "a sink is a mapping, as {type: file, path: ./copy}");
        return noted(config, node, NW_FATAL, err);
    }
    return sink_take(config, node, err);
}

static nw_status sinks_take(struct nw_run_config *config, const struct nw_node *root,
                            struct nw_error *err)
{
    const struct nw_node *list = nw_tree_member(root, "sinks");
    nw_status status = NW_OK;

    if (list == NULL || list->kind != NW_NODE_LIST || list->first == NULL) {
        const struct nw_node *at = list == NULL ? root : list;

        status =
            nw_tree_fail(at, "NW1008", err,
                         "sinks must be a list of at least one, as: sinks: [{type: file, path: "
                         "./copy}]");
        return noted(config, at, status, err);
    }
    for (const struct nw_node *node = list->first; node != NULL; node = node->next) {
        struct nw_error why = {0};
        nw_status each = sink_look(config, node, &why);

        failure_keep(&status, err, each, &why);
    }
    return status;
}

/* Every section, whatever was wrong in another. @return the first failure, err its text */
static nw_status sections_take(struct nw_run_config *config, const struct nw_node *root,
                               struct nw_error *err)
{
    nw_status (*const takes[])(struct nw_run_config *, const struct nw_node *,
                               struct nw_error *) = {
        top_take,        source_find, limits_take,        tables_take,
        transforms_take, sinks_take,  nw_http_config_take};
    nw_status status = NW_OK;

    for (size_t i = 0; i < sizeof takes / sizeof takes[0]; i++) {
        struct nw_error why = {0};
        nw_status each = takes[i](config, root, &why);

        failure_keep(&status, err, each, &why);
    }
    return status;
}

nw_status nw_config_load(const char *path, struct nw_run_config *config,
                         struct nw_problems *problems, struct nw_error *err)
{
    struct nw_node *root = NULL;
    nw_status status = NW_OK;

    memset(config, 0, sizeof *config);
    nw_arena_init(&config->arena, CONFIG_BYTES_MAX);
    config->problems = problems;
    status = nw_tree_load(path, &config->arena, &root, err);
    if (status != NW_OK) {
        nw_problems_add(problems, 0, 0, err->text);
        return status;
    }
    config->root = root;
    config->file = nw_arena_text(&config->arena, path);
    return root->kind == NW_NODE_MAP ? sections_take(config, root, err)
                                     : top_take(config, root, err);
}

void nw_config_free(struct nw_run_config *config)
{
    nw_arena_fini(&config->arena);
}

/* ---- from arguments ---- */

static nw_status spec_take(struct nw_run_config *config, const char *spec, struct nw_error *err)
{
    struct nw_sink_config *sink = &config->sinks[config->sinks_count];
    const char *colon = strchr(spec, ':');
    size_t size = colon == NULL ? strlen(spec) : (size_t)(colon - spec);

    if (config->sinks_count == NW_CONFIG_SINKS_MAX) {
        return nw_fail(err, NW_FATAL, "NW1009 more than %u sinks", NW_CONFIG_SINKS_MAX);
    }
    if (size == 0) {
        return nw_fail(err, NW_FATAL, "NW1011 --sink %s: write TYPE:PATH, as file:./copy", spec);
    }
    sink->type = nw_arena_text_of(&config->arena, spec, size);
    sink->name = sink->type;
    sink->workers = 1;
    sink->spec = nw_arena_text(&config->arena, colon == NULL ? "" : colon + 1);
    if (sink->type == NULL || sink->spec == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory");
    }
    for (uint32_t i = 0; i < config->sinks_count; i++) {
        if (strcmp(config->sinks[i].name, sink->name) == 0) {
            return nw_fail(err, NW_FATAL,
                           "NW1009 two sinks of type %s need names: write a configuration "
                           "file",
                           sink->name);
        }
    }
    config->sinks_count++;
    return NW_OK;
}

/* The tree that a file with this DSN alone would give. */
static struct nw_node *dsn_tree(struct nw_arena *arena, const char *dsn)
{
    struct nw_node *nodes = nw_arena_array(arena, 3, sizeof *nodes);

    if (nodes != NULL) {
        nodes[0] = (struct nw_node){.file = "", .kind = NW_NODE_MAP, .first = &nodes[1]};
        nodes[1] =
            (struct nw_node){.file = "", .kind = NW_NODE_MAP, .key = "source", .first = &nodes[2]};
        nodes[2] = (struct nw_node){
            .file = "", .kind = NW_NODE_SCALAR, .text = nw_arena_text(arena, dsn), .key = "dsn"};
    }
    return nodes == NULL || nodes[2].text == NULL ? NULL : nodes;
}

nw_status nw_config_from_arguments(const char *dsn, const char *const *sinks, uint32_t sinks_count,
                                   struct nw_run_config *config, struct nw_error *err)
{
    nw_status status = NW_OK;

    memset(config, 0, sizeof *config);
    nw_arena_init(&config->arena, CONFIG_BYTES_MAX);
    config->root = dsn_tree(&config->arena, dsn);
    if (config->root == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory");
    }
    status = source_find(config, config->root, err);
    status = status == NW_OK ? limits_take(config, config->root, err) : status;
    status = status == NW_OK ? tables_take(config, config->root, err) : status;
    status = status == NW_OK ? nw_http_config_take(config, config->root, err) : status;
    for (uint32_t i = 0; i < sinks_count && status == NW_OK; i++) {
        status = spec_take(config, sinks[i], err);
    }
    return status;
}
