/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file sink's insides. ARCHITECTURE of a commit:
 *
 *   workers                                  coordinator
 *   write: lines into a buffer per table
 *   seal:  buffers into the files, then      commit: sync the files and folders of the epochs,
 *          hand over what changed  ────────►         append one synced record to the journal
 *
 * Threads: a worker's struct belongs to its thread. `state`, `sealed` and what follows them are
 * shared and under `lock`; everything else in the sink belongs to the coordinator's thread.
 * recover() runs alone and touches all.
 */
#ifndef NW_SINKS_FILE_FILE_H
#define NW_SINKS_FILE_FILE_H

#include <pthread.h>

#include "form.h"
#include "journal.h"
#include "lib/chunk.h"
#include "lib/json.h"

#define NW_MESSAGES_FOLDER "_messages"
#define NW_ROWS_PER_LOOK   64u /* rows between two looks at how full a buffer is */

/** Lines of one kind on their way into one file. */
struct nw_stream {
    enum nw_data_kind kind;
    bool open;    /* `file` is */
    bool dirty;   /* has bytes that no seal has told of */
    bool planned; /* its buffer is being written */
    int file;
    uint64_t number;
    uint32_t generation;
    uint64_t size;  /* bytes written to the file */
    uint64_t lines; /* with those in the buffer */
    uint32_t crc;
    int64_t opened_ns;
    char *path; /* inside the folder; told by the first seal, then NULL */
    struct nw_out buffer;
    bool holds;              /* a copied row is kept, see form.h */
    struct nw_out held;      /* it */
    struct nw_out held_last; /* as it is when it is the table's last */
    /* In Avro, see avro.c. */
    struct nw_out header; /* of the file, until it is written */
    struct nw_out block;  /* rows that are in no block of the buffer yet */
    uint64_t block_rows;
    bool synced; /* `sync` was made up */
    uint8_t sync[16];
};

/** A schema version that has a file. */
struct nw_known_schema {
    uint64_t hash;
    uint32_t number;
};

/** A table as its worker sees it, ahead of what is committed. */
struct nw_file_table {
    struct nw_data_table data; /* strings owned */
    bool changed;              /* data has to be journalled */
    const struct nw_table *version;
    struct nw_json_layout *layout; /* of `version`; NULL in another form than lines */
    struct nw_file_form *form;     /* the same in that; NULL: lines */
    struct nw_change_order order;  /* of its changes, in a form */
    uint64_t copied;               /* rows of the copy under way, in a form; or not 0 */
    uint32_t schema;               /* number of the schema file of `version` */
    struct nw_known_schema *known;
    size_t known_count;
    bool folder_touched; /* has a new file in this epoch */
    struct nw_stream changes;
    struct nw_stream copy;
};

/** What a worker hands over when it seals an epoch. */
struct nw_sealed {
    struct nw_sealed *next;
    uint64_t epoch;
    struct nw_state changes; /* a part of the record to come */
    struct nw_sealed_file {
        int file;
        bool sync;
        bool close; /* after the commit */
    } * files;
    size_t files_count, files_capacity;
    char **folders; /* to be synced; "" is the sink's folder itself */
    size_t folders_count, folders_capacity;
};

struct nw_file_sink;

struct nw_file_worker {
    struct nw_file_sink *sink;
    struct nw_file_table **tables; /* by nw_table.id */
    size_t tables_count;
    struct nw_file_table *messages;
    struct nw_sealed *sealing; /* of the epoch being written; NULL: nothing yet */
    size_t buffered;           /* bytes in all buffers */
    size_t open_count;
    struct nw_chunk *chunk;
    struct nw_out packed;  /* compressed chunks of one flush */
    struct nw_out keys[2]; /* of an update, by side */
    struct nw_out frame;   /* a block of Avro, compressed */
    int64_t now_ns;        /* since 1970: of the batch, in a form */
    bool positioned;       /* as the sink's, for the batch */
    struct nw_file_op *ops;
    size_t ops_count, ops_capacity;
};

struct nw_file_options {
    const char *path;
    const char *suffix; /* of data files: ".jsonl", ".jsonl.gz" */
    enum nw_chunk_kind compress;
    bool packs; /* what is flushed is compressed; false: nothing is, or blocks of Avro are */
    int level;
    uint64_t rotate_size;
    int64_t rotate_ns;
    uint64_t buffer_size;
    uint64_t journal_size;
    uint32_t open_files_max;
    struct nw_file_form_options form;
};

struct nw_file_sink {
    const struct nw_host *host;
    struct nw_file_options options;
    uint32_t workers_count;
    bool recovered;   /* workers may be called; changed by recover() only */
    bool begun;       /* there is a journal, of ours or of a former process */
    uint64_t fencing; /* the last number that this process took; 0: none yet */
    bool locked;
    int lock_file;
    struct nw_journal journal;
    struct nw_state pending;       /* verdicts on copies, for the next commit */
    struct nw_position *positions; /* given out by recover */
    struct nw_copy_state *copies;

