/* SPDX-License-Identifier: Apache-2.0 */
/* See live.h. */
#include "serve/live.h"

#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "pg/lsn.h"

#define LOG_EVERY_S   30.0
#define COLUMNS_USUAL 160u /* where the terminal does not say */

struct line {
    char *text;
    size_t used;
};

NW_PRINTF(2, 3)
static void append(struct line *line, const char *format, ...)
{
    va_list args;
    int size = 0;

    va_start(args, format);
    size = vsnprintf(line->text + line->used, NW_LIVE_SIZE - line->used, format, args);
    va_end(args);
    line->used += size < 0 ? 0 : (size_t)size;
    line->used = line->used >= NW_LIVE_SIZE ? NW_LIVE_SIZE - 1 : line->used;
}

static double rate(uint64_t before, uint64_t after, double seconds)
{
    return seconds <= 0 || after < before ? 0 : (double)(after - before) / seconds;
}

static void spool_text(const struct nw_report *r, struct line *line)
{
    char a[NW_NUMBER_TEXT_SIZE];

    if (strcmp(r->spool, "none") != 0 && strcmp(r->spool, "read") != 0) {
        append(line, "   spool %s%s%s", nw_size_text(a, (double)r->spool_bytes),
               strcmp(r->spool, "reading") == 0 ? " being read" : "",
               r->spool_blocked[0] != '\0' ? " (its disk is full: WAL stays on the server)"
               : r->spool_full             ? " (full: WAL stays on the server)"
                                           : "");
    }
}

static void progress_text(const struct nw_report *r, struct line *line)
{
    char a[NW_NUMBER_TEXT_SIZE];
    char b[NW_NUMBER_TEXT_SIZE];
    char c[NW_NUMBER_TEXT_SIZE];
    double done = nw_report_copy_done(r);

    append(line, "copy %.0f %%   %llu/%llu tables   %s rows   %s   %s/s", done * 100,
           (unsigned long long)r->copy_tables_done, (unsigned long long)r->copy_tables,
           nw_count_text(a, (double)r->copy_rows), nw_size_text(b, (double)r->copy_bytes),
           nw_size_text(c, r->copy_bytes_a_second));
    if (r->copy_left_s > 0) {
        append(line, "   ETA %s", nw_duration_text(a, r->copy_left_s));
    }
}

static void copy_text(const struct nw_report *r, struct line *line)
{
    char a[NW_NUMBER_TEXT_SIZE];

    if (r->copy_tables == 0) { /* the catalog is being read */
        append(line, "preparing the copy");
        return;
    }
    progress_text(r, line);
    if (r->copy_waits_for[0] != '\0') {
        append(line, "   waits for %s", r->copy_waits_for);
    }
    spool_text(r, line);
    if (r->retained_wal_bytes > 0) {
        append(line, "   WAL held on the primary %s",
               nw_size_text(a, (double)r->retained_wal_bytes));
    }
}

/* Tables that are copied while the others stream. */
static void join_text(const struct nw_report *r, struct line *line)
{
    uint32_t waiting = r->states[NW_STATE_WAITING];
    uint32_t copying = r->states[NW_STATE_COPYING];

    if (strcmp(r->copy_state, "copying") == 0) {
        append(line, "  |  ");
        progress_text(r, line);
    }
    if (waiting > 0 && copying == 0 && r->copy_waits_for[0] != '\0') {
        append(line, "  |  %u table%s for %s", waiting, waiting == 1 ? " waits" : "s wait",
               r->copy_waits_for);
    } else if (waiting > 0) {
        append(line, "  |  %u table%s to be copied", waiting, waiting == 1 ? " waits" : "s wait");
    }
}

