/* SPDX-License-Identifier: Apache-2.0 */
/* See trouble.h. */
#include "base/trouble.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/code.h"

#define NUMBERS "0123456789./"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static struct nw_trouble latest[NW_TROUBLES_MAX];
static uint32_t latest_count;
static struct nw_trouble_counts counts;

/* Whether two texts are alike but for their numbers: tries, times and places. */
static bool alike(const char *a, const char *b)
{
    for (;; a++, b++) {
        a += strspn(a, NUMBERS);
        b += strspn(b, NUMBERS);
        if (*a != *b || *a == '\0') {
            return *a == *b;
        }
    }
}

/* Where it stands; the last place, or a new one, when it is not among them. */
static uint32_t place_find(const char *text)
{
    uint32_t at = 0;

    while (at < latest_count && !alike(latest[at].text, text)) {
        at++;
    }
    if (at == latest_count && latest_count < NW_TROUBLES_MAX) {
        latest_count++;
    }
    at = at < latest_count ? at : latest_count - 1;
    if (!alike(latest[at].text, text)) {
        latest[at].count = 0;
    }
    return at;
}

static void counts_raise_locked(enum nw_log_level level, const char *text)
{
    const char *code = nw_code_find(text);
    int family = code == NULL ? 0 : (code[2] - '0') * 10 + (code[3] - '0');

    if (level == NW_LOG_ERROR) {
        counts.errors++;
        counts.family_errors[family]++;
    } else {
        counts.warnings++;
        counts.family_warnings[family]++;
    }
}

void nw_trouble_note(enum nw_log_level level, const char *text)
{
    struct nw_trouble trouble = {.level = level};
    struct timespec now;
    uint32_t at = 0;

    if (level > NW_LOG_WARN) {
        return;
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    trouble.wall_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    (void)snprintf(trouble.text, sizeof trouble.text, "%s", text);
    (void)pthread_mutex_lock(&mutex);
    counts_raise_locked(level, trouble.text);
    at = place_find(trouble.text);
    trouble.count = latest[at].count + 1;
    memmove(&latest[1], &latest[0], at * sizeof latest[0]);
    latest[0] = trouble;
    (void)pthread_mutex_unlock(&mutex);
}

uint32_t nw_troubles(struct nw_trouble troubles[static NW_TROUBLES_MAX])
{
    uint32_t count = 0;

    (void)pthread_mutex_lock(&mutex);
    count = latest_count;
    memcpy(troubles, latest, count * sizeof latest[0]);
    (void)pthread_mutex_unlock(&mutex);
    return count;
}

void nw_trouble_count(struct nw_trouble_counts *copy)
{
    (void)pthread_mutex_lock(&mutex);
    *copy = counts;
    (void)pthread_mutex_unlock(&mutex);
}
