/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which copies signals asked for, and how far those are: for what notifications and the marks of
 * rows say of them. Narwal finds out which tables a regular expression stands for; it is asked for
 * that here. All of it is lost when narwal ends: a copy goes on then, and is nobody's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/kafka.h"

#define NAMES_SIZE 65536u

/* Of a table, and of what was said: */
#define WAITS    ' ' /* its copy is not whole; nothing was said */
#define SAID     '+' /* whole, or said, in what is not committed yet */
#define IS_SAID  '=' /* said, and that is committed */
#define IS_THERE '=' /* whole, and that is committed */

static void entry_clear(struct nw_kafka_asked *asked)
{
    free(asked->tables);
    *asked = (struct nw_kafka_asked){0};
}

uint32_t nw_kafka_asked_next(struct nw_kafka_sink *sink)
{
    uint32_t signal = 0;

    (void)pthread_mutex_lock(&sink->lock);
    signal = ++sink->signals_count;
    (void)pthread_mutex_unlock(&sink->lock);
    return signal;
}

void nw_kafka_asked_note(struct nw_kafka_sink *sink, const char *id, uint32_t signal, bool blocking,
                         const char *command)
{
    struct nw_kafka_asked *asked = NULL;

    (void)pthread_mutex_lock(&sink->lock);
    asked = &sink->asked[sink->asked_count++ % NW_KAFKA_ASKED_MAX];
    entry_clear(asked);
    (void)snprintf(asked->id, sizeof asked->id, "%s", id);
    (void)snprintf(asked->command, sizeof asked->command, "%s", command);
    asked->signal = signal;
    asked->blocking = blocking;
    asked->said = WAITS;
    (void)pthread_mutex_unlock(&sink->lock);
}

/* The entry, the oldest first; "" is its command where there is none. */
static struct nw_kafka_asked *entry_at(struct nw_kafka_sink *sink, uint32_t index)
{
    return &sink->asked[(sink->asked_count + index) % NW_KAFKA_ASKED_MAX];
}

static bool is_of(const struct nw_kafka_asked *asked, uint32_t signal)
{
    return asked->command[0] != '\0' && asked->signal == signal;
}

/* ---- which tables ---- */

static void tables_keep(struct nw_kafka_asked *asked, const char *names, size_t size)
{
    size_t count = 0;
    char *at = NULL;

    for (size_t i = 0; i < size; i++) {
        count += names[i] == '\0';
    }
    asked->resolved = true;
    asked->tables = malloc(size + count + 1);
    if (asked->tables == NULL) {
        return; /* nothing is said of them */
    }
    at = asked->tables;
    for (size_t i = 0; i < size; i += strlen(names + i) + 1) {
        *at++ = WAITS;
        memcpy(at, names + i, strlen(names + i) + 1);
        at += strlen(names + i) + 1;
    }
    asked->tables_size = (size_t)(at - asked->tables);
}

/* Those that narwal has looked up by now. Locked. */
static void tables_ask(struct nw_kafka_sink *sink)
{
    char *names = NULL;

    if (sink->host->size <= offsetof(struct nw_host, copies)) {
        return;
    }
    for (uint32_t i = 0; i < NW_KAFKA_ASKED_MAX; i++) {
        struct nw_kafka_asked *asked = entry_at(sink, i);
        size_t used = 0;
        nw_status status = NW_AGAIN;

        if (asked->command[0] == '\0' || asked->resolved) {
            continue;
        }
        names = names == NULL ? malloc(NAMES_SIZE) : names;
        if (names != NULL) {
            status = sink->host->copies(sink->host, asked->command, names, NAMES_SIZE, &used);
        }
        if (status != NW_AGAIN) {
            tables_keep(asked, names, status == NW_OK ? used : 0);
        }
    }
    free(names);
}

/* The state of a table; NULL: it is not among them, or not in that state. */
static char *table_find(const struct nw_kafka_asked *asked, const char *table, char state)
{
    for (size_t i = 0; i < asked->tables_size; i += strlen(asked->tables + i) + 1) {
        if (asked->tables[i] == state &&
            (table == NULL || strcmp(asked->tables + i + 1, table) == 0)) {
            return asked->tables + i;
        }
    }
    return NULL;
}

