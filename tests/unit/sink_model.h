/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model sink: keeps what it was given in memory, as a sink on a disk would, and checks the host's
 * side of the contract at every call. What it has stored outlives close(), so that a second life
 * can be played.
 */
#ifndef TEST_SINK_MODEL_H
#define TEST_SINK_MODEL_H

#include "sink_kit.h"

#define MODEL_ROWS_MAX   65536u
#define MODEL_COPIES_MAX 16u
#define MODEL_EVENTS_MAX 256u

struct model_row {
    uint32_t oid;
    uint32_t worker;
    uint32_t generation; /* 0: of the stream */
    uint64_t epoch;
    uint64_t commit_lsn;
    uint64_t seq;
    int64_t id;
    uint64_t order; /* of the write() calls */
};

/* What the next commits do. */
enum model_plan {
    MODEL_COMMIT = 0,
    MODEL_PENDING, /* committed when the test says so */
    MODEL_NOT_COMMITTED,
    MODEL_UNKNOWN_DONE, /* it did happen */
    MODEL_UNKNOWN_NOT_DONE,
    MODEL_RETRY_DONE,
    MODEL_RETRY_NOT_DONE,
    MODEL_AGAIN,
    MODEL_REJECT,
    MODEL_FATAL,
    MODEL_ODD, /* an outcome that does not exist */
};

struct model {
    const struct nw_host *host;
    pthread_mutex_t lock;
    bool open;
    uint32_t workers;

    /* Stored: what survives recover and close. */
    struct model_row rows[MODEL_ROWS_MAX];
    uint32_t rows_stored;
    uint8_t position[NW_SINK_WORKERS_MAX][NW_POSITION_SIZE_MAX];
    uint32_t position_size[NW_SINK_WORKERS_MAX];
    uint64_t position_lsn[NW_SINK_WORKERS_MAX];
    uint32_t positions_count;
    struct nw_copy_state copies[MODEL_COPIES_MAX];
    uint8_t copy_bytes[MODEL_COPIES_MAX][NW_COPY_BYTES_MAX];
    uint32_t copies_count;
    uint64_t fencing;

    /* Staged: gone with recover. */
    uint32_t rows_count; /* stored ones come first */
    uint64_t sealed[NW_SINK_WORKERS_MAX];
    uint64_t label[NW_SINK_WORKERS_MAX]; /* of the epoch under way; 0: none */
    uint64_t committing;
    const struct nw_table *known[64];
    uint32_t known_count;
    struct nw_position given[NW_SINK_WORKERS_MAX];
    uint8_t given_bytes[NW_SINK_WORKERS_MAX][NW_POSITION_SIZE_MAX];
    uint32_t given_count;
    struct nw_copy_state given_copies[MODEL_COPIES_MAX];
    uint32_t given_flags;
    uint32_t given_copies_count;

    /* Plans. */
    enum model_plan plan; /* for the next commit, then MODEL_COMMIT */
    bool plan_stays;
    bool per_worker_positions; /* recover gives one for each worker */
    uint32_t only_worker;   /* 1 + worker: UNKNOWN_DONE stores this one's rows and position only */
    uint32_t write_fail_in; /* the nth write from now fails with write_status */
    nw_status write_status;
    int64_t refuses; /* a batch with a row whose id is a multiple of it, after the rows before */
    uint32_t recover_fails; /* so many recovers fail with NW_RETRY */
    bool lie;               /* recover gives a position that is none of ours */
    bool forgets;           /* recover gives nothing, whatever is stored */

    /* What happened. */
    uint64_t writes, commits, recovers, seals, tables, opens, closes, begins, ends, resolves,
        agains;
    uint64_t last_commit;
    struct nw_event events[MODEL_EVENTS_MAX];
    uint32_t events_worker[MODEL_EVENTS_MAX];
    uint64_t events_order[MODEL_EVENTS_MAX]; /* writes before it */
    uint32_t events_count;
    enum nw_copy_verdict last_verdict;
    uint32_t ahead_seen; /* most epochs written beyond the one being committed */
    char broken[256];    /* a breach of contract by the host */
};

