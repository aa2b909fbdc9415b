/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Alarms before limits: of what nears a limit it is said once that it does, once that it is past
 * it, and once that all is well again. Between that stands a distance, so that what goes up and
 * down at a limit is not told again and again. Pure but for the log.
 */
#ifndef NW_PIPELINE_ALARMS_H
#define NW_PIPELINE_ALARMS_H

#include <stdbool.h>
#include <stdint.h>

#include <narwal/status.h>

enum nw_alarm_kind {
    NW_ALARM_RETAINED_WAL, /* protect.retained_wal */
    NW_ALARM_SERVER_LIMIT, /* max_slot_wal_keep_size */
    NW_ALARM_SPOOL,        /* protect.spool */
    NW_ALARM_SNAPSHOT,     /* protect.snapshot_age */
    NW_ALARM_XMIN,         /* autovacuum_freeze_max_age */
    NW_ALARMS_COUNT
};

enum nw_alarm_level { NW_ALARM_CALM, NW_ALARM_NEAR, NW_ALARM_OVER };

struct nw_alarm {
    enum nw_alarm_level level;
    char text[NW_ERROR_TEXT_SIZE]; /* as it was said; "": calm */
};

/** "retained_wal", as status and metrics have it. */
const char *nw_alarm_name(enum nw_alarm_kind kind);
/** "calm", "near", "over" */
const char *nw_alarm_level_name(enum nw_alarm_level level);
/** What follows a level, at so much of a limit. @param limit  not above 0: there is none */
enum nw_alarm_level nw_alarm_next(enum nw_alarm_level now, double used, double limit);
/**
 * Take a level over, and say it when it is another.
 * @param text  what to say unless it is calm, with its code
 * @param calm  what to say when it is
 * @return whether it rose
 */
bool nw_alarm_take(struct nw_alarm *alarm, enum nw_alarm_level level, const char *text,
                   const char *calm);

#endif
