/* forward_control.c: what looks at targets and changes them, whether or not they run: --pause, --dead, --replay. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/time_parse.h"
#include "command/commands.h"
#include "event/event.h"
#include "forward.h"
#include "inbox/reader.h"
#include "json/json_write.h"

enum { REPLAY_GROUP = 500 /* events of a transaction: the forwarder waits for it */ };

struct control {
    const struct options *o;
    const struct forward_target *operands;
    const char *name;
    char *inbox;
    struct state *state;
    bool json;
};

static int open_state(struct control *c, enum state_use use)
{
    cleanup_free char *path = forward_state_path(c->inbox, c->name);
    int r = path ? state_open(path, use, &c->state) : -ENOMEM;
    if (r == -ENOENT)
        return log_error_errno(r, "There is no target %s beside the inbox %s: --status lists them", c->name,
                               c->inbox);
    return r;
}

static void put_time(struct buffer *to, bool json, int64_t time)
{
    struct timestamp cache = {0};
    if (json && time)
        buffer_putc(to, '"');
    if (!time)
        buffer_puts(to, json ? "null" : "never");
    else if (json)
        timestamp_utc(to, &cache, time);
    else
        timestamp_local(to, &cache, time);
    if (json && time)
        buffer_putc(to, '"');
}

static int print(struct buffer *text)
{
    bool fine = !text->failed && fwrite(text->data, 1, text->len, stdout) == text->len && fflush(stdout) == 0;
    buffer_reset(text, text->cap);
    return fine ? 0 : -EIO;
}

/* --- Pausing -------------------------------------------------------------------------------------------- */

static int pause_or_resume(struct control *c, bool pause)
{
    int r = open_state(c, STATE_CHANGE);
    if (r >= 0)
        r = pause ? state_pause(c->state, clock_now(CLOCK_REALTIME), "by --pause") : state_resume(c->state);
    if (r >= 0)
        r = state_commit(c->state);
    if (r >= 0)
        printf("%s is %s\n", c->name, pause ? "paused" : "no longer paused");
    return r;
}

/* --- Dead letters --------------------------------------------------------------------------------------- */

struct letters {
    struct control *control;
    struct buffer text;
    int64_t *numbers; /* of those that are asked for */
    size_t n, cap;
};

static bool is_asked_for(const struct control *c, const char *id)
{
    for (size_t i = 0; i < c->operands->n; i++)
        if (strcmp(c->operands->words[i], id) == 0)
            return true;
    return c->operands->n == 0;
}

static void put_letter(struct buffer *to, const struct control *c, const struct state_dead *d)
{
    if (!c->json) {
        buffer_printf(to, "%s  %s  ", d->id, d->type ? d->type : "unreadable");
        put_time(to, false, d->last);
        buffer_printf(to, "  %u attempts  %s%s\n", d->attempts, d->error ? d->error : "",
                      d->row ? "" : "  (its inbox is gone)");
        return;
    }
    buffer_puts(to, "{\"target\":");
    json_write_string(to, slice_of(c->name));
    buffer_puts(to, ",\"id\":");
    json_write_string(to, slice_of(d->id));
    buffer_puts(to, ",\"type\":");
    if (d->type)
        json_write_string(to, slice_of(d->type));
    else
        buffer_puts(to, "null");
    buffer_puts(to, ",\"key\":");
    json_write_string(to, slice_of(d->key));
    buffer_printf(to, ",\"row\":%" PRId64 ",\"attempts\":%u,\"first\":", d->row, d->attempts);
    put_time(to, true, d->first);
    buffer_puts(to, ",\"last\":");
    put_time(to, true, d->last);
    buffer_puts(to, ",\"error\":");
    json_write_string(to, slice_of(d->error ? d->error : ""));
    buffer_puts(to, "}\n");
}

static int show_letter(void *userdata, const struct state_dead *d)
{
    struct letters *l = userdata;
    if (!is_asked_for(l->control, d->id))
        return 0;
    put_letter(&l->text, l->control, d);
    return print(&l->text);
}

static int list_letter(void *userdata, const struct state_dead *d)
{
    struct letters *l = userdata;
    if (!is_asked_for(l->control, d->id))
        return 0;
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        int64_t *more = reallocarray(l->numbers, cap, sizeof *more);
        if (!more)
            return -ENOMEM;
        l->numbers = more;
        l->cap = cap;
    }
    l->numbers[l->n++] = d->letter;
    return 0;
}

