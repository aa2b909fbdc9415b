/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every property that Debezium's connector for PostgreSQL and Connect know, with a value that
 * people give it, and what becomes of it: none is unknown, and none that says something is passed
 * over.
 */
#include "import_kit.h"

#define M NW_DEBEZIUM_MAPPED
#define N NW_DEBEZIUM_NOTHING
#define R NW_DEBEZIUM_REFUSED

static const struct {
    const char *name, *value;
    enum nw_debezium_verdict verdict;
    const char *words; /* in what is printed; NULL: any */
} AUDIT[] = {
    /* clang-format off: a table */
    {"name", "orders", M, NULL},
    {"connector.plugin.version", "3.7.0", N, NULL},
    {"tasks.max", "1", N, NULL},
    {"tasks.max.enforce", "true", N, NULL},
    {"config.action.reload", "restart", N, NULL},
    {"database.hostname", "db", M, "host=db"},
    {"database.port", "5433", M, "port=5433"},
    {"database.user", "u", M, "user=u"},
    {"database.password", "p", M, "${env:NARWAL_PASSWORD}"},
    {"database.dbname", "d", M, "dbname=d"},
    {"database.sslmode", "verify-full", M, "sslmode=verify-full"},
    {"database.sslrootcert", "/ca.pem", M, "sslrootcert=/ca.pem"},
    {"database.sslcert", "/c.pem", M, "sslcert=/c.pem"},
    {"database.sslkey", "/k.pem", M, "sslkey=/k.pem"},
    {"database.sslpassword", "x", R, "decrypt the key"},
    {"database.sslfactory", "x.Y", R, "a class of Java"},
    {"database.tcpKeepAlive", "true", M, "keepalives=1"},
    {"database.initial.statements", "SET x = 1", R, "ALTER ROLE"},
    {"database.query.timeout.ms", "600000", N, NULL},
    {"database.connection.timeout.ms", "1000", R, "libpq"},
    {"database.connection.factory.class", "x.Y", R, "AWS"},
    {"database.include.list", "d", N, NULL},
    {"database.exclude.list", "d", N, NULL},
    {"database.server.name", "x", R, "topic.prefix"},
    {"database.whitelist", "d", R, NULL},
    {"database.blacklist", "d", R, NULL},
    {"database.history", "x", R, NULL},
    {"database.history.kafka.topic", "x", N, NULL},
    {"schema.history.internal.kafka.topic", "x", N, NULL},
    {"schema.history.internal.connector.class", "x", N, NULL},
    {"schema.history.internal.connector.id", "x", N, NULL},
    {"schema.history.internal.ddl.filter", "x", N, NULL},
    {"schema.history.internal.memory.optimization", "x", N, NULL},
    {"schema.history.internal.name", "x", N, NULL},
    {"schema.history.internal.prefer.ddl", "x", N, NULL},
    {"schema.history.internal.skip.unparseable.ddl", "x", N, NULL},
    {"schema.history.internal.store.only.captured.databases.ddl", "x", N, NULL},
    {"schema.history.internal.store.only.captured.tables.ddl", "x", N, NULL},
    {"connection.validation.timeout.ms", "60000", M, "connect_timeout: 1min"},
    {"plugin.name", "pgoutput", N, NULL},
    {"slot.name", "s", M, "name: \"s\""},
    {"slot.drop.on.stop", "false", N, NULL},
    {"slot.drop.on.stop", "true", R, "narwal teardown"},
    {"slot.failover", "true", M, "failover: true"},
    {"slot.stream.params", "origin=none", M, "origin: none"},
    {"slot.max.retries", "6", N, NULL},
    {"slot.retry.delay.ms", "10000", N, NULL},
    {"publication.name", "p", M, "name: \"p\""},
    {"publication.autocreate.mode", "filtered", M, "create: true"},
    {"publication.autocreate.mode", "disabled", M, "create: false"},
    {"publication.autocreate.mode", "no_tables", M, "create: false"},
    {"publish.via.partition.root", "true", N, NULL},
    {"replica.identity.autoset.values", ".*:FULL", R, "ALTER TABLE"},
    {"offset.mismatch.strategy", "no_validation", N, NULL},
    {"lsn.flush.mode", "connector", N, NULL},
    {"lsn.flush.mode", "manual", R, NULL},
    {"lsn.flush.timeout.ms", "30000", N, NULL},
    {"lsn.flush.timeout.action", "fail", N, NULL},
    {"flush.lsn.source", "true", N, NULL},
    {"flush.lsn.source", "false", R, NULL},
    {"status.update.interval.ms", "10000", N, NULL},
    {"xmin.fetch.interval.ms", "0", N, NULL},
    {"xmin.fetch.interval.ms", "500", R, "source.xmin"},
    {"read.only", "false", N, NULL},
    {"schema.refresh.mode", "columns_diff", N, NULL},
    {"snapshot.mode", "initial", M, "snapshot: initial"},
    {"snapshot.mode", "initial_only", M, "snapshot: only"},
    {"snapshot.mode", "no_data", M, "snapshot: never"},
    {"snapshot.mode", "never", M, "snapshot: never"},
    {"snapshot.mode", "when_needed", M, "makes no copy by itself"},
    {"snapshot.mode", "always", R, "narwal table refresh"},
    {"snapshot.mode", "configuration_based", R, NULL},
    {"snapshot.mode", "custom", R, NULL},
    {"snapshot.mode.custom.name", "x", R, NULL},
    {"snapshot.mode.configuration.based.snapshot.data", "true", N, NULL},
    {"snapshot.mode.configuration.based.snapshot.schema", "true", N, NULL},
    {"snapshot.mode.configuration.based.start.stream", "true", N, NULL},
    {"snapshot.mode.configuration.based.snapshot.on.schema.error", "true", N, NULL},
    {"snapshot.mode.configuration.based.snapshot.on.data.error", "true", N, NULL},
    {"snapshot.custom.class", "x.Y", R, NULL},
    {"snapshot.isolation.mode", "serializable", N, NULL},
    {"snapshot.locking.mode", "none", N, NULL},
    {"snapshot.locking.mode", "custom", R, NULL},
    {"snapshot.locking.mode.custom.name", "x", R, NULL},
    {"snapshot.query.mode", "select_all", N, NULL},
    {"snapshot.query.mode", "custom", R, NULL},
    {"snapshot.query.mode.custom.name", "x", R, NULL},
    {"snapshot.lock.timeout.ms", "10000", M, "lock_wait: 10s"},
    {"snapshot.select.statement.overrides", "a.b", M, NULL},
    {"snapshot.select.statement.overrides.a.b", "SELECT 1", N, NULL},
    {"snapshot.include.collection.list", "a.b", M, "where: [\"a.b: true\", \"*: false\"]"},
    {"snapshot.max.threads", "4", M, "workers: 4"},
    {"snapshot.max.threads.multiplier", "2", N, NULL},
    {"legacy.snapshot.max.threads", "true", N, NULL},
    {"snapshot.fetch.size", "1000", N, NULL},
    {"snapshot.tables.order.by.row.count", "descending", N, NULL},
    {"snapshot.delay.ms", "0", N, NULL},
    {"snapshot.delay.ms", "1000", R, NULL},
    {"streaming.delay.ms", "1000", R, NULL},
    {"incremental.snapshot.chunk.size", "1024", N, NULL},
    {"incremental.snapshot.allow.schema.changes", "false", N, NULL},
    {"incremental.snapshot.watermarking.strategy", "insert_delete", N, NULL},
    {"query.fetch.size", "0", N, NULL},
    {"schema.include.list", "a", M, "include: [\"a.*\"]"},
    {"schema.exclude.list", "a", M, "exclude: [\"a.*\"]"},
    {"schema.whitelist", "a", R, "schema.include.list"},
    {"schema.blacklist", "a", R, "schema.exclude.list"},
    {"table.include.list", "a.b", M, "include: [\"a.b\"]"},
    {"table.exclude.list", "a.b", M, "exclude: [\"a.b\"]"},
    {"table.whitelist", "a.b", R, "table.include.list"},
    {"table.blacklist", "a.b", R, "table.exclude.list"},
    {"table.ignore.builtin", "true", N, NULL},
    {"column.include.list", "a.b.c", M, "include_columns: [\"c\"]"},
    {"column.exclude.list", "a.b.c", M, "exclude_columns: [\"c\"]"},
    {"column.whitelist", "a.b.c", R, "column.include.list"},
    {"column.blacklist", "a.b.c", R, "column.exclude.list"},
    {"column.mask.with.3.chars", "a.b.c", M, "mask_text: \"***\""},
    {"column.truncate.to.3.chars", "a.b.c", M, "mask_characters: 3"},
    {"column.mask.hash.SHA-256.with.salt.s", "a.b.c", M, "debezium_v1"},
    {"column.mask.hash.v2.SHA-256.with.salt.s", "a.b.c", M, "debezium_v2"},
    {"column.propagate.source.type", "a.b.c", M, "source_types: [\"a.b.c\"]"},
    {"datatype.propagate.source.type", ".*.text", M, "source_types_of"},
    {"message.key.columns", "a.b:c", M, "keys: [\"a.b:c\"]"},
    {"message.prefix.include.list", "a", M, "messages_include: [\"a\"]"},
    {"message.prefix.exclude.list", "a", M, "messages_exclude: [\"a\"]"},
    {"guardrail.collections.max", "100", N, NULL},
    {"guardrail.collections.limit.action", "warn", N, NULL},
    {"topic.prefix", "p", M, "prefix: \"p\""},
    {"topic.naming.strategy", "io.debezium.schema.SchemaTopicNamingStrategy", M,
     "{prefix}.{schema}.{table}"},
    {"topic.naming.strategy", "x.Y", R, NULL},
    {"topic.delimiter", "-", M, "{prefix}-{schema}-{table}"},
    {"topic.cache.size", "10000", N, NULL},
    {"topic.transaction", "tx", M, NULL},
    {"topic.heartbeat.prefix", "x", M, NULL},
    {"topic.heartbeat.name", "x", M, NULL},
    {"topic.regex", "x", R, "ByLogicalTableRouter"},
    {"topic.replacement", "x", R, "ByLogicalTableRouter"},
    {"topic.key.enforce.uniqueness", "true", R, NULL},
    {"topic.key.field.name", "x", R, NULL},
    {"topic.key.field.regex", "x", R, NULL},
    {"topic.key.field.replacement", "x", R, NULL},
    {"transaction.topic", "x", R, "topic.transaction"},
    {"heartbeat.topics.prefix", "x", R, "topic.heartbeat.prefix"},
    {"provide.transaction.metadata", "true", M, "transactions_topic: \"{prefix}.transaction\""},
    {"transaction.metadata.factory", "x.Y", R, NULL},
    {"heartbeat.interval.ms", "10000", M, "heartbeat: 10s"},
    {"heartbeat.action.query", "SELECT 1", N, "heartbeat.interval.ms is 0"},
    {"topic.creation.enable", "false", M, "create_topics: false"},
    {"topic.creation.default.partitions", "6", M, "partitions: 6"},
    {"topic.creation.default.replication.factor", "3", M, "replication: 3"},
    {"topic.creation.default.cleanup.policy", "compact", M,
     "topic_settings: [\"cleanup.policy=compact\"]"},
    {"topic.creation.default.include", ".*", R, NULL},
    {"topic.creation.default.exclude", "x", R, NULL},
    {"topic.creation.groups", "g", R, NULL},
    {"topic.creation.g.include", "x", R, NULL},
    {"topic.creation.g.partitions", "1", R, NULL},
    {"tombstones.on.delete", "false", M, "tombstones: false"},
    {"skipped.operations", "t", M, "truncates: skip"},
    {"skip.messages.without.change", "true", M, "skip: [\"unchanged\"]"},
    {"extended.headers.enabled", "false", M, "context_headers: false"},
    {"signal.enabled.channels", "source,kafka", M, "signals_topic"},
    {"signal.enabled.channels", "jmx", R, NULL},
    {"signal.data.collection", "a.s", M, "signals_table: \"a.s\""},
    {"signal.kafka.topic", "x", M, NULL},
    {"signal.kafka.bootstrap.servers", "k:9092", M, NULL},
    {"signal.kafka.groupId", "g", N, NULL},
    {"signal.kafka.poll.timeout.ms", "100", N, NULL},
    {"signal.kafka.consumer.offset.commit.enabled", "true", N, NULL},
    {"signal.consumer.security.protocol", "SSL", N, NULL},
    {"signal.poll.interval.ms", "5000", N, NULL},
    {"signal.emit.failure.max.retries", "5", N, NULL},
    {"signal.emit.failure.backoff.ms", "10", N, NULL},
    {"signal.file", "x", R, NULL},
    {"notification.enabled.channels", "log", M, NULL},
    {"notification.sink.topic.name", "x", M, NULL},
    {"toasted.value.placeholder", "x", R, "unavailable.value.placeholder"},
    {"sanitize.field.names", "true", R, "field.name.adjustment.mode"},
    {"truncate.handling.mode", "include", R, "skipped.operations"},
    {"source.struct.version", "v2", N, NULL},
    {"decimal.handling.mode", "double", M, "decimals: double"},
    {"money.fraction.digits", "2", M, "money_digits: 2"},
    {"time.precision.mode", "connect", M, "times: connect"},
    {"interval.handling.mode", "string", M, "intervals: string"},
    {"binary.handling.mode", "base64", M, "binaries: base64"},
    {"hstore.handling.mode", "map", M, "hstores: map"},
    {"include.unknown.datatypes", "true", M, "unknown_types: bytes"},
    {"unavailable.value.placeholder", "x", M, "unavailable: \"x\""},
    {"event.converting.failure.handling.mode", "fail", M, "unfit: reject"},
    {"event.processing.failure.handling.mode", "fail", N, NULL},
    {"event.processing.failure.handling.mode", "warn", R, NULL},
    {"schema.name.adjustment.mode", "avro", M, "schema_names: avro"},
    {"field.name.adjustment.mode", "avro", M, "field_names: avro"},
    {"sourceinfo.struct.maker", "x.Y", R, NULL},
    {"converters", "isbn", R, NULL},
    {"post.processors", "reselector", R, NULL},
    {"value.converter", "org.apache.kafka.connect.json.JsonConverter", M, "format: debezium_json"},
    {"value.converter.schemas.enable", "false", M, "schemas: false"},
    {"value.converter.plugin.version", "1", N, NULL},
    {"key.converter", "org.apache.kafka.connect.storage.StringConverter", M, "key_form: string"},
    {"key.converter.plugin.version", "1", N, NULL},
    {"header.converter", "org.apache.kafka.connect.storage.SimpleHeaderConverter", N, NULL},
    {"header.converter", "x.Y", R, NULL},
    {"header.converter.plugin.version", "1", N, NULL},
    {"transforms", "a", R, NULL},
    {"transforms.a.plugin.version", "1", N, NULL},
    {"predicates", "a", R, NULL},
    {"predicates.a.plugin.version", "1", N, NULL},
    {"producer.override.acks", "all", N, NULL},
    {"producer.override.compression.type", "zstd", M, "compress: zstd"},
    {"producer.override.linger.ms", "5", M, "linger.ms=5"},
    {"producer.override.sasl.mechanism", "GSSAPI", R, NULL},
    {"consumer.override.x", "1", N, NULL},
    {"admin.override.x", "1", N, NULL},
    {"exactly.once.support", "required", M, "delivery: transactional"},
    {"exactly.once.support", "requested", M, "delivery: idempotent"},
    {"transaction.boundary", "interval", N, NULL},
    {"transaction.boundary.interval.ms", "100", N, NULL},
    {"offsets.storage.topic", "x", N, NULL},
    {"include.schema.changes", "true", N, NULL},
    {"include.schema.comments", "false", N, NULL},
    {"include.schema.comments", "true", R, NULL},
    {"memory.management.tables.class", "x.Y", N, NULL},
    {"memory.management.schemas.class", "x.Y", N, NULL},
    {"statistics.metrics.enabled", "true", N, NULL},
    {"custom.sanitize.pattern", "x", N, NULL},
    {"max.batch.size", "2048", N, NULL},
    {"max.queue.size", "8192", N, NULL},
    {"max.queue.size.in.bytes", "0", N, NULL},
    {"queue.provider.type", "x", N, NULL},
    {"poll.interval.ms", "500", N, NULL},
    {"poll.dispatch.interval.ms", "10", N, NULL},
    {"errors.tolerance", "none", N, NULL},
    {"errors.tolerance", "all", R, "dead_letter"},
    {"errors.max.retries", "-1", N, NULL},
    {"errors.retry.timeout", "0", N, NULL},
    {"errors.retry.delay.max.ms", "60000", N, NULL},
    {"errors.retry.delay.initial.ms", "300", N, NULL},
    {"errors.log.enable", "true", N, NULL},
    {"errors.log.include.messages", "true", N, NULL},
    {"errors.deadletterqueue.topic.name", "x", N, NULL},
    {"retriable.restart.connector.wait.ms", "10000", N, NULL},
    {"executor.shutdown.timeout.ms", "4000", N, NULL},
    {"custom.metric.tags", "a=b", N, NULL},
    {"openlineage.integration.enabled", "true", R, NULL},
    {"openlineage.integration.enabled", "false", N, NULL},
    {"openlineage.integration.config.file.path", "x", N, NULL},
    {"openlineage.integration.job.namespace", "x", N, NULL},
    {"openlineage.integration.job.description", "x", N, NULL},
    {"openlineage.integration.job.tags", "a=b", N, NULL},
    {"openlineage.integration.job.owners", "a=b", N, NULL},
    {"openlineage.integration.dataset.kafka.bootstrap.servers", "k:9092", N, NULL},
    {"confluent.license", "x", N, NULL},
    {"driver.x", "1", R, "libpq"},
    {"internal.log.position.check.enable", "true", R, "internal"},
    {"internal.create.slot.command.timeout", "90", R, NULL},
    {"internal.slot.seek.to.known.offset.on.start", "false", R, NULL},
    {"internal.snapshot.scan.all.columns.force", "false", R, NULL},
    {"internal.advanced.metrics.enable", "true", R, NULL},
    {"internal.custom.retriable.exception", "x", R, NULL},
    {"internal.offset.activity.monitor.interval.ms", "1", R, NULL},
    {"no.such.property", "1", R, "no such property"},
    /* clang-format on */
};

