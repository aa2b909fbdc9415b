/* SPDX-License-Identifier: Apache-2.0 */
/* See letters.h. */
#include "sink/letters.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/assert.h"
#include "base/code.h"
#include "base/log.h"
#include "sink/copies.h"

/* Of a table's letters at most one line in so long, behind the first. */
#define SAY_EVERY_NS  60000000000
#define SAID_MAX      1024u
#define REASON_LENGTH 600

struct nw_rows_out {
    uint32_t count, capacity;
    struct nw_entry_row rows[]; /* in order */
};

/* A letter of a former run, whose row may come again. */
struct known {
    struct nw_letter_key key;
    uint32_t left; /* 0: free, or it came */
    bool used;
};

/* A table whose letters were spoken of. */
struct said {
    uint32_t relation_oid;
    int64_t at_ns;
    uint64_t unsaid;
};

struct letters {
    struct nw_letter *items;
    uint32_t count, capacity;
};

struct copies {
    struct nw_letter_copy *items;
    uint32_t count, capacity;
};

struct nw_letters {
    const struct nw_letter_store *store;
    struct letters waiting, writing; /* writing: the coordinator reads it */
    struct copies copies, copies_writing;
    bool posted;
    uint64_t waiting_bytes;
    struct known *known; /* by hash, open */
    uint32_t known_capacity, known_count;
    uint32_t known_left;
    uint64_t known_lsn_max; /* of the stream's */
    struct said *said;
    uint32_t said_count;
};

/* ---- which rows are left out ---- */

static uint32_t part_of(const struct nw_entry *entry, const struct nw_batch *batch)
{
    return (uint32_t)((uintptr_t)batch - (uintptr_t)entry->item);
}

static bool is_before(struct nw_entry_row row, struct nw_entry_row other)
{
    return row.part != other.part ? row.part < other.part : row.row < other.row;
}

