/* SPDX-License-Identifier: Apache-2.0 */
/* See relations.h. Relation messages are rare, so everything is looked for in lists. */
#include "source/relations.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/writer.h"
#include "pg/ddl_trigger.h"
#include "source/notes.h"
#include "source/pgoutput.h"

#define XIDS_MAX 65536u /* streamed transactions at once */

struct text {
    uint8_t *bytes;
    uint32_t size;
};

/* What was said of a table: in force, or in a streamed transaction that goes on. */
struct said {
    uint32_t xid; /* 0: in force */
    uint32_t oid;
    uint64_t place; /* in which the Relation message came */
    struct text relation;
    struct text note; /* that it came with */
    struct text next; /* the note for the Relation message that follows */
};

struct nw_relations {
    struct said *items;
    uint32_t items_count, items_capacity;
    uint32_t *xids; /* streamed and not over */
    uint32_t xids_count, xids_capacity;
    bool in_transaction, in_stream;
    uint32_t stream_xid;
    uint64_t place;         /* of the last Relation message */
    uint64_t bytes;         /* of all texts, and what packs them */
    bool given_up;          /* it is too much */
    struct nw_notes *notes; /* reads one at a time */
    uint8_t *packed;
    uint64_t packed_capacity;
};

nw_status nw_relations_create(struct nw_relations **relations, struct nw_error *err)
{
    struct nw_relations *made = calloc(1, sizeof *made);

    if (made == NULL || nw_notes_create(&made->notes, err) != NW_OK) {
        free(made);
        return nw_fail(err, NW_FATAL, "out of memory for what is said of tables");
    }
    *relations = made;
    return NW_OK;
}

/* ---- what was said ---- */

static uint64_t packed_size(const struct text *text)
{
    return text->bytes == NULL ? 0 : sizeof text->size + (uint64_t)text->size;
}

static void text_drop(struct nw_relations *relations, struct text *text)
{
    relations->bytes -= packed_size(text);
    free(text->bytes);
    *text = (struct text){NULL, 0};
}

/* Takes the text over, unless there is none. */
static void text_move(struct nw_relations *relations, struct text *to, struct text *from)
{
    text_drop(relations, to);
    *to = *from;
    *from = (struct text){NULL, 0};
}

static void said_drop(struct nw_relations *relations, uint32_t index)
{
    struct said *said = &relations->items[index];

    text_drop(relations, &said->relation);
    text_drop(relations, &said->note);
    text_drop(relations, &said->next);
    relations->items_count--;
    memmove(said, said + 1, (relations->items_count - index) * sizeof *said);
}

static void all_drop(struct nw_relations *relations)
{
    while (relations->items_count > 0) {
        said_drop(relations, relations->items_count - 1);
    }
    relations->xids_count = 0;
}

void nw_relations_destroy(struct nw_relations *relations)
{
    if (relations != NULL) {
        all_drop(relations);
        nw_notes_destroy(relations->notes);
        free(relations->items);
        free(relations->xids);
        free(relations->packed);
        free(relations);
    }
}

void nw_relations_reset(struct nw_relations *relations)
{
    all_drop(relations);
    relations->in_transaction = relations->in_stream = relations->given_up = false;
}

static struct said *said_find(struct nw_relations *relations, uint32_t xid, uint32_t oid)
{
    for (uint32_t i = 0; i < relations->items_count; i++) {
        if (relations->items[i].xid == xid && relations->items[i].oid == oid) {
            return &relations->items[i];
        }
    }
    return NULL;
}

/* NULL: out of memory. */
static struct said *said_make(struct nw_relations *relations, uint32_t xid, uint32_t oid)
{
    struct said *said = said_find(relations, xid, oid);

    if (said != NULL) {
        return said;
    }
    if (relations->items_count == relations->items_capacity) {
        uint32_t capacity = relations->items_capacity == 0 ? 64 : relations->items_capacity * 2;
        struct said *items = realloc(relations->items, capacity * sizeof *items);

        if (items == NULL) {
            return NULL;
        }
        relations->items = items;
        relations->items_capacity = capacity;
    }
    said = &relations->items[relations->items_count++];
    *said = (struct said){.xid = xid, .oid = oid};
    return said;
}

static void give_up(struct nw_relations *relations)
{
    nw_log(NW_LOG_INFO, "the server has said so much of tables that the spool cannot be trimmed "
                        "before all of it was read");
    all_drop(relations);
    relations->given_up = true;
}

/* The message as it is outside a stream, where no xid follows its type. */
static nw_status text_make(struct nw_relations *relations, struct nw_bytes message,
                           struct text *text, struct nw_error *err)
{
    size_t skipped = relations->in_stream ? 4 : 0;

