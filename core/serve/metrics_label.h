/* SPDX-License-Identifier: Apache-2.0 */
/* Labels of samples, for metrics.c and metrics_debezium.c. */
#ifndef NW_SERVE_METRICS_LABEL_H
#define NW_SERVE_METRICS_LABEL_H

#include <stdint.h>
#include <stdio.h>

struct nw_label {
    const char *name, *value;
};

/** {a="b",c="d"} and a space; none: the space. What is not UTF-8 becomes question marks. */
void nw_labels_print(const struct nw_label *labels, uint32_t count, FILE *out);

#endif
