/* SPDX-License-Identifier: Apache-2.0 */
/* See takeover.h: what is found, what follows from it, and doing it. */
#include "pipeline/takeover.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>

#include "base/code.h"
#include "base/crash.h"
#include "pg/lsn.h"

#define TABLES_BYTES_MAX (512u << 20)
#define SINK_STOP_NS     10000000000LL
#define POLL_MS          100
#define STATUS_NS        1000000000LL

void nw_takeover_say(struct nw_takeover *t, enum nw_takeover_level level, const char *format, ...)
{
    va_list args;

    t->refusals += level == NW_TAKEOVER_FAIL;
    if (t->lines_count == NW_TAKEOVER_LINES_MAX) {
        return;
    }
    t->lines[t->lines_count].level = level;
    va_start(args, format);
    (void)vsnprintf(t->lines[t->lines_count].text, sizeof t->lines[0].text, format, args);
    va_end(args);
    t->lines_count++;
}

/* A refusal that somebody else put into words. */
static void refuse_as(struct nw_takeover *t, const struct nw_error *why)
{
    nw_takeover_say(t, NW_TAKEOVER_FAIL, "%.6s %s", nw_error_code(why), nw_code_rest(why->text));
}

/* ---- what is there ---- */

static nw_status state_look(struct nw_takeover *t, struct nw_error *err)
{
    nw_status status = nw_state_open(t->options->state_folder, &t->state, err);

    if (status == NW_OK) {
        status = nw_state_source_read(t->state, &t->source, err);
    }
    if (status == NW_OK) {
        status = nw_taken_read(t->state, &t->former, err);
    }
    if (status == NW_OK && t->source.known && t->former.state != NW_TAKEN_BEGUN &&
        t->former.state != NW_TAKEN_GIVEN_BACK) {
        nw_takeover_say(t, NW_TAKEOVER_FAIL,
                        "NW2382 narwal ran with the state in %s already%s: it goes on by itself, "
                        "from where it was. To take over with another pipeline, give that another "
                        "name",
                        t->options->state_folder,
                        t->former.state == NW_TAKEN_DONE ? ", and took over then" : "");
    }
    return status;
}

/* The slot, and whether it has all that comes behind the offset. */
static void slot_look(struct nw_takeover *t)
{
    const char *name = t->options->server.slot_name;
    struct nw_error why = {0};
    bool found = false;
    char slot[NW_LSN_TEXT_SIZE];
    char lsn[NW_LSN_TEXT_SIZE];

    t->slot_lsn = 0;
    if (nw_server_slot_check(&t->server, t->server.control, &t->slot_lsn, &found, &why) != NW_OK) {
        refuse_as(t, &why);
        return;
    }
    if (!found) {
        nw_takeover_say(t, NW_TAKEOVER_FAIL,
                        "NW2380 there is no slot %s, and what changed since the offset cannot be "
                        "had without it: narwal run copies anew (docs/debezium.md)",
                        name);
        return;
    }
    nw_takeover_say(t, NW_TAKEOVER_OK, "slot %s is there, at %s, and nobody reads it", name,
                    nw_lsn_text(slot, t->slot_lsn));
    if (t->lsn == 0) {
        t->lsn = t->slot_lsn; /* its first transaction since the snapshot: nothing was told yet */
    }
    if (t->lsn < t->slot_lsn && t->trust_slot) {
        nw_takeover_say(t, NW_TAKEOVER_WARN,
                        "NW2385 the slot is past the offset (%s): that nothing of interest is "
                        "between is taken on your word",
                        nw_lsn_text(lsn, t->lsn));
        t->lsn = t->slot_lsn;
        t->trusted = true;
    } else if (t->lsn < t->slot_lsn) {
        nw_takeover_say(t, NW_TAKEOVER_FAIL,
                        "NW2380 slot %s stands at %s, past the offset, %s: somebody else read it, "
                        "or the offset is an old one, and the changes between cannot be had any "
                        "more. --trust-slot goes on from the slot, without them",
                        name, slot, nw_lsn_text(lsn, t->lsn));
    } else if (t->lsn > t->server.end_lsn) {
        nw_takeover_say(t, NW_TAKEOVER_FAIL,
                        "NW2381 the offset is at %s, and the server only at %s: it is not the one "
                        "that the connector followed, or was set back",
                        nw_lsn_text(lsn, t->lsn), nw_lsn_text(slot, t->server.end_lsn));
    }
}

