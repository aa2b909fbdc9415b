/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the spool share: its struct, and its byte format (spool_format.c). */
#ifndef NW_SOURCE_SPOOL_PRIVATE_H
#define NW_SOURCE_SPOOL_PRIVATE_H

#include <assert.h>

#include "source/spool.h"

#define NW_SPOOL_VERSION             2u
#define NW_SPOOL_HEADER_BYTES        136u
#define NW_SPOOL_RECORD_HEADER_BYTES 32u
#define NW_SPOOL_TRIM                5u /* a kind of our own */
#define NW_SPOOL_CHUNK_BYTES         (1u << 20)
#define NW_SPOOL_CHUNKS              (NW_SPOOL_MEMORY_BYTES_MAX / NW_SPOOL_CHUNK_BYTES)
#define NW_SPOOL_READ_BYTES          (1u << 20) /* read at once; two such are under way or read */
#define NW_SPOOL_PATH_SIZE           4096u
#define NW_SPOOL_BEGIN_NAME          "begin.tmp"
#define NW_SPOOL_REMOVED_NAME        "removed.tmp"

static_assert(NW_SPOOL_CHUNK_BYTES <= NW_SPOOL_READ_BYTES, "what is in memory fits into a piece");

/* ---- format ---- */

struct nw_spool_header {
    uint32_t version;
    struct nw_identity identity;
    uint64_t id;
    uint64_t number, first_record, first_lsn;
};

/** @param bytes  NW_SPOOL_HEADER_BYTES of them */
void nw_spool_header_put(const struct nw_spool_header *header, uint8_t *bytes);
/** @return whether the bytes are a header; of a newer version only `version` is filled. */
bool nw_spool_header_take(struct nw_bytes bytes, struct nw_spool_header *header);

/** Size of the body of the record whose header is at `at`, which nobody checked yet. */
uint32_t nw_spool_record_body_size(const uint8_t *at);
/** @param at  room for NW_SPOOL_RECORD_HEADER_BYTES and the body. */
void nw_spool_record_put(const struct nw_spool_record *record, uint32_t kind, uint64_t id,
                         uint8_t *at);
/**
 * Check and take the record of this number, which the bytes are exactly.
 * @return why it is none, or NULL
 */
const char *nw_spool_record_take(struct nw_bytes bytes, uint64_t id, uint64_t number,
                                 struct nw_spool_record *record, uint32_t *kind);

/* ---- the spool ---- */

struct nw_spool_segment {
    uint64_t number, first_record, first_lsn;
    uint64_t bytes;    /* with what is in memory only */
    bool stands_alone; /* it begins with a state */
};

/* How far something has come: after which record. */
struct nw_spool_mark {
    uint64_t offset; /* in the segment's file */
    uint64_t total;  /* bytes appended since the spool was opened */
    uint64_t record, lsn;
};

/* Records on their way to the file. [0, started) was handed to the kernel, [0, written) is there.
 */
struct nw_spool_chunk {
    struct nw_file_op op; /* first, so that a finished op finds its chunk */
    bool busy;
    bool refused; /* the disk had no room for it: it is written again */
    uint8_t *bytes;
    uint32_t capacity, size, started, written;
    uint64_t segment;         /* number */
    uint64_t offset;          /* in its file */
    struct nw_spool_mark end; /* after what it holds */
    struct nw_spool_mark started_end, written_end;
};

static_assert(offsetof(struct nw_spool_chunk, op) == 0, "a finished op finds its chunk");

/* A piece of a file that was read. What the last left over is copied in front of it. */
struct nw_spool_piece {
    struct nw_file_op op;
    bool busy;
    uint8_t *bytes;      /* NW_SPOOL_READ_BYTES in front, and as many to read into */
    uint32_t head, tail; /* unread; equal: empty */
};

struct nw_spool_reader {
    uint64_t segment; /* number */
    int file;         /* -1: none */
    uint64_t at;      /* offset of the next record */
    uint64_t read_at; /* offset of what is to be read next */
    uint64_t record;  /* number of the next record */
    struct nw_spool_piece pieces[2];
    unsigned current;
    struct nw_file_op large_op;
    bool large_busy, large_done;
    uint8_t *large; /* a record that no piece holds */
};

struct nw_spool {
    struct nw_spool_options options;
    struct nw_io *io;
    uint32_t under_way; /* operations */
    uint64_t id;
    struct nw_error failure; /* of writing or syncing: for good */

    struct nw_spool_segment *segments; /* [segments_first, segments_count) */
    size_t segments_first, segments_count, segments_capacity;
    uint64_t bytes; /* of all segments */
    uint32_t timeline;
    struct nw_spool_mark end; /* appended */

