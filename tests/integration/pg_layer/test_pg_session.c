/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions and streams on a real server: every transport, every refusal. Started by with_server.sh.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "pg/replication.h"
#include "pg/session.h"

#define STEP_MS_MAX 10000

static struct nw_error err;

static int64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void must(nw_status status)
{
    if (status != NW_OK) {
        fail_msg("status %d: %s", status, err.text);
    }
}

enum { TCP, UNIX, TLS, TRANSPORTS };

static const char *dsn_of(int transport)
{
    static char text[TRANSPORTS][512];
    const char *port = getenv("NW_TEST_PORT");
    const char *folder = getenv("NW_TEST_FOLDER");
    char *dsn = text[transport];

    if (transport == TCP) {
        (void)snprintf(
            dsn, 512, "host=127.0.0.1 port=%s user=postgres dbname=postgres sslmode=disable", port);
    } else if (transport == UNIX) {
        (void)snprintf(dsn, 512, "host=%s port=%s user=postgres dbname=postgres", folder, port);
    } else {
        (void)snprintf(
            dsn, 512,
            "postgresql://postgres@localhost:%s/postgres?sslmode=verify-full&sslrootcert=%s/ca.crt",
            port, folder);
    }
    return dsn;
}

static nw_status try_dsn(const char *dsn, bool replication, struct nw_session **session)
{
    const struct nw_pg_options options = {
        .dsn = dsn, .application_name = "narwal-test", .connect_timeout_us = 5000000};

    *session = NULL;
    return nw_session_open(&options, replication, session, &err);
}

static struct nw_session *open_dsn(const char *dsn, bool replication)
{
    struct nw_session *session = NULL;

    must(try_dsn(dsn, replication, &session));
    return session;
}

static char *ask(struct nw_session *session, const char *sql, char *out, size_t out_size)
{
    struct nw_rows *rows = NULL;

    must(nw_session_query(session, sql, NULL, 0, NULL, &rows, &err));
    assert_int_equal(nw_rows_count(rows), 1);
    (void)snprintf(out, out_size, "%s", nw_rows_text(rows, 0, 0));
    nw_rows_free(rows);
    return out;
}

static void run(struct nw_session *session, const char *sql)
{
    must(nw_session_query(session, sql, NULL, 0, NULL, NULL, &err));
}

/* The next message of a stream that was taken over, waiting as an agent would. */
static void next_message(struct nw_receiver *receiver, struct nw_message *message)
{
    int64_t end = now_ns() + (int64_t)STEP_MS_MAX * 1000000;

    for (;;) {
        size_t got = 0;
        nw_status status = nw_receiver_next(receiver, message, &err);

        if (status == NW_OK) {
            return;
        }
        assert_int_equal(status, NW_AGAIN);
        status = nw_receiver_fill(receiver, now_ns(), &got, &err);
        if (status == NW_AGAIN) {
            struct nw_wait wait;

            nw_receiver_wait(receiver, now_ns(), &wait);

            struct pollfd entry = {.fd = wait.descriptor, .events = wait.events};
            int64_t until = wait.deadline_ns < end ? wait.deadline_ns : end;
            int64_t left = until - now_ns();
            struct timespec pause = {.tv_sec = left < 0 ? 0 : left / 1000000000,
                                     .tv_nsec = left < 0 ? 0 : left % 1000000000};

            assert_true(now_ns() < end);
            assert_true(ppoll(&entry, 1, &pause, NULL) >= 0);
        } else {
            must(status);
        }
    }
}

