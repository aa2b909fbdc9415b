/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes as lines for people, or as JSON: pgoutput's messages with text values, as `narwal tail`
 * shows them.
 * Owned by one thread.
 *
 * Format: PostgreSQL documentation, "Logical Replication Message Formats"; untrusted bytes.
 */
#ifndef NW_CLI_TAIL_PRINT_H
#define NW_CLI_TAIL_PRINT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/cursor.h"
#include "pipeline/publication.h"
#include <narwal/status.h>

struct nw_tail_relation;

struct nw_tail_printer {
    FILE *out;
    bool json;                            /* docs/tail.md specifies it */
    bool colour;                          /* for a terminal */
    const struct nw_table_filter *filter; /* borrow; what else is published is not shown */
    struct nw_tail_relation **relations;
    size_t relations_count, relations_capacity;
    uint64_t changes; /* shown so far */
    bool begun;       /* the transaction's first line is out */
    uint32_t xid;     /* of the transaction */
    int64_t commit_ts;
    uint64_t commit_lsn;
};

void nw_tail_printer_init(struct nw_tail_printer *printer, FILE *out,
                          const struct nw_table_filter *filter);
void nw_tail_printer_fini(struct nw_tail_printer *printer);
/** Print one message, from its type byte on. Transactions without a shown change print nothing. */
NW_MUST_CHECK nw_status nw_tail_print(struct nw_tail_printer *printer, struct nw_bytes message,
                                      struct nw_error *err);

#endif
