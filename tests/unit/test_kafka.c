/* test_kafka.c: the Kafka target beside librdkafka's mock cluster, which keeps nothing: what is durable is tested on
 * brokers in tests/kafka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "capture.h"
#include "forward/kafka.h"

enum { EVENTS_MAX = 64, WAIT = 30 * 1000 * 1000 /* microseconds */, PRODUCE = 0, INIT_PRODUCER_ID = 22 };
static const char topic[] = "events";

/* What became of an event the last time it was offered. */
struct outcome {
    int count;
    enum target_result result;
    int64_t retry_after;
    char error[256];
};

struct bench {
    rd_kafka_t *owner; /* of the mock cluster */
    rd_kafka_mock_cluster_t *cluster;
    sd_event *loop;
    struct target *target;
    struct target_event events[EVENTS_MAX];
    char ids[EVENTS_MAX][16];
    struct outcome outcomes[EVENTS_MAX];
    int64_t done[EVENTS_MAX]; /* rows, in the order of their outcomes */
    bool in_flight[EVENTS_MAX];
    size_t n_done, n_outcomes;
};

static void on_outcome(void *userdata, const struct target_event *e, const struct target_outcome *o)
{
    struct bench *b = userdata;
    struct outcome *to = &b->outcomes[e->row];
    to->count++;
    to->result = o->result;
    to->retry_after = o->retry_after;
    snprintf(to->error, sizeof to->error, "%s", o->error ? o->error : "");
    b->in_flight[e->row] = false;
    b->n_outcomes++;
    if (o->result == TARGET_DONE)
        b->done[b->n_done++] = e->row;
}

static int make(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
    b->owner = rd_kafka_new(RD_KAFKA_CONSUMER, conf, NULL, 0);
    b->cluster = rd_kafka_mock_cluster_new(b->owner, 3);
    rd_kafka_mock_topic_create(b->cluster, topic, 4, 3);
    assert_int_equal(sd_event_new(&b->loop), 0);
    for (int i = 0; i < EVENTS_MAX; i++) {
        snprintf(b->ids[i], sizeof b->ids[i], "id-%d", i);
        b->events[i] = (struct target_event){.row = i,
                                             .id = b->ids[i],
                                             .key = "5285890784246869930",
                                             .type = "NewFileUpload",
                                             .result = "ok",
                                             .attempt = 1,
                                             .content_type = "application/json",
                                             .body = slice_of("{\"format\":1}")};
    }
    *state = b;
    return 0;
}

static int unmake(void **state)
{
    struct bench *b = *state;
    target_free(b->target);
    sd_event_unref(b->loop);
    rd_kafka_mock_cluster_destroy(b->cluster);
    rd_kafka_destroy(b->owner);
    free(b);
    return 0;
}

/* `settings` ends with a NULL. */
static int open_target(struct bench *b, const char *brokers, const char *const *settings,
                       const char *topic_name)
{
    size_t n = 0;
    while (settings[n])
        n++;
    struct kafka_config config = {.brokers = brokers ? brokers : rd_kafka_mock_cluster_bootstraps(b->cluster),
                                  .topic = topic_name,
                                  .settings = settings,
                                  .n_settings = n};
    struct target_context context = {b->loop, on_outcome, b};
    return target_kafka_new(&context, &config, &b->target);
}

#define OPEN(b, ...) \
    assert_int_equal(open_target(b, NULL, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL}, topic), 0)

static void offer(struct bench *b, int from, int to)
{
    for (int i = from; i < to; i++)
        assert_int_equal(b->target->ops->offer(b->target, &b->events[i]), 0);
}

static void await(struct bench *b, size_t outcomes)
{
    int64_t until = clock_now(CLOCK_MONOTONIC) + WAIT;
    while (b->n_outcomes < outcomes && clock_now(CLOCK_MONOTONIC) < until)
        assert_true(sd_event_run(b->loop, 100 * 1000) >= 0);
    assert_int_equal(b->n_outcomes, outcomes);
}

