/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replication commands by server version, and the messages inside CopyData. No state.
 *
 * Commands: PostgreSQL 14 to 18, src/backend/replication/repl_gram.y. Options of pgoutput:
 * src/backend/replication/pgoutput/pgoutput.c.
 */
#include "pg/replication.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "pg/lsn.h"

#define COMMAND_BYTES_MAX 65536 /* a publication name takes up to 260 bytes, quoted twice */
#define EPOCH_2000_US     946684800000000

/* A command that grows; latches when it does not fit. */
struct command {
    char *text;
    size_t size, size_max;
    bool failed;
};

NW_PRINTF(2, 3) static void add(struct command *command, const char *format, ...)
{
    size_t room = command->size_max - command->size;
    va_list args;
    int size;

    va_start(args, format);
    size = command->failed ? -1 : vsnprintf(command->text + command->size, room, format, args);
    va_end(args);
    if (size < 0 || (size_t)size >= room) {
        command->failed = true;
    } else {
        command->size += (size_t)size;
    }
}

static void add_byte(struct command *command, char byte)
{
    if (command->failed || command->size_max - command->size < 2) {
        command->failed = true;
        return;
    }
    command->text[command->size++] = byte;
    command->text[command->size] = '\0';
}

/* "name"; inside a literal its apostrophes are doubled as well. */
static void add_name(struct command *command, const char *name, bool in_literal)
{
    add_byte(command, '"');
    for (; *name != '\0'; name++) {
        if (*name == '"' || (in_literal && *name == '\'')) {
            add_byte(command, *name);
        }
        add_byte(command, *name);
    }
    add_byte(command, '"');
}

/* PostgreSQL's rule (ReplicationSlotValidateName), so that a refusal is not a syntax error. */
static nw_status check_slot_name(const char *name, struct nw_error *err)
{
    size_t size = strlen(name);

    if (size == 0 || size >= NW_SLOT_NAME_SIZE ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != size) {
        return nw_fail(
            err, NW_FATAL,
            "NW1013 \"%.80s\" cannot be the name of a slot: it takes 1 to 63 of a-z, 0-9 and _",
            name);
    }
    return NW_OK;
}

static nw_status finish(const struct command *command, struct nw_error *err)
{
    return command->failed
               ? nw_fail(err, NW_FATAL, "NW1013 a replication command is longer than %zu bytes",
                         command->size_max)
               : NW_OK;
}

static void copy_text(char *out, size_t out_size, const char *text)
{
    (void)snprintf(out, out_size, "%s", text == NULL ? "" : text);
}

nw_status nw_replication_identify(struct nw_session *session, struct nw_system *system,
                                  struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = nw_session_query(session, "IDENTIFY_SYSTEM", NULL, 0, NULL, &rows, err);

    if (status != NW_OK) {
        return status;
    }
    *system = (struct nw_system){0};
    if (nw_rows_count(rows) != 1) {
        status = nw_fail(err, NW_FATAL, "NW1119 %s does not say which system it is",
                         nw_session_host(session));
    } else {
        copy_text(system->system_id, sizeof system->system_id, nw_rows_text(rows, 0, 0));
        system->timeline = (uint32_t)nw_rows_u64(rows, 0, 1);
        system->flush_lsn = nw_rows_lsn(rows, 0, 2);
        copy_text(system->database, sizeof system->database, nw_rows_text(rows, 0, 3));
    }
    nw_rows_free(rows);
    return status;
}

