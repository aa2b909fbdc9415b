/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sink interface: what a plugin gives to narwal, and what narwal gives to a plugin.
 *
 * A plugin is a shared object that includes only <narwal/...>, exports one function,
 * nw_sink_entry(), and has no undefined symbols of narwal's: all it needs comes in the host table.
 *
 * The life of a sink:
 *
 *   open ─► recover ─► [copy_resolve]* ─► ( table | copy_begin | copy_end | write | event )* ─►
 *           ▲              seal(N) on every worker ─► commit(N) ─► ...                 close
 *           └── after any NW_RETRY, a commit not committed, or one of unknown outcome ──┘
 *
 * - The host cuts the stream into epochs, at transaction boundaries. Everything between seal(N-1)
 *   and seal(N) belongs to epoch N. commit(N) makes all epochs up to N durable and visible, in one
 *   step, together with the position and the copy states it is given. Epoch numbers may have gaps.
 * - recover() is the one way back. It raises the fencing number that the sink itself stores, so
 *   that a former process, or a former try, cannot commit any more; it throws away whatever was not
 *   committed; and it returns what the last commit stored. From this the host knows what to send
 *   again: a commit of unknown outcome is resolved by it, never by trying blindly again. One that
 *   had a number and finds that a later process has taken a higher one fails with NW_FATAL and a
 *   text that begins with NW2406, as its commit() does: it must not take its place back.
 *   After recover() the host sends table() again for each table before its first row.
 * - NW_REJECT from write() stops the table, or, where the user wants dead letters, is answered by
 *   recover() as well: the batch then comes again as batches of one row, of which the sink refuses
 *   the same ones again; those are left out from then on.
 * - Threads: a sink with one worker is called by one thread at a time, always the same one. With
 *   several, each worker has its thread; open, recover, copy_resolve, commit and close come from a
 *   coordinator's thread, and only commit may run beside table/copy/write/event/seal.
 * - A sink that does not have NW_SINK_TOTAL_ORDER gets the rows of each table in commit order.
 *   With it (one worker only), write() calls come in the total commit order: a batch is then a run
 *   of rows of one table between two rows of others.
 */
#ifndef NARWAL_SINK_H
#define NARWAL_SINK_H

#include <narwal/arrow.h>
#include <narwal/batch.h>
#include <narwal/option.h>
#include <narwal/schema.h>
#include <narwal/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NW_SINK_ABI 1u

/** Most bytes that a position or a copy state has. */
#define NW_POSITION_SIZE_MAX 4096u

/**
 * Positions that are equal behind so many bytes are of one place: what is before differs from
 * commit to commit. That is all that a sink may know of them.
 */
#define NW_POSITION_COMMIT_SIZE 17u

/**
 * An opaque byte string made by the source. A sink stores it inside its own commit and gives it
 * back in recover; it never looks inside and never compares.
 */
struct nw_position {
    const uint8_t *bytes; /**< borrow */
    uint32_t size;        /**< 0: none yet, as during the first copy */
    uint64_t lsn;         /**< for people only: everything committed before it is included */
};

/** How far a table's copy is; opaque like a position, and stored in the same commit. */
struct nw_copy_state {
    uint32_t relation_oid;
    uint32_t generation;  /**< of the copy, counts up for each new copy of the table */
    bool complete;        /**< copy_end was sealed in or before this epoch */
    const uint8_t *bytes; /**< borrow; at most NW_POSITION_SIZE_MAX */
    uint32_t size;
};

/** What the sink's last commit stored. The sink owns the memory until the next recover or close. */
struct nw_recovery {
    uint32_t size;            /**< sizeof in the host; filled by the host */
    uint32_t positions_count; /**< 0: nothing stored; 1; or one per worker */
    const struct nw_position *positions;
    uint32_t copies_count; /**< the last copy state of every table that has one */
    const struct nw_copy_state *copies;
    uint64_t fencing; /**< the number this recover took, for logs */
    /* Members above exist since the first version of ABI 1: look at `size` before writing more. */
    /**
     * Of a sink that commits transactions in parts, beyond its positions: the highest commit LSN
     * (as in nw_batch) of a part that is in force. 0: there are none. Narwal does not go on by
     * itself at a server that never had it.
     */
    uint64_t ahead_lsn;
};

