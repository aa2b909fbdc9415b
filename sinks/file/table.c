/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's tables: their folders and schema files. See file.h; folder names are specified in
 * docs/files.md.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <xxhash.h>

#include "file.h"

#define FOLDER_PART_MAX 100u /* bytes of a name, encoded; the oid keeps longer ones apart */
#define TABLES_MAX      (UINT32_C(1) << 20)

static nw_status out_of_memory(struct nw_error *err)
{
    return nw_fail(err, NW_RETRY, "out of memory for a table");
}

void nw_file_table_destroy(struct nw_file_table *table)
{
    if (table == NULL) {
        return;
    }
    nw_json_layout_destroy(table->layout);
    nw_file_form_destroy(table->form);
    free(table->data.folder);
    free(table->data.schema_name);
    free(table->data.name);
    free(table->known);
    free(table->changes.path);
    free(table->copy.path);
    nw_out_fini(&table->changes.buffer);
    nw_out_fini(&table->copy.buffer);
    nw_out_fini(&table->copy.held);
    nw_out_fini(&table->copy.held_last);
    nw_out_fini(&table->changes.header);
    nw_out_fini(&table->changes.block);
    nw_out_fini(&table->copy.header);
    nw_out_fini(&table->copy.block);
    free(table);
}

/* Everything but letters, digits, _ and - becomes %XX; what is too long is cut off. */
static size_t name_encode(const char *name, char *part)
{
    size_t used = 0;

    for (const char *at = name; *at != '\0'; at++) {
        uint8_t c = (uint8_t)*at;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '_' || c == '-';

        if (used + (plain ? 1 : 3) > FOLDER_PART_MAX) {
            break;
        }
        if (plain) {
            part[used++] = (char)c;
        } else {
            part[used++] = '%';
            part[used++] = "0123456789ABCDEF"[c >> 4];
            part[used++] = "0123456789ABCDEF"[c & 15];
        }
    }
    part[used] = '\0';
    return used;
}

static char *folder_name(const struct nw_table *version)
{
    char schema_part[FOLDER_PART_MAX + 1];
    char table_part[FOLDER_PART_MAX + 1];
    char folder[2 * FOLDER_PART_MAX + 16];

    (void)name_encode(version->schema_name, schema_part);
    (void)name_encode(version->name, table_part);
    (void)snprintf(folder, sizeof folder, "%s.%s.%" PRIu32, schema_part, table_part,
                   version->relation_oid);
    return strdup(folder);
}

/* Takes over what is committed of the table. @return false when memory ran out. */
static bool table_load(struct nw_file_sink *sink, struct nw_file_table *table, uint32_t oid,
                       bool *found)
{
    const struct nw_data_table *data;
    bool good = true;

    (void)pthread_mutex_lock(&sink->lock);
    data = nw_state_table(&sink->state, oid);
    *found = data != NULL;
    if (data != NULL) {
        table->data = *data;
        table->data.folder = strdup(data->folder);
        table->data.schema_name = strdup(data->schema_name);
        table->data.name = strdup(data->name);
        good = table->data.folder != NULL && table->data.schema_name != NULL &&
               table->data.name != NULL;
    }
    for (size_t i = 0; i < sink->state.files_count && good && data != NULL; i++) {
        const struct nw_data_file *file = &sink->state.files[i];

        if (file->oid == oid && file->kind == NW_DATA_SCHEMA) {
            struct nw_known_schema *moved =
                realloc(table->known, (table->known_count + 1) * sizeof *moved);

            good = moved != NULL;
            if (good) {
                table->known = moved;
                table->known[table->known_count++] =
                    (struct nw_known_schema){.hash = file->hash, .number = file->schema};
            }
        }
    }
    (void)pthread_mutex_unlock(&sink->lock);
    return good;
}

