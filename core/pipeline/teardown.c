/* SPDX-License-Identifier: Apache-2.0 */
/* See teardown.h. */
#include "pipeline/teardown.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "pg/catalog.h"
#include "pg/ddl_trigger.h"
#include "pipeline/tail.h"

struct look {
    struct nw_session *session;
    const struct nw_server_options *options;
    bool all;
    struct nw_arena *arena;
    struct nw_leftovers *found;
    bool in_recovery, may_replicate;
    char user[64], database[64];
};

NW_PRINTF(2, 3)
static const char *text(struct nw_arena *arena, const char *format, ...)
{
    char *made = NULL;
    char *kept = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&made, format, args) < 0) {
        made = NULL;
    }
    va_end(args);
    kept = nw_arena_text(arena, made);
    free(made);
    return kept == NULL ? "" : kept;
}

static struct nw_leftover *add(struct look *look, enum nw_leftover_kind kind)
{
    struct nw_leftovers *found = look->found;
    size_t at = found->count < NW_LEFTOVERS_MAX ? found->count++ : NW_LEFTOVERS_MAX - 1;

    found->items[at] = (struct nw_leftover){.kind = kind, .note = ""};
    return &found->items[at];
}

static nw_status who(struct look *look, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = nw_session_query(
        look->session,
        "SELECT current_user, current_database(), pg_is_in_recovery(), rolsuper OR rolreplication"
        " FROM pg_roles WHERE rolname = current_user",
        NULL, 0, NULL, &rows, err);

    if (status == NW_OK && nw_rows_count(rows) == 1) {
        (void)snprintf(look->user, sizeof look->user, "%s", nw_rows_text(rows, 0, 0));
        (void)snprintf(look->database, sizeof look->database, "%s", nw_rows_text(rows, 0, 1));
        look->in_recovery = nw_rows_bool(rows, 0, 2);
        look->may_replicate = nw_rows_bool(rows, 0, 3);
    }
    nw_rows_free(rows);
    return status;
}

/* ---- the slot ---- */

/* "process 4711 (narwal, from 10.0.0.7)" */
static nw_status reader(struct look *look, int pid, const char **found, struct nw_error *err)
{
    char number[16];
    struct nw_rows *rows = NULL;
    nw_status status = NW_OK;

    (void)snprintf(number, sizeof number, "%d", pid);
    status = nw_session_query(look->session,
                              "SELECT nullif(application_name, ''), host(client_addr) FROM "
                              "pg_stat_activity WHERE pid = $1",
                              (const char *const[]){number}, 1, NULL, &rows, err);
    if (status == NW_OK) {
        const char *name = nw_rows_count(rows) == 1 ? nw_rows_text(rows, 0, 0) : NULL;
        const char *address = nw_rows_count(rows) == 1 ? nw_rows_text(rows, 0, 1) : NULL;

        *found = text(look->arena, "process %d (%s, from %s)", pid, name == NULL ? "unknown" : name,
                      address == NULL ? "the server's own host" : address);
    }
    nw_rows_free(rows);
    return status;
}

/* Why a slot of that name is not ours, which is in order; NULL: it is ours. */
static const char *slot_foreign(const struct look *look, const struct nw_catalog_slot *slot)
{
    if (!slot->logical || strcmp(slot->plugin, "pgoutput") != 0) {
        return "it is not one of pgoutput, so not narwal's";
    }
    if (strcmp(slot->database, look->database) != 0) {
        return text(look->arena, "it belongs to database %s", slot->database);
    }
    if (!look->options->create_slot && !look->all) {
        return "a DBA made it (source.slot.create is false), and it holds WAL until it is dropped; "
               "--all removes it too";
    }
    return NULL;
}

static nw_status slot_stays(struct look *look, const struct nw_catalog_slot *slot,
                            struct nw_leftover *leftover, struct nw_error *err)
{
    const char *process = "";
    nw_status status = NW_OK;

    leftover->stays = slot_foreign(look, slot);
    if (leftover->stays != NULL) {
        return NW_OK;
    }
    if (slot->active) { /* and with it the publications */
        status = reader(look, slot->active_pid, &process, err);
        return status == NW_OK
                   ? nw_fail(err, NW_FATAL,
                             "NW1211 slot %s is in use by %s: stop that first. Nothing was "
                             "removed",
                             look->options->slot_name, process)
                   : status;
    }
    leftover->amiss = true;
    if (slot->synced && look->in_recovery) {
        leftover->stays = "this standby keeps it in step with the primary: drop it there";
    } else if (!look->may_replicate) {
        leftover->stays =
            text(look->arena, "role %s may not drop it: it has no REPLICATION", look->user);
    } else {
        leftover->amiss = false;
    }
    return status;
}