static void pinned_settings_hold_on_every_transport_and_kind(void **state)
{
    static const struct {
        const char *show, *value;
    } pinned[] = {
        {"SHOW DateStyle", "ISO, MDY"},     {"SHOW IntervalStyle", "postgres"},
        {"SHOW TimeZone", "UTC"},           {"SHOW extra_float_digits", "3"},
        {"SHOW bytea_output", "hex"},       {"SHOW search_path", "pg_catalog"},
        {"SHOW client_encoding", "UTF8"},   {"SHOW lc_monetary", "C"},
        {"SHOW statement_timeout", "0"},    {"SHOW lock_timeout", "0"},
        {"SHOW idle_session_timeout", "0"}, {"SHOW application_name", "narwal-test"},
        {"SHOW work_mem", "7MB"},
    };
    struct nw_session *admin = open_dsn(dsn_of(UNIX), false);
    char text[256];

    (void)state;
    run(admin, "ALTER ROLE postgres SET DateStyle = 'German'");
    run(admin, "ALTER ROLE postgres SET TimeZone = 'Asia/Tokyo'");
    run(admin, "ALTER ROLE postgres SET statement_timeout = '1s'");
    run(admin, "ALTER ROLE postgres SET bytea_output = 'escape'");
    for (int transport = 0; transport < TRANSPORTS; transport++) {
        for (int replication = 0; replication < 2; replication++) {
            char dsn[700];

            (void)snprintf(dsn, sizeof dsn,
                           transport == TLS ? "%s&options=-c%%20work_mem%%3D7MB"
                                            : "%s options='-c work_mem=7MB'",
                           dsn_of(transport));

            struct nw_session *session = open_dsn(dsn, replication != 0);

            for (size_t i = 0; i < sizeof pinned / sizeof pinned[0]; i++) {
                assert_string_equal(ask(session, pinned[i].show, text, sizeof text),
                                    pinned[i].value);
            }
            nw_session_close(session);
        }
    }
    run(admin, "ALTER ROLE postgres RESET ALL");
    nw_session_close(admin);
}

static void parameters_nulls_and_lsns_come_back(void **state)
{
    struct nw_session *session = open_dsn(dsn_of(TCP), false);
    const char *params[] = {"it's", NULL};
    struct nw_rows *rows = NULL;
    char quoted[64] = "x ";

    (void)state;
    must(nw_session_query(session, "SELECT $1::text, $2::text, '3A/8F0012C8'::pg_lsn, true, 42",
                          params, 2, NULL, &rows, &err));
    assert_string_equal(nw_rows_text(rows, 0, 0), "it's");
    assert_null(nw_rows_text(rows, 0, 1));
    assert_true(nw_rows_lsn(rows, 0, 2) == 0x3A8F0012C8);
    assert_true(nw_rows_bool(rows, 0, 3));
    assert_int_equal(nw_rows_u64(rows, 0, 4), 42);
    nw_rows_free(rows);
    must(nw_session_quote_name(session, "a\"b", quoted, sizeof quoted, &err));
    must(nw_session_quote_literal(session, "c'd", quoted, sizeof quoted, &err));
    assert_string_equal(quoted, "x \"a\"\"b\"'c''d'");
    assert_int_equal(
        nw_session_quote_name(session,
                              "0123456789012345678901234567890123456789012345678901234567890123",
                              quoted, sizeof quoted, &err),
        NW_FATAL);
    assert_true(nw_session_server_version(session) >= 140000);
    assert_true(nw_session_backend_pid(session) > 1);
    nw_session_close(session);
}

static void a_refused_statement_is_fatal_and_a_lock_timeout_is_not(void **state)
{
    struct nw_session *session = open_dsn(dsn_of(TCP), false);
    struct nw_session *other = open_dsn(dsn_of(TCP), false);
    char sqlstate[6];

    (void)state;
    assert_int_equal(nw_session_query(session, "SELECT nothing", NULL, 0, sqlstate, NULL, &err),
                     NW_FATAL);
    assert_string_equal(sqlstate, "42703");
    assert_non_null(strstr(err.text, "column \"nothing\" does not exist"));
    run(session, "CREATE TABLE public.locked ()");
    run(session, "BEGIN; LOCK public.locked");
    run(other, "SET lock_timeout = '20ms'");
    assert_int_equal(nw_session_query(other, "LOCK public.locked", NULL, 0, sqlstate, NULL, &err),
                     NW_FATAL); /* outside of a transaction */
    assert_int_equal(
        nw_session_query(other, "BEGIN; LOCK public.locked", NULL, 0, sqlstate, NULL, &err),
        NW_RETRY);
    assert_string_equal(sqlstate, "55P03");
    run(session, "ROLLBACK; DROP TABLE public.locked");
    nw_session_close(session);
    nw_session_close(other);
}

static void a_killed_backend_is_a_retry(void **state)
{
    struct nw_session *session = open_dsn(dsn_of(TCP), false);
    struct nw_session *other = open_dsn(dsn_of(TCP), false);
    char sql[64];

    (void)state;
    (void)snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%d, 5000)",
                   nw_session_backend_pid(session));
    run(other, sql);
    assert_int_equal(nw_session_query(session, "SELECT 1", NULL, 0, NULL, NULL, &err), NW_RETRY);
    nw_session_close(session);
    nw_session_close(other);
}

