/* SPDX-License-Identifier: Apache-2.0 */
/* The receiver and the transmitter over socket pairs and loopback TCP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "pg/stream_open.h"

#define MS 1000000

struct pair {
    int ours, theirs; /* theirs blocks */
    struct nw_stream *stream;
    struct nw_receiver *receiver;
};

static struct nw_error err;

static int64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void open_pair(struct pair *pair, bool tcp)
{
    if (tcp) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof address;
        int listener = socket(AF_INET, SOCK_STREAM, 0);
        int on = 1;

        assert_true(listener >= 0);
        assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
        assert_int_equal(listen(listener, 1), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
        pair->ours = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(pair->ours, (struct sockaddr *)&address, size), 0);
        pair->theirs = accept(listener, NULL, NULL);
        assert_true(pair->theirs >= 0);
        assert_int_equal(setsockopt(pair->theirs, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
        (void)close(listener);
    } else {
        int both[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, both), 0);
        pair->ours = both[0];
        pair->theirs = both[1];
    }
    assert_int_equal(nw_stream_open_socket(pair->ours, &pair->stream, &err), NW_OK);
    assert_int_equal(pair->stream->transport, tcp ? NW_TRANSPORT_TCP : NW_TRANSPORT_UNIX);
    assert_int_equal(nw_receiver_create(pair->stream, &pair->receiver, &err), NW_OK);
}

static void close_pair(struct pair *pair)
{
    nw_receiver_destroy(pair->receiver);
    pair->stream->ops->destroy(pair->stream);
    (void)close(pair->ours);
    if (pair->theirs >= 0) {
        (void)close(pair->theirs);
    }
}

static void put_header(uint8_t header[5], char type, size_t body)
{
    uint32_t length = htonl((uint32_t)body + 4);

    header[0] = (uint8_t)type;
    memcpy(header + 1, &length, 4);
}

static void send_all(int descriptor, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    while (size > 0) {
        ssize_t put = send(descriptor, at, size, MSG_NOSIGNAL);

        assert_true(put > 0);
        at += put;
        size -= (size_t)put;
    }
}

/* A message of size bytes, every one of them the low byte of seed. */
static void send_message(struct pair *pair, size_t size, uint8_t seed)
{
    uint8_t *bytes = malloc(size + 5);

    assert_non_null(bytes);
    put_header(bytes, 'd', size);
    memset(bytes + 5, seed, size);
    send_all(pair->theirs, bytes, size + 5);
    free(bytes);
}

static short poll_for(const struct nw_wait *wait, int64_t limit_ns)
{
    int64_t left = wait->deadline_ns - now_ns();
    struct pollfd entry = {.fd = wait->descriptor, .events = wait->events};

    left = left > limit_ns ? limit_ns : left < 0 ? 0 : left;

    struct timespec pause = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};

    assert_true(ppoll(&entry, 1, &pause, NULL) >= 0);
    return entry.revents;
}

/* Wait as an agent would until the next whole message is there, or 5 s have passed. */
static void next_message(struct pair *pair, struct nw_message *message)
{
    int64_t end = now_ns() + 5000 * (int64_t)MS;

    while (nw_receiver_next(pair->receiver, message, &err) == NW_AGAIN) {
        struct nw_wait wait;
        size_t got = 0;

        assert_true(now_ns() < end);
        if (nw_receiver_fill(pair->receiver, now_ns(), &got, &err) == NW_AGAIN) {
            nw_receiver_wait(pair->receiver, now_ns(), &wait);
            (void)poll_for(&wait, end - now_ns());
        }
    }
}

static void expect_message(struct pair *pair, size_t size, uint8_t seed)
{
    struct nw_message message = {0};

    next_message(pair, &message);
    assert_int_equal(message.type, 'd');
    assert_int_equal(message.body.size, size);
    for (size_t i = 0; i < size; i++) {
        if (message.body.at[i] != seed) {
            fail_msg("byte %zu of %zu is %u, not %u", i, size, message.body.at[i], seed);
        }
    }
}

static void a_message_in_pieces_comes_out_whole(void **state)
{
    struct pair pair;
    uint8_t bytes[5 + 7];
    struct nw_message message;

    (void)state;
    open_pair(&pair, false);
    put_header(bytes, 'd', 7);
    memset(bytes + 5, 9, 7);
    for (size_t i = 0; i < sizeof bytes; i++) {
        size_t got = 0;

        assert_int_equal(nw_receiver_next(pair.receiver, &message, &err), NW_AGAIN);
        send_all(pair.theirs, bytes + i, 1);
        /* An hour apart: never too early. */
        assert_int_equal(nw_receiver_fill(pair.receiver, (int64_t)i * 3600000 * MS, &got, &err),
                         NW_OK);
        assert_int_equal(got, 1);
    }
    assert_int_equal(nw_receiver_next(pair.receiver, &message, &err), NW_OK);
    assert_int_equal(message.body.size, 7);
    assert_int_equal(message.body.at[6], 9);
    close_pair(&pair);
}

