/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations: every kind of mistake with its exact message, defaults, secrets, arguments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "config/problems.h"
#include "config/run_config.h"

#define FILE_NAME   "t.yaml"
#define GOOD_SINK   "sinks: [{type: file, path: ./copy}]\n"
#define GOOD_SOURCE "source: {dsn: dbname=shop}\n"

static char folder[] = "/tmp/nw-config.XXXXXX";

static void file_write(const char *name, const char *text, mode_t mode)
{
    FILE *file = fopen(name, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(name, mode), 0);
}

static nw_status load(const char *text, struct nw_run_config *config, struct nw_error *err)
{
    nw_status status = NW_OK;

    file_write(FILE_NAME, text, 0644);
    status = nw_config_load(FILE_NAME, config, NULL, err);
    status = status == NW_OK ? nw_config_finish(config, "t", err) : status;
    if (status != NW_OK) {
        nw_config_free(config);
    }
    return status;
}

static const struct {
    const char *text;
    const char *message;
} MISTAKES[] = {
    {"", "t.yaml:1:1: NW1001 the file is empty"},
    {"source: [", "t.yaml:2:1: NW1001 this is not YAML: did not find expected node content while "
                  "parsing a flow node"},
    {"a: 1\n  b: 2\n",
     "t.yaml:2:4: NW1001 this is not YAML: mapping values are not allowed in this "
     "context"},
    {"- a\n", "t.yaml:1:1: NW1003 the configuration must be a mapping of keys and values"},
    {GOOD_SOURCE GOOD_SINK "---\nname: b\n",
     "t.yaml:3:1: NW1001 a second document: one file is one configuration"},
    {"name: a\nname: b\n", "t.yaml:2:1: NW1004 key \"name\" stands here twice"},
    {"? [a]\n: 1\n", "t.yaml:1:3: NW1004 a key must be a plain word"},
    {"name: a\n" GOOD_SINK,
     "t.yaml:1:1: NW1008 source is missing, as: source: {dsn: \"postgresql://user@host/db\"}"},
    {"source: {}\n" GOOD_SINK,
     "t.yaml:1:9: NW1008 dsn is missing in source: How to reach the database: a libpq connection "
     "string or URI."},
    {GOOD_SOURCE,
     "t.yaml:1:1: NW1008 sinks must be a list of at least one, as: sinks: [{type: file, path: "
     "./copy}]"},
    {GOOD_SOURCE GOOD_SINK "copy: {lock_wiat: 1s}\n",
     "t.yaml:3:8: NW1002 unknown key \"lock_wiat\" in copy; did you mean \"lock_wait\" (duration, "
     "as "
     "250ms, 10s or 5min, default: 1s)?"},
    {GOOD_SOURCE GOOD_SINK "limist: {}\n",
     "t.yaml:3:1: NW1002 unknown key \"limist\" in the top level; did you mean \"limits\"?"},
    {GOOD_SOURCE GOOD_SINK "frobnicate: 1\n",
     "t.yaml:3:1: NW1002 unknown key \"frobnicate\" in the top level"},
    {GOOD_SOURCE GOOD_SINK "limits: {memory: 2}\n",
     "t.yaml:3:18: NW1003 memory: 2 needs a unit; did you mean 2GiB?"},
    {GOOD_SOURCE GOOD_SINK "limits: {memory: 1073741824}\n",
     "t.yaml:3:18: NW1003 memory: 1073741824 needs a unit; did you mean 1073741824B?"},
    {GOOD_SOURCE GOOD_SINK "epoch:\n  time: 250\n",
     "t.yaml:4:9: NW1003 time: 250 needs a unit; did you mean 250ms?"},
    {GOOD_SOURCE GOOD_SINK "limits: {memory: lots}\n",
     "t.yaml:3:18: NW1003 memory: \"lots\" is not a size, as 64MiB or 2GB"},
    {GOOD_SOURCE GOOD_SINK "limits: {memory: 1MiB}\n",
     "t.yaml:3:18: NW1003 memory: 1MiB is out of range: 64MiB to 16TiB"},
    {GOOD_SOURCE GOOD_SINK "epoch: {time: 2h}\n",
     "t.yaml:3:15: NW1003 time: 2h is out of range: 1ms to 1min"},
    {GOOD_SOURCE GOOD_SINK "epoch: {size: 1B}\n",
     "t.yaml:3:15: NW1003 size: 1B is out of range: 64KiB to 1TiB"},
    {GOOD_SOURCE GOOD_SINK "limits: {memory: [1GiB]}\n",
     "t.yaml:3:18: NW1003 memory: a size, as 64MiB or 2GB is expected here"},
    {GOOD_SOURCE GOOD_SINK "copy: {workers: many}\n",
     "t.yaml:3:17: NW1003 workers: \"many\" is not a number"},
    {GOOD_SOURCE GOOD_SINK "copy: {workers: 99}\n",
     "t.yaml:3:17: NW1003 workers: 99 is out of range: 1 to 32"},
    {GOOD_SOURCE GOOD_SINK "copy: {workers: }\n",
     "t.yaml:3:8: NW1003 workers has no value: write one, or remove the key"},
    {GOOD_SOURCE GOOD_SINK "name: ~\n",
     "t.yaml:3:1: NW1003 name has no value: write one, or remove the key"},
    {"source: {dsn: a, snapshot: allways}\n" GOOD_SINK,
     "t.yaml:1:28: NW1003 snapshot: \"allways\" is none of: initial, never, only"},
    {"source: {dsn: a, messages: maybe}\n" GOOD_SINK,
     "t.yaml:1:28: NW1003 messages: \"maybe\" is neither true nor false"},
    {"source: {dsn: a, messages: [yes]}\n" GOOD_SINK,
     "t.yaml:1:28: NW1003 messages: true or false is expected here"},
    {"source: {dsn: a, slot: mine}\n" GOOD_SINK,
     "t.yaml:1:24: NW1003 source.slot must be a mapping of keys and values"},
    {GOOD_SOURCE GOOD_SINK "tables: {include: {a: b}}\n",
     "t.yaml:3:19: NW1003 include: a list is expected here"},
    {GOOD_SOURCE GOOD_SINK "tables: {include: [a, [b]]}\n",
     "t.yaml:3:23: NW1003 include: a list of texts is expected here"},
    {GOOD_SOURCE "sinks: [{path: ./copy}]\n",
     "t.yaml:2:9: NW1008 type is missing in sinks: The plugin: file, null, or the name of a .so in "
     "plugin_dir."},
    {GOOD_SOURCE "sinks:\n  - {type: file}\n  - {type: file}\n",
     "t.yaml:4:5: NW1009 two sinks have the name file: give one a name"},
    {"source: {dsn: \"${file:/nonexistent}\"}\n" GOOD_SINK,
     "t.yaml:1:15: NW1005 cannot read the secret in /nonexistent: No such file or directory"},
    {"source: {dsn: \"${env:NW_TEST_UNSET}\"}\n" GOOD_SINK,
     "t.yaml:1:15: NW1005 the environment has no variable NW_TEST_UNSET"},
    {"source: {dsn: \"${vault:x}\"}\n" GOOD_SINK,
     "t.yaml:1:15: NW1005 ${vault:x} is not known: write ${file:/path}, "
     "${credential:NAME} or ${env:NAME}"},
    {"source: {dsn: \"${credential:pw}\"}\n" GOOD_SINK,
     "t.yaml:1:15: NW1005 ${credential:pw}: there is no CREDENTIALS_DIRECTORY; systemd sets it for "
     "services with LoadCredential="},
    {"source: {dsn: \"${credential:../pw}\"}\n" GOOD_SINK,
     "t.yaml:1:15: NW1005 ${credential:../pw}: a credential is a name, not a path"},
    {"source: {dsn: \"${env:HOME\"}\n" GOOD_SINK, "t.yaml:1:15: NW1005 \"${\" without its \"}\""},
    {"name: \"a\\0b\"\n", "t.yaml:1:7: NW1004 a NUL inside a value"},
};

