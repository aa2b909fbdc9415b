/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Journal records as JSON: see state.h, and docs/files.md for the format. What is read here may be
 * damaged or foreign: sizes are bounded, and paths cannot leave the folder.
 */
#include "state.h"

#include "lib/json.h"
#include "lib/scan.h"

static void out_u64(struct nw_out *out, const char *key, uint64_t value)
{
    nw_out_text(out, key);
    nw_out_u64(out, value);
}

static void out_lsn(struct nw_out *out, const char *key, uint64_t lsn)
{
    nw_out_text(out, key);
    nw_out_text(out, "\"");
    nw_out_lsn(out, lsn);
    nw_out_text(out, "\"");
}

static void out_hex(struct nw_out *out, const char *key, const void *bytes, size_t size)
{
    nw_out_text(out, key);
    nw_out_text(out, "\"");
    nw_out_hex(out, bytes, size);
    nw_out_text(out, "\"");
}

static void out_name(struct nw_out *out, const char *key, const char *name)
{
    nw_out_text(out, key);
    nw_json_name(out, name);
}

static void out_big_endian(struct nw_out *out, const char *key, uint64_t value, size_t size)
{
    value = __builtin_bswap64(value);
    out_hex(out, key, (const uint8_t *)&value + (sizeof value - size), size);
}

/* By enum nw_data_form. */
static const char *const forms[] = {"narwal", "debezium_json", "flat_json", "cloudevents", "avro"};

#define FORMS_COUNT (sizeof forms / sizeof forms[0])

static void print_file(const struct nw_data_file *file, struct nw_out *out)
{
    static const char *const kinds[] = {"", "changes", "copy", "schema"};

    out_u64(out, "{\"file\":", file->number);
    if (file->path != NULL) {
        out_name(out, ",\"path\":", file->path);
        out_u64(out, ",\"oid\":", file->oid);
        out_name(out, ",\"kind\":", kinds[file->kind]);
        out_u64(out, ",\"generation\":", file->generation);
        if (file->kind == NW_DATA_SCHEMA) {
            out_u64(out, ",\"schema\":", file->schema);
            out_big_endian(out, ",\"hash\":", file->hash, 8);
        }
        if (file->form != NW_DATA_LINES) {
            out_name(out, ",\"form\":", forms[file->form]);
        }
    }
    out_u64(out, ",\"size\":", file->size);
    out_u64(out, ",\"lines\":", file->lines);
    out_big_endian(out, ",\"crc\":", file->crc, 4);
    nw_out_text(out, "}");
}

static void print_table(const struct nw_data_table *table, struct nw_out *out)
{
    out_u64(out, "{\"oid\":", table->oid);
    out_name(out, ",\"folder\":", table->folder);
    out_name(out, ",\"schema\":", table->schema_name);
    out_name(out, ",\"name\":", table->name);
    out_u64(out, ",\"generation\":", table->generation);
    out_lsn(out, ",\"fence\":", table->fence);
    out_u64(out, ",\"copying\":", table->copying);
    out_lsn(out, ",\"copying_fence\":", table->copying_fence);
    nw_out_text(out, "}");
}

static void print_copy(const struct nw_data_copy *copy, struct nw_out *out)
{
    out_u64(out, "{\"oid\":", copy->oid);
    out_u64(out, ",\"generation\":", copy->generation);
    nw_out_text(out, copy->complete ? ",\"complete\":true" : ",\"complete\":false");
    out_hex(out, ",\"bytes\":", copy->bytes, copy->size);
    nw_out_text(out, "}");
}

