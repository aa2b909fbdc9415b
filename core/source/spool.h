/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool: what the server sent, on local disk, until the sinks have it.
 *
 * While the first copy runs the source appends every message instead of dealing it. What is synced
 * here may be acknowledged, so the spool may then be the only place that has it: every record has a
 * checksum, every segment says to whom it belongs and where it stands, and nothing is trusted
 * before all of it was read again. Records come back in order, at first from the files, then from
 * what is still in memory, while new ones are appended.
 *
 * Owned by one thread at a time. begin(), open(), peek(), remove() and discard() block; nothing
 * else does, if there are jobs to hand the making and removing of files to.
 *
 * The folder holds segments, 0000000001.spool and so on without a gap. All numbers are le.
 *
 *   Segment: header, records.
 *   Header (136 bytes): "NWSPOOL\n", u32 version (2), u32 timeline, u64 system identifier,
 *     u32 database oid, u32 0, u64 id of the spool (random), u64 number of the segment, u64 number
 *     of its first record, u64 position at its beginning, 64 bytes name of the slot (NUL-padded),
 *     u64 XXH3-64 of all before it. Later versions keep its size, the version's place, and the
 *     checksum.
 *   Record: u64 checksum, u64 lsn, u64 position (0: none), u32 size of the body, u8 kind, 3 bytes
 *     0, body. Kinds are those of enum nw_spool_kind, and 5 (trim): the body is a u64, and records
 *     below that number may be gone. Records are numbered from 1 on through all segments.
 *     checksum = XXH3-64 of all behind it, xor (id + number * 0x9e3779b97f4a7c15): a record that
 *     stands at another's place, or comes from another spool, is not taken for right.
 *
 * Records are removed with their segments, and only up to a segment that begins with a state: with
 * what its owner must know to begin there. In version 1, which is read too, there was none.
 *
 * A segment is begun only when the one before it is synced, so only the last may end in a torn
 * record. Two more names: begin.tmp is a segment that was never begun, and removed.tmp says that
 * the spool is being removed, so that what else is there is of no use to anyone.
 */
#ifndef NW_SOURCE_SPOOL_H
#define NW_SOURCE_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cursor.h"
#include "io/env.h"
#include "ring/job.h"
#include "source/position.h"
#include <narwal/status.h>

/* Not yet written, it is at most so much in memory; only one record that is larger passes it. */
#define NW_SPOOL_MEMORY_BYTES_MAX (8u << 20)
/* A server's message is below 1 GiB. */
#define NW_SPOOL_BODY_BYTES_MAX ((1u << 30) + (1u << 20))
#define NW_SPOOL_SEGMENT_BYTES  (64u << 20)
#define NW_SPOOL_REMOVE_MAX     4u /* segments that one remove() removes */

enum nw_spool_kind {
    NW_SPOOL_MESSAGE = 1,  /* what one XLogData carried */
    NW_SPOOL_RESTART = 2,  /* a new connection: what was half received before is void */
    NW_SPOOL_STATE = 3,    /* begins a segment; its position is the one that was reached before */
    NW_SPOOL_POSITION = 4, /* nothing but a position */
};

struct nw_spool_record {
    enum nw_spool_kind kind;
    uint64_t number; /* from next() */
    uint64_t lsn;
    uint64_t position_lsn; /* all committed before it is in the spool, with this record; 0: none */
    struct nw_bytes body;
};

struct nw_spool_options {
    struct nw_env *env;
    const char *folder; /* its parent exists; borrow until destroyed */
    struct nw_identity identity;
    uint64_t quota_bytes;
    /* 0: NW_SPOOL_SEGMENT_BYTES; at most a fourth of the quota. A larger record has its own. */
    uint64_t segment_bytes;
    /* For step(): makes and removes segments' files. The owner collects. NULL: step() blocks. */
    struct nw_jobs *jobs;
    /* For open(), which reads everything; any may be NULL. */
    void (*progress)(void *context, uint64_t done_bytes, uint64_t all_bytes);
    bool (*stopping)(void *context); /* asked for each read and segment */
    void *context;
};

/** Why append() said NW_AGAIN; NW_SPOOL_FREE again when it is worth another try. */
enum nw_spool_pressure {
    NW_SPOOL_FREE,
    NW_SPOOL_BEHIND,  /* the disk is slower than the server: soon there is room again */
    NW_SPOOL_FULL,    /* the quota is used up: only trim() makes room */
    NW_SPOOL_BLOCKED, /* the disk is full, or takes no new file: step() tries again each second */
};

struct nw_spool_status {
    uint64_t bytes, quota_bytes; /* bytes: of all segments, with what is not written yet */
    uint64_t memory_bytes;       /* not written yet */
    uint64_t segments;
    uint64_t first_lsn;                              /* all committed from here ... */
    uint64_t end_lsn;                                /* ... to here is in it */
    uint64_t synced_lsn;                             /* durable of that */
    uint64_t first_record, next_record, read_record; /* next: to append; read: to give next */
    uint32_t
        timeline; /* of the newest segment: whether it passed a switch is the caller's to ask */
    enum nw_spool_pressure pressure;
};

