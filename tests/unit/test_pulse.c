/* SPDX-License-Identifier: Apache-2.0 */
/* The heartbeat's session, of a server that refuses to set what the statement is to run under. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "pipeline/pulse.h"

#define BEAT "INSERT INTO beats VALUES (1)"

static char folder[] = "/tmp/narwal-pulse-XXXXXX";
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static char seen[1024]; /* the server's thread's, until it ended: c, s and b */
static atomic_uint beats;
static atomic_bool over;

static void seen_add(const char *what)
{
    size_t used = strlen(seen);

    (void)snprintf(seen + used, sizeof seen - used, "%s", what);
}

/* @return false: the other side is gone, or the test is over */
static bool read_all(int client, void *to, size_t size)
{
    uint8_t *at = to;

    while (size > 0) {
        struct pollfd entry = {.fd = client, .events = POLLIN};
        ssize_t got = 0;

        if (atomic_load(&over)) {
            return false;
        }
        if (poll(&entry, 1, 50) <= 0) {
            continue;
        }
        got = read(client, at, size);
        if (got <= 0) {
            return false;
        }
        at += got;
        size -= (size_t)got;
    }
    return true;
}

/* To who may be gone. */
static void message_send(int client, char type, const char *body, size_t size)
{
    uint32_t length = htonl((uint32_t)size + 4);
    char message[128] = {type};

    memcpy(message + 1, &length, sizeof length);
    memcpy(message + 5, body, size);
    (void)send(client, message, size + 5, MSG_NOSIGNAL);
}

/* @return false: the other side is gone */
static bool query_answer(int client)
{
    static const char error[] = "SERROR\0VERROR\0C42501\0Mpermission denied to set parameter\0";
    static uint32_t settings;
    char type = 0;
    char body[512] = "";
    uint32_t size = 0;

    if (!read_all(client, &type, 1) || !read_all(client, &size, 4)) {
        return false;
    }
    size = ntohl(size) - 4;
    if (size >= sizeof body || !read_all(client, body, size) || type != 'Q') {
        return false;
    }
    if (strncmp(body, "SET search_path", 15) == 0) {
        seen_add("s");
        if (settings++ == 0) {
            message_send(client, 'E', error, sizeof error);
            message_send(client, 'Z', "I", 1);
            return true;
        }
    } else if (strcmp(body, BEAT) == 0) {
        seen_add("b");
        (void)atomic_fetch_add(&beats, 1);
    }
    message_send(client, 'C', "SET", 4);
    message_send(client, 'Z', "I", 1);
    return true;
}

static void client_serve(int client)
{
    char body[512];
    uint32_t size = 0;

    if (!read_all(client, &size, 4) || ntohl(size) - 4 > sizeof body ||
        !read_all(client, body, ntohl(size) - 4)) {
        return;
    }
    seen_add("c");
    message_send(client, 'R', "\0\0\0\0", 4);
    message_send(client, 'S',
                 "server_version\0"
                 "15.1",
                 20);
    message_send(client, 'Z', "I", 1);
    while (atomic_load(&beats) < 2 && query_answer(client)) {
    }
}

/* Until there were two beats. */
static void *serve(void *context)
{
    const int *listener = context;

    while (!atomic_load(&over) && atomic_load(&beats) < 2) {
        struct pollfd entry = {.fd = *listener, .events = POLLIN};

        if (poll(&entry, 1, 50) > 0) {
            int client = accept(*listener, NULL, NULL);

            if (client >= 0) {
                client_serve(client);
                (void)close(client);
            }
        }
    }
    (void)close(*listener);
    return NULL;
}

static void a_session_without_its_settings_is_not_used(void **state)
{
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    char dsn[128];
    const struct nw_pg_options options = {.dsn = dsn, .application_name = "narwal"};
    struct nw_pulse *pulse = NULL;
    struct nw_error err = {0};
    pthread_t thread;

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/.s.PGSQL.5432", folder);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 4), 0);
    assert_int_equal(pthread_create(&thread, NULL, serve, &listener), 0);
    (void)snprintf(dsn, sizeof dsn, "host=%s port=5432 user=u dbname=d gssencmode=disable", folder);
    assert_int_equal(nw_pulse_start(&options, BEAT, 1000, &pulse, &err), NW_OK);
    for (int i = 0; i < 600 && atomic_load(&beats) < 2; i++) {
        (void)poll(NULL, 0, 50);
    }
    atomic_store(&over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    nw_pulse_stop(pulse);
    (void)unlink(address.sun_path);
    (void)rmdir(folder);
    assert_string_equal(seen, "cscsbb");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_without_its_settings_is_not_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