static void *cancel_soon(void *session)
{
    (void)usleep(200000);
    nw_session_cancel(session);
    return NULL;
}

static void a_statement_is_cancelled_from_another_thread(void **state)
{
    (void)state;
    for (int replication = 0; replication < 2; replication++) {
        struct nw_session *session = open_dsn(dsn_of(TLS), replication != 0);
        pthread_t thread;
        char sqlstate[6];
        char text[8];

        assert_int_equal(pthread_create(&thread, NULL, cancel_soon, session), 0);
        assert_int_equal(
            nw_session_query(session, "SELECT pg_sleep(20)", NULL, 0, sqlstate, NULL, &err),
            NW_RETRY);
        assert_string_equal(sqlstate, "57014");
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_string_equal(ask(session, "SELECT 1", text, sizeof text), "1");
        nw_session_close(session);
    }
}

struct refusal {
    const char *dsn; /* %s: the port; a second %s: the folder */
    bool replication;
    nw_status status;
    const char *says;
};

static void refusals_say_what_to_do(void **state)
{
    static const struct refusal refusals[] = {
        {"host=127.0.0.1 port=1 user=postgres dbname=postgres", false, NW_RETRY,
         "Connection refused"},
        {"host=/nowhere port=%s user=postgres dbname=postgres", false, NW_RETRY, "No such file"},
        {"host=no.such.host.invalid port=%s user=postgres", false, NW_RETRY,
         "no.such.host.invalid"},
        {"host=127.0.0.1 port=%s user=postgres dbname=absent sslmode=disable", false, NW_FATAL,
         "has no database \"absent\""},
        {"host=127.0.0.1 port=%s user=secretive dbname=postgres sslmode=disable", false, NW_FATAL,
         "asks for the password of user \"secretive\" and there is none"},
        {"host=127.0.0.1 port=%s user=secretive dbname=postgres sslmode=disable password=hunter2x",
         false, NW_FATAL, "refused the password of user \"secretive\""},
        {"host=127.0.0.1 port=%s user=nobody dbname=postgres sslmode=disable", false, NW_FATAL,
         "nobody"},
        {"host=127.0.0.1 port=%s user=postgres dbname=refused sslmode=disable", true, NW_FATAL,
         "by the database's line"},
        {"host=127.0.0.1 port=%s user=plain dbname=postgres sslmode=disable", true, NW_FATAL,
         "REPLICATION"},
        {"host=localhost port=%s user=postgres dbname=postgres sslmode=verify-full "
         "sslrootcert=%s/other-ca.crt",
         false, NW_FATAL,
         "is signed by \"Acme ca\", which this host does not trust: add sslrootcert=/path/ca.crt"},
        {"host=127.0.0.1 port=%s user=postgres dbname=postgres sslmode=verify-full "
         "sslrootcert=%s/ca.crt",
         false, NW_FATAL, "was made for another name"},
        {"host=127.0.0.1 port=%s user=postgres dbname=postgres sslmode=verify-full "
         "sslrootcert=%s/no.crt",
         false, NW_FATAL, "no file of trusted CAs"},
        {"host=127.0.0.1 port=%s password=s3cretword bogus=1", false, NW_FATAL,
         "the DSN cannot be read"},
        {"postgresql://u:s3cretword/x", false, NW_FATAL, "the port in the DSN"},
        {"host=127.0.0.1 port=%s user=postgres target_session_attrs=standby dbname=postgres", false,
         NW_RETRY, "standby"},
    };
    struct nw_session *admin = open_dsn(dsn_of(UNIX), false);

    (void)state;
    run(admin, "CREATE ROLE secretive LOGIN PASSWORD 'right'");
    run(admin, "CREATE ROLE plain LOGIN");
    run(admin, "CREATE DATABASE refused");
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct nw_session *session = NULL;
        char dsn[512];
        int size;

        /* Only the port and the folder are filled in. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        size = snprintf(dsn, sizeof dsn, refusals[i].dsn, getenv("NW_TEST_PORT"),
                        getenv("NW_TEST_FOLDER"));
#pragma GCC diagnostic pop
        assert_true(size > 0);

        nw_status status = try_dsn(dsn, refusals[i].replication, &session);

        if (status != refusals[i].status || strstr(err.text, refusals[i].says) == NULL) {
            fail_msg("case %zu: status %d, \"%s\" lacks \"%s\"", i, status, err.text,
                     refusals[i].says);
        }
        print_message("          %s\n", err.text);
        assert_null(session);
        assert_null(strstr(err.text, "hunter2x"));
        assert_null(strstr(err.text, "s3cretword"));
    }
    run(admin, "DROP DATABASE refused");
    run(admin, "DROP ROLE plain");
    run(admin, "DROP ROLE secretive");
    nw_session_close(admin);
}

static void passwords_passfiles_services_and_host_lists_work(void **state)
{
    struct nw_session *admin = open_dsn(dsn_of(UNIX), false);
    const char *port = getenv("NW_TEST_PORT");
    char folder[] = "/tmp/nw-pass.XXXXXX";
    char path[64];
    char dsn[512];
    char text[64];

    (void)state;
    run(admin, "CREATE ROLE secretive LOGIN PASSWORD 'right one'");
    (void)snprintf(dsn, sizeof dsn,
                   "host=127.0.0.1,127.0.0.1 port=1,%s user=secretive dbname=postgres", port);

    struct nw_pg_options options = {.dsn = dsn, .password = "right one"};
    struct nw_session *session = NULL;

    must(nw_session_open(&options, false, &session, &err));
    assert_string_equal(ask(session, "SELECT current_user", text, sizeof text), "secretive");
    nw_session_close(session);

    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/pass", folder);

    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fprintf(file, "*:*:*:secretive:right one\n") > 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(setenv("PGPASSFILE", path, 1), 0);
    assert_int_equal(chmod(path, S_IRUSR | S_IWUSR), 0);
    (void)snprintf(path, sizeof path, "%s/service", folder);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fprintf(file,
                        "[shop]\nhost=127.0.0.1\nport=%s\nuser=secretive\ndbname=postgres\n"
                        "options=-c work_mem=9MB\n",
                        port) > 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(setenv("PGSERVICEFILE", path, 1), 0);
    session = open_dsn("service=shop", false);
    assert_string_equal(ask(session, "SELECT current_user", text, sizeof text), "secretive");
    assert_string_equal(ask(session, "SHOW work_mem", text, sizeof text), "9MB");
    assert_string_equal(ask(session, "SHOW TimeZone", text, sizeof text), "UTC");
    nw_session_close(session);
    assert_int_equal(try_dsn("service=absent", false, &session), NW_FATAL);
    assert_non_null(strstr(err.text, "service"));
    (void)unsetenv("PGSERVICEFILE");
    (void)unsetenv("PGPASSFILE");
    run(admin, "DROP ROLE secretive");
    nw_session_close(admin);
    (void)snprintf(path, sizeof path, "rm -r %s", folder);
    assert_int_equal(system(path), 0);
}

static void a_host_that_hangs_does_not_use_up_the_others_time(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0); /* the kernel accepts, nobody answers */
    struct nw_session *session = NULL;
    struct nw_pg_options options = {.connect_timeout_us = 300000};
    char dsn[256];

    (void)state;
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(dsn, sizeof dsn,
                   "host=127.0.0.1,127.0.0.1 port=%d,%s user=postgres dbname=postgres",
                   ntohs(address.sin_port), getenv("NW_TEST_PORT"));
    options.dsn = dsn;
    must(nw_session_open(&options, false, &session, &err));
    nw_session_close(session);

    (void)snprintf(dsn, sizeof dsn, "host=127.0.0.1 port=%d user=postgres dbname=postgres",
                   ntohs(address.sin_port));
    assert_int_equal(nw_session_open(&options, false, &session, &err), NW_RETRY);
    assert_non_null(strstr(err.text, "127.0.0.1 did not answer within the connection timeout"));
    (void)close(listener);
}