static void messages_of_all_sizes_keep_their_bytes(void **state)
{
    static const size_t sizes[] = {0, 1, 100,    300000, 1048570, 1048571, 1048576, 2000000,
                                   3, 0, 900000, 400000, 400000,  400000,  5000000, 1};

    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct pair pair;

        open_pair(&pair, tcp == 1);

        pid_t child = fork();

        if (child == 0) {
            for (size_t i = 0; i < 3 * sizeof sizes / sizeof sizes[0]; i++) {
                send_message(&pair, sizes[i % (sizeof sizes / sizeof sizes[0])], (uint8_t)i);
            }
            _exit(0);
        }
        for (size_t i = 0; i < 3 * sizeof sizes / sizeof sizes[0]; i++) {
            expect_message(&pair, sizes[i % (sizeof sizes / sizeof sizes[0])], (uint8_t)i);
        }
        close_pair(&pair);
    }
}

static void a_length_that_no_message_can_have_is_corrupt(void **state)
{
    static const uint32_t lengths[] = {0, 3, 0x7fffffff, 0x80000000, 0xffffffff};

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct pair pair;
        struct nw_message message;
        uint8_t bytes[5] = {'d'};
        uint32_t length = htonl(lengths[i]);
        size_t got = 0;

        open_pair(&pair, false);
        memcpy(bytes + 1, &length, 4);
        send_all(pair.theirs, bytes, sizeof bytes);
        assert_int_equal(nw_receiver_fill(pair.receiver, 0, &got, &err), NW_OK);
        assert_int_equal(nw_receiver_next(pair.receiver, &message, &err), NW_CORRUPT);
        assert_non_null(strstr(err.text, "impossible length"));
        close_pair(&pair);
    }
}

static void what_came_before_the_end_is_delivered_first(void **state)
{
    struct pair pair;
    size_t got = 0;

    (void)state;
    open_pair(&pair, true);
    send_message(&pair, 10, 1);
    send_message(&pair, 10, 2);
    (void)close(pair.theirs);
    pair.theirs = -1;
    expect_message(&pair, 10, 1);
    expect_message(&pair, 10, 2);
    assert_int_equal(nw_receiver_fill(pair.receiver, now_ns() + MS, &got, &err), NW_RETRY);
    assert_non_null(strstr(err.text, "closed the connection"));
    assert_memory_equal(err.text, "NW1117", 6);
    close_pair(&pair);
}

static void an_idle_receiver_wakes_for_one_byte(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct pair pair;
        struct nw_wait wait;
        size_t got = 0;

        open_pair(&pair, tcp == 1);
        assert_int_equal(nw_receiver_fill(pair.receiver, now_ns(), &got, &err), NW_AGAIN);
        nw_receiver_wait(pair.receiver, now_ns(), &wait);
        assert_int_equal(wait.descriptor, pair.ours);
        assert_int_equal(wait.events, POLLIN);
        assert_true(wait.deadline_ns == INT64_MAX);
        assert_int_equal(poll_for(&wait, 5 * MS), 0);
        send_all(pair.theirs, "x", 1);
        assert_int_equal(poll_for(&wait, 2000 * (int64_t)MS), POLLIN);
        assert_int_equal(nw_receiver_fill(pair.receiver, now_ns(), &got, &err), NW_OK);
        assert_int_equal(got, 1);
        close_pair(&pair);
    }
}

/* One large read makes it gather. */
static void make_it_gather(struct pair *pair)
{
    send_message(pair, 70000, 1);
    expect_message(pair, 70000, 1);
}

