/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cases of the conformance runner, in the order in which they run. Each begins with an open
 * sink that was just recovered, and leaves one that is open. See check_private.h.
 */
#include <string.h>
#include <time.h>

#include "sink/check_private.h"

#define COPY_BYTES "copy\0state"

static bool recovered_as_committed(struct nw_check *check)
{
    return nw_check_recover(check) && nw_check_position(check);
}

static bool reopened(struct nw_check *check, uint32_t workers)
{
    nw_check_close(check);
    return nw_check_open(check, workers) && nw_check_position(check);
}

static bool case_empty(struct nw_check *check, const char **skip)
{
    (void)skip;
    return nw_check_position(check);
}

static bool case_rows(struct nw_check *check, const char **skip)
{
    (void)skip;
    return nw_check_write(check, 0, 0, 40) && nw_check_write(check, 0, 1, 5) &&
           nw_check_write(check, 0, 0, 1) && nw_check_epoch(check);
}

static bool case_position(struct nw_check *check, const char **skip)
{
    (void)skip;
    return recovered_as_committed(check) && recovered_as_committed(check);
}

static bool case_uncommitted(struct nw_check *check, const char **skip)
{
    (void)skip;
    /* Half an epoch, then a whole one, are thrown away; then it is sent again. */
    return nw_check_write(check, 0, 0, 10) && recovered_as_committed(check) &&
           nw_check_write(check, 0, 0, 10) && nw_check_seal(check, check->epoch + 1) &&
           recovered_as_committed(check) && nw_check_write(check, 0, 0, 10) &&
           nw_check_epoch(check) && recovered_as_committed(check);
}

static bool case_restart(struct nw_check *check, const char **skip)
{
    (void)skip;
    return nw_check_write(check, 0, 0, 3) && reopened(check, 1) && nw_check_write(check, 0, 0, 3) &&
           nw_check_epoch(check) && reopened(check, 1);
}

static bool case_epochs(struct nw_check *check, const char **skip)
{
    (void)skip;
    /* An empty one, and numbers with gaps. */
    if (!nw_check_epoch(check) || !recovered_as_committed(check) ||
        !nw_check_seal(check, check->epoch + 1000) || !nw_check_commit(check, NULL, 0)) {
        return false;
    }
    return nw_check_write(check, 0, 1, 2) && nw_check_epoch(check) && recovered_as_committed(check);
}

static bool case_positions_of_every_size(struct nw_check *check, const char **skip)
{
    static const uint32_t sizes[] = {NW_POSITION_SIZE_MAX, NW_ENVELOPE_SIZE, 1000};

    (void)skip;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        enum nw_outcome outcome = NW_PENDING;

        if (!nw_check_seal(check, check->epoch + 1)) {
            return false;
        }
        nw_check_position_next(check, sizes[i]);
        if (!nw_check_commit_call(check, NULL, 0, true, &outcome)) {
            return false;
        }
        if (outcome != NW_COMMITTED) {
            return nw_check_fails(check, "a position of %u bytes was not committed", sizes[i]);
        }
        memcpy(check->durable, check->next, sizes[i]);
        check->durable_size = sizes[i];
        if (!recovered_as_committed(check)) {
            return false;
        }
    }
    return true;
}

static bool case_merged(struct nw_check *check, const char **skip)
{
    uint32_t ahead = check->options->plugin->ops.epochs_ahead_max;

    if (ahead == 0) {
        *skip = "epochs_ahead_max is 0";
        return true;
    }
    for (uint32_t i = 0; i < (ahead < 3 ? ahead : 3) + 1; i++) {
        if (!nw_check_write(check, 0, i % 2, 4) || !nw_check_seal(check, check->epoch + 1)) {
            return false;
        }
    }
    return nw_check_commit(check, NULL, 0) && recovered_as_committed(check);
}

/* Whatever became of a commit: recover() says it, and it stays so. */
static bool case_unknown(struct nw_check *check, const char **skip)
{
    enum nw_outcome outcome = NW_PENDING;
    bool happened;

    (void)skip;
    if (!nw_check_write(check, 0, 0, 6) || !nw_check_seal(check, check->epoch + 1)) {
        return false;
    }
    nw_check_position_next(check, 77);
    if (!nw_check_commit_call(check, NULL, 0, false, &outcome) || !nw_check_recover(check)) {
        return false;
    }
    happened = check->recovery->positions_count > 0 &&
               check->recovery->positions[0].size == check->next_size &&
               memcmp(check->recovery->positions[0].bytes, check->next, check->next_size) == 0;
    if (happened) {
        memcpy(check->durable, check->next, check->next_size);
        check->durable_size = check->next_size;
    } else if (outcome == NW_COMMITTED) {
        return nw_check_fails(check, "commit() said committed, and recover() does not know it");
    }
    if (!nw_check_position(check)) {
        return false;
    }
    (void)nanosleep(&(struct timespec){.tv_sec = outcome == NW_PENDING ? 1 : 0}, NULL);
    if (!recovered_as_committed(check)) {
        return false;
    }
    return happened || (nw_check_write(check, 0, 0, 6) && nw_check_epoch(check) &&
                        recovered_as_committed(check));
}