static struct model model; /* one at a time: plugins have no other way to their test */

static inline void model_reset(void)
{
    memset(&model, 0, sizeof model);
    (void)pthread_mutex_init(&model.lock, NULL);
}

#define MODEL_CHECK(condition)                                                                     \
    do {                                                                                           \
        if (!(condition) && model.broken[0] == '\0') {                                             \
            (void)snprintf(model.broken, sizeof model.broken, "%s:%d: %s", __func__, __LINE__,     \
                           #condition);                                                            \
        }                                                                                          \
    } while (0)

static inline void model_lock(void)
{
    (void)pthread_mutex_lock(&model.lock);
}

static inline void model_unlock(void)
{
    (void)pthread_mutex_unlock(&model.lock);
}

static inline nw_status model_open(const struct nw_host *host, const struct nw_config *config,
                                   uint32_t workers, void **self, struct nw_error *err)
{
    (void)err;
    (void)config;
    MODEL_CHECK(!model.open);
    model.open = true;
    model.opens++;
    model.host = host;
    model.workers = workers;
    *self = &model;
    return NW_OK;
}

static inline void model_drop_staged(void)
{
    model.rows_count = model.rows_stored;
    model.known_count = 0;
    model.committing = 0;
    memset(model.sealed, 0, sizeof model.sealed);
    memset(model.label, 0, sizeof model.label);
}

static inline nw_status model_recover(void *self, struct nw_recovery *recovery,
                                      struct nw_error *err)
{
    static struct nw_position positions[NW_SINK_WORKERS_MAX];

    MODEL_CHECK(self == &model && model.open);
    model_lock();
    model.recovers++;
    model.fencing++;
    model_drop_staged();
    if (model.recover_fails > 0) {
        model.recover_fails--;
        model_unlock();
        return nw_fail(err, NW_RETRY, "the store is away");
    }
    for (uint32_t i = 0; i < model.positions_count; i++) {
        positions[i] =
            (struct nw_position){model.position[i], model.position_size[i], model.position_lsn[i]};
    }
    if (model.lie) {
        model.position[0][9] ^= 0xff;
    }
    recovery->positions_count = model.forgets ? 0 : model.positions_count;
    recovery->positions = positions;
    recovery->copies_count = model.forgets ? 0 : model.copies_count;
    recovery->copies = model.copies;
    recovery->fencing = model.fencing;
    model_unlock();
    return NW_OK;
}

static inline void model_copy_remove(uint32_t index)
{
    for (uint32_t i = index + 1; i < model.copies_count; i++) {
        model.copies[i - 1] = model.copies[i];
        memcpy(model.copy_bytes[i - 1], model.copy_bytes[i], sizeof model.copy_bytes[i]);
        model.copies[i - 1].bytes = model.copy_bytes[i - 1];
    }
    model.copies_count--;
}

static inline nw_status model_copy_resolve(void *self, uint32_t oid, uint32_t generation,
                                           enum nw_copy_verdict verdict, struct nw_error *err)
{
    bool found = false;

    (void)err;
    MODEL_CHECK(self == &model);
    model_lock();
    model.resolves++;
    model.last_verdict = verdict;
    for (uint32_t i = 0; i < model.copies_count; i++) {
        if (model.copies[i].relation_oid == oid && model.copies[i].generation == generation) {
            MODEL_CHECK(!model.copies[i].complete);
            found = true;
            if (verdict == NW_COPY_DISCARD) {
                uint32_t kept = 0;

                for (uint32_t r = 0; r < model.rows_stored; r++) {
                    if (model.rows[r].oid != oid || model.rows[r].generation != generation) {
                        model.rows[kept++] = model.rows[r];
                    }
                }
                model.rows_stored = kept;
                model.rows_count = kept;
                model_copy_remove(i);
            }
            break;
        }
    }
    MODEL_CHECK(found);
    model_unlock();
    return NW_OK;
}

/* Every call that belongs to an epoch: labels only grow, and belong to no sealed one. */
static inline void model_label(uint32_t worker, uint64_t epoch)
{
    MODEL_CHECK(worker < model.workers);
    MODEL_CHECK(epoch > model.sealed[worker]);
    MODEL_CHECK(model.label[worker] == 0 || model.label[worker] == epoch);
    model.label[worker] = epoch;
}

static inline nw_status model_table(void *self, uint32_t worker, const struct nw_table *table,
                                    struct nw_error *err)
{
    (void)self;
    (void)err;
    model_lock();
    MODEL_CHECK(worker < model.workers);
    for (uint32_t i = 0; i < model.known_count; i++) {
        MODEL_CHECK(model.known[i] != table);
    }
    MODEL_CHECK(model.known_count < 64);
    model.known[model.known_count++] = table;
    model.tables++;
    model_unlock();
    return NW_OK;
}

static inline void model_known(const struct nw_table *table)
{
    bool known = false;

    for (uint32_t i = 0; i < model.known_count; i++) {
        known = known || model.known[i] == table;
    }
    MODEL_CHECK(known);
}

static inline nw_status model_copy_begin(void *self, uint32_t worker, const struct nw_table *table,
                                         uint32_t generation, struct nw_error *err)
{
    (void)self;
    (void)worker;
    (void)err;
    model_lock();
    model_known(table);
    for (uint32_t i = 0; i < model.copies_count; i++) {
        MODEL_CHECK(model.copies[i].relation_oid != table->relation_oid ||
                    model.copies[i].generation != generation);
    }
    model.begins++;
    model_unlock();
    return NW_OK;
}

static inline nw_status model_copy_end(void *self, uint32_t worker, const struct nw_table *table,
                                       uint32_t generation, struct nw_error *err)
{
    (void)self;
    (void)worker;
    (void)generation;
    (void)err;
    model_lock();
    model_known(table);
    model.ends++;
    model_unlock();
    return NW_OK;
}

static inline nw_status model_write(void *self, uint32_t worker, const struct nw_batch *batch,
                                    struct nw_error *err)
{
    (void)self;
    model_lock();
    if (model.write_fail_in > 0 && --model.write_fail_in == 0) {
        nw_status status = model.write_status;

        model.agains += status == NW_AGAIN;
        model_unlock();
        return status == NW_AGAIN ? NW_AGAIN : nw_fail(err, status, "the write failed on purpose");
    }
    model_known(batch->table);
    model_label(worker, batch->epoch);
    MODEL_CHECK(batch->rows_count > 0);
    for (uint32_t i = 0; i < batch->rows_count; i++) {
        uint32_t at = batch->first_row + i;
        struct nw_value note = nw_batch_value(batch, NW_AFTER, i, 1);
        int64_t id = nw_batch_value(batch, NW_AFTER, i, 0).as.integer;
        bool whole = note.bytes != NULL && note.size >= 8;

        if (model.refuses > 0 && id % model.refuses == 0) {
            model_unlock();
            return nw_fail(err, NW_REJECT, "no multiples of %d", (int)model.refuses);
        }
        MODEL_CHECK(whole && memcmp(note.bytes, &id, sizeof id) == 0);
        MODEL_CHECK(whole && (note.size == 8 || note.bytes[note.size - 1] == 'n'));
        MODEL_CHECK(model.rows_count < MODEL_ROWS_MAX);
        model.rows[model.rows_count++] = (struct model_row){
            .oid = batch->table->relation_oid,
            .worker = worker,
            .generation = (batch->flags & NW_BATCH_COPY) != 0 ? batch->generation : 0,
            .epoch = batch->epoch,
            .commit_lsn = batch->commit_lsn[at],
            .seq = batch->seq[at],
            .id = id,
            .order = model.writes};
    }
    model.writes++;
    model_unlock();
    return NW_OK;
}

static inline nw_status model_event(void *self, uint32_t worker, const struct nw_event *event,
                                    struct nw_error *err)
{
    (void)self;
    (void)err;
    model_lock();
    model_label(worker, event->epoch);
    MODEL_CHECK(model.events_count < MODEL_EVENTS_MAX);
    model.events_worker[model.events_count] = worker;
    model.events_order[model.events_count] = model.writes;
    model.events[model.events_count++] = *event;
    model_unlock();
    return NW_OK;
}

static inline nw_status model_seal(void *self, uint32_t worker, uint64_t epoch,
                                   struct nw_error *err)
{
    (void)self;
    (void)err;
    model_lock();
    MODEL_CHECK(epoch > model.sealed[worker]);
    MODEL_CHECK(model.label[worker] == 0 || model.label[worker] == epoch);
    model.sealed[worker] = epoch;
    model.label[worker] = 0;
    model.seals++;
    model_unlock();
    return NW_OK;
}

static inline void model_store(uint64_t epoch)
{
    uint32_t kept = model.rows_stored;

    for (uint32_t i = model.rows_stored; i < model.rows_count; i++) {
        bool mine = model.only_worker == 0 || model.rows[i].worker == model.only_worker - 1;

        if (model.rows[i].epoch <= epoch && mine) {
            struct model_row row = model.rows[i];

            memmove(&model.rows[kept + 1], &model.rows[kept], (i - kept) * sizeof row);
            model.rows[kept++] = row;
        }
    }
    model.rows_stored = kept;
    model.positions_count = model.per_worker_positions ? model.workers : model.given_count;
    for (uint32_t w = 0; w < model.positions_count; w++) {
        uint32_t from = model.given_count == 1 ? 0 : w;

        if (model.only_worker != 0 && w != model.only_worker - 1) {
            continue;
        }
        model.position_size[w] = model.given[from].size;
        model.position_lsn[w] = model.given[from].lsn;
        memcpy(model.position[w], model.given_bytes[from], model.given[from].size);
    }
    for (uint32_t i = 0; i < model.given_copies_count; i++) {
        uint32_t at = 0;

        while (at < model.copies_count &&
               model.copies[at].relation_oid != model.given_copies[i].relation_oid) {
            at++;
        }
        model.copies_count = at == model.copies_count ? at + 1 : model.copies_count;
        MODEL_CHECK(model.copies_count < MODEL_COPIES_MAX);
        model.copies[at] = model.given_copies[i];
        memcpy(model.copy_bytes[at], model.given_copies[i].bytes, model.given_copies[i].size);
        model.copies[at].bytes = model.copy_bytes[at];
    }
    model.last_commit = epoch;
}

static inline void model_given(const struct nw_commit *commit)
{
    model.given_count = commit->positions_count;
    model.given_flags = commit->flags;
    for (uint32_t i = 0; i < commit->positions_count; i++) {
        model.given[i] = commit->positions[i];
        memcpy(model.given_bytes[i], commit->positions[i].bytes, commit->positions[i].size);
    }
    model.given_copies_count = commit->copies_count;
    for (uint32_t i = 0; i < commit->copies_count; i++) {
        MODEL_CHECK(i < MODEL_COPIES_MAX && commit->copies[i].size <= NW_COPY_BYTES_MAX);
        model.given_copies[i] = commit->copies[i];
    }
}

static inline nw_status model_commit_locked(const struct nw_commit *commit,
                                            enum nw_outcome *outcome, struct nw_error *err)
{
    enum model_plan plan = model.plan;

    if (!model.plan_stays) {
        model.plan = MODEL_COMMIT;
    }
    if (plan == MODEL_AGAIN) {
        model.agains++;
        return NW_AGAIN;
    }
    model.commits++;
    for (uint32_t w = 0; w < model.workers; w++) {
        MODEL_CHECK(model.sealed[w] >= commit->epoch);
    }
    MODEL_CHECK(commit->epoch > model.committing);
    model.committing = commit->epoch;
    model_given(commit);
    switch (plan) {
    case MODEL_COMMIT:
        model_store(commit->epoch);
        *outcome = NW_COMMITTED;
        return NW_OK;
    case MODEL_PENDING:
        *outcome = NW_PENDING;
        return NW_OK;
    case MODEL_NOT_COMMITTED:
        *outcome = NW_NOT_COMMITTED;
        return NW_OK;
    case MODEL_UNKNOWN_DONE:
        model_store(commit->epoch);
        *outcome = NW_UNKNOWN;
        return NW_OK;
    case MODEL_UNKNOWN_NOT_DONE:
        *outcome = NW_UNKNOWN;
        return NW_OK;
    case MODEL_RETRY_DONE:
        model_store(commit->epoch);
        return nw_fail(err, NW_RETRY, "the answer was lost");
    case MODEL_RETRY_NOT_DONE:
        return nw_fail(err, NW_RETRY, "the connection was lost");
    case MODEL_REJECT:
        return nw_fail(err, NW_REJECT, "not these rows");
    case MODEL_FATAL:
        return nw_fail(err, NW_FATAL, "broken for good");
    case MODEL_ODD:
        *outcome = (enum nw_outcome)77;
        return NW_OK;
    case MODEL_AGAIN:
        break;
    }
    return NW_OK;
}

static inline nw_status model_commit(void *self, const struct nw_commit *commit,
                                     enum nw_outcome *outcome, struct nw_error *err)
{
    nw_status status;

    MODEL_CHECK(self == &model);
    model_lock();
    status = model_commit_locked(commit, outcome, err);
    model_unlock();
    return status;
}

/* The answer to a MODEL_PENDING commit. */
static inline void model_answer(uint64_t epoch, enum nw_outcome outcome)
{
    model_lock();
    if (outcome == NW_COMMITTED) {
        model_store(epoch);
    }
    model_unlock();
    model.host->commit_done(model.host, epoch, outcome, NULL);
}

static inline void model_close(void *self)
{
    MODEL_CHECK(self == &model && model.open);
    model.open = false;
    model.closes++;
    model_drop_staged();
}

static const struct nw_sink_ops model_ops = {
    .abi = NW_SINK_ABI,
    .size = sizeof(struct nw_sink_ops),
    .name = "model",
    .version = "1",
    .workers_max = 4,
    .epochs_ahead_max = 1,
    .open = model_open,
    .recover = model_recover,
    .copy_resolve = model_copy_resolve,
    .table = model_table,
    .copy_begin = model_copy_begin,
    .copy_end = model_copy_end,
    .write = model_write,
    .event = model_event,
    .seal = model_seal,
    .commit = model_commit,
    .close = model_close,
};

/* How often a row of the stream or of a copy is stored. */
static inline uint32_t model_count(uint32_t table, int64_t id)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < model.rows_stored; i++) {
        count += model.rows[i].oid == 100 + table && model.rows[i].id == id;
    }
    return count;
}

#define assert_contract_kept() assert_string_equal(model.broken, "")

/* The tables that the position of the latest commit says are behind. */
static inline struct nw_behind_list model_behind(void)
{
    struct nw_behind_list list;
    struct nw_identity identity;
    struct nw_error err = {0};
    uint64_t lsn = 0;

    assert_int_equal(nw_position_unpack((struct nw_bytes){model.given_bytes[0] + NW_ENVELOPE_SIZE,
                                                          model.given[0].size - NW_ENVELOPE_SIZE},
                                        &identity, &lsn, &list, &err),
                     NW_OK);
    return list;
}

#endif