static void print_lists(const struct nw_state *record, struct nw_out *out)
{
    nw_out_text(out, ",\"tables\":[");
    for (size_t i = 0; i < record->tables_count; i++) {
        nw_out_text(out, i > 0 ? "," : "");
        print_table(&record->tables[i], out);
    }
    nw_out_text(out, "],\"files\":[");
    for (size_t i = 0; i < record->files_count; i++) {
        nw_out_text(out, i > 0 ? "," : "");
        print_file(&record->files[i], out);
    }
    nw_out_text(out, "],\"copies\":[");
    for (size_t i = 0; i < record->copies_count; i++) {
        nw_out_text(out, i > 0 ? "," : "");
        print_copy(&record->copies[i], out);
    }
    nw_out_text(out, "],\"gone\":[");
    for (size_t i = 0; i < record->gone_count; i++) {
        out_u64(out, i > 0 ? "," : "", record->gone[i]);
    }
    nw_out_text(out, "]");
}

void nw_state_print(const struct nw_state *record, struct nw_out *out)
{
    out_u64(out, "{\"n\":", record->record);
    if (record->full) {
        out_u64(out, ",\"full\":true,\"format\":",
                record->format == 0 ? NW_DATA_FORMAT_LINES : record->format);
        out_u64(out, ",\"numbers\":", record->number_last);
    }
    out_u64(out, ",\"fencing\":", record->fencing);
    out_u64(out, ",\"epoch\":", record->epoch);
    if (record->positions_set) {
        nw_out_text(out, ",\"positions\":[");
        for (uint32_t i = 0; i < record->positions_count; i++) {
            out_lsn(out, i > 0 ? ",{\"lsn\":" : "{\"lsn\":", record->positions[i].lsn);
            out_hex(out, ",\"bytes\":", record->positions[i].bytes, record->positions[i].size);
            nw_out_text(out, "}");
        }
        nw_out_text(out, "]");
    }
    print_lists(record, out);
    nw_out_text(out, "}");
}

static bool key_is(const char *key, const char *name)
{
    return strcmp(key, name) == 0;
}

static uint32_t scan_u32(struct nw_scan *scan)
{
    uint64_t value = nw_scan_u64(scan);

    if (value > UINT32_MAX) {
        scan->failed = true;
        return 0;
    }
    return (uint32_t)value;
}

