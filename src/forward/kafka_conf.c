/* kafka_conf.c: the properties of librdkafka that the Kafka target sets, and those that its user does. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/secret.h"
#include "kafka_private.h"

enum { VALUE_MAX = 64 /* bytes of a number or a truth value as text */, KILOBYTE = 1024 };

/* What differs from librdkafka's own defaults, and may be replaced by --set. */
static const struct {
    const char *name, *value;
} properties[] = {
    {"client.id", "vodhook"},
    {"acks", "all"},
    {"enable.idempotence", "true"},
    {"partitioner", "murmur2_random"}, /* as Java's clients do it; librdkafka's own is CRC32 */
    {"compression.codec", "lz4"},
    {"linger.ms", "5"},
    {"socket.keepalive.enable", "true"},
    {"reconnect.backoff.max.ms", "10000"},
};

static int set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[KAFKA_ERROR_MAX];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK)
        return 0;
    return log_error_errno(EINVAL, "Failed to set librdkafka's %s: %s", name, why);
}

static int set_number(rd_kafka_conf_t *conf, const char *name, uint64_t value)
{
    char text[VALUE_MAX];
    snprintf(text, sizeof text, "%" PRIu64, value);
    return set(conf, name, text);
}

static int split(const char *setting, char **ret_name, const char **ret_value)
{
    const char *equals = strchr(setting, '=');
    if (!equals || equals == setting)
        return log_error_errno(EINVAL, "%s is not of the form NAME=VALUE", setting);
    *ret_name = strndup(setting, (size_t)(equals - setting));
    if (!*ret_name)
        return log_error_errno(ENOMEM, "Failed to read the setting %s: %m", setting);
    *ret_value = equals + 1;
    return 0;
}

static int set_given(rd_kafka_conf_t *conf, const char *setting)
{
    cleanup_free char *name = NULL;
    const char *value = NULL;
    int r = split(setting, &name, &value);
    return name ? set(conf, name, value) : r;
}

static int check_owner_only(const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && st.st_mode & (S_IRWXG | S_IRWXO))
        return log_error_errno(EPERM, "Others than its owner may read or change %s: chmod 600 %s", path,
                               path);
    return 0;
}

static int set_from_file(rd_kafka_conf_t *conf, const char *setting)
{
    cleanup_free char *name = NULL;
    cleanup(secret_done) struct secret secret = {0};
    const char *path = NULL;
    int r = split(setting, &name, &path);
    if (name && (r = check_owner_only(path)) >= 0)
        r = secret_read(path, &secret);
    return secret.data ? set(conf, name, secret.data) : r;
}

/* As systemd hands it to the service, which has made sure that nobody else can read it. */
static int set_credential(rd_kafka_conf_t *conf)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    char path[PATH_MAX];
    cleanup(secret_done) struct secret secret = {0};
    if (!folder || snprintf(path, sizeof path, "%s/kafka-password", folder) >= (int)sizeof path ||
        access(path, F_OK) < 0)
        return 0;
    int r = secret_read(path, &secret);
    return r < 0 ? r : set(conf, "sasl.password", secret.data);
}

static int get_number(rd_kafka_conf_t *conf, const char *name, uint64_t *ret)
{
    char text[VALUE_MAX];
    size_t size = sizeof text;
    if (rd_kafka_conf_get(conf, name, text, &size) != RD_KAFKA_CONF_OK)
        return log_error_errno(EINVAL, "librdkafka does not know its %s", name);
    *ret = strtoull(text, NULL, 10);
    return 0;
}

static bool is_true(rd_kafka_conf_t *conf, const char *name)
{
    char text[VALUE_MAX];
    size_t size = sizeof text;
    return rd_kafka_conf_get(conf, name, text, &size) == RD_KAFKA_CONF_OK && strcmp(text, "true") == 0;
}