static bool is_wanted(const struct nw_takeover *t, const struct nw_table *table)
{
    return nw_table_filter_match(&t->options->server.publication.filter, table->schema_name,
                                 table->name);
}

static nw_status tables_look(struct nw_takeover *t, struct nw_error *err)
{
    struct nw_publication_options publication = t->options->server.publication;
    struct nw_error why = {0};
    uint32_t count = 0;
    nw_status status = NW_OK;

    publication.create = publication.extend = false;
    t->server.schemas = t->schemas;
    status = nw_publications_ensure(t->server.control, &publication, &t->server.publications, &why);
    if (status == NW_FATAL) {
        refuse_as(t, &why);
        return NW_OK;
    }
    if (status == NW_OK) {
        status = nw_server_tables(&t->server, t->server.control, &t->arena, &t->tables, &why);
    }
    if (status == NW_OK) {
        status = nw_server_register(&t->server, &t->tables, &t->arena, &why);
    }
    if (status != NW_OK) {
        *err = why;
        return status;
    }
    for (uint32_t i = 0; i < nw_schemas_count(t->schemas); i++) {
        count += is_wanted(t, nw_schemas_at(t->schemas, i));
    }
    nw_takeover_say(t, count == 0 ? NW_TAKEOVER_FAIL : NW_TAKEOVER_OK,
                    count == 0 ? "NW2380 publication %s has none (%" PRIu32
                                 ") of the tables that are configured: it is not the connector's"
                               : "publication %s has %" PRIu32 " of the tables",
                    publication.name, count);
    return NW_OK;
}

/* ---- reading ahead ---- */

static nw_status status_send(struct nw_takeover *t, struct nw_error *err)
{
    struct nw_env *env = t->options->env;
    uint8_t body[NW_STATUS_UPDATE_SIZE];
    struct nw_status_update update = {.written_lsn = t->slot_lsn, /* it stays where it is */
                                      .flushed_lsn = t->slot_lsn,
                                      .applied_lsn = t->slot_lsn,
                                      .now_us = env->ops->wall_us(env),
                                      .reply = true};
    nw_status status = NW_OK;

    nw_status_update_build(&update, body);
    status = nw_transmitter_queue(&t->server.transmitter, 'd', body, sizeof body, err);
    if (status == NW_OK) {
        status = nw_transmitter_flush(&t->server.transmitter, err);
    }
    return status == NW_AGAIN ? NW_OK : status;
}

/* @param reached  set when the server has nothing more of what there was at the beginning */
static nw_status message_take(struct nw_takeover *t, const struct nw_message *message,
                              struct nw_takeover_count *count, bool *reached, struct nw_error *err)
{
    struct nw_replication_message data = {0};
    struct nw_server_error error;
    nw_status status = NW_OK;

    if (message->type == 'E') {
        nw_server_error_parse(message->body, &error);
        return nw_fail(err, NW_FATAL, "NW2327 the server says: %s (%s)", error.message,
                       error.sqlstate);
    }
    if (message->type != 'd') {
        return NW_OK;
    }
    status = nw_replication_message_parse(message->body, &data, err);
    if (status == NW_OK && data.kind == 'k') {
        *reached = data.end_lsn >= t->server.end_lsn && !count->inside;
        return NW_OK;
    }
    return status == NW_OK ? nw_takeover_count(count, data.start_lsn, data.data, err) : status;
}

static nw_status bytes_wait(struct nw_takeover *t, struct nw_error *err)
{
    struct nw_env *env = t->options->env;
    struct pollfd entry = {.fd = t->server.stream->ops->descriptor(t->server.stream),
                           .events = POLLIN};
    size_t got = 0;
    nw_status status = NW_OK;

    if (!t->server.stream->ops->pending(t->server.stream)) {
        (void)poll(&entry, 1, POLL_MS);
    }
    status = nw_receiver_fill(t->server.receiver, env->ops->now_ns(env), &got, err);
    return status == NW_AGAIN ? NW_OK : status;
}

