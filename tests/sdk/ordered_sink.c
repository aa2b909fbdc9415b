/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink with total order that keeps all it is given as lines of one file, for it.joins; it may
 * refuse one table. Columns are taken to be integers, of which the first two count:
 *
 *   B relation generation                  a copy begins      E relation generation   it is whole
 *   R relation generation lsn seq op a b   a row; generation 0: of the stream
 *   T relation lsn                         a truncate         S epoch                 a seal
 *
 * Position, copies and the length of the lines are in a second file, which a commit replaces.
 */
#include <inttypes.h>
#include <narwal/sink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COPIES_MAX 64u
#define PATH_MAX_  500u

/* PATH.state, byte for byte; pointers are set anew when it is read. */
struct stored {
    int64_t lines_bytes;
    struct nw_position position;
    uint8_t position_bytes[NW_POSITION_SIZE_MAX];
    uint32_t copies_count;
    struct nw_copy_state copies[COPIES_MAX];
    uint8_t copy_bytes[COPIES_MAX][NW_POSITION_SIZE_MAX];
};

struct ordered {
    char path[PATH_MAX_ + 16], next[PATH_MAX_ + 16];
    const char *refuse; /* NULL: nothing */
    FILE *lines;
    struct stored stored;
};

static nw_status ordered_open(const struct nw_host *host, const struct nw_config *config,
                              uint32_t workers, void **self, struct nw_error *err)
{
    const char *path = config->settings[0].text;
    struct ordered *o = strlen(path) < PATH_MAX_ ? calloc(1, sizeof *o) : NULL;

    (void)host;
    (void)workers;
    if (o == NULL) {
        return nw_fail(err, NW_FATAL, "cannot make the sink: no memory, or a long path");
    }
    (void)snprintf(o->path, sizeof o->path, "%s.state", path);
    (void)snprintf(o->next, sizeof o->next, "%s.next", path);
    o->refuse = config->settings[1].text;
    o->lines = fopen(path, "a+");
    *self = o;
    return o->lines != NULL ? NW_OK : nw_fail(err, NW_FATAL, "cannot open %s", path);
}

static nw_status ordered_recover(void *self, struct nw_recovery *recovery, struct nw_error *err)
{
    struct ordered *o = self;
    struct stored *s = &o->stored;
    FILE *file = fopen(o->path, "r");
    bool failed = false;

    memset(s, 0, sizeof *s);
    if (file != NULL) {
        failed = fread(s, sizeof *s, 1, file) != 1;
        (void)fclose(file);
    }
    if (failed || fflush(o->lines) != 0 || ftruncate(fileno(o->lines), s->lines_bytes) != 0) {
        return nw_fail(err, NW_FATAL, "cannot go back to the last commit");
    }
    s->position.bytes = s->position_bytes;
    for (uint32_t i = 0; i < s->copies_count; i++) {
        s->copies[i].bytes = s->copy_bytes[i];
    }
    recovery->positions_count = s->position.size > 0;
    recovery->positions = &s->position;
    recovery->copies_count = s->copies_count;
    recovery->copies = s->copies;
    return NW_OK;
}

static nw_status ordered_resolve(void *self, uint32_t relation_oid, uint32_t generation,
                                 enum nw_copy_verdict verdict, struct nw_error *err)
{
    struct ordered *o = self;

    (void)verdict; /* rows of a copy that does not end are of no use to the reader */
    (void)err;
    (void)fprintf(o->lines, "V %" PRIu32 " %" PRIu32 "\n", relation_oid, generation);
    return NW_OK;
}

static nw_status ordered_table(void *self, uint32_t worker, const struct nw_table *table,
                               struct nw_error *err)
{
    (void)self;
    (void)worker;
    (void)table;
    (void)err;
    return NW_OK;
}

static nw_status copy_line(struct ordered *o, char kind, const struct nw_table *table,
                           uint32_t generation, struct nw_error *err)
{
    return fprintf(o->lines, "%c %" PRIu32 " %" PRIu32 "\n", kind, table->relation_oid,
                   generation) > 0
               ? NW_OK
               : nw_fail(err, NW_RETRY, "cannot write");
}

static nw_status ordered_copy_begin(void *self, uint32_t worker, const struct nw_table *table,
                                    uint32_t generation, struct nw_error *err)
{
    (void)worker;
    return copy_line(self, 'B', table, generation, err);
}

static nw_status ordered_copy_end(void *self, uint32_t worker, const struct nw_table *table,
                                  uint32_t generation, struct nw_error *err)
{
    (void)worker;
    return copy_line(self, 'E', table, generation, err);
}

static nw_status ordered_write(void *self, uint32_t worker, const struct nw_batch *batch,
                               struct nw_error *err)
{
    struct ordered *o = self;
    uint32_t generation = (batch->flags & NW_BATCH_COPY) != 0 ? batch->generation : 0;

