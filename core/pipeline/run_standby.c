/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Being the only one, and standing by until one is: see claim.h. On the main thread.
 *
 * Before it touches a sink, whose recover() throws out whoever was there before, a run holds the
 * claim and has seen that nobody reads the slot. A standby looks at the server every second; the
 * owner is there while it holds the claim or reads the slot, and is heard of. One that is silent
 * for standby.after is frozen, cut off or gone: the server would keep its sessions for a minute and
 * longer, so they are ended, and whatever it does later fails at the claim and at the sinks'
 * fencing numbers.
 */
#include "pipeline/run_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/code.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/text.h"

#define STEP_NS     10000000L
#define LOOK_NS_MAX 1000000000LL
#define LOOK_NS_MIN 100000000LL
#define PATIENCE_NS 2000000000LL /* for the sessions of a process that was killed just now */
/* Silence lasts for so long at least: the server's clock may step, and the owner asks every second.
 */
#define SILENT_NS 3000000000LL

bool nw_run_stops(void *context)
{
    nw_run_alive(context);
    return nw_run_stopping(context);
}

static struct nw_pg_options connection_of(struct nw_run *run)
{
    struct nw_pg_options connection = run->options->server.connection;

    connection.stopping = nw_run_stops;
    connection.stopping_context = run;
    connection.known = run->connected;
    return connection;
}

static nw_status in_use(const struct nw_run *run, const struct nw_claim_view *view,
                        struct nw_error *err)
{
    const char *slot = run->options->server.slot_name;

    return view->holder_pid != 0 && !nw_claim_knows(run->claim, view)
               ? nw_claim_refuse(slot, view, err)
               : nw_fail(err, NW_RETRY, "NW1211 slot %s is in use by %s", slot, view->reader);
}

/* Who reads the slot keeps its place, also when the session of its claim has just broken. */
static nw_status others_wait(struct nw_run *run, struct nw_session *session, struct nw_error *err)
{
    int64_t until_ns = run->env->ops->now_ns(run->env) + PATIENCE_NS;
    struct timespec step = {.tv_nsec = LOOK_NS_MIN};
    struct nw_claim_view view;

    for (;;) {
        nw_status status = nw_claim_look(session, run->options->server.slot_name, &view, err);

        if (status != NW_OK ||
            (view.reader_pid == 0 && (view.holder_pid == 0 || nw_claim_knows(run->claim, &view)))) {
            return status;
        }
        if (nw_run_stops(run) || run->env->ops->now_ns(run->env) >= until_ns) {
            return in_use(run, &view, err);
        }
        (void)nanosleep(&step, NULL);
    }
}

nw_status nw_run_own(struct nw_run *run, struct nw_error *err)
{
    struct nw_pg_options connection = connection_of(run);
    struct nw_session *session = NULL;
    struct nw_claim_view view;
    bool had = nw_claim_is_had(run->claim);
    nw_status status = nw_session_open(&connection, false, &session, err);

    if (status == NW_OK) {
        run->connected = connection.known = true;
        status = had ? NW_OK : others_wait(run, session, err);
    }
    if (status == NW_OK) {
        status = nw_claim_take(run->claim, &connection, err);
    }
    if (status == NW_OK) {
        status = nw_claim_look(session, run->options->server.slot_name, &view, err);
    }
    if (status == NW_OK && view.reader_pid != 0) {
        status = in_use(run, &view, err);
    }
    if (status != NW_OK && !had) {
        nw_claim_release(run->claim); /* or its owner, which goes on, would find it lost */
    }
    nw_session_close(session);
    if (status == NW_OK) {
        nw_crash_point("owned");
    }
    return status;
}

/* ---- standing by ---- */

enum sight {
    SIGHT_NONE,    /* not looked yet */
    SIGHT_BLIND,   /* the server cannot be asked */
    SIGHT_REPLICA, /* it is a standby itself */
    SIGHT_MISSING, /* there is no slot */
    SIGHT_OWNED,
    SIGHT_SILENT, /* owned by one that is not heard of any more */
    SIGHT_FREE,
};

struct standby {
    struct nw_run *run;
    struct nw_session *session;
    enum sight sight;
    int owner_pid; /* as it was said */
    int64_t looked_ns;
    int64_t free_ns;   /* since when */
    int64_t silent_ns; /* the same */
    bool ended;        /* a silent owner's sessions: nothing more to wait for */
    struct nw_claim_view view;
};

