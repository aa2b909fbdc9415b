/* SPDX-License-Identifier: Apache-2.0 */
/* See adopt.h. What is found, and what follows from it; adopt_finish.c does it. */
#include "pipeline/adopt.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/code.h"
#include "pg/lsn.h"
#include "source/copy_state.h"

#define TABLES_BYTES_MAX (512u << 20)
#define OPEN_US_MAX      60000000 /* a sink that is detached may hang */

void nw_adopt_say(struct nw_adopt *adopt, enum nw_adopt_level level, const char *format, ...)
{
    struct nw_adopt_line *line = &adopt->lines[adopt->lines_count];
    va_list args;

    adopt->refusals += level == NW_ADOPT_FAIL;
    if (adopt->lines_count == NW_ADOPT_LINES_MAX) {
        return;
    }
    adopt->lines_count++;
    line->level = level;
    va_start(args, format);
    (void)vsnprintf(line->text, sizeof line->text, format, args);
    va_end(args);
}

/* A refusal that somebody else put into words. */
static void refuse(struct nw_adopt *adopt, const struct nw_error *why)
{
    nw_adopt_say(adopt, NW_ADOPT_FAIL, "%.6s %s", nw_error_code(why), nw_code_rest(why->text));
}

/* ---- the sinks ---- */

static bool is_detached(const struct nw_adopt *adopt, uint32_t index)
{
    return nw_detached_find(&adopt->detached, adopt->options->sinks[index].name) != NULL;
}

static nw_status sink_open(struct nw_adopt *adopt, uint32_t index, struct nw_error *err)
{
    const struct nw_run_sink *from = &adopt->options->sinks[index];
    struct nw_sink_options options = {.env = adopt->options->env,
                                      .plugin = from->plugin,
                                      .config = from->config,
                                      .workers_count = from->workers_count,
                                      .database = adopt->server.database,
                                      .open_us_max = is_detached(adopt, index) ? OPEN_US_MAX : 0};
    struct nw_adopt_sink *to = &adopt->sinks[index];
    nw_status status = nw_sink_create(&options, &to->sink, err);

    if (status == NW_OK) {
        status = nw_sink_start(to->sink, err);
    }
    return status == NW_OK ? nw_sink_open(to->sink, &to->recovered, err) : status;
}

/* What of a table any of the positions lacks, the position lacks. */
static void behind_add(struct nw_behind_list *to, const struct nw_behind_list *from)
{
    for (uint32_t i = 0; i < from->count; i++) {
        uint32_t at = 0;

        while (at < to->count && to->tables[at].relation_oid != from->tables[i].relation_oid) {
            at++;
        }
        if (at == to->count && at < NW_BEHIND_MAX) {
            to->tables[to->count++] = from->tables[i];
        } else if (at < to->count && nw_place_before(from->tables[i].place, to->tables[at].place)) {
            to->tables[at] = from->tables[i];
        }
    }
}

/* Where what it has of some tables ends: copies, and parts of transactions. */
static void reach_look(const struct nw_adopt *adopt, struct nw_adopt_sink *sink)
{
    uint64_t ahead_lsn = sink->recovered.ahead_lsn;

    sink->reach_lsn = sink->reach_lsn > ahead_lsn ? sink->reach_lsn : ahead_lsn + 1;
    for (uint32_t c = 0; c < sink->recovered.copies_count; c++) {
        const struct nw_copy_state *copy = &sink->recovered.copies[c];
        struct nw_copy_progress progress = {0};
        struct nw_error ignored = {0};

        if (copy->complete && !nw_tables_dropped(adopt->table_states, copy->relation_oid) &&
            nw_copy_unpack((struct nw_bytes){copy->bytes, copy->size}, &progress, &ignored) ==
                NW_OK &&
            progress.origin.fence_lsn > sink->reach_lsn) {
            sink->reach_lsn = progress.origin.fence_lsn;
        }
    }
}

