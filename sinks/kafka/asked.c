/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which copies signals asked for, and how far those are: for what notifications and the marks of
 * rows say of them. Narwal finds out which tables a regular expression stands for; it is asked for
 * that here: each time that a command is taken is answered once, so the oldest that has no answer
 * gets the next one. What is looked up is recorded in the ledger (asked_ledger.c), so that another
 * process, or the sink when it is opened again, goes on with it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/kafka.h"
#include "lib/utf8.h"

#define NAMES_SIZE 65536u

void nw_kafka_asked_entry_fini(struct nw_kafka_asked *asked)
{
    for (uint32_t i = 0; i < asked->tables_count; i++) {
        free(asked->tables[i].name);
    }
    free(asked->tables);
}

bool nw_kafka_asked_grow(struct nw_kafka_sink *sink, uint32_t more)
{
    uint32_t capacity = sink->asked_capacity == 0 ? 16 : sink->asked_capacity;
    struct nw_kafka_asked *grown = NULL;

    if (more <= sink->asked_capacity - sink->asked_count) {
        return true;
    }
    while (capacity - sink->asked_count < more) {
        capacity *= 2;
    }
    grown = reallocarray(sink->asked, capacity, sizeof *grown);
    if (grown != NULL) {
        sink->asked = grown;
        sink->asked_capacity = capacity;
    }
    return grown != NULL;
}

void nw_kafka_asked_id(char *to, size_t size, const char *id)
{
    size_t used = strlen(id);

    if (used >= size) {
        used = size - 1;
        while (used > 0 && nw_utf8_continues((uint8_t)id[used])) {
            used--;
        }
    }
    memcpy(to, id, used);
    to[used] = '\0';
}

static char type_of(const struct nw_kafka_ask *ask)
{
    return ask->stops      ? NW_KAFKA_ASKED_STOPS
           : ask->blocking ? NW_KAFKA_ASKED_BLOCKING
                           : NW_KAFKA_ASKED_INCREMENTAL;
}

/* There is room. Locked. */
static void entry_add(struct nw_kafka_sink *sink, uint32_t signal, const char *id, char type,
                      const char *command)
{
    struct nw_kafka_asked *asked = &sink->asked[sink->asked_count++];

    *asked = (struct nw_kafka_asked){.signal = signal,
                                     .blocking = type == NW_KAFKA_ASKED_BLOCKING,
                                     .stops = type == NW_KAFKA_ASKED_STOPS,
                                     .said = NW_ASKED_WAITS};
    nw_kafka_asked_id(asked->id, sizeof asked->id, id);
    (void)snprintf(asked->command, sizeof asked->command, "%s", command);
}

/* Of a signal, all behind the first so many. */
static void entries_remove(struct nw_kafka_sink *sink, uint32_t signal, uint32_t first)
{
    uint32_t kept = 0;
    uint32_t met = 0;

    (void)pthread_mutex_lock(&sink->lock);
    for (uint32_t i = 0; i < sink->asked_count; i++) {
        if (sink->asked[i].signal == signal && met++ >= first) {
            nw_kafka_asked_entry_fini(&sink->asked[i]);
        } else {
            sink->asked[kept++] = sink->asked[i];
        }
    }
    sink->asked_count = kept;
    (void)pthread_mutex_unlock(&sink->lock);
}

/* An older narwal is asked one by one. @param taken  filled: how many it took */
static nw_status each_ask(const struct nw_host *host, const struct nw_kafka_ask *ask,
                          uint32_t *taken, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (*taken = 0; *taken < ask->count && status == NW_OK; *taken += status == NW_OK) {
        status = host->ask(host, ask->commands[*taken], err);
    }
    return status;
}

static nw_status host_ask(const struct nw_host *host, const struct nw_kafka_ask *ask, bool *again,
                          uint32_t *taken, struct nw_error *err)
{
    char note[NW_REQUEST_TEXT_SIZE];
    struct nw_request request = {.size = sizeof request,
                                 .commands_count = ask->count,
                                 .commands = ask->commands,
                                 .key = ask->key,
                                 .note = note};
    nw_status status = NW_OK;

    *again = false;
    if (host->size <= offsetof(struct nw_host, ask_all)) {
        return each_ask(host, ask, taken, err);
    }
    note[0] = type_of(ask);
    nw_kafka_asked_id(note + 1, sizeof note - 1, ask->id);
    status = host->ask_all(host, &request, err);
    *again = status == NW_OK && request.again;
    *taken = status == NW_OK && !*again ? ask->count : 0;
    return status;
}

