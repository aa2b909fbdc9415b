/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notifications of copies, as Debezium sends them of snapshots:
 *
 *   key    {"id":"5563ae14-49f8-4579-9641-c1bbc2d76f99"}
 *   value  {"id":...,"type":"STARTED","aggregate_type":"Initial Snapshot",
 *           "additional_data":{"connector_name":"PREFIX"},"timestamp":1695817046353}
 *
 * The first copy: STARTED, DATA_COLLECTIONS_RESOLVED, for each table IN_PROGRESS and
 * TABLE_SCAN_COMPLETED, and COMPLETED with the first commit that has a position; or SKIPPED with
 * it, where there is no first copy. Copies that a signal asked for are an "Incremental Snapshot"
 * with the signal's id, from STARTED, with the first of its tables, to COMPLETED, with the last of
 * them; or as the first copy, where the signal's type is "blocking". A copy that no signal asked
 * for is one by itself.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/kafka.h"
#include "lib/format/notice_avro.h"
#include "lib/format/notice_schema.h"

#define NAMES_MAX    ((size_t)512 << 10)
#define LOST_EACH_NS (INT64_C(2) * 1000000000)
#define PAIRS_MAX    6u    /* of additional_data */
#define NAMES_OFTEN  8192u /* as much is said with every table */

/* A random UUID: RFC 9562, version 4. */
void nw_kafka_id_make(const struct nw_host *host, char id[static NW_KAFKA_ID_SIZE])
{
    uint8_t b[16];
    char *at = id;

    host->random(host, b, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0fu) | 0x40u);
    b[8] = (uint8_t)((b[8] & 0x3fu) | 0x80u);
    for (int i = 0; i < 16; i++) {
        at += snprintf(at, 4, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
    }
}

struct notification {
    const char *id; /* NULL: one is made */
    const char *type;
    bool first;              /* copy, or as it */
    const char *collections; /* "schema.table,schema.table"; NULL: not said */
    const char *label;       /* that the table's name has in additional_data; NULL: none */
    const char *collection;  /* schema.table */
    const char *status;      /* of its copy; NULL: not said */
    bool scanned;            /* rows are said */
    bool total;              /* they are all that there are */
    uint64_t rows;
};

static void text_print(struct nw_out *out, const char *before, const char *text)
{
    nw_out_text(out, before);
    nw_json_name(out, text);
}

/* Of additional_data. */
struct pair {
    const char *name, *text;
};

/* @return how many */
static uint32_t pairs_fill(const struct nw_kafka_sink *sink, const struct notification *what,
                           const char *rows, struct pair pairs[static PAIRS_MAX])
{
    uint32_t count = 0;

    pairs[count++] = (struct pair){"connector_name", sink->options.prefix};
    if (what->collections != NULL) {
        pairs[count++] = (struct pair){"data_collections", what->collections};
    }
    if (what->label != NULL) {
        pairs[count++] = (struct pair){what->label, what->collection};
    }
    if (what->scanned) {
        pairs[count++] = (struct pair){"total_rows_scanned", rows};
    }
    if (what->total && what->scanned && !what->first && what->rows > 0) {
        pairs[count++] = (struct pair){"total_rows", rows};
    }
    if (what->status != NULL) {
        pairs[count++] = (struct pair){"status", what->status};
    }
    return count;
}

/* All that a notification says. */
struct said {
    const char *id, *type, *aggregate;
    struct pair pairs[PAIRS_MAX];
    uint32_t pairs_count;
    int64_t ms; /* since 1970 */
};

static void said_print(const struct said *said, struct nw_out *out)
{
    text_print(out, "{\"id\":", said->id);
    text_print(out, ",\"type\":", said->type);
    text_print(out, ",\"aggregate_type\":", said->aggregate);
    nw_out_text(out, ",\"additional_data\":");
    for (uint32_t i = 0; i < said->pairs_count; i++) {
        text_print(out, i == 0 ? "{" : ",", said->pairs[i].name);
        text_print(out, ":", said->pairs[i].text);
    }
    nw_out_text(out, "},\"timestamp\":");
    nw_out_i64(out, said->ms);
    nw_out_text(out, "}");
}

