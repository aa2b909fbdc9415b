/* SPDX-License-Identifier: Apache-2.0 */
/* A forecast as text for people, and as JSON. Pure but for the stream. */
#ifndef NW_CLI_PLAN_PRINT_H
#define NW_CLI_PLAN_PRINT_H

#include <stdio.h>

#include "pipeline/forecast.h"

/** @param verbose  every table, and all names of a finding */
void nw_plan_text(const struct nw_forecast_options *options, const struct nw_forecast *forecast,
                  const char *name, bool verbose, FILE *out);
/** One object; docs/plan.md says what is in it. @return false: out of memory, or not written */
bool nw_plan_json(const struct nw_forecast_options *options, const struct nw_forecast *forecast,
                  const char *name, FILE *out);

#endif