static nw_status slot_look(struct look *look, struct nw_error *err)
{
    const char *name = look->options->slot_name;
    struct nw_catalog_slot slot = {0};
    struct nw_leftover *leftover = NULL;
    struct nw_rows *rows = NULL;
    char size[NW_NUMBER_TEXT_SIZE];
    char quoted[160] = "";
    nw_status status = nw_catalog_slot(look->session, name, &slot, err);

    if (status != NW_OK || !slot.exists || slot.temporary) {
        return status;
    }
    status = nw_session_quote_literal(look->session, name, quoted, sizeof quoted, err);
    if (status == NW_OK) {
        status = nw_session_query(
            look->session,
            "SELECT greatest(0, CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE "
            "pg_current_wal_lsn() END - restart_lsn) FROM pg_replication_slots WHERE slot_name = "
            "$1",
            (const char *const[]){name}, 1, NULL, &rows, err);
    }
    if (status == NW_OK) {
        uint64_t held = nw_rows_count(rows) == 1 ? nw_rows_u64(rows, 0, 0) : 0;

        leftover = add(look, NW_LEFTOVER_SLOT);
        leftover->text = text(look->arena, "slot %s", name);
        leftover->note =
            text(look->arena, ", which holds %s of WAL", nw_size_text(size, (double)held));
        leftover->sql = text(look->arena,
                             "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                             "WHERE slot_name = %s",
                             quoted);
        status = slot_stays(look, &slot, leftover, err);
    }
    nw_rows_free(rows);
    return status;
}

/* ---- publications ---- */

/* @param rows  name, whether this role may drop it, whether it is ours, the owner */
static const char *publication_stays(const struct look *look, const struct nw_rows *rows, int row,
                                     bool *amiss)
{
    const char *owner = nw_rows_text(rows, row, 3);

    if (!look->options->publication.create && !look->all) {
        return "a DBA made it (source.publication.create is false); --all removes it too";
    }
    if (!nw_rows_bool(rows, row, 2) && !look->all) {
        return text(look->arena,
                    "it belongs to role %s, and nothing says that narwal made it; --all removes it "
                    "too",
                    owner);
    }
    *amiss = true;
    if (look->in_recovery) {
        return "this is a standby: drop it on the primary";
    }
    if (!nw_rows_bool(rows, row, 1)) {
        return text(look->arena, "only role %s and superusers may drop it", owner);
    }
    *amiss = false;
    return NULL;
}

static nw_status publication_add(struct look *look, const char *name, const char *what,
                                 struct nw_leftover **leftover, struct nw_error *err)
{
    char quoted[160] = "";
    nw_status status = nw_session_quote_name(look->session, name, quoted, sizeof quoted, err);

    *leftover = add(look, NW_LEFTOVER_PUBLICATION);
    (*leftover)->text = text(look->arena, "publication %s", name);
    (*leftover)->note = what;
    (*leftover)->sql = text(look->arena, "DROP PUBLICATION IF EXISTS %s", quoted);
    return status;
}

static nw_status publications_look(struct look *look, struct nw_error *err)
{
    const char *name = look->options->publication.name;
    struct nw_rows *rows = NULL;
    nw_status status = nw_session_query(
        look->session,
        "SELECT pubname, pg_has_role(pubowner, 'USAGE'),"
        " pubowner = (SELECT oid FROM pg_roles WHERE rolname = current_user) OR"
        "  coalesce(obj_description(oid, 'pg_publication') LIKE '" NW_PUBLICATION_COMMENT
        "%', false), pg_get_userbyid(pubowner)"
        " FROM pg_publication WHERE pubname IN ($1::text, $1::text || '_insert_only') ORDER BY 1",
        (const char *const[]){name}, 1, NULL, &rows, err);

    for (int i = 0; i < nw_rows_count(rows) && status == NW_OK; i++) {
        struct nw_leftover *leftover = NULL;

        status = publication_add(look, nw_rows_text(rows, i, 0), "", &leftover, err);
        leftover->stays = publication_stays(look, rows, i, &leftover->amiss);
    }
    nw_rows_free(rows);
    return status;
}

