/* SPDX-License-Identifier: Apache-2.0 */
/*
 * narwal's own state: what was acknowledged to which server, synced before the server hears of it.
 *
 * An SQLite database in the state folder, locked against a second process. It is not needed to
 * resume: source and sinks suffice. It is what tells "resumable" from "somebody moved the slot".
 * Blocking; one thread at a time.
 */
#ifndef NW_PIPELINE_STATE_H
#define NW_PIPELINE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "source/position.h"
#include <narwal/status.h>

struct nw_state;
struct sqlite3;

/** What is known of the source. */
struct nw_state_source {
    bool known; /* false: the state is empty */
    struct nw_identity identity;
    uint64_t acknowledged_lsn; /* the highest that the server was told */
    uint32_t generation;       /* the highest that a copy of ours had */
};

/**
 * Open, making it when there is none.
 * @return NW_FATAL when another process has it, or a newer narwal wrote it.
 */
NW_MUST_CHECK nw_status nw_state_open(const char *folder, struct nw_state **state,
                                      struct nw_error *err);
void nw_state_close(struct nw_state *state); /* NULL is fine */
/**
 * Lock a folder that is to go, and read what is known of its source; nothing is made. The lock is
 * let go of by close().
 * @param lock  filled: -1: there is none, so no narwal either.
 * @param source  known is false also when it cannot be read.
 * @return NW_FATAL when another process has the folder, or it cannot be looked at.
 */
NW_MUST_CHECK nw_status nw_state_hold(const char *folder, int *lock, struct nw_state_source *source,
                                      struct nw_error *err);
/**
 * Make sure that an SQLite database, and what it has beside it, is of mode 0600.
 * @param made  filled: there was none, and an empty one was made
 */
NW_MUST_CHECK nw_status nw_private_file(const char *path, bool *made, struct nw_error *err);
/** The database, for what else is kept there; borrow. */
struct sqlite3 *nw_state_database(struct nw_state *state);
/** One statement that writes so many rows into a table of it, or replaces them. Give; NULL: out of
 * memory. */
char *nw_state_insert(const char *table, uint32_t columns, uint32_t rows);

NW_MUST_CHECK nw_status nw_state_source_read(struct nw_state *state, struct nw_state_source *source,
                                             struct nw_error *err);
/** Record a source, replacing what was there. */
NW_MUST_CHECK nw_status nw_state_source_write(struct nw_state *state,
                                              const struct nw_state_source *source,
                                              struct nw_error *err);
/** A first copy begins, and what the slot has from an LSN on comes behind it. */
NW_MUST_CHECK nw_status nw_state_copying_write(struct nw_state *state, const char *slot_name,
                                               uint64_t lsn, struct nw_error *err);
/** It is whole. */
NW_MUST_CHECK nw_status nw_state_copying_end(struct nw_state *state, struct nw_error *err);
/** @param lsn  filled; 0: no copy of this slot's is under way */
NW_MUST_CHECK nw_status nw_state_copying_read(struct nw_state *state, const char *slot_name,
                                              uint64_t *lsn, struct nw_error *err);
/** Synced when it returns NW_OK; then, and not before, the server may be told. */
NW_MUST_CHECK nw_status nw_state_acknowledge(struct nw_state *state, uint64_t lsn, const char *why,
                                             struct nw_error *err);

#endif
