/* SPDX-License-Identifier: Apache-2.0 */
/* See metrics.h. */
#include "serve/metrics.h"

#include <ctype.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"
#include "serve/metrics_label.h"

#define LABEL_SIZE (2 * NW_REPORT_NAME_SIZE + 1)

enum form { NONE, U64, U32, REAL, FLAG };
enum kind { GAUGE, COUNTER };

struct family;
typedef void family_print(const struct family *family, const struct nw_report *report, FILE *out);

struct family {
    const char *name;
    enum kind kind;
    const char *labels; /* for the documentation */
    const char *help;
    enum form form;      /* of one field; NONE: print does it */
    bool of_sink;        /* the field is a sink's, and the family has a series for each */
    bool known_above_0;  /* 0 says that there is none */
    size_t offset;       /* of the field */
    family_print *print; /* instead */
};

/* ---- samples ---- */

/* A label's value; what is not UTF-8 becomes a question mark for each byte above 127. */
static void label_print(FILE *out, const char *text)
{
    bool valid = nw_utf8_is_valid((const uint8_t *)text, strlen(text));

    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '\n') {
            (void)fputs("\\n", out);
        } else if (*at == '"' || *at == '\\') {
            (void)fprintf(out, "\\%c", *at);
        } else {
            (void)fputc(!valid && (unsigned char)*at > 0x7f ? '?' : *at, out);
        }
    }
}

void nw_labels_print(const struct nw_label *labels, uint32_t count, FILE *out)
{
    for (uint32_t i = 0; i < count; i++) {
        (void)fprintf(out, "%s%s=\"", i == 0 ? "{" : ",", labels[i].name);
        label_print(out, labels[i].value);
        (void)fputc('"', out);
    }
    (void)fputs(count == 0 ? " " : "} ", out);
}

static void sample_begin(const struct family *family, const struct nw_label *labels, uint32_t count,
                         FILE *out)
{
    (void)fputs(family->name, out);
    nw_labels_print(labels, count, out);
}

static void sample_print(const struct family *family, const struct nw_label *labels, uint32_t count,
                         double value, FILE *out)
{
    sample_begin(family, labels, count, out);
    (void)fprintf(out, "%.15g\n", value);
}

/* @return false: there is no value */
static bool field_print(const struct family *family, const void *base,
                        const struct nw_label *labels, uint32_t count, FILE *out)
{
    const char *at = (const char *)base + family->offset;
    uint64_t number = 0;
    uint32_t small = 0;
    double real = 0;
    bool flag = false;

    switch (family->form) {
    case NONE:
        return false;
    case REAL:
        memcpy(&real, at, sizeof real);
        if (family->known_above_0 && !(real > 0)) {
            return false;
        }
        sample_print(family, labels, count, real, out);
        return true;
    case U64:
        memcpy(&number, at, sizeof number);
        break;
    case U32:
        memcpy(&small, at, sizeof small);
        number = small;
        break;
    case FLAG:
        memcpy(&flag, at, sizeof flag);
        number = flag;
        break;
    }
    if (family->known_above_0 && number == 0) {
        return false;
    }
    sample_begin(family, labels, count, out);
    (void)fprintf(out, "%" PRIu64 "\n", number);
    return true;
}

/* ---- families that are no single field ---- */

static void build_print(const struct family *family, const struct nw_report *report, FILE *out)
{
    const struct nw_label labels[] = {{"version", NARWAL_VERSION}};

    (void)report;
    sample_print(family, labels, 1, 1, out);
}

static void cpu_print(const struct family *family, const struct nw_report *report, FILE *out)
{
    struct timespec used = {0};

    (void)report;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    sample_print(family, NULL, 0, (double)used.tv_sec + (double)used.tv_nsec / 1e9, out);
}

/* The second number of statm (proc(5)) counts pages. */
static void resident_print(const struct family *family, const struct nw_report *report, FILE *out)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long pages = 0;

    (void)report;
    if (file != NULL) {
        if (fscanf(file, "%*u %llu", &pages) == 1) { /* NOLINT(cert-err34-c): the kernel's */
            sample_print(family, NULL, 0, (double)pages * (double)sysconf(_SC_PAGESIZE), out);
        }
        (void)fclose(file);
    }
}