/* Stream a few transactions, the last of them with a 5 MB row, and count the inserts. */
static void stream_over(int transport)
{
    struct nw_session *admin = open_dsn(dsn_of(UNIX), false);
    struct nw_session *replica = open_dsn(dsn_of(transport), true);
    const struct nw_slot_request request = {
        .name = "taken", .temporary = true, .snapshot = NW_SLOT_SNAPSHOT_EXPORT};
    const char *const publications[] = {"p \"q\", 'r'"};
    struct nw_slot_created created;
    struct nw_system system;
    struct nw_stream *stream = NULL;
    struct nw_receiver *receiver = NULL;
    struct nw_transmitter transmitter;
    struct nw_message message;
    char sqlstate[6];
    int inserts = 0;
    uint64_t flushed = 0;
    char date[16] = "";

    run(admin, "CREATE TABLE public.streamed (id int PRIMARY KEY, big text)");
    run(admin, "ALTER TABLE public.streamed ALTER big SET STORAGE EXTERNAL");
    run(admin, "CREATE PUBLICATION \"p \"\"q\"\", 'r'\" FOR TABLE public.streamed");
    must(nw_replication_identify(replica, &system, &err));
    assert_true(strlen(system.system_id) > 10);
    assert_string_equal(system.database, "postgres");
    assert_int_equal(system.timeline, 1);
    must(nw_replication_create_slot(replica, &request, sqlstate, &created, &err));
    assert_true(created.consistent_lsn > 0);
    assert_true(strlen(created.snapshot) > 0);

    must(nw_session_take_stream(replica, &stream, &err));
    assert_int_equal(stream->transport, transport == TCP    ? NW_TRANSPORT_TCP
                                        : transport == UNIX ? NW_TRANSPORT_UNIX
                                                            : NW_TRANSPORT_TLS);
    must(nw_receiver_create(stream, &receiver, &err));
    nw_transmitter_init(&transmitter, stream);

    const struct nw_start start = {.slot = "taken",
                                   .lsn = created.consistent_lsn,
                                   .publications = publications,
                                   .publications_count = 1,
                                   .server_version = nw_session_server_version(replica),
                                   .streaming = true,
                                   .binary = true,
                                   .messages = true,
                                   .origin_none = nw_session_server_version(replica) >= 160000};

    must(nw_start_queue(&start, &transmitter, &err));
    must(nw_transmitter_flush(&transmitter, &err));
    next_message(receiver, &message);
    while (message.type == 'N' || message.type == 'S') {
        next_message(receiver, &message);
    }
    assert_int_equal(message.type, 'W');

    run(admin, "INSERT INTO public.streamed SELECT i, 'small' FROM generate_series(1, 3000) i");
    run(admin, "INSERT INTO public.streamed VALUES (0, repeat('x', 5000000))");
    run(admin, "INSERT INTO public.streamed SELECT i, 'small' FROM generate_series(3001, 3999) i");
    while (inserts < 4000) {
        struct nw_replication_message inner;

        next_message(receiver, &message);
        if (message.type != 'd') {
            continue;
        }
        must(nw_replication_message_parse(message.body, &inner, &err));
        if (inner.kind == 'w' && inner.data.at[0] == 'I') {
            inserts++;
        }
        if (inner.kind == 'k' && inner.reply) {
            struct nw_status_update update = {.written_lsn = inner.end_lsn, .now_us = 1};
            uint8_t bytes[NW_STATUS_UPDATE_SIZE];

            nw_status_update_build(&update, bytes);
            must(nw_transmitter_queue(&transmitter, 'd', bytes, sizeof bytes, &err));
            must(nw_transmitter_flush(&transmitter, &err));
        }
    }

    /* A status update with a flush position is believed. */
    struct nw_status_update update = {.written_lsn = created.consistent_lsn + 8,
                                      .flushed_lsn = created.consistent_lsn + 8,
                                      .applied_lsn = created.consistent_lsn + 8,
                                      .now_us = 1700000000000000,
                                      .reply = true};
    uint8_t bytes[NW_STATUS_UPDATE_SIZE];

    nw_status_update_build(&update, bytes);
    must(nw_transmitter_queue(&transmitter, 'd', bytes, sizeof bytes, &err));
    must(nw_transmitter_flush(&transmitter, &err));
    do {
        next_message(receiver, &message);
    } while (message.type != 'd' || message.body.at[0] != 'k');

    /* Any keepalive may have come first. */
    for (int i = 0; i < 100; i++) {
        struct nw_rows *rows = NULL;

        must(nw_session_query(admin, "SELECT flush_lsn, reply_time::date FROM pg_stat_replication",
                              NULL, 0, NULL, &rows, &err));
        flushed = nw_rows_lsn(rows, 0, 0);
        if (flushed != 0 && nw_rows_text(rows, 0, 1)[0] == '2') {
            (void)snprintf(date, sizeof date, "%s", nw_rows_text(rows, 0, 1));
        }
        nw_rows_free(rows);
        if (flushed == created.consistent_lsn + 8) {
            break;
        }
        (void)usleep(10000);
    }
    assert_true(flushed == created.consistent_lsn + 8);
    assert_string_equal(date, "2023-11-14");

    nw_receiver_destroy(receiver);
    nw_transmitter_fini(&transmitter);
    stream->ops->destroy(stream);
    nw_session_close(replica);
    run(admin, "DROP PUBLICATION \"p \"\"q\"\", 'r'\"");
    run(admin, "DROP TABLE public.streamed");
    nw_session_close(admin);
}