/* As nw_notification_value_schema describes it. */
static void said_append(const struct said *said, struct nw_out *out)
{
    nw_avro_text(out, said->id);
    nw_avro_text(out, said->type);
    nw_avro_text(out, said->aggregate);
    nw_avro_long(out, 1); /* not null */
    nw_avro_long(out, said->pairs_count);
    for (uint32_t i = 0; i < said->pairs_count; i++) {
        nw_avro_text(out, said->pairs[i].name);
        nw_avro_text(out, said->pairs[i].text);
    }
    nw_avro_long(out, 0);
    nw_avro_long(out, said->ms);
}

static nw_status notify(struct nw_kafka_worker *worker, const struct notification *what,
                        struct nw_error *err)
{
    const struct nw_kafka_sink *sink = worker->sink;
    char made[NW_KAFKA_ID_SIZE];
    char rows[24];
    struct said said = {.id = what->id != NULL ? what->id : made,
                        .type = what->type,
                        .aggregate = what->first ? "Initial Snapshot" : "Incremental Snapshot",
                        .ms = sink->host->wall_us(sink->host) / 1000};
    nw_status status = nw_kafka_notice_begin(worker, NW_KAFKA_NOTIFICATIONS, err);

    if (status != NW_OK) {
        return status;
    }
    nw_kafka_id_make(sink->host, made);
    (void)snprintf(rows, sizeof rows, "%" PRIu64, what->rows);
    said.pairs_count = pairs_fill(sink, what, rows, said.pairs);
    if (nw_kafka_notice_keys_are_avro(&sink->options)) {
        nw_avro_notice_key(&worker->key, &nw_notification_key_schema, said.id);
    } else {
        text_print(&worker->key, "{\"id\":", said.id);
        nw_out_text(&worker->key, "}");
    }
    if (nw_kafka_notices_are_avro(&sink->options)) {
        said_append(&said, &worker->value);
    } else {
        said_print(&said, &worker->value);
    }
    return nw_kafka_notice_send(worker, NW_KAFKA_NOTIFICATIONS, err);
}

static void name_print(const struct nw_table *table, char name[static NW_KAFKA_NAME_SIZE])
{
    (void)snprintf(name, NW_KAFKA_NAME_SIZE, "%s.%s", table->schema_name, table->name);
}

/* The first copy is the one before which there is no position. */
static bool is_first(const struct nw_kafka_sink *sink)
{
    return !sink->positioned;
}

/* Several in a row; each is of what its tables are. */
static nw_status notify_start(struct nw_kafka_worker *worker, const struct notification *like,
                              const char *collections, struct nw_error *err)
{
    struct notification what = *like;
    nw_status status = NW_OK;

    what.type = "STARTED";
    what.collections = what.first ? NULL : collections;
    status = notify(worker, &what, err);
    what.type = "DATA_COLLECTIONS_RESOLVED";
    what.collections = collections;
    return status == NW_OK && collections != NULL ? notify(worker, &what, err) : status;
}

/* ---- the first copy ---- */

/* The names of all its tables, with commas; NULL: they are not known. Locked. */
static const char *first_names(struct nw_kafka_sink *sink)
{
    struct nw_out *names = &sink->first_names;
    char *told = NULL;
    size_t used = 0;

    if (names->used == 0 && sink->host->size > offsetof(struct nw_host, copies)) {
        told = malloc(NAMES_MAX);
    }
    if (told != NULL && sink->host->copies(sink->host, NULL, told, NAMES_MAX, &used) == NW_OK &&
        used > 0) {
        for (size_t i = 0; i < used; i += strlen(told + i) + 1) { /* "OID SCHEMA.TABLE" */
            const char *space = strchr(told + i, ' ');

            nw_out_text(names, i > 0 ? "," : "");
            nw_out_text(names, space == NULL ? "" : space + 1);
        }
        nw_out_bytes(names, "", 1);
    }
    free(told);
    if (names->failed) {
        names->used = 0;
        names->failed = false;
    }
    return names->used == 0 ? NULL : (const char *)names->bytes;
}