static void over_tcp_poll_waits_for_the_low_water_mark_and_the_timer_flushes_the_tail(void **state)
{
    struct pair pair;
    struct nw_wait wait;
    size_t got = 0;
    int64_t start;

    (void)state;
    open_pair(&pair, true);
    make_it_gather(&pair);
    start = now_ns();
    send_message(&pair, 5000, 7);
    nw_receiver_wait(pair.receiver, start, &wait);
    assert_int_equal(wait.descriptor, pair.ours);
    assert_true(wait.deadline_ns < start + 2 * MS);

    /* 5 kB are there, and poll does not say so. */
    struct nw_wait patient = wait;

    patient.deadline_ns = INT64_MAX;
    assert_int_equal(poll_for(&patient, 20 * MS), 0);
    assert_int_equal(nw_receiver_fill(pair.receiver, wait.deadline_ns - 900000, &got, &err),
                     NW_AGAIN);
    assert_int_equal(got, 0);
    assert_int_equal(nw_receiver_fill(pair.receiver, wait.deadline_ns, &got, &err), NW_OK);
    assert_int_equal(got, 5005);

    /* With the low-water mark reached it does, before the timer. */
    struct nw_message message;

    assert_int_equal(nw_receiver_next(pair.receiver, &message, &err), NW_OK);
    nw_receiver_wait(pair.receiver, wait.deadline_ns, &wait);
    send_message(&pair, 300000, 8);
    patient = wait;
    patient.deadline_ns = INT64_MAX;
    assert_int_equal(poll_for(&patient, 2000 * (int64_t)MS), POLLIN);
    assert_int_equal(nw_receiver_fill(pair.receiver, wait.deadline_ns - 100000, &got, &err), NW_OK);
    assert_true(got >= 262144);
    close_pair(&pair);
}

static void on_a_unix_socket_a_read_waits_for_its_time_and_not_for_the_descriptor(void **state)
{
    struct pair pair;
    struct nw_wait wait;
    size_t got = 0;

    (void)state;
    open_pair(&pair, false);
    make_it_gather(&pair);
    send_message(&pair, 5000, 7);
    nw_receiver_wait(pair.receiver, now_ns(), &wait);
    assert_int_equal(wait.descriptor, -1);
    assert_true(wait.deadline_ns <= now_ns() + 200000);
    assert_int_equal(nw_receiver_fill(pair.receiver, wait.deadline_ns - 1, &got, &err), NW_AGAIN);
    assert_int_equal(nw_receiver_fill(pair.receiver, wait.deadline_ns, &got, &err), NW_OK);
    assert_int_equal(got, 5005);
    close_pair(&pair);
}

static void reads_that_bring_nothing_lead_back_to_waking_at_once(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct pair pair;
        struct nw_wait wait;
        size_t got = 0;

        open_pair(&pair, tcp == 1);
        make_it_gather(&pair);
        nw_receiver_wait(pair.receiver, now_ns(), &wait);
        assert_true(wait.deadline_ns != INT64_MAX);
        assert_int_equal(nw_receiver_fill(pair.receiver, wait.deadline_ns, &got, &err), NW_AGAIN);
        nw_receiver_wait(pair.receiver, now_ns(), &wait);
        assert_true(wait.deadline_ns == INT64_MAX);
        send_all(pair.theirs, "x", 1);
        assert_int_equal(poll_for(&wait, 2000 * (int64_t)MS), POLLIN);
        close_pair(&pair);
    }
}

static void small_messages_gather_only_when_there_are_many(void **state)
{
    struct pair pair;
    struct nw_wait wait;
    int64_t time = 1000 * (int64_t)MS;
    size_t got = 0;

    (void)state;
    open_pair(&pair, false);
    for (int i = 0; i < 50; i++) { /* 1,000 a second: each is read at once */
        send_message(&pair, 100, 1);
        time += MS;
        assert_int_equal(nw_receiver_fill(pair.receiver, time, &got, &err), NW_OK);
        expect_message(&pair, 100, 1);
    }
    nw_receiver_wait(pair.receiver, time, &wait);
    assert_true(wait.deadline_ns == INT64_MAX);
    for (int i = 0; i < 10; i++) { /* 50,000 a second */
        send_message(&pair, 100, 1);
        time += 20000;
        if (nw_receiver_fill(pair.receiver, time, &got, &err) == NW_OK) {
            struct nw_message message;

            while (nw_receiver_next(pair.receiver, &message, &err) == NW_OK) {
            }
        }
    }
    nw_receiver_wait(pair.receiver, time, &wait);
    assert_true(wait.deadline_ns != INT64_MAX);
    close_pair(&pair);
}

/* Gathers 5,005 bytes until time. */
static void gather_much(struct pair *pair, int64_t time)
{
    struct nw_wait wait;
    size_t got = 0;

    nw_receiver_wait(pair->receiver, time - MS, &wait);
    send_message(pair, 5000, 1);
    assert_int_equal(nw_receiver_fill(pair->receiver, time, &got, &err), NW_OK);
    assert_int_equal(got, 5005);
    expect_message(pair, 5000, 1);
}