/* The first transaction that the slot has behind the position. */
static nw_status first_read(struct nw_takeover *t, struct nw_takeover_count *count,
                            struct nw_error *err)
{
    struct nw_env *env = t->options->env;
    struct nw_walsender walsender = {0};
    int64_t next_ns = 0;
    bool reached = false;
    nw_status status = NW_OK;

    t->server.options.streaming = false;
    t->server.options.failover = false;
    status = nw_server_connect(&t->server, t->lsn, &walsender, err);
    while (status == NW_OK && !count->done && !reached) {
        struct nw_message message;

        if (env->ops->now_ns(env) >= next_ns) {
            next_ns = env->ops->now_ns(env) + STATUS_NS;
            status = status_send(t, err);
        }
        if (status == NW_OK) {
            status = nw_receiver_next(t->server.receiver, &message, err);
        }
        if (status == NW_OK) {
            status = message_take(t, &message, count, &reached, err);
        } else if (status == NW_AGAIN) {
            status = bytes_wait(t, err);
        }
    }
    nw_server_disconnect(&t->server, &walsender);
    return status;
}

static bool wants_transactions(const struct nw_takeover *t)
{
    const struct nw_run_sink *sink = &t->options->sinks[0];

    return (nw_plugin_flags(sink->plugin, sink->config) & NW_SINK_TRANSACTIONS) != 0;
}

/* Whether the offset is the end of its transaction, and not a change in the next: see takeover.h.
 */
static bool is_at_rest(const struct nw_takeover *t, const struct nw_takeover_count *count)
{
    return t->offset.kind == NW_TAKEOVER_CHANGE && t->offset.events == 0 &&
           t->offset.lsn == t->offset.lsn_commit && (!count->done || count->xid != t->offset.xid);
}

/* What follows from what was read. */
static void ahead_decide(struct nw_takeover *t, const struct nw_takeover_count *count)
{
    uint32_t xid = t->offset.xid;
    char lsn[NW_LSN_TEXT_SIZE];

    (void)nw_lsn_text(lsn, t->offset.lsn);
    if (t->trusted && (!count->done || count->xid != xid)) {
        return; /* it committed before the slot */
    }
    if (is_at_rest(t, count)) {
        nw_takeover_say(t, NW_TAKEOVER_OK,
                        "the offset is the end of transaction %u: Debezium has sent all of it",
                        xid);
        return;
    }
    if (!count->done) {
        nw_takeover_say(t, NW_TAKEOVER_FAIL,
                        "NW2381 the offset is in transaction %u, at %s, and the slot has no "
                        "transaction any more: offset and slot are not of one connector",
                        xid, lsn);
        return;
    }
    if (count->xid != xid || (t->offset.kind == NW_TAKEOVER_CHANGE && !t->offset.unsure &&
                              count->here == 0 && count->sent == 0)) {
        nw_takeover_say(t, NW_TAKEOVER_FAIL,
                        "NW2381 the offset is in transaction %u, at %s, and the slot goes on with "
                        "transaction %u: offset and slot are not of one connector, or the "
                        "publication was changed",
                        xid, lsn, count->xid);
        return;
    }
    t->commit_lsn = count->commit_lsn;
    t->seq = count->sent;
    t->repeats = count->partly;
    if (count->twice && t->seq > 0) {
        t->seq--;
        t->repeats = true;
    }
    nw_takeover_say(t, NW_TAKEOVER_OK,
                    "transaction %u is the next in the slot; of its %" PRIu64
                    " changes Debezium has sent %" PRIu64,
                    xid, count->changes, count->sent);
    if (t->repeats) {
        nw_takeover_say(t, NW_TAKEOVER_WARN,
                        "NW2384 the last of them was a delete, an update with the former key, or "
                        "a truncate of several tables: it is sent again, since it is several "
                        "messages");
    }
    /* All of it: then it is simply the position, unless the transaction's end is to be sent. */
    if (t->seq == count->changes && !wants_transactions(t)) {
        t->lsn = count->end_lsn;
        t->commit_lsn = t->seq = 0;
    }
}