/* ---- what is said ---- */

static void names_print(const struct nw_kafka_asked *asked, struct nw_out *names)
{
    for (size_t i = 0; i < asked->tables_size; i += strlen(asked->tables + i) + 1) {
        if (asked->tables[i] == WAITS) {
            nw_out_text(names, names->used > 0 ? "," : "");
            nw_out_text(names, asked->tables + i + 1);
        }
    }
}

/* All that is to know of an entry's signal. Locked. */
static void asking_fill(struct nw_kafka_sink *sink, const struct nw_kafka_asked *of,
                        const char *table, struct nw_kafka_asking *asking)
{
    asking->signal = of->signal;
    asking->blocking = of->blocking;
    asking->starts = of->said == WAITS;
    asking->ends = asking->known = true;
    (void)snprintf(asking->id, sizeof asking->id, "%s", of->id);
    for (uint32_t i = 0; i < NW_KAFKA_ASKED_MAX; i++) {
        const struct nw_kafka_asked *asked = entry_at(sink, i);

        if (!is_of(asked, of->signal)) {
            continue;
        }
        names_print(asked, &asking->names);
        asking->known = asking->known && asked->resolved;
        for (size_t k = 0; k < asked->tables_size; k += strlen(asked->tables + k) + 1) {
            bool other = table == NULL || strcmp(asked->tables + k + 1, table) != 0;

            asking->ends = asking->ends && !(other && asked->tables[k] == WAITS);
        }
    }
    asking->ends = asking->ends && asking->known;
}

void nw_kafka_asked_of(struct nw_kafka_sink *sink, const char *table,
                       struct nw_kafka_asking *asking)
{
    *asking = (struct nw_kafka_asking){.starts = true, .ends = true};
    (void)pthread_mutex_lock(&sink->lock);
    tables_ask(sink);
    for (uint32_t i = 0; i < NW_KAFKA_ASKED_MAX && asking->signal == 0; i++) {
        const struct nw_kafka_asked *asked = entry_at(sink, i);

        if (table_find(asked, table, WAITS) != NULL) {
            asking_fill(sink, asked, table, asking);
        }
    }
    (void)pthread_mutex_unlock(&sink->lock);
    if (asking->signal == 0) {
        nw_out_text(&asking->names, table);
    }
}

void nw_kafka_asked_now(struct nw_kafka_sink *sink, struct nw_kafka_asking *asking)
{
    *asking = (struct nw_kafka_asking){0};
    (void)pthread_mutex_lock(&sink->lock);
    tables_ask(sink);
    for (uint32_t i = 0; i < NW_KAFKA_ASKED_MAX && asking->signal == 0; i++) {
        const struct nw_kafka_asked *asked = entry_at(sink, i);

        if (asked->command[0] != '\0' &&
            (!asked->resolved || table_find(asked, NULL, WAITS) != NULL)) {
            asking_fill(sink, asked, NULL, asking);
        }
    }
    (void)pthread_mutex_unlock(&sink->lock);
}

void nw_kafka_asked_signal(struct nw_kafka_sink *sink, uint32_t signal,
                           struct nw_kafka_asking *asking)
{
    *asking = (struct nw_kafka_asking){0};
    (void)pthread_mutex_lock(&sink->lock);
    tables_ask(sink);
    for (uint32_t i = 0; i < NW_KAFKA_ASKED_MAX && asking->signal == 0; i++) {
        if (is_of(entry_at(sink, i), signal)) {
            asking_fill(sink, entry_at(sink, i), NULL, asking);
        }
    }
    (void)pthread_mutex_unlock(&sink->lock);
}

void nw_kafka_asking_fini(struct nw_kafka_asking *asking)
{
    nw_out_fini(&asking->names);
}

