/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a sequencer knows of the tables that are copied to its sink: which copy is in force, how
 * many of its chunks came, and which of them are durable. A part of the sequencer; its thread.
 */
#ifndef NW_SINK_COPIES_H
#define NW_SINK_COPIES_H

#include "sink/sequencer.h"
#include "source/position.h"

/** Where a sink stands with a table whose changes are kept for some sinks only. */
enum nw_apart_side {
    NW_APART_NONE = 0,
    NW_APART_KEPT,  /* for this sink: what the stream has of it is not for it */
    NW_APART_WHOLE, /* for others: what is kept of it is not for this one */
};

/** A table, by its relation oid. */
struct nw_followed {
    uint32_t relation_oid; /* 0: free */
    bool takes;            /* a copy that is read now is for this sink */
    bool holds;            /* what the stream has of it waits until that copy is whole: held.c */
    bool ended;            /* that copy is whole, and its end is held with the rest */
    struct nw_entry *pack; /* held.c: what is added to; NULL: none */
    uint64_t waiting;      /* held.c: bytes that are held of it, while they are counted */
    uint64_t fence_lsn;    /* rows of the stream before it are in the copy, or at the sink */
    bool behind;           /* at the start the sink had only what is before `place` */
    bool streams;          /* and what comes next is in the stream, not in a backlog */
    bool level;            /* and by now it has as much of it as of others */
    struct nw_place place;
    /* Of a sink that appends: what is held from here on it lacks until `released_epoch`, which is 0
     * while it is held, is durable. commit_lsn 0: nothing is held. */
    struct nw_place held_from;
    uint64_t released_epoch;
    enum nw_apart_side apart; /* behind.h */
    bool left_out;            /* and no commit said yet that a copy of it began */
    /* Of the copy under way. */
    uint32_t generation;              /* 0: none began */
    uint32_t chunks_ended;            /* in the log or gone from it */
    struct nw_copy_progress *durable; /* NULL: nothing of it is */
};

/** What a commit says of a copy, and its place in the sequencer. */
struct nw_copy_commit {
    uint32_t relation_oid;
    uint32_t generation;
    struct nw_copy_progress progress;
    uint8_t bytes[NW_COPY_BYTES_MAX];
};

/** Whether the sink keeps what it has of a table that is copied again. Then all that the stream has
 * from the copy's mark on must come to it, or rows that were deleted meanwhile would stay. */
static inline bool nw_copies_append(const struct nw_sequencer *seq)
{
    return (seq->sink->flags & NW_SINK_APPEND_ONLY) != 0;
}
/** NULL: nothing is known of it. Good until the next table is followed. */
struct nw_followed *nw_copies_find(const struct nw_sequencer *seq, uint32_t relation_oid);
/** The table has a finished copy: others that are read are not for this sink. */
NW_MUST_CHECK nw_status nw_copies_had(struct nw_sequencer *seq, uint32_t relation_oid,
                                      uint64_t fence_lsn, struct nw_error *err);
/** What the sink's position says of a table that is behind. @param streams  see nw_followed */
NW_MUST_CHECK nw_status nw_copies_behind(struct nw_sequencer *seq, const struct nw_behind *behind,
                                         bool streams, struct nw_error *err);
/** What comes of the table is kept for some sinks. */
NW_MUST_CHECK nw_status nw_copies_apart(struct nw_sequencer *seq, uint32_t relation_oid,
                                        enum nw_apart_side side, struct nw_error *err);
/** A copy of a former run broke off, and is gone on with; `durable` has what the sink said of it.
 */
NW_MUST_CHECK nw_status nw_copies_begun(struct nw_sequencer *seq, uint32_t relation_oid,
                                        uint32_t generation, const struct nw_copy_progress *durable,
                                        struct nw_error *err);
/**
 * Whether an item of a copy is for the sink: rows and marks of the copy in force; of the marks that
 * begin chunks only the first, which begins the copy.
 */
NW_MUST_CHECK nw_status nw_copies_take(struct nw_sequencer *seq, struct nw_entry *entry,
                                       bool *wanted, struct nw_error *err);

/** The states for a commit of everything before `last`: into seq->commit_copies. */
NW_MUST_CHECK nw_status nw_copies_collect(struct nw_sequencer *seq, const struct nw_entry *last,
                                          struct nw_error *err);
/** Whether with the commit under way all is whole that the run began to copy with. */
bool nw_copies_round_ends(const struct nw_sequencer *seq);
/** That commit happened. */
void nw_copies_durable(struct nw_sequencer *seq);
void nw_copies_fini(struct nw_sequencer *seq);

#endif
