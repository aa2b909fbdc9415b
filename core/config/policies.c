/* SPDX-License-Identifier: Apache-2.0 */
/* See policies.h. */
#include "config/policies.h"

#include <string.h>

#define LINE_SIZE_MAX 1024u

const char *const NW_POLICY_RULES[] = {"apply", "keep", "stop", NULL};
const char *const NW_POLICY_AMBIGUOUS[] = {"stop", "drop_add", "rename", NULL};

static const char *const KEYS[NW_POLICY_KEYS] = {"drop_column", "drop_table", "truncate",
                                                 "ambiguous_rename"};

static const char *const *choices_of(size_t key)
{
    return key == NW_POLICY_AMBIGUOUS_RENAME ? NW_POLICY_AMBIGUOUS : NW_POLICY_RULES;
}

static int index_of(const char *const *texts, size_t count, const char *text)
{
    for (size_t i = 0; i < count && texts[i] != NULL; i++) {
        if (strcmp(texts[i], text) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* One key=value. */
static nw_status pair_read(char *pair, struct nw_config_policy *policy, struct nw_error *err)
{
    char *equals = strchr(pair, '=');
    int key = -1;
    int value = -1;

    if (equals != NULL) {
        *equals = '\0';
        key = index_of(KEYS, NW_POLICY_KEYS, pair);
    }
    if (key < 0) {
        return nw_fail(
            err, NW_FATAL,
            "\"%s\" is none of drop_column=, drop_table=, truncate=, ambiguous_rename=", pair);
    }
    value = index_of(choices_of((size_t)key), 8, equals + 1);
    if (value < 0) {
        return nw_fail(err, NW_FATAL, "%s=%s: %s", pair, equals + 1,
                       key == NW_POLICY_AMBIGUOUS_RENAME ? "stop, drop_add or rename"
                                                         : "apply, keep or stop");
    }
    policy->values[key] = value;
    return NW_OK;
}

nw_status nw_config_policy_read(const char *line, const struct nw_config_policy *usual,
                                struct nw_arena *arena, struct nw_config_policy *policy,
                                struct nw_error *err)
{
    char text[LINE_SIZE_MAX];
    char *rest = text;
    uint32_t pairs = 0;
    nw_status status = NW_OK;

    *policy = *usual;
    policy->pattern = NULL;
    if (strlen(line) >= sizeof text) {
        return nw_fail(err, NW_FATAL, "a policy of more than %u bytes", LINE_SIZE_MAX);
    }
    memcpy(text, line, strlen(line) + 1);
    for (char *word = strsep(&rest, " "); word != NULL && status == NW_OK;
         word = strsep(&rest, " ")) {
        if (word[0] == '\0') {
            continue;
        }
        if (policy->pattern == NULL) {
            policy->pattern = nw_arena_text(arena, word);
            status = policy->pattern == NULL ? nw_fail(err, NW_FATAL, "out of memory") : NW_OK;
        } else {
            status = pair_read(word, policy, err);
            pairs++;
        }
    }
    if (status == NW_OK && pairs == 0) {
        return nw_fail(err, NW_FATAL,
                       "\"%s\": write a pattern and what differs, as: \"audit.* "
                       "truncate=keep\"",
                       line);
    }
    return status;
}
