/* connection.c: lists of connections by phase, their deadlines, and the place made for new ones. */
#include "source/connection.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* Of the kernel's TCP states those in which the other side has not ended its half; the kernel's header for
 * programs gives struct tcp_info in full but not their names. */
enum { STATE_ESTABLISHED = 1, STATE_FIN_WAIT1 = 4, STATE_FIN_WAIT2 = 5, STATE_CLOSE = 7 };

void connections_init(struct connections *all, size_t max)
{
    *all = (struct connections){.max = max};
    for (int p = 0; p < PHASES; p++)
        TAILQ_INIT(&all->phase[p]);
}

static struct connection *oldest_unfinished(struct connections *all)
{
    const enum connection_phase unfinished[] = {PHASE_CONNECTED, PHASE_KEPT, PHASE_ENDED, PHASE_READING};
    struct connection *oldest = NULL;
    for (size_t i = 0; i < sizeof unfinished / sizeof *unfinished; i++) {
        struct connection *c = TAILQ_FIRST(&all->phase[unfinished[i]]);
        if (c && (!oldest || c->since < oldest->since))
            oldest = c;
    }
    return oldest;
}

void connections_add(struct connections *all, struct connection *c, int64_t now)
{
    struct connection *oldest = all->n >= all->max ? oldest_unfinished(all) : NULL;
    if (oldest)
        connection_cut(all, oldest, "there are too many connections", now);
    c->phase = PHASE_CONNECTED;
    c->since = now;
    TAILQ_INSERT_TAIL(&all->phase[PHASE_CONNECTED], c, entry);
    all->n++;
}

void connections_remove(struct connections *all, struct connection *c)
{
    TAILQ_REMOVE(&all->phase[c->phase], c, entry);
    if (c->phase != PHASE_CUT)
        all->n--;
}

void connection_enter(struct connections *all, struct connection *c, enum connection_phase phase, int64_t now)
{
    if (c->phase == PHASE_CUT)
        return;
    TAILQ_REMOVE(&all->phase[c->phase], c, entry);
    c->phase = phase;
    c->since = now;
    TAILQ_INSERT_TAIL(&all->phase[phase], c, entry);
    if (phase == PHASE_CUT)
        all->n--;
}

void connection_cut(struct connections *all, struct connection *c, const char *why, int64_t now)
{
    c->cut = why;
    shutdown(c->fd, SHUT_RDWR);
    connection_enter(all, c, PHASE_CUT, now);
}

int64_t connections_expire(struct connections *all, int64_t now)
{
    int64_t next = INT64_MAX;
    for (int p = 0; p < PHASES; p++) {
        struct connection *c;
        while (all->lasts[p] && (c = TAILQ_FIRST(&all->phase[p]))) {
            int64_t deadline = c->since + all->lasts[p];
            if (deadline > now) {
                if (deadline < next)
                    next = deadline;
                break;
            }
            connection_cut(all, c, "it took too long", now);
        }
    }
    return next;
}

bool connection_sent_bytes(const struct connection *c, bool *ret_client_ended)
{
    *ret_client_ended = true;
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    if (getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        return true;
    /* The client's FIN counts as one byte. */
    bool fin = info.tcpi_state != STATE_ESTABLISHED && info.tcpi_state != STATE_FIN_WAIT1 &&
               info.tcpi_state != STATE_FIN_WAIT2;
    *ret_client_ended = fin || info.tcpi_state == STATE_CLOSE;
    return info.tcpi_bytes_received > (fin ? 1u : 0u);
}
