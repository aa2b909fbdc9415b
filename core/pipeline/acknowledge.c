/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See acknowledge.h. `epochs` are those that ended and are not durable everywhere, oldest first;
 * epoch numbers are consecutive, so a sink's place in the list is a subtraction.
 */
#include "pipeline/acknowledge.h"

#include <stdlib.h>

#include "base/assert.h"
#include "sink/sink.h"

#define EPOCHS_MAX 4096u       /* ended and not durable everywhere; past it no epoch is fetched */
#define RECORD_NS  100000000LL /* the server is told no more often: a record is a synced write */

struct nw_acknowledger {
    struct nw_acknowledger_options options;
    uint64_t lsns[EPOCHS_MAX];          /* by epoch, of (durable_all, ended] */
    uint64_t ended;                     /* last epoch that ended */
    uint64_t durable_all;               /* last epoch that is durable everywhere */
    uint64_t durable[16];               /* the same of each sink */
    uint64_t wanted_lsn;                /* safe; to be recorded */
    uint64_t sinks_lsn;                 /* everything before it is durable at every sink */
    uint64_t told_epoch;                /* the source was told of: durable everywhere, */
    uint64_t told_lsn;                  /* and so is what it keeps itself */
    struct nw_acknowledgement recorded; /* the job's while it is under way */
    uint64_t flush_lsn;                 /* recorded */
    struct nw_job job;
    int64_t recorded_ns;
    bool recording;
};

static nw_status record_run(void *context, struct nw_error *err)
{
    struct nw_acknowledger *acknowledger = context;

    return acknowledger->options.record(acknowledger->options.context, &acknowledger->recorded,
                                        err);
}

nw_status nw_acknowledger_create(const struct nw_acknowledger_options *options,
                                 struct nw_acknowledger **acknowledger, struct nw_error *err)
{
    struct nw_acknowledger *made = calloc(1, sizeof *made);

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for the acknowledger");
    }
    NW_ASSERT(options->sinks_count >= 1 && options->sinks_count <= 16);
    made->options = *options;
    made->flush_lsn = made->wanted_lsn = options->flush_lsn;
    made->job = (struct nw_job){.run = record_run, .context = made};
    *acknowledger = made;
    return NW_OK;
}

void nw_acknowledger_destroy(struct nw_acknowledger *acknowledger)
{
    free(acknowledger);
}

uint64_t nw_acknowledger_flush_lsn(const struct nw_acknowledger *acknowledger)
{
    return acknowledger->flush_lsn;
}

/* From here on some sink lacks what waits for a copy. */
static uint64_t held_lsn(const struct nw_acknowledger *a)
{
    uint64_t lowest = UINT64_MAX;

    for (uint32_t i = 0; i < a->options.sinks_count; i++) {
        uint64_t lsn = nw_sink_held_lsn(a->options.sinks[i]);

        lowest = lsn < lowest ? lsn : lowest;
    }
    return lowest;
}

void nw_acknowledger_durable(const struct nw_acknowledger *a, uint64_t lsns[16])
{
    for (uint32_t i = 0; i < a->options.sinks_count; i++) {
        uint64_t epoch = a->durable[i] < a->ended ? a->durable[i] : a->ended;
        uint64_t lsn = epoch > a->durable_all ? a->lsns[epoch % EPOCHS_MAX] : 0;

        uint64_t held = nw_sink_held_lsn(a->options.sinks[i]);

        lsn = lsn > a->sinks_lsn ? lsn : a->sinks_lsn;
        lsns[i] = lsn < held ? lsn : held;
    }
}

bool nw_acknowledger_settled(const struct nw_acknowledger *acknowledger)
{
    uint64_t held = held_lsn(acknowledger); /* a stop does not wait for a copy */
    uint64_t safe = acknowledger->sinks_lsn < held ? acknowledger->sinks_lsn : held;

    return acknowledger->durable_all == acknowledger->ended && acknowledger->told_lsn >= safe &&
           !acknowledger->recording && acknowledger->flush_lsn == acknowledger->wanted_lsn;
}

