/* SPDX-License-Identifier: Apache-2.0 */
/* See tail.h. */
#include "pipeline/tail.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/code.h"
#include "base/log.h"
#include "pg/catalog.h"

#define CATALOG_BYTES_MAX (256u << 20)
#define SLOT_WAITS_MAX    25
#define SLOT_WAIT_NS      20000000
#define NAMES_SHOWN       5u

/* Two names in one statement, of letters, digits and underscores only. */
#define SQL_SIZE 512u

/* What a tail's publications are called; the first group is the name that is locked. */
#define PATTERN "^(narwal_tail_[0-9]{1,10}_[0-9]{1,18})(_insert_only)?$"

nw_status nw_tail_claim(struct nw_session *walsender, struct nw_tail_name *name,
                        struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = nw_session_query(
        walsender,
        "SELECT name, pg_try_advisory_lock(hashtextextended(name, 0)) FROM (SELECT 'narwal_tail_' "
        "|| pg_backend_pid() || '_' || (extract(epoch FROM clock_timestamp()) * 1000000)::bigint "
        "AS name OFFSET 0) AS own",
        NULL, 0, NULL, &rows, err);

    if (status == NW_OK && (nw_rows_count(rows) != 1 || !nw_rows_bool(rows, 0, 1))) {
        status =
            nw_fail(err, NW_RETRY, "NW1512 another session holds the advisory lock of this tail");
    } else if (status == NW_OK) {
        (void)snprintf(name->text, sizeof name->text, "%s", nw_rows_text(rows, 0, 0));
    }
    nw_rows_free(rows);
    return status;
}

/* ---- dropping ---- */

static nw_status drop(struct nw_session *session, const char *name, struct nw_error *err)
{
    char sql[SQL_SIZE];

    (void)snprintf(sql, sizeof sql, "DROP PUBLICATION IF EXISTS %s, %s_insert_only", name, name);
    return nw_session_query(session, sql, NULL, 0, NULL, NULL, err);
}

/* Unless it is locked: by a tail, or by someone who drops it right now. */
static nw_status drop_unlocked(struct nw_session *session, const char *name, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    struct nw_error ignored = {0};
    bool ours = false;
    nw_status status = nw_session_query(session, "BEGIN", NULL, 0, NULL, NULL, err);

    if (status == NW_OK) {
        status =
            nw_session_query(session, "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))",
                             (const char *const[]){name}, 1, NULL, &rows, err);
        ours = status == NW_OK && nw_rows_bool(rows, 0, 0);
        nw_rows_free(rows);
    }
    if (ours) {
        status = drop(session, name, err);
    }
    if (status == NW_OK) {
        status = nw_session_query(session, "COMMIT", NULL, 0, NULL, NULL, err);
    }
    if (status != NW_OK &&
        nw_session_query(session, "ROLLBACK", NULL, 0, NULL, NULL, &ignored) != NW_OK) {
        return NW_RETRY; /* err says why the connection broke */
    }
    if (status == NW_OK && ours) {
        nw_log(NW_LOG_INFO, "publication %s, left by a tail that was killed, is removed", name);
    }
    return status;
}

nw_status nw_tail_orphans(struct nw_session *control, struct nw_rows **rows, struct nw_error *err)
{
    /* The lock is let go of when the statement ends. */
    return nw_session_query(
        control,
        "SELECT pubname, pg_has_role(pubowner, 'USAGE') AND NOT pg_is_in_recovery() FROM "
        "(SELECT pubname, pubowner, substring(pubname FROM '" PATTERN "') AS name FROM "
        "pg_publication WHERE pubname ~ '" PATTERN "' OFFSET 0) AS tails WHERE "
        "pg_try_advisory_xact_lock_shared(hashtextextended(name, 0)) ORDER BY 1 LIMIT 32",
        NULL, 0, NULL, rows, err);
}