/* A second instance takes over; the first must not be able to commit any more, nor come back. */
static bool case_fencing(struct nw_check *check, const char **skip)
{
    struct nw_check second = {.options = check->options,
                              .epoch = check->epoch,
                              .lsn = check->lsn + 1000,
                              .next_id = check->next_id + 1000,
                              .durable_size = check->durable_size,
                              .fencing = check->fencing,
                              .takes_over = true};
    enum nw_outcome outcome = NW_PENDING;
    bool committed = false;

    memcpy(second.durable, check->durable, check->durable_size);
    if (!nw_check_write(check, 0, 0, 2)) {
        return false;
    }
    if (!nw_check_open(&second, 1)) {
        nw_check_close(&second);
        *skip = "a second process is refused";
        return nw_check_epoch(check) && recovered_as_committed(check);
    }
    if (nw_check_seal(check, check->epoch + 1)) {
        nw_check_position_next(check, 33);
        committed = nw_check_commit_call(check, NULL, 0, true, &outcome) && outcome == NW_COMMITTED;
    }
    if (!committed && nw_check_recover(check)) {
        nw_check_close(check);
        nw_check_close(&second);
        return nw_check_fails(check, "a former process took its place back by recover()");
    }
    nw_check_close(check);
    check->why[0] = '\0'; /* it was to fail */
    if (committed) {
        nw_check_close(&second);
        return nw_check_fails(check, "a former process could commit after recover() of another");
    }
    if (!recovered_as_committed(&second) || !nw_check_write(&second, 0, 0, 2) ||
        !nw_check_epoch(&second)) {
        (void)nw_check_fails(check, "the later process: %.900s", second.why);
        nw_check_close(&second);
        return false;
    }
    nw_check_close(&second);
    memcpy(check->durable, second.durable, second.durable_size);
    check->durable_size = second.durable_size;
    check->epoch = second.epoch;
    check->fencing = second.fencing;
    return nw_check_open(check, 1) && nw_check_position(check);
}

/* Copies. */

static struct nw_copy_state copy_state(uint32_t table, uint32_t generation, bool complete)
{
    return (struct nw_copy_state){.relation_oid = nw_check_table(table)->relation_oid,
                                  .generation = generation,
                                  .complete = complete,
                                  .bytes = (const uint8_t *)COPY_BYTES,
                                  .size = sizeof COPY_BYTES};
}

static bool copy_is(struct nw_check *check, const struct nw_copy_state *copy, uint32_t generation,
                    bool complete)
{
    if (copy->generation != generation || copy->complete != complete) {
        return nw_check_fails(check, "recover() gave generation %u (%s) of the copy, not %u (%s)",
                              copy->generation, copy->complete ? "complete" : "not complete",
                              generation, complete ? "complete" : "not complete");
    }
    if (copy->size != sizeof COPY_BYTES ||
        memcmp(copy->bytes, COPY_BYTES, sizeof COPY_BYTES) != 0) {
        return nw_check_fails(check, "recover() gave other bytes of the copy's state");
    }
    return true;
}

static bool copy_stored(struct nw_check *check, uint32_t table, uint32_t generation, bool complete)
{
    uint32_t oid = nw_check_table(table)->relation_oid;

    if (nw_check_stores_nothing(check)) {
        return true;
    }
    for (uint32_t i = 0; i < check->recovery->copies_count; i++) {
        if (check->recovery->copies[i].relation_oid == oid) {
            return copy_is(check, &check->recovery->copies[i], generation, complete);
        }
    }
    return nw_check_fails(check, "recover() did not give the state of the copy");
}

static bool copy_rows(struct nw_check *check, uint32_t table, uint32_t generation)
{
    struct nw_check_rows rows = {.table = table,
                                 .rows_count = 20,
                                 .first_id = check->next_id,
                                 .commit_lsn = check->lsn,
                                 .copy = true};

    return nw_check_write_rows(check, 0, &rows, 0, generation);
}