static void
after_a_pause_in_much_the_first_read_gathers_again_and_after_silence_it_does_not(void **state)
{
    static const int64_t pauses[] = {2 * (int64_t)MS, 20 * (int64_t)MS};

    (void)state;
    for (size_t i = 0; i < sizeof pauses / sizeof pauses[0]; i++) {
        struct pair pair;
        struct nw_wait wait;
        int64_t time = now_ns();
        size_t got = 0;

        open_pair(&pair, false);
        make_it_gather(&pair);
        time += 1000 * (int64_t)MS;
        gather_much(&pair, time);
        nw_receiver_wait(pair.receiver, time, &wait);
        time += MS;
        assert_int_equal(nw_receiver_fill(pair.receiver, time, &got, &err), NW_AGAIN);
        nw_receiver_wait(pair.receiver, time, &wait);
        assert_int_equal(wait.descriptor, pair.ours); /* what ends the pause is read at once */
        time += pauses[i];
        send_message(&pair, 100, 2);
        assert_int_equal(nw_receiver_fill(pair.receiver, time, &got, &err), NW_OK);
        nw_receiver_wait(pair.receiver, time, &wait);
        assert_true((wait.deadline_ns == INT64_MAX) == (i == 1));
        close_pair(&pair);
    }
}

static void what_was_found_empty_is_not_read_again_before_a_wait(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct pair pair;
        struct nw_wait wait;
        int64_t time = now_ns();
        size_t got = 0;

        open_pair(&pair, tcp == 1);
        assert_int_equal(nw_receiver_fill(pair.receiver, time, &got, &err), NW_AGAIN);
        send_all(pair.theirs, "xy", 2);
        (void)usleep(1000);
        assert_int_equal(nw_receiver_fill(pair.receiver, time, &got, &err), NW_AGAIN);
        nw_receiver_wait(pair.receiver, time, &wait);
        assert_int_equal(poll_for(&wait, 2000 * (int64_t)MS), POLLIN);
        assert_int_equal(nw_receiver_fill(pair.receiver, time, &got, &err), NW_OK);
        assert_int_equal(got, 2);
        /* A thread that never waits looks again after a while. */
        send_all(pair.theirs, "z", 1);
        (void)usleep(1000);
        assert_int_equal(nw_receiver_fill(pair.receiver, time, &got, &err), NW_AGAIN);
        assert_int_equal(nw_receiver_fill(pair.receiver, time + 20000, &got, &err), NW_OK);
        assert_int_equal(got, 1);
        close_pair(&pair);
    }
}

static void unread_messages_are_not_overrun(void **state)
{
    struct pair pair;
    struct nw_wait wait;
    size_t total = 0;

    (void)state;
    open_pair(&pair, false);

    pid_t child = fork();

    if (child == 0) {
        for (int i = 0; i < 30000; i++) {
            send_message(&pair, 95, (uint8_t)i);
        }
        _exit(0);
    }
    for (int i = 0; i < 3000; i++) { /* a reader whose consumer stands still */
        size_t got = 0;

        assert_true(nw_receiver_fill(pair.receiver, now_ns(), &got, &err) <= NW_AGAIN);
        total += got;
        (void)usleep(50);
    }
    assert_true(total > 0 && total <= 1048576);
    nw_receiver_wait(pair.receiver, now_ns(), &wait);
    if (total > 800000) {
        assert_int_equal(wait.descriptor, -1);
        assert_true(wait.deadline_ns == INT64_MAX);
    }
    for (int i = 0; i < 30000; i++) {
        expect_message(&pair, 95, (uint8_t)i);
    }
    close_pair(&pair);
}

static void a_transmitter_keeps_what_the_socket_does_not_take(void **state)
{
    struct pair pair;
    struct nw_transmitter transmitter;
    uint8_t body[50000];
    uint8_t *all = malloc(60 * 50005);
    size_t size = 0;
    nw_status status = NW_OK;
    int queued = 0;

    (void)state;
    assert_non_null(all);
    open_pair(&pair, false);
    nw_transmitter_init(&transmitter, pair.stream);
    for (; queued < 60; queued++) {
        memset(body, queued, sizeof body);
        assert_int_equal(nw_transmitter_queue(&transmitter, 'd', body, sizeof body, &err), NW_OK);
    }
    status = nw_transmitter_flush(&transmitter, &err);
    assert_int_equal(status, NW_AGAIN);
    while (size < 60 * 50005) {
        ssize_t got = recv(pair.theirs, all + size, 60 * 50005 - size, MSG_DONTWAIT);

        if (got > 0) {
            size += (size_t)got;
        }
        status = nw_transmitter_flush(&transmitter, &err);
        assert_true(status == NW_OK || status == NW_AGAIN);
    }
    assert_int_equal(status, NW_OK);
    for (int i = 0; i < 60; i++) {
        uint8_t header[5];

        put_header(header, 'd', sizeof body);
        assert_memory_equal(all + (size_t)i * 50005, header, 5);
        assert_int_equal(all[(size_t)i * 50005 + 5], i);
        assert_int_equal(all[(size_t)i * 50005 + 50004], i);
    }
    /* A peer that never reads is a fault, not memory without end. */
    do {
        status = nw_transmitter_queue(&transmitter, 'd', body, sizeof body, &err);
    } while (status == NW_OK);
    assert_int_equal(status, NW_RETRY);
    nw_transmitter_fini(&transmitter);
    free(all);
    close_pair(&pair);
}

