/* SPDX-License-Identifier: Apache-2.0 */
/* A run that goes on where Debezium stopped: see takeover.h. On the main thread. */
#include <string.h>

#include "pipeline/run_private.h"

nw_status nw_run_taken_find(struct nw_run *run, struct nw_error *err)
{
    nw_status status = nw_taken_read(run->state, &run->taken, err);
    enum nw_taken_state state = run->taken.state;

    nw_taken_offset_free(&run->taken);
    if (status == NW_OK && state == NW_TAKEN_BEGUN) {
        return nw_fail(err, NW_FATAL,
                       "NW2383 narwal take-over was broken off: run it again, it goes on where it "
                       "was. Without it rows would be copied into Debezium's topics");
    }
    if (status == NW_OK && state == NW_TAKEN_GIVEN_BACK) {
        return nw_fail(err, NW_FATAL,
                       "NW2383 narwal export-debezium gave this pipeline back to Debezium, which "
                       "goes on with it: narwal take-over comes before the next start. Where the "
                       "connector has not run since, its offset is what narwal export-debezium "
                       "FILE.yaml > o.json prints, and narwal take-over FILE.yaml o.json takes");
    }
    return status;
}

nw_status nw_run_taken_tell(struct nw_run *run, struct nw_error *err)
{
    const struct nw_taken *taken = &run->taken;
    char stream[NW_TAKEN_STREAM_SIZE];

    /* Once a position is past that transaction the server does not send it any more. */
    if (taken->state == NW_TAKEN_DONE && taken->seq > 0 &&
        taken->system_identifier == run->server.identity.system_identifier &&
        run->start_lsn <= taken->commit_lsn) {
        nw_taken_stream(&run->options->server, stream);
        if (strcmp(stream, taken->stream) != 0) {
            return nw_fail(err, NW_FATAL,
                           "NW2386 narwal take-over counted what Debezium had sent of a "
                           "transaction with %s, and here they are %s: what is left of it would be "
                           "cut at another place. Let it run as it was until that is durable",
                           taken->stream, stream);
        }
        nw_engine_dealt(run->engine, taken->commit_lsn, taken->seq);
    }
    return NW_OK;
}
