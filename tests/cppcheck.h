/* cppcheck.h: the loops of sys/queue.h for cppcheck, which reads no header of the system. */
#define TAILQ_FOREACH(v, head, field) for (v = (head)->tqh_first; v; v = v->field.tqe_next)
#define TAILQ_FOREACH_SAFE(v, head, field, next) \
    for (v = (head)->tqh_first; v && (next = v->field.tqe_next, 1); v = next)
