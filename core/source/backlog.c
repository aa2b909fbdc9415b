/* SPDX-License-Identifier: Apache-2.0 */
/* See backlog.h. */
#include "source/backlog.h"

#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/code.h"
#include "base/writer.h"

#define FROM_BYTES       17u
#define BEGIN_BYTES      21u
#define COMMIT_BYTES     25u
#define MESSAGE_BYTES    9u
#define RECORD_OVERHEAD  4096u /* of a record, its segment's header, and what ends a transaction */
#define SEGMENT_BYTES_IN 16u   /* a small quota has small segments */

static struct nw_spool_options spool_options(const struct nw_backlog_options *options,
                                             const char *folder)
{
    uint64_t segment_bytes = options->quota_bytes / SEGMENT_BYTES_IN;

    return (struct nw_spool_options){
        .env = options->env,
        .folder = folder,
        .identity = options->identity,
        .quota_bytes = options->quota_bytes,
        .segment_bytes = segment_bytes < NW_SPOOL_SEGMENT_BYTES ? segment_bytes : 0};
}

static nw_status backlog_make(const struct nw_backlog_options *options, uint32_t relation_oid,
                              struct nw_backlog **backlog, struct nw_error *err)
{
    struct nw_backlog *made = calloc(1, sizeof *made);

    if (made != NULL) {
        made->relation_oid = relation_oid;
        made->folder = strdup(options->folder);
    }
    if (made == NULL || made->folder == NULL) {
        free(made);
        return nw_fail(err, NW_FATAL, "out of memory for a table's kept changes");
    }
    *backlog = made;
    return NW_OK;
}

void nw_backlog_use(struct nw_backlog *backlog, struct nw_jobs *jobs)
{
    nw_spool_use(backlog->spool, jobs);
}

void nw_backlog_destroy(struct nw_backlog *backlog)
{
    if (backlog == NULL) {
        return;
    }
    nw_spool_destroy(backlog->spool);
    free(backlog->folder);
    free(backlog->body);
    free(backlog->relation);
    free(backlog);
}

nw_status nw_backlog_remove(struct nw_backlog *backlog, struct nw_error *err)
{
    nw_status status = NW_AGAIN;

    while (status == NW_AGAIN) {
        status = nw_spool_remove(backlog->spool, err);
    }
    return status;
}

nw_status nw_backlog_discard(const struct nw_backlog_options *options, struct nw_error *err)
{
    const struct nw_spool_options spool = spool_options(options, options->folder);

    return nw_spool_discard(&spool, err);
}

/* ---- adding ---- */

static nw_status room_make(uint8_t **bytes, size_t *capacity, size_t size, struct nw_error *err)
{
    uint8_t *grown = size <= *capacity ? *bytes : realloc(*bytes, size * 2);

    if (grown == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for %zu bytes of a table's kept changes",
                       size);
    }
    *capacity = size <= *capacity ? *capacity : size * 2;
    *bytes = grown;
    return NW_OK;
}

/* Why there is no room. */
static nw_status refused(const struct nw_backlog *backlog, struct nw_error *err)
{
    struct nw_spool_status spool;

    nw_spool_status(backlog->spool, &spool);
    switch (nw_spool_pressure(backlog->spool)) {
    case NW_SPOOL_FREE:
    case NW_SPOOL_BEHIND:
        break;
    case NW_SPOOL_FULL:
        return nw_fail(err, NW_REJECT,
                       "NW2514 its kept changes fill the %" PRIu64
                       " MiB that limits.backlog leaves to "
                       "each table",
                       spool.quota_bytes >> 20);
    case NW_SPOOL_BLOCKED:
        return nw_fail(err, NW_REJECT, "NW2514 its changes cannot be kept: %.700s",
                       nw_code_rest(nw_spool_blocked(backlog->spool)));
    }
    return NW_AGAIN;
}

static nw_status record_append(struct nw_backlog *backlog, const struct nw_spool_record *record,
                               struct nw_error *err)
{
    struct nw_spool_status spool;
    struct nw_error why = {0};
    nw_status status = NW_OK;