    struct nw_spool_chunk chunks[NW_SPOOL_CHUNKS]; /* a ring */
    uint32_t chunks_head, chunks_count;
    uint64_t chunks_bytes;
    bool appending;        /* whether the last segment is one that we began */
    int file;              /* of the segment that is written; -1: none */
    uint64_t file_segment; /* its number */
    int next_file;         /* made early, by its job; -1: none */
    uint64_t next_segment; /* its number */
    struct nw_job make_job, remove_job;
    bool making, removing; /* the job was started, and its end not yet seen */
    uint64_t removing_segment;
    struct nw_spool_mark written, synced;
    int64_t unsynced_ns; /* when step() first saw what no sync covers; 0: it saw nothing */
    uint64_t due_record; /* to be written and synced as soon as possible up to this; 0: none */
    bool hurry;          /* somebody waits for room: write what there is */
    struct nw_file_op sync_op;
    bool sync_busy;
    struct nw_spool_mark sync_end; /* what the sync under way covers */
    enum nw_spool_pressure pressure;
    bool make_refused;   /* the next segment's file could not be made */
    bool refused;        /* something was, which step() has not seen yet */
    struct nw_error why; /* of what was refused last */
    int64_t retry_ns;    /* nothing is written before; 0: at once */
    bool said;           /* that it is refused; not yet that it is not any more */

    uint64_t trim_wanted, trim_noted; /* record numbers: asked for; said by a record */
    uint64_t trim_record;             /* that record */
    uint64_t trim_before;             /* as trim_noted, by the record before that */

    struct nw_spool_reader reader;
};

/** The path of a segment. @return path */
const char *nw_spool_path(const char *folder, uint64_t number, char path[NW_SPOOL_PATH_SIZE]);
/** The path of another file in the folder. @return path */
const char *nw_spool_path_of(const char *folder, const char *name, char path[NW_SPOOL_PATH_SIZE]);

/** The folder that a folder is in. @return its path, in `path` or constant */
const char *nw_spool_parent(const char *folder, char path[NW_SPOOL_PATH_SIZE]);

/** Makes a spool without segments. */
NW_MUST_CHECK nw_status nw_spool_make(const struct nw_spool_options *options,
                                      struct nw_spool **spool, struct nw_error *err);
NW_MUST_CHECK nw_status nw_spool_segment_add(struct nw_spool *spool,
                                             const struct nw_spool_segment *segment,
                                             struct nw_error *err);
struct nw_spool_segment *nw_spool_segment_find(struct nw_spool *spool, uint64_t number);
/** A job's work: makes the file of next_segment. @param context  the spool */
nw_status nw_spool_make_run(void *context, struct nw_error *err);
/** A job's work: removes the file of removing_segment. */
nw_status nw_spool_remove_run(void *context, struct nw_error *err);
/** Closes a file that may be open. */
void nw_spool_file_close(struct nw_spool *spool, int *file);
/** Remembers the first failure: nothing is written any more. @return status */
nw_status nw_spool_broken(struct nw_spool *spool, nw_status status, const struct nw_error *why);
/** Takes in what is finished. With wait, blocks for at least one. */
NW_MUST_CHECK nw_status nw_spool_reap(struct nw_spool *spool, bool wait, struct nw_error *err);
/** Blocks until an operation that nothing else runs beside is done. */
NW_MUST_CHECK nw_status nw_spool_run(struct nw_spool *spool, struct nw_file_op *op,
                                     struct nw_error *err);
/** Blocks until nothing is under way. */
void nw_spool_drain(struct nw_spool *spool);
/** What is in memory from an offset of a segment on, up to a record's end; empty: nothing. */
struct nw_bytes nw_spool_memory_at(const struct nw_spool *spool, uint64_t segment, uint64_t offset);
/** How much of a segment can be read from its file; its end is a record's. */
uint64_t nw_spool_file_bytes(const struct nw_spool *spool, const struct nw_spool_segment *segment);

/** @return false when memory is out; fini() follows anyway */
bool nw_spool_reader_init(struct nw_spool *spool);
/** Let the reader stand at a segment's beginning, which must be there. Nothing is under way. */
void nw_spool_reader_seek(struct nw_spool *spool, const struct nw_spool_segment *segment);
void nw_spool_reader_fini(struct nw_spool *spool);
/** The next record of any kind. */
NW_MUST_CHECK nw_status nw_spool_reader_next(struct nw_spool *spool, struct nw_spool_record *record,
                                             uint32_t *kind, bool *end, struct nw_error *err);

#endif