static void start_print(const struct family *family, const struct nw_report *report, FILE *out)
{
    if (report != NULL) {
        sample_print(family, NULL, 0, (double)report->wall_us / 1e6 - report->uptime_s, out);
    }
}

static void server_print(const struct family *family, const struct nw_report *report, FILE *out)
{
    char version[24];
    char identifier[24];
    const struct nw_label labels[] = {
        {"pipeline", report == NULL ? "" : report->name},
        {"slot", report == NULL ? "" : report->slot},
        {"server_version", version},
        {"system_identifier", identifier},
    };

    if (report != NULL && report->server_version > 0) {
        (void)snprintf(version, sizeof version, "%d.%d", report->server_version / 10000,
                       report->server_version % 10000);
        (void)snprintf(identifier, sizeof identifier, "%" PRIu64, report->system_identifier);
        sample_print(family, labels, sizeof labels / sizeof labels[0], 1, out);
    }
}

/* 1 for the one that holds, 0 for the others. */
static void states_print(const struct family *family, const struct nw_label *first,
                         const char *const *states, const char *now, FILE *out)
{
    for (; *states != NULL; states++) {
        const struct nw_label labels[] = {*first, {"state", *states}};
        bool has_first = first->name != NULL;

        sample_print(family, has_first ? labels : labels + 1, has_first ? 2 : 1,
                     strcmp(*states, now) == 0, out);
    }
}

static void phase_print(const struct family *family, const struct nw_report *report, FILE *out)
{
    static const char *const phases[] = {"starting",   "paused",    "copying",
                                         "connecting", "streaming", "waiting",
                                         "draining",   "standby",   NULL};
    const struct nw_label none = {NULL, NULL};

    states_print(family, &none, phases, report == NULL ? "starting" : report->phase, out);
}

static void copy_state_print(const struct family *family, const struct nw_report *report, FILE *out)
{
    static const char *const states[] = {"none", "preparing", "copying", "done", NULL};
    const struct nw_label none = {NULL, NULL};

    if (report != NULL) {
        states_print(family, &none, states, report->copy_state, out);
    }
}

static void sink_state_print(const struct family *family, const struct nw_report *report, FILE *out)
{
    static const char *const states[] = {"starting", "running",  "retrying",
                                         "stopped",  "detached", NULL};

    for (uint32_t i = 0; report != NULL && i < report->sinks_count; i++) {
        const struct nw_label sink = {"sink", report->sinks[i].name};

        states_print(family, &sink, states, report->sinks[i].state, out);
    }
}

static void tables_print(const struct family *family, const struct nw_report *report, FILE *out)
{
    for (int i = 0; report != NULL && i < NW_STATES_COUNT; i++) {
        const struct nw_label label = {"state", nw_table_state_name((enum nw_table_state)i)};

        sample_print(family, &label, 1, report->states[i], out);
    }
}

static void stopped_print(const struct family *family, const struct nw_report *report, FILE *out)
{
    for (uint32_t i = 0; report != NULL && i < report->stopped_count && i < NW_REPORT_STOPPED_MAX;
         i++) {
        const struct nw_report_stopped *table = &report->stopped[i];
        const struct nw_label labels[] = {
            {"table", table->name}, {"sink", table->sink}, {"state", table->state}};

        sample_print(family, labels, 3, table->for_s > 0 ? table->for_s : 0, out);
    }
}

static void coded_print(const struct family *family, const struct nw_report *report, FILE *out)
{
    static const char *const levels[] = {"error", "warn"};

    for (uint32_t i = 0; report != NULL && i < 2 * NW_TROUBLE_FAMILIES_MAX; i++) {
        uint32_t count =
            i % 2 == 0 ? report->log.family_errors[i / 2] : report->log.family_warnings[i / 2];
        char name[8];
        const struct nw_label labels[] = {{"family", name}, {"level", levels[i % 2]}};

        if (count > 0) {
            (void)snprintf(name, sizeof name, "NW%02u", i / 2);
            sample_print(family, labels, 2, count, out);
        }
    }
}

