/* SPDX-License-Identifier: Apache-2.0 */
/* Connection parameters from DSN, environment and service file; sentences for refused connections.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "pg/conninfo.h"
#include "pg/explain.h"

static struct nw_error err;
static char home[] = "/tmp/nw-home.XXXXXX";

static void write_file(const char *name, const char *text)
{
    char path[128];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/%s", home, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    static const char *const clean[] = {"PGHOST",     "PGPORT",    "PGUSER",        "PGSSLMODE",
                                        "PGSERVICE",  "PGOPTIONS", "PGSERVICEFILE", "PGSSLROOTCERT",
                                        "PGPASSWORD", "PGAPPNAME"};

    (void)state;
    for (size_t i = 0; i < sizeof clean / sizeof clean[0]; i++) {
        assert_int_equal(unsetenv(clean[i]), 0);
    }
    assert_non_null(mkdtemp(home));
    return setenv("HOME", home, 1);
}

static int tear_down(void **state)
{
    char command[64];

    (void)state;
    (void)snprintf(command, sizeof command, "rm -r %s", home);
    return system(command);
}

static void get(struct nw_conninfo *info, const char *dsn, bool replication)
{
    const struct nw_pg_options options = {.dsn = dsn, .application_name = "narwal"};

    if (nw_conninfo_init(info, &options, replication, &err) != NW_OK) {
        fail_msg("%s: %s", dsn, err.text);
    }
}

static const char *value(const struct nw_conninfo *info, const char *keyword)
{
    const char *found = nw_conninfo_get(info, keyword);

    return found == NULL ? "" : found;
}

static void tls_is_verified_unless_all_hosts_are_local_or_the_user_says_otherwise(void **state)
{
    static const struct {
        const char *dsn, *mode;
    } vectors[] = {
        {"host=db1.example.com", "verify-full"},
        {"postgresql://me@db1.example.com/d", "verify-full"},
        {"postgresql://me@db1.example.com/d?sslmode=require", "require"},
        {"host=db1 sslmode=prefer", "prefer"},
        {"host=10.0.0.1", "verify-full"},
        {"host=1270.example.com", "verify-full"},
        {"host=127.evil.example.com", "verify-full"},
        {"host=localhost.example.com", "verify-full"},
        {"host=localhost", "prefer"},
        {"host=LOCALHOST", "prefer"},
        {"host=127.0.0.1", "prefer"},
        {"host=127.1.2.3", "prefer"},
        {"host=::1", "prefer"},
        {"postgresql://[::1]:5432/d", "prefer"},
        {"host=/var/run/postgresql", "prefer"},
        {"host=@abstract", "prefer"},
        {"dbname=d", "prefer"},
        {"host=localhost,db1.example.com", "verify-full"},
        {"host=/tmp,127.0.0.1,::1", "prefer"},
        {"host=localhost hostaddr=10.0.0.1", "verify-full"},
        {"host=db1.example.com hostaddr=127.0.0.1", "prefer"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct nw_conninfo info;

        get(&info, vectors[i].dsn, false);
        if (strcmp(value(&info, "sslmode"), vectors[i].mode) != 0) {
            fail_msg("%s: %s", vectors[i].dsn, value(&info, "sslmode"));
        }
        nw_conninfo_fini(&info);
    }
}

static void environment_and_service_file_count_as_the_users_word(void **state)
{
    struct nw_conninfo info;
    char path[64];

    (void)state;
    assert_int_equal(setenv("PGHOST", "db9.example.com", 1), 0);
    get(&info, "dbname=d", false);
    assert_string_equal(value(&info, "sslmode"), "verify-full");
    nw_conninfo_fini(&info);
    assert_int_equal(setenv("PGSSLMODE", "prefer", 1), 0);
    get(&info, "dbname=d", false);
    assert_string_equal(value(&info, "sslmode"), "prefer");
    nw_conninfo_fini(&info);
    assert_int_equal(unsetenv("PGSSLMODE") | unsetenv("PGHOST"), 0);

    write_file("service", "[other]\nsslmode=disable\n[plain]\nhost=db1.example.com\nuser=u\n"
                          "[lax]\nhost=db1.example.com\nsslmode=prefer\n");
    (void)snprintf(path, sizeof path, "%s/service", home);
    assert_int_equal(setenv("PGSERVICEFILE", path, 1), 0);
    get(&info, "service=plain", false);
    assert_string_equal(value(&info, "sslmode"), "verify-full");
    assert_string_equal(value(&info, "host"), "db1.example.com");
    nw_conninfo_fini(&info);
    get(&info, "service=lax", false);
    assert_string_equal(value(&info, "sslmode"), "prefer");
    nw_conninfo_fini(&info);
    assert_int_equal(unsetenv("PGSERVICEFILE"), 0);
}

static void the_distributions_cas_are_used_where_no_file_is_named(void **state)
{
    struct nw_conninfo info;
    char path[64];

    (void)state;
    get(&info, "host=db1.example.com", false);
    assert_int_equal(value(&info, "sslrootcert")[0], '/');
    assert_int_equal(access(value(&info, "sslrootcert"), R_OK), 0);
    nw_conninfo_fini(&info);
    get(&info, "host=db1.example.com sslrootcert=/my/ca.crt", false);
    assert_string_equal(value(&info, "sslrootcert"), "/my/ca.crt");
    nw_conninfo_fini(&info);
    get(&info, "host=db1.example.com sslmode=require", false);
    assert_string_equal(value(&info, "sslrootcert"), "");
    nw_conninfo_fini(&info);
    get(&info, "host=localhost", false);
    assert_string_equal(value(&info, "sslrootcert"), "");
    nw_conninfo_fini(&info);

    /* The user's own root.crt goes before. */
    (void)snprintf(path, sizeof path, "%s/.postgresql", home);
    assert_int_equal(mkdir(path, 0700), 0);
    write_file(".postgresql/root.crt", "");
    get(&info, "host=db1.example.com", false);
    assert_string_equal(value(&info, "sslrootcert"), "");
    nw_conninfo_fini(&info);
}

