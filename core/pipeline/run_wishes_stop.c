/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "tables stop PATTERN", which sinks ask for: an end of the copies of all tables that match, of
 * those that are being copied as of those that wait for their turn, and of what was to be copied
 * once more behind them. What becomes of one such table is said by nw_run_copy_stop(); a table
 * whose copy cannot be stopped is named in the log, and goes on being copied. Which ones were
 * stopped is kept until the sink asks for it, as for other patterns: see run_wishes.c. Main thread.
 */
#include <regex.h>
#include <string.h>

#include "base/code.h"
#include "base/log.h"
#include "pipeline/run_private.h"
#include "pipeline/run_wishes.h"

/* Also what was to come behind it. */
static void later_stop(struct nw_run *run, const struct nw_table *table)
{
    struct nw_run_wishes *wishes = &run->wishes;
    char each[NW_HOST_COMMAND_SIZE];
    uint32_t kept = 0;

    nw_run_each_print(table, "", each);
    for (uint32_t i = 0; i < wishes->later_count; i++) {
        if (nw_run_wish_is_of(wishes->later[i].command, each)) {
            nw_run_wish_done(run, wishes->later[i].number);
        } else {
            wishes->later[kept++] = wishes->later[i];
        }
    }
    wishes->later_count = kept;
}

static nw_status table_stop(struct nw_run *run, const struct nw_table *table, struct nw_error *err)
{
    char name[2 * NW_TABLE_NAME_SIZE];
    nw_status status = nw_run_copy_stop(run, table->relation_oid, err);

    if (status == NW_REJECT) {
        nw_log(NW_LOG_WARN, "%.6s sink %s asked for an end of copies: %s", nw_error_code(err),
               run->wishes.current->sink, nw_code_rest(err->text));
        return NW_OK;
    }
    if (status == NW_OK) {
        later_stop(run, table);
        (void)snprintf(name, sizeof name, "%s.%s", table->schema_name, table->name);
        nw_run_names_add(&run->wishes.matches, table->relation_oid, name);
    }
    return status;
}

bool nw_run_stop_answer(struct nw_run *run, const char *line)
{
    struct nw_run_wishes *wishes = &run->wishes;
    const struct nw_run_wish *wish = wishes->current;
    struct nw_error err = {0};
    regex_t compiled;
    bool any = false;
    nw_status status = NW_OK;

    if (wish == NULL || strncmp(line, NW_RUN_STOPS, sizeof NW_RUN_STOPS - 1) != 0) {
        return false;
    }
    nw_run_names_forget(&wishes->matches);
    if (regcomp(&compiled, line + sizeof NW_RUN_STOPS - 1, REG_EXTENDED) != 0) {
        nw_run_wish_resolved(wishes, wish, line);
        nw_run_answer(run, false, "NW1504 that is no regular expression");
        return true;
    }
    for (uint32_t i = 0; i < nw_schemas_count(run->schemas) && status == NW_OK; i++) {
        const struct nw_table *table = nw_schemas_at(run->schemas, i);

        if (nw_run_joins_has(run, table->relation_oid) && nw_run_name_matches(&compiled, table)) {
            any = true;
            status = table_stop(run, table, &err);
        }
    }
    regfree(&compiled);
    nw_run_wish_resolved(wishes, wish, line);
    nw_run_answer(run, status == NW_OK && any,
                  status != NW_OK ? err.text
                  : any           ? "it is done where it can be"
                                  : "NW1505 no table that matches is being copied");
    return true;
}