static void every_mistake_names_its_place_and_what_was_meant(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof MISTAKES / sizeof MISTAKES[0]; i++) {
        struct nw_run_config config;
        struct nw_error err = {0};

        assert_int_equal(load(MISTAKES[i].text, &config, &err), NW_FATAL);
        assert_string_equal(err.text, MISTAKES[i].message);
    }
}

static void a_file_that_is_not_there_is_named(void **state)
{
    struct nw_run_config config;
    struct nw_error err = {0};

    (void)state;
    assert_int_equal(nw_config_load("none.yaml", &config, NULL, &err), NW_FATAL);
    nw_config_free(&config);
    assert_string_equal(err.text, "NW1000 cannot read the configuration none.yaml: No such file or "
                                  "directory");
}

static void all_mistakes_of_a_file_are_found_in_one_go(void **state)
{
    static const char *const expected[] = {
        "t.yaml:2:1: NW1002 unknown key \"nam\" in the top level; did you mean \"name\" (text, "
        "default: none)?",
        "t.yaml:3:9: NW1008 dsn is missing in source: How to reach the database: a libpq "
        "connection "
        "string or URI.",
        "t.yaml:3:20: NW1003 messages: \"maybe\" is neither true nor false",
        "t.yaml:3:37: NW1003 snapshot: \"all\" is none of: initial, never, only",
        "t.yaml:4:18: NW1003 memory: 2 needs a unit; did you mean 2GiB?",
        "t.yaml:6:5: NW1008 type is missing in sinks: The plugin: file, null, or the name of a .so "
        "in "
        "plugin_dir.",
        "t.yaml:6:15: NW1003 workers: \"none\" is not a number",
        "t.yaml:7:5: NW1003 a sink is a mapping, as {type: file, path: ./copy}"};
    static struct nw_problems problems;
    struct nw_run_config config;
    struct nw_error err = {0};

    (void)state;
    file_write(FILE_NAME,
               "state_dir: /s\nnam: x\nsource: {messages: maybe, snapshot: all}\n"
               "limits: {memory: 2}\nsinks:\n  - {workers: none}\n  - file\n",
               0644);
    assert_int_equal(nw_config_load(FILE_NAME, &config, &problems, &err), NW_FATAL);
    nw_config_free(&config);
    assert_int_equal(problems.count, sizeof expected / sizeof expected[0]);
    assert_int_equal(problems.dropped, 0);
    for (uint32_t i = 0; i < problems.count; i++) {
        assert_string_equal(problems.items[i].text, expected[i]);
    }
}

