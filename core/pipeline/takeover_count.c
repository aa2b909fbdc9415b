/* SPDX-License-Identifier: Apache-2.0 */
/* See takeover.h: what of the transaction behind Debezium's offset was sent, from its messages, and
 * what is recorded of it. */
#include "pipeline/takeover.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "pg/lsn.h"
#include "pipeline/followed.h"
#include "pipeline/seen.h"
#include "pipeline/tables.h"
#include "source/pgoutput.h"
#include "source/schemas.h"

/* Whether a change is several records of Debezium's: a delete, or an update with a former key. */
static bool is_several(struct nw_bytes message)
{
    struct nw_cursor cursor = nw_cursor_of(message.at, message.size);
    char op = (char)nw_cursor_u8(&cursor);
    char tuple = '\0';

    (void)nw_cursor_u32be(&cursor);
    tuple = (char)nw_cursor_u8(&cursor);
    return op == 'D' || (op == 'U' && (tuple == 'K' || tuple == 'O'));
}

/*
 * How many of Debezium's changes a message is: of a truncate one for each table that it follows.
 * @param unsure  set when one of those is not there any more: it may have been followed
 */
static uint64_t weight(const struct nw_takeover_count *count, struct nw_bytes message, bool *unsure)
{
    struct nw_pgoutput_truncate truncate = {0};
    struct nw_error ignored = {0};
    struct nw_cursor relations;
    uint64_t followed = 0;

    if (message.at[0] != 'T' || nw_pgoutput_truncate_parse(message, &truncate, &ignored) != NW_OK) {
        return 1;
    }
    relations = nw_cursor_of(truncate.relations.at, truncate.relations.size);
    for (uint32_t i = 0; i < truncate.relations_count; i++) {
        uint32_t oid = nw_cursor_u32be(&relations);
        const struct nw_table *table =
            count->schemas == NULL ? NULL : nw_schemas_find(count->schemas, oid);

        *unsure = *unsure || (count->schemas != NULL && table == NULL);
        followed += count->schemas == NULL ||
                    (table != NULL &&
                     nw_table_filter_match(count->filter, table->schema_name, table->name));
    }
    return followed;
}

static void change_count(struct nw_takeover_count *count, uint64_t lsn, struct nw_bytes message)
{
    const struct nw_takeover_offset *offset = count->offset;
    bool several = is_several(message);
    bool is_message = message.at[0] == 'M';
    bool sent = false;

    count->changes++;
    if (lsn < offset->lsn || (is_message && lsn == offset->lsn)) {
        sent = true;
        count->before++;
    } else if (lsn == offset->lsn && offset->kind == NW_TAKEOVER_CHANGE) {
        uint64_t others = count->here;

        count->here += weight(count, message, &several);
        count->here_twice = several;
        sent = offset->events >= count->here;
        count->partly = !sent && offset->events > others;
    }
    if (sent) {
        count->sent = count->changes;
        count->twice = several;
    }
}

/* An older Debezium does not say how many changes with the LSN it sent: if there is one, that. */
static void events_guess(struct nw_takeover_count *count)
{
    if (count->offset->kind == NW_TAKEOVER_CHANGE && count->offset->events == 0 &&
        count->here == 1) {
        count->sent = count->before + 1;
        count->twice = count->here_twice;
    }
}

nw_status nw_takeover_count(struct nw_takeover_count *count, uint64_t lsn, struct nw_bytes message,
                            struct nw_error *err)
{
    struct nw_pgoutput_begin begin = {0};
    struct nw_pgoutput_commit commit = {0};
    struct nw_pgoutput_message logical = {0};
    nw_status status = NW_OK;

    if (count->done || message.size == 0) {
        return NW_OK;
    }
    switch ((char)message.at[0]) {
    case 'B':
        status = nw_pgoutput_begin_parse(message, &begin, err);
        count->inside = true;
        count->xid = begin.xid;
        break;
    case 'I':
    case 'U':
    case 'D':
    case 'T':
        change_count(count, lsn, message);
        break;
    case 'M':
        status = nw_pgoutput_message_parse(message, &logical, err);
        if (status == NW_OK && logical.transactional) {
            change_count(count, lsn, message);
        }
        break;
    case 'C':
        status = nw_pgoutput_commit_parse(message, &commit, err);
        count->commit_lsn = commit.commit_lsn;
        count->end_lsn = commit.end_lsn;
        count->inside = false;
        count->done = status == NW_OK && count->changes > 0; /* 14 sends empty ones, too */
        events_guess(count);
        break;
    default:
        break;
    }
    return status;
}

/* ---- the record ---- */

static const char SCHEMA[] =
    "CREATE TABLE IF NOT EXISTS taken (id INTEGER PRIMARY KEY CHECK (id = 1),"
    " state INTEGER NOT NULL, system_identifier TEXT NOT NULL, lsn TEXT NOT NULL,"
    " commit_lsn TEXT NOT NULL, seq TEXT NOT NULL, offset TEXT NOT NULL, stream TEXT NOT NULL)"
    " STRICT";

static nw_status db_fail(struct nw_state *state, struct nw_error *err)
{
    return nw_fail(err, NW_FATAL, "NW2002 the take-over in narwal's state: %s",
                   sqlite3_errmsg(nw_state_database(state)));
}

