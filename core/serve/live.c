/* SPDX-License-Identifier: Apache-2.0 */
/* See live.h. */
#include "serve/live.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "pg/lsn.h"

#define LOG_EVERY_S 30.0

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

/*
 * How much of the copy is done: pages of whole chunks; while there is none of them yet, bytes that
 * came against pages on disk.
 */
static double copy_done(const struct nw_report *r)
{
    double total = (double)r->copy_total_bytes;
    double done = r->copy_done_bytes > 0 ? (double)r->copy_done_bytes : (double)r->copy_bytes;

    return total <= 0 ? 0 : done > total ? 1 : done / total;
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

static void copy_text(const struct nw_report *former, const struct nw_report *r, struct line *line)
{
    char a[NW_NUMBER_TEXT_SIZE];
    char b[NW_NUMBER_TEXT_SIZE];
    double seconds = r->uptime_s - former->uptime_s;
    double bytes_per_s = rate(former->copy_bytes, r->copy_bytes, seconds);
    double done = copy_done(r);

    if (r->copy_tables == 0) { /* the catalog is being read, a snapshot taken */
        append(line, "preparing the copy");
        return;
    }
    append(line, "copy %.0f %%   %llu/%llu tables   %s rows   %s/s", done * 100,
           (unsigned long long)r->copy_tables_done, (unsigned long long)r->copy_tables,
           nw_count_text(a, (double)r->copy_rows), nw_size_text(b, bytes_per_s));
    if (bytes_per_s > 0 && done > 0 && done < 1) {
        append(line, "   ETA %s",
               nw_duration_text(a, (double)r->copy_bytes / done * (1 - done) / bytes_per_s));
    }
    spool_text(r, line);
}

/* How many of the tables that are listed are in this state. */
static uint32_t tables_in(const struct nw_report *r, const char *state)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < r->stopped_count && i < NW_REPORT_STOPPED_MAX; i++) {
        count += strcmp(r->stopped[i].state, state) == 0;
    }
    return count;
}

/* What is behind the lags, as far as there is something to say. */
static void extras_text(const struct nw_report *r, struct line *line)
{
    char a[NW_NUMBER_TEXT_SIZE];
    char lsn[NW_LSN_TEXT_SIZE];

    uint32_t stopped = tables_in(r, "stopped");
    uint32_t waiting = tables_in(r, "waiting");

    if (stopped > 0) {
        append(line, "  |  %u table%s stopped", stopped, stopped == 1 ? "" : "s");
    }
    if (waiting > 0) {
        append(line, "  |  %u table%s being copied", waiting, waiting == 1 ? "" : "s");
    }
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
        append(line, "%s %s %s%s", i == 0 ? "" : ",", r->sinks[i].name,
               nw_duration_text(a, r->sinks[i].lag_s),
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
        copy_text(former, report, &line);
    } else if (strcmp(report->phase, "starting") == 0) {
        append(&line, "starting%s%s", report->last_error[0] == '\0' ? "" : ": ",
               report->last_error);
    } else {
        stream_text(former, report, &line);
    }
}

void nw_live_init(struct nw_live *live, bool terminal)
{
    memset(live, 0, sizeof *live);
    live->terminal = terminal;
}

void nw_live_show(struct nw_live *live, const struct nw_report *report)
{
    char text[NW_LIVE_SIZE];

    nw_live_text(live->has_former ? &live->former : report, report, text);
    if (live->terminal) {
        char line[NW_LIVE_SIZE + 16];
        int size = snprintf(line, sizeof line, "\r%.*s\033[K", 160, text);

        (void)!write(STDERR_FILENO, line, (size_t)size);
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
        (void)!write(STDERR_FILENO, "\n", 1);
        live->shown = false;
    }
}
