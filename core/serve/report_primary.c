/* SPDX-License-Identifier: Apache-2.0 */
/* What narwal holds back on the server, as JSON. See report.h. Pure functions. */
#include <jansson.h>

#include "serve/report.h"

static void put_count(json_t *object, const char *key, uint64_t value)
{
    (void)json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void put_text(json_t *object, const char *key, const char *text)
{
    json_t *value = json_string(text); /* NULL when it is not UTF-8 */

    (void)json_object_set_new(object, key, value != NULL ? value : json_string("(not UTF-8)"));
}

static json_t *alarms_json(const struct nw_report *report)
{
    json_t *list = json_array();

    for (int i = 0; i < NW_ALARMS_COUNT; i++) {
        const struct nw_alarm *alarm = &report->alarms[i];

        if (alarm->level != NW_ALARM_CALM) {
            json_t *object = json_object();

            put_text(object, "what", nw_alarm_name((enum nw_alarm_kind)i));
            put_text(object, "level", nw_alarm_level_name(alarm->level));
            nw_report_code(object, "code", alarm->text);
            put_text(object, "text", alarm->text);
            (void)json_array_append_new(list, object);
        }
    }
    return list;
}

static json_t *snapshot_json(const struct nw_report *report)
{
    const struct nw_primary *primary = &report->primary;
    json_t *object = json_object();

    (void)json_object_set_new(object, "seconds", json_real(primary->snapshot_s));
    (void)json_object_set_new(object, "limit_seconds", json_real(report->snapshot_limit_s));
    put_count(object, "transactions", primary->snapshot_age);
    (void)json_object_set_new(object, "is_oldest", json_boolean(primary->holds_vacuum));
    put_count(object, "dead_rows", primary->dead_rows);
    put_count(object, "dead_rows_since", primary->dead_rows_since);
    put_count(object, "live_rows", primary->live_rows);
    put_text(object, "dead_rows_most_in", primary->dead_table);
    return object;
}

json_t *nw_report_primary_json(const struct nw_report *report)
{
    const struct nw_primary *primary = &report->primary;
    json_t *object = json_object();

    (void)json_object_set_new(object, "seen_seconds_ago",
                              primary->seen_ns == 0 ? json_null() : json_real(report->primary_s));
    put_text(object, "wal_status", primary->wal_status);
    put_count(object, "wal_limit_bytes", report->wal_limit);
    put_count(object, "wal_safe_bytes", report->wal_safe);
    put_count(object, "retained_wal_growth_bytes", primary->retained_growth);
    put_count(object, "unacknowledged_bytes", primary->unacknowledged_bytes);
    (void)json_object_set_new(object, "unacknowledged_seconds",
                              json_real(primary->unacknowledged_s));
    put_count(object, "catalog_xmin_transactions", primary->xmin_age);
    put_count(object, "freeze_max_transactions", primary->freeze_age_max);
    (void)json_object_set_new(object, "snapshot",
                              primary->snapshot ? snapshot_json(report) : json_null());
    (void)json_object_set_new(object, "others_seen", json_boolean(primary->others_seen));
    put_text(object, "oldest_other", primary->other);
    put_count(object, "oldest_other_transactions", primary->other_age);
    (void)json_object_set_new(object, "alarms", alarms_json(report));
    return object;
}
