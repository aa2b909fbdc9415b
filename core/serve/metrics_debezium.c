/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A report under the names that Debezium's JMX attributes have in Prometheus with the exporter's
 * usual rules (debezium_metrics_ATTRIBUTE; plugin, name, context), so that boards and alerts made
 * for it go on. Attributes that narwal has no figure for are left out (docs/monitoring.md).
 */
#include <inttypes.h>
#include <string.h>

#include "serve/metrics.h"
#include "serve/metrics_label.h"

struct attribute {
    const char *context;
    const char *name;
    double (*value)(const struct nw_report *report);
};

static double behind_ms(const struct nw_report *report)
{
    double longest = 0;

    for (uint32_t i = 0; i < report->sinks_count; i++) {
        longest = report->sinks[i].lag_s > longest ? report->sinks[i].lag_s : longest;
    }
    return longest * 1000;
}

static double connected(const struct nw_report *report)
{
    return strcmp(report->phase, "streaming") == 0 || strcmp(report->phase, "draining") == 0;
}

static double events_seen(const struct nw_report *report)
{
    return (double)report->rows;
}

static double events_filtered(const struct nw_report *report)
{
    return (double)report->rows_left_out;
}

static double events_erroneous(const struct nw_report *report)
{
    return (double)report->letters.letters;
}

static double transactions(const struct nw_report *report)
{
    return (double)report->transactions;
}

static double queue_most(const struct nw_report *report)
{
    return (double)report->memory_limit;
}

static double queue_now(const struct nw_report *report)
{
    return report->memory_used > 0 ? (double)report->memory_used : 0;
}

static double tables_all(const struct nw_report *report)
{
    return (double)report->copy_tables;
}

static double tables_left(const struct nw_report *report)
{
    return (double)(report->copy_tables - report->copy_tables_done);
}

static bool copies(const struct nw_report *report)
{
    return strcmp(report->copy_state, "copying") == 0 ||
           strcmp(report->copy_state, "preparing") == 0;
}

static double copy_runs(const struct nw_report *report)
{
    return copies(report) && !report->copy_paused;
}

static double copy_pauses(const struct nw_report *report)
{
    return copies(report) && report->copy_paused;
}

static double copy_is_done(const struct nw_report *report)
{
    return strcmp(report->copy_state, "done") == 0;
}

static double copy_is_skipped(const struct nw_report *report)
{
    return strcmp(report->copy_state, "none") == 0;
}

static double never(const struct nw_report *report)
{
    (void)report;
    return 0;
}

static double rows_copied(const struct nw_report *report)
{
    return (double)report->copy_rows;
}

static const struct attribute ATTRIBUTES[] = {
    {"streaming", "MilliSecondsBehindSource", behind_ms},
    {"streaming", "Connected", connected},
    {"streaming", "TotalNumberOfEventsSeen", events_seen},
    {"streaming", "NumberOfEventsFiltered", events_filtered},
    {"streaming", "NumberOfErroneousEvents", events_erroneous},
    {"streaming", "NumberOfCommittedTransactions", transactions},
    {"streaming", "MaxQueueSizeInBytes", queue_most},
    {"streaming", "CurrentQueueSizeInBytes", queue_now},
    {"snapshot", "TotalTableCount", tables_all},
    {"snapshot", "RemainingTableCount", tables_left},
    {"snapshot", "SnapshotRunning", copy_runs},
    {"snapshot", "SnapshotPaused", copy_pauses},
    {"snapshot", "SnapshotAborted", never},
    {"snapshot", "SnapshotCompleted", copy_is_done},
    {"snapshot", "SnapshotSkipped", copy_is_skipped},
    {"snapshot", "RowsScanned", rows_copied},
};

void nw_metrics_debezium_print(const struct nw_report *report, enum nw_metrics_format format,
                               FILE *out)
{
    for (size_t i = 0; report != NULL && i < sizeof ATTRIBUTES / sizeof ATTRIBUTES[0]; i++) {
        const struct attribute *attribute = &ATTRIBUTES[i];
        const struct nw_label labels[] = {
            {"plugin", "postgres"}, {"name", report->name}, {"context", attribute->context}};

        (void)fprintf(out, "# TYPE debezium_metrics_%s gauge\ndebezium_metrics_%s", attribute->name,
                      attribute->name);
        nw_labels_print(labels, 3, out);
        (void)fprintf(out, "%.15g\n", attribute->value(report));
    }
    if (format == NW_METRICS_OPENMETRICS) {
        (void)fputs("# EOF\n", out);
    }
}