static nw_status first_begins(struct nw_kafka_worker *worker, const char *name,
                              struct nw_error *err)
{
    struct nw_kafka_sink *sink = worker->sink;
    struct notification what = {.first = true};
    bool starts = false;
    nw_status status = NW_OK;

    (void)pthread_mutex_lock(&sink->lock);
    starts = !sink->copying;
    sink->copying = true;
    what.collections = first_names(sink); /* as long as the sink */
    (void)pthread_mutex_unlock(&sink->lock);
    if (starts) {
        status = notify_start(worker, &what, what.collections, err);
    }
    if (starts && status != NW_OK) {
        (void)pthread_mutex_lock(&sink->lock);
        sink->copying = false;
        (void)pthread_mutex_unlock(&sink->lock);
    }
    what.type = "IN_PROGRESS";
    what.label = "current_collection_in_progress";
    what.collection = name;
    what.collections = sink->first_names.used > NAMES_OFTEN ? NULL : what.collections;
    return status == NW_OK ? notify(worker, &what, err) : status;
}

static nw_status first_ends(struct nw_kafka_worker *worker, const char *name,
                            const struct nw_kafka_copying *copying, struct nw_error *err)
{
    struct nw_kafka_sink *sink = worker->sink;
    struct notification what = {.type = "TABLE_SCAN_COMPLETED",
                                .first = true,
                                .label = "scanned_collection",
                                .collection = name,
                                .status = "SUCCEEDED"};

    (void)pthread_mutex_lock(&sink->lock);
    what.collections = first_names(sink);
    what.collections = sink->first_names.used > NAMES_OFTEN ? NULL : what.collections;
    (void)pthread_mutex_unlock(&sink->lock);
    what.scanned = copying != NULL && !copying->resumed;
    what.rows = what.scanned ? copying->rows : 0;
    return notify(worker, &what, err);
}

/* ---- later ones ---- */

enum nw_kafka_said { LATER_BEGINS, LATER_GOES_ON, LATER_ENDS, LATER_IS_GONE };

/* What all notifications of a copy say. */
static struct notification later_like(const struct nw_kafka_asking *asking)
{
    /* Debezium's "blocking" ones do not have the signal's id. */
    return (struct notification){.id = asking->signal == 0 || asking->blocking ? NULL : asking->id,
                                 .first = asking->blocking};
}

/* All of a signal's tables; NULL: they are too many to be said there. */
static const char *names_of(const struct nw_kafka_asking *asking, size_t most)
{
    return asking->names.used > most ? NULL : (const char *)asking->names.bytes;
}

static nw_status names_end(struct nw_kafka_asking *asking, struct nw_error *err)
{
    nw_out_bytes(&asking->names, "", 1);
    return asking->names.failed ? nw_kafka_no_memory(err) : NW_OK;
}

static nw_status later_begins(struct nw_kafka_worker *worker, const struct nw_table *table,
                              const struct nw_kafka_asking *asking, struct nw_error *err)
{
    struct nw_kafka_copying *copying = nw_kafka_copying_find(worker, table->relation_oid);
    const struct notification what = later_like(asking);
    nw_status status = NW_OK;

    if (copying != NULL && copying->blocking == 0) {
        copying->blocking = asking->blocking ? asking->signal : 0;
    }
    if (asking->starts) {
        status = notify_start(worker, &what, names_of(asking, NAMES_MAX), err);
    }
    if (status == NW_OK) {
        nw_kafka_asked_begun(worker->sink, asking);
    }
    return status;
}

static nw_status later_goes_on(struct nw_kafka_worker *worker, const char *name,
                               const struct nw_kafka_asking *asking, struct nw_error *err)
{
    struct notification what = later_like(asking);

    what.type = "IN_PROGRESS";
    what.collections = names_of(asking, NAMES_OFTEN);
    what.label = "current_collection_in_progress";
    what.collection = name;
    return notify(worker, &what, err);
}