/* They are noted before, so that no copy of them begins that nobody asked for. */
nw_status nw_kafka_asked_note(struct nw_kafka_sink *sink, const struct nw_kafka_ask *ask,
                              bool *again, struct nw_error *err)
{
    nw_status status = NW_OK;
    uint32_t signal = 0;
    uint32_t taken = 0;

    *again = false;
    (void)pthread_mutex_lock(&sink->lock);
    if (nw_kafka_asked_grow(sink, ask->count)) {
        signal = ++sink->signals_count;
        for (uint32_t i = 0; i < ask->count; i++) {
            entry_add(sink, signal, ask->id, type_of(ask), ask->commands[i]);
        }
    }
    (void)pthread_mutex_unlock(&sink->lock);
    status = signal == 0 ? nw_kafka_no_memory(err) : host_ask(sink->host, ask, again, &taken, err);
    if (signal != 0 && taken < ask->count) {
        entries_remove(sink, signal, taken);
    }
    return status;
}

/* What is asked for by one key is one signal's, and comes together. */
struct reading {
    struct nw_kafka_sink *sink;
    char key[NW_REQUEST_TEXT_SIZE];
    bool failed;
};

static void request_read(void *context, const char *key, const char *note, const char *command)
{
    struct reading *reading = context;
    struct nw_kafka_sink *sink = reading->sink;

    if (note[0] == NW_KAFKA_ASKED_STOPS) {
        return; /* it is done; nothing of this process is to be told */
    }
    (void)pthread_mutex_lock(&sink->lock);
    if (nw_kafka_asked_grow(sink, 1)) {
        sink->signals_count += strcmp(reading->key, key) != 0;
        entry_add(sink, sink->signals_count, note[0] == '\0' ? "" : note + 1, note[0], command);
    } else {
        reading->failed = true;
    }
    (void)pthread_mutex_unlock(&sink->lock);
    (void)snprintf(reading->key, sizeof reading->key, "%s", key);
}

nw_status nw_kafka_asked_read(struct nw_kafka_sink *sink, struct nw_error *err)
{
    struct reading reading = {.sink = sink};
    nw_status status = NW_OK;

    if (sink->asked_read || sink->host->size <= offsetof(struct nw_host, requests)) {
        return NW_OK;
    }
    status = sink->host->requests(sink->host, request_read, &reading, err);
    sink->asked_read = status == NW_OK;
    return status == NW_OK && reading.failed ? nw_kafka_no_memory(err) : status;
}

/* ---- which tables ---- */

/* Whether another entry of the signal, before this one, stands for the table as well. Locked. */
static bool is_there_already(const struct nw_kafka_sink *sink, const struct nw_kafka_asked *asked,
                             uint32_t relation_oid)
{
    for (const struct nw_kafka_asked *one = sink->asked; one != asked; one++) {
        for (uint32_t i = 0; one->signal == asked->signal && i < one->tables_count; i++) {
            if (one->tables[i].relation_oid == relation_oid) {
                return true;
            }
        }
    }
    return false;
}

/* Of "OID SCHEMA.TABLE", each with its NUL; a table that the signal names twice has one copy. */
static void tables_keep(const struct nw_kafka_sink *sink, struct nw_kafka_asked *asked,
                        const char *names, size_t size)
{
    uint32_t count = 0;

    for (size_t i = 0; i < size; i++) {
        count += names[i] == '\0';
    }
    asked->resolved = true;
    asked->tables_count = 0;
    asked->tables = count == 0 ? NULL : calloc(count, sizeof *asked->tables);
    for (size_t i = 0; asked->tables != NULL && i < size; i += strlen(names + i) + 1) {
        struct nw_kafka_asked_table *table = &asked->tables[asked->tables_count];
        char *name = NULL;

        table->relation_oid = (uint32_t)strtoul(names + i, &name, 10);
        table->state = NW_ASKED_WAITS;
        if (is_there_already(sink, asked, table->relation_oid)) {
            continue;
        }
        table->name = strdup(*name == ' ' ? name + 1 : name);
        asked->tables_count += table->name != NULL; /* else nothing is said of it */
    }
}

