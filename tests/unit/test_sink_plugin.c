/* SPDX-License-Identifier: Apache-2.0 */
/* Loading plugins: which tables, folders and files are refused, and what the refusal says. */
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sink_model.h"

static struct nw_plugin plugin;
static struct nw_error err;

static void refused(const struct nw_sink_ops *ops, const char *says)
{
    memset(&err, 0, sizeof err);
    assert_int_equal(nw_plugin_adopt(ops, &plugin, &err), NW_FATAL);
    if (strncmp(err.text, "NW1225 ", 7) != 0 || strstr(err.text, says) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.text, says);
    }
}

static void good_table_is_taken(void **state)
{
    (void)state;
    assert_int_equal(nw_plugin_adopt(&model_ops, &plugin, &err), NW_OK);
    assert_string_equal(plugin.ops.name, "model");
    assert_string_equal(plugin.path, "");
}

static void other_abi_is_refused_with_what_to_do(void **state)
{
    struct nw_sink_ops ops = model_ops;

    (void)state;
    ops.abi = 2;
    refused(&ops, "built for sink ABI 2, this narwal has ABI 1: build it again");
}

static void older_table_is_filled_up_with_null(void **state)
{
    struct nw_sink_ops ops = model_ops;

    (void)state;
    ops.size = offsetof(struct nw_sink_ops, verify);
    memset(&ops.verify, 0x55, sizeof ops.verify); /* not part of it */
    assert_int_equal(nw_plugin_adopt(&ops, &plugin, &err), NW_OK);
    assert_null(plugin.ops.verify);
}

static void newer_table_is_cut_off(void **state)
{
    struct {
        struct nw_sink_ops ops;
        void *later[4];
    } newer = {.ops = model_ops};

    (void)state;
    newer.ops.size = sizeof newer;
    assert_int_equal(nw_plugin_adopt(&newer.ops, &plugin, &err), NW_OK);
    assert_int_equal(plugin.ops.size, sizeof plugin.ops);
}

static void missing_members_are_named(void **state)
{
    struct nw_sink_ops ops = model_ops;

    (void)state;
    ops.size = offsetof(struct nw_sink_ops, close);
    refused(&ops, "set nw_sink_ops.size");
    ops = model_ops;
    ops.commit = NULL;
    refused(&ops, "lacks the function commit");
    ops = model_ops;
    ops.copy_begin = NULL;
    refused(&ops, "copy_begin (or the flag NW_SINK_APPEND_ONLY)");
    ops.flags = NW_SINK_APPEND_ONLY;
    assert_int_equal(nw_plugin_adopt(&ops, &plugin, &err), NW_OK);
    ops = model_ops;
    ops.name = NULL;
    refused(&ops, "name");
    ops = model_ops;
    ops.workers_max = 0;
    refused(&ops, "at least 1");
    ops.workers_max = 2;
    ops.flags = NW_SINK_TOTAL_ORDER;
    refused(&ops, "workers_max must be 1");
    refused(NULL, "gave no table");
}

static void bad_option_tables_are_refused(void **state)
{
    struct nw_option options[2] = {
        {.name = "a", .type = NW_OPTION_TEXT, .help = "An a."},
        {.name = "b", .type = NW_OPTION_INTEGER, .help = "A b.", .minimum = 1, .maximum = 5}};
    struct nw_sink_ops ops = model_ops;

    (void)state;
    ops.options_count = 2;
    refused(&ops, "has no table");
    ops.options = options;
    assert_int_equal(nw_plugin_adopt(&ops, &plugin, &err), NW_OK);
    options[1].name = "a";
    refused(&ops, "has option a twice");
    options[1].name = "b";
    options[1].minimum = 9;
    refused(&ops, "minimum above its maximum");
    options[1] = (struct nw_option){.name = "c", .type = NW_OPTION_CHOICE, .help = "A c."};
    refused(&ops, "no choices");
    options[1] = (struct nw_option){.name = "d", .type = (enum nw_option_type)99, .help = "A d."};
    refused(&ops, "unknown type 99");
    options[1] = (struct nw_option){.name = "e", .type = NW_OPTION_TEXT};
    refused(&ops, "without a name or help");
}