    nw_spool_status(backlog->spool, &spool);
    if (record->body.size + RECORD_OVERHEAD > spool.quota_bytes) {
        return nw_fail(err, NW_REJECT,
                       "NW2514 a change of %zu bytes is more than limits.backlog leaves to a table",
                       record->body.size);
    }
    status = nw_spool_append(backlog->spool, record, &why);
    if (status == NW_AGAIN) {
        return refused(backlog, err);
    }
    return status == NW_OK ? NW_OK
                           : nw_fail(err, NW_REJECT, "NW2514 its changes cannot be kept: %.900s",
                                     nw_code_rest(why.text));
}

static nw_status begin_append(struct nw_backlog *backlog, const struct nw_backlog_change *change,
                              struct nw_error *err)
{
    size_t origin_size = strlen(change->origin);
    struct nw_spool_record record = {.kind = NW_SPOOL_MESSAGE, .lsn = change->lsn};
    struct nw_writer writer = {0};
    nw_status status =
        room_make(&backlog->body, &backlog->body_capacity, BEGIN_BYTES + origin_size, err);

    if (status != NW_OK) {
        return status;
    }
    writer.bytes = backlog->body;
    nw_writer_put(&writer, "B", 1);
    nw_writer_put(&writer, &change->begin->commit_lsn, 8);
    nw_writer_put(&writer, &change->begin->commit_ts, 8);
    nw_writer_put(&writer, &change->begin->xid, 4);
    nw_writer_put(&writer, change->origin, (uint32_t)origin_size);
    record.body = (struct nw_bytes){writer.bytes, writer.size};
    status = record_append(backlog, &record, err);
    if (status == NW_OK) {
        backlog->open_lsn = change->begin->commit_lsn;
    }
    return status;
}

/* `record` has all but its body. */
static nw_status message_append(struct nw_backlog *backlog, uint64_t seq, struct nw_bytes message,
                                struct nw_spool_record record, struct nw_error *err)
{
    struct nw_writer writer = {0};
    nw_status status =
        room_make(&backlog->body, &backlog->body_capacity, MESSAGE_BYTES + message.size, err);

    if (status != NW_OK) {
        return status;
    }
    writer.bytes = backlog->body;
    nw_writer_put(&writer, "M", 1);
    nw_writer_put(&writer, &seq, 8);
    nw_writer_put(&writer, message.at, (uint32_t)message.size);
    record.body = (struct nw_bytes){writer.bytes, writer.size};
    return record_append(backlog, &record, err);
}

static bool is_relation(struct nw_bytes message)
{
    return message.size > 0 && message.at[0] == 'R';
}

/* Whether a message says what was said already: a new connection begins with it. */
static bool is_said(const struct nw_backlog *backlog, struct nw_bytes message)
{
    return is_relation(message) && backlog->relation_size == message.size &&
           memcmp(backlog->relation, message.at, message.size) == 0;
}

/*
 * The columns that are in force from here on.
 * @param added  that is here, too; else it goes before the next change: what a former process added
 *               may not say it, and the server does not repeat it
 */
static nw_status relation_note(struct nw_backlog *backlog, struct nw_bytes message, bool added,
                               struct nw_error *err)
{
    nw_status status =
        room_make(&backlog->relation, &backlog->relation_capacity, message.size, err);

    if (status == NW_OK) {
        backlog->retyped =
            backlog->retyped || (added && backlog->relation_size > 0 && !is_said(backlog, message));
        memcpy(backlog->relation, message.at, message.size);
        backlog->relation_size = message.size;
        backlog->relation_added = added;
    }
    return status;
}

/* What goes before a change: its transaction's beginning, and columns that were said before. */
static nw_status change_prepare(struct nw_backlog *backlog, const struct nw_backlog_change *change,
                                struct nw_error *err)
{
    const struct nw_spool_record record = {.kind = NW_SPOOL_MESSAGE, .lsn = change->lsn};
    struct nw_bytes relation = {backlog->relation, backlog->relation_size};
    nw_status status = NW_OK;

    if (change->begin != NULL && backlog->open_lsn != change->begin->commit_lsn) {
        status = begin_append(backlog, change, err);
    }
    if (status != NW_OK || backlog->relation_added || relation.size == 0 ||
        is_relation(change->message)) {
        return status;
    }
    status = message_append(backlog, change->place.seq, relation, record, err);
    backlog->relation_added = status == NW_OK;
    return status;
}