static const char *text_at(sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);

    return text == NULL ? "" : (const char *)text;
}

nw_status nw_taken_read(struct nw_state *state, struct nw_taken *taken, struct nw_error *err)
{
    sqlite3 *db = nw_state_database(state);
    sqlite3_stmt *statement = NULL;
    int result = SQLITE_ERROR;

    *taken = (struct nw_taken){0};
    if (sqlite3_exec(db, SCHEMA, NULL, NULL, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(
            db, "SELECT state, system_identifier, lsn, commit_lsn, seq, offset, stream FROM taken",
            -1, &statement, NULL) == SQLITE_OK) {
        result = sqlite3_step(statement);
    }
    if (result == SQLITE_ROW) {
        taken->state = (enum nw_taken_state)sqlite3_column_int(statement, 0);
        taken->system_identifier = strtoull(text_at(statement, 1), NULL, 10);
        (void)nw_lsn_parse(text_at(statement, 2), &taken->lsn);
        (void)nw_lsn_parse(text_at(statement, 3), &taken->commit_lsn);
        taken->seq = strtoull(text_at(statement, 4), NULL, 10);
        taken->offset = strdup(text_at(statement, 5));
        (void)snprintf(taken->stream, sizeof taken->stream, "%s", text_at(statement, 6));
    }
    (void)sqlite3_finalize(statement);
    return result == SQLITE_ROW || result == SQLITE_DONE ? NW_OK : db_fail(state, err);
}

nw_status nw_taken_write(struct nw_state *state, const struct nw_taken *taken, struct nw_error *err)
{
    sqlite3 *db = nw_state_database(state);
    sqlite3_stmt *statement = NULL;
    char system[24];
    char seq[24];
    char lsn[NW_LSN_TEXT_SIZE];
    char commit[NW_LSN_TEXT_SIZE];
    const char *texts[] = {
        system, lsn, commit, seq, taken->offset == NULL ? "" : taken->offset, taken->stream};
    bool written = sqlite3_exec(db, SCHEMA, NULL, NULL, NULL) == SQLITE_OK &&
                   sqlite3_prepare_v2(
                       db, "INSERT OR REPLACE INTO taken VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                       -1, &statement, NULL) == SQLITE_OK &&
                   sqlite3_bind_int(statement, 1, (int)taken->state) == SQLITE_OK;

    (void)snprintf(system, sizeof system, "%" PRIu64, taken->system_identifier);
    (void)snprintf(seq, sizeof seq, "%" PRIu64, taken->seq);
    (void)nw_lsn_text(lsn, taken->lsn);
    (void)nw_lsn_text(commit, taken->commit_lsn);
    for (int i = 0; i < 6 && written; i++) {
        written = sqlite3_bind_text(statement, i + 2, texts[i], -1, SQLITE_TRANSIENT) == SQLITE_OK;
    }
    written = written && sqlite3_step(statement) == SQLITE_DONE;
    (void)sqlite3_finalize(statement);
    return written ? NW_OK : db_fail(state, err);
}

void nw_taken_stream(const struct nw_server_options *options, char *text)
{
    (void)snprintf(text, NW_TAKEN_STREAM_SIZE, "messages: %s, origin: %s, publication: %s",
                   options->messages ? "true" : "false", options->origin_none ? "none" : "any",
                   options->publication.name);
}

static nw_status followed_forget(struct nw_state *state, struct nw_error *err)
{
    struct nw_followed *followed = NULL;
    struct nw_followed_table table;
    nw_status status = nw_followed_open(state, &followed, err);

    while (status == NW_OK && nw_followed_at(followed, 0, &table)) {
        status = nw_followed_remove(followed, table.relation_oid, err);
    }
    nw_followed_close(followed);
    return status;
}

static nw_status troubles_forget(struct nw_state *state, struct nw_error *err)
{
    struct nw_tables *tables = NULL;
    struct nw_table_trouble trouble;
    nw_status status = nw_tables_open(state, &tables, err);

    while (status == NW_OK && nw_tables_at(tables, 0, &trouble)) {
        status = nw_tables_remove(tables, trouble.relation_oid, trouble.sink, err);
    }
    nw_tables_close(tables);
    return status;
}

static nw_status seen_forget(struct nw_state *state, struct nw_error *err)
{
    struct nw_seen *seen = NULL;
    nw_status status = nw_seen_open(state, &seen, err);

    if (status == NW_OK) {
        status = nw_seen_forget(seen, 0, err);
    }
    nw_seen_close(seen);
    return status;
}

nw_status nw_taken_forget_tables(struct nw_state *state, struct nw_error *err)
{
    sqlite3 *db = nw_state_database(state);
    nw_status status =
        sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK ? NW_OK : db_fail(state, err);

    if (status != NW_OK) {
        return status;
    }
    status = followed_forget(state, err);
    if (status == NW_OK) {
        status = troubles_forget(state, err);
    }
    if (status == NW_OK) {
        status = seen_forget(state, err);
    }
    if (sqlite3_exec(db, status == NW_OK ? "COMMIT" : "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK &&
        status == NW_OK) {
        status = db_fail(state, err);
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
    return status;
}

void nw_taken_offset_free(struct nw_taken *taken)
{
    free(taken->offset);
    taken->offset = NULL;
}
