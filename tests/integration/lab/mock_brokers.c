/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brokers that are told what to get wrong: librdkafka's mock cluster, for faults that no real
 * broker makes on demand. It knows nothing of aborted transactions: what was sent is there.
 *
 *     mock_brokers COUNT     prints the brokers' addresses, then takes a command a line and answers
 *                            each with "ok": topic NAME PARTITIONS | rtt BROKER MS | down BROKER |
 *                            up BROKER | errors REQUEST CODE CODE ...
 *
 * The codes are the protocol's; each answers one request of that number. It ends with its input.
 */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CODES_MAX 64

static rd_kafka_resp_err_t errors_push(rd_kafka_mock_cluster_t *cluster, char *rest)
{
    rd_kafka_resp_err_t codes[CODES_MAX];
    char *place = NULL;
    char *word = strtok_r(rest, " \n", &place);
    int request = word == NULL ? -1 : (int)strtol(word, NULL, 10);
    size_t count = 0;

    while (count < CODES_MAX && (word = strtok_r(NULL, " \n", &place)) != NULL) {
        codes[count++] = (rd_kafka_resp_err_t)strtol(word, NULL, 10);
    }
    rd_kafka_mock_push_request_errors_array(cluster, (int16_t)request, count, codes);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t obey(rd_kafka_mock_cluster_t *cluster, char *line)
{
    char name[256];
    int a = 0;
    int b = 0;

    if (sscanf(line, "topic %255s %d", name, &a) == 2) {
        return rd_kafka_mock_topic_create(cluster, name, a, 1);
    }
    if (sscanf(line, "rtt %d %d", &a, &b) == 2) {
        return rd_kafka_mock_broker_set_rtt(cluster, a, b);
    }
    if (sscanf(line, "down %d", &a) == 1) {
        return rd_kafka_mock_broker_set_down(cluster, a);
    }
    if (sscanf(line, "up %d", &a) == 1) {
        return rd_kafka_mock_broker_set_up(cluster, a);
    }
    if (strncmp(line, "errors ", 7) == 0) {
        return errors_push(cluster, line + 7);
    }
    return RD_KAFKA_RESP_ERR__INVALID_ARG;
}

int main(int count, char **words)
{
    char why[512] = "";
    char line[1024];
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), why, sizeof why);
    rd_kafka_mock_cluster_t *cluster =
        client == NULL || count != 2
            ? NULL
            : rd_kafka_mock_cluster_new(client, (int)strtol(words[1], NULL, 10));

    if (cluster == NULL) {
        (void)fprintf(stderr, "mock_brokers COUNT %s\n", why);
        return 2;
    }
    (void)printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
    (void)fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        rd_kafka_resp_err_t code = obey(cluster, line);

        (void)printf("%s\n", code == RD_KAFKA_RESP_ERR_NO_ERROR ? "ok" : rd_kafka_err2str(code));
        (void)fflush(stdout);
    }
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(client);
    return 0;
}