/* @param copying  NULL: no row of it was sent by this process, or it is given up */
static nw_status later_ends(struct nw_kafka_worker *worker, const struct nw_table *table,
                            const struct nw_kafka_copying *copying, const char *outcome,
                            const struct nw_kafka_asking *asking, struct nw_error *err)
{
    struct notification what = later_like(asking);
    char name[NW_KAFKA_NAME_SIZE];
    nw_status status = NW_OK;

    name_print(table, name);
    what.type = "TABLE_SCAN_COMPLETED";
    what.collections = names_of(asking, NAMES_OFTEN);
    what.label = "scanned_collection";
    what.collection = name;
    what.scanned = copying != NULL ? !copying->resumed : outcome != NULL && !what.first;
    what.rows = what.scanned && copying != NULL ? copying->rows : 0;
    what.total = outcome == NULL;
    what.status = outcome != NULL                                 ? outcome
                  : !what.first && what.scanned && what.rows == 0 ? "EMPTY"
                                                                  : "SUCCEEDED";
    status = notify(worker, &what, err);
    if (status == NW_OK && asking->ends) {
        what = later_like(asking);
        what.type = "COMPLETED";
        status = notify(worker, &what, err);
    }
    if (status == NW_OK) {
        nw_kafka_asked_ended(worker->sink, asking, table->relation_oid);
    }
    return status;
}

/* Of a table without rows nothing was said yet, which Debezium does where it is "blocking". */
static nw_status later_is_whole(struct nw_kafka_worker *worker, const struct nw_table *table,
                                const char *name, const struct nw_kafka_asking *asking,
                                struct nw_error *err)
{
    const struct nw_kafka_copying *copying = nw_kafka_copying_find(worker, table->relation_oid);
    bool failed = nw_kafka_asked_failed(worker->sink, table->relation_oid);
    nw_status status = NW_OK;

    if (asking->blocking && copying != NULL && !copying->goes_on) {
        status = later_goes_on(worker, name, asking, err);
    }
    return status == NW_OK
               ? later_ends(worker, table, copying, failed ? "SQL_EXCEPTION" : NULL, asking, err)
               : status;
}

static nw_status later_is_gone(struct nw_kafka_worker *worker, const struct nw_table *table,
                               const struct nw_kafka_asking *asking, struct nw_error *err)
{
    const struct notification what = later_like(asking);
    nw_status status = NW_OK;

    if (asking->starts) { /* it never began */
        status = notify_start(worker, &what, names_of(asking, NAMES_MAX), err);
        if (status == NW_OK) {
            nw_kafka_asked_begun(worker->sink, asking);
        }
    }
    return status == NW_OK ? later_ends(worker, table, NULL, "SQL_EXCEPTION", asking, err) : status;
}

/* Of one of the signals that the copy is for. */
static nw_status later_say_of(struct nw_kafka_worker *worker, const struct nw_table *table,
                              enum nw_kafka_said said, const struct nw_kafka_asking *asking,
                              struct nw_error *err)
{
    char name[NW_KAFKA_NAME_SIZE];

    name_print(table, name);
    switch (said) {
    case LATER_BEGINS:
        return later_begins(worker, table, asking, err);
    case LATER_GOES_ON:
        return later_goes_on(worker, name, asking, err);
    case LATER_ENDS:
        return later_is_whole(worker, table, name, asking, err);
    case LATER_IS_GONE:
        break;
    }
    return later_is_gone(worker, table, asking, err);
}

/* Each signal that the copy is for; or none, and it is one by itself. */
static nw_status later_say(struct nw_kafka_worker *worker, const struct nw_table *table,
                           enum nw_kafka_said said, enum nw_kafka_mark *mark, struct nw_error *err)
{
    enum nw_kafka_copy_step step = said == LATER_BEGINS    ? NW_KAFKA_COPY_BEGINS
                                   : said == LATER_IS_GONE ? NW_KAFKA_COPY_IS_GONE
                                                           : NW_KAFKA_COPY_IS_BEGUN;
    uint32_t after = 0;
    bool more = true;
    nw_status status = NW_OK;

