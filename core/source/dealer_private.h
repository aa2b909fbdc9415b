/* SPDX-License-Identifier: Apache-2.0 */
/* The dealer's state, shared by dealer.c (transactions and rows) and the other dealer_*.c. Not
 * for others. */
#ifndef NW_SOURCE_DEALER_PRIVATE_H
#define NW_SOURCE_DEALER_PRIVATE_H

#include "source/backlog.h"
#include "source/dealer.h"

#define NW_ORIGIN_SIZE 1024u

/* What the dealer knows of a table, by its id. */
struct nw_slot {
    const struct nw_table *table;           /* version for which wanted was asked */
    const struct nw_projection *projection; /* of that version, when it is wanted */
    bool wanted;
    struct nw_block *open;
    uint64_t open_transaction; /* serial of the last transaction in the open block */
    uint64_t touched;          /* serial of the last transaction that changed it */
    uint64_t rows;             /* that this one did */
    bool announce;             /* a new version, whose event was not dealt yet */
    bool stopped;              /* its rows are left out until it is copied again */
    uint64_t joins_lsn;        /* what committed before is in its copy, or will be */
    bool joined;               /* by nw_dealer_join(): it waits no more */
    struct nw_table_policy policy;
};

#define NW_DROP_NAME_SIZE 64u /* NAMEDATALEN */

/* A dropped table that sinks are to be told of. */
struct nw_drop {
    struct nw_drop *next;
    uint32_t relation_oid;
    uint64_t lsn; /* not before the stream is complete up to here */
    char schema_name[NW_DROP_NAME_SIZE];
    char name[NW_DROP_NAME_SIZE];
};

struct nw_dealer {
    struct nw_dealer_options options;
    struct nw_slot *slots;
    uint32_t slots_count;
    uint32_t *open_ids; /* tables with an open block, in the order they were opened */
    uint32_t open_count;
    uint32_t *touched_ids; /* tables that the current transaction changes, once each */
    uint32_t touched_count;

    /* the transaction that is being received */
    bool in_transaction;
    struct nw_pgoutput_begin begin;
    char origin[NW_ORIGIN_SIZE];
    uint64_t serial;
    uint64_t seq; /* of its next change */

    struct nw_dealt dealt; /* of what is taken now: the stream, or a backlog */

    /* dealer_backlog.c */
    struct nw_backlog *backlogs[NW_BEHIND_MAX]; /* of tables whose changes are kept; borrow */
    uint32_t backlogs_count;
    struct nw_backlog *playing;   /* what is taken now comes from it; NULL: from the stream */
    struct nw_dealt stream_dealt; /* meanwhile */
    struct nw_dealt_version stream_version; /* the same */
    struct nw_apart aparts[NW_BEHIND_MAX];  /* that have no backlog yet */
    uint32_t aparts_count;
    uint32_t apart_oids[NW_BEHIND_MAX]; /* all that are or were kept for some sinks, since it began:
                                           the sequencers know them as those */
    uint32_t apart_oids_count;
    struct nw_behind_list lacks; /* what is left out since when; those without a backlog */

    struct nw_relation *relation; /* waits for the catalog when relation_waits */
    bool relation_waits;
    char *relation_bytes;   /* the texts it borrows */
    struct nw_notes *notes; /* of the event trigger, for messages that are to come */
    uint32_t relation_read; /* its oid, once it was compared with the catalog; 0: none was */

    uint32_t truncates_done; /* relations of the truncate under way whose event was dealt */

    bool stop_waits; /* until the stop is recorded nothing is taken */
    struct nw_dealer_stop stop;
    struct nw_drop *drops; /* recorded, and not dealt yet */

    size_t cut;       /* bytes of the message under way that did not come */
    int64_t now_ns;   /* of the last message */
    uint32_t last_id; /* cache: rows of one table come in runs */
    uint32_t last_oid;
    struct nw_dealer_state state;
};

/* dealer_backlog.c */

/** Whether a change of this table, at the place under way, is kept for all sinks: it is not dealt.
 */
bool nw_dealer_keeps(const struct nw_dealer *dealer, uint32_t relation_oid);
/**
 * Add a change to the backlog that it belongs to, if there is one.
 * @return NW_AGAIN: not taken; the disk is behind, or the table stops.
 */
NW_MUST_CHECK nw_status nw_dealer_keep(struct nw_dealer *dealer, uint32_t relation_oid,
                                       uint64_t lsn, struct nw_bytes message, struct nw_error *err);
/** The same of its part in a Truncate message. */
NW_MUST_CHECK nw_status nw_dealer_keep_truncate(struct nw_dealer *dealer, uint32_t relation_oid,
                                                uint64_t lsn, uint32_t flags, struct nw_error *err);
/** The transaction ends. As nw_dealer_keep(). */
NW_MUST_CHECK nw_status nw_dealer_keep_commit(struct nw_dealer *dealer,
                                              const struct nw_pgoutput_commit *commit,
                                              struct nw_error *err);
/** Whether the table's changes are kept, now or until they were dealt. */
bool nw_dealer_has_backlog(const struct nw_dealer *dealer, uint32_t relation_oid);
/** The backlog that is kept for some sinks, while the others go on with the table; else NULL. */
struct nw_backlog *nw_dealer_backlog_apart(const struct nw_dealer *dealer, uint32_t relation_oid);
/** Whether what is dealt of the table now is from before its changes were kept. It was dealt by a
 * former run, whatever the rules were, and must not stop the table again. */
