/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that sinks ask for (nw_host.ask), beside those of users: see run_commands.c. They wait
 * here until the main thread has time for them; what comes of them is logged. Over attempts.
 */
#include <string.h>

#include "base/code.h"
#include "base/log.h"
#include "pipeline/run_private.h"

bool nw_run_wish(void *context, const char *sink, const char *command)
{
    struct nw_run_wishes *wishes = &((struct nw_run *)context)->wishes;
    bool taken = false;

    (void)pthread_mutex_lock(&wishes->mutex);
    for (uint32_t i = 0; i < wishes->count && !taken; i++) { /* the same twice is as good as once */
        const struct nw_run_wish *other = &wishes->list[(wishes->first + i) % NW_RUN_WISHES_MAX];

        taken = strcmp(other->command, command) == 0 && i > 0;
    }
    if (!taken && wishes->count < NW_RUN_WISHES_MAX) {
        struct nw_run_wish *wish =
            &wishes->list[(wishes->first + wishes->count) % NW_RUN_WISHES_MAX];

        (void)snprintf(wish->command, sizeof wish->command, "%s", command);
        (void)snprintf(wish->sink, sizeof wish->sink, "%s", sink);
        wishes->count++;
        taken = true;
    }
    (void)pthread_mutex_unlock(&wishes->mutex);
    return taken;
}

const char *nw_run_asked(struct nw_run *run)
{
    const char *line =
        run->options->asked == NULL ? NULL : run->options->asked(run->options->context);
    struct nw_run_wishes *wishes = &run->wishes;

    wishes->current = false;
    if (line != NULL) {
        return line;
    }
    (void)pthread_mutex_lock(&wishes->mutex);
    wishes->current = wishes->count > 0;
    line = wishes->current ? wishes->list[wishes->first].command : NULL;
    (void)pthread_mutex_unlock(&wishes->mutex);
    return line;
}

void nw_run_answer(struct nw_run *run, bool well, const char *text)
{
    struct nw_run_wishes *wishes = &run->wishes;
    const struct nw_run_wish *wish = &wishes->list[wishes->first];

    if (!wishes->current) {
        run->options->answer(run->options->context, well, text);
        return;
    }
    if (well) {
        nw_log(NW_LOG_INFO, "sink %s asked for %s: %s", wish->sink, wish->command, text);
    } else {
        nw_log(NW_LOG_WARN, "%.6s sink %s asked for %s: %s", nw_code_or(text, "NW1505"), wish->sink,
               wish->command, nw_code_rest(text));
    }
    (void)pthread_mutex_lock(&wishes->mutex);
    wishes->first = (wishes->first + 1) % NW_RUN_WISHES_MAX;
    wishes->count--;
    (void)pthread_mutex_unlock(&wishes->mutex);
    wishes->current = false;
}