static void copy_left_print(const struct family *family, const struct nw_report *report, FILE *out)
{
    if (report != NULL && report->copy_left_s >= 0) {
        sample_print(family, NULL, 0, report->copy_left_s, out);
    }
}

static void safe_print(const struct family *family, const struct nw_report *report, FILE *out)
{
    if (report != NULL && report->wal_limit > 0) {
        sample_print(family, NULL, 0, (double)report->wal_safe, out);
    }
}

static void alarms_print(const struct family *family, const struct nw_report *report, FILE *out)
{
    for (int i = 0; report != NULL && i < NW_ALARMS_COUNT; i++) {
        const struct nw_label label = {"what", nw_alarm_name((enum nw_alarm_kind)i)};

        sample_print(family, &label, 1, report->alarms[i].level, out);
    }
}

static void blocked_print(const struct family *family, const struct nw_report *report, FILE *out)
{
    if (report != NULL) {
        sample_print(family, NULL, 0, report->spool_blocked[0] != '\0', out);
    }
}

static void memory_print(const struct family *family, const struct nw_report *report, FILE *out)
{
    if (report != NULL) {
        sample_print(family, NULL, 0, report->memory_used > 0 ? (double)report->memory_used : 0,
                     out);
    }
}

static void table_lags_print(const struct family *family, const struct nw_report *report, FILE *out)
{
    bool seconds = strstr(family->name, "_seconds") != NULL;

    for (uint32_t s = 0; report != NULL && s < report->sinks_count; s++) {
        const struct nw_report_sink *sink = &report->sinks[s];

        for (uint32_t t = 0; t < sink->tables_count && t < NW_METRICS_TABLES_MAX; t++) {
            const struct nw_label labels[] = {{"sink", sink->name},
                                              {"table", sink->tables[t].name}};

            sample_print(family, labels, 2,
                         seconds ? sink->tables[t].lag_s : (double)sink->tables[t].lag_bytes, out);
        }
    }
}

static void letters_print(const struct family *family, const struct nw_report *report, FILE *out)
{
    bool bytes = strstr(family->name, "_bytes") != NULL;

    for (uint32_t i = 0;
         report != NULL && i < report->letters.tables_count && i < NW_LETTERS_TABLES_MAX; i++) {
        const struct nw_letters_count *table = &report->letters.tables[i];
        char name[2 * NW_LETTERS_NAME_SIZE];
        const struct nw_label labels[] = {{"sink", table->sink}, {"table", name}};

        (void)snprintf(name, sizeof name, "%s.%s", table->schema_name, table->table_name);
        sample_print(family, labels, 2, (double)(bytes ? table->bytes : table->letters), out);
    }
}

/* ---- what there is ---- */

#define OF(form, member)            form, false, false, offsetof(struct nw_report, member), NULL
#define KNOWN_OF(form, member)      form, false, true, offsetof(struct nw_report, member), NULL
#define SINK_OF(form, member)       form, true, false, offsetof(struct nw_report_sink, member), NULL
#define SINK_KNOWN_OF(form, member) form, true, true, offsetof(struct nw_report_sink, member), NULL
#define PRINTED(function)           NONE, false, false, 0, function