static double after_s(const struct nw_run *run)
{
    return (double)run->options->standby_us / 1e6;
}

/* Its last sign of life; what cannot be seen is taken for one. */
static double heard_s(const struct nw_claim_view *view)
{
    double reader = view->reader_pid == 0 ? 1e9 : view->reader_age_s;
    double holder = view->holder_pid == 0 ? 1e9 : view->holder_age_s;
    double heard = reader < holder ? reader : holder;

    return heard < 0 ? 0 : heard;
}

static enum sight judge(const struct standby *s)
{
    const struct nw_claim_view *view = &s->view;

    if (view->in_recovery) {
        return SIGHT_REPLICA;
    }
    if (view->holder_pid != 0 || view->reader_pid != 0) {
        return heard_s(view) < after_s(s->run) ? SIGHT_OWNED : SIGHT_SILENT;
    }
    return view->exists ? SIGHT_FREE : SIGHT_MISSING;
}

static const char *owner_of(const struct nw_claim_view *view)
{
    return view->holder_pid != 0 ? view->holder : view->reader;
}

/* What is seen, for status and log. */
static void sight_text(const struct standby *s, const struct nw_error *why, char *text, size_t size)
{
    const char *slot = s->run->options->server.slot_name;
    char after[NW_NUMBER_TEXT_SIZE];

    (void)nw_duration_text(after, after_s(s->run));
    switch (s->sight) {
    case SIGHT_BLIND:
        (void)snprintf(text, size, "the server cannot be asked for slot %s: %.700s", slot,
                       nw_code_rest(why->text));
        break;
    case SIGHT_REPLICA:
        (void)snprintf(text, size,
                       "the server is a standby itself: slot %s is waited for after "
                       "its promotion, or on the primary",
                       slot);
        break;
    case SIGHT_MISSING:
        (void)snprintf(text, size,
                       "there is no slot %s yet: start the first narwal without "
                       "--standby, which makes it and copies",
                       slot);
        break;
    case SIGHT_OWNED:
        (void)snprintf(text, size,
                       "another narwal has slot %s (%s); its place is taken when it "
                       "has been gone or silent for %s",
                       slot, owner_of(&s->view), after);
        break;
    case SIGHT_SILENT:
        (void)snprintf(text, size, "the owner of slot %s (%s) is silent", slot, owner_of(&s->view));
        break;
    case SIGHT_NONE:
    case SIGHT_FREE:
        (void)snprintf(text, size, "slot %s is free: it is taken over when that lasts for %s", slot,
                       after);
        break;
    }
}

/* Says what is new of it. */
static void sight_take(struct standby *s, enum sight sight, const struct nw_error *why)
{
    char *text = s->run->status.standby_for;
    int owner = s->view.holder_pid != 0 ? s->view.holder_pid : s->view.reader_pid;
    bool news = sight != s->sight || (sight == SIGHT_OWNED && owner != s->owner_pid);

    s->sight = sight;
    s->owner_pid = owner;
    sight_text(s, why, text, sizeof s->run->status.standby_for);
    if (news && sight == SIGHT_BLIND) {
        nw_log(NW_LOG_WARN, "%.6s standing by: %s", nw_error_code(why), text);
    } else if (news && sight != SIGHT_SILENT) {
        nw_log(NW_LOG_INFO, "standing by: %s", text);
    }
}

static nw_status server_ask(struct standby *s, struct nw_error *err)
{
    struct nw_run *run = s->run;
    struct nw_pg_options connection = connection_of(run);
    nw_status status =
        s->session != NULL ? NW_OK : nw_session_open(&connection, false, &s->session, err);

    if (status == NW_OK) {
        run->connected = true;
        (void)snprintf(run->host, sizeof run->host, "%s", nw_session_host(s->session));
        status = nw_claim_look(s->session, run->options->server.slot_name, &s->view, err);
    }
    return status;
}

/* The server ends sessions of which the last sign is too old, by its own clock, at that moment. */
static nw_status silent_end(struct standby *s, struct nw_error *err)
{
    const char *slot = s->run->options->server.slot_name;
    int ended = 0;
    nw_status status =
        nw_claim_end_silent(s->session, slot, after_s(s->run), s->ended, &ended, err);

    if (status == NW_OK && ended > 0 && !s->ended) {
        s->ended = true;
        nw_log(
            NW_LOG_WARN,
            "NW2014 the owner of slot %s (%s) has not been heard of for %.0f s: it is frozen, cut "
            "off or gone, and its sessions were ended",
            slot, owner_of(&s->view), heard_s(&s->view));
    }
    return status;
}

