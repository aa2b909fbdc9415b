/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commit journal: PATH/_journal/journal-<fencing>-<number>.log, lines of `<crc32> <json>\n`.
 * The file with the highest numbers is the one in force; its first record is the whole state. The
 * format is specified in docs/files.md.
 *
 * PATH/_journal/owner holds the fencing number of the process that may write. Owned by the thread
 * that calls recover() and commit().
 */
#ifndef NW_SINKS_FILE_JOURNAL_H
#define NW_SINKS_FILE_JOURNAL_H

#include "state.h"

#define NW_PATH_MAX         4096u
#define NW_JOURNAL_SIZE_MAX (UINT64_C(1) << 30)

struct nw_journal {
    const struct nw_host *host; /* borrow */
    const char *path;           /* borrow: the folder of the sink */
    bool open;
    int file;
    uint64_t size;
    uint64_t fencing; /* ours */
    uint64_t number;  /* of the file in force */
};

/** What a folder has in _journal. */
struct nw_journal_found {
    bool any; /* there is a journal file */
    uint64_t fencing;
    uint64_t number;
    bool owner;       /* there is an owner file */
    uint64_t claimed; /* the highest number that somebody took */
};

/** Write "<path>/<a>" or "<path>/<a>/<b>"; NW_FATAL when it is longer than NW_PATH_MAX. */
NW_MUST_CHECK nw_status nw_path_join(char path[NW_PATH_MAX], const char *folder, const char *a,
                                     const char *b, struct nw_error *err);

/** Read a whole file, at most size_max bytes, into `out`. */
NW_MUST_CHECK nw_status nw_file_load(const struct nw_host *host, const char *path,
                                     uint64_t size_max, struct nw_out *out, struct nw_error *err);

/** Write bytes to a file at an offset, all of them or an error. */
NW_MUST_CHECK nw_status nw_file_store(const struct nw_host *host, int file, uint64_t offset,
                                      const struct nw_out *bytes, struct nw_error *err);

/** The same failure, with where it was: an operation knows its file only by number. */
NW_MUST_CHECK nw_status nw_file_failed(nw_status status, const char *path, struct nw_error *err);

/** Sync one file. A failure is NW_FATAL: what was written is then unknown for good. */
NW_MUST_CHECK nw_status nw_file_sync(const struct nw_host *host, int file, const char *name,
                                     struct nw_error *err);

/** Look what is there; a missing folder is an error. */
NW_MUST_CHECK nw_status nw_journal_find(const struct nw_host *host, const char *path,
                                        struct nw_journal_found *found, struct nw_error *err);

/** A journal being read. */
struct nw_journal_reading {
    const struct nw_host *host; /* borrow */
    const char *path;           /* borrow: the folder of the sink */
    struct nw_state *state;     /* borrow: brought to the journal's end */
    /* Called for every record, after it was applied to the state. May be NULL. */
    nw_status (*each)(void *context, const struct nw_state *record, struct nw_error *err);
    void *context;
    uint64_t torn; /* filled: bytes of a last record that was never committed */
};

/**
 * Read a journal file and bring the state to its end.
 *
 * A torn last record was never committed and is ignored; anything else that does not fit is
 * NW_CORRUPT.
 */
NW_MUST_CHECK nw_status nw_journal_read(struct nw_journal_reading *reading,
                                        const struct nw_journal_found *found, struct nw_error *err);

/** The fencing number in the owner file. */
NW_MUST_CHECK nw_status nw_owner_read(const struct nw_host *host, const char *path,
                                      uint64_t *fencing, struct nw_error *err);

/**
 * Take over: from when this returns every other process fails in nw_journal_append(). Fills
 * journal->fencing, also on failure: 0 when no number was taken.
 * @param former  the number that this process had before; 0: none. NW_FATAL when somebody has had
 *                a higher one since.
 */
NW_MUST_CHECK nw_status nw_owner_take(struct nw_journal *journal, uint64_t former,
                                      struct nw_error *err);
/** NW_FATAL when somebody has taken over. */
NW_MUST_CHECK nw_status nw_owner_check(const struct nw_journal *journal, struct nw_error *err);

/** Begin a new journal file with the whole state; the former ones are removed. */
NW_MUST_CHECK nw_status nw_journal_begin(struct nw_journal *journal, struct nw_state *state,
                                         struct nw_error *err);

/**
 * Append a record and sync it: the commit. NW_FATAL when another process has taken over, or the
 * sync failed; with NW_RETRY the record may or may not be there.
 */
NW_MUST_CHECK nw_status nw_journal_append(struct nw_journal *journal, const struct nw_state *record,
                                          struct nw_error *err);

void nw_journal_close(struct nw_journal *journal);

#endif