    (void)worker;
    if (o->refuse != NULL && strcmp(o->refuse, batch->table->name) == 0 && generation == 0) {
        return nw_fail(err, NW_REJECT, "no change of such a table is taken here");
    }
    for (uint32_t row = 0; row < batch->rows_count; row++) {
        uint32_t at = batch->first_row + row;
        int side = batch->op[at] == NW_OP_DELETE ? NW_BEFORE : NW_AFTER;

        (void)fprintf(o->lines,
                      "R %" PRIu32 " %" PRIu32 " %" PRIu64 " %" PRIu64 " %c %" PRId64 " %" PRId64
                      "\n",
                      batch->table->relation_oid, generation, batch->commit_lsn[at], batch->seq[at],
                      batch->op[at], nw_batch_value(batch, side, row, 0).as.integer,
                      nw_batch_value(batch, side, row, 1).as.integer);
    }
    return NW_OK;
}

static nw_status ordered_event(void *self, uint32_t worker, const struct nw_event *event,
                               struct nw_error *err)
{
    struct ordered *o = self;

    (void)worker;
    (void)err;
    if (event->kind == NW_EVENT_TRUNCATE) {
        (void)fprintf(o->lines, "T %" PRIu32 " %" PRIu64 "\n", event->tables[0]->relation_oid,
                      event->commit_lsn);
    }
    return NW_OK;
}

static nw_status ordered_seal(void *self, uint32_t worker, uint64_t epoch, struct nw_error *err)
{
    struct ordered *o = self;

    (void)worker;
    return fprintf(o->lines, "S %" PRIu64 "\n", epoch) > 0 ? NW_OK
                                                           : nw_fail(err, NW_RETRY, "cannot write");
}

static nw_status state_replace(struct ordered *o, struct nw_error *err)
{
    FILE *file = fopen(o->next, "w");
    bool failed = file == NULL || fwrite(&o->stored, sizeof o->stored, 1, file) != 1;

    if (file != NULL) {
        failed = fclose(file) != 0 || failed;
    }
    return failed || rename(o->next, o->path) != 0 ? nw_fail(err, NW_RETRY, "cannot commit")
                                                   : NW_OK;
}

/* No epoch is written ahead, so all lines are of this commit or an earlier one. */
static nw_status ordered_commit(void *self, const struct nw_commit *commit,
                                enum nw_outcome *outcome, struct nw_error *err)
{
    struct ordered *o = self;
    struct stored *s = &o->stored;

    if (fflush(o->lines) != 0) {
        return nw_fail(err, NW_RETRY, "cannot write");
    }
    s->lines_bytes = ftell(o->lines);
    s->position = commit->positions[0];
    memcpy(s->position_bytes, s->position.bytes, s->position.size);
    for (uint32_t i = 0; i < commit->copies_count; i++) {
        const struct nw_copy_state *copy = &commit->copies[i];
        uint32_t at = 0;

        while (at < s->copies_count && s->copies[at].relation_oid != copy->relation_oid) {
            at++;
        }
        if (at == COPIES_MAX) {
            return nw_fail(err, NW_FATAL, "this sink takes %u tables", COPIES_MAX);
        }
        s->copies_count += at == s->copies_count;
        s->copies[at] = *copy;
        memcpy(s->copy_bytes[at], copy->bytes, copy->size);
    }
    *outcome = NW_COMMITTED;
    return state_replace(o, err);
}

static void ordered_close(void *self)
{
    struct ordered *o = self;

    if (o->lines != NULL) {
        (void)fclose(o->lines);
    }
    free(o);
}

static const struct nw_option options[] = {
    {.name = "path",
     .type = NW_OPTION_PATH,
     .flags = NW_OPTION_REQUIRED,
     .help = "The file for the lines."},
    {.name = "refuse",
     .type = NW_OPTION_TEXT,
     .help = "Name of a table whose changes are refused."},
};

static const struct nw_sink_ops ops = {
    .abi = NW_SINK_ABI,
    .size = sizeof(struct nw_sink_ops),
    .name = "ordered",
    .version = "1",
    .flags = NW_SINK_TOTAL_ORDER,
    .options_count = 2,
    .options = options,
    .workers_max = 1,
    .open = ordered_open,
    .recover = ordered_recover,
    .copy_resolve = ordered_resolve,
    .table = ordered_table,
    .copy_begin = ordered_copy_begin,
    .copy_end = ordered_copy_end,
    .write = ordered_write,
    .event = ordered_event,
    .seal = ordered_seal,
    .commit = ordered_commit,
    .close = ordered_close,
};

NW_EXPORT const struct nw_sink_ops *nw_sink_entry(void)
{
    return &ops;
}
