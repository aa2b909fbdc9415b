/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table as an outbox: each row that is inserted is a message of its own, as Debezium's
 * EventRouter makes it. Columns say where it goes, what its key is and what it says:
 *
 *   id             header `id`
 *   aggregatetype  the topic: outbox.event.{value}
 *   aggregateid    the key
 *   payload        the value
 *
 * Deletes mean nothing. Updates should not be: the caller says so.
 *
 * What was made for a table is immutable; a message belongs to one thread and is used again.
 */
#ifndef NW_SINKS_LIB_FORMAT_OUTBOX_H
#define NW_SINKS_LIB_FORMAT_OUTBOX_H

#include <narwal/status.h>

#include "lib/format/connect.h"

#define NW_OUTBOX_PLACED_MAX 16u
#define NW_OUTBOX_ALIAS_SIZE 64u

enum nw_outbox_form {
    NW_OUTBOX_RAW,      /* key and payload as they are, as StringConverter and ByteArrayConverter */
    NW_OUTBOX_JSON,     /* JSON strings, as JsonConverter makes of them */
    NW_OUTBOX_EXPANDED, /* the payload is JSON itself: table.expand.json.payload */
};

/** Names of columns, and more. All borrowed. */
struct nw_outbox_options {
    const char *id;
    const char *route;
    const char *key;
    const char *payload;
    const char *timestamp; /* of the message; NULL: the change's own */
    const char *topic;     /* {value}: of the route's column */
    enum nw_outbox_form form;
    bool tombstones;               /* an empty payload makes one */
    const char *const *placements; /* COLUMN:header[:NAME], COLUMN:envelope[:NAME]; NULL: none */
};

struct nw_outbox_header {
    const char *name;
    bool null;
    size_t at; /* in nw_outbox_message.headers_text */
    size_t size;
};

struct nw_outbox_message {
    struct nw_out topic; /* NUL-terminated */
    struct nw_out key;
    struct nw_out value;
    struct nw_out headers_text;
    struct nw_outbox_header headers[NW_OUTBOX_PLACED_MAX + 1];
    uint32_t headers_count;
    bool keyless;
    bool tombstone; /* it has no value */
    bool timed;     /* timestamp_ms is given */
    int64_t timestamp_ms;
};

struct nw_outbox;

/** @param outbox  give. NW_REJECT (NW2724): a column that is wanted is not there. */
NW_MUST_CHECK nw_status nw_outbox_create(const struct nw_connect_table *table,
                                         const struct nw_outbox_options *options,
                                         struct nw_outbox **outbox, struct nw_error *err);
void nw_outbox_destroy(struct nw_outbox *outbox);

/** What a setting of placements says. @return false: it is wrong */
bool nw_outbox_placement(const char *text, char column[static NW_OUTBOX_ALIAS_SIZE], bool *header,
                         char alias[static NW_OUTBOX_ALIAS_SIZE]);

/** The message of an inserted row. NW_REJECT (NW2725): it cannot be one. */
NW_MUST_CHECK nw_status nw_outbox_read(const struct nw_outbox *outbox, const struct nw_batch *batch,
                                       uint32_t row, struct nw_connect_scratch *scratch,
                                       struct nw_outbox_message *message, struct nw_error *err);
void nw_outbox_message_fini(struct nw_outbox_message *message);

#endif