/* @param names  filled, unless it is NULL then; give */
static nw_status names_ask(const struct nw_kafka_sink *sink, const char *command, char **names,
                           size_t *used)
{
    size_t size = NAMES_SIZE;
    nw_status status = NW_REJECT;

    *names = NULL;
    *used = 0;
    if (sink->host->size <= offsetof(struct nw_host, copies)) {
        return NW_AGAIN;
    }
    for (int i = 0; i < 3 && status == NW_REJECT; i++) { /* they may become more meanwhile */
        char *more = realloc(*names, size);

        if (more == NULL) {
            return NW_AGAIN;
        }
        *names = more;
        status = sink->host->copies(sink->host, command, *names, size, used);
        size = *used + NAMES_SIZE;
    }
    return status;
}

/* One in that state; NULL: there is none. @param relation_oid  0: any */
static struct nw_kafka_asked_table *table_find(const struct nw_kafka_asked *asked,
                                               uint32_t relation_oid, char state)
{
    for (uint32_t i = 0; i < asked->tables_count; i++) {
        struct nw_kafka_asked_table *table = &asked->tables[i];

        if (table->state == state && (relation_oid == 0 || table->relation_oid == relation_oid)) {
            return table;
        }
    }
    return NULL;
}

/* Whoever asked for the copies of these before is to be told that they end. Locked. */
static void tables_stop(struct nw_kafka_sink *sink, uint32_t before, const char *names, size_t size)
{
    for (size_t i = 0; i < size; i += strlen(names + i) + 1) {
        uint32_t relation_oid = (uint32_t)strtoul(names + i, NULL, 10);

        for (uint32_t k = 0; k < before; k++) {
            struct nw_kafka_asked_table *found =
                table_find(&sink->asked[k], relation_oid, NW_ASKED_WAITS);

            if (found != NULL) {
                found->state = NW_ASKED_STOPPED;
            }
        }
    }
}

/* Those that narwal has looked up by now; an end of copies behind what asked for them. Locked. */
static void tables_ask(struct nw_kafka_sink *sink)
{
    bool all = true;

    for (uint32_t i = 0; i < sink->asked_count; i++) {
        struct nw_kafka_asked *asked = &sink->asked[i];
        char *names = NULL;
        size_t used = 0;

        if (!asked->resolved && (all || !asked->stops) &&
            names_ask(sink, asked->command, &names, &used) == NW_OK) {
            asked->resolved = true;
            if (asked->stops) {
                tables_stop(sink, i, names, used);
            } else {
                tables_keep(sink, asked, names, used);
            }
        }
        all = all && asked->resolved;
        free(names);
    }
}

void nw_kafka_asked_poll(struct nw_kafka_sink *sink)
{
    (void)pthread_mutex_lock(&sink->lock);
    tables_ask(sink);
    (void)pthread_mutex_unlock(&sink->lock);
}

/* ---- what is said ---- */

/* Of a signal of type "blocking" all tables, as with Debezium, whether copied or not. */
static void names_print(const struct nw_kafka_asked *asked, bool stopped, struct nw_out *names)
{
    for (uint32_t i = 0; asked->tables != NULL && i < asked->tables_count; i++) {
        if (asked->tables[i].state == (stopped ? NW_ASKED_STOPPED : NW_ASKED_WAITS) ||
            (asked->blocking && !stopped)) {
            nw_out_text(names, names->used > 0 ? "," : "");
            nw_out_text(names, asked->tables[i].name);
        }
    }
}

/* All that is to know of an entry's signal. Locked. @param relation_oid  the table that ends */
static void asking_fill(struct nw_kafka_sink *sink, const struct nw_kafka_asked *of,
                        uint32_t relation_oid, struct nw_kafka_asking *asking)
{
    asking->signal = of->signal;
    asking->blocking = of->blocking;
    asking->starts = of->said == NW_ASKED_WAITS;
    asking->ends = asking->known = true;
    (void)snprintf(asking->id, sizeof asking->id, "%s", of->id);
    for (uint32_t i = 0; i < sink->asked_count; i++) {
        const struct nw_kafka_asked *asked = &sink->asked[i];

        if (asked->signal != of->signal) {
            continue;
        }
        names_print(asked, false, &asking->names);
        asking->known = asking->known && asked->resolved;
        for (uint32_t k = 0; k < asked->tables_count; k++) {
            bool other = asked->tables[k].relation_oid != relation_oid;

            asking->ends = asking->ends && !(other && asked->tables[k].state == NW_ASKED_WAITS);
        }
    }
    asking->ends = asking->ends && asking->known;
}