/* Of tails that were killed, as far as this role may drop them. */
static nw_status tails_look(struct look *look, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = nw_tail_orphans(look->session, &rows, err);

    for (int i = 0; i < nw_rows_count(rows) && status == NW_OK; i++) {
        struct nw_leftover *leftover = NULL;

        if (nw_rows_bool(rows, i, 1)) {
            status = publication_add(look, nw_rows_text(rows, i, 0), ", of a tail that was killed",
                                     &leftover, err);
        }
    }
    nw_rows_free(rows);
    return status;
}

/* ---- the DDL trigger ---- */

static const char *trigger_sql(struct nw_arena *arena)
{
    const char *sql = "";

    for (size_t i = 0; NW_DDL_TRIGGER_REMOVE[i] != NULL; i++) {
        sql = text(arena, "%s%s%s", sql, i == 0 ? "" : ";\n", NW_DDL_TRIGGER_REMOVE[i]);
    }
    return sql;
}

/* The function is narwal's by its name; each narwal of this database uses it. */
static nw_status trigger_look(struct look *look, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    struct nw_leftover *leftover = NULL;
    nw_status status = nw_session_query(
        look->session,
        "SELECT coalesce((SELECT bool_and(pg_has_role(evtowner, 'USAGE')) FROM pg_event_trigger"
        "   WHERE evtfoid = p.oid), true) AND pg_has_role(p.proowner, 'USAGE'),"
        " pg_get_userbyid(p.proowner),"
        " (SELECT string_agg(slot_name, ', ') FROM pg_replication_slots WHERE slot_name <> $1 AND"
        "   slot_name LIKE 'narwal\\_%' AND NOT temporary AND database = current_database())"
        " FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        " WHERE n.nspname = 'narwal' AND p.proname = 'note_ddl'",
        (const char *const[]){look->options->slot_name}, 1, NULL, &rows, err);

    if (status == NW_OK && nw_rows_count(rows) == 1) {
        const char *others = nw_rows_text(rows, 0, 2);

        leftover = add(look, NW_LEFTOVER_TRIGGER);
        leftover->text = "the DDL trigger, schema narwal";
        leftover->sql = trigger_sql(look->arena);
        if (others != NULL) {
            leftover->stays = text(look->arena, "%s of this database may need it", others);
        } else if (look->in_recovery || !nw_rows_bool(rows, 0, 0)) {
            leftover->amiss = true;
            leftover->stays = look->in_recovery
                                  ? "this is a standby: remove it on the primary"
                                  : text(look->arena, "only role %s and superusers may drop it",
                                         nw_rows_text(rows, 0, 1));
        }
    }
    nw_rows_free(rows);
    return status;
}

/* ---- all ---- */

nw_status nw_teardown_look(struct nw_session *session, const struct nw_server_options *options,
                           bool all, struct nw_arena *arena, struct nw_leftovers *leftovers,
                           struct nw_error *err)
{
    struct look look = {
        .session = session, .options = options, .all = all, .arena = arena, .found = leftovers};
    nw_status (*const looks[])(struct look *, struct nw_error *) = {
        who, slot_look, publications_look, tails_look, trigger_look};
    nw_status status = NW_OK;

    *leftovers = (struct nw_leftovers){0};
    for (size_t i = 0; i < sizeof looks / sizeof looks[0] && status == NW_OK; i++) {
        status = looks[i](&look, err);
    }
    return status;
}

static nw_status trigger_remove(struct nw_session *session, struct nw_error *err)
{
    nw_status status = nw_session_query(session, "BEGIN", NULL, 0, NULL, NULL, err);
    struct nw_error ignored = {0};

    for (size_t i = 0; NW_DDL_TRIGGER_REMOVE[i] != NULL && status == NW_OK; i++) {
        status = nw_session_query(session, NW_DDL_TRIGGER_REMOVE[i], NULL, 0, NULL, NULL, err);
    }
    if (status == NW_OK) {
        return nw_session_query(session, "COMMIT", NULL, 0, NULL, NULL, err);
    }
    (void)!nw_session_query(session, "ROLLBACK", NULL, 0, NULL, NULL, &ignored);
    return status;
}

nw_status nw_teardown_remove(struct nw_session *session, const struct nw_leftover *leftover,
                             struct nw_error *err)
{
    return leftover->kind == NW_LEFTOVER_TRIGGER
               ? trigger_remove(session, err)
               : nw_session_query(session, leftover->sql, NULL, 0, NULL, NULL, err);
}