    while (more && status == NW_OK) {
        struct nw_kafka_asking asking;

        nw_kafka_asked_of(worker->sink, table, step, after, &asking);
        more = asking.signal != 0;
        status = names_end(&asking, err);
        if (status == NW_OK &&
            (more || (after == 0 && said != LATER_IS_GONE &&
                      !nw_kafka_asked_is_stopped(worker->sink, table->relation_oid)))) {
            if (said == LATER_ENDS && asking.ends && after == 0) {
                *mark = NW_KAFKA_LAST_OF_ALL;
            }
            status = later_say_of(worker, table, said, &asking, err);
        }
        after = asking.signal;
        nw_kafka_asking_fini(&asking);
    }
    return status;
}

/* ---- pauses ---- */

/* The first one that was not said yet, which is from here on. @return NULL: there is none */
static struct nw_kafka_pause *pause_take(struct nw_kafka_sink *sink, struct nw_kafka_pause *taken)
{
    struct nw_kafka_pause *found = NULL;

    (void)pthread_mutex_lock(&sink->lock);
    for (uint32_t i = 0; i < sink->pauses_count && found == NULL; i++) {
        found = sink->pauses[i].said ? NULL : &sink->pauses[i];
    }
    if (found != NULL) {
        found->said = true;
        *taken = *found;
    }
    (void)pthread_mutex_unlock(&sink->lock);
    return found;
}

static nw_status pause_say(struct nw_kafka_worker *worker, const struct nw_kafka_pause *pause,
                           struct nw_kafka_asking *asking, struct nw_error *err)
{
    struct notification what = {0};
    nw_status status = NW_AGAIN; /* it is not known yet of what */

    nw_kafka_asked_signal(worker->sink, pause->signal, asking);
    if (asking->signal == 0 || (asking->known && asking->names.used == 0)) {
        return NW_OK; /* there was nothing */
    }
    if (asking->known) {
        status = names_end(asking, err);
        what = later_like(asking);
    }
    if (status == NW_OK && asking->starts) {
        status = notify_start(worker, &what, names_of(asking, NAMES_MAX), err);
    }
    if (status == NW_OK) {
        nw_kafka_asked_begun(worker->sink, asking);
        what.first = false;
        what.type = pause->paused ? "PAUSED" : "RESUMED";
        what.collections = names_of(asking, NAMES_MAX);
        status = notify(worker, &what, err);
    }
    return status;
}

/* @param all  the names of all that was asked for, for a start that is not said yet */
static nw_status stop_say(struct nw_kafka_worker *worker, struct nw_kafka_asking *asking,
                          struct nw_out *all, struct nw_error *err)
{
    struct notification what = {0};
    nw_status status = names_end(asking, err);

    if (status != NW_OK) {
        return status;
    }
    nw_out_bytes(all, "", 1);
    what = later_like(asking);
    if (asking->starts) {
        const char *names = all->failed || all->used > NAMES_MAX ? NULL : (char *)all->bytes;

        status = notify_start(worker, &what, names, err);
        if (status != NW_OK) {
            return status;
        }
    }
    nw_kafka_asked_begun(worker->sink, asking);
    what.first = false;
    what.type = "ABORTED";
    what.collections = names_of(asking, NAMES_MAX);
    status = notify(worker, &what, err);
    if (status == NW_OK) {
        nw_kafka_asked_aborted(worker->sink, asking);
    }
    return status;
}

/* What a signal ended of the copies that another had asked for. */
static nw_status stops_say(struct nw_kafka_worker *worker, struct nw_error *err)
{
    bool more = true;
    nw_status status = NW_OK;

    while (more && status == NW_OK) {
        struct nw_kafka_asking asking;
        struct nw_out all = {0};

        nw_kafka_asked_stopped(worker->sink, &asking, &all);
        more = asking.signal != 0 && asking.names.used > 0;
        status = more ? stop_say(worker, &asking, &all, err) : NW_OK;
        nw_kafka_asking_fini(&asking);
        nw_out_fini(&all);
    }
    return status;
}