static void a_tcp_stream_is_taken_over(void **state)
{
    (void)state;
    stream_over(TCP);
}

static void a_unix_stream_is_taken_over(void **state)
{
    (void)state;
    stream_over(UNIX);
}

static void a_tls_stream_is_taken_over(void **state)
{
    (void)state;
    stream_over(TLS);
}

static void a_server_that_ends_the_stream_is_a_retry(void **state)
{
    (void)state;
    for (int transport = 0; transport < TRANSPORTS; transport++) {
        struct nw_session *admin = open_dsn(dsn_of(UNIX), false);
        struct nw_session *replica = open_dsn(dsn_of(transport), true);
        struct nw_stream *stream = NULL;
        struct nw_receiver *receiver = NULL;
        struct nw_message message;
        struct nw_server_error said;
        size_t got = 0;
        nw_status status;
        char sql[64];

        must(nw_session_take_stream(replica, &stream, &err));
        must(nw_receiver_create(stream, &receiver, &err));
        (void)snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%d, 5000)",
                       nw_session_backend_pid(replica));
        run(admin, sql);
        next_message(receiver, &message);
        assert_int_equal(message.type, 'E');
        nw_server_error_parse(message.body, &said);
        assert_string_equal(said.severity, "FATAL");
        assert_string_equal(said.sqlstate, "57P01");
        do {
            status = nw_receiver_fill(receiver, now_ns(), &got, &err);
        } while (status == NW_AGAIN);
        assert_int_equal(status, NW_RETRY);
        assert_non_null(strstr(err.text, "the server"));
        nw_receiver_destroy(receiver);
        stream->ops->destroy(stream);
        nw_session_close(replica);
        nw_session_close(admin);
    }
}