static nw_status ahead_look(struct nw_takeover *t, struct nw_error *err)
{
    struct nw_takeover_count count = {.offset = &t->offset};
    const struct nw_takeover_offset *offset = &t->offset;
    bool alone = offset->kind == NW_TAKEOVER_MESSAGE && offset->lsn == offset->lsn_commit;
    bool within = offset->kind == NW_TAKEOVER_CHANGE || offset->kind == NW_TAKEOVER_MESSAGE;
    nw_status status = NW_OK;

    /* A message outside of transactions is a position by itself. A change may be before the commit
     * behind which its transaction comes: they overlapped. */
    if (!within || alone) {
        return NW_OK;
    }
    count.schemas = t->schemas;
    count.filter = &t->options->server.publication.filter;
    status = first_read(t, &count, err);
    if (status == NW_OK) {
        ahead_decide(t, &count);
    }
    return status;
}

static nw_status server_look(struct nw_takeover *t, struct nw_error *err)
{
    struct nw_server_options server = t->options->server;
    char lsn[NW_LSN_TEXT_SIZE];
    nw_status status = NW_OK;

    server.claim = t->claim;
    status = nw_server_open(&t->server, &server, err);
    t->server_open = status == NW_OK;
    if (status != NW_OK) {
        return status;
    }
    nw_takeover_say(t, NW_TAKEOVER_OK, "the server is system %" PRIu64 ", database %s, at %s",
                    t->server.identity.system_identifier, t->server.database,
                    nw_lsn_text(lsn, t->server.end_lsn));
    if (t->server.in_recovery) {
        nw_takeover_say(t, NW_TAKEOVER_FAIL,
                        "NW2306 the server is a standby: name the primary, or promote it first");
    }
    slot_look(t);
    return tables_look(t, err);
}

/* What committed before it was sent; 0: the offset has no commit yet, only the slot says it. */
static uint64_t lsn_of(const struct nw_takeover_offset *offset)
{
    /* A later snapshot has an LSN of its own: what was not streamed before it is not all in it. */
    if (offset->kind == NW_TAKEOVER_NONE && offset->lsn_commit == 0) {
        return offset->lsn_proc != 0 && offset->lsn_proc < offset->lsn ? offset->lsn_proc
                                                                       : offset->lsn;
    }
    return offset->lsn_commit != 0               ? offset->lsn_commit
           : offset->kind == NW_TAKEOVER_BETWEEN ? offset->lsn_proc
                                                 : 0;
}

nw_status nw_takeover_begin(struct nw_takeover *t, struct nw_error *err)
{
    nw_status status = NW_OK;

    nw_arena_init(&t->arena, TABLES_BYTES_MAX);
    t->lsn = lsn_of(&t->offset);
    status = nw_schemas_create(&t->schemas, err);
    if (status == NW_OK) {
        status = state_look(t, err);
    }
    if (status == NW_OK) {
        status = nw_claim_alone(t->options->server.slot_name, &t->options->server.connection,
                                &t->claim, err);
    }
    if (status == NW_OK) {
        status = server_look(t, err);
    }
    return status == NW_OK && t->refusals == 0 ? ahead_look(t, err) : status;
}

/* ---- doing it ---- */

/* The highest that a worker has; 0: the sink is empty. */
static uint64_t sink_lsn(const struct nw_sink_recovered *recovered)
{
    uint64_t highest = 0;

    for (uint32_t p = 0; p < recovered->positions_count; p++) {
        const struct nw_position *position = &recovered->positions[p];
        struct nw_identity ignored = {0};
        struct nw_error error = {0};
        uint64_t lsn = 0;

        if (position->size > 0 &&
            nw_position_unpack((struct nw_bytes){position->bytes, position->size}, &ignored, &lsn,
                               NULL, &error) == NW_OK &&
            lsn > highest) {
            highest = lsn;
        }
    }
    return highest;
}

static nw_status sink_open(struct nw_takeover *t, struct nw_sink_recovered *recovered,
                           struct nw_error *err)
{
    const struct nw_run_sink *from = &t->options->sinks[0];
    struct nw_sink_options options = {.env = t->options->env,
                                      .plugin = from->plugin,
                                      .config = from->config,
                                      .workers_count = from->workers_count,
                                      .database = t->server.database};
    nw_status status = nw_sink_create(&options, &t->sink, err);

    if (status == NW_OK) {
        status = nw_sink_start(t->sink, err);
    }
    return status == NW_OK ? nw_sink_open(t->sink, recovered, err) : status;
}

