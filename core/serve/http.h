/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP server: /metrics, /metrics/debezium, /status, /tables, /ready, /healthz, /wait and the
 * page at /. It only reads: a copy of the report that the main thread publishes, on a thread of its
 * own that never touches the engine. Connections, requests and the time that each may take are
 * bounded.
 */
#ifndef NW_SERVE_HTTP_H
#define NW_SERVE_HTTP_H

#include "config/http.h"
#include "serve/report.h"
#include "serve/waits.h"

struct nw_http;

/**
 * Listen, as configured. *http stays NULL when that says nowhere.
 * @param config  copied
 * @param waits   borrow
 */
NW_MUST_CHECK nw_status nw_http_start(const struct nw_http_config *config, struct nw_waits *waits,
                                      struct nw_http **http, struct nw_error *err);
void nw_http_stop(struct nw_http *http); /* NULL is fine, here and below */

/* Main thread. */

/** What is answered from now on. */
void nw_http_publish(struct nw_http *http, const struct nw_report *report);
/** Whether somebody waits for the list of all tables. */
bool nw_http_wants_tables(struct nw_http *http);
/** The list: nw_report_tables_json(). @param document  take: of malloc() */
void nw_http_give_tables(struct nw_http *http, char *document);

/**
 * Read certificate and key again, and take the token, of a configuration that was read again. Where
 * it listens cannot change. What fails leaves everything as it was.
 */
NW_MUST_CHECK nw_status nw_http_reload(struct nw_http *http, const struct nw_http_config *config,
                                       struct nw_error *err);

#endif
