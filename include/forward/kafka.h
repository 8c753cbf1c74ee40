/* kafka.h: the target that hands events to a Kafka topic. */
#pragma once

#include "forward/target.h"

struct kafka_config {
    const char *brokers; /* "host:port,host:port" */
    const char *topic;

    /* librdkafka's properties as NAME=VALUE, and as NAME=FILE where the value stands in a file that only its
     * owner can read. They replace what kafka_conf.c sets. */
    const char *const *settings, *const *setting_files;
    size_t n_settings, n_setting_files;
};

/* Borrows the configuration for the call only. Returns 0, -EINVAL where a setting is wrong, -ENOMEM or another
 * negative errno; logged. */
int target_kafka_new(const struct target_context *context, const struct kafka_config *config,
                     struct target **ret);

/* Says what is wrong with the value of a --set, or of a --set-file, or NULL; for a table of options. The text
 * is valid until the next call. */
const char *kafka_setting_error(const char *value);
const char *kafka_setting_file_error(const char *value);