    text->size = (uint32_t)(message.size - skipped);
    text->bytes = malloc(text->size);
    if (text->bytes == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for what is said of tables");
    }
    text->bytes[0] = message.at[0];
    memcpy(text->bytes + 1, message.at + 1 + skipped, text->size - 1);
    relations->bytes += packed_size(text);
    return NW_OK;
}

static bool texts_same(const struct text *a, const struct text *b)
{
    return a->bytes != NULL && b->bytes != NULL && a->size == b->size &&
           memcmp(a->bytes, b->bytes, a->size) == 0;
}

/* A Relation message ends what its table's last note was for, but when it only says again. */
static void relation_set(struct nw_relations *relations, struct said *said, struct text *relation)
{
    if (said->next.bytes != NULL) {
        text_move(relations, &said->note, &said->next);
    } else if (!texts_same(&said->relation, relation)) {
        text_drop(relations, &said->note);
    }
    text_move(relations, &said->relation, relation);
}

/* ---- messages ---- */

/* Whose a message is, and how long it is at least. */
static nw_status said_of(struct nw_relations *relations, uint32_t oid, struct said **said,
                         struct nw_error *err)
{
    *said = said_make(relations, relations->in_stream ? relations->stream_xid : 0, oid);
    return *said != NULL ? NW_OK
                         : nw_fail(err, NW_FATAL, "out of memory for what is said of tables");
}

static nw_status relation_take(struct nw_relations *relations, struct nw_bytes message,
                               struct nw_error *err)
{
    struct nw_cursor cursor = nw_cursor_of(message.at, message.size);
    struct text text = {NULL, 0};
    struct said *said = NULL;
    uint32_t oid = 0;
    nw_status status = NW_OK;

    (void)nw_cursor_bytes(&cursor, relations->in_stream ? 5 : 1);
    oid = nw_cursor_u32be(&cursor);
    if (cursor.failed) {
        return nw_fail(err, NW_CORRUPT, "pgoutput: a Relation message ends early");
    }
    status = said_of(relations, oid, &said, err);
    if (status == NW_OK) {
        status = text_make(relations, message, &text, err);
    }
    if (status == NW_OK) {
        relation_set(relations, said, &text);
        said->place = ++relations->place;
    }
    return status;
}

/* A note of the event trigger is kept; other messages say nothing of tables. */
static nw_status message_take(struct nw_relations *relations, struct nw_bytes message,
                              struct nw_error *err)
{
    struct text text = {NULL, 0};
    struct nw_pgoutput_message parsed = {0};
    const struct nw_note *note = NULL;
    struct said *said = NULL;
    nw_status status = NW_OK;

    if (message.size < (relations->in_stream ? 5u : 1u)) {
        return nw_fail(err, NW_CORRUPT, "pgoutput: a message ends early");
    }
    status = text_make(relations, message, &text, err);
    if (status == NW_OK) {
        status = nw_pgoutput_message_parse((struct nw_bytes){text.bytes, text.size}, &parsed, err);
    }
    if (status == NW_OK && parsed.transactional && strcmp(parsed.prefix, NW_DDL_PREFIX) == 0 &&
        nw_notes_put(relations->notes, parsed.content, &note, NULL) == NW_OK) {
        uint32_t oid = note->relation_oid;

        nw_notes_drop(relations->notes, oid);
        status = said_of(relations, oid, &said, err);
        if (status == NW_OK) {
            text_move(relations, &said->next, &text);
        }
    }
    text_drop(relations, &text);
    return status;
}

/* ---- streamed transactions ---- */

static nw_status stream_begin(struct nw_relations *relations, struct nw_bytes message,
                              struct nw_error *err)
{
    nw_status status = nw_pgoutput_stream_start_parse(message, &relations->stream_xid, err);

    if (status != NW_OK) {
        return status;
    }
    relations->in_stream = true;
    for (uint32_t i = 0; i < relations->xids_count; i++) {
        if (relations->xids[i] == relations->stream_xid) {
            return NW_OK;
        }
    }
    if (relations->xids_count == XIDS_MAX) {
        give_up(relations);
        return NW_OK;
    }
    if (relations->xids_count == relations->xids_capacity) {
        uint32_t capacity = relations->xids_capacity == 0 ? 16 : relations->xids_capacity * 2;
        uint32_t *xids = realloc(relations->xids, capacity * sizeof *xids);

        if (xids == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory for streamed transactions");
        }
        relations->xids = xids;
        relations->xids_capacity = capacity;
    }
    relations->xids[relations->xids_count++] = relations->stream_xid;
    return NW_OK;
}