static const struct family FAMILIES[] = {
    {"narwal_build_info", GAUGE, "version", "Always 1: which narwal this is.",
     PRINTED(build_print)},
    {"narwal_server_info", GAUGE, "pipeline, slot, server_version, system_identifier",
     "Always 1: what is followed.", PRINTED(server_print)},
    {"narwal_phase", GAUGE, "state", "1 for what narwal is at.", PRINTED(phase_print)},
    {"narwal_ready", GAUGE, "", "1 while whatever has something to do moves, as /ready says.",
     OF(FLAG, ready)},
    {"narwal_attempts_total", COUNTER, "",
     "How often the pipeline was built up in this process; above 1 there were faults.",
     OF(U32, attempts)},
    {"narwal_memory_used_bytes", GAUGE, "", "Rows in flight.", PRINTED(memory_print)},
    {"narwal_memory_limit_bytes", GAUGE, "", "limits.memory.", OF(U64, memory_limit)},
    {"narwal_log_errors_total", COUNTER, "", "Lines of level error in the log.",
     OF(U64, log.errors)},
    {"narwal_log_warnings_total", COUNTER, "", "Lines of level warn in the log.",
     OF(U64, log.warnings)},
    {"narwal_log_coded_total", COUNTER, "family, level",
     "The same by the first digits of their codes, as NW23 (runbook.md), once there is one.",
     PRINTED(coded_print)},

    {"narwal_source_received_lsn_bytes", GAUGE, "", "End of the last message received.",
     OF(U64, received_lsn)},
    {"narwal_source_server_lsn_bytes", GAUGE, "", "End of the server's WAL, as it last said.",
     OF(U64, server_lsn)},
    {"narwal_source_position_lsn_bytes", GAUGE, "",
     "End of the last commit that went on to the sinks.", OF(U64, position_lsn)},
    {"narwal_source_durable_lsn_bytes", GAUGE, "",
     "Told to the server: all before it is durable at every sink, or in the spool.",
     OF(U64, flush_lsn)},
    {"narwal_source_lag_bytes", GAUGE, "",
     "WAL between the last message received and the server's end.", OF(U64, source_lag_bytes)},
    {"narwal_source_retained_wal_bytes", GAUGE, "",
     "WAL that the slot holds back on the server, looked at every ten seconds.",
     KNOWN_OF(U64, retained_wal_bytes)},
    {"narwal_source_retained_wal_limit_bytes", GAUGE, "", "protect.retained_wal; absent: no limit.",
     KNOWN_OF(U64, retained_wal_limit)},
    {"narwal_primary_wal_limit_bytes", GAUGE, "",
     "The server's max_slot_wal_keep_size, past which it gives the slot up; absent: no limit.",
     KNOWN_OF(U64, wal_limit)},
    {"narwal_primary_wal_safe_bytes", GAUGE, "",
     "WAL that may be written until then; absent: no limit.", PRINTED(safe_print)},
    {"narwal_primary_unacknowledged_bytes", GAUGE, "",
     "WAL between what the server was told to be durable and its end.",
     OF(U64, primary.unacknowledged_bytes)},
    {"narwal_primary_unacknowledged_seconds", GAUGE, "",
     "How long ago the server's WAL ended there, about.", OF(REAL, primary.unacknowledged_s)},
    {"narwal_primary_catalog_xmin_transactions", GAUGE, "",
     "Transactions since the oldest whose catalog rows the slot keeps.", OF(U64, primary.xmin_age)},
    {"narwal_primary_freeze_max_transactions", GAUGE, "",
     "The server's autovacuum_freeze_max_age; absent: not looked at yet.",
     KNOWN_OF(U64, primary.freeze_age_max)},
    {"narwal_primary_snapshot_seconds", GAUGE, "",
     "Age of a copy's oldest snapshot; 0: there is none.", OF(REAL, primary.snapshot_s)},
    {"narwal_primary_snapshot_limit_seconds", GAUGE, "", "protect.snapshot_age.",
     KNOWN_OF(REAL, snapshot_limit_s)},
    {"narwal_primary_snapshot_transactions", GAUGE, "", "Its age in transactions.",
     OF(U64, primary.snapshot_age)},
    {"narwal_primary_snapshot_is_oldest", GAUGE, "",
     "1: nothing is seen on the server that holds vacuum back more.",
     OF(FLAG, primary.holds_vacuum)},
    {"narwal_primary_dead_rows", GAUGE, "",
     "Dead rows of all tables of the database, while there is a snapshot.",
     OF(U64, primary.dead_rows)},
    {"narwal_primary_dead_rows_since_snapshot", GAUGE, "",
     "Of them, more than when it was first seen: vacuum cannot remove them before it is gone.",
     OF(U64, primary.dead_rows_since)},
    {"narwal_primary_live_rows", GAUGE, "", "Live rows, then.", OF(U64, primary.live_rows)},
    {"narwal_primary_alarm", GAUGE, "what",
     "0: all is well. 1: near a limit. 2: past it. narwal explain CODE says what to do.",
     PRINTED(alarms_print)},
    {"narwal_source_connections_total", COUNTER, "",
     "How often the stream was started; from the second on it was a reconnect.",
     OF(U64, reconnects)},
    {"narwal_source_rows_total", COUNTER, "", "Rows streamed.", OF(U64, rows)},
    {"narwal_source_received_bytes_total", COUNTER, "", "Their bytes.", OF(U64, bytes)},
    {"narwal_source_transactions_total", COUNTER, "", "Transactions streamed.",
     OF(U64, transactions)},
    {"narwal_source_transactions_in_progress", GAUGE, "",
     "Streamed by the server before their end, and kept here until they commit.",
     OF(U32, streamed_transactions)},
    {"narwal_source_transactions_in_progress_bytes", GAUGE, "", "Of them, on disk.",
     OF(U64, streamed_bytes)},

    {"narwal_tables", GAUGE, "state", "How many tables are in each state.", PRINTED(tables_print)},
    {"narwal_table_trouble_seconds", GAUGE, "table, sink, state",
     "How long a table has not gone on as the others do; at most 64 of them. sink is empty where "
     "it is at every sink.",
     PRINTED(stopped_print)},
    {"narwal_rows_left_out_total", COUNTER, "", "Rows of stopped tables that are not kept.",
     OF(U64, rows_left_out)},
    {"narwal_rows_kept_total", COUNTER, "", "Rows of stopped and paused tables that are kept.",
     OF(U64, rows_kept)},
    {"narwal_backlog_bytes", GAUGE, "", "What is kept of them, on disk.", OF(U64, kept_bytes)},
    {"narwal_backlog_limit_bytes", GAUGE, "", "limits.backlog, for each table.",
     OF(U64, backlog_limit)},

    {"narwal_copy_state", GAUGE, "state", "1 for what the copy is at.", PRINTED(copy_state_print)},
    {"narwal_copy_paused", GAUGE, "", "1: a user paused it.", OF(FLAG, copy_paused)},
    {"narwal_copy_tables", GAUGE, "", "Tables of the present or last copy.", OF(U64, copy_tables)},
    {"narwal_copy_tables_done", GAUGE, "", "Of them, read to their end.",
     OF(U64, copy_tables_done)},
    {"narwal_copy_rows", GAUGE, "", "Rows read in it.", OF(U64, copy_rows)},
    {"narwal_copy_bytes", GAUGE, "", "Their bytes, in COPY's binary form.", OF(U64, copy_bytes)},
    {"narwal_copy_source_bytes", GAUGE, "", "Size of its tables on the server's disk.",
     OF(U64, copy_total_bytes)},
    {"narwal_copy_source_done_bytes", GAUGE, "", "Of that, read.", OF(U64, copy_done_bytes)},
    {"narwal_copy_remaining_seconds", GAUGE, "", "Until all is read, about; absent: not known.",
     PRINTED(copy_left_print)},

    {"narwal_spool_bytes", GAUGE, "", "The spool on disk.", OF(U64, spool_bytes)},
    {"narwal_spool_limit_bytes", GAUGE, "", "protect.spool.", OF(U64, spool_limit)},
    {"narwal_spool_full", GAUGE, "",
     "1: it has reached protect.spool, and WAL stays on the server.", OF(FLAG, spool_full)},
    {"narwal_spool_blocked", GAUGE, "", "1: its disk takes nothing, and WAL stays on the server.",
     PRINTED(blocked_print)},
    {"narwal_spool_synced_lsn_bytes", GAUGE, "", "All committed before it is durable in the spool.",
     KNOWN_OF(U64, spool_synced_lsn)},

    {"narwal_sink_state", GAUGE, "sink, state", "1 for what the sink is at.",
     PRINTED(sink_state_print)},
    {"narwal_sink_durable_lsn_bytes", GAUGE, "sink",
     "All committed before it is durable at the sink; absent: not known yet.",
     SINK_KNOWN_OF(U64, durable_lsn)},
    {"narwal_sink_lag_seconds", GAUGE, "sink",
     "Age, on the server's clock, of the oldest change that was received and is not durable.",
     SINK_OF(REAL, lag_s)},
    {"narwal_sink_lag_bytes", GAUGE, "sink", "Bytes that are not durable, in memory and spilled.",
     SINK_OF(U64, lag_bytes)},
    {"narwal_sink_rows_total", COUNTER, "sink",
     "Rows written; what was written again after a fault counts again.", SINK_OF(U64, rows)},
    {"narwal_sink_batches_total", COUNTER, "sink", "Batches written.", SINK_OF(U64, batches)},
    {"narwal_sink_commits_total", COUNTER, "sink", "Epochs that became durable.",
     SINK_OF(U64, commits)},
    {"narwal_sink_last_commit_timestamp_seconds", GAUGE, "sink",
     "When one last did, in this process; absent: none yet.", SINK_KNOWN_OF(REAL, committed_s)},
    {"narwal_sink_retries", GAUGE, "sink",
     "Recoveries since the last durable epoch: above 0 it is in trouble now.",
     SINK_OF(U64, retries)},
    {"narwal_sink_spilled_bytes", GAUGE, "sink", "Of its lag, what is in the spill file.",
     SINK_OF(U64, spilled_bytes)},
    {"narwal_sink_spill_limit_bytes", GAUGE, "sink", "limits.spill.", SINK_OF(U64, spill_limit)},
    {"narwal_sink_waiting_rows", GAUGE, "sink", "Changes that wait for the copies of their tables.",
     SINK_OF(U64, waiting_rows)},
    {"narwal_sink_waiting_bytes", GAUGE, "sink", "Their bytes.", SINK_OF(U64, waiting_bytes)},
    {"narwal_sink_dead_letters", GAUGE, "sink", "Rows that it refused and that are kept.",
     SINK_OF(U64, dead_letters)},
    {"narwal_sink_dead_letter_bytes", GAUGE, "sink", "Theirs on disk.",
     SINK_OF(U64, dead_letter_bytes)},
    {"narwal_sink_dead_letter_limit_bytes", GAUGE, "sink", "dead_letters, where refused says so.",
     SINK_KNOWN_OF(U64, dead_letter_limit)},
    {"narwal_sink_dead_letters_written_total", COUNTER, "sink",
     "Rows that it refused and that were kept; begins again with each attempt.",
     SINK_OF(U64, dead_letters_written)},
    {"narwal_table_dead_letters", GAUGE, "sink, table",
     "Dead letters of the tables that have most, at most 64; of former sinks too.",
     PRINTED(letters_print)},
    {"narwal_table_dead_letter_bytes", GAUGE, "sink, table", "Theirs on disk.",
     PRINTED(letters_print)},
    {"narwal_table_lag_seconds", GAUGE, "sink, table",
     "Lag of the tables that lag most, at most 20 of each sink.", PRINTED(table_lags_print)},
    {"narwal_table_lag_bytes", GAUGE, "sink, table", "Theirs in bytes.", PRINTED(table_lags_print)},

    {"process_cpu_seconds_total", COUNTER, "", "Processor time of all threads.",
     PRINTED(cpu_print)},
    {"process_resident_memory_bytes", GAUGE, "", "Resident memory.", PRINTED(resident_print)},
    {"process_start_time_seconds", GAUGE, "", "When the process started.", PRINTED(start_print)},
};
enum { FAMILIES_COUNT = sizeof FAMILIES / sizeof FAMILIES[0] };

