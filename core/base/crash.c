/* SPDX-License-Identifier: Apache-2.0 */
/* See crash.h. The variable is read once; the counter is shared by all threads. */
#include "base/crash.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char wanted[64];          /* "" : none; constant after `once` */
static bool hangs;               /* instead of being killed; the same */
static bool freezes;             /* the same: until SIGCONT */
static _Atomic long passes_left; /* relaxed: a counter */

static void setup(void)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): no thread changes the environment */
    const char *hang = getenv("NARWAL_HANG_AT");
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the same */
    const char *freeze = getenv("NARWAL_FREEZE_AT");
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the same */
    const char *text = hang != NULL ? hang : freeze != NULL ? freeze : getenv("NARWAL_CRASH_AT");
    const char *colon = text == NULL ? NULL : strrchr(text, ':');
    size_t size = text == NULL ? 0 : colon == NULL ? strlen(text) : (size_t)(colon - text);

    hangs = hang != NULL;
    freezes = hang == NULL && freeze != NULL;
    if (size > 0 && size < sizeof wanted) {
        memcpy(wanted, text, size);
        atomic_store_explicit(&passes_left, colon == NULL ? 1 : strtol(colon + 1, NULL, 10),
                              memory_order_relaxed);
    }
}

void nw_crash_point(const char *name)
{
    (void)pthread_once(&once, setup);
    if (wanted[0] != '\0' && strcmp(wanted, name) == 0 &&
        atomic_fetch_sub_explicit(&passes_left, 1, memory_order_relaxed) == 1) {
        while (hangs) {
            (void)usleep(100000);
        }
        (void)kill(getpid(), freezes ? SIGSTOP : SIGKILL);
    }
}