bool nw_history_switch_lsn(const char *history, uint32_t former, uint64_t *lsn)
{
    const char *line = history;

    /* Lines are "timeline<TAB>X/X<TAB>reason", and comments from a #: timeline.c's
     * readTimeLineHistory. */
    while (line != NULL && *line != '\0') {
        char *after = NULL;
        unsigned long timeline = strtoul(line, &after, 10);
        size_t size = *after == '\t' ? strcspn(after + 1, "\t\n") : 0;
        char switched[NW_LSN_TEXT_SIZE] = "";

        if (size > 0 && size < sizeof switched && timeline == former) {
            memcpy(switched, after + 1, size);
            return nw_lsn_parse(switched, lsn);
        }
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    return false;
}

nw_status nw_replication_switch_lsn(struct nw_session *session, uint32_t timeline, uint32_t former,
                                    uint64_t *lsn, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    char sql[64];
    nw_status status;

    (void)snprintf(sql, sizeof sql, "TIMELINE_HISTORY %" PRIu32, timeline);
    status = nw_session_query(session, sql, NULL, 0, NULL, &rows, err);
    if (status == NW_OK && (nw_rows_count(rows) != 1 || nw_rows_text(rows, 0, 1) == NULL ||
                            !nw_history_switch_lsn(nw_rows_text(rows, 0, 1), former, lsn))) {
        status = nw_fail(err, NW_FATAL,
                         "NW2308 timeline %" PRIu32 " of %s does not come from timeline %" PRIu32,
                         timeline, nw_session_host(session), former);
    }
    nw_rows_free(rows);
    return status;
}

static nw_status failover_check(int version, struct nw_error *err)
{
    return version >= 170000
               ? NW_OK
               : nw_fail(
                     err, NW_FATAL,
                     "NW2328 source.slot.failover needs PostgreSQL 17 or newer, the server is %d",
                     version / 10000);
}

static nw_status create_command(const struct nw_slot_request *request, int version,
                                struct command *command, struct nw_error *err)
{
    bool export = request->snapshot == NW_SLOT_SNAPSHOT_EXPORT;
    nw_status status = check_slot_name(request->name, err);

    if (status != NW_OK) {
        return status;
    }
    if (request->failover && failover_check(version, err) != NW_OK) {
        return NW_FATAL;
    }
    add(command, "CREATE_REPLICATION_SLOT ");
    add_name(command, request->name, false);
    add(command, "%s LOGICAL \"pgoutput\" ", request->temporary ? " TEMPORARY" : "");
    if (version < 150000) {
        add(command, export ? "EXPORT_SNAPSHOT" : "NOEXPORT_SNAPSHOT");
    } else {
        add(command, "(SNAPSHOT '%s'%s)", export ? "export" : "nothing",
            request->failover ? ", FAILOVER true" : "");
    }
    return finish(command, err);
}

nw_status nw_replication_create_slot(struct nw_session *session,
                                     const struct nw_slot_request *request, char *sqlstate,
                                     struct nw_slot_created *created, struct nw_error *err)
{
    char text[512];
    struct command command = {.text = text, .size_max = sizeof text};
    struct nw_rows *rows = NULL;
    nw_status status = create_command(request, nw_session_server_version(session), &command, err);

    if (status == NW_OK) {
        status = nw_session_query(session, text, NULL, 0, sqlstate, &rows, err);
    }
    if (status != NW_OK) {
        return status;
    }
    *created = (struct nw_slot_created){0};
    if (nw_rows_count(rows) != 1) {
        status = nw_fail(err, NW_FATAL, "NW1119 %s does not say where slot \"%s\" begins",
                         nw_session_host(session), request->name);
    } else {
        created->consistent_lsn = nw_rows_lsn(rows, 0, 1);
        copy_text(created->snapshot, sizeof created->snapshot, nw_rows_text(rows, 0, 2));
    }
    nw_rows_free(rows);
    return status;
}

nw_status nw_replication_slot_failover(struct nw_session *session, const char *name,
                                       struct nw_error *err)
{
    char text[512];
    struct command command = {.text = text, .size_max = sizeof text};
    nw_status status = failover_check(nw_session_server_version(session), err);

    if (status == NW_OK) {
        status = check_slot_name(name, err);
    }
    if (status != NW_OK) {
        return status;
    }
    add(&command, "ALTER_REPLICATION_SLOT ");
    add_name(&command, name, false);
    add(&command, " (FAILOVER true)");
    status = finish(&command, err);
    return status == NW_OK ? nw_session_query(session, text, NULL, 0, NULL, NULL, err) : status;
}

nw_status nw_replication_drop_slot(struct nw_session *session, const char *name, bool wait,
                                   char *sqlstate, struct nw_error *err)
{
    char text[512];
    struct command command = {.text = text, .size_max = sizeof text};
    nw_status status = check_slot_name(name, err);

    if (status != NW_OK) {
        return status;
    }
    add(&command, "DROP_REPLICATION_SLOT ");
    add_name(&command, name, false);
    add(&command, wait ? " WAIT" : "");
    status = finish(&command, err);
    if (status == NW_OK) {
        status = nw_session_query(session, text, NULL, 0, sqlstate, NULL, err);
    }
    return status;
}

int nw_start_protocol(int server_version)
{
    return server_version < 150000 ? 2 : server_version < 160000 ? 3 : 4;
}

nw_status nw_start_command(const struct nw_start *start, char *out, size_t out_size,
                           struct nw_error *err)
{
    struct command command = {.text = out, .size_max = out_size};
    char lsn[NW_LSN_TEXT_SIZE];
    nw_status status = check_slot_name(start->slot, err);

    if (status != NW_OK) {
        return status;
    }
    if (start->origin_none && start->server_version < 160000) {
        return nw_fail(
            err, NW_FATAL,
            "NW2328 leaving out changes with an origin needs PostgreSQL 16 or newer, the "
            "server is %d",
            start->server_version / 10000);
    }
    if (start->publications_count == 0) {
        return nw_fail(err, NW_FATAL, "NW2903 there is no publication to stream");
    }
    add(&command, "START_REPLICATION SLOT ");
    add_name(&command, start->slot, false);
    add(&command, " LOGICAL %s (proto_version '%d', publication_names '",
        nw_lsn_text(lsn, start->lsn), nw_start_protocol(start->server_version));
    for (size_t i = 0; i < start->publications_count; i++) {
        add(&command, i == 0 ? "" : ",");
        add_name(&command, start->publications[i], true);
    }
    add(&command, "'%s%s%s%s)", start->streaming ? ", streaming 'on'" : "",
        start->binary ? ", binary 'true'" : "", start->messages ? ", messages 'true'" : "",
        start->origin_none ? ", origin 'none'" : "");
    return finish(&command, err);
}

nw_status nw_start_queue(const struct nw_start *start, struct nw_transmitter *transmitter,
                         struct nw_error *err)
{
    char text[COMMAND_BYTES_MAX];
    nw_status status = nw_start_command(start, text, sizeof text, err);

    return status == NW_OK ? nw_transmitter_queue(transmitter, 'Q', text, strlen(text) + 1, err)
                           : status;
}

static uint8_t *put_u64be(uint8_t *at, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

void nw_status_update_build(const struct nw_status_update *update,
                            uint8_t out[static NW_STATUS_UPDATE_SIZE])
{
    uint8_t *at = out;

    *at++ = 'r';
    at = put_u64be(at, update->written_lsn);
    at = put_u64be(at, update->flushed_lsn);
    at = put_u64be(at, update->applied_lsn);
    at = put_u64be(at, (uint64_t)update->now_us - EPOCH_2000_US);
    *at = update->reply;
}

/* Some servers that are not quite PostgreSQL leave the time 0. */
static int64_t time_of(uint64_t wire)
{
    return wire == 0 ? 0 : (int64_t)(wire + EPOCH_2000_US);
}

nw_status nw_replication_message_parse(struct nw_bytes body, struct nw_replication_message *message,
                                       struct nw_error *err)
{
    struct nw_cursor cursor = nw_cursor_of(body.at, body.size);

    *message = (struct nw_replication_message){.kind = (char)nw_cursor_u8(&cursor)};
    if (message->kind == 'w') {
        message->start_lsn = nw_cursor_u64be(&cursor);
        message->end_lsn = nw_cursor_u64be(&cursor);
        message->sent_us = time_of(nw_cursor_u64be(&cursor));
        message->data = nw_cursor_bytes(&cursor, cursor.left);
    } else if (message->kind == 'k') {
        message->end_lsn = nw_cursor_u64be(&cursor);
        message->sent_us = time_of(nw_cursor_u64be(&cursor));
        message->reply = nw_cursor_u8(&cursor) != 0;
    } else if (!cursor.failed) {
        return nw_fail(err, NW_CORRUPT, "the walsender sent a message of unknown kind 0x%02x",
                       (unsigned char)message->kind);
    }
    if (!nw_cursor_done(&cursor)) {
        return nw_fail(err, NW_CORRUPT, "the walsender sent a malformed '%c' message of %zu bytes",
                       message->kind == 0 ? '?' : message->kind, body.size);
    }
    return NW_OK;
}