/* Whether the sink may be given the position: it is empty, or was given back, or has it. */
static nw_status sink_check(struct nw_takeover *t, const struct nw_sink_recovered *recovered,
                            struct nw_error *err)
{
    uint64_t has = sink_lsn(recovered);
    bool ours = t->former.state == NW_TAKEN_GIVEN_BACK ||
                (t->former.state == NW_TAKEN_BEGUN && has == t->former.lsn);
    char lsn[NW_LSN_TEXT_SIZE];

    if ((has == 0 && recovered->copies_count == 0) || ours) {
        return NW_OK;
    }
    return nw_fail(err, NW_FATAL,
                   "NW2382 sink %s has %s already, so narwal wrote into these topics before: "
                   "nothing was changed. Another sinks.name begins without it",
                   t->options->sinks[0].name,
                   has == 0 ? "copies of tables" : nw_lsn_text(lsn, has));
}

static nw_status sink_move(struct nw_takeover *t, struct nw_error *err)
{
    uint8_t bytes[NW_POSITION_BYTES_MAX];
    struct nw_position position = {.bytes = bytes, .lsn = t->lsn};

    position.size = nw_position_pack(&t->server.identity, t->lsn, NULL, bytes);
    return nw_sink_move(t->sink, &position, NULL, 0, err);
}

/* From here on a run begins no copy, whatever becomes of this. */
static nw_status begun_write(struct nw_takeover *t, const struct nw_taken *taken,
                             struct nw_error *err)
{
    const struct nw_state_source source = {.known = true,
                                           .identity = t->server.identity,
                                           .acknowledged_lsn = t->slot_lsn,
                                           .generation = t->source.generation};
    nw_status status = nw_taken_write(t->state, taken, err);

    return status == NW_OK ? nw_state_source_write(t->state, &source, err) : status;
}

nw_status nw_takeover_finish(struct nw_takeover *t, struct nw_error *err)
{
    /* It begins nothing either, and stays given back when the sink cannot be opened. */
    bool given_back = t->former.state == NW_TAKEN_GIVEN_BACK;
    struct nw_sink_recovered recovered = {0};
    struct nw_taken taken = {.state = NW_TAKEN_BEGUN,
                             .system_identifier = t->server.identity.system_identifier,
                             .lsn = t->lsn,
                             .commit_lsn = t->commit_lsn,
                             .seq = t->seq,
                             .offset = (char *)(uintptr_t)t->text};
    nw_status status = NW_OK;

    nw_taken_stream(&t->options->server, taken.stream);
    if (!given_back) { /* opening the sink leaves traces in its topics */
        status = begun_write(t, &taken, err);
    }
    nw_crash_point("take-over-begun");
    if (status == NW_OK) {
        status = sink_open(t, &recovered, err);
    }
    nw_crash_point("take-over-open");
    if (status == NW_OK) {
        status = sink_check(t, &recovered, err);
    }
    if (status == NW_OK && given_back) {
        status = begun_write(t, &taken, err);
    }
    if (status == NW_OK) {
        status = nw_taken_forget_tables(t->state, err);
    }
    nw_crash_point("take-over-state");
    if (status == NW_OK) {
        status = nw_claim_check(t->claim, err);
    }
    if (status == NW_OK) {
        status = sink_move(t, err);
    }
    nw_crash_point("take-over-sink");
    taken.state = NW_TAKEN_DONE;
    return status == NW_OK ? nw_taken_write(t->state, &taken, err) : status;
}

nw_status nw_takeover_end(struct nw_takeover *t, struct nw_error *err)
{
    struct nw_env *env = t->options->env;
    nw_status status = NW_OK;

    if (t->sink != NULL) {
        status = nw_sink_stop(t->sink, env->ops->now_ns(env) + SINK_STOP_NS, err);
        if (status == NW_OK) {
            nw_sink_destroy(t->sink);
        }
    }
    if (t->server_open) {
        nw_server_close(&t->server);
    }
    if (status == NW_OK) {
        nw_claim_destroy(t->claim);
    }
    nw_schemas_destroy(t->schemas);
    nw_taken_offset_free(&t->former);
    nw_state_close(t->state);
    nw_arena_fini(&t->arena);
    return status;
}