static nw_status folder_make(struct nw_file_worker *worker, struct nw_file_table *table,
                             struct nw_error *err)
{
    const struct nw_host *host = worker->sink->host;
    struct nw_sealed *sealed;
    char path[NW_PATH_MAX];
    nw_status status =
        nw_path_join(path, worker->sink->options.path, table->data.folder, NULL, err);

    if (status == NW_OK) {
        status = nw_sealing(worker, &sealed, err);
    }
    if (status == NW_OK) {
        status = host->folder_create(host, path, err);
    }
    if (status == NW_OK) {
        status = nw_sealed_folder(sealed, "", err);
    }
    table->changed = true;
    return status;
}

/* Makes the struct of a table that this worker has not seen since recover. */
static nw_status table_make(struct nw_file_worker *worker, const struct nw_table *version,
                            struct nw_file_table **table, struct nw_error *err)
{
    struct nw_file_table *made = calloc(1, sizeof *made);
    uint32_t oid = version == NULL ? 0 : version->relation_oid;
    bool found = false;
    nw_status status = NW_OK;

    if (made == NULL || !table_load(worker->sink, made, oid, &found)) {
        nw_file_table_destroy(made);
        return out_of_memory(err);
    }
    made->changes.kind = NW_DATA_CHANGES;
    made->copy.kind = NW_DATA_COPY;
    if (!found) {
        made->data.oid = oid;
        made->data.folder = version == NULL ? strdup(NW_MESSAGES_FOLDER) : folder_name(version);
        made->data.schema_name = strdup(version == NULL ? "" : version->schema_name);
        made->data.name = strdup(version == NULL ? NW_MESSAGES_FOLDER : version->name);
        status =
            made->data.folder == NULL || made->data.schema_name == NULL || made->data.name == NULL
                ? out_of_memory(err)
                : folder_make(worker, made, err);
    }
    if (status != NW_OK) {
        nw_file_table_destroy(made);
        return status;
    }
    *table = made;
    return NW_OK;
}

nw_status nw_file_table_find(struct nw_file_worker *worker, const struct nw_table *version,
                             struct nw_file_table **table, struct nw_error *err)
{
    if (version->id >= TABLES_MAX || version->relation_oid == 0) {
        return nw_fail(err, NW_FATAL, "NW2903 table %s.%s has number %" PRIu32 " and oid %" PRIu32,
                       version->schema_name, version->name, version->id, version->relation_oid);
    }
    if (version->id >= worker->tables_count) {
        size_t larger = (size_t)version->id + 1;
        struct nw_file_table **moved = realloc(worker->tables, larger * sizeof(*moved));

        if (moved == NULL) {
            return out_of_memory(err);
        }
        memset(moved + worker->tables_count, 0, (larger - worker->tables_count) * sizeof(*moved));
        worker->tables = moved;
        worker->tables_count = larger;
    }
    if (worker->tables[version->id] == NULL) {
        nw_status status = table_make(worker, version, &worker->tables[version->id], err);

        if (status != NW_OK) {
            return status;
        }
    }
    *table = worker->tables[version->id];
    if ((*table)->data.oid != version->relation_oid) {
        return nw_fail(err, NW_FATAL,
                       "NW2903 table number %" PRIu32 " has oid %" PRIu32 " and %" PRIu32,
                       version->id, (*table)->data.oid, version->relation_oid);
    }
    return NW_OK;
}

nw_status nw_file_messages_find(struct nw_file_worker *worker, struct nw_file_table **table,
                                struct nw_error *err)
{
    nw_status status = NW_OK;

    if (worker->messages == NULL) {
        status = table_make(worker, NULL, &worker->messages, err);
    }
    *table = worker->messages;
    return status;
}