static void mistakes_without_end_are_counted_but_not_kept(void **state)
{
    static struct nw_problems problems;
    struct nw_run_config config;
    struct nw_error err = {0};
    char text[2048] = GOOD_SOURCE GOOD_SINK "copy:\n";
    size_t used = strlen(text);

    (void)state;
    for (int i = 0; i < 30; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "  key%d: 1\n", i);
    }
    file_write(FILE_NAME, text, 0644);
    assert_int_equal(nw_config_load(FILE_NAME, &config, &problems, &err), NW_FATAL);
    nw_config_free(&config);
    assert_int_equal(problems.count, NW_PROBLEMS_MAX);
    assert_int_equal(problems.dropped, 10);
    assert_string_equal(problems.items[19].text,
                        "t.yaml:23:3: NW1002 unknown key \"key19\" in copy");
}

static void nesting_without_end_is_refused(void **state)
{
    struct nw_run_config config;
    struct nw_error err = {0};
    char text[4096] = "source: ";

    (void)state;
    memset(text + 8, '[', 2000);
    memset(text + 2008, ']', 2000);
    text[4008] = '\0';
    assert_int_equal(load(text, &config, &err), NW_FATAL);
    assert_non_null(strstr(err.text, "NW1004 nested too deep"));
    /* An alias to what contains it. */
    assert_int_equal(load("source: &a [*a]\n", &config, &err), NW_FATAL);
}

static void aliases_that_explode_end_in_an_error(void **state)
{
    static const char bomb[] = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
                               "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d "
                               "[*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n"
                               "f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f]\n";
    struct nw_run_config config;
    struct nw_error err = {0};

    (void)state;
    assert_int_equal(load(bomb, &config, &err), NW_FATAL);
}

static void defaults_are_those_of_the_tables(void **state)
{
    struct nw_run_config config;
    struct nw_error err = {0};

    (void)state;
    assert_int_equal(load(GOOD_SOURCE GOOD_SINK, &config, &err), NW_OK);
    assert_string_equal(config.name, "t");
    assert_string_equal(config.dsn, "dbname=shop");
    assert_null(config.password);
    assert_string_equal(config.slot_name, "narwal_t");
    assert_string_equal(config.publication_name, "narwal_t");
    assert_true(config.slot_create && config.publication_create);
    assert_int_equal(config.snapshot, NW_CONFIG_INITIAL);
    assert_true(config.messages && config.streaming && config.binary);
    assert_false(config.origin_none);
    assert_int_equal(config.copy_workers, 4);
    assert_int_equal(config.lock_wait_us, 1000000);
    assert_int_equal(config.memory_bytes, 1 << 30);
    assert_int_equal(config.epoch_us, 250000);
    assert_int_equal(config.log_level, NW_LOG_INFO);
    assert_null(config.include);
    assert_int_equal(config.sinks_count, 1);
    assert_string_equal(config.sinks[0].name, "file");
    nw_config_free(&config);
}

