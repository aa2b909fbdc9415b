/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance runner: a sink that keeps the contract passes, and each breach is found. */
#include <unistd.h>

#include "sink_kit.h"

#include "sink/check.h"

/* A sink in memory that keeps the contract, but for the breach that a test asks for. */
enum breach {
    NONE,
    FORGETS_POSITION, /* recover() gives the position before the last one */
    CUTS_POSITION,    /* at the first NUL byte */
    COMMITS_AT_SEAL,  /* what was sealed is durable */
    NO_FENCING,
    FENCING_STANDS, /* the number does not grow */
    TAKES_BACK,     /* recover() of an instance that was fenced off raises it again */
    FORGETS_COPIES,
    COPY_ALWAYS_COMPLETE,
    CRASHES_ON_SCHEMA,
    LEAKS_ARRAYS,
    ODD_STATUS,
    ODD_OUTCOME,
    FAILS_UNKNOWN_EVENT,
    STORES_NOTHING, /* recover() never gives anything */
};

struct stored { /* shared by all instances: the store */
    uint64_t fencing;
    uint8_t position[2][NW_POSITION_SIZE_MAX];
    uint32_t size[2];
    struct nw_copy_state copies[8];
    uint8_t bytes[8][64];
    uint32_t copies_count;
    uint64_t owner;
};
static struct stored stored;
static enum breach breach;
static bool exports;

struct instance {
    const struct nw_host *host;
    uint64_t fencing;
    struct nw_position position;
    struct ArrowArray arrays[64];
    uint32_t arrays_count;
    uint32_t sealed;
};

static nw_status good_open(const struct nw_host *host, const struct nw_config *config,
                           uint32_t workers, void **self, struct nw_error *err)
{
    struct instance *made = calloc(1, sizeof *made);

    (void)config;
    (void)workers;
    (void)err;
    made->host = host;
    *self = made;
    return NW_OK;
}

static nw_status good_recover(void *self, struct nw_recovery *recovery, struct nw_error *err)
{
    struct instance *instance = self;
    uint32_t which = breach == FORGETS_POSITION && stored.size[1] > 0 ? 1 : 0;

    if (instance->fencing != 0 && instance->fencing != stored.owner && breach != TAKES_BACK) {
        return nw_fail(err, NW_FATAL, "another one has taken over");
    }
    instance->fencing = breach == FENCING_STANDS ? 5 : ++stored.fencing;
    stored.owner = instance->fencing;
    instance->position = (struct nw_position){stored.position[which], stored.size[which], 0};
    if (breach == CUTS_POSITION) {
        instance->position.size =
            (uint32_t)strnlen((const char *)stored.position[0], stored.size[0]);
    }
    recovery->positions_count = instance->position.size > 0 && breach != STORES_NOTHING;
    recovery->positions = &instance->position;
    recovery->copies_count =
        breach == FORGETS_COPIES || breach == STORES_NOTHING ? 0 : stored.copies_count;
    recovery->copies = stored.copies;
    recovery->fencing = instance->fencing;
    return NW_OK;
}

static nw_status good_resolve(void *self, uint32_t oid, uint32_t generation,
                              enum nw_copy_verdict verdict, struct nw_error *err)
{
    (void)self;
    (void)oid;
    (void)generation;
    (void)verdict;
    (void)err;
    return NW_OK;
}

static nw_status good_table(void *self, uint32_t worker, const struct nw_table *table,
                            struct nw_error *err)
{
    (void)self;
    (void)worker;
    (void)err;
    if (breach == CRASHES_ON_SCHEMA && table->version == 2) {
        abort();
    }
    return NW_OK;
}

static nw_status good_copy(void *self, uint32_t worker, const struct nw_table *table,
                           uint32_t generation, struct nw_error *err)
{
    (void)self;
    (void)worker;
    (void)table;
    (void)generation;
    (void)err;
    return NW_OK;
}

static nw_status good_write(void *self, uint32_t worker, const struct nw_batch *batch,
                            struct nw_error *err)
{
    struct instance *instance = self;

    (void)worker;
    if (breach == ODD_STATUS) {
        return (nw_status)42;
    }
    if (exports && instance->arrays_count < 64) {
        struct ArrowSchema schema;
        nw_status status = instance->host->batch_export(
            instance->host, batch, &schema, &instance->arrays[instance->arrays_count], err);

        if (status != NW_OK) {
            return status;
        }
        schema.release(&schema);
        instance->arrays_count++;
    }
    return NW_OK;
}

static nw_status good_event(void *self, uint32_t worker, const struct nw_event *event,
                            struct nw_error *err)
{
    (void)self;
    (void)worker;
    return event->kind > NW_EVENT_DROP && breach == FAILS_UNKNOWN_EVENT
               ? nw_fail(err, NW_FATAL, "an event that I do not know")
               : NW_OK;
}

