/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the forecast. */
#ifndef NW_PIPELINE_FORECAST_PRIVATE_H
#define NW_PIPELINE_FORECAST_PRIVATE_H

#include "decode/builder.h"
#include "pg/catalog.h"
#include "pipeline/forecast.h"
#include "transform/transform.h"

#define NW_FORECAST_LOCK_MS      100 /* longest wait for a table's lock */
#define NW_FORECAST_STATEMENT_MS 1000

/* Reads samples, one table after the other. */
struct nw_sampler {
    const struct nw_forecast_options *options;
    struct nw_session *session;
    struct nw_arena *arena; /* schemas live as long as the trials */
    struct nw_builder *builder;
    struct nw_block block;
    struct nw_item *item;
    size_t item_capacity;
    struct nw_trial *trials[NW_CONFIG_SINKS_MAX]; /* NULL: none, or it failed */
    const char *trouble[NW_CONFIG_SINKS_MAX];
    int64_t deadline_ns;
    uint32_t tables_count;
    uint64_t fed_bytes;               /* of all tables */
    struct nw_transforms *transforms; /* NULL: there are no rules */

    /* The range under way. */
    const struct nw_table *table;
    const struct nw_projection *projection; /* NULL: sinks see the table as it is */
    struct nw_forecast_sample *sample;
    uint64_t range_rows, range_bytes, range_fed;
    uint64_t feed_max;
    bool tried; /* its rows are fed to decoder and sinks */
    bool header_seen;
    int64_t header_ns; /* when it came */
    nw_status status;  /* of what was done with its rows */
    struct nw_error error;
};

NW_MUST_CHECK nw_status nw_sampler_init(struct nw_sampler *sampler,
                                        const struct nw_forecast_options *options,
                                        struct nw_session *session, struct nw_arena *arena,
                                        struct nw_error *err);
void nw_sampler_fini(struct nw_sampler *sampler);
/**
 * Read a little of a table. What stands in the way is the sample's trouble.
 * @return an error only when the connection broke or memory is short.
 */
NW_MUST_CHECK nw_status nw_sampler_read(struct nw_sampler *sampler,
                                        const struct nw_catalog_candidate *candidate,
                                        struct nw_forecast_table *table, struct nw_error *err);

/** NW_FATAL once it was asked to give up. */
NW_MUST_CHECK nw_status nw_forecast_goes_on(const struct nw_forecast_options *options,
                                            struct nw_error *err);

/** What follows from the figures, as findings. */
NW_MUST_CHECK nw_status nw_forecast_risks(const struct nw_forecast_options *options,
                                          struct nw_session *session, struct nw_forecast *forecast,
                                          struct nw_error *err);
/** Tables under heavy update, from two readings of the statistics. */
NW_MUST_CHECK nw_status nw_forecast_stats(struct nw_session *session, struct nw_rows **rows,
                                          struct nw_error *err);
void nw_forecast_updates(struct nw_forecast *forecast, const struct nw_rows *before,
                         const struct nw_rows *after, double seconds);

#endif