/* The copy goes on as of a later commit: some rows have keys that came before. */
static bool copy_rows_on(struct nw_check *check, uint32_t table, uint32_t generation)
{
    struct nw_check_rows rows = {.table = table,
                                 .rows_count = 20,
                                 .first_id = check->next_id - 10,
                                 .commit_lsn = check->lsn + 1,
                                 .copy = true,
                                 .upsert = true};

    return nw_check_write_rows(check, 0, &rows, 0, generation);
}

static bool copy_commit(struct nw_check *check, uint32_t table, uint32_t generation, bool complete)
{
    struct nw_copy_state state = copy_state(table, generation, complete);

    return nw_check_seal(check, check->epoch + 1) && nw_check_commit(check, &state, 1);
}

static bool case_copy(struct nw_check *check, const char **skip)
{
    (void)skip;
    return nw_check_copy_mark(check, 0, 1, 1, false) && copy_rows(check, 1, 1) &&
           nw_check_copy_mark(check, 0, 1, 1, true) && copy_commit(check, 1, 1, true) &&
           recovered_as_committed(check) && copy_stored(check, 1, 1, true) && reopened(check, 1) &&
           copy_stored(check, 1, 1, true);
}

static bool case_copy_resumed(struct nw_check *check, const char **skip)
{
    (void)skip;
    return nw_check_copy_mark(check, 0, 1, 2, false) && copy_rows(check, 1, 2) &&
           copy_commit(check, 1, 2, false) && copy_rows(check, 1, 2) &&
           recovered_as_committed(check) && copy_stored(check, 1, 2, false) &&
           nw_check_resolve(check, 1, 2, NW_COPY_RESUME) && copy_rows_on(check, 1, 2) &&
           nw_check_write(check, 0, 1, 3) && nw_check_copy_mark(check, 0, 1, 2, true) &&
           copy_commit(check, 1, 2, true) && reopened(check, 1) && copy_stored(check, 1, 2, true);
}

static bool case_copy_discarded(struct nw_check *check, const char **skip)
{
    (void)skip;
    return nw_check_copy_mark(check, 0, 1, 3, false) && copy_rows(check, 1, 3) &&
           copy_commit(check, 1, 3, false) && reopened(check, 1) &&
           copy_stored(check, 1, 3, false) && nw_check_resolve(check, 1, 3, NW_COPY_DISCARD) &&
           nw_check_copy_mark(check, 0, 1, 4, false) && copy_rows(check, 1, 4) &&
           nw_check_copy_mark(check, 0, 1, 4, true) && copy_commit(check, 1, 4, true) &&
           recovered_as_committed(check) && copy_stored(check, 1, 4, true);
}

/* Rows and events of other kinds. */

static bool case_schema(struct nw_check *check, const char **skip)
{
    const struct nw_table *list[] = {nw_check_table(2)};
    struct nw_event event = {
        .size = (uint32_t)sizeof event, .kind = NW_EVENT_SCHEMA, .tables_count = 1, .tables = list};

    (void)skip;
    return nw_check_write(check, 0, 0, 3) && nw_check_event(check, 0, &event) &&
           nw_check_write(check, 0, 2, 7) && nw_check_epoch(check) &&
           recovered_as_committed(check) && nw_check_write(check, 0, 2, 7) && nw_check_epoch(check);
}

static bool case_slices(struct nw_check *check, const char **skip)
{
    struct nw_check_rows rows = {.table = 2, .rows_count = 30};

    (void)skip;
    for (uint32_t first = 1; first < rows.rows_count; first += 7) {
        rows.first_id = check->next_id;
        rows.commit_lsn = check->lsn;
        if (!nw_check_write_rows(check, 0, &rows, first, 0)) {
            return false;
        }
    }
    return nw_check_epoch(check) && recovered_as_committed(check);
}

static bool case_exceptions(struct nw_check *check, const char **skip)
{
    struct nw_check_rows rows = {.table = 2,
                                 .rows_count = 3,
                                 .first_id = check->next_id,
                                 .commit_lsn = check->lsn,
                                 .exception = true};

    if ((check->options->plugin->ops.flags & NW_SINK_EXCEPTIONS) == 0) {
        *skip = "NW_SINK_EXCEPTIONS is not declared";
        return true;
    }
    return nw_check_write_rows(check, 0, &rows, 0, 0) && nw_check_epoch(check) &&
           recovered_as_committed(check);
}