/**
 * The positions are no continuation of those before: of another server, or back on the same one.
 * What comes next may have other changes at the places of former ones. See nw_commit.flags.
 */
#define NW_COMMIT_MOVES (1u << 0)
/**
 * With this commit the copies that the run began with are whole, all of them: the latest copied row
 * that the sink has been given is the last one. Said once, or again where it was not committed; not
 * at all where one of these tables was dropped or rewritten while it was copied.
 */
#define NW_COMMIT_COPIED (1u << 1)

/** What commit() has to make durable. Borrowed; copy what an answer given later needs. */
struct nw_commit {
    uint32_t size;
    uint32_t positions_count; /**< 1, or one per worker when recover gave that many */
    uint64_t epoch;
    const struct nw_position *positions;
    uint32_t copies_count; /**< copies that changed since the last commit */
    const struct nw_copy_state *copies;
    /* Members above exist since the first version of ABI 1: look at `size` before reading more. */
    uint32_t flags; /**< NW_COMMIT_... */
};

/** The answer to commit(). */
enum nw_outcome {
    NW_COMMITTED = 1,
    NW_NOT_COMMITTED = 2, /**< surely not; the host recovers and sends the epochs again */
    NW_UNKNOWN = 3,       /**< it may or may not have happened; the host asks recover() */
    NW_PENDING = 4,       /**< nw_host.commit_done() will say */
};

/** What happens to an unfinished copy after recover. */
enum nw_copy_verdict {
    NW_COPY_RESUME = 1,  /**< keep what is committed of it; more comes */
    NW_COPY_DISCARD = 2, /**< remove it; a new generation comes, or none */
};

/**
 * Events come at their place in the stream: a worker gets each behind all rows of changes before it
 * and before all rows of changes after it, whether the sink has NW_SINK_TOTAL_ORDER or not. (Rows
 * of a copy have no place.)
 *
 * With NW_SINK_TRANSACTIONS, a transaction is BEGIN, its changes (rows, TRUNCATE, SCHEMA, the
 * MESSAGEs that are its own), COMMIT; one epoch has all of it. BEGIN comes before the first change,
 * of whatever kind. A transaction without any change has neither; one whose changes this sink has
 * already, or gets by a copy, may have both and nothing between. With several workers BEGIN and
 * COMMIT go to worker 0: they say nothing about what the others get when.
 */
enum nw_event_kind {
    NW_EVENT_BEGIN = 1,  /**< a transaction's first change follows; NW_SINK_TRANSACTIONS only */
    NW_EVENT_COMMIT = 2, /**< its last change came; NW_SINK_TRANSACTIONS only */
    NW_EVENT_TRUNCATE =
        3, /**< the table in `tables` was emptied; one event for each of a TRUNCATE */
    NW_EVENT_MESSAGE = 4, /**< pg_logical_emit_message() */
    NW_EVENT_SCHEMA = 5,  /**< tables[0] is a new schema version, at its place in the stream */
    /**
     * tables[0] was dropped on the server: no change of it follows. PostgreSQL does not send this;
     * it is found out, so it comes some seconds behind the drop, outside of transactions. `lsn` and
     * `commit_lsn` are its place, behind the drop; xid and commit_ts are 0, and the version may
     * have no columns. What the sink has of the table is its own to keep or to remove.
     */
    NW_EVENT_DROP = 6,
};

#define NW_TRUNCATE_CASCADE          1u
#define NW_TRUNCATE_RESTART_IDENTITY 2u

/** Rows that one transaction changed in one table, before any filter (as nw_batch.seq counts). */
struct nw_table_count {
    const struct nw_table *table;
    uint64_t rows_count;
};

/** Something that happened beside rows. Pointers are valid until event() returns. */
struct nw_event {
    uint32_t size;
    enum nw_event_kind kind;
    uint64_t epoch;
    uint64_t lsn;        /**< of the event itself */
    uint64_t commit_lsn; /**< as in nw_batch; of a non-transactional message, 0 */
    uint64_t commit_end_lsn;
    uint64_t seq; /**< as in nw_batch */
    int64_t commit_ts;
    uint32_t xid;
    uint32_t flags;     /**< NW_TRUNCATE_... ; of a message: 1 = transactional */
    const char *origin; /**< "" when local */
    uint32_t tables_count;
    const struct nw_table *const *tables; /**< TRUNCATE, SCHEMA, DROP: one */
    uint32_t counts_count;
    const struct nw_table_count *counts; /**< COMMIT */
    const char *prefix;                  /**< MESSAGE */
    const uint8_t *content;
    uint32_t content_size;
};

