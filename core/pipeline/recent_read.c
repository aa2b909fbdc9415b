/* SPDX-License-Identifier: Apache-2.0 */
/* See recent.h: the reader. Files may be damaged anywhere: they were never synced. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/cursor.h"
#include "base/log.h"
#include "pg/lsn.h"
#include "pipeline/recent_private.h"

#define EXTRAS_SAID     10u
#define FILE_BYTES_READ (16u << 20) /* more than a file has */

struct batch {
    uint64_t system_identifier;
    uint32_t timeline;
    uint64_t number, from_lsn, to_lsn;
    struct nw_bytes entries;
};

struct file {
    uint8_t *bytes;
    size_t size;
};

/* What is there of a file; nothing when there is none. */
static void file_read(const char *folder, unsigned place, struct file *file)
{
    char path[4096 + 16];
    FILE *stream = NULL;

    *file = (struct file){0};
    (void)snprintf(path, sizeof path, "%s/recent.%u", folder, place);
    stream = fopen(path, "re");
    if (stream == NULL) {
        return;
    }
    file->bytes = malloc(FILE_BYTES_READ);
    if (file->bytes != NULL) {
        file->size = fread(file->bytes, 1, FILE_BYTES_READ, stream);
    }
    (void)fclose(stream);
}

/* The next batch. @return false: there is none, or it is damaged. */
static bool batch_take(struct nw_cursor *cursor, struct batch *batch)
{
    const uint8_t *begin = cursor->at;
    uint8_t version = nw_cursor_u8(cursor);
    uint8_t kind = nw_cursor_u8(cursor);
    uint64_t size = nw_cursor_u64le(cursor);
    uint64_t hash = 0;

    batch->system_identifier = nw_cursor_u64le(cursor);
    batch->timeline = nw_cursor_u32le(cursor);
    batch->number = nw_cursor_u64le(cursor);
    batch->from_lsn = nw_cursor_u64le(cursor);
    batch->to_lsn = nw_cursor_u64le(cursor);
    batch->entries = nw_cursor_bytes(cursor, size);
    if (cursor->failed || version != NW_RECENT_VERSION || kind != 'R') {
        return false;
    }
    hash = XXH3_64bits(begin, (size_t)(cursor->at - begin));
    return nw_cursor_u64le(cursor) == hash && !cursor->failed;
}

void nw_recent_end_find(const char *folder, struct nw_recent_end *end)
{
    *end = (struct nw_recent_end){.number = 1};
    for (unsigned place = 0; place < 2; place++) {
        struct file file;
        struct nw_cursor cursor;
        struct batch batch;

        file_read(folder, place, &file);
        cursor = nw_cursor_of(file.bytes, file.size);
        while (cursor.left > 0 && batch_take(&cursor, &batch)) {
            if (batch.number >= end->number) {
                *end = (struct nw_recent_end){place, file.size - cursor.left, batch.number + 1};
            }
        }
        free(file.bytes);
    }
}

/* ---- the list ---- */

static bool room_make(void **items, uint32_t count, uint32_t *capacity, size_t size)
{
    uint32_t wanted = *capacity == 0 ? 256 : *capacity * 2;
    void *grown = NULL;

    if (count < *capacity) {
        return true;
    }
    grown = reallocarray(*items, wanted, size);
    if (grown != NULL) {
        *items = grown;
        *capacity = wanted;
    }
    return grown != NULL;
}

static void name_take(struct nw_cursor *cursor, char name[static NW_TABLE_NAME_SIZE])
{
    struct nw_bytes bytes = nw_cursor_bytes(cursor, nw_cursor_u8(cursor));

    cursor->failed = cursor->failed || bytes.size >= NW_TABLE_NAME_SIZE;
    if (!cursor->failed && bytes.size > 0) {
        memcpy(name, bytes.at, bytes.size);
    }
}

