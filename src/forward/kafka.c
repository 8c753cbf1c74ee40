/* kafka.c: hands events to a Kafka topic by librdkafka, without a retry that changes their order.
 *
 * librdkafka sends a partition's messages in order as long as it may retry by itself. Order is lost when it
 * gives up a message, tells us so, and has sent later ones before we can act. So it must never give up one and
 * go on:
 *
 * - Idempotent, as it is by default: message.timeout.ms is 24 days, since a message that timed out lets
 *   later ones pass. enable.gapless.guarantee makes a batch that the broker refuses a fatal error, after which nothing
 *   is sent. Events of one key may be in flight together.
 * - Not idempotent, for services that cannot be: librdkafka has no such guarantee then, so at most one event
 *   of a key is in flight.
 *
 * On any failure, and when the oldest event in flight waited longer than the patience, the producer is
 * destroyed: nothing is sent after that. Each event in flight that was not acknowledged is RETRY, also one
 * that librdkafka calls possibly persisted: it is neither lost nor done. The forwarder offers them again from
 * the lowest row on, to a new producer. What the old one left in a broker's socket is a run of events in
 * order too, so the first copies of them stay in order whichever comes first.
 *
 * An event that is larger than message.max.bytes is DEAD before it reaches the queue. A broker that refuses a
 * message refuses the batch it is in: then events go one at a time, as many as were in flight, and the one
 * that is refused when it is alone is DEAD.
 *
 * librdkafka's threads do the network; their reports, errors and logs are read on the loop when the eventfd
 * says that there are some. */
#include "forward/kafka.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rate_limit.h"
#include "kafka_private.h"

enum {
    CANCEL_WAIT = 500, /* milliseconds for acknowledgements that are under way when the program ends */
    RETRY_AFTER = 1000 * 1000, /* microseconds: librdkafka itself waits for brokers, and longer each time */
    RETRY_AT_ONCE = 1,
    NICE = 10,
    HEADERS_USUAL = 8, /* a hint for librdkafka */
    LOG_BURST = 5,     /* lines of librdkafka; it writes one at each attempt to connect */
};
#define LOG_RATE (1 / 60.0) /* lines a second after that */

/* An event that was offered and has no outcome yet. */
struct flight {
    struct flight *next, *previous;
    const struct target_event *event;
    int64_t offered; /* microseconds of the monotonic clock */
    bool too_large;  /* was never given to librdkafka */
};

struct kafka {
    struct target target;
    struct kafka_setup setup;
    char *topic;
    rd_kafka_t *producer; /* NULL after a failure, until the next offer */
    rd_kafka_topic_t *handle;
    int wakeup; /* an eventfd that librdkafka writes to when it has something to tell */
    sd_event_source *on_wakeup, *on_turn, *on_patience;

    struct flight *first, *last; /* in the order of their offers */
    size_t n_flights;
    size_t n_alone; /* how many of the next outcomes have to come one at a time */

    rd_kafka_resp_err_t failure; /* why the producer has to go; 0 while it is well */
    struct flight *blamed;       /* the event that the failure is about; NULL where it is about none */
    char error[KAFKA_ERROR_MAX]; /* the last that librdkafka told since the last acknowledgement */
    struct rate_limit log_rate;
};

/* --- Events in flight ----------------------------------------------------------------------------------- */

static struct flight *flight_add(struct kafka *k, const struct target_event *e)
{
    struct flight *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->event = e;
    f->offered = clock_now(CLOCK_MONOTONIC);
    f->previous = k->last;
    *(k->last ? &k->last->next : &k->first) = f;
    k->last = f;
    k->n_flights++;
    return f;
}

static void flight_remove(struct kafka *k, struct flight *f)
{
    *(f->previous ? &f->previous->next : &k->first) = f->next;
    *(f->next ? &f->next->previous : &k->last) = f->previous;
    k->n_flights--;
    free(f);
}

static void flight_end(struct kafka *k, struct flight *f, const struct target_outcome *o)
{
    const struct target_event *e = f->event;
    flight_remove(k, f);
    if (o->result != TARGET_RETRY && k->n_alone)
        k->n_alone--;
    k->target.context.outcome(k->target.context.userdata, e, o);
}

static bool key_in_flight(const struct kafka *k, const char *key)
{
    for (const struct flight *f = k->first; f; f = f->next)
        if (strcmp(f->event->key, key) == 0)
            return true;
    return false;
}

/* --- What librdkafka tells: called from rd_kafka_poll() on the loop --------------------------------------- */

