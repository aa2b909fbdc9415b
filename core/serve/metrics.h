/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A report as metrics, for Prometheus. One table of families says what there is; docs/monitoring.md
 * lists it. Any thread.
 *
 * Formats: Prometheus, "Exposition formats", text format 0.0.4; OpenMetrics 1.0.0.
 */
#ifndef NW_SERVE_METRICS_H
#define NW_SERVE_METRICS_H

#include "serve/report.h"

#define NW_METRICS_TABLES_MAX 20u /* of each sink, those that lag most have series of their own */

enum nw_metrics_format { NW_METRICS_PROMETHEUS, NW_METRICS_OPENMETRICS };

/** @param report  NULL: there is none yet; what is known of the process is printed. */
void nw_metrics_print(const struct nw_report *report, enum nw_metrics_format format, FILE *out);
/** The same under the names that Debezium's have, see metrics_debezium.c. */
void nw_metrics_debezium_print(const struct nw_report *report, enum nw_metrics_format format,
                               FILE *out);
/** The Content-Type of a format. */
const char *nw_metrics_type(enum nw_metrics_format format);
/** The families as a table in Markdown. */
void nw_metrics_document(FILE *out);

#endif