static void load_refused(const char *folder, const char *type, const char *says)
{
    memset(&err, 0, sizeof err);
    assert_int_equal(nw_plugin_load(folder, type, &plugin, &err), NW_FATAL);
    if (strncmp(err.text, "NW1225 ", 7) != 0 || strstr(err.text, says) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.text, says);
    }
}

static void folders_and_files_that_others_may_write_are_refused(void **state)
{
    char folder[] = "/tmp/nw-plugin-XXXXXX";
    char path[64];
    int file;

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/x.so", folder);
    load_refused("plugins", "x", "not an absolute path");
    load_refused(folder, "../x", "is not a sink type");
    load_refused(folder, "a/x", "is not a sink type");
    load_refused(folder, "", "is not a sink type");
    load_refused(folder, "x", "there is no plugin for sink type x");
    load_refused("/tmp/nw-no-such-folder", "x", "cannot open the plugin folder");
    file = open(path, O_CREAT | O_WRONLY, 0644);
    assert_true(file >= 0);
    assert_int_equal(write(file, "no elf", 6), 6);
    assert_int_equal(close(file), 0);
    load_refused(folder, "x", "cannot load");
    assert_int_equal(chmod(path, 0666), 0);
    load_refused(folder, "x.so", "chmod go-w");
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    load_refused(folder, "x", "chmod go-w");
    assert_int_equal(chmod(folder, 0755), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 12345, 0), 0);
        load_refused(folder, "x", "must belong to root or to the user that runs narwal");
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void envelope_keeps_the_sources_position_and_refuses_others(void **state)
{
    struct nw_envelope envelope;
    struct nw_envelope_content content = {
        .opening = 77, .commit = 5, .position = {(const uint8_t *)"abc", 3, 0x1234}};
    struct nw_envelope_content back;
    struct nw_position stored;
    uint8_t long_bytes[NW_POSITION_SIZE_MAX] = {0};

    (void)state;
    assert_int_equal(nw_envelope_write(&content, &envelope, &err), NW_OK);
    stored = (struct nw_position){envelope.bytes, envelope.size, 0};
    assert_int_equal(nw_envelope_read(&stored, &back, &err), NW_OK);
    assert_int_equal(back.opening, 77);
    assert_int_equal(back.commit, 5);
    assert_int_equal(back.position.lsn, 0x1234);
    assert_int_equal(back.position.size, 3);
    assert_memory_equal(back.position.bytes, "abc", 3);
    for (uint32_t size = 0; size < NW_ENVELOPE_SIZE; size++) {
        stored.size = size;
        assert_int_equal(nw_envelope_read(&stored, &back, &err), NW_FATAL);
    }
    envelope.bytes[0] = 2;
    stored.size = envelope.size;
    assert_int_equal(nw_envelope_read(&stored, &back, &err), NW_FATAL);
    content.position = (struct nw_position){long_bytes, NW_SINK_POSITION_SIZE_MAX, 1};
    assert_int_equal(nw_envelope_write(&content, &envelope, &err), NW_OK);
    content.position.size = NW_POSITION_SIZE_MAX;
    assert_int_equal(nw_envelope_write(&content, &envelope, &err), NW_FATAL);
}

static void number_of_workers_is_bounded_by_the_plugin(void **state)
{
    static struct kit kit;
    struct nw_sink_options options = {
        .env = &kit.env, .plugin = &kit.plugin, .config = &kit.config};
    struct nw_sink *sink = NULL;

    (void)state;
    kit_init(&kit, &model_ops, 1);
    options.workers_count = 5;
    assert_int_equal(nw_sink_create(&options, &sink, &err), NW_FATAL);
    assert_non_null(strstr(err.text, "its plugin allows 1 to 4"));
    assert_memory_equal(err.text, "NW1014", 6);
    options.workers_count = 0;
    assert_int_equal(nw_sink_create(&options, &sink, &err), NW_FATAL);
    kit_fini(&kit);
}

