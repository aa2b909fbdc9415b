/* SPDX-License-Identifier: Apache-2.0 */
/* See policies.h. */
#include "config/policies.h"

#include <string.h>

#define LINE_SIZE_MAX 1024u

const char *const NW_POLICY_RULES[] = {"apply", "keep", "stop", NULL};
const char *const NW_POLICY_AMBIGUOUS[] = {"auto", "stop", "drop_add", "rename", NULL};
const char *const NW_POLICY_APPLY_STOP[] = {"apply", "stop", NULL};

/* In the order of enum nw_config_policy_key. */
static const struct {
    const char *name;
    const char *const *choices;
    const char *said; /* the choices, for whoever wrote another one */
} KEYS[NW_POLICY_KEYS] = {
    {"drop_column", NW_POLICY_RULES, "apply, keep or stop"},
    {"drop_table", NW_POLICY_RULES, "apply, keep or stop"},
    {"truncate", NW_POLICY_RULES, "apply, keep or stop"},
    {"ambiguous_rename", NW_POLICY_AMBIGUOUS, "auto, stop, drop_add or rename"},
    {"type_change", NW_POLICY_APPLY_STOP, "apply or stop"},
};

static int choice_of(const char *const *choices, const char *text)
{
    for (int i = 0; choices[i] != NULL; i++) {
        if (strcmp(choices[i], text) == 0) {
            return i;
        }
    }
    return -1;
}

/* One key=value. */
static nw_status pair_read(char *pair, struct nw_config_policy *policy, struct nw_error *err)
{
    char *equals = strchr(pair, '=');
    size_t key = equals == NULL ? NW_POLICY_KEYS : 0;
    int value = -1;

    if (equals != NULL) {
        *equals = '\0';
    }
    while (key < NW_POLICY_KEYS && strcmp(KEYS[key].name, pair) != 0) {
        key++;
    }
    if (key == NW_POLICY_KEYS) {
        return nw_fail(err, NW_FATAL,
                       "\"%s\" is none of drop_column=, drop_table=, truncate=, "
                       "ambiguous_rename=, type_change=",
                       pair);
    }
    value = choice_of(KEYS[key].choices, equals + 1);
    if (value < 0) {
        return nw_fail(err, NW_FATAL, "%s=%s: %s", pair, equals + 1, KEYS[key].said);
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