static void writing_to_a_closed_socket_is_a_retry_and_no_signal(void **state)
{
    struct pair pair;
    struct nw_transmitter transmitter;
    nw_status status = NW_OK;

    (void)state;
    open_pair(&pair, true);
    nw_transmitter_init(&transmitter, pair.stream);
    (void)close(pair.theirs);
    pair.theirs = -1;
    for (int i = 0; i < 100 && status == NW_OK; i++) {
        assert_int_equal(nw_transmitter_queue(&transmitter, 'd', "x", 1, &err), NW_OK);
        status = nw_transmitter_flush(&transmitter, &err);
        (void)usleep(1000);
    }
    assert_int_equal(status, NW_RETRY);
    nw_transmitter_fini(&transmitter);
    close_pair(&pair);
}

/* With a limit the head of a large message comes, and the next message after it, whatever the reads
 * bring together. */
static void a_message_above_the_limit_is_cut(void **state)
{
    enum { LARGE = 300000, SMALL = 700, STEP = 4099 };
    uint8_t *bytes = malloc(2 * (5 + LARGE) + 2 * (5 + SMALL));
    uint8_t *at = bytes;
    struct pair pair;
    struct nw_message message = {0};
    uint8_t seen = 0;

    (void)state;
    assert_non_null(bytes);
    for (int i = 0; i < 4; i++) {
        uint32_t size = i % 2 == 0 ? LARGE : SMALL;

        put_header(at, 'd', size);
        memset(at + 5, i + 1, size);
        at += 5 + size;
    }
    open_pair(&pair, false);
    nw_receiver_limit(pair.receiver, 1000);
    for (uint8_t *from = bytes; from < at; from += STEP) {
        size_t got = 0;

        send_all(pair.theirs, from, at - from < STEP ? (size_t)(at - from) : STEP);
        assert_int_equal(
            nw_receiver_fill(pair.receiver, (int64_t)(from - bytes) * 3600000 * MS, &got, &err),
            NW_OK);
        while (nw_receiver_next(pair.receiver, &message, &err) == NW_OK) {
            seen++;
            assert_int_equal(message.body.at[message.body.size - 1], seen);
            assert_int_equal(message.body.size, seen % 2 == 1 ? NW_MESSAGE_HEAD_SIZE : SMALL);
            assert_int_equal(message.cut, seen % 2 == 1 ? LARGE - NW_MESSAGE_HEAD_SIZE : 0);
        }
    }
    assert_int_equal(seen, 4);
    close_pair(&pair);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_in_pieces_comes_out_whole),
        cmocka_unit_test(messages_of_all_sizes_keep_their_bytes),
        cmocka_unit_test(a_message_above_the_limit_is_cut),
        cmocka_unit_test(a_length_that_no_message_can_have_is_corrupt),
        cmocka_unit_test(what_came_before_the_end_is_delivered_first),
        cmocka_unit_test(an_idle_receiver_wakes_for_one_byte),
        cmocka_unit_test(over_tcp_poll_waits_for_the_low_water_mark_and_the_timer_flushes_the_tail),
        cmocka_unit_test(on_a_unix_socket_a_read_waits_for_its_time_and_not_for_the_descriptor),
        cmocka_unit_test(reads_that_bring_nothing_lead_back_to_waking_at_once),
        cmocka_unit_test(small_messages_gather_only_when_there_are_many),
        cmocka_unit_test(
            after_a_pause_in_much_the_first_read_gathers_again_and_after_silence_it_does_not),
        cmocka_unit_test(what_was_found_empty_is_not_read_again_before_a_wait),
        cmocka_unit_test(unread_messages_are_not_overrun),
        cmocka_unit_test(a_transmitter_keeps_what_the_socket_does_not_take),
        cmocka_unit_test(writing_to_a_closed_socket_is_a_retry_and_no_signal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