struct nw_spool;

/**
 * A new, empty spool: everything committed from lsn on will be in it. Durable when it returns.
 * @param spool  give
 * @return NW_FATAL when there is one already.
 */
NW_MUST_CHECK nw_status nw_spool_begin(const struct nw_spool_options *options, uint64_t lsn,
                                       struct nw_spool **spool, struct nw_error *err);
/**
 * Open what a former process left, verify all of it, and stand at its beginning. An unsynced end is
 * cut off. (A spool that no sink needs, since all have what was acknowledged, may well end before
 * that: it is discarded, not opened.)
 *
 * @param acknowledged_lsn  what the server was told: the spool must reach it.
 * @param spool             give; NULL when there is none.
 * @return NW_FATAL when it is damaged, incomplete, of another source or of a newer narwal; NW_RETRY
 *         when it could not be read, or was stopped.
 */
NW_MUST_CHECK nw_status nw_spool_open(const struct nw_spool_options *options,
                                      uint64_t acknowledged_lsn, struct nw_spool **spool,
                                      struct nw_error *err);
/**
 * From where on a former process's spool has what was committed, as its first segment says: a few
 * bytes are read, and nothing is verified or changed.
 * @param first_lsn  0: that segment does not say, and open() says why; UINT64_MAX: there is none.
 * @return NW_RETRY when it could not be read.
 */
NW_MUST_CHECK nw_status nw_spool_peek(const struct nw_spool_options *options, uint64_t *first_lsn,
                                      struct nw_error *err);
/** From now on step() hands what blocks to these jobs. Before it runs. */
void nw_spool_use(struct nw_spool *spool, struct nw_jobs *jobs);
/**
 * Waits for what is under way, and leaves the files as they are. NULL is fine. With jobs: none of
 * ours is running any more (their thread ended, or they were collected).
 */
void nw_spool_destroy(struct nw_spool *spool);
/**
 * Remove all files and the folder, synced. Only destroy() may follow. Cut short by a failure or the
 * end of the process, it is finished by the next open(), which then finds no spool. A segment takes
 * some 20 ms, so a call removes only a few. With jobs, it is one itself, so that those of step()
 * are done when it runs.
 * @return NW_AGAIN when segments are left: call it again, when others had their turn.
 */
NW_MUST_CHECK nw_status nw_spool_remove(struct nw_spool *spool, struct nw_error *err);
/** The same for a spool that is not open, whatever its state. Of options: env and folder. */
NW_MUST_CHECK nw_status nw_spool_discard(const struct nw_spool_options *options,
                                         struct nw_error *err);

/**
 * Add a record; its number is ignored. Copied. A state begins a new segment, with the position that
 * is reached, whatever its own is: nothing behind it may need what is before it.
 * @return NW_AGAIN when there is no room now; nw_spool_pressure() says why. NW_RETRY and NW_FATAL
 *         are for good: open again.
 */
NW_MUST_CHECK nw_status nw_spool_append(struct nw_spool *spool,
                                        const struct nw_spool_record *record, struct nw_error *err);
/** Whether a segment is large enough for the next to begin, with a state of this size. */
bool nw_spool_state_is_due(const struct nw_spool *spool, uint64_t state_bytes);
enum nw_spool_pressure nw_spool_pressure(const struct nw_spool *spool);
/** Why it is NW_SPOOL_BLOCKED; NULL: it is not. What is not synced stays in memory meanwhile. */
const char *nw_spool_blocked(const struct nw_spool *spool);
/** Write out and sync what there is, without waiting for more; step() does it. */
void nw_spool_flush(struct nw_spool *spool);
/**
 * Take in what is finished, start what is due. To be called often.
 * @param work  added to: how much was done.
 * @return NW_RETRY when the disk failed, NW_FATAL when it could not sync, also for want of room.
 * For good: only what nw_spool_synced_lsn() says can be relied on.
 */
NW_MUST_CHECK nw_status nw_spool_step(struct nw_spool *spool, int64_t now_ns, uint32_t *work,
                                      struct nw_error *err);
/** Everything committed before it is durable here. Never goes back. */
uint64_t nw_spool_synced_lsn(const struct nw_spool *spool);
/** When step() or next() has something to do again; INT64_MAX: when something was appended. */
int64_t nw_spool_deadline(const struct nw_spool *spool, int64_t now_ns);

/**
 * The next record, borrowed until the next call of this function. When the beginning of the spool
 * was trimmed the first is a state; later ones say nothing new.
 * @param end  set when the reader has everything that was appended: there is no record now.
 * @return NW_AGAIN while the disk is read; NW_CORRUPT names file and offset.
 */
NW_MUST_CHECK nw_status nw_spool_next(struct nw_spool *spool, struct nw_spool_record *record,
                                      bool *end, struct nw_error *err);
/**
 * Records below this number are not needed any more, not even after a crash: segments that hold
 * none but such, and were read, are removed by step(), up to one that begins with a state.
 */
void nw_spool_trim(struct nw_spool *spool, uint64_t number);

void nw_spool_status(const struct nw_spool *spool, struct nw_spool_status *status);

#endif