nw_status nw_kafka_pauses_say(struct nw_kafka_worker *worker, struct nw_error *err)
{
    struct nw_kafka_pause taken = {0};
    struct nw_kafka_pause *pause = NULL;
    nw_status status = NW_OK;

    while (status == NW_OK && (pause = pause_take(worker->sink, &taken)) != NULL) {
        struct nw_kafka_asking asking;

        status = pause_say(worker, &taken, &asking, err);
        nw_kafka_asking_fini(&asking);
    }
    if (status != NW_OK && pause != NULL) {
        (void)pthread_mutex_lock(&worker->sink->lock);
        pause->said = false; /* nothing goes out of that list before the commit */
        (void)pthread_mutex_unlock(&worker->sink->lock);
    }
    status = status == NW_AGAIN ? NW_OK : status; /* with the next commit, then */
    return status == NW_OK ? stops_say(worker, err) : status;
}

/* ---- all of them ---- */

nw_status nw_kafka_copy_begins(struct nw_kafka_worker *worker, const struct nw_table *table,
                               struct nw_error *err)
{
    char name[NW_KAFKA_NAME_SIZE];
    nw_status status = nw_kafka_copying_begin(worker, table->relation_oid, false, err);

    name_print(table, name);
    if (status != NW_OK) {
        return status;
    }
    if (is_first(worker->sink)) {
        return first_begins(worker, name, err);
    }
    status = nw_kafka_pauses_say(worker, err);
    return status == NW_OK ? later_say(worker, table, LATER_BEGINS, NULL, err) : status;
}

nw_status nw_kafka_copy_goes_on(struct nw_kafka_worker *worker, const struct nw_table *table,
                                struct nw_error *err)
{
    struct nw_kafka_copying *copying = nw_kafka_copying_find(worker, table->relation_oid);
    nw_status status = NW_OK;

    if (is_first(worker->sink) || copying == NULL || copying->goes_on) {
        return NW_OK;
    }
    status = nw_kafka_pauses_say(worker, err);
    if (status == NW_OK) {
        status = later_say(worker, table, LATER_GOES_ON, NULL, err);
    }
    copying->goes_on = status == NW_OK;
    return status;
}

nw_status nw_kafka_copy_ends(struct nw_kafka_worker *worker, const struct nw_table *table,
                             struct nw_error *err)
{
    const struct nw_kafka_copying *copying = nw_kafka_copying_find(worker, table->relation_oid);
    enum nw_kafka_mark mark = NW_KAFKA_LAST_OF_TABLE;
    char name[NW_KAFKA_NAME_SIZE];
    nw_status status = NW_OK;

    name_print(table, name);
    if (is_first(worker->sink)) {
        status = first_ends(worker, name, copying, err);
    } else {
        status = nw_kafka_pauses_say(worker, err);
        if (status == NW_OK) {
            status = later_say(worker, table, LATER_ENDS, &mark, err);
        }
    }
    if (status == NW_OK) {
        nw_kafka_copying_end(worker, table->relation_oid, mark);
    }
    return status;
}

nw_status nw_kafka_copy_gone(struct nw_kafka_worker *worker, const struct nw_table *table,
                             struct nw_error *err)
{
    return later_say(worker, table, LATER_IS_GONE, NULL, err);
}

nw_status nw_kafka_lost_say(struct nw_kafka_worker *worker, struct nw_error *err)
{
    struct nw_kafka_sink *sink = worker->sink;
    int64_t now_ns = sink->host->now_ns(sink->host);
    char *name = NULL;
    uint32_t relation_oid = 0;
    nw_status status = NW_OK;

    if (now_ns < sink->lost_due_ns) { /* looking takes long where many tables wait */
        return NW_OK;
    }
    sink->lost_due_ns = now_ns + LOST_EACH_NS;
    while (status == NW_OK && (relation_oid = nw_kafka_asked_lost(worker->sink, &name)) != 0) {
        char *dot = strchr(name, '.');
        struct nw_table table = {.relation_oid = relation_oid, .schema_name = name, .name = ""};

        if (dot != NULL) { /* said as a whole again */
            *dot = '\0';
            table.name = dot + 1;
        }
        status = nw_kafka_copy_gone(worker, &table, err);
        free(name);
    }
    return status;
}

nw_status nw_kafka_copies_end(struct nw_kafka_sink *sink, struct nw_error *err)
{
    struct notification what = {.type = sink->copying ? "COMPLETED" : "SKIPPED", .first = true};

    return notify(&sink->workers[0], &what, err);
}
