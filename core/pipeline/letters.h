/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dead letters of a pipeline: dead-letters.db in its state folder, which sinks that are
 * configured so write and `narwal dead-letter` reads, whether a narwal runs or not.
 *
 * An SQLite database of mode 0600 in WAL mode, so that whoever reads it holds up nobody. Each
 * letter has the XXH3 of what it says. Blocking; a struct belongs to one thread at a time.
 *
 * Format version 1 (user_version), table letter: id, never given twice; sink; source, the system
 * identifier; relation_oid, schema_name, table_name; op I, U or D; generation of the copy that the
 * row is of, 0: of the stream; commit_lsn, row_lsn, seq (of a copied row its hash) and hash, which
 * are 64 bits without a sign; xid; commit_us and refused_us since 1970; reason; row, JSON as
 * docs/operations.md says; bytes, what counts for the quota. Table tally: letters and bytes of each
 * table at each sink, by triggers.
 */
#ifndef NW_PIPELINE_LETTERS_H
#define NW_PIPELINE_LETTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sink/letter.h"

#define NW_LETTERS_FILE        "dead-letters.db"
#define NW_LETTERS_NAME_SIZE   64u
#define NW_LETTERS_TABLES_MAX  64u
#define NW_LETTERS_SINKS_MAX   32u
#define NW_LETTERS_REASON_SIZE NW_ERROR_TEXT_SIZE

struct nw_letters_file;

/** A sink that writes. */
struct nw_letters_options {
    const char *state_folder; /* borrow until closed, as all */
    const char *sink;
    uint64_t system_identifier;
    uint64_t quota_bytes;
    uint32_t refusals_max;
};

/**
 * For a sink. The file is made with its first letter.
 * @param file  give
 */
NW_MUST_CHECK nw_status nw_letters_open(const struct nw_letters_options *options,
                                        struct nw_letters_file **file, struct nw_error *err);
/** For whoever looks, or discards. *file is NULL when there is none. */
NW_MUST_CHECK nw_status nw_letters_look(const char *state_folder, struct nw_letters_file **file,
                                        struct nw_error *err);
void nw_letters_close(struct nw_letters_file *file); /* NULL is fine */

/** What a sequencer is given; good until it is closed. */
const struct nw_letter_store *nw_letters_store(struct nw_letters_file *file);
/** The keys of the sink's letters of this source; stops when the callback fails. */
NW_MUST_CHECK nw_status nw_letters_keys(struct nw_letters_file *file,
                                        nw_status (*each)(void *context,
                                                          const struct nw_letter_key *key,
                                                          struct nw_error *err),
                                        void *context, struct nw_error *err);
/** Remove what copies that are whole made useless. */
NW_MUST_CHECK nw_status nw_letters_copied(struct nw_letters_file *file,
                                          const struct nw_letter_copy *copies, uint32_t count,
                                          struct nw_error *err);

/** How many there are. */
struct nw_letters_count {
    char sink[NW_LETTERS_NAME_SIZE];
    char schema_name[NW_LETTERS_NAME_SIZE]; /* "" of a sum, as the next */
    char table_name[NW_LETTERS_NAME_SIZE];
    uint32_t relation_oid;
    uint64_t letters, bytes;
};
struct nw_letters_tally {
    uint64_t letters, bytes;
    uint32_t sinks_count;
    struct nw_letters_count sinks[NW_LETTERS_SINKS_MAX];
    uint32_t tables_count; /* at sinks, of which the first are listed: those with most letters */
    struct nw_letters_count tables[NW_LETTERS_TABLES_MAX];
};
NW_MUST_CHECK nw_status nw_letters_tally(struct nw_letters_file *file,
                                         struct nw_letters_tally *tally, struct nw_error *err);

/** Which ones a command means. */
struct nw_letters_choice {
    const char *sink;   /* NULL: any */
    const char *table;  /* schema.table; NULL: any */
    const int64_t *ids; /* of these only, if there are any */
    uint32_t ids_count;
};
/** One, as it is read; texts are borrowed for the call. */
struct nw_letters_line {
    int64_t id;
    const char *sink, *source, *schema_name, *table_name, *op, *reason;
    const char *row; /* JSON */
    uint32_t relation_oid, generation, xid;
    uint64_t commit_lsn, row_lsn, seq, bytes;
    int64_t commit_us, refused_us;
};
/** In the order of their ids. NW_CORRUPT: one says something else than was written. */
NW_MUST_CHECK nw_status nw_letters_each(
    struct nw_letters_file *file, const struct nw_letters_choice *choice,
    nw_status (*each)(void *context, const struct nw_letters_line *line, struct nw_error *err),
    void *context, struct nw_error *err);
/** @param removed  filled: how many there were */
NW_MUST_CHECK nw_status nw_letters_discard(struct nw_letters_file *file,
                                           const struct nw_letters_choice *choice,
                                           uint64_t *removed, struct nw_error *err);

#endif