static void pinned_settings_come_after_the_users_options(void **state)
{
    struct nw_conninfo info;
    const char *options;

    (void)state;
    get(&info, "host=/tmp options='-c work_mem=1MB -c TimeZone=Asia/Tokyo'", true);
    options = value(&info, "options");
    assert_int_equal(
        strncmp(options, "-c work_mem=1MB -c TimeZone=Asia/Tokyo -c DateStyle=ISO", 55), 0);
    assert_non_null(strstr(options, "-c TimeZone=UTC"));
    assert_string_equal(value(&info, "replication"), "database");
    assert_string_equal(value(&info, "gssencmode"), "disable");
    assert_string_equal(value(&info, "client_encoding"), "UTF8");
    assert_string_equal(value(&info, "fallback_application_name"), "narwal");
    assert_string_equal(value(&info, "tcp_user_timeout"), "60000");
    nw_conninfo_fini(&info);

    assert_int_equal(setenv("PGOPTIONS", "-c geqo=off", 1), 0);
    get(&info,
        "host=/tmp replication=1 gssencmode=require client_encoding=LATIN1 tcp_user_timeout=5",
        false);
    assert_int_equal(strncmp(value(&info, "options"), "-c geqo=off -c DateStyle=ISO", 28), 0);
    assert_string_equal(value(&info, "replication"), "");
    assert_string_equal(value(&info, "gssencmode"), "disable");
    assert_string_equal(value(&info, "client_encoding"), "UTF8");
    assert_string_equal(value(&info, "tcp_user_timeout"), "5");
    nw_conninfo_fini(&info);
    assert_int_equal(unsetenv("PGOPTIONS"), 0);
}