/* Writes a schema file and tells the record to come of it. */
static nw_status schema_store(struct nw_file_worker *worker, struct nw_file_table *table,
                              const struct nw_out *json, uint64_t hash, struct nw_error *err)
{
    const struct nw_host *host = worker->sink->host;
    struct nw_data_file data = {.kind = NW_DATA_SCHEMA,
                                .schema = table->schema,
                                .hash = hash,
                                .size = json->used,
                                .lines = 0,
                                .crc = nw_chunk_crc(0, json->bytes, json->used)};
    struct nw_sealed *sealed;
    int file = -1;
    nw_status status = nw_sealing(worker, &sealed, err);

    if (status == NW_OK) {
        status = nw_file_create(worker, table, &data, &file, err);
    }
    if (status != NW_OK) {
        return status;
    }
    status = nw_file_store(host, file, 0, json, err);
    status = status == NW_OK ? NW_OK : nw_file_failed(status, worker->sink->options.path, err);
    if (status == NW_OK) {
        status = nw_state_put_file(&sealed->changes, &data, err);
    }
    if (status == NW_OK) {
        status = nw_sealed_file(sealed, file, true, true, err);
    }
    if (status != NW_OK) {
        host->file_close(host, file);
    }
    free(data.path);
    return status;
}

/* Finds the number of a schema, or gives it one and a file. */
static nw_status schema_number(struct nw_file_worker *worker, struct nw_file_table *table,
                               const struct nw_out *json, struct nw_error *err)
{
    uint64_t hash = XXH3_64bits(json->bytes, json->used);
    struct nw_known_schema *moved;
    uint32_t highest = 0;

    for (size_t i = 0; i < table->known_count; i++) {
        if (table->known[i].hash == hash) {
            table->schema = table->known[i].number;
            return NW_OK;
        }
        if (table->known[i].number > highest) {
            highest = table->known[i].number;
        }
    }
    moved = realloc(table->known, (table->known_count + 1) * sizeof *moved);
    if (moved == NULL) {
        return out_of_memory(err);
    }
    table->known = moved;
    table->schema = highest + 1;
    table->known[table->known_count++] =
        (struct nw_known_schema){.hash = hash, .number = table->schema};
    return schema_store(worker, table, json, hash, err);
}

/* A renamed table keeps its folder; the journal tells the new name. */
static bool name_follow(struct nw_file_table *table, const struct nw_table *version)
{
    char *schema_name;
    char *name;

    if (strcmp(table->data.schema_name, version->schema_name) == 0 &&
        strcmp(table->data.name, version->name) == 0) {
        return true;
    }
    schema_name = strdup(version->schema_name);
    name = strdup(version->name);
    if (schema_name == NULL || name == NULL) {
        free(schema_name);
        free(name);
        return false;
    }
    free(table->data.schema_name);
    free(table->data.name);
    table->data.schema_name = schema_name;
    table->data.name = name;
    table->changed = true;
    return true;
}

/* What writes the version's rows. */
static nw_status writer_make(const struct nw_file_sink *sink, struct nw_file_table *table,
                             const struct nw_table *version, struct nw_error *err)
{
    nw_status status = NW_OK;

    nw_json_layout_destroy(table->layout);
    nw_file_form_destroy(table->form);
    table->layout = NULL;
    table->form = NULL;
    table->version = NULL;
    if (sink->options.form.form != NW_DATA_LINES) {
        status = nw_file_form_create(sink, version, &table->form, err);
    } else {
        table->layout = nw_json_layout_create(version, table->schema);
        status = table->layout == NULL ? out_of_memory(err) : NW_OK;
    }
    table->version = status == NW_OK ? version : NULL;
    return status;
}

nw_status nw_file_schema_enter(struct nw_file_worker *worker, struct nw_file_table *table,
                               const struct nw_table *version, struct nw_error *err)
{
    struct nw_out json = {0};
    nw_status status = NW_OK;

    nw_json_schema(version, &json);
    if (json.failed || !name_follow(table, version)) {
        status = out_of_memory(err);
    }
    if (status == NW_OK) {
        status = schema_number(worker, table, &json, err);
    }
    nw_out_fini(&json);
    if (status != NW_OK) {
        return status;
    }
    return writer_make(worker->sink, table, version, err);
}