/* What is behind the lags, as far as there is something to say. */
static void extras_text(const struct nw_report *r, struct line *line)
{
    char a[NW_NUMBER_TEXT_SIZE];
    char lsn[NW_LSN_TEXT_SIZE];
    uint32_t stopped = r->states[NW_STATE_STOPPED];

    if (stopped > 0) {
        append(line, "  |  %u table%s stopped", stopped, stopped == 1 ? "" : "s");
    }
    if (r->letters.letters > 0) {
        append(line, "  |  %s dead letter%s", nw_count_text(a, (double)r->letters.letters),
               r->letters.letters == 1 ? "" : "s");
    }
    join_text(r, line);
    if (r->source_lag_bytes > 0) {
        append(line, "  |  source behind %s", nw_size_text(a, (double)r->source_lag_bytes));
    }
    if (r->flush_lsn != 0) {
        append(line, "  |  durable %s", nw_lsn_text(lsn, r->flush_lsn));
    }
}

static void stream_text(const struct nw_report *former, const struct nw_report *r,
                        struct line *line)
{
    char a[NW_NUMBER_TEXT_SIZE];

    if (r->received_lsn == 0) { /* the server has sent nothing yet: there are no figures */
        bool again = strcmp(r->phase, "waiting") == 0 && r->last_error[0] != '\0';

        append(line, "%s%s", again ? "waiting to connect again: " : "connecting",
               again ? r->last_error : "");
        return;
    }
    append(line, "%s %s/s  |  lag", strcmp(r->phase, "streaming") == 0 ? "live" : r->phase,
           nw_count_text(a, rate(former->rows, r->rows, r->uptime_s - former->uptime_s)));
    for (uint32_t i = 0; i < r->sinks_count; i++) {
        bool detached = strcmp(r->sinks[i].state, "detached") == 0;

        append(line, "%s %s %s%s", i == 0 ? "" : ",", r->sinks[i].name,
               detached ? "DETACHED" : nw_duration_text(a, r->sinks[i].lag_s),
               strcmp(r->sinks[i].state, "retrying") == 0 ? " (retrying)" : "");
    }
    spool_text(r, line);
    extras_text(r, line);
}

void nw_live_text(const struct nw_report *former, const struct nw_report *report,
                  char text[static NW_LIVE_SIZE])
{
    struct line line = {.text = text};

    text[0] = '\0';
    if (strcmp(report->phase, "copying") == 0) {
        copy_text(report, &line);
    } else if (strcmp(report->phase, "paused") == 0) {
        append(&line, "paused: the slot holds WAL until narwal resume");
    } else if (strcmp(report->phase, "standby") == 0) {
        append(&line, "standing by%s%s", report->standby_for[0] != '\0' ? ": " : "",
               report->standby_for);
    } else if (strcmp(report->phase, "starting") == 0) {
        const char *waits = report->copy_waits_for;

        append(&line, "starting%s%s",
               waits[0] != '\0'                ? ": waiting for "
               : report->last_error[0] != '\0' ? ": "
                                               : "",
               waits[0] != '\0' ? waits : report->last_error);
    } else {
        stream_text(former, report, &line);
    }
}

void nw_live_init(struct nw_live *live, bool terminal)
{
    memset(live, 0, sizeof *live);
    live->terminal = terminal;
}

/* One less than there are: in the last one some terminals begin a new row. */
static size_t columns(void)
{
    struct winsize size = {0};

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1u
                                                                           : COLUMNS_USUAL;
}

void nw_live_show(struct nw_live *live, const struct nw_report *report)
{
    char *text = live->text;

    nw_live_text(live->has_former ? &live->former : report, report, text);
    if (live->terminal) {
        nw_log_live(text, columns());
        live->shown = true;
    } else if (report->uptime_s - live->logged_s >= LOG_EVERY_S) {
        live->logged_s = report->uptime_s;
        nw_log(NW_LOG_INFO, "%s", text);
    }
    live->former = *report;
    live->has_former = true;
}

void nw_live_end(struct nw_live *live)
{
    if (live->shown) {
        nw_log_live(NULL, 0);
        live->shown = false;
    }
}
