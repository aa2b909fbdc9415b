/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The replication protocol's commands and messages. The blocking helpers take a replication
 * session that is not taken over yet; the rest are pure.
 *
 * Format: PostgreSQL documentation, "Streaming Replication Protocol".
 */
#ifndef NW_PG_REPLICATION_H
#define NW_PG_REPLICATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pg/session.h"

#define NW_SLOT_NAME_SIZE     64
#define NW_SNAPSHOT_NAME_SIZE 64

/** IDENTIFY_SYSTEM: any role that may replicate may ask. */
struct nw_system {
    char system_id[24]; /* decimal */
    uint32_t timeline;
    uint64_t flush_lsn; /* end of the WAL on disk */
    char database[64];  /* "" when the connection has none */
};
NW_MUST_CHECK nw_status nw_replication_identify(struct nw_session *session,
                                                struct nw_system *system, struct nw_error *err);

/**
 * Where the server's history left a timeline that it has gone through, or is about to leave.
 * @param former  older than timeline
 * @return NW_FATAL when the history of `timeline` has no such timeline.
 */
NW_MUST_CHECK nw_status nw_replication_switch_lsn(struct nw_session *session, uint32_t timeline,
                                                  uint32_t former, uint64_t *lsn,
                                                  struct nw_error *err);
/** The same from the text of a history file. @return false: not in it. */
bool nw_history_switch_lsn(const char *history, uint32_t former, uint64_t *lsn);

enum nw_slot_snapshot {
    NW_SLOT_SNAPSHOT_NONE,
    NW_SLOT_SNAPSHOT_EXPORT, /* importable until this session's next command or its end */
};

struct nw_slot_request {
    const char *name;
    bool temporary; /* dropped when the session ends */
    bool failover;  /* refused before 17 */
    enum nw_slot_snapshot snapshot;
};

struct nw_slot_created {
    uint64_t consistent_lsn; /* changes of transactions that commit from here on are streamed */
    char snapshot[NW_SNAPSHOT_NAME_SIZE]; /* "" when none was exported */
};

/**
 * Make a logical slot for pgoutput. Waits for every transaction that runs now.
 * @param sqlstate  as in nw_session_query(); 42710: there is one of that name. May be NULL.
 */
NW_MUST_CHECK nw_status nw_replication_create_slot(struct nw_session *session,
                                                   const struct nw_slot_request *request,
                                                   char *sqlstate, struct nw_slot_created *created,
                                                   struct nw_error *err);
/** Have standbys keep a slot that nobody uses, too. PostgreSQL 17. */
NW_MUST_CHECK nw_status nw_replication_slot_failover(struct nw_session *session, const char *name,
                                                     struct nw_error *err);
/** @param wait  until whoever uses it is gone; otherwise NW_RETRY (55006) while in use. */
NW_MUST_CHECK nw_status nw_replication_drop_slot(struct nw_session *session, const char *name,
                                                 bool wait, char *sqlstate, struct nw_error *err);

/** What START_REPLICATION is to say. Borrowed. */
struct nw_start {
    const char *slot;
    uint64_t lsn; /* 0: from confirmed_flush */
    const char *const *publications;
    size_t publications_count;
    int server_version; /* nw_session_server_version() */
    bool streaming;     /* transactions in progress, when they are larger than decoding memory */
    bool binary;
    bool messages;    /* pg_logical_emit_message() */
    bool origin_none; /* only changes without an origin; refused before 16 */
};

/** The pgoutput protocol version that a start for this server asks for: 2 (14), 3 (15), 4 (16+). */
int nw_start_protocol(int server_version);
NW_MUST_CHECK nw_status nw_start_command(const struct nw_start *start, char *out, size_t out_size,
                                         struct nw_error *err);
/** Queue it as a Query. The server answers CopyBothResponse ('W') or ErrorResponse ('E'). */
NW_MUST_CHECK nw_status nw_start_queue(const struct nw_start *start,
                                       struct nw_transmitter *transmitter, struct nw_error *err);

/** Standby status update; the body of a CopyData ('d'). */
#define NW_STATUS_UPDATE_SIZE 34
struct nw_status_update {
    uint64_t written_lsn, flushed_lsn, applied_lsn;
    int64_t now_us; /* since 1970 UTC */
    bool reply;     /* ask for a keepalive */
};
void nw_status_update_build(const struct nw_status_update *update,
                            uint8_t out[static NW_STATUS_UPDATE_SIZE]);

/** What a CopyData from a walsender holds. Times are microseconds since 1970 UTC, 0: not told. */
struct nw_replication_message {
    char kind;          /* 'w' XLogData, 'k' keepalive */
    uint64_t start_lsn; /* w: of the data */
    uint64_t end_lsn;   /* w and k: end of the WAL on the server (k: sent so far) */
    int64_t sent_us;
    bool reply;           /* k: the server wants a status update now */
    struct nw_bytes data; /* w: the plugin's message, borrowed from body */
};
NW_MUST_CHECK nw_status nw_replication_message_parse(struct nw_bytes body,
                                                     struct nw_replication_message *message,
                                                     struct nw_error *err);

#endif