static bool table_add(struct nw_recent_list *list, const struct nw_recent_table *table)
{
    void *tables = list->tables;

    if (!room_make(&tables, list->tables_count, &list->tables_capacity, sizeof *table)) {
        return false;
    }
    list->tables = tables;
    list->tables[list->tables_count++] = *table;
    return true;
}

static bool table_take(struct nw_recent_list *list, struct nw_cursor *cursor)
{
    struct nw_recent_table table = {.relation_oid = nw_cursor_u32le(cursor)};

    table.rows = nw_cursor_u64le(cursor);
    name_take(cursor, table.schema_name);
    name_take(cursor, table.name);
    return !cursor->failed && table_add(list, &table);
}

static bool entry_take(struct nw_recent_list *list, struct nw_cursor *cursor)
{
    struct nw_recent_commit commit = {.commit_lsn = nw_cursor_u64le(cursor)};
    void *commits = list->commits;

    commit.end_lsn = nw_cursor_u64le(cursor);
    commit.commit_ts = (int64_t)nw_cursor_u64le(cursor);
    commit.xid = nw_cursor_u32le(cursor);
    commit.tables_count = nw_cursor_u32le(cursor);
    commit.tables_first = list->tables_count;
    for (uint32_t i = 0; i < nw_recent_tables(&commit); i++) {
        if (!table_take(list, cursor)) {
            return false;
        }
    }
    if (cursor->failed ||
        !room_make(&commits, list->commits_count, &list->commits_capacity, sizeof commit)) {
        return false;
    }
    list->commits = commits;
    list->commits[list->commits_count++] = commit;
    return true;
}

/* A batch that does not go on from what there is begins the list anew. */
static bool batch_add(struct nw_recent_list *list, const struct batch *batch)
{
    struct nw_cursor cursor = nw_cursor_of(batch->entries.at, batch->entries.size);

    if (list->system_identifier != batch->system_identifier || list->timeline != batch->timeline ||
        batch->from_lsn > list->to_lsn || batch->from_lsn < list->from_lsn) {
        list->commits_count = list->tables_count = 0;
        list->system_identifier = batch->system_identifier;
        list->timeline = batch->timeline;
        list->from_lsn = batch->from_lsn;
        list->to_lsn = batch->from_lsn;
    }
    while (cursor.left > 0) {
        if (!entry_take(list, &cursor)) {
            return false;
        }
    }
    list->to_lsn = batch->to_lsn > list->to_lsn ? batch->to_lsn : list->to_lsn;
    return true;
}

static int by_lsn(const void *left, const void *right)
{
    const struct nw_recent_commit *a = left;
    const struct nw_recent_commit *b = right;

    return a->commit_lsn < b->commit_lsn ? -1 : a->commit_lsn > b->commit_lsn;
}

static bool has_table(const struct nw_recent_list *list, const struct nw_recent_commit *commit,
                      uint32_t oid)
{
    for (uint32_t i = 0; i < nw_recent_tables(commit); i++) {
        if (list->tables[commit->tables_first + i].relation_oid == oid) {
            return true;
        }
    }
    return false;
}

/* Tables of the second that the first lacks go to it, behind its own at the list's end. */
static bool twins_merge(struct nw_recent_list *list, struct nw_recent_commit *first,
                        const struct nw_recent_commit *second)
{
    struct nw_recent_commit both = *first;
    uint32_t most =
        first->tables_count > second->tables_count ? first->tables_count : second->tables_count;

    both.tables_first = list->tables_count;
    both.tables_count = 0;
    for (uint32_t i = 0; i < nw_recent_tables(first) + nw_recent_tables(second); i++) {
        uint32_t own = nw_recent_tables(first);
        uint32_t at = i < own ? first->tables_first + i : second->tables_first + i - own;
        struct nw_recent_table table = list->tables[at];

        if (i >= own && has_table(list, first, table.relation_oid)) {
            continue;
        }
        if (!table_add(list, &table)) {
            return false;
        }
        both.tables_count++;
    }
    /* Where one does not have all, both do not. */
    both.tables_count =
        most > NW_COMMITTED_TABLES_MAX && most > both.tables_count ? most : both.tables_count;
    *first = both;
    return true;
}