static int show_dead(struct control *c)
{
    struct letters l = {.control = c};
    int r = open_state(c, STATE_READ);
    if (r >= 0)
        r = state_each_dead(c->state, show_letter, &l);
    buffer_done(&l.text);
    return r;
}

static bool confirms(const struct control *c, size_t n)
{
    char answer[16];
    if (options_flag(c->o, "yes"))
        return true;
    if (!isatty(STDIN_FILENO)) {
        log_error("Dead letters are dropped with --yes only where nobody can be asked");
        return false;
    }
    fprintf(stderr, "Forget %zu dead letters of %s, so that they are never handed on? [y/N] ", n, c->name);
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

/* Returns how many letters were changed. */
static int change_letters(struct control *c, const struct letters *l, bool drop)
{
    int r = 0, n = 0;
    for (size_t i = 0; r >= 0 && i < l->n; i++) {
        r = drop ? state_drop(c->state, l->numbers[i])
                 : state_revive(c->state, l->numbers[i], clock_now(CLOCK_REALTIME));
        n += r > 0;
        if (r >= 0 && (i + 1) % REPLAY_GROUP == 0)
            r = state_commit(c->state);
    }
    if (r >= 0)
        r = state_commit(c->state);
    return r < 0 ? r : n;
}

static int change_dead(struct control *c, bool drop)
{
    struct letters l = {.control = c};
    if (drop && c->operands->n == 0)
        return log_error_errno(EINVAL, "--drop-dead %s needs the ids of letters: --dead %s lists them",
                               c->name, c->name);
    int r = open_state(c, STATE_CHANGE);
    if (r >= 0)
        r = state_each_dead(c->state, list_letter, &l);
    if (r >= 0 && c->operands->n && l.n == 0)
        r = log_error_errno(ENOENT, "No dead letter of %s has such an id: --dead %s lists them", c->name,
                            c->name);
    if (r >= 0 && drop && !confirms(c, l.n))
        r = -ECANCELED;
    if (r >= 0)
        r = change_letters(c, &l, drop);
    if (r >= 0)
        printf(drop ? "%d dead letters dropped\n" : "%d dead letters are handed on again\n", r);
    if (r >= 0 && (size_t)r < l.n)
        log_warning("%zu of them cannot be handed on: their inbox is gone, or they wait already",
                    l.n - (size_t)r);
    free(l.numbers);
    return r;
}

/* --- Replays -------------------------------------------------------------------------------------------- */

struct replay {
    struct control *control;
    struct forward_lists lists;
    struct forward_filter filter;
    struct inbox_filter query;
    struct parcel parcel;
    struct timestamp time;
    struct buffer text;
    size_t n;
};

static int read_time(const struct options *o, const char *name, int64_t otherwise, int64_t *ret)
{
    const char *text = options_string(o, name);
    *ret = otherwise;
    int r = text ? parse_time(text, clock_now(CLOCK_REALTIME), ret) : 0;
    return r < 0 ? log_error_errno(EINVAL, "--%s %s is no time: 2026-11-24, 2026-11-24T03:00, -2h, today",
                                   name, text)
                 : 0;
}

static int show_replayed(struct replay *p)
{
    const struct target_event *e = &p->parcel.event;
    if (p->control->json) {
        buffer_puts(&p->text, "{\"id\":");
        json_write_string(&p->text, slice_of(e->id));
        buffer_printf(&p->text, ",\"row\":%" PRId64 ",\"type\":", e->row);
        json_write_string(&p->text, slice_of(e->type ? e->type : ""));
        buffer_puts(&p->text, ",\"key\":");
        json_write_string(&p->text, slice_of(e->key));
        buffer_puts(&p->text, "}\n");
    } else {
        buffer_printf(&p->text, "%s  %s  %s\n", e->id, e->type ? e->type : "unreadable", e->key);
    }
    return print(&p->text);
}

static int hold_replayed(struct replay *p)
{
    const struct target_event *e = &p->parcel.event;
    struct state *s = p->control->state;
    const struct state_held held = {
        .row = e->row, .key = e->key, .id = e->id, .due = STATE_BEHIND, .replay = true};
    int r = state_hold(s, &held);
    if (r >= 0)
        r = state_release(s, e->key, clock_now(CLOCK_REALTIME));
    return r >= 0 && p->n % REPLAY_GROUP == 0 ? state_commit(s) : r;
}

/* An event behind the cursor is handed on anyhow. */
static int replay_one(struct replay *p, const struct record *record)
{
    if (!forward_filter_matches(&p->filter, record))
        return 0;
    parcel_done(&p->parcel);
    int r = parcel_fill(&p->parcel, FORWARD_RAW, false, &p->time, record);
    if (r < 0 || !is_asked_for(p->control, p->parcel.event.id))
        return r;
    p->n++;
    return options_flag(p->control->o, "dry-run") ? show_replayed(p) : hold_replayed(p);
}

static int replay_all(struct replay *p, struct inbox_reader *reader)
{
    struct record record;
    int64_t cursor = state_facts(p->control->state)->cursor;
    int r = inbox_reader_query(reader, &p->query, 0, cursor);
    while (r >= 0 && (r = inbox_reader_next(reader, &record)) > 0)
        r = replay_one(p, &record);
    return r < 0 ? log_error_errno(r, "Failed to replay: %m") : state_commit(p->control->state);
}

static int open_reader(const struct control *c, struct inbox_reader **ret)
{
    const char *why;
    int r = inbox_reader_open(c->inbox, ret, &why);
    return r < 0 ? log_error_errno(r, "Failed to read the inbox %s: %s", c->inbox, why ? why : strerror(-r))
                 : 0;
}

static int replay(struct control *c)
{
    bool dry = options_flag(c->o, "dry-run");
    struct replay p = {.control = c, .query = {.any_trust = true, .in_order_of_id = true}};
    cleanup(inbox_reader_free_p) struct inbox_reader *reader = NULL;
    int r = read_time(c->o, "since", INT64_MIN, &p.query.since);
    if (r >= 0)
        r = read_time(c->o, "until", INT64_MAX, &p.query.until);
    if (r >= 0)
        r = forward_filter_read(c->o, &p.lists, &p.filter);
    if (r >= 0)
        r = open_state(c, dry ? STATE_READ : STATE_CHANGE);
    if (r >= 0)
        r = open_reader(c, &reader);
    if (r >= 0)
        r = replay_all(&p, reader);
    if (r >= 0)
        fprintf(dry ? stderr : stdout,
                dry ? "%zu events would be handed on once more\n" : "%zu events are handed on once more\n",
                p.n);
    forward_lists_done(&p.lists);
    parcel_done(&p.parcel);
    buffer_done(&p.text);
    return r;
}

/* --- Which one ------------------------------------------------------------------------------------------ */

static int run(struct control *c, const char *verb)
{
    if (strcmp(verb, "pause") == 0 || strcmp(verb, "resume") == 0)
        return pause_or_resume(c, verb[0] == 'p');
    if (strcmp(verb, "dead") == 0)
        return show_dead(c);
    if (strcmp(verb, "replay") == 0)
        return replay(c);
    return change_dead(c, strcmp(verb, "drop-dead") == 0);
}

bool forward_control(const struct options *o, const struct forward_target *operands, int *ret_status)
{
    static const char *const verbs[] = {"pause", "resume", "dead", "retry-dead", "drop-dead", "replay"};
    struct control c = {
        .o = o, .operands = operands, .json = strcmp(options_string(o, "output"), "json") == 0};
    const char *verb = options_flag(o, "status") ? "status" : NULL;
    size_t n = verb != NULL;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (options_string(o, verbs[i])) {
            verb = verbs[i];
            c.name = options_string(o, verb);
            n++;
        }
    if (n == 0)
        return false;
    *ret_status = EXIT_USAGE;
    if (n > 1 || (operands->n > 1 && !c.name)) {
        log_error("One thing at a time: see --help");
        return true;
    }
    c.inbox = forward_inbox(o);
    int r = !c.inbox ? -ENOENT
            : c.name ? run(&c, verb)
                     : forward_show_status(c.inbox, operands->words[0], c.json);
    *ret_status = r == -EINVAL ? EXIT_USAGE : r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    state_free(c.state);
    free(c.inbox);
    return true;
}