nw_status nw_backlog_keep(struct nw_backlog *backlog, const struct nw_backlog_change *change,
                          struct nw_error *err)
{
    struct nw_place place = change->place;
    bool relation = is_relation(change->message);
    nw_status status = NW_OK;

    if (nw_place_before(place, backlog->next)) {
        return relation && !is_said(backlog, change->message)
                   ? relation_note(backlog, change->message, false, err)
                   : NW_OK;
    }
    if (backlog->relation_added && is_said(backlog, change->message)) {
        return NW_OK;
    }
    status = change_prepare(backlog, change, err);
    if (status == NW_OK) {
        status = message_append(
            backlog, place.seq, change->message,
            (struct nw_spool_record){.kind = NW_SPOOL_MESSAGE, .lsn = change->lsn}, err);
    }
    if (status == NW_OK && relation) {
        return relation_note(backlog, change->message, true, err);
    }
    /* A Relation message has no place of its own, nor has what is outside of transactions. */
    if (status == NW_OK && change->begin != NULL) {
        backlog->next = (struct nw_place){place.commit_lsn, place.seq + 1};
        backlog->rows++;
    }
    return status;
}

nw_status nw_backlog_commit(struct nw_backlog *backlog, const struct nw_pgoutput_commit *commit,
                            struct nw_error *err)
{
    uint8_t body[COMMIT_BYTES];
    struct nw_writer writer = {.bytes = body};
    const struct nw_spool_record record = {.kind = NW_SPOOL_MESSAGE,
                                           .lsn = commit->commit_lsn,
                                           .position_lsn = commit->end_lsn,
                                           .body = {body, sizeof body}};
    nw_status status = NW_OK;

    if (backlog->open_lsn == 0 || backlog->open_lsn != commit->commit_lsn) {
        return NW_OK;
    }
    nw_writer_put(&writer, "C", 1);
    nw_writer_put(&writer, &commit->commit_lsn, 8);
    nw_writer_put(&writer, &commit->end_lsn, 8);
    nw_writer_put(&writer, &commit->commit_ts, 8);
    status = record_append(backlog, &record, err);
    if (status == NW_OK) {
        backlog->open_lsn = 0;
        backlog->next = (struct nw_place){.commit_lsn = commit->end_lsn};
    }
    return status;
}

nw_status nw_backlog_step(struct nw_backlog *backlog, int64_t now_ns, uint32_t *work,
                          struct nw_error *err)
{
    struct nw_error why = {0};
    nw_status status = nw_spool_step(backlog->spool, now_ns, work, &why);

    return status == NW_OK ? NW_OK
                           : nw_fail(err, NW_REJECT, "NW2514 its changes cannot be kept: %.900s",
                                     nw_code_rest(why.text));
}

int64_t nw_backlog_deadline(const struct nw_backlog *backlog, int64_t now_ns)
{
    return nw_spool_deadline(backlog->spool, now_ns);
}

uint64_t nw_backlog_limit_lsn(const struct nw_backlog *backlog)
{
    struct nw_spool_status spool;

    nw_spool_status(backlog->spool, &spool);
    return spool.synced_lsn == spool.end_lsn ? UINT64_MAX : spool.synced_lsn;
}

uint64_t nw_backlog_synced_lsn(const struct nw_backlog *backlog)
{
    return nw_spool_synced_lsn(backlog->spool);
}

uint64_t nw_backlog_end_lsn(const struct nw_backlog *backlog)
{
    struct nw_spool_status spool;

    nw_spool_status(backlog->spool, &spool);
    return spool.end_lsn;
}

uint64_t nw_backlog_bytes(const struct nw_backlog *backlog)
{
    struct nw_spool_status spool;

    nw_spool_status(backlog->spool, &spool);
    return spool.bytes;
}

/* ---- reading ---- */

static nw_status damaged(const struct nw_backlog *backlog, struct nw_error *err)
{
    return nw_fail(err, NW_CORRUPT, "NW2515 a table's kept changes in %s are damaged",
                   backlog->folder);
}

