/* kafka_private.h: what the files of the Kafka target share. */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stdint.h>

#include "forward/kafka.h"

enum {
    KAFKA_IN_FLIGHT = 8192,
    KAFKA_BYTES = 2 * 1024 * 1024,       /* of the bodies in flight together */
    KAFKA_MESSAGE_MAX = 9 * 1024 * 1024, /* message.max.bytes: a body of 8 MB and what is written around it */
    KAFKA_PATIENCE = 60 * 1000,          /* milliseconds to be acknowledged in: message.timeout.ms */
    KAFKA_ERROR_MAX = 512,               /* bytes of librdkafka's messages */
};

/* How a producer is set up, and what this file needs to know of it. */
struct kafka_setup {
    rd_kafka_conf_t *conf; /* owned; each producer gets a copy */
    bool idempotent;
    int64_t patience;     /* milliseconds; 0 for ever */
    uint64_t message_max; /* bytes */
    struct buffer place;  /* "BROKERS TOPIC", for people */
};

/* Logs what is wrong. */
int kafka_setup_init(struct kafka_setup *s, const struct kafka_config *config);
void kafka_setup_done(struct kafka_setup *s);

/* Looks for settings that CKafka and CLS are known to refuse, where the brokers are theirs, and says what is
 * wrong. Returns 0 or -EINVAL. */
int kafka_check_service(const struct kafka_setup *s);

/* The same, and asks the cluster for the topic; says what it found. Returns 0, -EHOSTUNREACH (not logged) where
 * no broker answers, or another negative errno. */
int kafka_check(const struct kafka_setup *s, rd_kafka_t *producer, const char *topic);