/** A file operation, for nw_host.files_run(). */
enum nw_file_verb { NW_FILE_READ = 1, NW_FILE_WRITE = 2, NW_FILE_SYNC = 3 };

struct nw_file_op {
    enum nw_file_verb verb;
    int file;    /**< from nw_host.file_open */
    void *bytes; /**< READ: filled; WRITE: not changed */
    uint64_t offset;
    uint32_t size;
    int32_t result; /**< filled: bytes transferred, or -errno; a READ is short only at the end */
};

#define NW_FILE_CREATE    1u /**< make it if it is not there */
#define NW_FILE_EXCLUSIVE 2u /**< fail when it is there */
#define NW_FILE_READ_ONLY 4u

enum nw_log_level { NW_LOG_ERROR = 1, NW_LOG_WARN = 2, NW_LOG_INFO = 3, NW_LOG_DEBUG = 4 };

/** What a number is that a plugin publishes: nw_host.figure_add(). */
enum nw_figure_kind {
    NW_FIGURE_GAUGE = 1,   /**< goes up and down */
    NW_FIGURE_COUNTER = 2, /**< grows, from 0 when the sink is opened; its name ends in _total */
};

struct nw_host; /* first argument of each host function */

/** Most bytes of a request's key and of its note, with the NUL. */
#define NW_REQUEST_TEXT_SIZE 128u

/** Commands that a sink asks for as a whole: nw_host.ask_all(). */
struct nw_request {
    uint32_t size;               /**< sizeof(struct nw_request) in the plugin */
    uint32_t commands_count;     /**< at least 1 */
    const char *const *commands; /**< borrow */
    /** What is asked for in the name of something that may come again, as a row of a stream, has
     * its name here: by a key that is among the latest 1,024 it is not asked for once more. Borrow;
     * NULL: it has none. */
    const char *key;
    const char *note; /**< borrow; the sink's own: requests() gives it back. NULL: "" */
    bool again;       /**< filled, if NW_OK: it was asked for by this key before */
};

/** One command that was asked for; all borrow. */
typedef void (*nw_request_fn)(void *context, const char *key, const char *note,
                              const char *command);

/**
 * What narwal offers to a plugin. Every function may be called from any thread of the plugin
 * unless it says otherwise. Names are relative to nothing: the plugin passes whole paths.
 */
struct nw_host {
    uint32_t abi;  /**< NW_SINK_ABI of the host */
    uint32_t size; /**< sizeof(struct nw_host) in the host: look before you use a late member */
    void *context; /**< the host's own */

    /** One log line. Never pass row data. */
    NW_PRINTF(3, 4)
    void (*log)(const struct nw_host *host, enum nw_log_level level, const char *format, ...);
    /** Monotonic clock, nanoseconds. */
    int64_t (*now_ns)(const struct nw_host *host);
    /** Wall clock, microseconds since 1970 UTC; may jump. */
    int64_t (*wall_us)(const struct nw_host *host);
    /** Fill with random bytes (a seeded generator in simulation). */
    void (*random)(const struct nw_host *host, void *bytes, size_t size);

    /**
     * Answer a commit() that returned NW_PENDING. Answering an epoch answers those before it.
     * @param err  with NW_NOT_COMMITTED or NW_UNKNOWN: why; borrow. Else NULL.
     */
    void (*commit_done)(const struct nw_host *host, uint64_t epoch, enum nw_outcome outcome,
                        const struct nw_error *err);
    /**
     * Export the rows of a batch through the Arrow C Data Interface. Call during write() only;
     * what was exported lives until its release callback runs, from any thread, even after close.
     * Children: op, commit_lsn, row_lsn, seq, xid, commit_ts, origin, copy, before, after,
     * before_missing, after_missing, exceptions.
     * @param schema  give; may be NULL when only the array is wanted.
     * @param array   give.
     */
    nw_status (*batch_export)(const struct nw_host *host, const struct nw_batch *batch,
                              struct ArrowSchema *schema, struct ArrowArray *array,
                              struct nw_error *err);