static uint32_t all_in_one_order(const struct nw_config *config)
{
    return config->name[0] == 'm' ? NW_SINK_TOTAL_ORDER | NW_SINK_STORES_NOTHING : 0;
}

static void configuration_adds_the_flags_that_it_may(void **state)
{
    static struct kit kit;
    struct nw_sink_ops ops = model_ops;
    struct nw_sink_options options = {
        .env = &kit.env, .plugin = &kit.plugin, .config = &kit.config, .workers_count = 2};
    struct nw_config other = {.name = "other"};
    struct nw_sink *sink = NULL;

    (void)state;
    ops.flags_of = all_in_one_order;
    kit_init(&kit, &ops, 1);
    assert_int_equal(nw_plugin_flags(&kit.plugin, &kit.config), ops.flags | NW_SINK_TOTAL_ORDER);
    assert_int_equal(nw_plugin_flags(&kit.plugin, &other), ops.flags);
    assert_int_equal(nw_sink_create(&options, &sink, &err), NW_FATAL);
    assert_non_null(strstr(err.text, "wants all in one order"));
    options.config = &other;
    assert_int_equal(nw_sink_create(&options, &sink, &err), NW_OK);
    nw_sink_destroy(sink);
    kit_fini(&kit);
}

static _Atomic uint32_t ticks;

static void count_tick(void *self)
{
    (void)self;
    atomic_fetch_add(&ticks, 1);
}

static int64_t real_now_ns(struct nw_env *env)
{
    struct timespec now;

    (void)env;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Ticks come without any work, from recover() to the end, and from no other time. */
static void time_goes_by_for_a_sink_that_is_open(void **state)
{
    static struct kit kit;
    struct nw_sink_ops ops = model_ops;
    struct nw_env_ops env_ops = kit_env_ops;
    struct nw_sink_options options = {
        .env = &kit.env, .plugin = &kit.plugin, .config = &kit.config, .workers_count = 2};
    struct nw_sink_recovered recovered;
    uint32_t seen = 0;

    (void)state;
    ops.tick = count_tick;
    env_ops.now_ns = real_now_ns;
    kit_init(&kit, &ops, 1);
    kit.env.ops = &env_ops;
    assert_int_equal(nw_sink_create(&options, &kit.sink, &err), NW_OK);
    assert_int_equal(nw_sink_start(kit.sink, &err), NW_OK);
    (void)usleep(250000);
    assert_int_equal(atomic_load(&ticks), 0);
    assert_int_equal(nw_sink_open(kit.sink, &recovered, &err), NW_OK);
    for (int tries = 0; atomic_load(&ticks) < 3 && tries < 1000; tries++) {
        (void)usleep(10000);
    }
    assert_true(atomic_load(&ticks) >= 3);
    assert_int_equal(nw_sink_stop(kit.sink, INT64_MAX, &err), NW_OK);
    seen = atomic_load(&ticks);
    (void)usleep(250000);
    assert_int_equal(atomic_load(&ticks), seen);
    nw_sink_destroy(kit.sink);
    kit.sink = NULL;
    kit_fini(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_table_is_taken),
        cmocka_unit_test(other_abi_is_refused_with_what_to_do),
        cmocka_unit_test(older_table_is_filled_up_with_null),
        cmocka_unit_test(newer_table_is_cut_off),
        cmocka_unit_test(missing_members_are_named),
        cmocka_unit_test(bad_option_tables_are_refused),
        cmocka_unit_test(folders_and_files_that_others_may_write_are_refused),
        cmocka_unit_test(envelope_keeps_the_sources_position_and_refuses_others),
        cmocka_unit_test(number_of_workers_is_bounded_by_the_plugin),
        cmocka_unit_test(configuration_adds_the_flags_that_it_may),
        cmocka_unit_test(time_goes_by_for_a_sink_that_is_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