/* ---- printing ---- */

static void family_samples(const struct family *family, const struct nw_report *report, FILE *out)
{
    if (family->print != NULL) {
        family->print(family, report, out);
    } else if (report != NULL && family->of_sink) {
        for (uint32_t i = 0; i < report->sinks_count; i++) {
            const struct nw_label label = {"sink", report->sinks[i].name};

            (void)field_print(family, &report->sinks[i], &label, 1, out);
        }
    } else if (report != NULL) {
        (void)field_print(family, report, NULL, 0, out);
    }
}

/* OpenMetrics names a counter without the _total of its samples. */
static int named_size(const struct family *family, enum nw_metrics_format format)
{
    size_t size = strlen(family->name);

    return (int)(format == NW_METRICS_OPENMETRICS && family->kind == COUNTER
                     ? size - strlen("_total")
                     : size);
}

/* The sink's figure of that name; NULL: it has none. */
static const struct nw_figure_value *figure_find(const struct nw_report_sink *sink,
                                                 const char *type, const char *name)
{
    for (uint32_t i = 0; i < sink->figures_count && strcmp(sink->type, type) == 0; i++) {
        if (strcmp(sink->figures[i].name, name) == 0) {
            return &sink->figures[i];
        }
    }
    return NULL;
}

/* A type as part of a metric's name. */
static void type_print(const char *type, char *text, size_t size)
{
    size_t used = 0;

    for (; *type != '\0' && used + 1 < size; type++) {
        text[used++] = isalnum((unsigned char)*type) != 0 ? *type : '_';
    }
    text[used] = '\0';
}

