/* SPDX-License-Identifier: Apache-2.0 */
/* See policies.h. */
#include "pipeline/policies.h"

#include <assert.h>

#include "pipeline/publication.h"

static_assert(NW_RULE_APPLY == 0 && NW_RULE_KEEP == 1 && NW_RULE_STOP == 2,
              "as in NW_POLICY_RULES");
static_assert(NW_AMBIGUOUS_STOP == 0 && NW_AMBIGUOUS_DROP_ADD == 1 && NW_AMBIGUOUS_RENAME == 2,
              "as in NW_POLICY_AMBIGUOUS, behind auto");

static enum nw_ambiguous ambiguous_of(int choice, bool names_only)
{
    if (choice == 0) {
        return names_only ? NW_AMBIGUOUS_DROP_ADD : NW_AMBIGUOUS_STOP;
    }
    return (enum nw_ambiguous)(choice - 1);
}

struct nw_table_policy nw_policies_find(const struct nw_policies *policies, bool names_only,
                                        const char *schema, const char *name)
{
    const struct nw_config_policy *found = &policies->usual;

    for (uint32_t i = 0; i < policies->rules_count; i++) {
        const char *const include[2] = {policies->rules[i].pattern, NULL};
        const struct nw_table_filter filter = {.include = include};

        if (nw_table_filter_match(&filter, schema, name)) {
            found = &policies->rules[i];
            break;
        }
    }
    return (struct nw_table_policy){
        .ambiguous_rename =
            ambiguous_of((int)found->values[NW_POLICY_AMBIGUOUS_RENAME], names_only),
        .drop_column = (enum nw_rule)found->values[NW_POLICY_DROP_COLUMN],
        .drop_table = (enum nw_rule)found->values[NW_POLICY_DROP_TABLE],
        .truncate = (enum nw_rule)found->values[NW_POLICY_TRUNCATE],
        .type_change = found->values[NW_POLICY_TYPE_CHANGE] == 0 ? NW_RULE_APPLY : NW_RULE_STOP,
    };
}
