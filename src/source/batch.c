/* batch.c: writes the bodies of PullEvents and ConfirmEvents, and takes events out of the answer. */
#include "source/batch.h"

#include <errno.h>
#include <inttypes.h>

#include "json/json.h"

void batch_request(struct buffer *to, int64_t sub_app_id)
{
    if (sub_app_id)
        buffer_printf(to, "{\"SubAppId\":%" PRId64 "}", sub_app_id);
    else
        buffer_puts(to, "{}");
}

int batch_events(struct slice response, struct slice *ret)
{
    struct slice set, rest, event;
    *ret = (struct slice){0};
    if (!json_member(response, "EventSet", &set) || (set.data[0] != '[' && set.data[0] != 'n'))
        return -EBADMSG;
    rest = set;
    if (json_next(&rest, &event))
        *ret = set;
    return 0;
}

bool batch_handle(struct slice event, struct slice *ret)
{
    return event.data[0] == '{' && json_member(event, "EventHandle", ret) && ret->data[0] == '"' &&
           ret->len > 2;
}

void batch_add_handle(struct buffer *handles, struct slice handle)
{
    if (handles->len)
        handles->data[handles->len - 1] = ',';
    else
        buffer_putc(handles, '[');
    buffer_append(handles, handle.data, handle.len);
    buffer_putc(handles, ']');
}

size_t batch_confirm(struct buffer *to, struct slice *rest, size_t most, int64_t sub_app_id)
{
    struct slice handle;
    size_t n = 0;
    buffer_puts(to, "{\"EventHandles\":[");
    while (n < most && json_next(rest, &handle)) {
        buffer_puts(to, n++ ? "," : "");
        buffer_append(to, handle.data, handle.len);
    }
    buffer_putc(to, ']');
    if (sub_app_id)
        buffer_printf(to, ",\"SubAppId\":%" PRId64, sub_app_id);
    buffer_putc(to, '}');
    return n;
}