/* The lowest position of a sink; those of its workers are of one source. */
static nw_status sink_look(struct nw_adopt_sink *sink, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t p = 0; p < sink->recovered.positions_count && status == NW_OK; p++) {
        const struct nw_position *position = &sink->recovered.positions[p];
        struct nw_identity stored = {0};
        struct nw_behind_list behind = {0};
        uint64_t lsn = 0;

        if (position->size == 0) {
            sink->lsn = 0;
            return NW_OK; /* something of the first copy is missing */
        }
        status = nw_position_unpack((struct nw_bytes){position->bytes, position->size}, &stored,
                                    &lsn, &behind, err);
        if (status == NW_OK && (sink->lsn == 0 || lsn < sink->lsn)) {
            sink->lsn = lsn;
            sink->stored = stored;
        }
        sink->reach_lsn = lsn > sink->reach_lsn ? lsn : sink->reach_lsn;
        behind_add(&sink->behind, &behind);
    }
    return status;
}

static nw_status sinks_look(struct nw_adopt *adopt, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < adopt->options->sinks_count && status == NW_OK; i++) {
        const char *name = adopt->options->sinks[i].name;
        struct nw_adopt_sink *sink = &adopt->sinks[i];
        char lsn[NW_LSN_TEXT_SIZE];

        status = sink_open(adopt, i, err);
        if (status != NW_OK && is_detached(adopt, i)) {
            nw_adopt_say(adopt, NW_ADOPT_OK,
                         "sink %s is detached, and stays as it is, for it cannot be opened: %s",
                         name, err->text);
            status = NW_OK;
            continue;
        }
        status = status == NW_OK ? sink_look(sink, err) : status;
        if (status != NW_OK) {
            return status;
        }
        reach_look(adopt, sink);
        if (sink->lsn != 0) {
            nw_adopt_say(adopt, NW_ADOPT_OK,
                         "sink %s has everything up to %s of system %" PRIu64 ", timeline %" PRIu32,
                         name, nw_lsn_text(lsn, sink->lsn), sink->stored.system_identifier,
                         sink->stored.timeline);
        } else if (sink->recovered.copies_count > 0) {
            nw_adopt_say(adopt, NW_ADOPT_FAIL,
                         "NW2344 sink %s has no position yet, for its first copy is not whole: "
                         "begin again with an empty sink",
                         name);
        } else {
            nw_adopt_say(adopt, NW_ADOPT_OK, "sink %s has nothing that could be lost", name);
        }
    }
    return status;
}

/* ---- the server ---- */

/* The slot; *found: one that can be followed. Another state of it is a refusal. */
static void slot_look(struct nw_adopt *adopt)
{
    const char *name = adopt->options->server.slot_name;
    struct nw_error why = {0};
    char lsn[NW_LSN_TEXT_SIZE];
    nw_status status = NW_OK;

    adopt->slot_lsn = 0;
    status = nw_server_slot_check(&adopt->server, adopt->server.control, &adopt->slot_lsn,
                                  &adopt->slot_found, &why);
    if (status != NW_OK) {
        refuse(adopt, &why);
    } else if (adopt->slot_found) {
        nw_adopt_say(adopt, NW_ADOPT_OK, "slot %s is there, at %s", name,
                     nw_lsn_text(lsn, adopt->slot_lsn));
    } else {
        nw_adopt_say(adopt, NW_ADOPT_OK, "there is no slot %s on the server", name);
    }
}

static nw_status tables_look(struct nw_adopt *adopt, struct nw_error *err)
{
    struct nw_publication_options publication = adopt->options->server.publication;
    nw_status status = NW_OK;

    publication.create = false;
    publication.extend = false;
    adopt->server.schemas = adopt->schemas;
    status = nw_publications_ensure(adopt->server.control, &publication,
                                    &adopt->server.publications, err);
    if (status == NW_OK) {
        status = nw_server_tables(&adopt->server, adopt->server.control, &adopt->arena,
                                  &adopt->tables, err);
    }
    return status == NW_OK ? nw_server_register(&adopt->server, &adopt->tables, &adopt->arena, err)
                           : status;
}

static nw_status server_look(struct nw_adopt *adopt, struct nw_error *err)
{
    const struct nw_identity *here = &adopt->server.identity;
    char lsn[NW_LSN_TEXT_SIZE];
    nw_status status = nw_server_open(&adopt->server, &adopt->options->server, err);

    adopt->server_open = status == NW_OK;
    if (status != NW_OK) {
        return status;
    }
    nw_adopt_say(adopt, NW_ADOPT_OK,
                 "the server is system %" PRIu64 ", timeline %" PRIu32 ", at %s",
                 here->system_identifier, here->timeline, nw_lsn_text(lsn, adopt->server.end_lsn));
    if (adopt->server.in_recovery) {
        nw_adopt_say(adopt, NW_ADOPT_FAIL,
                     "NW2306 the server is a standby: promote it first, or name the primary");
    }
    slot_look(adopt);
    return NW_OK;
}

