/* SPDX-License-Identifier: Apache-2.0 */
/* What the model server's two files share: its history, and how a connection tells it. */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include "sim.h"

#define SUBS_MAX 6u

enum sim_event_kind {
    SIM_EVENT_CHANGE,
    SIM_EVENT_UNDONE, /* a subtransaction */
    SIM_EVENT_ABORT,
    SIM_EVENT_COMMIT,
    SIM_EVENT_MESSAGE, /* outside of transactions */
};

/** A record of the WAL. */
struct sim_event {
    enum sim_event_kind kind;
    uint32_t txn;    /* index */
    uint32_t change; /* index in it */
    uint32_t subxid;
    uint64_t lsn, end_lsn;
};

struct sim_change {
    char kind; /* I U D T M */
    uint8_t table;
    uint8_t tables; /* T: a bit for each */
    uint16_t version[SIM_TABLES];
    bool undone;
    uint32_t subxid; /* the top-level xid when in none */
    uint64_t lsn;
    int64_t id;
    uint32_t note_size;
};

struct sim_txn {
    uint32_t xid;
    struct sim_change *changes;
    size_t changes_count, changes_capacity;
    uint32_t subs[SUBS_MAX]; /* savepoints that are open */
    uint32_t subs_count;
    bool open, aborted;
    uint8_t tables; /* locked, a bit for each */
    char origin;
    uint64_t commit_lsn, end_lsn;
    int64_t commit_ts; /* PostgreSQL's epoch */
};

/** What a connection knows of a transaction. */
struct sim_told {
    bool streamed;   /* some of it was sent before its commit */
    uint8_t *states; /* of each change: 0 not decoded, 1 queued, 2 sent, 3 dropped */
    size_t states_capacity;
    size_t decoded; /* changes seen */
    uint32_t queued;
    uint16_t versions[SIM_TABLES]; /* announced in its stream; 0: not */
};

struct sim_connection {
    struct nw_stream stream; /* first */
    struct sim_server *server;
    struct nw_transmitter transmitter;
    uint64_t start_lsn;
    uint64_t sent_lsn; /* end of the last record that was decoded */
    size_t next_event;
    struct sim_told *told;
    uint32_t told_count;
    uint32_t queued;
    uint16_t versions[SIM_TABLES]; /* announced outside of streams; 0: not */
    struct wire out;
    size_t out_read;
    struct wire in;
    struct wire captured;
    bool ending; /* after out the connection is gone */
    bool gone;
};

/** What waits to be read is read, in pieces that end anywhere. NW_AGAIN: nothing does. */
nw_status sim_out_take(struct sim_random *random, struct wire *out, size_t *out_read, void *bytes,
                       size_t size, size_t *got);
void sim_send_event(struct sim_connection *connection, const struct sim_event *event);
void sim_send_keepalive(struct sim_connection *connection);
void sim_told_free(struct sim_connection *connection);

#endif