/* One figure of all sinks of a type, at the first of them that has it. */
static void figure_print(const struct nw_report *report, uint32_t first, uint32_t index,
                         enum nw_metrics_format format, FILE *out)
{
    const struct nw_report_sink *sink = &report->sinks[first];
    const struct nw_figure_value *figure = &sink->figures[index];
    char type[NW_REPORT_NAME_SIZE];
    char name[sizeof type + sizeof figure->name + sizeof "narwal_sink__"];
    struct family family = {.name = name,
                            .kind = figure->counts ? COUNTER : GAUGE,
                            .labels = "sink",
                            .help = figure->text};
    int size = 0;

    for (uint32_t s = 0; s < first; s++) {
        if (figure_find(&report->sinks[s], sink->type, figure->name) != NULL) {
            return;
        }
    }
    type_print(sink->type, type, sizeof type);
    (void)snprintf(name, sizeof name, "narwal_sink_%s_%s", type, figure->name);
    size = named_size(&family, format);
    (void)fprintf(out, "# HELP %.*s %s\n# TYPE %.*s %s\n", size, name, family.help, size, name,
                  figure->counts ? "counter" : "gauge");
    for (uint32_t s = first; s < report->sinks_count; s++) {
        const struct nw_label label = {"sink", report->sinks[s].name};
        const struct nw_figure_value *found =
            figure_find(&report->sinks[s], sink->type, figure->name);

        if (found != NULL) {
            sample_print(&family, &label, 1, found->value, out);
        }
    }
}