    /* Files, through narwal's I/O engine (io_uring where the kernel has it). All block. */

    /** Open a file; *file is a number for the calls below. */
    nw_status (*file_open)(const struct nw_host *host, const char *path, uint32_t flags, int *file,
                           struct nw_error *err);
    void (*file_close)(const struct nw_host *host, int file);
    /** Run operations side by side and wait for all. Fails when any failed, naming the first. */
    nw_status (*files_run)(const struct nw_host *host, struct nw_file_op *ops, size_t ops_count,
                           struct nw_error *err);
    nw_status (*file_truncate)(const struct nw_host *host, int file, uint64_t size,
                               struct nw_error *err);
    nw_status (*file_size)(const struct nw_host *host, int file, uint64_t *size,
                           struct nw_error *err);
    /** Atomic replacement; the folder is synced. */
    nw_status (*file_rename)(const struct nw_host *host, const char *from, const char *to,
                             struct nw_error *err);
    nw_status (*file_remove)(const struct nw_host *host, const char *path, struct nw_error *err);
    /** Make a folder and its parents, mode 0750; there already is fine. */
    nw_status (*folder_create)(const struct nw_host *host, const char *path, struct nw_error *err);
    nw_status (*folder_sync)(const struct nw_host *host, const char *path, struct nw_error *err);
    nw_status (*folder_remove)(const struct nw_host *host, const char *path, struct nw_error *err);
    /** Call back for every entry but . and .., in no order; stops when the callback fails. */
    nw_status (*folder_list)(const struct nw_host *host, const char *path,
                             nw_status (*each)(void *context, const char *name, bool is_folder,
                                               struct nw_error *err),
                             void *context, struct nw_error *err);
    /**
     * Take an exclusive advisory lock on an open file, held until it is closed; NW_FATAL at once
     * when another process has it.
     */
    nw_status (*file_lock)(const struct nw_host *host, int file, struct nw_error *err);
    /* Members above exist since ABI 1. */

    uint32_t flags;       /**< NW_HOST_...; look at size first */
    const char *database; /**< that changes come from, as the server calls it; "": not known */
    /**
     * Ask narwal for what a user may ask by commands: "table refresh SCHEMA.TABLE", "table repair
     * ...", "copy pause", "copy resume"; and "tables refresh PATTERN": of each table that is
     * followed and whose SCHEMA.TABLE, unquoted, all matches that extended regular expression of
     * POSIX's; behind it may be " WHERE CONDITION", by which the server chooses rows of it, where
     * every sink has NW_SINK_APPEND_ONLY; and "tables stop PATTERN": such copies end. It is done
     * later, also when narwal ends before, but for "copy ..."; what comes of it is logged.
     * @return NW_REJECT: another command, or too long. NW_AGAIN: too much is asked for already, or
     *         it cannot be recorded.
     */
    nw_status (*ask)(const struct nw_host *host, const char *command, struct nw_error *err);
    /**
     * A text of the configuration as it is now: a secret that it refers to, as ${file:...}, may
     * have changed since open(). From open() and recover() only.
     * @param option  its row in the plugin's table.
     * @param text    filled; "" for one that is not set. Wipe it after use.
     * @return NW_RETRY: it cannot be read now, or is longer than that.
     */
    nw_status (*text_now)(const struct nw_host *host, uint32_t option, char *text, size_t size,
                          struct nw_error *err);
    /**
     * Have a number of the sink's own shown: in metrics as narwal_sink_TYPE_NAME{sink="..."}, in
     * `narwal status --json` among the sink's `figures`. The same name again is the same number.
     * @param name  a-z, 0-9 and _, from a letter on; less than 48 bytes; ends in its unit.
     * @param text  a sentence in ASCII, less than 96 bytes; copied as the name is.
     * @return its number for figure_set; 0: there are 16 already, or that is no such name.
     */
    uint32_t (*figure_add)(const struct nw_host *host, const char *name, const char *text,
                           enum nw_figure_kind kind);
    /** What it is now; it is shown from the first time on. 0 is nobody's. A store in memory. */
    void (*figure_set)(const struct nw_host *host, uint32_t figure, double value);
    /**
     * Whether nobody waits any more for the call that is under way: the sink is to be closed. One
     * that waits for something outside gives up then, with NW_RETRY; what does not return within
     * seconds is taken for hanging, and the sink cannot be opened again in this process.
     */
    bool (*leaving)(const struct nw_host *host);
    /**
     * Which tables are copied. Each answer is given once.
     * @param command  "tables refresh PATTERN" that this sink asked for: those that are copied for
     *                 it, once for each time that it did, in that order; none if it was refused.
     *                 NULL: those of the first copy; "": those that wait for another copy or are
     *                 being copied now; "failed": those whose latest copy, of chosen rows, ends or
     *                 ended early as the server refused the rest: to whoever asks, as often as it
     *                 does.
     * @param names    filled with "OID SCHEMA.TABLE", the OID in decimal, the names unquoted, each
     *                 behind the other and with its NUL.
     * @param used     filled with their size in bytes, which may be 0: nothing is copied.
     * @return NW_AGAIN: it is not known, or not yet; NW_REJECT: they have no room there, and are
     *         told again where there are `used` bytes.
     */
    nw_status (*copies)(const struct nw_host *host, const char *command, char *names, size_t size,
                        size_t *used);
    /**
     * Ask for all of some commands, as by ask(), or for none of them: one synced write.
     * @return NW_REJECT: one of them may not be asked for. NW_AGAIN: too much is asked for already.
     *         NW_RETRY: it cannot be recorded.
     */
    nw_status (*ask_all)(const struct nw_host *host, struct nw_request *request,
                         struct nw_error *err);
    /**
     * What this sink asked for by ask_all(), in this process or a former one, and is not looked up
     * yet, in that order. copies() answers for it from here on. From recover() only.
     */
    nw_status (*requests)(const struct nw_host *host, nw_request_fn each, void *context,
                          struct nw_error *err);
};