static void slots_are_dropped_by_name(void **state)
{
    struct nw_session *replica = open_dsn(dsn_of(TCP), true);
    const struct nw_slot_request request = {.name = "to_drop"};
    const struct nw_slot_request wrong = {.name = "To drop"};
    struct nw_slot_created created;
    char sqlstate[6];

    (void)state;
    assert_int_equal(nw_replication_create_slot(replica, &wrong, sqlstate, &created, &err),
                     NW_FATAL);
    assert_non_null(strstr(err.text, "\"To drop\" cannot be the name of a slot"));
    must(nw_replication_create_slot(replica, &request, sqlstate, &created, &err));
    assert_string_equal(created.snapshot, "");
    assert_int_equal(nw_replication_create_slot(replica, &request, sqlstate, &created, &err),
                     NW_FATAL);
    assert_string_equal(sqlstate, "42710");
    must(nw_replication_drop_slot(replica, "to_drop", true, sqlstate, &err));
    assert_int_equal(nw_replication_drop_slot(replica, "to_drop", false, sqlstate, &err), NW_FATAL);
    assert_string_equal(sqlstate, "42704");
    nw_session_close(replica);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pinned_settings_hold_on_every_transport_and_kind),
        cmocka_unit_test(parameters_nulls_and_lsns_come_back),
        cmocka_unit_test(a_refused_statement_is_fatal_and_a_lock_timeout_is_not),
        cmocka_unit_test(a_killed_backend_is_a_retry),
        cmocka_unit_test(a_statement_is_cancelled_from_another_thread),
        cmocka_unit_test(refusals_say_what_to_do),
        cmocka_unit_test(passwords_passfiles_services_and_host_lists_work),
        cmocka_unit_test(a_host_that_hangs_does_not_use_up_the_others_time),
        cmocka_unit_test(a_tcp_stream_is_taken_over),
        cmocka_unit_test(a_unix_stream_is_taken_over),
        cmocka_unit_test(a_tls_stream_is_taken_over),
        cmocka_unit_test(a_server_that_ends_the_stream_is_a_retry),
        cmocka_unit_test(slots_are_dropped_by_name),
    };

    if (getenv("NW_TEST_PORT") == NULL) {
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
