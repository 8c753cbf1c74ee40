/* connection.c: the table of states, the lists of connections and their deadlines. */
#include "source/connection.h"

#include "base/limits.h"

enum deadline { DEADLINE_NONE, DEADLINE_REQUEST, DEADLINE_IDLE, DEADLINE_KEPT };

/* unfinished: may be closed to make room for a new connection. A held event has a time limit of its own, see
 * HOLD_LASTS. */
static const struct {
    enum deadline deadline;
    bool unfinished;
} states[CONNECTION_STATES] = {
    [CONNECTION_SILENT] = {DEADLINE_REQUEST, true},  [CONNECTION_LINE] = {DEADLINE_REQUEST, true},
    [CONNECTION_KEPT] = {DEADLINE_KEPT, true},       [CONNECTION_IDLE] = {DEADLINE_IDLE, true},
    [CONNECTION_READING] = {DEADLINE_REQUEST, true}, [CONNECTION_RECORDED] = {DEADLINE_REQUEST, false},
    [CONNECTION_LOST] = {DEADLINE_REQUEST, false},   [CONNECTION_ANSWERING] = {DEADLINE_REQUEST, false},
};

void connections_init(struct connections *all, int64_t request_timeout)
{
    const int64_t lasts[] = {
        [DEADLINE_REQUEST] = request_timeout, [DEADLINE_IDLE] = IDLE_LASTS, [DEADLINE_KEPT] = KEPT_LASTS};
    *all = (struct connections){0};
    for (int s = 0; s < CONNECTION_STATES; s++) {
        TAILQ_INIT(&all->list[s]);
        all->lasts[s] = lasts[states[s].deadline];
    }
}

static void connection_insert(struct connections *all, struct connection *c, enum connection_state state,
                              int64_t since)
{
    c->state = state;
    c->since = since;
    TAILQ_INSERT_TAIL(&all->list[state], c, entry);
    ++*(state == CONNECTION_CUT ? &all->n_cut : &all->n);
}

void connections_add(struct connections *all, struct connection *c, int64_t now)
{
    connection_insert(all, c, CONNECTION_SILENT, now);
}

void connections_remove(struct connections *all, struct connection *c)
{
    TAILQ_REMOVE(&all->list[c->state], c, entry);
    --*(c->state == CONNECTION_CUT ? &all->n_cut : &all->n);
}

void connection_enter(struct connections *all, struct connection *c, enum connection_state state,
                      int64_t since)
{
    connections_remove(all, c);
    connection_insert(all, c, state, since);
}

struct connection *connections_oldest_unfinished(const struct connections *all)
{
    struct connection *oldest = NULL;
    for (int s = 0; s < CONNECTION_STATES; s++) {
        struct connection *c = states[s].unfinished ? TAILQ_FIRST(&all->list[s]) : NULL;
        if (c && (!oldest || c->since < oldest->since))
            oldest = c;
    }
    return oldest;
}

struct connection *connections_expired(const struct connections *all, int64_t now, int64_t *ret_next)
{
    *ret_next = INT64_MAX;
    for (int s = 0; s < CONNECTION_STATES; s++) {
        struct connection *c = all->lasts[s] ? TAILQ_FIRST(&all->list[s]) : NULL;
        if (c && c->since + all->lasts[s] <= now)
            return c;
        if (c && c->since + all->lasts[s] < *ret_next)
            *ret_next = c->since + all->lasts[s];
    }
    return NULL;
}