/* Offers [from, to) until each is done or dead, as the forwarder does: from the lowest on, in their order. */
static void deliver(struct bench *b, int from, int to)
{
    int64_t until = clock_now(CLOCK_MONOTONIC) + WAIT;
    for (int left = to - from; left > 0 && clock_now(CLOCK_MONOTONIC) < until;) {
        left = 0;
        bool full = false;
        for (int i = from; i < to; i++) {
            const struct outcome *o = &b->outcomes[i];
            if (o->count && o->result != TARGET_RETRY)
                continue;
            left++;
            if (full || b->in_flight[i])
                continue;
            full = b->target->ops->offer(b->target, &b->events[i]) != 0;
            b->in_flight[i] = !full;
        }
        sd_event_run(b->loop, 100 * 1000);
    }
}

static void assert_done_in_order(const struct bench *b, size_t n)
{
    assert_int_equal(b->n_done, n);
    for (size_t i = 1; i < n; i++)
        assert_true(b->done[i - 1] < b->done[i]);
}

/* --- What a message is ------------------------------------------------------------------------------------ */

static rd_kafka_message_t *read_one(struct bench *b, rd_kafka_t **ret_consumer)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(b->cluster), NULL, 0);
    rd_kafka_conf_set(conf, "group.id", "test", NULL, 0);
    rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
    rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, NULL, 0);
    rd_kafka_poll_set_consumer(consumer);
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(4);
    for (int i = 0; i < 4; i++)
        rd_kafka_topic_partition_list_add(all, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    assert_int_equal(rd_kafka_assign(consumer, all), 0);
    rd_kafka_topic_partition_list_destroy(all);
    rd_kafka_message_t *m = rd_kafka_consumer_poll(consumer, WAIT / 1000);
    assert_non_null(m);
    assert_int_equal(m->err, 0);
    *ret_consumer = consumer;
    return m;
}

static void free_message(rd_kafka_message_t *m, rd_kafka_t *consumer)
{
    rd_kafka_message_destroy(m);
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
}

static void assert_header(const rd_kafka_message_t *m, const char *name, const char *value)
{
    rd_kafka_headers_t *headers;
    const void *found;
    size_t len;
    assert_int_equal(rd_kafka_message_headers(m, &headers), 0);
    assert_int_equal(rd_kafka_header_get_last(headers, name, &found, &len), 0);
    assert_int_equal(len, strlen(value));
    assert_memory_equal(found, value, len);
}

static void a_message_has_key_headers_and_the_body(void **state)
{
    struct bench *b = *state;
    OPEN(b);
    struct header attributes[] = {{slice_of("specversion"), slice_of("1.0")},
                                  {slice_of("subject"), slice_of("5285")}};
    b->events[0].attributes = attributes;
    b->events[0].n_attributes = 2;
    b->events[0].replay = true;
    offer(b, 0, 1);
    await(b, 1);
    assert_int_equal(b->outcomes[0].result, TARGET_DONE);
    rd_kafka_t *consumer;
    rd_kafka_message_t *m = read_one(b, &consumer);
    assert_int_equal(m->len, b->events[0].body.len);
    assert_memory_equal(m->payload, b->events[0].body.data, m->len);
    assert_int_equal(m->key_len, strlen(b->events[0].key));
    assert_memory_equal(m->key, b->events[0].key, m->key_len);
    /* As org.apache.kafka.common.utils.Utils.murmur2() places it. */
    assert_int_equal(m->partition, 3);
    assert_header(m, "vod-event-id", "id-0");
    assert_header(m, "vod-event-type", "NewFileUpload");
    assert_header(m, "vod-result", "ok");
    assert_header(m, "vod-replay", "true");
    assert_header(m, "content-type", "application/json");
    assert_header(m, "ce_specversion", "1.0");
    assert_header(m, "ce_subject", "5285");
    free_message(m, consumer);
}

/* --- Failures ------------------------------------------------------------------------------------------------ */

static void one_that_is_too_large_is_dead_and_stops_no_other(void **state)
{
    struct bench *b = *state;
    OPEN(b, "message.max.bytes=2000");
    char body[3000];
    memset(body, 'x', sizeof body);
    b->events[2].body = (struct slice){body, sizeof body};
    offer(b, 0, 5);
    await(b, 5);
    assert_int_equal(b->outcomes[2].result, TARGET_DEAD);
    assert_string_equal(b->outcomes[2].error,
                        "its 3000 bytes and its headers are more than message.max.bytes, 2000");
    assert_done_in_order(b, 4);
}