static void on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *userdata)
{
    static const struct target_outcome done = {.result = TARGET_DONE};
    (void)producer;
    struct kafka *k = userdata;
    struct flight *f = message->_private;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        k->error[0] = '\0';
        flight_end(k, f, &done);
    } else if (!k->blamed) {
        k->failure = message->err;
        k->blamed = f;
    }
}

static void on_error(rd_kafka_t *producer, int error, const char *reason, void *userdata)
{
    struct kafka *k = userdata;
    snprintf(k->error, sizeof k->error, "%s", reason);
    if (error != RD_KAFKA_RESP_ERR__FATAL)
        return;
    rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(producer, k->error, sizeof k->error);
    /* The reports of the batch that left the gap come next, and say why. */
    if (!k->failure && fatal != RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE)
        k->failure = fatal;
}

static void on_log(const rd_kafka_t *producer, int level, const char *facility, const char *text)
{
    struct kafka *k = rd_kafka_opaque(producer);
    if (strstr(text, "enable.gapless.guarantee")) /* it warns that this is experimental */
        return;
    if (level == LOG_DEBUG) /* which --set debug=… asks for */
        log_line(LOG_DEBUG, 0, "librdkafka: %s: %s", facility, text);
    else if (level <= LOG_WARNING && rate_limit_allow(&k->log_rate, clock_now(CLOCK_MONOTONIC)))
        log_warning("librdkafka: %s: %s", facility, text);
}

/* --- The producer ---------------------------------------------------------------------------------------- */

struct opening {
    rd_kafka_conf_t *conf;
    rd_kafka_t *producer;
    char why[KAFKA_ERROR_MAX];
    int error;
};

/* librdkafka's threads are as nice as the one that makes the producer. Its version 2.0 polls without a pause while a
 * batch waits behind one that is in flight: on a busy machine that would keep the loop and the brokers from their
 * work. */
static void *open_nicely(void *userdata)
{
    struct opening *o = userdata;
    setpriority(PRIO_PROCESS, 0, NICE); /* of this thread alone; a sandbox may refuse it */
    o->producer = rd_kafka_new(RD_KAFKA_PRODUCER, o->conf, o->why, sizeof o->why);
    o->error = o->producer ? 0 : errno;
    return NULL;
}

static int make_producer(rd_kafka_conf_t *conf, rd_kafka_t **ret)
{
    pthread_t thread;
    struct opening o = {.conf = conf};
    int r = -pthread_create(&thread, NULL, open_nicely, &o);
    if (r == 0) {
        pthread_join(thread, NULL);
        *ret = o.producer;
        r = o.error ? -o.error : o.producer ? 0 : -EINVAL;
    }
    return r < 0 ? log_error_errno(r, "Failed to make a Kafka producer: %s", *o.why ? o.why : strerror(-r))
                 : 0;
}

static int producer_open(struct kafka *k)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_dup(k->setup.conf);
    rd_kafka_conf_set_opaque(conf, k);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    int r = make_producer(conf, &k->producer);
    if (r < 0) {
        rd_kafka_conf_destroy(conf);
        return r;
    }
    rd_kafka_set_log_queue(k->producer, NULL);
    static const uint64_t one = 1;
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(k->producer);
    rd_kafka_queue_io_event_enable(queue, k->wakeup, &one, sizeof one);
    rd_kafka_queue_destroy(queue);
    /* It is written to when the queue was empty, which this one no longer is. */
    return sd_event_source_set_enabled(k->on_turn, SD_EVENT_ONESHOT);
}

/* Not before the first event: a cluster may make the topic when it is asked for. */
static int topic_open(struct kafka *k)
{
    int r = k->producer ? 0 : producer_open(k);
    if (r < 0 || k->handle)
        return r;
    k->handle = rd_kafka_topic_new(k->producer, k->topic, NULL);
    return k->handle ? 0
                     : log_error_errno(EINVAL, "Failed to use the topic %s: %s", k->topic,
                                       rd_kafka_err2str(rd_kafka_last_error()));
}

/* Nothing is sent once this has returned. */
static void producer_close(struct kafka *k)
{
    if (k->handle)
        rd_kafka_topic_destroy(k->handle);
    k->handle = NULL;
    if (k->producer)
        rd_kafka_destroy(k->producer);
    k->producer = NULL;
}

/* Whether the error says that the broker does not want the message itself. */
static bool refuses_message(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || error == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE ||
           error == RD_KAFKA_RESP_ERR_INVALID_RECORD || error == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP;
}

