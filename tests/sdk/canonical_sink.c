/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink that prints the canonical bytes of all that it gets, one line for each image of a row:
 *
 *     SCHEMA.TABLE copy|stream before|after VALUE ... ROW
 *
 * where VALUE and ROW are = and hexadecimal digits, - for NULL, or ? for what is missing. Names
 * have no blanks in the tests that use it.
 */
#include <errno.h>
#include <stdlib.h>

#include <narwal/sink.h>

#include "quiet_sink.h"
#include "verify/canonical.h"

struct print {
    FILE *file;
    struct nw_buffer bytes;
};

static void print_close(void *self)
{
    struct print *print = self;

    (void)fclose(print->file);
    nw_buffer_fini(&print->bytes);
    free(print);
}

static nw_status print_open(const struct nw_host *host, const struct nw_config *config,
                            uint32_t workers, void **self, struct nw_error *err)
{
    struct print *print = calloc(1, sizeof *print);

    (void)host;
    (void)workers;
    if (print == NULL || (print->file = fopen(config->settings[0].text, "ae")) == NULL) {
        free(print);
        return nw_fail(err, NW_FATAL, "cannot open the file: error %d", errno);
    }
    *self = print;
    return NW_OK;
}

static void print_hex(const struct print *print)
{
    (void)fputs(" =", print->file);
    for (uint32_t i = 0; i < print->bytes.size; i++) {
        (void)fprintf(print->file, "%02x", print->bytes.at[i]);
    }
}

static nw_status print_value(struct print *print, const struct nw_column_schema *column,
                             const struct nw_value *value, struct nw_error *err)
{
    nw_status status = NW_OK;

    if (value->kind == NW_VALUE_NULL || value->kind == NW_VALUE_MISSING) {
        (void)fputs(value->kind == NW_VALUE_NULL ? " -" : " ?", print->file);
        return NW_OK;
    }
    print->bytes.size = 0;
    status = nw_canonical_value(column, value, &print->bytes, err);
    if (status == NW_OK) {
        print_hex(print);
    }
    return status;
}

static nw_status print_image(struct print *print, const struct nw_batch *batch, int side,
                             uint32_t row, struct nw_error *err)
{
    const struct nw_table *table = batch->table;
    nw_status status = NW_OK;
    bool whole = false;

    (void)fprintf(print->file, "%s.%s %s %s", table->schema_name, table->name,
                  (batch->flags & NW_BATCH_COPY) != 0 ? "copy" : "stream",
                  side == NW_BEFORE ? "before" : "after");
    for (uint16_t i = 0; i < table->columns_count && status == NW_OK; i++) {
        struct nw_value value = nw_batch_value(batch, side, row, i);

        status = print_value(print, &table->columns[i], &value, err);
    }
    if (status != NW_OK) {
        return status;
    }
    print->bytes.size = 0;
    status = nw_canonical_row(batch, side, row, &whole, &print->bytes, err);
    if (status == NW_OK && whole) {
        print_hex(print);
    } else {
        (void)fputs(" ?", print->file);
    }
    (void)fputc('\n', print->file);
    return status;
}

static nw_status print_write(void *self, uint32_t worker, const struct nw_batch *batch,
                             struct nw_error *err)
{
    struct print *print = self;

    (void)worker;
    for (uint32_t i = 0; i < 2 * batch->rows_count; i++) {
        int side = i % 2 == 0 ? NW_BEFORE : NW_AFTER;
        nw_status status = NW_OK;

        if (nw_batch_has(batch, side, i / 2)) {
            status = print_image(print, batch, side, i / 2, err);
        }
        if (status != NW_OK) {
            return status;
        }
    }
    return fflush(print->file) == 0 ? NW_OK : nw_fail(err, NW_FATAL, "cannot write the file");
}

static const struct nw_option options[] = {{.name = "path",
                                            .type = NW_OPTION_PATH,
                                            .flags = NW_OPTION_REQUIRED,
                                            .help = "The file that the lines are appended to."}};
static const struct nw_sink_ops ops = {
    .abi = NW_SINK_ABI,
    .size = sizeof(struct nw_sink_ops),
    .name = "canonical",
    .version = "1",
    .flags = NW_SINK_APPEND_ONLY | NW_SINK_STORES_NOTHING | NW_SINK_EXCEPTIONS,
    .options_count = 1,
    .options = options,
    .workers_max = 1,
    .open = print_open,
    .recover = quiet_recover,
    .table = quiet_table,
    .write = print_write,
    .seal = quiet_seal,
    .commit = quiet_commit,
    .close = print_close,
};

NW_EXPORT const struct nw_sink_ops *nw_sink_entry(void)
{
    return &ops;
}