static void stream_over(struct nw_relations *relations, uint32_t xid)
{
    for (uint32_t i = 0; i < relations->xids_count; i++) {
        if (relations->xids[i] == xid) {
            relations->xids[i] = relations->xids[--relations->xids_count];
            return;
        }
    }
}

/* What a transaction said comes in force, but for what is older than what was said meanwhile. */
static nw_status stream_commit(struct nw_relations *relations, struct nw_bytes message,
                               struct nw_error *err)
{
    struct nw_pgoutput_commit commit = {0};
    nw_status status = nw_pgoutput_stream_commit_parse(message, &commit, err);

    for (uint32_t i = 0; i < relations->items_count && status == NW_OK;) {
        struct said *here = NULL;
        struct said *said = NULL;

        if (relations->items[i].xid != commit.xid) {
            i++;
            continue;
        }
        here = said_find(relations, 0, relations->items[i].oid);
        said = &relations->items[i];
        if (here == NULL) {
            said->xid = 0;
            i++;
            continue;
        }
        if (said->relation.bytes != NULL && said->place > here->place) {
            relation_set(relations, here, &said->relation);
            here->place = said->place;
            if (said->note.bytes != NULL) {
                text_move(relations, &here->note, &said->note);
            }
        }
        if (said->next.bytes != NULL) {
            text_move(relations, &here->next, &said->next);
        }
        said_drop(relations, i);
    }
    stream_over(relations, commit.xid);
    return status;
}

/*
 * Of a subtransaction that is undone the server forgets that it said anything in the transaction,
 * and says it again before a row needs it; so what it said there may stay.
 */
static nw_status stream_abort(struct nw_relations *relations, struct nw_bytes message,
                              struct nw_error *err)
{
    struct nw_pgoutput_abort undone = {0};
    nw_status status = nw_pgoutput_stream_abort_parse(message, &undone, err);

    if (status != NW_OK || undone.xid != undone.subxid) {
        return status;
    }
    for (uint32_t i = 0; i < relations->items_count;) {
        if (relations->items[i].xid == undone.xid) {
            said_drop(relations, i);
        } else {
            i++;
        }
    }
    stream_over(relations, undone.xid);
    return NW_OK;
}

nw_status nw_relations_take(struct nw_relations *relations, struct nw_bytes message,
                            struct nw_error *err)
{
    nw_status status = NW_OK;

    switch (message.size == 0 ? '\0' : (char)message.at[0]) {
    case 'B':
        relations->in_transaction = true;
        break;
    case 'C':
        relations->in_transaction = false;
        break;
    case 'S':
        return stream_begin(relations, message, err);
    case 'E':
        relations->in_stream = false;
        break;
    case 'c':
        return stream_commit(relations, message, err);
    case 'A':
        return stream_abort(relations, message, err);
    case 'R':
        status = relations->given_up ? NW_OK : relation_take(relations, message, err);
        break;
    case 'M':
        status = relations->given_up ? NW_OK : message_take(relations, message, err);
        break;
    default:
        break;
    }
    if (relations->bytes > NW_RELATIONS_BYTES_MAX) {
        give_up(relations);
    }
    return status;
}

bool nw_relations_inside(const struct nw_relations *relations)
{
    return relations->in_transaction || relations->in_stream;
}

bool nw_relations_rest(const struct nw_relations *relations)
{
    return !relations->in_transaction && !relations->in_stream && relations->xids_count == 0 &&
           !relations->given_up;
}

/* ---- packing ---- */

uint64_t nw_relations_bytes(const struct nw_relations *relations)
{
    return relations->bytes;
}

static void text_pack(struct nw_writer *writer, const struct text *text)
{
    if (text->bytes != NULL) {
        nw_writer_put(writer, &text->size, sizeof text->size);
        nw_writer_put(writer, text->bytes, text->size);
    }
}

nw_status nw_relations_pack(struct nw_relations *relations, struct nw_bytes *packed,
                            struct nw_error *err)
{
    struct nw_writer writer = {.bytes = relations->packed};

    if (relations->bytes > relations->packed_capacity) {
        uint8_t *bytes = realloc(relations->packed, relations->bytes);

        if (bytes == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory for what is said of tables");
        }
        relations->packed = writer.bytes = bytes;
        relations->packed_capacity = relations->bytes;
    }
    for (uint32_t i = 0; i < relations->items_count; i++) {
        const struct said *said = &relations->items[i];

        if (said->xid == 0) {
            text_pack(&writer, &said->note);
            text_pack(&writer, &said->relation);
            text_pack(&writer, &said->next);
        }
    }
    *packed = (struct nw_bytes){writer.bytes, writer.size};
    return NW_OK;
}