/*
 * What was dealt again after a restart is there twice; and a transaction once more for the tables
 * whose changes were kept, when those are played.
 */
static bool twins_join(struct nw_recent_list *list)
{
    uint32_t kept = 0;

    if (list->commits_count > 0) {
        qsort(list->commits, list->commits_count, sizeof *list->commits, by_lsn);
    }
    for (uint32_t i = 0; i < list->commits_count; i++) {
        struct nw_recent_commit *commit = &list->commits[i];

        if (kept > 0 && list->commits[kept - 1].commit_lsn == commit->commit_lsn) {
            if (!twins_merge(list, &list->commits[kept - 1], commit)) {
                return false;
            }
        } else {
            list->commits[kept++] = *commit;
        }
    }
    list->commits_count = kept;
    return true;
}

static bool file_add(const struct file *file, struct nw_recent_list *list)
{
    struct nw_cursor cursor = nw_cursor_of(file->bytes, file->size);
    struct batch batch;

    while (cursor.left > 0 && batch_take(&cursor, &batch)) {
        if (!batch_add(list, &batch)) {
            return false;
        }
    }
    return true;
}

nw_status nw_recent_read(const char *folder, struct nw_recent_list *list, struct nw_error *err)
{
    struct nw_recent_end end;
    struct file files[2];
    bool whole = false;

    memset(list, 0, sizeof *list);
    nw_recent_end_find(folder, &end);
    file_read(folder, 0, &files[0]);
    file_read(folder, 1, &files[1]);
    /* The one that is not being written is the older. */
    whole = file_add(&files[1 - end.place], list) && file_add(&files[end.place], list) &&
            twins_join(list);
    free(files[0].bytes);
    free(files[1].bytes);
    if (!whole) {
        nw_recent_fini(list);
        return nw_fail(err, NW_FATAL, "out of memory for the record of transactions");
    }
    return NW_OK;
}

void nw_recent_void(const char *folder)
{
    char path[4096 + 16];

    for (unsigned place = 0; place < 2; place++) {
        (void)snprintf(path, sizeof path, "%s/recent.%u", folder, place);
        (void)unlink(path);
    }
}

void nw_recent_fini(struct nw_recent_list *list)
{
    free(list->commits);
    free(list->tables);
    memset(list, 0, sizeof *list);
}

uint32_t nw_recent_tables(const struct nw_recent_commit *commit)
{
    return commit->tables_count < NW_COMMITTED_TABLES_MAX ? commit->tables_count
                                                          : NW_COMMITTED_TABLES_MAX;
}

bool nw_recent_covers(const struct nw_recent_list *list, uint64_t from_lsn, uint64_t to_lsn)
{
    bool covers = list->to_lsn != 0 && list->from_lsn <= from_lsn && list->to_lsn >= to_lsn;

    for (uint32_t i = 0; i < list->commits_count && covers; i++) {
        covers = list->commits[i].end_lsn <= from_lsn ||
                 list->commits[i].tables_count <= NW_COMMITTED_TABLES_MAX;
    }
    return covers;
}