static nw_status good_seal(void *self, uint32_t worker, uint64_t epoch, struct nw_error *err)
{
    (void)self;
    (void)worker;
    (void)epoch;
    (void)err;
    if (breach == COMMITS_AT_SEAL && stored.size[0] > 0) {
        stored.position[0][0]++;
    }
    return NW_OK;
}

static void copies_store(const struct nw_commit *commit)
{
    for (uint32_t i = 0; i < commit->copies_count; i++) {
        uint32_t at = 0;

        while (at < stored.copies_count &&
               stored.copies[at].relation_oid != commit->copies[i].relation_oid) {
            at++;
        }
        stored.copies_count = at == stored.copies_count ? at + 1 : stored.copies_count;
        stored.copies[at] = commit->copies[i];
        memcpy(stored.bytes[at], commit->copies[i].bytes, commit->copies[i].size);
        stored.copies[at].bytes = stored.bytes[at];
        stored.copies[at].complete |= breach == COPY_ALWAYS_COMPLETE;
    }
}

static nw_status good_commit(void *self, const struct nw_commit *commit, enum nw_outcome *outcome,
                             struct nw_error *err)
{
    struct instance *instance = self;

    if (stored.owner != instance->fencing && breach != NO_FENCING) {
        return nw_fail(err, NW_FATAL, "another process has taken over");
    }
    stored.size[1] = stored.size[0];
    memcpy(stored.position[1], stored.position[0], stored.size[0]);
    stored.size[0] = commit->positions[0].size;
    memcpy(stored.position[0], commit->positions[0].bytes, stored.size[0]);
    copies_store(commit);
    *outcome = breach == ODD_OUTCOME ? (enum nw_outcome)9 : NW_COMMITTED;
    return NW_OK;
}

/* The answer comes by the host call, before commit() has even returned. */
static nw_status pending_commit(void *self, const struct nw_commit *commit,
                                enum nw_outcome *outcome, struct nw_error *err)
{
    struct instance *instance = self;
    nw_status status = good_commit(self, commit, outcome, err);

    if (status == NW_OK && *outcome == NW_COMMITTED) {
        *outcome = NW_PENDING;
        instance->host->commit_done(instance->host, commit->epoch, NW_COMMITTED, NULL);
    }
    return status;
}

static void good_close(void *self)
{
    struct instance *instance = self;

    for (uint32_t i = 0; i < instance->arrays_count && breach != LEAKS_ARRAYS; i++) {
        instance->arrays[i].release(&instance->arrays[i]);
    }
    free(instance);
}

static const struct nw_sink_ops good_ops = {
    .abi = NW_SINK_ABI,
    .size = sizeof(struct nw_sink_ops),
    .name = "good",
    .version = "1",
    .flags = NW_SINK_EXCEPTIONS | NW_SINK_TRANSACTIONS,
    .workers_max = 4,
    .epochs_ahead_max = 2,
    .open = good_open,
    .recover = good_recover,
    .copy_resolve = good_resolve,
    .table = good_table,
    .copy_begin = good_copy,
    .copy_end = good_copy,
    .write = good_write,
    .event = good_event,
    .seal = good_seal,
    .commit = good_commit,
    .close = good_close,
};

static char lines[8192];
static uint32_t lines_count;

static void collect(void *context, const char *line)
{
    size_t size = strlen(lines);

    (void)context;
    (void)snprintf(lines + size, sizeof lines - size, "%s\n", line);
    lines_count++;
}

static uint32_t check_store(const struct nw_sink_ops *ops)
{
    static struct nw_plugin plugin;
    struct nw_config config = {.name = "check"};
    struct nw_check_options options = {.plugin = &plugin, .config = &config, .report = collect};
    struct nw_error err = {0};
    uint32_t failed = 0;

    lines[0] = '\0';
    lines_count = 0;
    assert_int_equal(nw_env_system_create(NW_IO_PREAD, &options.env, &err), NW_OK);
    assert_int_equal(nw_plugin_adopt(ops, &plugin, &err), NW_OK);
    assert_int_equal(nw_check_run(&options, &failed, &err), NW_OK);
    nw_env_system_destroy(options.env);
    return failed;
}

static uint32_t check(const struct nw_sink_ops *ops, enum breach which)
{
    breach = which;
    memset(&stored, 0, sizeof stored);
    return check_store(ops);
}

static void sink_that_keeps_the_contract_passes_every_check(void **state)
{
    struct nw_sink_ops ops = good_ops;

    (void)state;
    for (int i = 0; i < 2; i++) {
        exports = i == 1;
        ops.commit = i == 1 ? pending_commit : good_commit;
        if (check(&ops, NONE) != 0) {
            fail_msg("%s", lines);
        }
        assert_true(lines_count >= 20);
        assert_non_null(strstr(lines, "ok    fences off a former process\n"));
        assert_non_null(strstr(lines, "ok    works with several workers\n"));
    }
    assert_null(strstr(lines, "skip"));
    exports = false;
}