static bool case_events(struct nw_check *check, const char **skip)
{
    const struct nw_table *list[] = {nw_check_table(2), nw_check_table(1)};
    const struct nw_table_count counts[] = {{nw_check_table(2), 3}};
    bool transactions = (check->sink->flags & NW_SINK_TRANSACTIONS) != 0;
    struct nw_event truncate = {.size = (uint32_t)sizeof truncate,
                                .kind = NW_EVENT_TRUNCATE,
                                .tables_count = 2,
                                .tables = list};
    struct nw_event drop = {
        .size = (uint32_t)sizeof drop, .kind = NW_EVENT_DROP, .tables_count = 1, .tables = list};
    struct nw_event message = {.size = (uint32_t)sizeof message,
                               .kind = NW_EVENT_MESSAGE,
                               .flags = 1,
                               .prefix = "check",
                               .content = (const uint8_t *)"a\0b",
                               .content_size = 3};
    struct nw_event begin = {.size = (uint32_t)sizeof begin, .kind = NW_EVENT_BEGIN};
    struct nw_event commit = {.size = (uint32_t)sizeof commit,
                              .kind = NW_EVENT_COMMIT,
                              .counts_count = 1,
                              .counts = counts};

    if (check->options->plugin->ops.event == NULL) {
        *skip = "it takes no events";
        return true;
    }
    return (!transactions || nw_check_event(check, 0, &begin)) && nw_check_write(check, 0, 2, 3) &&
           (!transactions || nw_check_event(check, 0, &commit)) &&
           nw_check_event(check, 0, &message) && nw_check_event(check, 0, &truncate) &&
           nw_check_write(check, 0, 2, 3) && nw_check_event(check, 0, &drop) &&
           nw_check_epoch(check) && recovered_as_committed(check);
}

static bool case_newer_host(struct nw_check *check, const char **skip)
{
    struct nw_event event = {.size = (uint32_t)sizeof event + 64, .kind = (enum nw_event_kind)99};

    if (check->options->plugin->ops.event == NULL) {
        *skip = "it takes no events";
        return true;
    }
    /* What a plugin does not know yet it must let pass. */
    return nw_check_event(check, 0, &event) && nw_check_epoch(check);
}

static bool case_workers(struct nw_check *check, const char **skip)
{
    uint32_t workers = check->options->plugin->ops.workers_max;
    bool good;

    if (workers < 2) {
        *skip = "it has one worker";
        return true;
    }
    workers = workers > 3 ? 3 : workers;
    good = reopened(check, workers);
    for (uint32_t round = 0; round < 3 && good; round++) {
        good = nw_check_write(check, 0, 2, 5) && nw_check_write(check, workers - 1, 1, 5) &&
               nw_check_epoch(check) && recovered_as_committed(check);
    }
    return good && reopened(check, 1); /* equal positions: tables may change workers */
}

static bool case_close(struct nw_check *check, const char **skip)
{
    uint32_t held = 0;

    if (!nw_check_write(check, 0, 2, 5)) {
        return false;
    }
    nw_check_close(check);
    if (check->exports_seen == 0) {
        *skip = "it exports no arrays";
    }
    for (uint32_t i = 0; i < check->entries_count; i++) {
        held += !nw_entry_idle(check->entries[i]);
    }
    if (held > 0) {
        /* Allowed, but a plugin that never releases is a leak of memory that narwal cannot use. */
        (void)nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
        held = 0;
        for (uint32_t i = 0; i < check->entries_count; i++) {
            held += !nw_entry_idle(check->entries[i]);
        }
    }
    return held == 0 ? true
                     : nw_check_fails(check,
                                      "%u exported batches were not released a second after "
                                      "close()",
                                      held);
}

const struct nw_check_case nw_check_cases[] = {
    {.name = "opens on an empty place", .run = case_empty},
    {.name = "commits rows of every type", .run = case_rows},
    {.name = "gives its position back", .run = case_position, .stored = true},
    {.name = "forgets what was not committed", .run = case_uncommitted},
    {.name = "survives a restart", .run = case_restart},
    {.name = "takes empty epochs and gaps in their numbers", .run = case_epochs},
    {.name = "takes positions of every size", .run = case_positions_of_every_size},
    {.name = "commits several epochs as one", .run = case_merged},
    {.name = "settles an unknown outcome by recover()", .run = case_unknown, .stored = true},
    {.name = "fences off a former process", .run = case_fencing, .stored = true},
    {.name = "copies a table", .run = case_copy},
    {.name = "resumes a copy", .run = case_copy_resumed, .stored = true},
    {.name = "discards a copy, and copies again", .run = case_copy_discarded, .stored = true},
    {.name = "takes a new schema version", .run = case_schema},
    {.name = "takes a part of a batch", .run = case_slices},
    {.name = "takes values without an exact form", .run = case_exceptions},
    {.name = "takes events", .run = case_events},
    {.name = "lets pass what a newer host may send", .run = case_newer_host},
    {.name = "works with several workers", .run = case_workers},
    {.name = "releases its arrays", .run = case_close},
};
const uint32_t nw_check_cases_count = sizeof nw_check_cases / sizeof nw_check_cases[0];