static void the_configured_password_goes_before_the_dsns(void **state)
{
    const struct nw_pg_options options = {.dsn = "host=/tmp password=old", .password = "new"};
    struct nw_conninfo info;

    (void)state;
    assert_int_equal(nw_conninfo_init(&info, &options, false, &err), NW_OK);
    assert_string_equal(value(&info, "password"), "new");
    nw_conninfo_fini(&info);
}

static void a_dsn_that_cannot_be_read_is_refused_without_being_quoted(void **state)
{
    static const char *const bad[] = {
        "host=h password=s3cretword rest",
        "host=h password=s3cretword bogus=1",
        "postgresql://u:s3cretword@h:1:2/d",
        "postgresql://u:s3cretword",
        "postgresql://u@h/d?password=s3cretword&bogus=1",
        "host=h password='s3cretword",
        "host=h password=s3cretword sslmode=maybe",
        "host=h password=s3cretword service=no_such_service",
        "host=h,i port=1,2,3 password=s3cretword",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct nw_pg_options options = {.dsn = bad[i]};
        struct nw_conninfo info;

        if (nw_conninfo_init(&info, &options, false, &err) != NW_FATAL) {
            fail_msg("%s was accepted", bad[i]);
        }
        if (strncmp(err.text, "NW1012 ", 7) != 0 || strstr(err.text, "s3cretword") != NULL ||
            strchr(err.text, '\n') != NULL) {
            fail_msg("%s: %s", bad[i], err.text);
        }
    }
}

static void hosts_are_taken_off_the_front(void **state)
{
    struct nw_conninfo info;

    (void)state;
    get(&info, "host=a,b,c port=1,2,3 sslmode=disable", false);
    assert_int_equal(nw_conninfo_hosts(&info), 3);
    assert_true(nw_conninfo_skip_host(&info));
    assert_string_equal(value(&info, "host"), "b,c");
    assert_string_equal(value(&info, "port"), "2,3");
    assert_true(nw_conninfo_skip_host(&info));
    assert_string_equal(value(&info, "host"), "c");
    assert_string_equal(value(&info, "port"), "3");
    assert_false(nw_conninfo_skip_host(&info));
    nw_conninfo_fini(&info);
    get(&info, "host=a,b port=7", false);
    assert_true(nw_conninfo_skip_host(&info));
    assert_string_equal(value(&info, "port"), "7");
    nw_conninfo_fini(&info);
}

#define AT(host) "connection to server at \"" host "\", port 5432 failed: "