bool nw_dealer_keeps_later(const struct nw_dealer *dealer, uint32_t relation_oid);
/** What is kept is of no use any more. */
void nw_dealer_backlog_given_up(struct nw_dealer *dealer, struct nw_backlog *backlog);
/** Whether what comes of it was to be kept for some sinks when the dealer began. */
bool nw_dealer_was_apart(const struct nw_dealer *dealer, uint32_t relation_oid);
/** A stop that says so was recorded. @param backlog  NULL: nothing can be kept */
void nw_dealer_apart_begun(struct nw_dealer *dealer, const struct nw_dealer_stop *stop,
                           struct nw_backlog *backlog);
/** The same, of the table, for these sinks alone. */
void nw_dealer_backlog_forget(struct nw_dealer *dealer, uint32_t relation_oid, uint32_t sinks);
/** From the place under way on a table is left out, or is not any more. */
void nw_dealer_lacks_from(struct nw_dealer *dealer, uint32_t relation_oid);
void nw_dealer_lacks_end(struct nw_dealer *dealer, uint32_t relation_oid);
/** What comes next is at this place, or behind it. */
struct nw_place nw_dealer_place(const struct nw_dealer *dealer);
/** How far the tables are that are behind. */
void nw_dealer_behind(const struct nw_dealer *dealer, struct nw_behind_list *list);

/* dealer.c */

/** The transaction under way ended, or broke off. */
void nw_dealer_transaction_over(struct nw_dealer *dealer);

/* dealer_tables.c */

NW_MUST_CHECK nw_status nw_dealer_slots_grow(struct nw_dealer *dealer, struct nw_error *err);
NW_MUST_CHECK nw_status nw_dealer_relation(struct nw_dealer *dealer, struct nw_bytes message,
                                           struct nw_error *err);
/** A table cannot go on: see nw_dealer_stopping(). @return NW_AGAIN */
NW_PRINTF(3, 4)
nw_status nw_dealer_stop(struct nw_dealer *dealer, const struct nw_table *table, const char *format,
                         ...);
/** A note of narwal's event trigger, in these bytes. NW_AGAIN: not taken. */
NW_MUST_CHECK nw_status nw_dealer_note(struct nw_dealer *dealer, struct nw_bytes bytes,
                                       const struct nw_pgoutput_message *message,
                                       struct nw_error *err);
/** A row that the memory budget cannot hold stops its table. @return NW_AGAIN */
nw_status nw_dealer_too_large(struct nw_dealer *dealer, const struct nw_slot *slot, size_t size);
/** The slot of a relation; NULL: one that was never announced, and *status says so. */
struct nw_slot *nw_dealer_slot(struct nw_dealer *dealer, uint32_t oid, nw_status *status,
                               struct nw_error *err);
/** The transaction under way changes the table, whether that was dealt before or not. */
static inline void nw_dealer_touch(struct nw_dealer *dealer, struct nw_slot *slot)
{
    if (slot->touched != dealer->serial) {
        slot->touched = dealer->serial;
        slot->rows = 0;
        dealer->touched_ids[dealer->touched_count++] = slot->table->id;
    }
}
/** Whether the change with the current seq was dealt before the connection broke. */
bool nw_dealer_dealt_before(const struct nw_dealer *dealer);
/** The change with the current seq is dealt, or dropped. */
void nw_dealer_change_done(struct nw_dealer *dealer);

/**
 * Deal what a sink must hear before a change: that its transaction begins, and the new version of
 * its table (NULL: it has none). NW_AGAIN until all of it is dealt.
 */
NW_MUST_CHECK nw_status nw_dealer_announce(struct nw_dealer *dealer, struct nw_slot *slot,
                                           struct nw_error *err);
/** The begin or commit event of the current transaction, for sinks that want it. */
NW_MUST_CHECK nw_status nw_dealer_transaction_event(struct nw_dealer *dealer,
                                                    enum nw_event_kind kind, uint64_t end_lsn,
                                                    struct nw_error *err);
void nw_dealer_drops_free(struct nw_dealer *dealer);
/** An empty block for an event, behind everything received before it. NW_AGAIN: there is none. */
NW_MUST_CHECK nw_status nw_dealer_event_open(struct nw_dealer *dealer, enum nw_block_kind kind,
                                             struct nw_block **block, struct nw_error *err);
/** Copies a text or bytes into an event block that has room for it. */
const void *nw_dealer_event_copy(struct nw_block *block, const void *bytes, size_t size);
void nw_dealer_event_fill(const struct nw_dealer *dealer, struct nw_block *block,
                          enum nw_event_kind kind, uint64_t lsn);
void nw_dealer_event_deal(struct nw_dealer *dealer, struct nw_block *block);
NW_MUST_CHECK nw_status nw_dealer_truncate(struct nw_dealer *dealer, uint64_t lsn,
                                           struct nw_bytes message, struct nw_error *err);
NW_MUST_CHECK nw_status nw_dealer_message(struct nw_dealer *dealer, struct nw_bytes bytes,
                                          struct nw_error *err);

#endif