static void what_does_not_apply_is_skipped(void **state)
{
    struct nw_sink_ops ops = good_ops;

    (void)state;
    ops.flags = NW_SINK_APPEND_ONLY;
    ops.workers_max = 1;
    ops.epochs_ahead_max = 0;
    ops.event = NULL;
    ops.copy_begin = NULL;
    ops.copy_end = NULL;
    ops.copy_resolve = NULL;
    assert_int_equal(check(&ops, NONE), 0);
    assert_non_null(strstr(lines, "skip  works with several workers: it has one worker\n"));
    assert_non_null(strstr(lines, "skip  commits several epochs as one: epochs_ahead_max is 0\n"));
}

static void every_breach_is_found(void **state)
{
    static const struct {
        enum breach breach;
        const char *line;
    } breaches[] = {
        {FORGETS_POSITION, "FAIL  forgets what was not committed: "},
        {CUTS_POSITION, "FAIL  gives its position back: "},
        {COMMITS_AT_SEAL, "FAIL  forgets what was not committed: "},
        {NO_FENCING, "FAIL  fences off a former process: a former process could commit"},
        {TAKES_BACK, "FAIL  fences off a former process: a former process took its place back"},
        {FENCING_STANDS, "took the fencing number 5 after 5"},
        {FORGETS_COPIES, "FAIL  copies a table: recover() did not give the state"},
        {COPY_ALWAYS_COMPLETE, "FAIL  resumes a copy: recover() gave generation 2 (complete)"},
        {CRASHES_ON_SCHEMA, "FAIL  takes a new schema version: the plugin crashed with signal 6"},
        {ODD_STATUS, "status 42, which does not exist"},
        {ODD_OUTCOME, "the outcome 9, which does not exist"},
        {FAILS_UNKNOWN_EVENT, "FAIL  lets pass what a newer host may send: "},
        {STORES_NOTHING, "FAIL  gives its position back: recover() gave 0 positions after"},
        {LEAKS_ARRAYS, "were not released a second after close()"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof breaches / sizeof breaches[0]; i++) {
        exports = breaches[i].breach == LEAKS_ARRAYS;
        assert_true(check(&good_ops, breaches[i].breach) > 0);
        if (strstr(lines, breaches[i].line) == NULL) {
            fail_msg("no \"%s\" in\n%s", breaches[i].line, lines);
        }
    }
    exports = false;
}

static void sink_that_declares_to_store_nothing_passes_without_what_needs_a_position(void **state)
{
    static const char *const skipped[] = {
        "gives its position back", "settles an unknown outcome by recover()",
        "fences off a former process", "resumes a copy", "discards a copy, and copies again"};
    struct nw_sink_ops ops = good_ops;
    uint32_t skips = 0;

    (void)state;
    ops.flags |= NW_SINK_STORES_NOTHING;
    exports = true;
    if (check(&ops, STORES_NOTHING) != 0) {
        fail_msg("%s", lines);
    }
    exports = false;
    for (size_t i = 0; i < sizeof skipped / sizeof skipped[0]; i++) {
        char line[256];

        (void)snprintf(line, sizeof line, "skip  %s: it stores nothing (NW_SINK_STORES_NOTHING)\n",
                       skipped[i]);
        if (strstr(lines, line) == NULL) {
            fail_msg("no \"%s\" in\n%s", line, lines);
        }
    }
    for (const char *at = lines; (at = strstr(at, "skip  ")) != NULL; at++) {
        skips++;
    }
    assert_int_equal(skips, sizeof skipped / sizeof skipped[0]);
    assert_non_null(strstr(lines, "ok    forgets what was not committed\n"));
}

static void sink_that_declares_to_store_nothing_and_gives_a_position_fails(void **state)
{
    struct nw_sink_ops ops = good_ops;

    (void)state;
    ops.flags |= NW_SINK_STORES_NOTHING;
    assert_true(check(&ops, NONE) > 0);
    assert_non_null(strstr(lines, "recover() gave 1 positions"));
}

static void place_that_is_not_empty_is_refused_at_once(void **state)
{
    (void)state;
    breach = NONE;
    memset(&stored, 0, sizeof stored);
    stored.size[0] = 5;
    assert_int_equal(check_store(&good_ops), 1);
    assert_int_equal(lines_count, 1);
    assert_non_null(strstr(lines, "name an empty place"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sink_that_keeps_the_contract_passes_every_check),
        cmocka_unit_test(what_does_not_apply_is_skipped),
        cmocka_unit_test(every_breach_is_found),
        cmocka_unit_test(sink_that_declares_to_store_nothing_passes_without_what_needs_a_position),
        cmocka_unit_test(sink_that_declares_to_store_nothing_and_gives_a_position_fails),
        cmocka_unit_test(place_that_is_not_empty_is_refused_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