/* ---- what follows ---- */

/* Whether a server that has the sink's LSN has the transactions before it, too. */
static nw_status past_look(struct nw_adopt *adopt, const struct nw_adopt_sink *sink,
                           struct nw_adopt_facts *facts, struct nw_error *err)
{
    struct nw_recent_list *list = &adopt->recent;
    uint32_t missing = list->commits_count;
    char text[600];
    nw_status status = NW_OK;

    if (nw_adopt_record_is_of(adopt, sink)) {
        status = nw_recent_verify(adopt->server.control, list, sink->lsn, &missing, err);
    }
    if (status == NW_OK && missing < list->commits_count) {
        nw_adopt_say(adopt, NW_ADOPT_WARN, "NW2308 the server does not have %s",
                     nw_recent_text(list, missing, text, sizeof text));
        facts->relation = NW_ADOPT_APART;
    }
    return status;
}

/* How the server is related to what a sink has. */
static nw_status relate(struct nw_adopt *adopt, struct nw_adopt_sink *sink,
                        struct nw_adopt_facts *facts, struct nw_error *err)
{
    const struct nw_identity *here = &adopt->server.identity;
    struct nw_session *session = NULL;
    nw_status status = NW_OK;

    facts->relation = NW_ADOPT_SAME;
    if (sink->stored.system_identifier != here->system_identifier) {
        facts->relation =
            adopt->frozen || adopt->wishes.upgraded ? NW_ADOPT_UPGRADED : NW_ADOPT_OTHER;
    } else if (sink->stored.database_oid != here->database_oid) {
        facts->relation = NW_ADOPT_OTHER;
    } else if (sink->stored.timeline > here->timeline ||
               (sink->stored.timeline == here->timeline &&
                sink->reach_lsn > adopt->server.end_lsn)) {
        facts->relation = NW_ADOPT_APART;
    } else if (sink->stored.timeline < here->timeline) {
        status = nw_server_session(&adopt->server, true, &session, err);
        if (status == NW_OK) {
            status = nw_replication_switch_lsn(session, here->timeline, sink->stored.timeline,
                                               &facts->fork_lsn, err);
        }
        nw_session_close(session);
        facts->relation = sink->reach_lsn > facts->fork_lsn ? NW_ADOPT_AHEAD : NW_ADOPT_SAME;
        sink->fork_lsn = facts->fork_lsn;
        facts->extras_known = nw_adopt_extras_known(adopt, sink);
    }
    return status == NW_OK && facts->relation == NW_ADOPT_SAME ? past_look(adopt, sink, facts, err)
                                                               : status;
}

static void extra_refuse(struct nw_adopt *adopt, const char *name, const struct nw_adopt_sink *sink,
                         const struct nw_adopt_facts *facts)
{
    char lsn[NW_LSN_TEXT_SIZE];
    char fork[NW_LSN_TEXT_SIZE];

    (void)nw_lsn_text(lsn, sink->reach_lsn);
    if (facts->relation == NW_ADOPT_AHEAD) {
        nw_adopt_say(adopt, NW_ADOPT_FAIL,
                     "NW2341 sink %s has changes up to %s, and the server has gone on without "
                     "what came after %s: the sink holds transactions that the server never had. "
                     "--copy goes back to what both have, and copies the tables that differ",
                     name, lsn, nw_lsn_text(fork, facts->fork_lsn));
        return;
    }
    nw_adopt_say(
        adopt, NW_ADOPT_FAIL,
        "NW2341 sink %s has changes up to %s of timeline %" PRIu32
        ", and this comes of an older state of the server, or is a former primary, at %s: the sink "
        "holds transactions that it never had, from where on is not known. Name the "
        "present primary; if this is it, --copy copies all tables anew",
        name, lsn, sink->stored.timeline, nw_lsn_text(fork, adopt->server.end_lsn));
}