static void begin_parse(struct nw_cursor *cursor, struct nw_backlog_record *record)
{
    record->begin.commit_lsn = nw_cursor_u64le(cursor);
    record->begin.commit_ts = (int64_t)nw_cursor_u64le(cursor);
    record->begin.xid = nw_cursor_u32le(cursor);
    record->origin = nw_cursor_bytes(cursor, cursor->left);
    cursor->failed = cursor->failed || record->origin.size >= NW_BACKLOG_ORIGIN_SIZE;
}

static void commit_parse(struct nw_cursor *cursor, struct nw_backlog_record *record)
{
    record->commit.commit_lsn = nw_cursor_u64le(cursor);
    record->commit.end_lsn = nw_cursor_u64le(cursor);
    record->commit.commit_ts = (int64_t)nw_cursor_u64le(cursor);
}

static nw_status record_parse(const struct nw_backlog *backlog, const struct nw_spool_record *from,
                              struct nw_backlog_record *record, struct nw_error *err)
{
    struct nw_cursor cursor = nw_cursor_of(from->body.at, from->body.size);

    memset(record, 0, sizeof *record);
    record->lsn = from->lsn;
    record->kind = from->kind == NW_SPOOL_RESTART ? 'R' : (char)nw_cursor_u8(&cursor);
    switch (record->kind) {
    case 'R':
        break;
    case 'F':
        record->begin.commit_lsn = nw_cursor_u64le(&cursor);
        record->seq = nw_cursor_u64le(&cursor);
        break;
    case 'B':
        begin_parse(&cursor, record);
        break;
    case 'C':
        commit_parse(&cursor, record);
        break;
    case 'M':
        record->seq = nw_cursor_u64le(&cursor);
        record->message = nw_cursor_bytes(&cursor, cursor.left);
        break;
    default:
        return damaged(backlog, err);
    }
    return nw_cursor_done(&cursor) ? NW_OK : damaged(backlog, err);
}

nw_status nw_backlog_next(struct nw_backlog *backlog, struct nw_backlog_record *record, bool *end,
                          struct nw_error *err)
{
    struct nw_spool_record from;
    nw_status status = nw_spool_next(backlog->spool, &from, end, err);

    return status != NW_OK || *end ? status : record_parse(backlog, &from, record, err);
}

/* ---- begin and open ---- */

/* Waits until everything is on disk; there are no jobs yet. */
static nw_status sync_wait(struct nw_backlog *backlog, struct nw_env *env, struct nw_error *err)
{
    nw_status status = NW_OK;

    while (status == NW_OK && nw_backlog_limit_lsn(backlog) != UINT64_MAX) {
        uint32_t work = 0;

        nw_spool_flush(backlog->spool);
        status = nw_backlog_step(backlog, env->ops->now_ns(env), &work, err);
    }
    return status;
}

static void text_put(struct nw_writer *writer, const char *text)
{
    nw_writer_put(writer, text, (uint32_t)strlen(text) + 1);
}

static void number_put(struct nw_writer *writer, uint32_t number, uint32_t size)
{
    uint32_t big = htobe32(number);

    nw_writer_put(writer, (const uint8_t *)&big + 4 - size, size);
}

/* The Relation message that says what a version is. */
static nw_status relation_make(struct nw_backlog *backlog, const struct nw_table *table,
                               struct nw_error *err)
{
    size_t size = 8 + strlen(table->schema_name) + 1 + strlen(table->name) + 1;
    struct nw_writer writer = {0};
    nw_status status = NW_OK;

    for (uint16_t i = 0; i < table->columns_count; i++) {
        size += 9 + strlen(table->columns[i].name) + 1;
    }
    status = room_make(&backlog->relation, &backlog->relation_capacity, size, err);
    if (status != NW_OK) {
        return status;
    }
    writer.bytes = backlog->relation;
    nw_writer_put(&writer, "R", 1);
    number_put(&writer, table->relation_oid, 4);
    text_put(&writer, table->schema_name);
    text_put(&writer, table->name);
    number_put(&writer, (uint8_t)table->replica_identity, 1);
    number_put(&writer, table->columns_count, 2);
    for (uint16_t i = 0; i < table->columns_count; i++) {
        const struct nw_column_schema *column = &table->columns[i];

        number_put(&writer, column->identity ? 1 : 0, 1);
        text_put(&writer, column->name);
        number_put(&writer, column->type_oid, 4);
        number_put(&writer, (uint32_t)column->typmod, 4);
    }
    backlog->relation_size = writer.size;
    return NW_OK;
}