/* Takes in which epochs ended, and at which LSN. */
static void ends_take(struct nw_acknowledger *a, uint32_t *work)
{
    uint64_t epoch = 0;
    uint64_t lsn = 0;

    while (a->ended - a->durable_all < EPOCHS_MAX &&
           nw_source_ended(a->options.source, &epoch, &lsn)) {
        NW_ASSERT(a->ended == 0 || epoch == a->ended + 1);
        if (a->ended == 0) {
            a->durable_all = epoch - 1;
        }
        a->ended = epoch;
        a->lsns[epoch % EPOCHS_MAX] = lsn;
        *work += 1;
    }
}

/* Takes in what became durable in one sink. */
static void durable_take(struct nw_acknowledger *a, uint32_t sink, uint32_t *work)
{
    uint64_t epoch = 0;

    while ((epoch = nw_durable_pop(a->options.durable[sink])) != 0) {
        NW_ASSERT(epoch > a->durable[sink]);
        a->durable[sink] = epoch;
        *work += 1;
    }
}

/*
 * What the sinks have is safe as far as what they do not get is, which the source keeps, and as far
 * as what waits in them for a copy: that was said before any commit that lacks it.
 */
static void safe_take(struct nw_acknowledger *a)
{
    uint64_t limit = nw_source_limit_lsn(a->options.source);
    uint64_t held = held_lsn(a);
    uint64_t safe = a->sinks_lsn < limit ? a->sinks_lsn : limit;

    safe = safe < held ? safe : held;

    if (a->durable_all == a->told_epoch && safe <= a->told_lsn) {
        return;
    }
    a->told_epoch = a->durable_all;
    a->told_lsn = safe > a->told_lsn ? safe : a->told_lsn;
    a->wanted_lsn = a->told_lsn > a->wanted_lsn ? a->told_lsn : a->wanted_lsn;
    nw_source_durable(a->options.source, a->told_epoch, a->told_lsn);
}

/* Takes in what ended and what became durable. */
static void collect(struct nw_acknowledger *a, uint32_t *work)
{
    uint64_t lowest = UINT64_MAX;
    uint64_t highest = 0;

    ends_take(a, work);
    for (uint32_t i = 0; i < a->options.sinks_count; i++) {
        durable_take(a, i, work);
        lowest = a->durable[i] < lowest ? a->durable[i] : lowest;
        highest = a->durable[i] > highest ? a->durable[i] : highest;
    }
    if (lowest > a->durable_all && lowest <= a->ended) {
        uint64_t safe = a->lsns[lowest % EPOCHS_MAX];

        a->durable_all = lowest;
        a->sinks_lsn = safe > a->sinks_lsn ? safe : a->sinks_lsn;
    }
    safe_take(a);
    if (nw_source_spooled_lsn(a->options.source) > a->wanted_lsn) {
        a->wanted_lsn = nw_source_spooled_lsn(a->options.source);
    }
    nw_source_ready(a->options.source, highest >= a->ended);
}

static nw_status do_work(void *self, int64_t now_ns, uint32_t *work, struct nw_error *err)
{
    struct nw_acknowledger *a = self;

    collect(a, work);
    if (a->recording && !a->job.pending) {
        a->recording = false;
        if (a->job.status != NW_OK) {
            *err = a->job.error;
            return a->job.status;
        }
        a->flush_lsn = a->recorded.lsn;
        nw_source_acknowledge(a->options.source, a->flush_lsn);
        *work += 1;
    }
    if (!a->recording && a->wanted_lsn > a->flush_lsn && now_ns - a->recorded_ns >= RECORD_NS) {
        a->recording = true;
        a->recorded_ns = now_ns;
        a->recorded.lsn = a->wanted_lsn;
        a->recorded.why =
            a->wanted_lsn <= a->sinks_lsn ? "durable at every sink" : "durable in the spool";
        nw_source_reached(a->options.source, &a->recorded.reached);
        nw_jobs_submit(a->options.jobs, &a->job);
        *work += 1;
    }
    return NW_OK;
}

static void wait_for(void *self, int64_t now_ns, struct nw_wait *wait)
{
    struct nw_acknowledger *a = self;

    (void)now_ns;
    *wait = (struct nw_wait){.descriptor = -1, .deadline_ns = INT64_MAX};
    if (!a->recording && a->wanted_lsn > a->flush_lsn) {
        wait->deadline_ns = a->recorded_ns + RECORD_NS;
    }
}

struct nw_agent nw_acknowledger_agent(struct nw_acknowledger *acknowledger)
{
    return (struct nw_agent){
        .name = "acknowledge", .self = acknowledger, .do_work = do_work, .wait = wait_for};
}
