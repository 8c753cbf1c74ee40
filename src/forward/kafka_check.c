/* kafka_check.c: looks whether a Kafka topic would take events, without sending one. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "kafka_private.h"

enum {
    METADATA_WAIT = 10 * 1000, /* milliseconds */
    CONFIG_WAIT = 2 * 1000,
    FATAL_WAIT = 1000,                 /* for word that the cluster knows no idempotent producers */
    CLS_MESSAGE_MAX = 5 * 1024 * 1024, /* bytes. Source: CLS, "Kafka protocol upload", document 614/109847 */
    VALUE_MAX = 512,
};

/* --- What services are known to refuse ------------------------------------------------------------------- */

static bool has(const struct kafka_setup *s, const char *name, const char *wanted)
{
    char value[VALUE_MAX] = "";
    size_t size = sizeof value;
    return rd_kafka_conf_get(s->conf, name, value, &size) == RD_KAFKA_CONF_OK &&
           strcasecmp(value, wanted) == 0;
}

static bool is_set(const struct kafka_setup *s, const char *name)
{
    size_t size = 0;
    return rd_kafka_conf_get(s->conf, name, NULL, &size) == RD_KAFKA_CONF_OK && size > 1;
}

/* Whether a property's text has the character; a secret stays where it is. */
static bool has_character(const struct kafka_setup *s, const char *name, char c)
{
    char value[VALUE_MAX] = "";
    size_t size = sizeof value;
    bool found = rd_kafka_conf_get(s->conf, name, value, &size) == RD_KAFKA_CONF_OK && strchr(value, c);
    explicit_bzero(value, sizeof value);
    return found;
}

static int wrong(const char *service, const char *what)
{
    return log_error_errno(EINVAL, "%s %s", service, what);
}

/* CLS takes events as logs. Source: CLS, "Uploading Log over Kafka", document 614/43574. */
static int check_cls(const struct kafka_setup *s)
{
    static const char cls[] = "CLS";
    int r = 0;
    if (!has(s, "security.protocol", "sasl_plaintext") || !has(s, "sasl.mechanism", "PLAIN"))
        r = wrong(cls, "takes security.protocol=SASL_PLAINTEXT and sasl.mechanism=PLAIN only");
    if (!has_character(s, "sasl.username", '-') || has_character(s, "sasl.username", '#'))
        r = wrong(cls, "takes the logset's ID as sasl.username");
    if (!has_character(s, "sasl.password", '#'))
        r = wrong(cls, "takes SecretId#SecretKey as sasl.password; give it by --set-file");
    if (has(s, "compression.codec", "zstd"))
        r = wrong(cls, "knows gzip, snappy and lz4, but not compression.codec=zstd");
    if (s->message_max > CLS_MESSAGE_MAX)
        r = wrong(cls, "takes messages of at most 5 MB: --set message.max.bytes=5242880");
    return r;
}

/* A user of CKafka is known by the instance and the name that the console shows: INSTANCE#USER. */
static int check_ckafka(const struct kafka_setup *s)
{
    if (has(s, "security.protocol", "plaintext") || has(s, "security.protocol", "ssl"))
        return 0; /* inside of a VPC */
    int r = 0;
    if (!has(s, "sasl.mechanism", "PLAIN") && !has(s, "sasl.mechanism", "SCRAM-SHA-256") &&
        !has(s, "sasl.mechanism", "SCRAM-SHA-512"))
        r = wrong("CKafka", "takes sasl.mechanism=PLAIN");
    if (!has_character(s, "sasl.username", '#'))
        r = wrong("CKafka",
                  "takes a sasl.username of the form INSTANCE#USER, such as ckafka-7q2mzx8v#vodhook");
    if (!is_set(s, "sasl.password"))
        r = wrong("CKafka", "needs the user's password: --set-file sasl.password=FILE");
    return r;
}