static void gap_refuse(struct nw_adopt *adopt, const char *name, const struct nw_adopt_sink *sink)
{
    char lsn[NW_LSN_TEXT_SIZE];
    char slot[NW_LSN_TEXT_SIZE];

    nw_adopt_say(adopt, NW_ADOPT_FAIL,
                 "NW2340 sink %s has everything up to %s, and slot %s %s%s: nothing proves that no "
                 "transaction was committed between, and those would be missing. A hand-over "
                 "proves it (narwal run --until now on the former server, after the last write); "
                 "--copy copies all tables anew; --nothing-written takes your word",
                 name, nw_lsn_text(lsn, sink->lsn), adopt->options->server.slot_name,
                 adopt->slot_found ? "begins at " : "is to be made here",
                 adopt->slot_found ? nw_lsn_text(slot, adopt->slot_lsn) : "");
}

static void decision_say(struct nw_adopt *adopt, uint32_t index, const struct nw_adopt_facts *facts)
{
    const char *name = adopt->options->sinks[index].name;
    const struct nw_adopt_sink *sink = &adopt->sinks[index];
    char lsn[NW_LSN_TEXT_SIZE];

    switch (sink->decision.verdict) {
    case NW_ADOPT_GAP:
        gap_refuse(adopt, name, sink);
        break;
    case NW_ADOPT_EXTRA:
        extra_refuse(adopt, name, sink, facts);
        break;
    case NW_ADOPT_STRANGER:
        nw_adopt_say(adopt, NW_ADOPT_FAIL,
                     "NW2343 sink %s has the data of system %" PRIu64 ", database %" PRIu32
                     ", and nothing shows that this server (system %" PRIu64 ", database %" PRIu32
                     ") was made of it: if pg_upgrade did that, --upgraded says so",
                     name, sink->stored.system_identifier, sink->stored.database_oid,
                     adopt->server.identity.system_identifier, adopt->server.identity.database_oid);
        break;
    case NW_ADOPT_SLOT_OLDER:
        nw_adopt_say(adopt, NW_ADOPT_FAIL,
                     "NW2343 sink %s has everything up to %s, past where the slot of this server "
                     "stands: it was not made by pg_upgrade of the server that the sink followed",
                     name, nw_lsn_text(lsn, sink->lsn));
        break;
    case NW_ADOPT_STAYS:
    case NW_ADOPT_MOVES:
    case NW_ADOPT_GOES_BACK:
        break;
    }
    if (sink->decision.said) {
        nw_adopt_say(
            adopt, NW_ADOPT_WARN,
            "NW2345 that no transaction is missing at sink %s behind %s is taken on your "
            "word",
            name,
            nw_lsn_text(lsn, facts->relation == NW_ADOPT_AHEAD ? facts->fork_lsn : sink->lsn));
    }
}

/* Whether there are transactions to name, and from where on. */
static void lacks_note(struct nw_adopt *adopt, const struct nw_adopt_sink *sink,
                       const struct nw_adopt_facts *facts)
{
    uint64_t lsn = facts->relation == NW_ADOPT_AHEAD ? facts->fork_lsn : adopt->server.end_lsn;

    if (facts->relation != NW_ADOPT_AHEAD && facts->relation != NW_ADOPT_APART) {
        return;
    }
    if (nw_adopt_record_is_of(adopt, sink)) { /* that of another server names nothing */
        adopt->named_lsn = adopt->named && adopt->named_lsn < lsn ? adopt->named_lsn : lsn;
        adopt->named = true;
    }
    adopt->lacks_known = facts->extras_known && (!adopt->lacks || adopt->lacks_known);
    adopt->lacks_lsn = adopt->lacks && adopt->lacks_lsn < lsn ? adopt->lacks_lsn : lsn;
    adopt->lacks = true;
}