static void failures_are_classed_and_explained(void **state)
{
    static const struct {
        const char *text;
        bool replication;
        const char *issuer;
        nw_status status;
        const char *code, *says;
    } vectors[] = {
        {AT("pg-a") "FATAL:  57P03: the database system is starting up\nLOCATION:  x, y.c:1\n",
         false, NULL, NW_RETRY, "NW1113", "pg-a is starting up, shutting down or recovering"},
        {AT("pg-a") "FATAL:  57P03: das Datenbanksystem f\xc3\xa4hrt herunter\n", false, NULL,
         NW_RETRY, "NW1113", "starting up, shutting down"},
        {AT("pg-a") "FATAL:  53300: number of requested standby connections exceeds "
                    "max_wal_senders\n",
         true, NULL, NW_RETRY, "NW1114", "raise max_wal_senders"},
        {AT("pg-a") "FATAL:  28P01: password authentication failed for user \"u\"\n", false, NULL,
         NW_FATAL, "NW1106", "refused the password of user \"u\""},
        {AT("pg-a") "FATAL:  28000: no pg_hba.conf entry for replication connection from host\n",
         true, NULL, NW_FATAL, "NW1108", "add \"host d u ADDRESS scram-sha-256\""},
        {AT("pg-a") "FATAL:  42501: permission denied to start WAL sender\n", true, NULL, NW_FATAL,
         "NW1209", "ALTER ROLE \"u\" REPLICATION"},
        {AT("pg-a") "FATAL:  3D000: database \"d\" does not exist\n", false, NULL, NW_FATAL,
         "NW1111", "has no database \"d\""},
        {AT("pg-a") "FATAL:  08P01: unsupported startup parameter: options\n", false, NULL,
         NW_FATAL, "NW1203", "is a connection pooler"},
        {AT("pg-a") "FATAL:  57P01: terminating connection due to administrator command\n", false,
         NULL, NW_RETRY, "NW1115", "57P01"},
        {AT("pg-a") "SSL error: certificate verify failed\n", false, "Acme CA", NW_FATAL, "NW1101",
         "the certificate of pg-a is signed by \"Acme CA\", which this host does not trust: add "
         "sslrootcert=/path/ca.crt to the DSN"},
        {AT("pg-a") "SSL error: certificate verify failed\n", false, NULL, NW_FATAL, "NW1105",
         "TLS with pg-a failed"},
        {AT("pg-a") "server does not support SSL, but SSL was required\n", false, NULL, NW_FATAL,
         "NW1103", "does not offer TLS"},
        {AT("pg-a") "SSL SYSCALL error: EOF detected\n", false, NULL, NW_RETRY, "NW1115",
         "EOF detected"},
        {AT("pg-a") "Connection refused\n\tIs the server running on that host?\n", false, NULL,
         NW_RETRY, "NW1115",
         "cannot connect to pg-a: Connection refused; Is the server running on that host?"},
        {AT("pg-a") "server closed the connection unexpectedly\n", false, NULL, NW_RETRY, "NW1115",
         "closed"},
        {AT("pg-a") "session is read-only\n", false, NULL, NW_RETRY, "NW1115", "read-only"},
        {AT("pg-a") "fe_sendauth: no password supplied\n", false, NULL, NW_FATAL, "NW1107",
         "there is none"},
        {"could not translate host name \"pg-a\" to address: Temporary failure\n", false, NULL,
         NW_RETRY, "NW1115", "could not translate"},
        {"invalid port number: \"0\"\n", false, NULL, NW_FATAL, "NW1115", "invalid port number"},
        /* One of two hosts may come back. */
        {AT("pg-a") "Connection refused\n" AT(
             "pg-b") "FATAL:  3D000: database \"d\" does not exist\n",
         false, NULL, NW_RETRY, "NW1115", "at \"pg-a\", port 5432 failed: Connection refused"},
        {AT("pg-a") "FATAL:  3D000: database \"d\" does not exist\n" AT(
             "pg-b") "Connection refused\n",
         false, NULL, NW_RETRY, "NW1115", "at \"pg-b\", port 5432 failed: Connection refused"},
        {"", false, NULL, NW_FATAL, "NW1115", "cannot connect to pg-a"},
        {AT("pg-a") "server certificate for \"db1\" does not match host name \"pg-a\"\n", false,
         NULL, NW_FATAL, "NW1102", "was made for another name"},
        {AT("pg-a") "root certificate file \"/r.crt\" does not exist\n", false, NULL, NW_FATAL,
         "NW1104", "there is no file of trusted CAs"},
        {AT("pg-a") "FATAL:  28000: role \"u\" is not permitted to log in\n", false, NULL, NW_FATAL,
         "NW1109", "the role needs LOGIN"},
        {AT("pg-a") "FATAL:  28000: Peer authentication failed for user \"u\"\n", false, NULL,
         NW_FATAL, "NW1121", "give host=localhost and a password"},
        {AT("pg-a") "authentication method requirement \"scram-sha-256\" failed\n", false, NULL,
         NW_FATAL, "NW1116", "cannot authenticate to pg-a"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const struct nw_connect_failure failure = {.text = vectors[i].text,
                                                   .host = "pg-a",
                                                   .user = "u",
                                                   .database = "d",
                                                   .issuer = vectors[i].issuer,
                                                   .replication = vectors[i].replication};
        nw_status status = nw_connect_explain(&failure, &err);

        if (status != vectors[i].status || err.status != status ||
            strncmp(err.text, vectors[i].code, 6) != 0 ||
            strstr(err.text, vectors[i].says) == NULL || strchr(err.text, '\n') != NULL ||
            strstr(err.text, "LOCATION") != NULL) {
            fail_msg("case %zu: %d \"%s\"", i, status, err.text);
        }
    }
}

static void what_may_be_a_value_is_not_said(void **state)
{
    static const char elsewhere[] = "the server's log has its words, which may hold values of rows";
    static const struct {
        const char *sqlstate, *message, *says;
    } vectors[] = {
        {"22P02", "invalid input syntax for type integer: \"canary\"",
         "invalid input syntax for type integer: ..."},
        {"22P02", "invalid input syntax for type integer: \"can\"a\"ry\"",
         "invalid input syntax for type integer: ..."},
        {"22P02", "invalid input value for enum lab.mood: \"k\xc3\xa9\"",
         "invalid input value for enum lab.mood: ..."},
        {"22P02",
         "ung\xc3\xbcltige Eingabesyntax f\xc3\xbcr Typ integer: \xc2\xbb"
         "canary\xc2\xab",
         elsewhere},
        {"22003", "value \"99999999999\" is out of range for type integer",
         "value ... is out of range for type integer"},
        {"22003", "value \"9\"9\" is out of range for type integer",
         "value ... is out of range for type integer"},
        {"22008", "date field value out of range: 1873-99-29",
         "date field value out of range: ..."},
        {"22001", "value too long for type character varying(40)",
         "value too long for type character varying(...)"},
        {"22012", "division by zero", "division by zero"},
        {"22P02", "cut: \"canary", "cut: ..."},
        {"22P02", "cut \"canary", "cut ..."},
        {"22P05", "character with byte sequence 0xe2 0x82 in encoding \"UTF8\" has no equivalent",
         "character with byte sequence 0xe2 0x82 in encoding \"UTF8\" has no equivalent"},
        {"23505", "duplicate key value violates unique constraint \"t_pkey\"",
         "duplicate key value violates unique constraint ..."},
        {"P0001", "canary", elsewhere},
        {"42P01", "relation \"lab.t\" does not exist", "relation \"lab.t\" does not exist"},
        {"", "", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        char message[512];
        bool tells = strcmp(vectors[i].message, vectors[i].says) != 0 ||
                     strcmp(vectors[i].sqlstate, "22012") == 0;

        (void)snprintf(message, sizeof message, "%s", vectors[i].message);
        assert_int_equal(nw_server_words_hide(vectors[i].sqlstate, message, sizeof message), tells);
        assert_string_equal(message, vectors[i].says);
    }
}

static void sqlstates_say_whether_to_try_again(void **state)
{
    static const struct {
        const char *code;
        nw_status status;
    } vectors[] = {
        {"08006", NW_RETRY}, {"40P01", NW_RETRY}, {"40001", NW_RETRY}, {"53100", NW_RETRY},
        {"57P01", NW_RETRY}, {"57014", NW_RETRY}, {"57P04", NW_FATAL}, {"55P03", NW_RETRY},
        {"55006", NW_RETRY}, {"55000", NW_FATAL}, {"42601", NW_FATAL}, {"22021", NW_FATAL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        assert_int_equal(nw_sqlstate_status(vectors[i].code), vectors[i].status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_is_verified_unless_all_hosts_are_local_or_the_user_says_otherwise),
        cmocka_unit_test(environment_and_service_file_count_as_the_users_word),
        cmocka_unit_test(the_distributions_cas_are_used_where_no_file_is_named),
        cmocka_unit_test(pinned_settings_come_after_the_users_options),
        cmocka_unit_test(the_configured_password_goes_before_the_dsns),
        cmocka_unit_test(a_dsn_that_cannot_be_read_is_refused_without_being_quoted),
        cmocka_unit_test(hosts_are_taken_off_the_front),
        cmocka_unit_test(what_may_be_a_value_is_not_said),
        cmocka_unit_test(failures_are_classed_and_explained),
        cmocka_unit_test(sqlstates_say_whether_to_try_again),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