#undef M
#undef N
#undef R

/* What is to be written into the file. */
static char *printed(struct nw_debezium *to)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    nw_debezium_print(to, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void every_property_has_its_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof AUDIT / sizeof AUDIT[0]; i++) {
        struct nw_debezium *to = calloc(1, sizeof *to);
        const struct nw_debezium_property *p = NULL;
        struct nw_error err = {0};
        char json[512];
        char *text = NULL;
        size_t refused = 0;

        assert_non_null(to);
        (void)snprintf(json, sizeof json, "{" CLASS ",\"%s\":\"%s\"}", AUDIT[i].name,
                       AUDIT[i].value);
        assert_int_equal(nw_debezium_read(to, json, strlen(json), &err), NW_OK);
        assert_int_equal(nw_debezium_map(to, &refused, &err), NW_OK);
        p = nw_debezium_find(to, AUDIT[i].name);
        text = printed(to);
        if (p == NULL || p->verdict != AUDIT[i].verdict ||
            (AUDIT[i].verdict != NW_DEBEZIUM_MAPPED && (p->why == NULL || *p->why == '\0')) ||
            (AUDIT[i].words != NULL && strstr(text, AUDIT[i].words) == NULL)) {
            fail_msg("%s=%s: verdict %d, wanted %d and %s: %s", AUDIT[i].name, AUDIT[i].value,
                     p == NULL ? -1 : (int)p->verdict, (int)AUDIT[i].verdict, AUDIT[i].words, text);
        }
        free(text);
        nw_debezium_fini(to);
        free(to);
    }
}

/* The list is out of their sources. */
static void every_property_there_ever_was_is_audited(void **state)
{
    FILE *names = fopen(NARWAL_SOURCE_DIR "/tests/unit/vectors/debezium/properties.txt", "re");
    char name[256];

    (void)state;
    assert_non_null(names);
    while (fgets(name, sizeof name, names) != NULL) {
        bool found = false;

        name[strcspn(name, "\n")] = '\0';
        for (size_t i = 0; i < sizeof AUDIT / sizeof AUDIT[0] && !found; i++) {
            found = strcmp(AUDIT[i].name, name) == 0;
        }
        if (!found && name[0] != '\0') {
            fail_msg("%s is not in the table", name);
        }
    }
    assert_int_equal(fclose(names), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_property_has_its_verdict),
        cmocka_unit_test(every_property_there_ever_was_is_audited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