nw_status nw_tail_reap(struct nw_session *control, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = nw_session_query(
        control,
        "SELECT DISTINCT substring(pubname FROM '" PATTERN "') FROM pg_publication WHERE pubname ~ "
        "'" PATTERN "' AND pg_has_role(pubowner, 'USAGE') AND NOT pg_is_in_recovery()",
        NULL, 0, NULL, &rows, err);

    for (int i = 0; status == NW_OK && i < nw_rows_count(rows); i++) {
        const char *name = nw_rows_text(rows, i, 0);

        status = drop_unlocked(control, name, err);
        if (status == NW_FATAL) {
            nw_log(NW_LOG_WARN, "NW1513 publication %s, left by a tail that was killed, stays: %s",
                   name, nw_code_rest(err->text));
            status = NW_OK;
        }
    }
    nw_rows_free(rows);
    return status;
}

static void wait_slot_gone(struct nw_session *session, const char *name)
{
    const struct timespec pause = {.tv_nsec = SLOT_WAIT_NS};
    struct nw_error ignored = {0};

    for (int i = 0; i < SLOT_WAITS_MAX; i++) {
        struct nw_rows *rows = NULL;
        bool gone =
            nw_session_query(session, "SELECT FROM pg_replication_slots WHERE slot_name = $1",
                             (const char *const[]){name}, 1, NULL, &rows, &ignored) != NW_OK ||
            nw_rows_count(rows) == 0;

        nw_rows_free(rows);
        if (gone) {
            return;
        }
        (void)nanosleep(&pause, NULL);
    }
}

nw_status nw_tail_clean(struct nw_session *control, const struct nw_pg_options *connection,
                        const struct nw_tail_name *name, struct nw_error *err)
{
    struct nw_session *fresh = NULL;
    nw_status status = NW_RETRY;

    if (name->text[0] == '\0') {
        return NW_OK;
    }
    if (control != NULL) {
        wait_slot_gone(control, name->text);
        status = drop(control, name->text, err);
    }
    if (status == NW_RETRY) {
        status = nw_session_open(connection, false, &fresh, err);
        if (status == NW_OK) {
            wait_slot_gone(fresh, name->text);
            status = drop(fresh, name->text, err);
        }
        nw_session_close(fresh);
    }
    return status;
}

/* ---- making ---- */

/* " (there are: a, b)", for a sentence. */
static void known_publications(struct nw_session *session, char *text, size_t size)
{
    struct nw_rows *rows = NULL;
    struct nw_error ignored = {0};
    nw_status status = nw_session_query(
        session,
        "SELECT string_agg(pubname, ', ' ORDER BY pubname) FROM (SELECT pubname FROM "
        "pg_publication WHERE pubname !~ '" PATTERN "' ORDER BY pubname LIMIT 5) AS known",
        NULL, 0, NULL, &rows, &ignored);
    const char *names = status == NW_OK ? nw_rows_text(rows, 0, 0) : NULL;

    if (names == NULL) {
        (void)snprintf(text, size, "--publication NAME (there is none yet: let a DBA make one)");
    } else {
        (void)snprintf(text, size, "--publication NAME (there is: %s)", names);
    }
    nw_rows_free(rows);
}

/* What the server and the role allow, before anything is tried. */
static nw_status allowed(struct nw_session *session, const char *instead, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = nw_session_query(
        session,
        "SELECT pg_is_in_recovery(), has_database_privilege(current_database(), 'CREATE'), "
        "current_user, current_database(), current_setting('wal_level')",
        NULL, 0, NULL, &rows, err);

    if (status != NW_OK) {
        return status;
    }
    if (strcmp(nw_rows_text(rows, 0, 4), "logical") != 0) {
        status =
            nw_fail(err, NW_FATAL,
                    "NW1206 the server's wal_level is %s, and changes can be followed only with "
                    "wal_level = logical (ALTER SYSTEM SET wal_level = logical, and restart "
                    "the server)",
                    nw_rows_text(rows, 0, 4));
    } else if (nw_rows_bool(rows, 0, 0)) {
        status =
            nw_fail(err, NW_FATAL,
                    "NW1511 this server is a standby, where no publication can be made: use one of "
                    "the primary's with %s",
                    instead);
    } else if (!nw_rows_bool(rows, 0, 1)) {
        status =
            nw_fail(err, NW_FATAL,
                    "NW1511 role %s may not make a publication in database %s (it has no CREATE "
                    "there): use one that exists with %s",
                    nw_rows_text(rows, 0, 2), nw_rows_text(rows, 0, 3), instead);
    }
    nw_rows_free(rows);
    return status;
}