/**
 * This narwal takes the place of another that has not been heard of: the server has let it. That
 * one may be frozen, and still hold whatever it has locked. recover() goes on without such a lock;
 * the fencing number is what keeps the other out when it thaws. Without the flag a lock that is
 * held is a reason to refuse.
 */
#define NW_HOST_TAKES_OVER 1u

#define NW_SINK_TOTAL_ORDER  1u /**< wants write() in the total commit order; one worker */
#define NW_SINK_TRANSACTIONS 2u /**< wants NW_EVENT_BEGIN and NW_EVENT_COMMIT */
/**
 * Cannot replace a table: copy_begin and copy_end are markers, and what it has stays. Behind a copy
 * such a sink gets all changes since the copy was asked for, also those that are in the copy: rows
 * that were deleted meanwhile are among them.
 */
#define NW_SINK_APPEND_ONLY 4u
#define NW_SINK_EXCEPTIONS  8u /**< reads nw_batch.exceptions */
/**
 * Keeps no position and no copy states: recover() gives none. While narwal runs the sink is sent
 * again, after NW_RETRY, what it did not answer as committed. A new start begins as with an empty
 * sink, so that rows may come again, or be left out. For sinks that print, count or measure.
 */
#define NW_SINK_STORES_NOTHING 16u
/**
 * Knows columns by their names alone: nothing of it depends on attnums, and a renamed column is
 * another one to it. Where all sinks do (or store nothing) a column of which the catalog does not
 * tell whether it is a renamed one counts as another one, and does not stop its table.
 */
#define NW_SINK_NAMES_ONLY 32u

/**
 * A sink. `self` is what open() gave. `worker` counts from 0. Unless noted a function returns
 * NW_OK, NW_AGAIN (nothing was taken, call again), NW_RETRY (recover follows), NW_REJECT or
 * NW_FATAL.
 */
struct nw_sink_ops {
    uint32_t abi;     /**< NW_SINK_ABI this plugin was compiled with */
    uint32_t size;    /**< sizeof(struct nw_sink_ops) in this plugin */
    const char *name; /**< the `type` in the configuration */
    const char *version;
    uint32_t flags; /**< NW_SINK_... */
    uint32_t options_count;
    const struct nw_option *options; /**< may be NULL */
    uint32_t workers_max;            /**< most workers it can have, at least 1 */
    uint32_t epochs_ahead_max;       /**< epochs that may be written while one is being committed */