/* The first that is not before it. */
static uint32_t out_find(const struct nw_rows_out *out, struct nw_entry_row row)
{
    uint32_t low = 0;
    uint32_t high = out->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (is_before(out->rows[middle], row)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_out(const struct nw_entry *entry, struct nw_entry_row row)
{
    uint32_t at = entry->out == NULL ? 0 : out_find(entry->out, row);

    return entry->out != NULL && at < entry->out->count && entry->out->rows[at].part == row.part &&
           entry->out->rows[at].row == row.row;
}

static nw_status out_add(struct nw_entry *entry, struct nw_entry_row row, struct nw_error *err)
{
    struct nw_rows_out *out = entry->out;
    uint32_t at = 0;

    if (out == NULL || out->count == out->capacity) {
        uint32_t capacity = out == NULL ? 8 : out->capacity * 2;

        out = realloc(out, sizeof *out + capacity * sizeof out->rows[0]);
        if (out == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory for rows that a sink refused");
        }
        out->count = entry->out == NULL ? 0 : out->count;
        out->capacity = capacity;
        entry->out = out;
    }
    at = out_find(out, row);
    memmove(&out->rows[at + 1], &out->rows[at], (out->count - at) * sizeof out->rows[0]);
    out->rows[at] = row;
    out->count++;
    return NW_OK;
}

uint32_t nw_letters_leave(struct nw_entry *entry)
{
    uint32_t count = entry->out == NULL ? 0 : entry->out->count;

    free(entry->out);
    entry->out = NULL;
    return count;
}

/* ---- letters of former runs ---- */

static uint64_t key_hash(const struct nw_letter_key *key)
{
    static_assert(sizeof *key == 24, "nothing between its members");
    return XXH3_64bits(key, sizeof *key);
}

/* Its place in a table of known ones, or the free one that it would have. */
static struct known *place_find(struct known *table, uint32_t capacity,
                                const struct nw_letter_key *key)
{
    uint32_t at = (uint32_t)key_hash(key) & (capacity - 1);

    while (table[at].used && memcmp(&table[at].key, key, sizeof *key) != 0) {
        at = (at + 1) & (capacity - 1);
    }
    return &table[at];
}

static struct known *known_find(const struct nw_letters *letters, const struct nw_letter_key *key)
{
    return place_find(letters->known, letters->known_capacity, key);
}

static nw_status known_grow(struct nw_letters *letters, struct nw_error *err)
{
    uint32_t capacity = letters->known_capacity == 0 ? 64 : letters->known_capacity * 2;
    struct known *grown = calloc(capacity, sizeof *grown);

    if (grown == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for %u dead letters", letters->known_count);
    }
    for (uint32_t i = 0; i < letters->known_capacity; i++) {
        if (letters->known[i].used) {
            *place_find(grown, capacity, &letters->known[i].key) = letters->known[i];
        }
    }
    free(letters->known);
    letters->known = grown;
    letters->known_capacity = capacity;
    return NW_OK;
}

static nw_status known_add(struct nw_letters *letters, const struct nw_letter_key *key,
                           uint32_t count, struct nw_error *err)
{
    struct known *place = NULL;

    if ((letters->known_count + 1) * 2 > letters->known_capacity &&
        known_grow(letters, err) != NW_OK) {
        return NW_FATAL;
    }
    place = known_find(letters, key);
    letters->known_count += !place->used;
    *place = (struct known){.key = *key, .left = place->left + count, .used = true};
    letters->known_left += count;
    return NW_OK;
}

/* That some rows of a copy are known, which says that all of it have to be looked at. */
static struct nw_letter_key copy_key(uint32_t relation_oid, uint32_t generation)
{
    return (struct nw_letter_key){relation_oid, generation, UINT64_MAX, 0};
}

nw_status nw_sequencer_letter(struct nw_sequencer *seq, const struct nw_letter_key *key,
                              struct nw_error *err)
{
    struct nw_letters *letters = seq->letters;
    const struct nw_letter_key copy = copy_key(key->relation_oid, key->generation);
    nw_status status = known_add(letters, key, 1, err);

    if (status == NW_OK && key->generation != 0) {
        return known_add(letters, &copy, 0, err);
    }
    if (key->generation == 0 && key->commit_lsn > letters->known_lsn_max) {
        letters->known_lsn_max = key->commit_lsn;
    }
    return status;
}

/* Whether rows from this one on may be known. */
static bool may_be_known(const struct nw_letters *letters, const struct nw_batch *batch,
                         uint32_t row)
{
    const struct nw_letter_key copy = copy_key(batch->table->relation_oid, batch->generation);

    if (letters->known_left == 0) {
        return false;
    }
    return (batch->flags & NW_BATCH_COPY) != 0 ? known_find(letters, &copy)->used
                                               : batch->commit_lsn[row] <= letters->known_lsn_max;
}

/* Whether it is kept already: then it is known no more. */
static bool known_take(struct nw_letters *letters, const struct nw_letter_key *key)
{
    struct known *known = letters->known_left == 0 ? NULL : known_find(letters, key);

    if (known == NULL || known->left == 0) {
        return false;
    }
    known->left--;
    letters->known_left--;
    return true;
}

/* ---- letters ---- */

static nw_status letters_add(struct letters *to, const struct nw_letter *letter,
                             struct nw_error *err)
{
    if (to->count == to->capacity) {
        uint32_t capacity = to->capacity == 0 ? 16 : to->capacity * 2;
        struct nw_letter *grown = reallocarray(to->items, capacity, sizeof *grown);

        if (grown == NULL) {
            return nw_fail(err, NW_FATAL, "out of memory for rows that a sink refused");
        }
        to->items = grown;
        to->capacity = capacity;
    }
    to->items[to->count++] = *letter;
    return NW_OK;
}

static void letters_clear(struct letters *letters)
{
    for (uint32_t i = 0; i < letters->count; i++) {
        nw_letter_fini(&letters->items[i]);
    }
    letters->count = 0;
}

/* A row of a batch that nothing is known of yet. @param reason  NULL: only if it is kept already */
static nw_status row_take(struct nw_sequencer *seq, struct nw_entry *entry,
                          const struct nw_batch *batch, uint32_t row, const char *reason,
                          struct nw_error *err)
{
    struct nw_letters *letters = seq->letters;
    const struct nw_entry_row place = {part_of(entry, batch), row};
    struct nw_letter letter = {.reason = NULL};
    nw_status status = nw_letter_take(&letter, batch, row,
                                      letters->store->quota_bytes - letters->waiting_bytes, err);

    if (status != NW_OK) {
        return reason == NULL ? NW_OK : status;
    }
    if (known_take(letters, &letter.key)) {
        status = out_add(entry, place, err);
        nw_letter_fini(&letter);
        return status;
    }
    if (reason != NULL) {
        letter.reason = strdup(reason);
        letter.wall_us = seq->sink->env->ops->wall_us(seq->sink->env);
        status = letter.reason == NULL ? nw_fail(err, NW_FATAL, "out of memory")
                                       : out_add(entry, place, err);
        status = status == NW_OK ? letters_add(&letters->waiting, &letter, err) : status;
    }
    if (reason == NULL || status != NW_OK) {
        nw_letter_fini(&letter);
        return status;
    }
    letters->waiting_bytes += letter.row_size;
    return NW_OK;
}

/* A value that the sink says it cannot take. @return NULL: the row has none */
static const struct nw_exception *exception_of(const struct nw_sequencer *seq,
                                               const struct nw_batch *batch, uint32_t row)
{
    uint32_t at = batch->exceptions_count;

    if (at > 0 && (seq->sink->flags & NW_SINK_EXCEPTIONS) == 0) {
        at = nw_batch_exception_from(batch, row, NW_BEFORE, 0);
    }
    return at < batch->exceptions_count && batch->exceptions[at].row == row ? &batch->exceptions[at]
                                                                            : NULL;
}

/* Whether a row is left out; what is known of it without asking the sink is noted. */
static nw_status row_look(struct nw_sequencer *seq, struct nw_entry *entry,
                          const struct nw_batch *batch, uint32_t row, bool *out,
                          struct nw_error *err)
{
    const struct nw_entry_row place = {part_of(entry, batch), row};
    const struct nw_exception *exception = NULL;
    nw_status status = NW_OK;

    *out = is_out(entry, place);
    if (*out) {
        return NW_OK;
    }
    exception = exception_of(seq, batch, row);
    if (exception != NULL) {
        char reason[256];

        (void)snprintf(reason, sizeof reason,
                       "NW2404 column %.63s has a value without an exact form in its type, and "
                       "sink type %.63s cannot take those",
                       batch->table->columns[exception->column].name, seq->sink->plugin->ops.name);
        status = row_take(seq, entry, batch, row, reason, err);
    } else if (may_be_known(seq->letters, batch, row)) {
        status = row_take(seq, entry, batch, row, NULL, err);
    }
    *out = is_out(entry, place);
    return status;
}

bool nw_letters_concern(const struct nw_sequencer *seq, const struct nw_entry *entry,
                        const struct nw_batch *batch, uint32_t first_row)
{
    return entry->single || entry->out != NULL || may_be_known(seq->letters, batch, first_row) ||
           (batch->exceptions_count > 0 && (seq->sink->flags & NW_SINK_EXCEPTIONS) == 0);
}

/* Whether it is given alone. Those that were taken so once are given together. */
static bool is_single(const struct nw_entry *entry, struct nw_entry_row row)
{
    return entry->single && (entry->single_always || !is_before(row, entry->single_from));
}

/* Rows that are given in one call. */
struct run {
    uint32_t end;   /* there are none from there on */
    uint32_t until; /* where it ends */
    bool out;       /* the row there is left out */
};

static nw_status run_find(struct nw_sequencer *seq, struct nw_entry *entry,
                          const struct nw_batch *batch, struct run *run, struct nw_error *err)
{
    struct nw_entry_row last = {part_of(entry, batch), 0};

    do {
        nw_status status = row_look(seq, entry, batch, run->until, &run->out, err);

        if (status != NW_OK || run->out) {
            return status;
        }
        last.row = run->until++;
    } while (run->until < run->end && !is_single(entry, last));
    return NW_OK;
}

nw_status nw_letters_dispatch(struct nw_sequencer *seq, struct nw_entry *entry,
                              const struct nw_batch *batch, uint32_t first_row, uint32_t rows_count,
                              struct nw_error *err)
{
    uint32_t end = first_row + rows_count;
    uint32_t row = entry->part_next != 0 ? entry->part_next : first_row;
    nw_status status = NW_OK;

    while (row < end && status == NW_OK) {
        struct run run = {.end = end, .until = row};

        if (run_find(seq, entry, batch, &run, err) != NW_OK) {
            return nw_sequencer_fail(seq, err, batch->table);
        }
        if (run.until > row) {
            status = nw_dispatch_run(seq, entry, batch, row, run.until - row, err);
        }
        if (status == NW_OK) {
            row = run.until + run.out;
        }
        entry->part_next = row;
    }
    entry->part_next = status == NW_OK ? 0 : entry->part_next;
    return status;
}

void nw_letters_accepted(const struct nw_task *task)
{
    const struct nw_entry_row next = {part_of(task->entry, task->batch),
                                      task->first_row + task->rows_count};

    if (is_before(task->entry->single_from, next)) {
        task->entry->single_from = next;
    }
}

nw_status nw_letters_refused(struct nw_sequencer *seq, const struct nw_task *task,
                             struct nw_error *err)
{
    const struct nw_error said = *err; /* in the end both: that, and why it is no dead letter */
    struct nw_error why = {0};
    nw_status status = NW_OK;
    struct nw_entry_row place = {part_of(task->entry, task->batch), task->first_row};

    if (seq->lost) {
        (void)nw_fail(
            &why, NW_REJECT,
            "NW2419 its epoch is larger than memory and spill quota, so that the rest of it "
            "cannot be sent again");
    } else if (task->rows_count > 1) {
        task->entry->single_always = task->entry->single; /* together they are refused still */
        task->entry->single = true;
        return NW_OK;
    } else if (is_out(task->entry, place)) {
        return NW_OK; /* two workers' tasks come back in one step */
    } else if (seq->refusals >= seq->letters->store->refusals_max) {
        (void)nw_fail(&why, NW_REJECT,
                      "NW2419 it refused %u rows of one commit, and may dead_letter_rows",
                      seq->refusals);
    } else {
        seq->refusals++;
        status = row_take(seq, task->entry, task->batch, task->first_row, err->text, &why);
        nw_letters_accepted(task);
        if (status == NW_OK) {
            return NW_OK;
        }
    }
    return nw_fail(err, NW_REJECT, "NW2419 %.*s; not kept as a dead letter: %.*s",
                   REASON_LENGTH / 2, nw_code_rest(said.text), REASON_LENGTH / 2,
                   nw_code_rest(why.text));
}

/* ---- writing them ---- */

bool nw_letters_post(struct nw_sequencer *seq, bool commits)
{
    struct nw_letters *letters = seq->letters;
    struct letters kept;
    struct copies copies;

    if (letters == NULL ||
        (letters->copies.count == 0 && (!commits || letters->waiting.count == 0))) {
        return false;
    }
    NW_ASSERT(!letters->posted);
    kept = letters->writing;
    letters->writing = letters->waiting;
    letters->waiting = kept;
    copies = letters->copies_writing;
    letters->copies_writing = letters->copies;
    letters->copies = copies;
    letters->posted = true;
    seq->sink->control.store = letters->store;
    seq->sink->control.letters =
        (struct nw_letter_write){.letters = letters->writing.items,
                                 .letters_count = letters->writing.count,
                                 .copies = letters->copies_writing.items,
                                 .copies_count = letters->copies_writing.count};
    nw_sink_control_post(seq->sink, NW_TASK_LETTERS);
    return true;
}

static struct said *said_of(struct nw_letters *letters, uint32_t relation_oid)
{
    for (uint32_t i = 0; i < letters->said_count; i++) {
        if (letters->said[i].relation_oid == relation_oid) {
            return &letters->said[i];
        }
    }
    if (letters->said_count == SAID_MAX) {
        return &letters->said[0];
    }
    letters->said[letters->said_count].relation_oid = relation_oid;
    return &letters->said[letters->said_count++];
}

/* One line for a table's first, and then for what came within a minute. */
static void say(struct nw_sequencer *seq, const struct nw_letter *letter)
{
    struct said *said = said_of(seq->letters, letter->key.relation_oid);

    said->unsaid++;
    if (said->at_ns != 0 && seq->now_ns - said->at_ns < SAY_EVERY_NS) {
        return;
    }
    nw_log(NW_LOG_WARN,
           "NW2418 sink %s refused %" PRIu64
           " row%s of table %s.%s%s: %.*s; dead letters are not at "
           "the sink: narwal dead-letter list",
           seq->sink->config->name, said->unsaid, said->unsaid == 1 ? "" : "s",
           letter->table->schema_name, letter->table->name, said->at_ns == 0 ? "" : " since then",
           REASON_LENGTH, nw_code_rest(letter->reason));
    said->at_ns = seq->now_ns;
    said->unsaid = 0;
}

nw_status nw_letters_written(struct nw_sequencer *seq, const struct nw_task *task)
{
    struct nw_letters *letters = seq->letters;
    const struct nw_table *table =
        letters->writing.count == 0 ? NULL : letters->writing.items[0].table;
    struct nw_error why = {0};

    letters->posted = false;
    if (task->status == NW_OK) {
        for (uint32_t i = 0; i < letters->writing.count; i++) {
            letters->waiting_bytes -= letters->writing.items[i].row_size;
            say(seq, &letters->writing.items[i]);
        }
        atomic_fetch_add_explicit(&seq->sink->letters_written, letters->writing.count,
                                  memory_order_relaxed);
    }
    letters_clear(&letters->writing);
    letters->copies_writing.count = 0;
    if (task->status == NW_OK) {
        return NW_OK;
    }
    if (table == NULL) { /* only what is of no use any more stays: the next start finds it */
        nw_log(NW_LOG_WARN, "%.6s %s", nw_code_or(task->error.text, "NW2420"),
               nw_code_rest(task->error.text));
        return NW_OK;
    }
    (void)nw_fail(
        &why, NW_REJECT, "%.6s a row that it refuses cannot be kept as a dead letter: %.*s",
        nw_code_or(task->error.text, "NW2420"), REASON_LENGTH, nw_code_rest(task->error.text));
    return nw_sequencer_fail(seq, &why, table);
}

void nw_letters_durable(struct nw_sequencer *seq)
{
    struct nw_letters *letters = seq->letters;

    seq->refusals = 0;
    for (uint32_t i = 0; letters != NULL && i < seq->copy_commits_count; i++) {
        const struct nw_copy_commit *commit = seq->copy_commits[i];
        struct copies *to = &letters->copies;

        if (!commit->progress.complete) {
            continue;
        }
        if (to->count == to->capacity) {
            uint32_t capacity = to->capacity == 0 ? 16 : to->capacity * 2;
            struct nw_letter_copy *grown = reallocarray(to->items, capacity, sizeof *grown);

            if (grown == NULL) {
                return; /* the next start finds it */
            }
            to->items = grown;
            to->capacity = capacity;
        }
        to->items[to->count++] = (struct nw_letter_copy){commit->relation_oid, commit->generation,
                                                         commit->progress.origin.fence_lsn, true};
    }
}

nw_status nw_letters_create(struct nw_sequencer *seq, struct nw_error *err)
{
    struct nw_letters *made = calloc(1, sizeof *made);

    if (made != NULL) {
        made->said = calloc(SAID_MAX, sizeof *made->said);
    }
    if (made == NULL || made->said == NULL) {
        free(made);
        return nw_fail(err, NW_RETRY, "out of memory for dead letters");
    }
    made->store = seq->options.letters;
    seq->letters = made;
    return NW_OK;
}

void nw_letters_destroy(struct nw_sequencer *seq)
{
    struct nw_letters *letters = seq->letters;

    if (letters == NULL) {
        return;
    }
    letters_clear(&letters->waiting);
    letters_clear(&letters->writing);
    free(letters->waiting.items);
    free(letters->writing.items);
    free(letters->copies.items);
    free(letters->copies_writing.items);
    free(letters->known);
    free(letters->said);
    free(letters);
    seq->letters = NULL;
}