static void every_section_reaches_its_field(void **state)
{
    static const char text[] =
        "name: My-Orders\nstate_dir: /s\nplugin_dir: /p\n"
        "source:\n  dsn: host=a\n  snapshot: only\n  origin: none\n  messages: no\n"
        "  streaming: off\n  values: text\n  connect_timeout: 2s\n"
        "  slot: {name: sl, create: false}\n  publication: {name: Pu, create: false}\n"
        "copy: {workers: 7, lock_wait: 20ms}\n"
        "tables: {include: [\"public.*\", a.b], exclude: \"public.tmp_*\", no_key: skip}\n"
        "sinks:\n  - {name: one, type: file, path: /x, workers: 3}\n  - {name: two, type: 'null'}\n"
        "limits: {memory: 64MiB, spill: 1GB, spill_dir: /d, cpus: 3, io: pread, drain: 1min}\n"
        "epoch: {time: 1s, size: 1MiB}\nlog: {level: debug, format: json}\n";
    struct nw_run_config config;
    struct nw_error err = {0};

    (void)state;
    assert_int_equal(load(text, &config, &err), NW_OK);
    assert_string_equal(config.state_dir, "/s");
    assert_string_equal(config.plugin_dir, "/p");
    assert_int_equal(config.snapshot, NW_CONFIG_ONLY);
    assert_true(config.origin_none);
    assert_false(config.messages || config.streaming || config.binary);
    assert_int_equal(config.connect_timeout_us, 2000000);
    assert_string_equal(config.slot_name, "sl");
    assert_string_equal(config.publication_name, "Pu");
    assert_false(config.slot_create || config.publication_create);
    assert_int_equal(config.copy_workers, 7);
    assert_int_equal(config.lock_wait_us, 20000);
    assert_string_equal(config.include[0], "public.*");
    assert_string_equal(config.include[1], "a.b");
    assert_null(config.include[2]);
    assert_string_equal(config.exclude[0], "public.tmp_*");
    assert_null(config.exclude[1]);
    assert_true(config.keyless_skip);
    assert_int_equal(config.sinks_count, 2);
    assert_string_equal(config.sinks[0].name, "one");
    assert_int_equal(config.sinks[0].workers, 3);
    assert_string_equal(config.sinks[1].type, "null");
    assert_int_equal(config.memory_bytes, 64 << 20);
    assert_int_equal(config.spill_bytes, 1000000000);
    assert_string_equal(config.spill_dir, "/d");
    assert_int_equal(config.cpus, 3);
    assert_string_equal(config.io, "pread");
    assert_int_equal(config.drain_us, 60000000);
    assert_int_equal(config.epoch_us, 1000000);
    assert_int_equal(config.epoch_bytes, 1 << 20);
    assert_int_equal(config.log_level, NW_LOG_DEBUG);
    assert_int_equal(config.log_format, 2);
    nw_config_free(&config);
}

/* ---- secrets ---- */

static void redacted_is(const char *text, const char *expected)
{
    char copy[256];

    (void)snprintf(copy, sizeof copy, "%s", text);
    nw_redact(copy);
    assert_string_equal(copy, expected);
}

static void references_are_read_and_never_printed_again(void **state)
{
    struct nw_run_config config;
    struct nw_error err = {0};
    char text[512];

    (void)state;
    file_write("secret", "canary-of-a-file\n", 0600);
    assert_int_equal(setenv("NW_TEST_SECRET", "canary-of-env", 1), 0);
    (void)snprintf(text, sizeof text,
                   "source:\n  dsn: \"host=${env:NW_TEST_SECRET} user=x\"\n"
                   "  password: ${file:%s/secret}\n" GOOD_SINK,
                   folder);
    assert_int_equal(load(text, &config, &err), NW_OK);
    assert_string_equal(config.password, "canary-of-a-file");
    assert_string_equal(config.dsn, "host=canary-of-env user=x");
    redacted_is("a canary-of-a-file and canary-of-env.", "a *** and ***.");
    nw_config_free(&config);
}