/* What plugins say of themselves. */
static void figures_print(const struct nw_report *report, enum nw_metrics_format format, FILE *out)
{
    for (uint32_t s = 0; s < report->sinks_count; s++) {
        for (uint32_t i = 0; i < report->sinks[s].figures_count; i++) {
            figure_print(report, s, i, format, out);
        }
    }
}

void nw_metrics_print(const struct nw_report *report, enum nw_metrics_format format, FILE *out)
{
    for (int i = 0; i < FAMILIES_COUNT; i++) {
        const struct family *family = &FAMILIES[i];
        int size = named_size(family, format);

        (void)fprintf(out, "# HELP %.*s %s\n# TYPE %.*s %s\n", size, family->name, family->help,
                      size, family->name, family->kind == COUNTER ? "counter" : "gauge");
        family_samples(family, report, out);
    }
    if (report != NULL) {
        figures_print(report, format, out);
    }
    if (format == NW_METRICS_OPENMETRICS) {
        (void)fputs("# EOF\n", out);
    }
}

const char *nw_metrics_type(enum nw_metrics_format format)
{
    return format == NW_METRICS_OPENMETRICS
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

void nw_metrics_document(FILE *out)
{
    (void)fputs("| metric | type | labels | |\n|---|---|---|---|\n", out);
    for (int i = 0; i < FAMILIES_COUNT; i++) {
        const struct family *family = &FAMILIES[i];

        (void)fprintf(out, "| `%s` | %s | %s | %s |\n", family->name,
                      family->kind == COUNTER ? "counter" : "gauge", family->labels, family->help);
    }
}