    /**
     * Look at the configuration and make the sink's memory; touch nothing stored yet. `narwal
     * check` calls it, with close() behind it, to learn whether the configuration is taken.
     * @param host     borrow, valid until close returns.
     * @param config   borrow, valid until close returns.
     * @param workers  how many workers there will be, 1 .. workers_max.
     * @param self     give.
     */
    nw_status (*open)(const struct nw_host *host, const struct nw_config *config, uint32_t workers,
                      void **self, struct nw_error *err);
    /** See the top of this file. No other call is running. @param recovery  filled. */
    nw_status (*recover)(void *self, struct nw_recovery *recovery, struct nw_error *err);
    /** After recover, once for each copy state that was not complete. */
    nw_status (*copy_resolve)(void *self, uint32_t relation_oid, uint32_t generation,
                              enum nw_copy_verdict verdict, struct nw_error *err);
    /** A schema version is in force for the rows that follow. */
    nw_status (*table)(void *self, uint32_t worker, const struct nw_table *table,
                       struct nw_error *err);
    /** A new copy of a table begins; what the sink has of it stays until copy_end commits. */
    nw_status (*copy_begin)(void *self, uint32_t worker, const struct nw_table *table,
                            uint32_t generation, struct nw_error *err);
    /** The copy is whole: with the commit of this epoch it takes the place of what was there. */
    nw_status (*copy_end)(void *self, uint32_t worker, const struct nw_table *table,
                          uint32_t generation, struct nw_error *err);
    /** Rows of one table. @param batch  borrow: valid until return. */
    nw_status (*write)(void *self, uint32_t worker, const struct nw_batch *batch,
                       struct nw_error *err);
    nw_status (*event)(void *self, uint32_t worker, const struct nw_event *event,
                       struct nw_error *err);
    /** Nothing more of this epoch comes to this worker. */
    nw_status (*seal)(void *self, uint32_t worker, uint64_t epoch, struct nw_error *err);
    /**
     * Make everything sealed up to commit->epoch durable and visible.
     * @param outcome  filled with NW_OK. With NW_RETRY the host takes it as NW_UNKNOWN.
     */
    nw_status (*commit)(void *self, const struct nw_commit *commit, enum nw_outcome *outcome,
                        struct nw_error *err);
    /** The last call. Uncommitted work is dropped. Arrays exported from batches stay valid. */
    void (*close)(void *self);

    /* Members above exist since ABI 1. Those below may be NULL, as may copy_resolve, copy_begin,
     * copy_end (with NW_SINK_APPEND_ONLY) and event. */

    /**
     * Check what is stored, without a source and without changing it: `narwal files verify PATH`.
     * @param report  prints one line for the user.
     */
    nw_status (*verify)(const struct nw_host *host, const char *path,
                        void (*report)(void *context, const char *line), void *context,
                        struct nw_error *err);

    /* Members above exist since the first version of ABI 1. Those below may be NULL too. */

    /**
     * Flags that a sink with this configuration has beside `flags`: NW_SINK_TRANSACTIONS or
     * NW_SINK_TOTAL_ORDER. Called at any time, before open() too; changes nothing.
     */
    uint32_t (*flags_of)(const struct nw_config *config);
    /**
     * The time goes by: comes about every 100 ms, whether there is work or not, from the thread of
     * commit() and never beside it; as commit() it may run beside write(). Only after a recover()
     * that succeeded, until the next one begins. Returns soon. For what is due by the clock, not
     * for what is delivered.
     */
    void (*tick)(void *self);
    /**
     * Say what of the configuration names none of these tables or of their columns, which mostly is
     * a mistake: users are warned. Called at any time, before open() too; changes nothing and asks
     * nobody. Tables may come later.
     * @param tables  borrow: as the sink would see them now, `count` of them.
     * @param report  is called with each thing, in one line: borrow.
     */
    void (*unmet)(const struct nw_config *config, const struct nw_table *const *tables,
                  uint32_t count, void (*report)(void *context, const char *text), void *context);
};

/** The only symbol a plugin exports. The table lives as long as the process. */
typedef const struct nw_sink_ops *(*nw_sink_entry_fn)(void);
#define NW_SINK_ENTRY_NAME "nw_sink_entry"
NW_EXPORT const struct nw_sink_ops *nw_sink_entry(void);

#ifdef __cplusplus
}
#endif
#endif
