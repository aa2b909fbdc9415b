/* SPDX-License-Identifier: Apache-2.0 */
/* See job.h. `asked` is pushed by the client, `done` by the service thread. */
#include "ring/job.h"

#include <stdlib.h>

#include "base/assert.h"

struct nw_jobs {
    struct nw_spsc *asked;
    struct nw_spsc *done;
    struct nw_bell *service_bell;
    struct nw_bell *client_bell;
};

nw_status nw_jobs_create(struct nw_bell *service_bell, struct nw_bell *client_bell,
                         struct nw_jobs **jobs, struct nw_error *err)
{
    struct nw_jobs *made = calloc(1, sizeof *made);

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for the service thread's jobs");
    }
    made->service_bell = service_bell;
    made->client_bell = client_bell;
    if (nw_spsc_create(NW_JOBS_MAX, &made->asked, err) != NW_OK ||
        nw_spsc_create(NW_JOBS_MAX, &made->done, err) != NW_OK) {
        nw_jobs_destroy(made);
        return NW_FATAL;
    }
    *jobs = made;
    return NW_OK;
}

void nw_jobs_destroy(struct nw_jobs *jobs)
{
    if (jobs != NULL) {
        nw_spsc_destroy(jobs->asked);
        nw_spsc_destroy(jobs->done);
        free(jobs);
    }
}

static nw_status do_work(void *self, int64_t now_ns, uint32_t *work, struct nw_error *err)
{
    struct nw_jobs *jobs = self;
    struct nw_job *job = nw_spsc_pop(jobs->asked);
    bool pushed = false;

    (void)now_ns;
    (void)err; /* a job's error is its client's */
    if (job == NULL) {
        return NW_OK;
    }
    job->error = (struct nw_error){0};
    job->status = job->run(job->context, &job->error);
    pushed = nw_spsc_push(jobs->done, job);
    NW_ASSERT(pushed); /* no more jobs than slots are ever under way */
    nw_bell_ring(jobs->client_bell);
    *work += 1;
    return NW_OK;
}

struct nw_agent nw_jobs_agent(struct nw_jobs *jobs)
{
    return (struct nw_agent){.name = "service", .self = jobs, .do_work = do_work};
}

void nw_jobs_submit(struct nw_jobs *jobs, struct nw_job *job)
{
    bool pushed = false;

    NW_ASSERT(!job->pending);
    job->pending = true;
    pushed = nw_spsc_push(jobs->asked, job);
    NW_ASSERT(pushed);
    nw_bell_ring(jobs->service_bell);
}

unsigned nw_jobs_collect(struct nw_jobs *jobs)
{
    struct nw_job *job = NULL;
    unsigned count = 0;

    while ((job = nw_spsc_pop(jobs->done)) != NULL) {
        job->pending = false;
        count++;
    }
    return count;
}
