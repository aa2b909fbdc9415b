/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server at the other end: its identity, slot, publications and tables, and how the source
 * reaches it. Blocking; the functions of the connector run on the service thread, all else on the
 * main thread, never both at once on the same session.
 */
#ifndef NW_PIPELINE_SERVER_H
#define NW_PIPELINE_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "io/env.h"
#include "pg/catalog.h"
#include "pg/replication.h"
#include "pipeline/claim.h"
#include "pipeline/publication.h"
#include "source/stream.h"

struct nw_server_options {
    struct nw_env *env;              /* borrow */
    struct nw_pg_options connection; /* borrow, as all texts below */
    const char *slot_name;
    bool create_slot;
    bool failover;          /* the slot is to be one that standbys keep, too */
    bool streaming;         /* transactions in progress are streamed */
    bool messages;          /* logical messages are asked for */
    bool origin_none;       /* only changes without an origin */
    bool text;              /* never ask for binary values */
    bool followed;          /* the slot was followed before: a standby's promotion is waited for */
    struct nw_claim *claim; /* who connects has to hold it; NULL: nobody asks */
    struct nw_publication_options publication;
};

struct nw_server {
    struct nw_server_options options;
    struct nw_session *control;   /* plain; main thread */
    struct nw_session *catalog;   /* plain; service thread, for describe */
    struct nw_session *walsender; /* replication; service thread */
    struct nw_stream *stream;     /* of walsender */
    struct nw_receiver *receiver;
    struct nw_transmitter transmitter;
    struct nw_identity identity;
    char database[64]; /* its name */
    uint64_t end_lsn;  /* of its WAL when it was opened */
    bool in_recovery;
    bool promoted; /* a connect found another timeline; service thread, until it has ended */
    bool followed; /* see the options; service thread, while it runs */
    atomic_bool abandoned; /* nobody waits for the service thread's sessions any more */
    int version;
    struct nw_publications publications;
    struct nw_schemas *schemas; /* borrow: for the choice of binary */
    struct nw_arena describe_arena;
};

/** Connect, and learn who is there. */
NW_MUST_CHECK nw_status nw_server_open(struct nw_server *server,
                                       const struct nw_server_options *options,
                                       struct nw_error *err);
/** Closes every session. The connector is not in use any more. */
void nw_server_close(struct nw_server *server);

/** End what the connector waits for, now and later, within about 100 ms. Any thread. */
void nw_server_abandon(struct nw_server *server);

/** A further session of either kind. Main thread. */
NW_MUST_CHECK nw_status nw_server_session(const struct nw_server *server, bool replication,
                                          struct nw_session **session, struct nw_error *err);
/** The main thread's session for questions, server->control: opened again after it broke. */
NW_MUST_CHECK nw_status nw_server_control_open(struct nw_server *server, struct nw_error *err);

/**
 * Whether the server's history has all that was followed up to lsn, maybe on another timeline. A
 * server that was promoted before it had all of that has gone on without it; one that was restored
 * from a backup is not as far.
 */
NW_MUST_CHECK nw_status nw_server_history_check(const struct nw_server *server, uint32_t timeline,
                                                uint64_t lsn, struct nw_error *err);

/**
 * Whether the slot can be followed from lsn; its state otherwise, with the repair.
 * @param found  whether it exists; without it and without an error there is none.
 * @param lsn    0: from wherever it stands; filled with its confirmed position then.
 */
NW_MUST_CHECK nw_status nw_server_slot_check(struct nw_server *server, struct nw_session *session,
                                             uint64_t *lsn, bool *found, struct nw_error *err);

/**
 * Whether the slot, which nobody reads now, is still worth what is being done for it. Only what its
 * state says is an error; that the server cannot be asked is not.
 */
NW_MUST_CHECK nw_status nw_server_slot_watch(struct nw_server *server, struct nw_error *err);

/** Put every published table into the registry, as the catalog is now. */
NW_MUST_CHECK nw_status nw_server_tables(struct nw_server *server, struct nw_session *session,
                                         struct nw_arena *arena, struct nw_catalog_tables *tables,
                                         struct nw_error *err);
NW_MUST_CHECK nw_status nw_server_register(struct nw_server *server,
                                           const struct nw_catalog_tables *tables,
                                           struct nw_arena *arena, struct nw_error *err);

/** A query about the catalog. On the service thread. */
NW_MUST_CHECK nw_status nw_server_query(struct nw_server *server, const char *sql,
                                        const char *const *params, int params_count,
                                        struct nw_rows **rows, struct nw_error *err);

/* The connector: see nw_source_options. context is the server. */
nw_status nw_server_connect(void *context, uint64_t lsn, struct nw_walsender *walsender,
                            struct nw_error *err);
void nw_server_disconnect(void *context, struct nw_walsender *walsender);
nw_status nw_server_describe(void *context, uint32_t relation_oid, uint32_t xid,
                             const struct nw_table **described, struct nw_error *err);

#endif