static nw_status all_owned(const struct nw_catalog_candidates *candidates,
                           const struct nw_table_filter *filter, const char *instead,
                           struct nw_error *err)
{
    char names[400] = "";
    size_t used = 0;
    size_t matching = 0;
    size_t foreign = 0;

    for (size_t i = 0; i < candidates->count; i++) {
        const struct nw_catalog_candidate *table = &candidates->tables[i];

        if (table->root_oid != 0 || table->of_extension ||
            !nw_table_filter_match(filter, table->schema_name, table->name)) {
            continue;
        }
        matching++;
        if (table->owned) {
            continue;
        }
        if (foreign++ < NAMES_SHOWN && used < sizeof names) {
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s.%s",
                                     used == 0 ? "" : ", ", table->schema_name, table->name);
        }
    }
    if (matching == 0) {
        return nw_fail(err, NW_FATAL, "NW1510 no table matches: there is nothing to show");
    }
    if (foreign == 0) {
        return NW_OK;
    }
    return nw_fail(
        err, NW_FATAL,
        "NW1511 only a table's owner may publish it, and %zu of %zu tables belong to others "
        "(%s%s): choose among your own with --table, or use %s",
        foreign, matching, names, foreign > NAMES_SHOWN ? ", ..." : "", instead);
}

nw_status nw_tail_publish(struct nw_session *control, const struct nw_tail_name *name,
                          const struct nw_table_filter *filter,
                          struct nw_publications *publications, struct nw_error *err)
{
    struct nw_publication_options options = {
        .name = name->text, .create = true, .first = true, .filter = *filter};
    struct nw_catalog_candidates candidates = {0};
    struct nw_arena arena;
    char instead[600];
    nw_status status = NW_OK;

    nw_arena_init(&arena, CATALOG_BYTES_MAX);
    known_publications(control, instead, sizeof instead);
    status = allowed(control, instead, err);
    if (status == NW_OK) {
        status = nw_catalog_candidates(control, &arena, &candidates, err);
    }
    if (status == NW_OK) {
        status = all_owned(&candidates, filter, instead, err);
    }
    if (status == NW_OK) {
        status = nw_publications_ensure(control, &options, publications, err);
    }
    nw_arena_fini(&arena);
    return status;
}

nw_status nw_tail_find(struct nw_session *control, const char *publication,
                       struct nw_publications *publications, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    char instead[600];
    nw_status status = nw_session_query(
        control,
        "SELECT pubname, pubname = $1 FROM pg_publication WHERE pubname IN ($1, $1 || "
        "'_insert_only') ORDER BY pubname = $1 DESC",
        (const char *const[]){publication}, 1, NULL, &rows, err);

    if (status == NW_OK && (nw_rows_count(rows) == 0 || !nw_rows_bool(rows, 0, 1))) {
        known_publications(control, instead, sizeof instead);
        status = nw_fail(err, NW_FATAL, "NW1216 there is no publication %s: use %s", publication,
                         instead);
    } else if (status == NW_OK) {
        publications->count = nw_rows_count(rows) > 1 ? 2 : 1;
        (void)snprintf(publications->main, sizeof publications->main, "%s",
                       nw_rows_text(rows, 0, 0));
        (void)snprintf(publications->insert_only, sizeof publications->insert_only, "%s",
                       publications->count > 1 ? nw_rows_text(rows, 1, 0) : "");
    }
    nw_rows_free(rows);
    return status;
}