static void a_secret_that_is_no_value_is_not_in_the_message(void **state)
{
    struct nw_run_config config;
    struct nw_error err = {0};

    (void)state;
    assert_int_equal(setenv("NW_TEST_SECRET", "canary-of-size", 1), 0);
    assert_int_equal(
        load(GOOD_SOURCE GOOD_SINK "limits: {memory: \"${env:NW_TEST_SECRET}\"}\n", &config, &err),
        NW_FATAL);
    assert_string_equal(err.text,
                        "t.yaml:3:18: NW1003 memory: \"***\" is not a size, as 64MiB or 2GB");
}

/* A secret of so many bytes in a file. */
static nw_status secret_of(size_t size, struct nw_error *err)
{
    struct nw_run_config config;
    char *text = malloc(size + 1);
    char yaml[512];
    nw_status status = NW_OK;

    assert_non_null(text);
    memset(text, 'x', size);
    text[size] = '\0';
    file_write("secret", text, 0600);
    free(text);
    (void)snprintf(yaml, sizeof yaml,
                   "source: {dsn: a, password: \"${file:%s/secret}\"}\n" GOOD_SINK, folder);
    status = load(yaml, &config, err);
    if (status == NW_OK) {
        assert_int_equal(strlen(config.password), size);
        nw_config_free(&config);
    }
    return status;
}

static void a_secret_that_is_too_long_or_empty_is_refused_not_cut(void **state)
{
    struct nw_error err = {0};
    char expected[256];

    (void)state;
    assert_int_equal(secret_of(65536, &err), NW_OK);
    assert_int_equal(secret_of(65537, &err), NW_FATAL);
    (void)snprintf(expected, sizeof expected,
                   "t.yaml:1:28: NW1005 the secret in %s/secret is longer than 65536 bytes",
                   folder);
    assert_string_equal(err.text, expected);
    assert_int_equal(secret_of(0, &err), NW_FATAL);
    (void)snprintf(expected, sizeof expected,
                   "t.yaml:1:28: NW1005 the secret in %s/secret is empty", folder);
    assert_string_equal(err.text, expected);
    assert_int_equal(load("source: {dsn: a, password: \"${file:/}\"}\n" GOOD_SINK,
                          &(struct nw_run_config){0}, &err),
                     NW_FATAL);
    assert_string_equal(err.text,
                        "t.yaml:1:28: NW1005 cannot read the secret in /: Is a directory");
}

/* ---- the configuration in force ---- */

static const char *const COMPRESS[] = {"none", "zstd", NULL};
static const struct nw_option PLUGIN[] = {
    {"path", NW_OPTION_PATH, NW_OPTION_REQUIRED, NULL, 0, 0, NULL, "Where to."},
    {"compress", NW_OPTION_CHOICE, 0, "none", 0, 0, COMPRESS, "How."},
    {"token", NW_OPTION_TEXT, NW_OPTION_SECRET, NULL, 0, 0, NULL, "Secret."},
};

static char *in_force(struct nw_run_config *config, const struct nw_config_plugin *plugins)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    nw_config_print(config, plugins, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void what_is_in_force_is_a_configuration_again_without_its_secrets(void **state)
{
    static const char *const lines[] = {
        "name: my_name\n",
        "state_dir: '/it''s'\n",
        "# plugin_dir:\n",
        "source:\n  dsn: 'host=x password=***'\n  password: '***'\n",
        "\n  snapshot: initial                         # default\n",
        "\n  slot:\n    name: narwal_my_name                    # default\n",
        "\n    create: no\n",
        "\n  include: ['public.*', \"a\\x09b\"]\n",
        "\n  - name: file                              # default\n    type: file\n",
        "\n    path: /x\n",
        "\n    token: '***'\n",
        "\n    compress: none                          # default\n",
        "\nlimits:\n  memory: 64MiB\n"};
    const struct nw_config_plugin plugins[] = {{.options = PLUGIN, .count = 3}};
    struct nw_run_config config;
    struct nw_config resolved;
    struct nw_error err = {0};
    char *text = NULL;

    (void)state;
    assert_int_equal(load("name: my name\nstate_dir: \"/it's\"\nsource:\n  dsn: host=x "
                          "password=canary-print\n  password: canary-option\n  slot: {create: no}\n"
                          "tables: {include: [public.*, \"a\\tb\"]}\nlimits: {memory: 64MiB}\n"
                          "sinks: [{type: file, path: /x, token: canary-token}]\n",
                          &config, &err),
                     NW_OK);
    config.dsn_shown = "host=x password=***";
    assert_int_equal(nw_config_resolve_sink(&config, 0, PLUGIN, 3, &resolved, &err), NW_OK);
    text = in_force(&config, plugins);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (strstr(text, lines[i]) == NULL) {
            fail_msg("%s is not in\n%s", lines[i], text);
        }
    }
    assert_null(strstr(text, "canary"));
    nw_config_free(&config);
    assert_int_equal(load(text, &config, &err), NW_OK);
    assert_string_equal(config.state_dir, "/it's");
    assert_string_equal(config.include[1], "a\tb");
    assert_int_equal(config.memory_bytes, 64 << 20);
    assert_false(config.slot_create);
    nw_config_free(&config);
    free(text);
}

