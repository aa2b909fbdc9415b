/* SPDX-License-Identifier: Apache-2.0 */
/* Options of the forms: see form.h. Their rows are in plugin.c. */
#include "form.h"

/* In the order of enum nw_format_kind; json is what `narwal` was called once. */
const char *const nw_file_formats[] = {"narwal",      "debezium_json", "debezium_avro",
                                       "cloudevents", "json",          NULL};
const char *const nw_file_flattens[] = {"drop", "rewrite", NULL};

enum { FORMAT_NARWAL, FORMAT_DEBEZIUM_JSON, FORMAT_DEBEZIUM_AVRO, FORMAT_CLOUDEVENTS, FORMAT_JSON };
enum { FLATTEN_DROP, FLATTEN_REWRITE };

static const enum nw_format_kind kinds[] = {[FORMAT_NARWAL] = NW_FORMAT_NARWAL,
                                            [FORMAT_DEBEZIUM_JSON] = NW_FORMAT_DEBEZIUM_JSON,
                                            [FORMAT_DEBEZIUM_AVRO] = NW_FORMAT_DEBEZIUM_AVRO,
                                            [FORMAT_CLOUDEVENTS] = NW_FORMAT_CLOUDEVENTS,
                                            [FORMAT_JSON] = NW_FORMAT_NARWAL};

/* What else an option has to stand beside; NULL: it does. */
static const char *need_of(uint32_t option, enum nw_format_kind kind,
                           const struct nw_setting *settings)
{
    const bool json = kind == NW_FORMAT_DEBEZIUM_JSON;
    const bool avro = kind == NW_FORMAT_DEBEZIUM_AVRO;

    switch (option) {
    case NW_FILE_OPTION_FORMAT:
        return NULL;
    case NW_FILE_OPTION_FORMAT + NW_FORMAT_OPTION_SCHEMAS:
    case NW_FILE_OPTION_FORMAT + NW_FORMAT_OPTION_DECIMAL_FORMAT:
        return kind != NW_FORMAT_NARWAL && !avro ? NULL : "format: debezium_json or cloudevents";
    case NW_FILE_OPTION_FLATTEN:
        return json || avro ? NULL : "format: debezium_json or debezium_avro";
    default:
        break;
    }
    if (kind == NW_FORMAT_NARWAL) {
        return "format: debezium_json, debezium_avro or cloudevents";
    }
    return option == NW_FILE_OPTION_ADD_FIELDS && !settings[NW_FILE_OPTION_FLATTEN].set ? "flatten"
                                                                                        : NULL;
}

static nw_status needs_check(const char *sink, const struct nw_option *options,
                             const struct nw_setting *settings, enum nw_format_kind kind,
                             struct nw_error *err)
{
    for (uint32_t i = 0; i < NW_FILE_FORM_OPTIONS_COUNT; i++) {
        const char *need = settings[i].configured ? need_of(i, kind, settings) : NULL;

        if (need != NULL) {
            return nw_fail(err, NW_FATAL, "NW1008 %s: %s needs %s", sink, options[i].name, need);
        }
    }
    return kind == NW_FORMAT_NARWAL || settings[NW_FILE_OPTION_PREFIX].set
               ? NW_OK
               : nw_fail(err, NW_FATAL, "NW1008 %s: format: %s needs prefix", sink,
                         settings[NW_FILE_OPTION_FORMAT].text);
}

nw_status nw_file_form_options_read(const char *sink, const struct nw_option *options,
                                    const struct nw_setting *settings,
                                    struct nw_file_form_options *to, struct nw_error *err)
{
    const enum nw_format_kind kind = kinds[settings[NW_FILE_OPTION_FORMAT].number];
    nw_status status = needs_check(sink, options, settings, kind, err);

    if (status != NW_OK || kind == NW_FORMAT_NARWAL) {
        return status;
    }
    nw_format_options_read(&settings[NW_FILE_OPTION_FORMAT], &to->format);
    to->format.kind = kind;
    to->prefix = settings[NW_FILE_OPTION_PREFIX].text;
    to->transactions = settings[NW_FILE_OPTION_TRANSACTIONS].flag;
    to->flat.deletes =
        settings[NW_FILE_OPTION_FLATTEN].number == FLATTEN_REWRITE ? NW_FLAT_REWRITE : NW_FLAT_DROP;
    to->flat.schemas = to->format.debezium.schemas;
    to->flat.null_as_default = to->format.debezium.null_as_default;
    to->flattens = settings[NW_FILE_OPTION_FLATTEN].set;
    to->form = kind == NW_FORMAT_CLOUDEVENTS     ? NW_DATA_CLOUDEVENTS
               : kind == NW_FORMAT_DEBEZIUM_AVRO ? NW_DATA_AVRO
               : to->flattens                    ? NW_DATA_FLAT
                                                 : NW_DATA_ENVELOPES;
    if (to->form == NW_DATA_AVRO) {
        nw_format_options_for_avro(&to->format);
    }
    return nw_added_read(&to->flat.fields, settings[NW_FILE_OPTION_ADD_FIELDS].items, "__",
                         "add_fields", err);
}