void nw_kafka_asked_begun(struct nw_kafka_sink *sink, const struct nw_kafka_asking *asking)
{
    (void)pthread_mutex_lock(&sink->lock);
    for (uint32_t i = 0; i < NW_KAFKA_ASKED_MAX; i++) {
        struct nw_kafka_asked *asked = entry_at(sink, i);

        if (is_of(asked, asking->signal) && asked->said == WAITS) {
            asked->said = SAID;
        }
    }
    (void)pthread_mutex_unlock(&sink->lock);
}

void nw_kafka_asked_ended(struct nw_kafka_sink *sink, const struct nw_kafka_asking *asking,
                          const char *table)
{
    (void)pthread_mutex_lock(&sink->lock);
    for (uint32_t i = 0; i < NW_KAFKA_ASKED_MAX; i++) {
        struct nw_kafka_asked *asked = entry_at(sink, i);
        char *state = is_of(asked, asking->signal) ? table_find(asked, table, WAITS) : NULL;

        if (state != NULL) {
            *state = SAID;
        }
    }
    (void)pthread_mutex_unlock(&sink->lock);
}

bool nw_kafka_asked_first(struct nw_kafka_sink *sink, uint32_t signal, uint32_t relation_oid)
{
    uint32_t first_oid = 0;

    (void)pthread_mutex_lock(&sink->lock);
    for (uint32_t i = 0; i < NW_KAFKA_ASKED_MAX; i++) {
        if (is_of(entry_at(sink, i), signal) && entry_at(sink, i)->first_oid != 0) {
            first_oid = entry_at(sink, i)->first_oid;
        }
    }
    for (uint32_t i = 0; i < NW_KAFKA_ASKED_MAX && first_oid == 0; i++) {
        if (is_of(entry_at(sink, i), signal)) {
            first_oid = entry_at(sink, i)->first_oid = relation_oid;
        }
    }
    (void)pthread_mutex_unlock(&sink->lock);
    return first_oid == relation_oid;
}

/* ---- commits ---- */

/* One whose copies are all whole is not needed any more. */
static void entry_settle(struct nw_kafka_asked *asked, bool committed)
{
    asked->said = asked->said == SAID ? (committed ? IS_SAID : WAITS) : asked->said;
    asked->first_oid = asked->said == IS_SAID ? asked->first_oid : 0;
    for (size_t i = 0; i < asked->tables_size; i += strlen(asked->tables + i) + 1) {
        if (asked->tables[i] == SAID) {
            asked->tables[i] = committed ? IS_THERE : WAITS;
        }
    }
}

static bool is_over(const struct nw_kafka_asked *asked)
{
    return asked->resolved && table_find(asked, NULL, WAITS) == NULL &&
           table_find(asked, NULL, SAID) == NULL;
}

static void pauses_settle(struct nw_kafka_sink *sink, bool committed)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < sink->pauses_count; i++) {
        if (!committed || !sink->pauses[i].said) {
            sink->pauses[kept] = sink->pauses[i];
            sink->pauses[kept++].said = false;
        }
    }
    sink->pauses_count = kept;
}

void nw_kafka_asked_settle(struct nw_kafka_sink *sink, bool committed)
{
    (void)pthread_mutex_lock(&sink->lock);
    for (uint32_t i = 0; i < NW_KAFKA_ASKED_MAX; i++) {
        struct nw_kafka_asked *asked = entry_at(sink, i);
        bool over = asked->command[0] != '\0';

        entry_settle(asked, committed);
        for (uint32_t k = 0; k < NW_KAFKA_ASKED_MAX && over; k++) {
            const struct nw_kafka_asked *other = entry_at(sink, k);

            over = !is_of(other, asked->signal) || is_over(other);
        }
        if (over && committed) {
            entry_clear(asked);
        }
    }
    pauses_settle(sink, committed);
    (void)pthread_mutex_unlock(&sink->lock);
}

void nw_kafka_asked_fini(struct nw_kafka_sink *sink)
{
    for (uint32_t i = 0; i < NW_KAFKA_ASKED_MAX; i++) {
        entry_clear(&sink->asked[i]);
    }
    nw_out_fini(&sink->first_names);
    free(sink->later);
}