/* What the signal waits for is this copy. Locked. */
static void table_begin(struct nw_kafka_sink *sink, uint32_t signal, uint32_t relation_oid)
{
    for (uint32_t i = 0; i < sink->asked_count; i++) {
        struct nw_kafka_asked_table *found =
            sink->asked[i].signal == signal
                ? table_find(&sink->asked[i], relation_oid, NW_ASKED_WAITS)
                : NULL;

        if (found != NULL) {
            found->begun = true;
        }
    }
}

void nw_kafka_asked_of(struct nw_kafka_sink *sink, const struct nw_table *table,
                       enum nw_kafka_copy_step step, uint32_t after, struct nw_kafka_asking *asking)
{
    *asking = (struct nw_kafka_asking){.starts = true, .ends = true};
    (void)pthread_mutex_lock(&sink->lock);
    tables_ask(sink);
    for (uint32_t i = 0; i < sink->asked_count && asking->signal == 0; i++) {
        const struct nw_kafka_asked *asked = &sink->asked[i];
        const struct nw_kafka_asked_table *found =
            asked->signal > after ? table_find(asked, table->relation_oid, NW_ASKED_WAITS) : NULL;

        if (found != NULL && (found->begun || step != NW_KAFKA_COPY_IS_BEGUN)) {
            asking_fill(sink, asked, table->relation_oid, asking);
        }
    }
    if (asking->signal != 0 && step == NW_KAFKA_COPY_BEGINS) {
        table_begin(sink, asking->signal, table->relation_oid);
    }
    (void)pthread_mutex_unlock(&sink->lock);
    if (asking->signal == 0) {
        nw_out_text(&asking->names, table->schema_name);
        nw_out_text(&asking->names, ".");
        nw_out_text(&asking->names, table->name);
    }
}

uint32_t nw_kafka_asked_blocking(struct nw_kafka_sink *sink, uint32_t relation_oid)
{
    uint32_t signal = 0;

    (void)pthread_mutex_lock(&sink->lock);
    for (uint32_t i = 0; i < sink->asked_count && signal == 0; i++) {
        const struct nw_kafka_asked *asked = &sink->asked[i];
        const struct nw_kafka_asked_table *found =
            asked->blocking ? table_find(asked, relation_oid, NW_ASKED_WAITS) : NULL;

        signal = found != NULL && found->begun ? asked->signal : 0;
    }
    (void)pthread_mutex_unlock(&sink->lock);
    return signal;
}

/* Whether the oid is one of "OID SCHEMA.TABLE". */
static bool oid_is_in(uint32_t relation_oid, const char *names, size_t size)
{
    for (size_t i = 0; i < size; i += strlen(names + i) + 1) {
        if (strtoul(names + i, NULL, 10) == relation_oid) {
            return true;
        }
    }
    return false;
}

bool nw_kafka_asked_failed(const struct nw_kafka_sink *sink, uint32_t relation_oid)
{
    char *names = NULL;
    size_t used = 0;
    bool failed =
        names_ask(sink, "failed", &names, &used) == NW_OK && oid_is_in(relation_oid, names, used);

    free(names);
    return failed;
}

/* Copies that were stopped are over, and nothing more is said of them. Locked. */
static void aborted_end(struct nw_kafka_sink *sink, const char *names, size_t size)
{
    for (uint32_t i = 0; i < sink->asked_count; i++) {
        const struct nw_kafka_asked *asked = &sink->asked[i];

        for (uint32_t k = 0; k < asked->tables_count; k++) {
            struct nw_kafka_asked_table *table = &asked->tables[k];

            if (table->state == NW_ASKED_IS_ABORTED &&
                !oid_is_in(table->relation_oid, names, size)) {
                table->state = NW_ASKED_IS_THERE;
            }
        }
    }
}

uint32_t nw_kafka_asked_lost(struct nw_kafka_sink *sink, char **name)
{
    char *names = NULL;
    size_t used = 0;
    uint32_t relation_oid = 0;

    (void)pthread_mutex_lock(&sink->lock);
    tables_ask(sink);
    if (sink->asked_count > 0 && names_ask(sink, "", &names, &used) == NW_OK) {
        aborted_end(sink, names, used);
        for (uint32_t i = 0; i < sink->asked_count && relation_oid == 0; i++) {
            const struct nw_kafka_asked *asked = &sink->asked[i];

            for (uint32_t k = 0; k < asked->tables_count && relation_oid == 0; k++) {
                const struct nw_kafka_asked_table *table = &asked->tables[k];

                if (table->state == NW_ASKED_WAITS &&
                    !oid_is_in(table->relation_oid, names, used) &&
                    (*name = strdup(table->name)) != NULL) {
                    relation_oid = table->relation_oid;
                }
            }
        }
    }
    (void)pthread_mutex_unlock(&sink->lock);
    free(names);
    return relation_oid;
}