static nw_status sink_decide(struct nw_adopt *adopt, uint32_t index, struct nw_error *err)
{
    struct nw_adopt_sink *sink = &adopt->sinks[index];
    struct nw_adopt_facts facts = {.lsn = sink->lsn,
                                   .slot_found = adopt->slot_found,
                                   .slot_lsn = adopt->slot_lsn,
                                   .proved = adopt->proved,
                                   .handover_lsn = adopt->wishes.handover.lsn,
                                   .copies = adopt->wishes.copies,
                                   .nothing_written = adopt->wishes.nothing_written,
                                   .upgraded = adopt->wishes.upgraded};
    nw_status status = relate(adopt, sink, &facts, err);

    if (status != NW_OK) {
        return status;
    }
    if (adopt->proved &&
        adopt->wishes.handover.system_identifier != sink->stored.system_identifier) {
        facts.proved = false; /* this sink was moved already, or is of another */
    }
    sink->decision = nw_adopt_decide(&facts);
    lacks_note(adopt, sink, &facts);
    decision_say(adopt, index, &facts);
    if (sink->decision.verdict == NW_ADOPT_MOVES || sink->decision.verdict == NW_ADOPT_GOES_BACK) {
        sink->to_lsn =
            sink->decision.verdict == NW_ADOPT_GOES_BACK ? nw_adopt_common_lsn(&facts) : 0;
        adopt->moves++;
        adopt->copies =
            sink->decision.copies > adopt->copies ? sink->decision.copies : adopt->copies;
    }
    return NW_OK;
}

static nw_status decide(struct nw_adopt *adopt, struct nw_error *err)
{
    nw_status status = nw_adopt_prove(adopt, err);

    for (uint32_t i = 0; i < adopt->options->sinks_count && status == NW_OK; i++) {
        if (adopt->sinks[i].lsn != 0) {
            status = sink_decide(adopt, i, err);
        }
    }
    adopt->makes_slot = adopt->moves > 0 && !adopt->slot_found;
    if (adopt->makes_slot && !adopt->options->server.create_slot) {
        nw_adopt_say(adopt, NW_ADOPT_FAIL,
                     "NW1215 slot.create is false: let a DBA make it with SELECT "
                     "pg_create_logical_replication_slot('%s', 'pgoutput'), and run this again",
                     adopt->options->server.slot_name);
    }
    return status;
}

bool nw_adopt_state_lags(const struct nw_adopt *adopt)
{
    const struct nw_identity *here = &adopt->server.identity;
    const struct nw_identity *known = &adopt->source.identity;

    return adopt->source.known && (known->system_identifier != here->system_identifier ||
                                   known->database_oid != here->database_oid ||
                                   (known->timeline != here->timeline && adopt->slot_found));
}

nw_status nw_adopt_begin(struct nw_adopt *adopt, const struct nw_run_options *options,
                         const struct nw_adopt_wishes *wishes, struct nw_error *err)
{
    nw_status status = NW_OK;

    memset(adopt, 0, sizeof *adopt);
    adopt->options = options;
    adopt->wishes = *wishes;
    nw_arena_init(&adopt->arena, TABLES_BYTES_MAX);
    status = nw_state_open(options->state_folder, &adopt->state, err);
    if (status == NW_OK) {
        status = nw_state_source_read(adopt->state, &adopt->source, err);
    }
    if (status == NW_OK) {
        status = nw_tables_open(adopt->state, &adopt->table_states, err);
    }
    if (status == NW_OK) {
        status = nw_detached_read(adopt->state, &adopt->detached, err);
    }
    if (status == NW_OK && !wishes->handover.known) {
        status = nw_handover_read(adopt->state, &adopt->wishes.handover, err);
    }
    if (status == NW_OK) {
        status = nw_recent_read(options->state_folder, &adopt->recent, err);
    }
    if (status == NW_OK) {
        status = nw_schemas_create(&adopt->schemas, err);
    }
    if (status == NW_OK) {
        status = nw_transforms_create(options->transforms, &adopt->transforms, err);
    }
    if (status == NW_OK) {
        status = nw_claim_alone(adopt->options->server.slot_name,
                                &adopt->options->server.connection, &adopt->claim, err);
    }
    if (status == NW_OK) {
        status = sinks_look(adopt, err);
    }
    if (status == NW_OK) {
        status = server_look(adopt, err);
    }
    if (status == NW_OK) {
        status = decide(adopt, err);
    }
    return status == NW_OK && adopt->refusals == 0 &&
                   (adopt->moves > 0 || nw_adopt_state_lags(adopt))
               ? tables_look(adopt, err)
               : status;
}