/* See the head of the file. */
static void give_up(struct kafka *k)
{
    char why[KAFKA_ERROR_MAX + 128];
    const char *name = rd_kafka_err2str(k->failure), *more = strcmp(k->error, name) == 0 ? "" : k->error;
    snprintf(why, sizeof why, "%s%s%s", name, *more ? ": " : "", more);
    struct target_outcome again = {.result = TARGET_RETRY, .retry_after = RETRY_AFTER, .error = why};
    struct target_outcome dead = {.result = TARGET_DEAD, .error = why};
    bool refused = k->blamed && refuses_message(k->failure);
    struct flight *poison = refused && k->n_flights == 1 ? k->blamed : NULL;
    if (refused) {
        again.retry_after = RETRY_AT_ONCE;
        k->n_alone = k->n_alone > k->n_flights ? k->n_alone : k->n_flights;
    }
    producer_close(k);
    k->failure = RD_KAFKA_RESP_ERR_NO_ERROR;
    k->blamed = NULL;
    while (k->first)
        flight_end(k, k->first, k->first == poison ? &dead : &again);
}

static void bury_too_large(struct kafka *k)
{
    for (struct flight *f = k->first, *next; f; f = next) {
        next = f->next;
        if (!f->too_large)
            continue;
        char why[128];
        snprintf(why, sizeof why, "its %zu bytes and its headers are more than message.max.bytes, %" PRIu64,
                 f->event->body.len, k->setup.message_max);
        flight_end(k, f, &(struct target_outcome){.result = TARGET_DEAD, .error = why});
    }
}

/* --- On the loop ----------------------------------------------------------------------------------------- */

static int watch_patience(struct kafka *k)
{
    if (!k->first || !k->setup.patience)
        return sd_event_source_set_enabled(k->on_patience, SD_EVENT_OFF);
    int r =
        sd_event_source_set_time(k->on_patience, (uint64_t)(k->first->offered + k->setup.patience * 1000));
    return r < 0 ? r : sd_event_source_set_enabled(k->on_patience, SD_EVENT_ONESHOT);
}

static int settle(struct kafka *k)
{
    if (k->producer)
        rd_kafka_poll(k->producer, 0);
    bury_too_large(k);
    if (k->failure)
        give_up(k);
    return watch_patience(k);
}

static int wakeup_handler(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    (void)source, (void)events;
    uint64_t count;
    if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN)
        return -errno;
    return settle(userdata);
}

static int turn_handler(sd_event_source *source, void *userdata)
{
    (void)source;
    return settle(userdata);
}

static int patience_handler(sd_event_source *source, uint64_t now, void *userdata)
{
    (void)source;
    struct kafka *k = userdata;
    if (k->producer)
        rd_kafka_poll(k->producer, 0);
    if (k->first && !k->failure && k->first->offered + k->setup.patience * 1000 <= (int64_t)now)
        k->failure = RD_KAFKA_RESP_ERR__MSG_TIMED_OUT;
    return settle(k);
}

/* --- The target ------------------------------------------------------------------------------------------ */

static void kafka_describe(const struct target *t, struct buffer *to)
{
    const struct kafka *k = (const struct kafka *)t;
    buffer_puts(to, "kafka ");
    buffer_puts(to, k->setup.place.data);
}

static void add_header(rd_kafka_headers_t *to, const char *name, const char *value)
{
    if (value)
        rd_kafka_header_add(to, name, -1, value, -1);
}

static rd_kafka_headers_t *make_headers(const struct target_event *e)
{
    rd_kafka_headers_t *h = rd_kafka_headers_new(HEADERS_USUAL);
    add_header(h, "vod-event-id", e->id);
    add_header(h, "vod-event-type", e->type);
    add_header(h, "vod-result", e->result);
    add_header(h, "vod-replay", e->replay ? "true" : NULL);
    add_header(h, "content-type", e->content_type);
    for (size_t i = 0; i < e->n_attributes; i++) {
        const struct header *a = &e->attributes[i];
        char name[64] = "ce_";
        snprintf(name, sizeof name, "ce_%.*s", (int)a->name.len, a->name.data);
        rd_kafka_header_add(h, name, -1, a->value.data, (ssize_t)a->value.len);
    }
    return h;
}

static rd_kafka_resp_err_t produce(struct kafka *k, struct flight *f)
{
    const struct target_event *e = f->event;
    rd_kafka_headers_t *headers = make_headers(e);
    rd_kafka_resp_err_t err =
        rd_kafka_producev(k->producer, RD_KAFKA_V_RKT(k->handle), RD_KAFKA_V_KEY(e->key, strlen(e->key)),
                          RD_KAFKA_V_VALUE((void *)e->body.data, e->body.len), RD_KAFKA_V_MSGFLAGS(0),
                          RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(f), RD_KAFKA_V_END);
    if (err)
        rd_kafka_headers_destroy(headers);
    return err;
}

