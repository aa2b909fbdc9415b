/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink that prints every change as a line on standard output. What it must not forget is in one
 * file: position and copies of its last commit. After a crash some lines may come a second time.
 */
#include <inttypes.h>
#include <narwal/sink.h>
#include <stdlib.h>

#define COPIES_MAX 64u /* tables; a sink that is not a sample has no such limit */
struct state {         /* PATH, byte for byte; pointers are set anew when it is read */
    struct nw_position position;
    uint8_t position_bytes[NW_POSITION_SIZE_MAX];
    uint32_t copies_count;
    struct nw_copy_state copies[COPIES_MAX];
    uint8_t copy_bytes[COPIES_MAX][64];
};
struct print {
    const struct nw_host *host;
    const char *path;
    char next[512], lock_path[512];
    int lock;
    struct state state;
};

static nw_status print_open(const struct nw_host *host, const struct nw_config *config,
                            uint32_t workers, void **self, struct nw_error *err)
{
    const char *path = config->settings[0].text;
    struct print *p = workers == 1 && strlen(path) < 500 ? calloc(1, sizeof *p) : NULL;
    if (p == NULL)
        return nw_fail(err, NW_FATAL, "cannot make the sink: too many workers, or a long path");
    p->host = host;
    p->lock = -1;
    p->path = path;
    (void)snprintf(p->next, sizeof p->next, "%s.new", path);
    (void)snprintf(p->lock_path, sizeof p->lock_path, "%s.lock", path);
    *self = p;
    return NW_OK;
}

/* Read PATH; or write it anew and put it in its place, all or nothing. */
static nw_status state_move(struct print *p, bool out, struct nw_error *err)
{
    const struct nw_host *host = p->host;
    const char *path = out ? p->next : p->path;
    struct nw_file_op op = {.file = -1, .bytes = &p->state, .size = sizeof p->state};
    nw_status status = host->file_open(host, path, NW_FILE_CREATE, &op.file, err);
    for (int i = 0; i <= out && status == NW_OK; i++) {
        op.verb = !out ? NW_FILE_READ : i == 0 ? NW_FILE_WRITE : NW_FILE_SYNC;
        status = host->files_run(host, &op, 1, err);
    }
    if (op.file >= 0)
        host->file_close(host, op.file);
    return out && status == NW_OK ? host->file_rename(host, p->next, p->path, err) : status;
}

static nw_status print_recover(void *self, struct nw_recovery *recovery, struct nw_error *err)
{
    struct print *p = self;
    struct state *s = &p->state;
    nw_status status = NW_OK;
    if (p->lock < 0) { /* one process at a time: that is fencing enough */
        status = p->host->file_open(p->host, p->lock_path, NW_FILE_CREATE, &p->lock, err);
        if (status != NW_OK || (status = p->host->file_lock(p->host, p->lock, err)) != NW_OK)
            return status;
    }
    memset(s, 0, sizeof *s);
    status = state_move(p, false, err);
    s->position.bytes = s->position_bytes;
    for (uint32_t i = 0; i < s->copies_count; i++)
        s->copies[i].bytes = s->copy_bytes[i];
    recovery->positions_count = s->position.size > 0;
    recovery->positions = &s->position;
    recovery->copies_count = s->copies_count;
    recovery->copies = s->copies;
    return status;
}

static nw_status print_table(void *self, uint32_t w, const struct nw_table *t, struct nw_error *e)
{
    return (void)self, (void)w, (void)t, (void)e, NW_OK; /* batches bring it along */
}

static nw_status print_write(void *self, uint32_t worker, const struct nw_batch *batch,
                             struct nw_error *err)
{
    (void)self, (void)worker, (void)err;
    for (uint32_t row = 0; row < batch->rows_count; row++) {
        uint32_t at = batch->first_row + row;
        int side = batch->op[at] == NW_OP_DELETE ? NW_BEFORE : NW_AFTER;
        printf("%" PRIX64 " %c %s", batch->commit_lsn[at], batch->op[at], batch->table->name);
        for (uint16_t c = 0; c < batch->table->columns_count; c++) {
            struct nw_value value = nw_batch_value(batch, side, row, c);
            if (value.kind != NW_VALUE_PRESENT || value.bytes != NULL)
                printf(" (kind %d, %u bytes)", (int)value.kind, value.size);
            else
                printf(" %" PRId64, value.as.integer);
        }
        putchar('\n');
    }
    return NW_OK;
}

static nw_status print_seal(void *self, uint32_t worker, uint64_t epoch, struct nw_error *err)
{
    (void)self, (void)worker, (void)epoch;
    return fflush(stdout) == 0 ? NW_OK : nw_fail(err, NW_RETRY, "cannot print");
}

static nw_status print_commit(void *self, const struct nw_commit *commit, enum nw_outcome *outcome,
                              struct nw_error *err)
{
    struct state *s = &((struct print *)self)->state;
    s->position = commit->positions[0];
    memcpy(s->position_bytes, s->position.bytes, s->position.size);
    for (uint32_t i = 0; i < commit->copies_count; i++) {
        const struct nw_copy_state *copy = &commit->copies[i];
        uint32_t at = 0;
        while (at < s->copies_count && s->copies[at].relation_oid != copy->relation_oid)
            at++;
        if (at == COPIES_MAX || copy->size > sizeof s->copy_bytes[0])
            return nw_fail(err, NW_FATAL, "this sample takes %u tables", COPIES_MAX);
        s->copies_count += at == s->copies_count;
        s->copies[at] = *copy;
        memcpy(s->copy_bytes[at], copy->bytes, copy->size);
    }
    *outcome = NW_COMMITTED;
    return state_move(self, true, err);
}

static void print_close(void *self)
{
    struct print *p = self;
    if (p->lock >= 0)
        p->host->file_close(p->host, p->lock);
    free(p);
}

/* clang-format off */
static const struct nw_option options[] = {
    {.name = "path", .type = NW_OPTION_PATH, .flags = NW_OPTION_REQUIRED, .help = "Its memory."}};
static const struct nw_sink_ops ops = {
    .abi = NW_SINK_ABI, .size = sizeof ops, .name = "print", .version = "1",
    .flags = NW_SINK_APPEND_ONLY, .options_count = 1, .options = options, .workers_max = 1,
    .open = print_open, .recover = print_recover, .table = print_table, .write = print_write,
    .seal = print_seal, .commit = print_commit, .close = print_close};

const struct nw_sink_ops *nw_sink_entry(void) { return &ops; }