    pthread_mutex_t lock;
    struct nw_state state;
    struct nw_sealed *sealed; /* oldest first */
    uint64_t number_last;
    bool positioned;    /* a position is stored: what is copied now is not the first copy */
    uint32_t first_oid; /* the table of the first copied row; 0: none yet */

    struct nw_file_worker workers[NW_DATA_WORKERS_MAX];
};

/* worker.c: called by the worker's thread. */
nw_status nw_file_table_enter(struct nw_file_worker *worker, const struct nw_table *version,
                              struct nw_file_table **table, struct nw_error *err);
nw_status nw_file_copy_begin(struct nw_file_worker *worker, const struct nw_table *version,
                             uint32_t generation, struct nw_error *err);
nw_status nw_file_copy_end(struct nw_file_worker *worker, const struct nw_table *version,
                           uint32_t generation, struct nw_error *err);
nw_status nw_file_rows(struct nw_file_worker *worker, const struct nw_batch *batch,
                       struct nw_error *err);
nw_status nw_file_event(struct nw_file_worker *worker, const struct nw_event *event,
                        struct nw_error *err);
nw_status nw_file_seal(struct nw_file_worker *worker, uint64_t epoch, struct nw_error *err);
void nw_file_worker_reset(struct nw_file_worker *worker);

/* table.c: tables of a worker, their folders and schema files. */
nw_status nw_file_table_find(struct nw_file_worker *worker, const struct nw_table *version,
                             struct nw_file_table **table, struct nw_error *err);
nw_status nw_file_messages_find(struct nw_file_worker *worker, struct nw_file_table **table,
                                struct nw_error *err);
nw_status nw_file_schema_enter(struct nw_file_worker *worker, struct nw_file_table *table,
                               const struct nw_table *version, struct nw_error *err);
void nw_file_table_destroy(struct nw_file_table *table);

/* stream.c: buffers and data files of a worker. */
nw_status nw_file_flush(struct nw_file_worker *worker, struct nw_error *err);
/** When the buffers are full together, write the larger ones: small writes make poor chunks. */
nw_status nw_file_flush_some(struct nw_file_worker *worker, struct nw_error *err);
/** Open a new file in the table's folder. @param data  number, oid and path (give) are filled. */
nw_status nw_file_create(struct nw_file_worker *worker, struct nw_file_table *table,
                         struct nw_data_file *data, int *file, struct nw_error *err);
/** Tell the record to come what the stream's file has now. */
nw_status nw_stream_tell(struct nw_file_worker *worker, struct nw_file_table *table,
                         struct nw_stream *stream, bool close, struct nw_error *err);

/* avro.c: what files in Avro have beside rows. */
/** Into stream->header, for a file that begins. */
nw_status nw_file_avro_header(const struct nw_file_sink *sink, const struct nw_file_table *table,
                              struct nw_stream *stream, struct nw_error *err);
/** After a row was appended to stream->block. */
nw_status nw_file_avro_row_added(struct nw_file_worker *worker, struct nw_stream *stream,
                                 struct nw_error *err);
/** The rows that are in no block become one, in the buffer. */
nw_status nw_file_avro_block_end(struct nw_file_worker *worker, struct nw_stream *stream,
                                 struct nw_error *err);

/* sealed.c: what is handed over. */
nw_status nw_sealing(struct nw_file_worker *worker, struct nw_sealed **sealed,
                     struct nw_error *err);
nw_status nw_sealed_file(struct nw_sealed *sealed, int file, bool sync, bool close,
                         struct nw_error *err);
nw_status nw_sealed_folder(struct nw_sealed *sealed, const char *folder, struct nw_error *err);
/** @param host  not NULL: close all files that were to be closed. */
void nw_sealed_destroy(struct nw_sealed *sealed, const struct nw_host *host);

/* commit.c and recover.c: called by the coordinator's thread. */
nw_status nw_file_commit(struct nw_file_sink *sink, const struct nw_commit *commit,
                         enum nw_outcome *outcome, struct nw_error *err);
nw_status nw_file_recover(struct nw_file_sink *sink, struct nw_recovery *recovery,
                          struct nw_error *err);
nw_status nw_file_copy_resolve(struct nw_file_sink *sink, uint32_t oid, uint32_t generation,
                               enum nw_copy_verdict verdict, struct nw_error *err);
/** Forget everything that is not committed and close all files but the lock. */
void nw_file_reset(struct nw_file_sink *sink);

/* verify.c */
nw_status nw_file_verify(const struct nw_host *host, const char *path,
                         void (*report)(void *context, const char *line), void *context,
                         struct nw_error *err);

#endif