/* What it begins with: from where, and what the table was there, if that was seen. */
static nw_status from_append(struct nw_backlog *backlog, const struct nw_table *table, bool seen,
                             struct nw_error *err)
{
    uint8_t body[FROM_BYTES];
    struct nw_writer writer = {.bytes = body};
    const struct nw_spool_record from = {.kind = NW_SPOOL_MESSAGE,
                                         .position_lsn = seen ? 0 : backlog->from.commit_lsn,
                                         .body = {body, sizeof body}};
    const struct nw_spool_record relation = {.kind = NW_SPOOL_MESSAGE,
                                             .position_lsn = backlog->from.commit_lsn};
    nw_status status = NW_OK;

    nw_writer_put(&writer, "F", 1);
    nw_writer_put(&writer, &backlog->from.commit_lsn, 8);
    nw_writer_put(&writer, &backlog->from.seq, 8);
    status = record_append(backlog, &from, err);
    if (status == NW_OK) {
        status = relation_make(backlog, table, err);
    }
    backlog->relation_added = seen;
    return status == NW_OK && seen
               ? message_append(backlog, 0,
                                (struct nw_bytes){backlog->relation, backlog->relation_size},
                                relation, err)
               : status;
}

nw_status nw_backlog_begin(const struct nw_backlog_options *options, const struct nw_table *table,
                           bool seen, struct nw_place from, struct nw_backlog **backlog,
                           struct nw_error *err)
{
    struct nw_backlog *made = NULL;
    struct nw_spool_options spool;
    nw_status status = backlog_make(options, table->relation_oid, &made, err);

    NW_ASSERT(from.commit_lsn > 0); /* of a stream that has begun */
    if (status != NW_OK) {
        return status;
    }
    made->from = made->next = from;
    made->is_new = true;
    spool = spool_options(options, made->folder);
    status = nw_spool_discard(&spool, err);
    if (status == NW_OK) { /* one less, so that the first record reaches a position */
        status = nw_spool_begin(&spool, from.commit_lsn - 1, &made->spool, err);
    }
    if (status == NW_OK) {
        status = from_append(made, table, seen, err);
    }
    if (status == NW_OK) {
        status = sync_wait(made, options->env, err);
    }
    if (status != NW_OK) {
        nw_backlog_destroy(made);
        return status;
    }
    *backlog = made;
    return NW_OK;
}

/* Where it begins, which its first record says. */
static nw_status from_read(struct nw_backlog *backlog, struct nw_error *err)
{
    struct nw_backlog_record record = {0};
    bool end = false;
    nw_status status = NW_AGAIN;

    while (status == NW_AGAIN) {
        status = nw_backlog_next(backlog, &record, &end, err);
    }
    if (status == NW_OK && (end || record.kind != 'F')) {
        status = damaged(backlog, err);
    }
    backlog->from = (struct nw_place){record.begin.commit_lsn, record.seq};
    return status;
}

nw_status nw_backlog_open(const struct nw_backlog_options *options, uint32_t relation_oid,
                          uint64_t reached_lsn, struct nw_backlog **backlog, struct nw_error *err)
{
    const struct nw_spool_record restart = {.kind = NW_SPOOL_RESTART};
    struct nw_backlog *made = NULL;
    struct nw_spool_options spool;
    nw_status status = backlog_make(options, relation_oid, &made, err);

    *backlog = NULL;
    if (status != NW_OK) {
        return status;
    }
    spool = spool_options(options, made->folder);
    status = nw_spool_open(&spool, reached_lsn, &made->spool, err);
    if (status == NW_OK && made->spool != NULL) {
        status = from_read(made, err);
    }
    if (status == NW_OK && made->spool != NULL) {
        status = record_append(made, &restart, err);
    }
    if (status != NW_OK || made->spool == NULL) {
        nw_backlog_destroy(made);
        return status;
    }
    made->next = (struct nw_place){.commit_lsn = nw_backlog_end_lsn(made)};
    made->next = nw_place_before(made->next, made->from) ? made->from : made->next;
    made->retyped = true; /* it may have been */
    *backlog = made;
    return NW_OK;
}