/* What the order of events depends on is not left to --set; see the head of kafka.c. */
static int set_fixed(struct kafka_setup *s)
{
    uint64_t patience = 0;
    int r = get_number(s->conf, "message.timeout.ms", &patience);
    if (r >= 0)
        r = get_number(s->conf, "message.max.bytes", &s->message_max);
    if (r < 0)
        return r;
    s->patience = (int64_t)patience;
    s->idempotent = is_true(s->conf, "enable.idempotence");
    /* Not 0: librdkafka 2.0 works out by it how long a message has lingered, and then has none linger. */
    r = set_number(s->conf, "message.timeout.ms", INT32_MAX);
    if (r >= 0 && s->idempotent)
        r = set(s->conf, "enable.gapless.guarantee", "true");
    if (r >= 0)
        r = set(s->conf, "log.queue", "true");
    if (r >= 0) /* the forwarder bounds what is in flight, but librdkafka must have room for one more */
        r = set_number(s->conf, "queue.buffering.max.kbytes", 2 * (KAFKA_BYTES + s->message_max) / KILOBYTE);
    return r;
}

int kafka_setup_init(struct kafka_setup *s, const struct kafka_config *config)
{
    *s = (struct kafka_setup){.conf = rd_kafka_conf_new()};
    buffer_printf(&s->place, "%s %s", config->brokers, config->topic);
    buffer_putc(&s->place, 0);
    int r = set(s->conf, "bootstrap.servers", config->brokers);
    for (size_t i = 0; r >= 0 && i < sizeof properties / sizeof *properties; i++)
        r = set(s->conf, properties[i].name, properties[i].value);
    if (r >= 0)
        r = set_number(s->conf, "message.max.bytes", KAFKA_MESSAGE_MAX);
    if (r >= 0)
        r = set_number(s->conf, "message.timeout.ms", KAFKA_PATIENCE);
    if (r >= 0)
        r = set_credential(s->conf);
    for (size_t i = 0; r >= 0 && i < config->n_settings; i++)
        r = set_given(s->conf, config->settings[i]);
    for (size_t i = 0; r >= 0 && i < config->n_setting_files; i++)
        r = set_from_file(s->conf, config->setting_files[i]);
    return r < 0 ? r : set_fixed(s);
}

void kafka_setup_done(struct kafka_setup *s)
{
    if (s->conf)
        rd_kafka_conf_destroy(s->conf);
    buffer_done(&s->place);
    *s = (struct kafka_setup){0};
}

/* --- For a table of options ------------------------------------------------------------------------------ */

static bool is_secret(const char *name)
{
    static const char *const secrets[] = {"sasl.password", "ssl.key.password", "ssl.key.pem",
                                          "ssl.keystore.password", "sasl.oauthbearer.client.secret"};
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        if (strcmp(name, secrets[i]) == 0)
            return true;
    return false;
}

/* With a NULL value, whether there is a property of that name. */
static const char *property_error(const char *name, const char *value)
{
    static char why[KAFKA_ERROR_MAX];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_res_t r = rd_kafka_conf_set(conf, name, value ? value : "1", why, sizeof why);
    rd_kafka_conf_destroy(conf);
    if (r == RD_KAFKA_CONF_UNKNOWN)
        return "names no property of librdkafka";
    return r == RD_KAFKA_CONF_OK || !value ? NULL : why;
}

static const char *setting_error(const char *setting, bool from_file)
{
    char name[VALUE_MAX * 2] = "";
    const char *equals = strchr(setting, '=');
    if (!equals || equals == setting)
        return from_file ? "is not of the form NAME=FILE" : "is not of the form NAME=VALUE";
    if ((size_t)(equals - setting) >= sizeof name)
        return "names no property of librdkafka";
    memcpy(name, setting, (size_t)(equals - setting));
    if (from_file)
        return property_error(name, NULL);
    return is_secret(name) ? "is a secret, which has to come from a file: --set-file NAME=FILE"
                           : property_error(name, equals + 1);
}

const char *kafka_setting_error(const char *value)
{
    return setting_error(value, false);
}

const char *kafka_setting_file_error(const char *value)
{
    return setting_error(value, true);
}
