/* SPDX-License-Identifier: Apache-2.0 */
/* See waits.h. */
#include "serve/waits.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/errno.h"

#define SINKS_MAX 16u
#define NAME_SIZE 64u

struct waiter {
    uint64_t lsn; /* 0: nobody */
    uint32_t sink;
};

struct nw_waits {
    char names[SINKS_MAX][NAME_SIZE]; /* constant, as the next two */
    uint32_t sinks_count;
    int news;              /* eventfd */
    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    uint64_t lsns[SINKS_MAX];
    bool ended;
    struct waiter waiters[NW_WAITS_MAX];
};

nw_status nw_waits_create(const char *const *names, uint32_t count, struct nw_waits **waits,
                          struct nw_error *err)
{
    struct nw_waits *made = calloc(1, sizeof *made);
    pthread_condattr_t monotonic;

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory");
    }
    made->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (made->news < 0) {
        free(made);
        return nw_fail(err, NW_FATAL, "NW2901 cannot make an eventfd: %s", nw_errno_text(errno));
    }
    made->sinks_count = count < SINKS_MAX ? count : SINKS_MAX;
    for (uint32_t i = 0; i < made->sinks_count; i++) {
        (void)snprintf(made->names[i], sizeof made->names[i], "%s", names[i]);
    }
    (void)pthread_mutex_init(&made->mutex, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&made->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    *waits = made;
    return NW_OK;
}

void nw_waits_destroy(struct nw_waits *waits)
{
    if (waits != NULL) {
        (void)close(waits->news);
        (void)pthread_cond_destroy(&waits->changed);
        (void)pthread_mutex_destroy(&waits->mutex);
        free(waits);
    }
}

static uint64_t wanted_locked(const struct nw_waits *waits)
{
    uint64_t highest = 0;

    for (uint32_t i = 0; i < NW_WAITS_MAX; i++) {
        highest = waits->waiters[i].lsn > highest ? waits->waiters[i].lsn : highest;
    }
    return highest;
}

static void wake_locked(struct nw_waits *waits)
{
    uint64_t one = 1;

    (void)pthread_cond_broadcast(&waits->changed);
    (void)!write(waits->news, &one, sizeof one);
}

void nw_waits_tell(struct nw_waits *waits, const uint64_t *lsns)
{
    (void)pthread_mutex_lock(&waits->mutex);
    memcpy(waits->lsns, lsns, waits->sinks_count * sizeof *lsns);
    if (wanted_locked(waits) > 0) {
        wake_locked(waits);
    }
    (void)pthread_mutex_unlock(&waits->mutex);
}

uint64_t nw_waits_wanted(struct nw_waits *waits)
{
    uint64_t wanted = 0;

    (void)pthread_mutex_lock(&waits->mutex);
    wanted = wanted_locked(waits);
    (void)pthread_mutex_unlock(&waits->mutex);
    return wanted;
}

void nw_waits_end(struct nw_waits *waits)
{
    (void)pthread_mutex_lock(&waits->mutex);
    waits->ended = true;
    wake_locked(waits);
    (void)pthread_mutex_unlock(&waits->mutex);
}

bool nw_waits_sink(const struct nw_waits *waits, const char *name, uint32_t *sink)
{
    *sink = NW_WAIT_ALL_SINKS;
    if (name == NULL || strcmp(name, "*") == 0) {
        return true;
    }
    for (uint32_t i = 0; i < waits->sinks_count; i++) {
        if (strcmp(waits->names[i], name) == 0) {
            *sink = i;
            return true;
        }
    }
    return false;
}

static bool durable_locked(const struct nw_waits *waits, const struct waiter *waiter)
{
    for (uint32_t i = 0; i < waits->sinks_count; i++) {
        if ((waiter->sink == NW_WAIT_ALL_SINKS || waiter->sink == i) &&
            waits->lsns[i] < waiter->lsn) {
            return false;
        }
    }
    return true;
}

static enum nw_wait_result look_locked(const struct nw_waits *waits, int place)
{
    return durable_locked(waits, &waits->waiters[place]) ? NW_WAIT_DURABLE
           : waits->ended                                ? NW_WAIT_ENDS
                                                         : NW_WAIT_NOT_YET;
}

static int begin_locked(struct nw_waits *waits, uint64_t lsn, uint32_t sink)
{
    for (uint32_t i = 0; i < NW_WAITS_MAX; i++) {
        if (waits->waiters[i].lsn == 0) {
            waits->waiters[i] = (struct waiter){lsn == 0 ? 1 : lsn, sink};
            return (int)i;
        }
    }
    return -1;
}

int nw_wait_begin(struct nw_waits *waits, uint64_t lsn, uint32_t sink)
{
    int place = -1;

    (void)pthread_mutex_lock(&waits->mutex);
    place = begin_locked(waits, lsn, sink);
    (void)pthread_mutex_unlock(&waits->mutex);
    return place;
}

enum nw_wait_result nw_wait_look(struct nw_waits *waits, int place)
{
    enum nw_wait_result result = NW_WAIT_NOT_YET;

    (void)pthread_mutex_lock(&waits->mutex);
    result = look_locked(waits, place);
    (void)pthread_mutex_unlock(&waits->mutex);
    return result;
}

void nw_wait_end(struct nw_waits *waits, int place)
{
    (void)pthread_mutex_lock(&waits->mutex);
    waits->waiters[place].lsn = 0;
    (void)pthread_mutex_unlock(&waits->mutex);
}

int nw_waits_descriptor(const struct nw_waits *waits)
{
    return waits->news;
}

enum nw_wait_result nw_wait(struct nw_waits *waits, uint64_t lsn, uint32_t sink, int64_t timeout_us)
{
    enum nw_wait_result result = NW_WAIT_MANY;
    struct timespec until;
    int place = -1;
    int late = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_us / 1000000;
    until.tv_nsec += timeout_us % 1000000 * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_mutex_lock(&waits->mutex);
    place = begin_locked(waits, lsn, sink);
    while (place >= 0 && (result = look_locked(waits, place)) == NW_WAIT_NOT_YET && late == 0) {
        late = pthread_cond_timedwait(&waits->changed, &waits->mutex, &until);
    }
    if (place >= 0) {
        waits->waiters[place].lsn = 0;
    }
    (void)pthread_mutex_unlock(&waits->mutex);
    return result;
}