void nw_kafka_asked_now(struct nw_kafka_sink *sink, struct nw_kafka_asking *asking)
{
    *asking = (struct nw_kafka_asking){0};
    (void)pthread_mutex_lock(&sink->lock);
    tables_ask(sink);
    for (uint32_t i = 0; i < sink->asked_count && asking->signal == 0; i++) {
        const struct nw_kafka_asked *asked = &sink->asked[i];

        if (!asked->stops && (!asked->resolved || table_find(asked, 0, NW_ASKED_WAITS) != NULL)) {
            asking_fill(sink, asked, 0, asking);
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
    for (uint32_t i = 0; i < sink->asked_count && asking->signal == 0; i++) {
        if (sink->asked[i].signal == signal) {
            asking_fill(sink, &sink->asked[i], 0, asking);
        }
    }
    (void)pthread_mutex_unlock(&sink->lock);
}

void nw_kafka_asked_stopped(struct nw_kafka_sink *sink, struct nw_kafka_asking *asking,
                            struct nw_out *all)
{
    *asking = (struct nw_kafka_asking){0};
    (void)pthread_mutex_lock(&sink->lock);
    tables_ask(sink);
    for (uint32_t i = 0; i < sink->asked_count && asking->signal == 0; i++) {
        if (table_find(&sink->asked[i], 0, NW_ASKED_STOPPED) != NULL) {
            asking_fill(sink, &sink->asked[i], 0, asking);
        }
    }
    *all = asking->names;
    asking->names = (struct nw_out){0};
    for (uint32_t i = 0; i < sink->asked_count && asking->signal != 0; i++) {
        if (sink->asked[i].signal == asking->signal) {
            names_print(&sink->asked[i], true, &asking->names);
        }
    }
    if (asking->names.used > 0 && !asking->blocking) { /* of which all are there */
        nw_out_text(all, all->used > 0 ? "," : "");
        nw_out_bytes(all, asking->names.bytes, asking->names.used);
    }
    (void)pthread_mutex_unlock(&sink->lock);
}

/* Those of a signal, or of all, that are in a state. Locked. @param signal  0: of all */
static void states_set(struct nw_kafka_sink *sink, uint32_t signal, char from, char to)
{
    for (uint32_t i = 0; i < sink->asked_count; i++) {
        const struct nw_kafka_asked *asked = &sink->asked[i];

        for (uint32_t k = 0; k < asked->tables_count; k++) {
            if ((signal == 0 || asked->signal == signal) && asked->tables[k].state == from) {
                asked->tables[k].state = to;
            }
        }
    }
}

void nw_kafka_asked_aborted(struct nw_kafka_sink *sink, const struct nw_kafka_asking *asking)
{
    (void)pthread_mutex_lock(&sink->lock);
    states_set(sink, asking->signal, NW_ASKED_STOPPED, NW_ASKED_ABORTED);
    (void)pthread_mutex_unlock(&sink->lock);
}

static bool is_stopped(const struct nw_kafka_asked *asked, uint32_t relation_oid)
{
    return table_find(asked, relation_oid, NW_ASKED_STOPPED) != NULL ||
           table_find(asked, relation_oid, NW_ASKED_ABORTED) != NULL ||
           table_find(asked, relation_oid, NW_ASKED_IS_ABORTED) != NULL;
}

bool nw_kafka_asked_is_stopped(struct nw_kafka_sink *sink, uint32_t relation_oid)
{
    bool stopped = false;

    (void)pthread_mutex_lock(&sink->lock);
    for (uint32_t i = 0; i < sink->asked_count; i++) {
        stopped = stopped || is_stopped(&sink->asked[i], relation_oid);
    }
    (void)pthread_mutex_unlock(&sink->lock);
    return stopped;
}

void nw_kafka_asking_fini(struct nw_kafka_asking *asking)
{
    nw_out_fini(&asking->names);
}

void nw_kafka_asked_begun(struct nw_kafka_sink *sink, const struct nw_kafka_asking *asking)
{
    (void)pthread_mutex_lock(&sink->lock);
    for (uint32_t i = 0; i < sink->asked_count; i++) {
        struct nw_kafka_asked *asked = &sink->asked[i];

        if (asked->signal == asking->signal && asked->said == NW_ASKED_WAITS) {
            asked->said = NW_ASKED_SAID;
        }
    }
    (void)pthread_mutex_unlock(&sink->lock);
}

void nw_kafka_asked_ended(struct nw_kafka_sink *sink, const struct nw_kafka_asking *asking,
                          uint32_t relation_oid)
{
    (void)pthread_mutex_lock(&sink->lock);
    for (uint32_t i = 0; i < sink->asked_count; i++) {
        struct nw_kafka_asked *asked = &sink->asked[i];
        struct nw_kafka_asked_table *table = asked->signal == asking->signal
                                                 ? table_find(asked, relation_oid, NW_ASKED_WAITS)
                                                 : NULL;

        if (table != NULL) {
            table->state = NW_ASKED_SAID;
        }
    }
    (void)pthread_mutex_unlock(&sink->lock);
}

bool nw_kafka_asked_first(struct nw_kafka_sink *sink, uint32_t signal, uint32_t relation_oid)
{
    uint32_t first_oid = 0;

    (void)pthread_mutex_lock(&sink->lock);
    for (uint32_t i = 0; i < sink->asked_count; i++) {
        if (sink->asked[i].signal == signal && sink->asked[i].first_oid != 0) {
            first_oid = sink->asked[i].first_oid;
        }
    }
    for (uint32_t i = 0; i < sink->asked_count && first_oid == 0; i++) {
        if (sink->asked[i].signal == signal) {
            first_oid = sink->asked[i].first_oid = relation_oid;
        }
    }
    (void)pthread_mutex_unlock(&sink->lock);
    return first_oid == relation_oid;
}

/* ---- commits ---- */

static void entry_settle(struct nw_kafka_asked *asked, bool committed)
{
    asked->recorded = committed ? asked->recording : asked->recorded;
    asked->said = asked->said == NW_ASKED_SAID ? (committed ? NW_ASKED_IS_SAID : NW_ASKED_WAITS)
                                               : asked->said;
    asked->first_oid = asked->said == NW_ASKED_IS_SAID ? asked->first_oid : 0;
    for (uint32_t i = 0; i < asked->tables_count; i++) {
        if (asked->tables[i].state == NW_ASKED_SAID) {
            asked->tables[i].state = committed ? NW_ASKED_IS_THERE : NW_ASKED_WAITS;
        }
    }
}

static bool is_over(const struct nw_kafka_asked *asked)
{
    return asked->resolved && table_find(asked, 0, NW_ASKED_WAITS) == NULL && !is_stopped(asked, 0);
}

static bool signal_is_over(const struct nw_kafka_sink *sink, uint32_t signal)
{
    for (uint32_t i = 0; i < sink->asked_count; i++) {
        if (sink->asked[i].signal == signal && !is_over(&sink->asked[i])) {
            return false;
        }
    }
    return true;
}

/* Of signals whose copies are all whole nothing is needed any more. */
static void entries_drop(struct nw_kafka_sink *sink)
{
    uint32_t kept = 0;
    uint32_t over = 0; /* the last one that is */

    for (uint32_t i = 0; i < sink->asked_count; i++) {
        struct nw_kafka_asked asked = sink->asked[i];

        if (asked.signal != over && signal_is_over(sink, asked.signal)) {
            over = asked.signal;
        }
        if (asked.signal == over) {
            sink->paused = sink->paused == over ? 0 : sink->paused;
            nw_kafka_asked_entry_fini(&asked);
            sink->asked[i].tables = NULL;
            sink->asked[i].tables_count = 0;
        } else {
            sink->asked[kept++] = asked;
        }
    }
    sink->asked_count = kept;
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
    for (uint32_t i = 0; i < sink->asked_count; i++) {
        entry_settle(&sink->asked[i], committed);
    }
    states_set(sink, 0, NW_ASKED_ABORTED, committed ? NW_ASKED_IS_ABORTED : NW_ASKED_STOPPED);
    if (committed) {
        entries_drop(sink);
    }
    pauses_settle(sink, committed);
    (void)pthread_mutex_unlock(&sink->lock);
}

void nw_kafka_asked_fini(struct nw_kafka_sink *sink)
{
    for (uint32_t i = 0; i < sink->asked_count; i++) {
        nw_kafka_asked_entry_fini(&sink->asked[i]);
    }
    free(sink->asked);
    nw_out_fini(&sink->first_names);
}