static void the_one_that_a_broker_refuses_is_found_and_dead(void **state)
{
    struct bench *b = *state;
    OPEN(b);
    /* The batch, then two that go well alone, then the one that is refused alone. */
    rd_kafka_mock_push_request_errors(b->cluster, PRODUCE, 4, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
                                      RD_KAFKA_RESP_ERR_NO_ERROR, RD_KAFKA_RESP_ERR_NO_ERROR,
                                      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    deliver(b, 0, 6);
    assert_int_equal(b->outcomes[0].count, 2);
    assert_int_equal(b->outcomes[2].count, 2);
    assert_int_equal(b->outcomes[3].count, 2);
    assert_int_equal(b->outcomes[2].result, TARGET_DEAD);
    assert_non_null(strstr(b->outcomes[2].error, "Message size too large"));
    assert_done_in_order(b, 5);
}

static void a_batch_that_fails_is_offered_again_in_order(void **state)
{
    struct bench *b = *state;
    /* One request at a time, since the mock cluster does not look at sequence numbers: a broker refuses what follows
     * a batch that it refused. */
    OPEN(b, "batch.num.messages=2", "max.in.flight.requests.per.connection=1");
    rd_kafka_mock_push_request_errors(b->cluster, PRODUCE, 2, RD_KAFKA_RESP_ERR_NO_ERROR,
                                      RD_KAFKA_RESP_ERR_UNKNOWN);
    deliver(b, 0, 12);
    assert_done_in_order(b, 12);
    size_t again = b->n_outcomes - 12;
    assert_true(again >= 2);
    assert_int_equal(b->outcomes[0].count, 1);
}

static void errors_that_pass_are_the_librarys(void **state)
{
    struct bench *b = *state;
    OPEN(b, "retry.backoff.ms=10");
    rd_kafka_mock_push_request_errors(b->cluster, PRODUCE, 3, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                                      RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                      RD_KAFKA_RESP_ERR__TRANSPORT);
    offer(b, 0, 10);
    await(b, 10);
    assert_done_in_order(b, 10);
}

static void what_waits_too_long_is_offered_to_a_new_producer(void **state)
{
    struct bench *b = *state;
    OPEN(b, "message.timeout.ms=300", "reconnect.backoff.max.ms=100");
    for (int i = 1; i <= 3; i++)
        rd_kafka_mock_broker_set_down(b->cluster, i);
    offer(b, 0, 4);
    await(b, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(b->outcomes[i].result, TARGET_RETRY);
        assert_int_equal(b->outcomes[i].count, 1);
    }
    assert_non_null(strstr(b->outcomes[0].error, "Message timed out"));
    for (int i = 1; i <= 3; i++)
        rd_kafka_mock_broker_set_up(b->cluster, i);
    deliver(b, 0, 4);
    assert_done_in_order(b, 4);
}

static void a_fatal_error_takes_a_new_producer(void **state)
{
    struct bench *b = *state;
    rd_kafka_mock_push_request_errors(b->cluster, INIT_PRODUCER_ID, 1,
                                      RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);
    OPEN(b);
    offer(b, 0, 3);
    await(b, 3);
    assert_int_equal(b->outcomes[0].result, TARGET_RETRY);
    assert_non_null(strstr(b->outcomes[0].error, "Cluster authorization failed"));
    deliver(b, 0, 3);
    assert_done_in_order(b, 3);
}

static void without_idempotence_one_of_a_key_is_in_flight(void **state)
{
    struct bench *b = *state;
    OPEN(b, "enable.idempotence=false");
    b->events[2].key = "another";
    offer(b, 0, 1);
    assert_int_equal(b->target->ops->offer(b->target, &b->events[1]), TARGET_FULL);
    offer(b, 2, 3);
    await(b, 2);
    offer(b, 1, 2);
    await(b, 3);
    assert_int_equal(b->n_done, 3);
}

static void nothing_is_in_flight_after_cancel(void **state)
{
    struct bench *b = *state;
    OPEN(b);
    for (int i = 1; i <= 3; i++)
        rd_kafka_mock_broker_set_down(b->cluster, i);
    offer(b, 0, 5);
    b->target->ops->cancel(b->target);
    assert_int_equal(b->n_outcomes, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(b->outcomes[i].result, TARGET_RETRY);
    for (int i = 1; i <= 3; i++)
        rd_kafka_mock_broker_set_up(b->cluster, i);
    deliver(b, 0, 5); /* it may be used on, as after a pause */
    assert_done_in_order(b, 5);
}

static void cancel_takes_what_is_being_acknowledged(void **state)
{
    struct bench *b = *state;
    OPEN(b);
    offer(b, 0, 1);
    await(b, 1); /* it is connected */
    offer(b, 1, 6);
    b->target->ops->cancel(b->target);
    assert_int_equal(b->n_outcomes, 6);
    assert_done_in_order(b, 6);
}

/* --- Settings -------------------------------------------------------------------------------------------------- */

static void settings_are_checked(void **state)
{
    (void)state;
    assert_null(kafka_setting_error("linger.ms=50"));
    assert_null(kafka_setting_error("acks=1"));
    assert_null(kafka_setting_error("ssl.ca.location=/etc/ssl/a=b.pem"));
    assert_string_equal(kafka_setting_error("linger.ms"), "is not of the form NAME=VALUE");
    assert_string_equal(kafka_setting_error("=5"), "is not of the form NAME=VALUE");
    assert_string_equal(kafka_setting_error("no.such.thing=5"), "names no property of librdkafka");
    assert_non_null(strstr(kafka_setting_error("linger.ms=many"), "Invalid value"));
    assert_non_null(strstr(kafka_setting_error("sasl.password=hunter2"), "--set-file"));
    assert_null(kafka_setting_file_error("sasl.password=/etc/vodhook/kafka-password"));
    assert_string_equal(kafka_setting_file_error("sasl.pass=/etc/x"), "names no property of librdkafka");
    assert_string_equal(kafka_setting_file_error("sasl.password"), "is not of the form NAME=FILE");
}

static struct capture err;

static int check(struct bench *b, const char *brokers, const char *const *settings, const char *topic_name)
{
    capture_begin(&err, STDERR_FILENO);
    int r = open_target(b, brokers, settings, topic_name);
    if (r == 0)
        r = b->target->ops->check(b->target);
    b->target = target_free(b->target);
    capture_end(&err);
    return r;
}

#define CHECK(b, brokers, topic_name, ...) \
    check(b, brokers, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL}, topic_name)

static void check_asks_for_the_topic(void **state)
{
    struct bench *b = *state;
    assert_int_equal(CHECK(b, NULL, topic), 0);
    assert_non_null(strstr(err.text, "The topic events has 4 partitions on a cluster of 3 brokers"));
    assert_int_equal(CHECK(b, NULL, "other"), -ENOENT);
    assert_non_null(strstr(err.text, "The cluster knows no topic other"));
}

static void check_finds_a_cluster_without_idempotence(void **state)
{
    struct bench *b = *state;
    rd_kafka_mock_set_apiversion(b->cluster, INIT_PRODUCER_ID, -1, -1);
    assert_int_equal(CHECK(b, NULL, topic), -ENOTSUP);
    assert_non_null(strstr(err.text, "--set enable.idempotence=false"));
    assert_int_equal(CHECK(b, NULL, topic, "enable.idempotence=false"), 0);
}

static void check_knows_what_cls_takes(void **state)
{
    struct bench *b = *state;
    static const char cls[] = "gz-producer.cls.tencentcs.invalid:9096";
    assert_int_equal(CHECK(b, cls, "topic", "compression.codec=zstd"), -EINVAL);
    assert_non_null(strstr(err.text, "CLS takes security.protocol=SASL_PLAINTEXT"));
    assert_non_null(strstr(err.text, "CLS takes the logset's ID as sasl.username"));
    assert_non_null(strstr(err.text, "SecretId#SecretKey"));
    assert_non_null(strstr(err.text, "not compression.codec=zstd"));
    assert_non_null(strstr(err.text, "--set message.max.bytes=5242880"));
    assert_int_equal(CHECK(b, cls, "topic", "security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN",
                           "sasl.username=0f8e4b82-8adb-47b1-9d5e-3a1b2c3d4e5f", "compression.codec=gzip",
                           "message.max.bytes=5242880"),
                     -EINVAL);
    assert_null(strstr(err.text, "logset"));
    assert_null(strstr(err.text, "compression"));
    assert_non_null(strstr(err.text, "SecretId#SecretKey"));
}

static void check_knows_what_ckafka_takes(void **state)
{
    struct bench *b = *state;
    static const char ckafka[] = "ckafka-7q2mzx8v.ap-guangzhou.ckafka.tencentcloudmq.invalid:50001";
    assert_int_equal(CHECK(b, ckafka, "topic", "security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN",
                           "sasl.username=vodhook"),
                     -EINVAL);
    assert_non_null(strstr(err.text, "INSTANCE#USER"));
    assert_non_null(strstr(err.text, "--set-file sasl.password=FILE"));
}

static void a_secret_that_others_can_read_is_refused(void **state)
{
    struct bench *b = *state;
    char *folder = make_folder();
    char *path = make_file(folder, "password", "s3cret\n", 7, 0640), *setting;
    assert_true(asprintf(&setting, "sasl.password=%s", path) > 0);
    struct kafka_config config = {.brokers = "127.0.0.1:1",
                                  .topic = topic,
                                  .setting_files = (const char *const[]){setting},
                                  .n_setting_files = 1};
    struct target_context context = {b->loop, on_outcome, b};
    capture_begin(&err, STDERR_FILENO);
    int r = target_kafka_new(&context, &config, &b->target);
    capture_end(&err);
    assert_int_equal(r, -EPERM);
    assert_non_null(strstr(err.text, "chmod 600"));
    unlink(path);
    rmdir(folder);
    free(folder), free(path), free(setting);
}

static void a_services_password_is_a_credential(void **state)
{
    struct bench *b = *state;
    char *folder = make_folder();
    char *path = make_file(folder, "kafka-password", "s3cret\n", 7, 0440);
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    /* Without a password, librdkafka makes no producer for PLAIN. */
    int r = CHECK(b, "127.0.0.1:1", topic, "security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN",
                  "sasl.username=x", "socket.connection.setup.timeout.ms=1000");
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_int_equal(r, -EHOSTUNREACH);
    assert_non_null(strstr(err.text, "Failed to ask 127.0.0.1:1 events"));
    unlink(path);
    rmdir(folder);
    free(folder), free(path);
}

static void a_secret_comes_from_its_file(void **state)
{
    struct bench *b = *state;
    char *folder = make_folder();
    char *path = make_file(folder, "password", "s3cret\n", 7, 0600), *setting, *absent;
    assert_true(asprintf(&setting, "sasl.password=%s", path) > 0);
    assert_true(asprintf(&absent, "sasl.password=%s/none", folder) > 0);
    struct kafka_config config = {.brokers = "127.0.0.1:1",
                                  .topic = topic,
                                  .setting_files = (const char *const[]){setting},
                                  .n_setting_files = 1};
    struct target_context context = {b->loop, on_outcome, b};
    capture_begin(&err, STDERR_FILENO);
    int given = target_kafka_new(&context, &config, &b->target);
    config.setting_files = (const char *const[]){absent};
    struct target *other = NULL;
    int missing = target_kafka_new(&context, &config, &other);
    capture_end(&err);
    assert_int_equal(given, 0);
    assert_true(missing < 0);
    assert_null(strstr(err.text, "s3cret"));
    unlink(path);
    rmdir(folder);
    free(folder), free(path), free(setting), free(absent);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, unmake)
    const struct CMUnitTest tests[] = {
        TEST(a_message_has_key_headers_and_the_body),
        TEST(one_that_is_too_large_is_dead_and_stops_no_other),
        TEST(the_one_that_a_broker_refuses_is_found_and_dead),
        TEST(a_batch_that_fails_is_offered_again_in_order),
        TEST(errors_that_pass_are_the_librarys),
        TEST(what_waits_too_long_is_offered_to_a_new_producer),
        TEST(a_fatal_error_takes_a_new_producer),
        TEST(without_idempotence_one_of_a_key_is_in_flight),
        TEST(nothing_is_in_flight_after_cancel),
        TEST(cancel_takes_what_is_being_acknowledged),
        TEST(settings_are_checked),
        TEST(check_asks_for_the_topic),
        TEST(check_finds_a_cluster_without_idempotence),
        TEST(check_knows_what_cls_takes),
        TEST(check_knows_what_ckafka_takes),
        TEST(a_secret_comes_from_its_file),
        TEST(a_secret_that_others_can_read_is_refused),
        TEST(a_services_password_is_a_credential),
    };
    return cmocka_run_group_tests_name("kafka", tests, NULL, NULL);
}
