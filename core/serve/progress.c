/* SPDX-License-Identifier: Apache-2.0 */
/* See progress.h. */
#include "serve/progress.h"

#include <stdarg.h>
#include <string.h>

#include "base/text.h"
#include "pg/lsn.h"

void nw_progress_init(struct nw_progress *progress, double after_s)
{
    *progress = (struct nw_progress){.after_s = after_s};
}

/* The first reason is the one that counts. */
NW_PRINTF(2, 3)
static void not_ready(struct nw_report *report, const char *format, ...)
{
    va_list args;

    if (!report->ready) {
        return;
    }
    report->ready = false;
    va_start(args, format);
    (void)vsnprintf(report->ready_reason, sizeof report->ready_reason, format, args);
    va_end(args);
}

static bool in_phase(const struct nw_report *report, const char *phase)
{
    return strcmp(report->phase, phase) == 0;
}

static const char *colon(const char *text)
{
    return text[0] == '\0' ? "" : ": ";
}

/* ---- what moved ---- */

static void source_note(struct nw_progress *progress, const struct nw_report *r)
{
    if (in_phase(r, "streaming") || in_phase(r, "copying")) {
        progress->connected_s = r->uptime_s;
    } else if (in_phase(r, "standby") && r->standby_seen_s > progress->connected_s) {
        progress->connected_s = r->standby_seen_s;
    }
    if (r->received_lsn != progress->received_lsn || r->source_lag_bytes == 0) {
        progress->received_s = r->uptime_s;
    }
    if (r->spool_blocked[0] == '\0' && !r->spool_full) {
        progress->spooled_s = r->uptime_s;
    }
    progress->received_lsn = r->received_lsn;
}

/* What a retrying sink writes, it may write again and again: only its commits count. */
static bool sink_moved(struct nw_progress *progress, uint32_t index, double wall_s,
                       struct nw_report_sink *sink)
{
    bool retries = strcmp(sink->state, "retrying") == 0;
    bool commits = sink->commits != progress->sinks[index].commits;
    bool writes = sink->rows != progress->sinks[index].rows ||
                  sink->batches != progress->sinks[index].batches;

    if (sink->commits > progress->sinks[index].commits) {
        progress->sinks[index].committed_s = wall_s;
    }
    sink->committed_s = progress->sinks[index].committed_s;
    progress->sinks[index].rows = sink->rows;
    progress->sinks[index].batches = sink->batches;
    progress->sinks[index].commits = sink->commits;
    return commits || (writes && !retries);
}

static void sinks_note(struct nw_progress *progress, struct nw_report *r)
{
    for (uint32_t i = 0; i < r->sinks_count; i++) {
        struct nw_report_sink *sink = &r->sinks[i];
        bool moved = sink_moved(progress, i, (double)r->wall_us / 1e6, sink);
        bool idle =
            (sink->lag_bytes <= sink->waiting_bytes && strcmp(sink->state, "running") == 0) ||
            strcmp(sink->state, "detached") == 0;

        if (moved || idle) {
            progress->sinks[i].moved_s = r->uptime_s;
        }
        if (moved) { /* behind the last row that is read, the copy goes on there */
            progress->copied_s = r->uptime_s;
        }
    }
}

static void copy_note(struct nw_progress *progress, const struct nw_report *r)
{
    if (!in_phase(r, "copying") || r->copy_paused || r->copy_rows != progress->copy_rows ||
        r->copy_chunks_done != progress->copy_chunks) {
        progress->copied_s = r->uptime_s;
    }
    progress->copy_rows = r->copy_rows;
    progress->copy_chunks = r->copy_chunks_done;
}

/* Nothing stands still from before this attempt. */
static void all_note(struct nw_progress *progress, struct nw_report *r)
{
    double now_s = r->uptime_s;
    bool rests = in_phase(r, "standby"); /* but for asking the server */

    source_note(progress, r);
    sinks_note(progress, r);
    copy_note(progress, r);
    if (!progress->begun || in_phase(r, "starting") || in_phase(r, "paused")) {
        progress->connected_s = now_s;
        rests = true;
    }
    if (rests) {
        progress->received_s = progress->spooled_s = progress->copied_s = now_s;
        for (uint32_t i = 0; i < NW_SEQUENCERS_MAX; i++) {
            progress->sinks[i].moved_s = now_s;
        }
        progress->begun = true;
    }
}

/* ---- what stands still ---- */

static bool too_long(const struct nw_progress *progress, const struct nw_report *r, double since_s,
                     char text[static NW_NUMBER_TEXT_SIZE])
{
    (void)nw_duration_text(text, r->uptime_s - since_s);
    return r->uptime_s - since_s >= progress->after_s;
}

static void sinks_judge(const struct nw_progress *progress, struct nw_report *r)
{
    char time[NW_NUMBER_TEXT_SIZE];
    char size[NW_NUMBER_TEXT_SIZE];

    for (uint32_t i = 0; i < r->sinks_count; i++) {
        const struct nw_report_sink *sink = &r->sinks[i];

        if (strcmp(sink->state, "stopped") == 0) {
            not_ready(r, "sink %s stopped%s%s", sink->name, colon(sink->reason), sink->reason);
        }
        if (too_long(progress, r, progress->sinks[i].moved_s, time)) {
            not_ready(r, "sink %s (%s) has made nothing durable for %s, and %s wait for it%s%s",
                      sink->name, sink->state, time, nw_size_text(size, (double)sink->lag_bytes),
                      colon(sink->reason), sink->reason);
        }
    }
}

static void source_judge(const struct nw_progress *progress, struct nw_report *r)
{
    char time[NW_NUMBER_TEXT_SIZE];
    char received[NW_LSN_TEXT_SIZE];
    char server[NW_LSN_TEXT_SIZE];

    if (too_long(progress, r, progress->connected_s, time)) {
        not_ready(r, "not connected to the server for %s%s%s", time, colon(r->last_error),
                  r->last_error);
    }
    if (too_long(progress, r, progress->spooled_s, time)) {
        not_ready(r, "nothing is received for %s: %s", time,
                  r->spool_blocked[0] != '\0' ? r->spool_blocked : "the spool is full");
    }
    if (too_long(progress, r, progress->received_s, time)) {
        not_ready(r, "the server's WAL ends at %s, and nothing behind %s was received for %s",
                  nw_lsn_text(server, r->server_lsn), nw_lsn_text(received, r->received_lsn), time);
    }
}

void nw_progress_note(struct nw_progress *progress, struct nw_report *report)
{
    char time[NW_NUMBER_TEXT_SIZE];
    const char *waits = report->copy_waits_for;

    report->ready = true;
    report->ready_reason[0] = '\0';
    all_note(progress, report);
    if (in_phase(report, "starting")) {
        const char *why = waits[0] != '\0' ? waits : report->last_error;

        not_ready(report, "starting%s%s%s", colon(why), waits[0] != '\0' ? "it waits for " : "",
                  why);
    } else if (in_phase(report, "paused")) {
        not_ready(report, "paused by a user: narwal resume");
    } else if (in_phase(report, "draining")) {
        not_ready(report, "stopping");
    }
    sinks_judge(progress, report);
    source_judge(progress, report);
    if (too_long(progress, report, progress->copied_s, time)) {
        not_ready(report, "the copy has not moved for %s%s%s", time,
                  waits[0] != '\0' ? "; it waits for " : "", waits);
    }
}