/* @param taken  filled: the slot is ours now, as far as other narwals go */
static nw_status place_take(struct standby *s, bool *taken, struct nw_error *err)
{
    struct nw_pg_options connection = connection_of(s->run);
    nw_status status = nw_claim_take(s->run->claim, &connection, err);

    *taken = status == NW_OK;
    if (status == NW_OK) {
        s->run->takes_over = true;
        nw_log(NW_LOG_WARN,
               "NW2013 taking over slot %s from the narwal that had it: look what became of that "
               "one",
               s->run->options->server.slot_name);
    }
    return status == NW_RETRY ? NW_OK
                              : status; /* another standby was faster, or the server is away */
}

/* One look does not tell: of two with a question of the owner's between them both have to. */
static bool silence_lasts(struct standby *s, enum sight sight, int64_t now_ns)
{
    int64_t enough_ns = s->run->options->standby_us * 1000;

    enough_ns = enough_ns > SILENT_NS ? SILENT_NS : enough_ns;
    s->silent_ns = sight != SIGHT_SILENT ? 0 : s->silent_ns != 0 ? s->silent_ns : now_ns;
    return s->silent_ns != 0 && (s->ended || now_ns - s->silent_ns >= enough_ns);
}

/* @param taken  filled */
static nw_status look(struct standby *s, bool *taken, struct nw_error *err)
{
    struct nw_run *run = s->run;
    struct nw_error why = {0};
    int64_t now_ns = run->env->ops->now_ns(run->env);
    enum sight sight = SIGHT_BLIND;
    nw_status status = server_ask(s, &why);

    if (status == NW_OK) {
        sight = judge(s);
        run->status.standby_seen_ns = now_ns;
        if (silence_lasts(s, sight, now_ns)) {
            status = silent_end(s, &why);
        }
    }
    if (status != NW_OK) {
        nw_session_close(s->session);
        s->session = NULL;
        s->ended = false;
        s->free_ns = s->silent_ns = 0;
        sight_take(s, SIGHT_BLIND, &why);
        *err = why;
        return status == NW_RETRY || run->connected ? NW_OK : status;
    }
    s->ended = s->ended && sight != SIGHT_OWNED;
    s->free_ns = sight != SIGHT_FREE ? 0 : s->free_ns != 0 ? s->free_ns : now_ns;
    sight_take(s, sight, NULL);
    if (sight == SIGHT_FREE &&
        (s->ended || now_ns - s->free_ns >= run->options->standby_us * 1000)) {
        return place_take(s, taken, err);
    }
    return NW_OK;
}

static void reload_take(struct nw_run *run)
{
    if (run->options->renews != NULL && run->options->renews(run->options->context)) {
        run->options->renew(run->options->context);
    }
}

static void commands_refuse(struct nw_run *run)
{
    const char *line =
        run->options->asked == NULL ? NULL : run->options->asked(run->options->context);
    char text[NW_ERROR_TEXT_SIZE];

    if (line != NULL) {
        (void)snprintf(text, sizeof text, "NW1505 this narwal stands by: %.800s",
                       run->status.standby_for);
        run->options->answer(run->options->context, false, text);
    }
}

nw_status nw_run_stand_by(struct nw_run *run, struct nw_error *err)
{
    struct standby s = {.run = run};
    struct timespec step = {.tv_nsec = STEP_NS};
    bool taken = false;
    nw_status status = NW_OK;

    run->status.phase = NW_RUN_STANDBY;
    while (status == NW_OK && !taken && !nw_run_stopping(run)) {
        int64_t every_ns = run->options->standby_us * 1000 / 4;

        every_ns = every_ns > LOOK_NS_MAX   ? LOOK_NS_MAX
                   : every_ns < LOOK_NS_MIN ? LOOK_NS_MIN
                                            : every_ns;
        if (s.looked_ns == 0 || run->env->ops->now_ns(run->env) - s.looked_ns >= every_ns) {
            status = look(&s, &taken, err);
            s.looked_ns = run->env->ops->now_ns(run->env);
        }
        if (nw_run_tick(run)) {
            commands_refuse(run);
            reload_take(run);
        }
        (void)nanosleep(&step, NULL);
    }
    nw_session_close(s.session);
    run->status.standby_for[0] = '\0';
    if (taken) {
        run->status.phase = NW_RUN_STARTING;
    }
    return nw_run_stopping(run) ? NW_OK : status;
}