/* What is logged while a configuration is loaded. */
static void log_of(const char *text, char *out, size_t size)
{
    struct nw_run_config config;
    struct nw_error err = {0};
    int ends[2];
    ssize_t got = 0;

    assert_int_equal(pipe(ends), 0);
    nw_log_setup(ends[1], NW_LOG_INFO, false);
    assert_int_equal(load(text, &config, &err), NW_OK);
    nw_log_setup(STDERR_FILENO, NW_LOG_INFO, false);
    (void)close(ends[1]);
    got = read(ends[0], out, size - 1);
    (void)close(ends[0]);
    out[got > 0 ? got : 0] = '\0';
    nw_config_free(&config);
}

static void a_password_written_out_and_a_file_open_to_others_are_warned_of(void **state)
{
    char text[512];
    char log[2048];

    (void)state;
    log_of("source: {dsn: a, password: canary-literal}\n" GOOD_SINK, log, sizeof log);
    assert_non_null(strstr(log, "warn  t.yaml:1:28: NW1007 password is written out"));
    assert_null(strstr(log, "canary-literal"));

    file_write("open", "canary-open", 0644);
    (void)snprintf(text, sizeof text, "source: {dsn: a, password: \"${file:%s/open}\"}\n" GOOD_SINK,
                   folder);
    log_of(text, log, sizeof log);
    assert_non_null(strstr(log, "t.yaml:1:28: NW1006 others may read the secret in "));

    file_write("group", "canary-group", 0640);
    (void)snprintf(text, sizeof text,
                   "source: {dsn: a, password: \"${file:%s/group}\"}\n" GOOD_SINK, folder);
    log_of(text, log, sizeof log);
    assert_int_equal(strstr(log, "NW1006") == NULL, geteuid() == 0);

    file_write("closed", "canary-closed", 0600);
    (void)snprintf(text, sizeof text,
                   "source: {dsn: a, password: \"${file:%s/closed}\"}\n" GOOD_SINK, folder);
    log_of(text, log, sizeof log);
    assert_string_equal(log, "");
}

/* ---- sinks ---- */

static const struct {
    const char *spec;
    const char *path, *compress;
    const char *message; /* NULL: it is fine */
} SPECS[] = {
    {"file:./copy", "./copy", "none", NULL},
    {"file:./copy,compress=zstd", "./copy", "zstd", NULL},
    {"file:path=/a", "/a", "none", NULL},
    {"file:", NULL, NULL, "NW1008 sink file has no path: write file:PATH"},
    {"file", NULL, NULL, "NW1008 sink file has no path: write file:PATH"},
    {"file:compress=zstd", NULL, NULL, "NW1008 sink file has no path: write file:PATH"},
    {"file:a,compres=zstd", NULL, NULL,
     "NW1002 unknown key \"compres\" in sink file; did you mean \"compress\" (choice, default: "
     "none)?"},
    {"file:a,compress=lzma", NULL, NULL, "NW1003 compress: \"lzma\" is none of: none, zstd"},
};

static void a_sink_argument_is_resolved_against_its_plugin(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof SPECS / sizeof SPECS[0]; i++) {
        struct nw_run_config config;
        struct nw_config resolved;
        struct nw_error err = {0};
        nw_status status = NW_OK;

        assert_int_equal(nw_config_from_arguments("dbname=x", &SPECS[i].spec, 1, &config, &err),
                         NW_OK);
        assert_string_equal(config.sinks[0].type, "file");
        status = nw_config_resolve_sink(&config, 0, PLUGIN, 3, &resolved, &err);
        assert_int_equal(status, SPECS[i].message == NULL ? NW_OK : NW_FATAL);
        if (SPECS[i].message != NULL) {
            assert_string_equal(err.text, SPECS[i].message);
        } else {
            assert_string_equal(resolved.settings[0].text, SPECS[i].path);
            assert_string_equal(resolved.settings[1].text, SPECS[i].compress);
            assert_false(resolved.settings[2].set);
        }
        nw_config_free(&config);
    }
}

