/* SPDX-License-Identifier: Apache-2.0 */
/* See alarms.h. */
#include "pipeline/alarms.h"

#include <stdio.h>

#include "base/log.h"

/* Shares of a limit: where a level begins, and where it ends again. */
#define NEAR_FROM 0.80
#define NEAR_TO   0.70
#define OVER_TO   0.95

const char *nw_alarm_name(enum nw_alarm_kind kind)
{
    static const char *const names[] = {"retained_wal", "server_limit", "spool", "snapshot",
                                        "xmin"};

    return names[kind];
}

const char *nw_alarm_level_name(enum nw_alarm_level level)
{
    static const char *const names[] = {"calm", "near", "over"};

    return names[level];
}

enum nw_alarm_level nw_alarm_next(enum nw_alarm_level now, double used, double limit)
{
    double share = limit > 0 ? used / limit : 0;

    if (share > (now == NW_ALARM_OVER ? OVER_TO : 1)) {
        return NW_ALARM_OVER;
    }
    return share >= (now == NW_ALARM_CALM ? NEAR_FROM : NEAR_TO) ? NW_ALARM_NEAR : NW_ALARM_CALM;
}

bool nw_alarm_take(struct nw_alarm *alarm, enum nw_alarm_level level, const char *text,
                   const char *calm)
{
    bool rises = level > alarm->level;

    if (rises) {
        (void)snprintf(alarm->text, sizeof alarm->text, "%s", text);
        nw_log(NW_LOG_WARN, "%s", text);
    } else if (level == NW_ALARM_CALM && alarm->level != NW_ALARM_CALM) {
        alarm->text[0] = '\0';
        nw_log(NW_LOG_INFO, "%s", calm);
    } else if (level != NW_ALARM_CALM) { /* status has today's figures */
        (void)snprintf(alarm->text, sizeof alarm->text, "%s", text);
    }
    alarm->level = level;
    return rises;
}