int kafka_check_service(const struct kafka_setup *s)
{
    char brokers[VALUE_MAX * 4] = "";
    size_t size = sizeof brokers;
    if (rd_kafka_conf_get(s->conf, "bootstrap.servers", brokers, &size) != RD_KAFKA_CONF_OK)
        return 0;
    if (strstr(brokers, "-producer.cls.tencent"))
        return check_cls(s);
    return strstr(brokers, ".ckafka.") ? check_ckafka(s) : 0;
}

/* --- What the cluster says ------------------------------------------------------------------------------- */

static int check_topic(rd_kafka_t *producer, const char *topic)
{
    /* All topics, since asking for one can make it. */
    const struct rd_kafka_metadata *known;
    rd_kafka_resp_err_t err = rd_kafka_metadata(producer, 1, NULL, &known, METADATA_WAIT);
    if (err)
        return -EHOSTUNREACH;
    const rd_kafka_metadata_topic_t *found = NULL;
    for (int i = 0; i < known->topic_cnt; i++)
        if (strcmp(known->topics[i].topic, topic) == 0)
            found = &known->topics[i];
    int r = 0;
    if (!found)
        r = log_error_errno(ENOENT, "The cluster knows no topic %s that may be seen with these settings",
                            topic);
    else if (found->err)
        r = log_error_errno(EIO, "The topic %s cannot be used: %s", topic, rd_kafka_err2str(found->err));
    else
        log_info("The topic %s has %d partitions on a cluster of %d brokers", topic, found->partition_cnt,
                 known->broker_cnt);
    rd_kafka_metadata_destroy(known);
    return r;
}

static void compare_size(rd_kafka_event_t *event, const char *topic, uint64_t message_max)
{
    size_t n, entries;
    const rd_kafka_ConfigResource_t **resources =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &n);
    if (!n || rd_kafka_ConfigResource_error(resources[0]))
        return;
    const rd_kafka_ConfigEntry_t **entry = rd_kafka_ConfigResource_configs(resources[0], &entries);
    for (size_t i = 0; i < entries; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entry[i]);
        if (!value || strcmp(rd_kafka_ConfigEntry_name(entry[i]), "max.message.bytes") != 0)
            continue;
        uint64_t most = strtoull(value, NULL, 10);
        if (most < message_max)
            log_warning("The topic %s takes messages of at most %" PRIu64
                        " bytes (max.message.bytes): a larger"
                        " event will be a dead letter",
                        topic, most);
    }
}

/* Services that do not tell the settings of a topic are taken as they are. */
static void check_size(rd_kafka_t *producer, const char *topic, uint64_t message_max)
{
    char why[KAFKA_ERROR_MAX];
    rd_kafka_queue_t *answers = rd_kafka_queue_new(producer);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(producer, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_AdminOptions_set_request_timeout(options, CONFIG_WAIT, why, sizeof why);
    rd_kafka_DescribeConfigs(producer, &resource, 1, options, answers);
    rd_kafka_event_t *event = rd_kafka_queue_poll(answers, CONFIG_WAIT + FATAL_WAIT);
    if (event && !rd_kafka_event_error(event))
        compare_size(event, topic, message_max);
    rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_queue_destroy(answers);
}

static int check_idempotence(rd_kafka_t *producer)
{
    char why[KAFKA_ERROR_MAX];
    rd_kafka_poll(producer, FATAL_WAIT);
    if (!rd_kafka_fatal_error(producer, why, sizeof why))
        return 0;
    return log_error_errno(
        ENOTSUP, "The cluster takes no idempotent producer (%s): --set enable.idempotence=false", why);
}

int kafka_check(const struct kafka_setup *s, rd_kafka_t *producer, const char *topic)
{
    int r = kafka_check_service(s);
    if (r >= 0)
        r = check_topic(producer, topic);
    if (r >= 0)
        check_size(producer, topic, s->message_max);
    if (r >= 0 && s->idempotent)
        r = check_idempotence(producer);
    return r;
}