static void a_plugin_without_required_options_takes_no_value(void **state)
{
    static const char *const specs[] = {"null:", "null:x"};
    struct nw_run_config config;
    struct nw_config resolved;
    struct nw_error err = {0};

    (void)state;
    assert_int_equal(nw_config_from_arguments("dbname=x", &specs[0], 1, &config, &err), NW_OK);
    assert_int_equal(nw_config_resolve_sink(&config, 0, NULL, 0, &resolved, &err), NW_OK);
    nw_config_free(&config);
    assert_int_equal(nw_config_from_arguments("dbname=x", &specs[1], 1, &config, &err), NW_OK);
    assert_int_equal(nw_config_resolve_sink(&config, 0, NULL, 0, &resolved, &err), NW_FATAL);
    assert_string_equal(err.text, "NW1011 --sink null:x: \"x\" is no key=value");
    nw_config_free(&config);
}

static void a_sink_of_a_file_keeps_the_place_of_its_keys(void **state)
{
    struct nw_run_config config;
    struct nw_config resolved;
    struct nw_error err = {0};

    (void)state;
    assert_int_equal(load(GOOD_SOURCE "sinks:\n  - name: out\n    type: file\n    path: /x\n"
                                      "    compress: gzip\n",
                          &config, &err),
                     NW_OK);
    assert_int_equal(nw_config_resolve_sink(&config, 0, PLUGIN, 3, &resolved, &err), NW_FATAL);
    assert_string_equal(err.text, "t.yaml:6:15: NW1003 compress: \"gzip\" is none of: none, zstd");
    nw_config_free(&config);
}

static void arguments_that_make_no_sense_are_refused(void **state)
{
    static const char *const nothing[] = {":x"};
    static const char *const twice[] = {"file:a", "file:b"};
    struct nw_run_config config;
    struct nw_error err = {0};

    (void)state;
    assert_int_equal(nw_config_from_arguments("dbname=x", nothing, 1, &config, &err), NW_FATAL);
    assert_string_equal(err.text, "NW1011 --sink :x: write TYPE:PATH, as file:./copy");
    nw_config_free(&config);
    assert_int_equal(nw_config_from_arguments("dbname=x", twice, 2, &config, &err), NW_FATAL);
    assert_string_equal(err.text,
                        "NW1009 two sinks of type file need names: write a configuration file");
    nw_config_free(&config);
}

static int folder_enter(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL && chdir(folder) == 0 ? 0 : -1;
}

static int folder_leave(void **state)
{
    static const char *const names[] = {FILE_NAME, "secret", "open", "closed"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)unlink(names[i]);
    }
    return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mistake_names_its_place_and_what_was_meant),
        cmocka_unit_test(a_file_that_is_not_there_is_named),
        cmocka_unit_test(all_mistakes_of_a_file_are_found_in_one_go),
        cmocka_unit_test(mistakes_without_end_are_counted_but_not_kept),
        cmocka_unit_test(nesting_without_end_is_refused),
        cmocka_unit_test(aliases_that_explode_end_in_an_error),
        cmocka_unit_test(defaults_are_those_of_the_tables),
        cmocka_unit_test(every_section_reaches_its_field),
        cmocka_unit_test(references_are_read_and_never_printed_again),
        cmocka_unit_test(a_secret_that_is_no_value_is_not_in_the_message),
        cmocka_unit_test(a_secret_that_is_too_long_or_empty_is_refused_not_cut),
        cmocka_unit_test(what_is_in_force_is_a_configuration_again_without_its_secrets),
        cmocka_unit_test(a_password_written_out_and_a_file_open_to_others_are_warned_of),
        cmocka_unit_test(a_sink_argument_is_resolved_against_its_plugin),
        cmocka_unit_test(a_plugin_without_required_options_takes_no_value),
        cmocka_unit_test(a_sink_of_a_file_keeps_the_place_of_its_keys),
        cmocka_unit_test(arguments_that_make_no_sense_are_refused),
    };

    return cmocka_run_group_tests(tests, folder_enter, folder_leave);
}