char *nw_recent_text(const struct nw_recent_list *list, uint32_t index, char *text, size_t size)
{
    const struct nw_recent_commit *commit = &list->commits[index];
    uint32_t tables = nw_recent_tables(commit);
    time_t seconds = (time_t)(commit->commit_ts / 1000000);
    char lsn[NW_LSN_TEXT_SIZE];
    char when[32] = "";
    struct tm utc;
    size_t used = 0;

    if (gmtime_r(&seconds, &utc) != NULL) {
        (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", &utc);
    }
    used = (size_t)snprintf(text, size, "transaction %" PRIu32 " at %s, %s:", commit->xid,
                            nw_lsn_text(lsn, commit->commit_lsn), when);
    for (uint32_t i = 0; i < tables && used < size; i++) {
        const struct nw_recent_table *table = &list->tables[commit->tables_first + i];

        used += (size_t)snprintf(text + used, size - used, "%s %s.%s (%" PRIu64 " row%s)",
                                 i == 0 ? "" : ",", table->schema_name, table->name, table->rows,
                                 table->rows == 1 ? "" : "s");
    }
    return text;
}

uint32_t nw_recent_extra(const struct nw_recent_list *list, uint32_t index, uint64_t fork_lsn)
{
    while (index < list->commits_count && list->commits[index].end_lsn <= fork_lsn) {
        index++;
    }
    return index;
}

/* An id of 32 bits that was given out at most half their number ago, or is of the future. One that
 * is under way may be past the snapshot's end; it has a lock. */
static const char verify_sql[] =
    "SELECT CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.locktype = 'transactionid' "
    "AND l.granted AND l.transactionid = $1::text::xid) THEN 'in progress' WHEN distance = 0 OR "
    "distance > 2147483647 THEN 'future' WHEN distance < next "
    "THEN pg_catalog.pg_xact_status((next - distance)::text::xid8) END, "
    "CASE WHEN pg_catalog.current_setting('track_commit_timestamp') = 'on' AND distance BETWEEN 1 "
    "AND 2147483647 THEN (EXTRACT(epoch FROM "
    "pg_catalog.pg_xact_commit_timestamp($1::text::xid)) * 1000000)::bigint END "
    "FROM (SELECT next, (next - $1::bigint) & 4294967295 AS distance FROM (SELECT "
    "pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint AS next) n) d";

nw_status nw_recent_verify(struct nw_session *session, const struct nw_recent_list *list,
                           uint64_t lsn, uint32_t *missing, struct nw_error *err)
{
    uint32_t at = nw_recent_extra(list, 0, lsn);
    struct nw_rows *rows = NULL;
    char xid[16];
    const char *parameter = xid;
    nw_status status = NW_OK;

    *missing = list->commits_count;
    if (at == 0) {
        return NW_OK;
    }
    at--;
    (void)snprintf(xid, sizeof xid, "%" PRIu32, list->commits[at].xid);
    status = nw_session_query(session, verify_sql, &parameter, 1, NULL, &rows, err);
    if (status == NW_OK) {
        const char *is = nw_rows_text(rows, 0, 0);
        bool other = nw_rows_text(rows, 0, 1) != NULL &&
                     nw_rows_u64(rows, 0, 1) != (uint64_t)list->commits[at].commit_ts;

        /* One that waits for a synchronous standby was sent, and is "in progress" here. */
        bool lacks = is != NULL && strcmp(is, "committed") != 0 && strcmp(is, "in progress") != 0;

        *missing = lacks || other ? at : *missing;
    }
    nw_rows_free(rows);
    if (status == NW_FATAL) {
        nw_log(NW_LOG_DEBUG, "the server does not say what became of a transaction: %s", err->text);
        return NW_OK; /* some clouds have no such functions: nothing speaks against it */
    }
    return status;
}

void nw_recent_extras_log(const char *folder, const struct nw_identity *followed, uint64_t fork_lsn)
{
    struct nw_recent_list list;
    struct nw_error ignored = {0};
    char text[600];
    uint32_t said = 0;
    uint32_t at = 0;

    if (nw_recent_read(folder, &list, &ignored) != NW_OK) {
        return;
    }
    if (list.system_identifier == followed->system_identifier &&
        list.timeline == followed->timeline) {
        at = nw_recent_extra(&list, 0, fork_lsn);
        for (; at < list.commits_count && said < EXTRAS_SAID; said++) {
            nw_log(NW_LOG_ERROR, "NW2341 the server lacks %s",
                   nw_recent_text(&list, at, text, sizeof text));
            at = nw_recent_extra(&list, at + 1, fork_lsn);
        }
        if (at < list.commits_count) {
            nw_log(NW_LOG_ERROR, "NW2341 and %" PRIu32 " more: narwal adopt --dry-run lists them",
                   list.commits_count - at);
        }
    }
    nw_recent_fini(&list);
}