static int kafka_offer(struct target *t, const struct target_event *e)
{
    struct kafka *k = (struct kafka *)t;
    if (k->failure || (k->n_alone && k->first) || (!k->setup.idempotent && key_in_flight(k, e->key)))
        return TARGET_FULL;
    int r = topic_open(k);
    if (r < 0)
        return r;
    struct flight *f = flight_add(k, e);
    if (!f)
        return log_error_errno(ENOMEM, "Failed to hand on an event: %m");
    rd_kafka_resp_err_t err = produce(k, f);
    if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        flight_remove(k, f);
        return TARGET_FULL;
    }
    if (err) { /* told in a turn of the loop, since no outcome may come from here */
        f->too_large = err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
        if (!f->too_large)
            k->failure = err;
        return sd_event_source_set_enabled(k->on_turn, SD_EVENT_ONESHOT);
    }
    return k->first == f ? watch_patience(k) : 0;
}

static void kafka_cancel(struct target *t)
{
    struct kafka *k = (struct kafka *)t;
    if (!k->first)
        return;
    bury_too_large(k);
    if (k->producer && !k->failure)
        rd_kafka_flush(k->producer, CANCEL_WAIT);
    if (!k->failure)
        k->failure = RD_KAFKA_RESP_ERR__PURGE_QUEUE;
    if (k->first)
        give_up(k);
    k->failure = RD_KAFKA_RESP_ERR_NO_ERROR;
    watch_patience(k);
}

static int kafka_try(struct target *t)
{
    struct kafka *k = (struct kafka *)t;
    int r = k->producer ? 0 : producer_open(k);
    if (r >= 0)
        r = kafka_check(&k->setup, k->producer, k->topic);
    if (r != -EHOSTUNREACH)
        return r;
    rd_kafka_poll(k->producer, 0); /* on_error() keeps the reason */
    return log_error_errno(r, "Failed to ask %s: %s", k->setup.place.data,
                           *k->error ? k->error : "no broker answers");
}

static void kafka_free(struct target *t)
{
    struct kafka *k = (struct kafka *)t;
    producer_close(k);
    while (k->first)
        flight_remove(k, k->first);
    sd_event_source_disable_unref(k->on_wakeup);
    sd_event_source_disable_unref(k->on_turn);
    sd_event_source_disable_unref(k->on_patience);
    if (k->wakeup >= 0)
        close(k->wakeup);
    kafka_setup_done(&k->setup);
    free(k->topic);
    free(k);
}

static const struct target_ops kafka_ops = {
    .name = "kafka",
    .describe = kafka_describe,
    .offer = kafka_offer,
    .cancel = kafka_cancel,
    .check = kafka_try,
    .free = kafka_free,
};

static int connect_to_loop(struct kafka *k, sd_event *loop)
{
    k->wakeup = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (k->wakeup < 0)
        return -errno;
    int r = sd_event_add_io(loop, &k->on_wakeup, k->wakeup, EPOLLIN, wakeup_handler, k);
    if (r >= 0)
        r = sd_event_add_defer(loop, &k->on_turn, turn_handler, k);
    if (r >= 0)
        r = sd_event_source_set_enabled(k->on_turn, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_time(loop, &k->on_patience, CLOCK_MONOTONIC, UINT64_MAX, 0, patience_handler, k);
    if (r >= 0)
        r = sd_event_source_set_enabled(k->on_patience, SD_EVENT_OFF);
    return r;
}

int target_kafka_new(const struct target_context *context, const struct kafka_config *config,
                     struct target **ret)
{
    /* librdkafka has a thread for each broker; an arena of memory for each would stay as large as it once was. */
    mallopt(M_ARENA_MAX, 1);
    struct kafka *k = calloc(1, sizeof *k);
    if (!k)
        return log_error_errno(ENOMEM, "Failed to make a Kafka producer: %m");
    cleanup(target_free_p) struct target *t = &k->target;
    *t = (struct target){
        .ops = &kafka_ops,
        .context = *context,
        .max_in_flight = KAFKA_IN_FLIGHT,
        .max_bytes = KAFKA_BYTES,
        .ordered = true,
    };
    k->wakeup = -1;
    rate_limit_init(&k->log_rate, "lines of librdkafka", LOG_RATE, LOG_BURST);
    int r = kafka_setup_init(&k->setup, config);
    if (r < 0)
        return r;
    k->topic = strdup(config->topic);
    r = k->topic ? connect_to_loop(k, context->loop) : -ENOMEM;
    if (r < 0)
        return log_error_errno(r, "Failed to make a Kafka producer: %m");
    r = producer_open(k);
    if (r < 0) {
        kafka_check_service(&k->setup); /* may say what is missing */
        return r;
    }
    *ret = steal_pointer(t);
    return 0;
}