static uint64_t scan_big_endian(struct nw_scan *scan, size_t size)
{
    uint8_t bytes[8];
    uint64_t value = 0;

    if (nw_scan_hex(scan, bytes, size) != size) {
        scan->failed = true;
        return 0;
    }
    for (size_t i = 0; i < size; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

/* A name of ours: letters, digits and _-.%, not starting with a dot. */
static bool part_is_safe(const char *part, size_t size)
{
    if (size == 0 || part[0] == '.') {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        char c = part[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '_' && c != '-' && c != '.' && c != '%') {
            return false;
        }
    }
    return true;
}

static bool path_is_safe(const char *path)
{
    const char *slash = strchr(path, '/');

    return slash != NULL && part_is_safe(path, (size_t)(slash - path)) &&
           part_is_safe(slash + 1, strlen(slash + 1));
}

static enum nw_data_kind scan_kind(struct nw_scan *scan)
{
    char text[16];

    (void)nw_scan_text(scan, text, sizeof text);
    if (key_is(text, "changes")) {
        return NW_DATA_CHANGES;
    }
    if (key_is(text, "copy")) {
        return NW_DATA_COPY;
    }
    if (!key_is(text, "schema")) {
        scan->failed = true;
    }
    return NW_DATA_SCHEMA;
}

static enum nw_data_form scan_form(struct nw_scan *scan)
{
    char text[16];

    (void)nw_scan_text(scan, text, sizeof text);
    for (size_t i = 0; i < FORMS_COUNT; i++) {
        if (key_is(text, forms[i])) {
            return (enum nw_data_form)i;
        }
    }
    scan->failed = true;
    return NW_DATA_LINES;
}

static nw_status parse_file(struct nw_scan *scan, struct nw_state *record, struct nw_error *err)
{
    struct nw_data_file file = {.kind = NW_DATA_CHANGES};
    char path[NW_DATA_PATH_MAX];
    char key[16];
    bool first = true;

    nw_scan_enter(scan, '{');
    while (nw_scan_key(scan, &first, key, sizeof key)) {
        if (key_is(key, "file")) {
            file.number = nw_scan_u64(scan);
        } else if (key_is(key, "path")) {
            (void)nw_scan_text(scan, path, sizeof path);
            scan->failed |= !path_is_safe(path);
            file.path = path;
        } else if (key_is(key, "oid")) {
            file.oid = scan_u32(scan);
        } else if (key_is(key, "kind")) {
            file.kind = scan_kind(scan);
        } else if (key_is(key, "form")) {
            file.form = scan_form(scan);
        } else if (key_is(key, "generation")) {
            file.generation = scan_u32(scan);
        } else if (key_is(key, "schema")) {
            file.schema = scan_u32(scan);
        } else if (key_is(key, "hash")) {
            file.hash = scan_big_endian(scan, 8);
        } else if (key_is(key, "size")) {
            file.size = nw_scan_u64(scan);
        } else if (key_is(key, "lines")) {
            file.lines = nw_scan_u64(scan);
        } else if (key_is(key, "crc")) {
            file.crc = (uint32_t)scan_big_endian(scan, 4);
        } else {
            nw_scan_skip(scan);
        }
    }
    return scan->failed ? NW_OK : nw_state_put_file(record, &file, err);
}

static nw_status parse_table(struct nw_scan *scan, struct nw_state *record, struct nw_error *err)
{
    char folder[NW_DATA_PATH_MAX] = "";
    char schema_name[NW_DATA_NAME_MAX] = "";
    char name[NW_DATA_NAME_MAX] = "";
    struct nw_data_table table = {.folder = folder, .schema_name = schema_name, .name = name};
    char key[16];
    bool first = true;

    nw_scan_enter(scan, '{');
    while (nw_scan_key(scan, &first, key, sizeof key)) {
        if (key_is(key, "oid")) {
            table.oid = scan_u32(scan);
        } else if (key_is(key, "folder")) {
            (void)nw_scan_text(scan, folder, sizeof folder);
        } else if (key_is(key, "schema")) {
            (void)nw_scan_text(scan, schema_name, sizeof schema_name);
        } else if (key_is(key, "name")) {
            (void)nw_scan_text(scan, name, sizeof name);
        } else if (key_is(key, "generation")) {
            table.generation = scan_u32(scan);
        } else if (key_is(key, "copying")) {
            table.copying = scan_u32(scan);
        } else if (key_is(key, "fence")) {
            table.fence = nw_scan_lsn(scan);
        } else if (key_is(key, "copying_fence")) {
            table.copying_fence = nw_scan_lsn(scan);
        } else {
            nw_scan_skip(scan);
        }
    }
    scan->failed |= !part_is_safe(folder, strlen(folder));
    return scan->failed ? NW_OK : nw_state_put_table(record, &table, err);
}

static nw_status parse_copy(struct nw_scan *scan, struct nw_state *record, struct nw_error *err)
{
    uint8_t bytes[NW_POSITION_SIZE_MAX];
    struct nw_data_copy copy = {.bytes = bytes};
    char key[16];
    bool first = true;

    nw_scan_enter(scan, '{');
    while (nw_scan_key(scan, &first, key, sizeof key)) {
        if (key_is(key, "oid")) {
            copy.oid = scan_u32(scan);
        } else if (key_is(key, "generation")) {
            copy.generation = scan_u32(scan);
        } else if (key_is(key, "complete")) {
            copy.complete = nw_scan_bool(scan);
        } else if (key_is(key, "bytes")) {
            copy.size = (uint32_t)nw_scan_hex(scan, bytes, sizeof bytes);
        } else {
            nw_scan_skip(scan);
        }
    }
    return scan->failed ? NW_OK : nw_state_put_copy(record, &copy, err);
}

static nw_status parse_gone(struct nw_scan *scan, struct nw_state *record, struct nw_error *err)
{
    uint64_t number = nw_scan_u64(scan);

    return scan->failed ? NW_OK : nw_state_put_gone(record, number, err);
}

static nw_status parse_positions(struct nw_scan *scan, struct nw_state *record,
                                 struct nw_error *err)
{
    uint8_t bytes[NW_DATA_WORKERS_MAX][NW_POSITION_SIZE_MAX];
    struct nw_position positions[NW_DATA_WORKERS_MAX] = {0};
    uint32_t count = 0;
    bool first_item = true;

    nw_scan_enter(scan, '[');
    while (nw_scan_item(scan, &first_item)) {
        bool first = true;
        char key[16];

        if (count == NW_DATA_WORKERS_MAX) {
            scan->failed = true;
            break;
        }
        positions[count].bytes = bytes[count];
        nw_scan_enter(scan, '{');
        while (nw_scan_key(scan, &first, key, sizeof key)) {
            if (key_is(key, "lsn")) {
                positions[count].lsn = nw_scan_lsn(scan);
            } else if (key_is(key, "bytes")) {
                positions[count].size =
                    (uint32_t)nw_scan_hex(scan, bytes[count], NW_POSITION_SIZE_MAX);
            } else {
                nw_scan_skip(scan);
            }
        }
        count++;
    }
    return scan->failed ? NW_OK : nw_state_put_positions(record, positions, count, err);
}

static nw_status parse_list(struct nw_scan *scan, struct nw_state *record,
                            nw_status (*parse)(struct nw_scan *, struct nw_state *,
                                               struct nw_error *),
                            struct nw_error *err)
{
    nw_status status = NW_OK;
    bool first = true;

    nw_scan_enter(scan, '[');
    while (status == NW_OK && nw_scan_item(scan, &first)) {
        status = parse(scan, record, err);
    }
    return status;
}

/* One member of a record. */
static nw_status parse_member(struct nw_scan *scan, const char *key, struct nw_state *record,
                              struct nw_error *err)
{
    if (key_is(key, "n")) {
        record->record = nw_scan_u64(scan);
    } else if (key_is(key, "full")) {
        record->full = nw_scan_bool(scan);
    } else if (key_is(key, "format")) {
        uint64_t format = nw_scan_u64(scan);

        if (format != NW_DATA_FORMAT_LINES && format != NW_DATA_FORMAT_FORMS) {
            return nw_fail(
                err, NW_FATAL,
                "NW2605 the folder has format %llu and this narwal knows format %u: use the "
                "version of narwal that wrote it, or a newer one",
                (unsigned long long)format, NW_DATA_FORMAT_FORMS);
        }
        record->format = (uint32_t)format;
    } else if (key_is(key, "numbers")) {
        record->number_last = nw_scan_u64(scan);
    } else if (key_is(key, "fencing")) {
        record->fencing = nw_scan_u64(scan);
    } else if (key_is(key, "epoch")) {
        record->epoch = nw_scan_u64(scan);
    } else if (key_is(key, "positions")) {
        return parse_positions(scan, record, err);
    } else if (key_is(key, "tables")) {
        return parse_list(scan, record, parse_table, err);
    } else if (key_is(key, "files")) {
        return parse_list(scan, record, parse_file, err);
    } else if (key_is(key, "copies")) {
        return parse_list(scan, record, parse_copy, err);
    } else if (key_is(key, "gone")) {
        return parse_list(scan, record, parse_gone, err);
    } else {
        nw_scan_skip(scan);
    }
    return NW_OK;
}

nw_status nw_state_parse(const void *json, size_t size, struct nw_state *record,
                         struct nw_error *err)
{
    struct nw_scan scan = nw_scan_of(json, size);
    nw_status status = NW_OK;
    bool first = true;
    char key[16];

    nw_scan_enter(&scan, '{');
    while (status == NW_OK && nw_scan_key(&scan, &first, key, sizeof key)) {
        status = parse_member(&scan, key, record, err);
    }
    if (status == NW_OK && (!nw_scan_done(&scan) || record->record == 0)) {
        status = nw_fail(err, NW_CORRUPT, "a journal record is not as it should be");
    }
    if (status != NW_OK) {
        nw_state_fini(record);
    }
    return status;
}
