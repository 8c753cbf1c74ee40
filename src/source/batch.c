/* batch.c: writes the bodies of PullEvents and ConfirmEvents, and takes events out of the answer. */
#include "source/batch.h"

#include <errno.h>
#include <inttypes.h>

void batch_request(struct buffer *to, int64_t sub_app_id)
{
    if (sub_app_id)
        buffer_printf(to, "{\"SubAppId\":%" PRId64 "}", sub_app_id);
    else
        buffer_puts(to, "{}");
}

int batch_events(const struct json *json, uint32_t response, uint32_t *ret)
{
    uint32_t set = json_member(json, response, "EventSet");
    char kind = set ? json_kind(json, set) : '\0';
    if (kind != '[' && kind != 'n')
        return -EBADMSG;
    *ret = json->nodes[set].next > set + 1 ? set : 0;
    return 0;
}

bool batch_handle(const struct json *json, uint32_t event, struct slice *ret)
{
    uint32_t handle = json_member(json, event, "EventHandle");
    if (!handle || json_kind(json, handle) != '"')
        return false;
    *ret = json_raw(json, handle);
    return ret->len > 2;
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

size_t batch_confirm(struct buffer *to, const struct json *handles, uint32_t *node, uint32_t end, size_t most,
                     int64_t sub_app_id)
{
    size_t n = 0;
    buffer_puts(to, "{\"EventHandles\":[");
    for (; n < most && *node < end; n++, *node = handles->nodes[*node].next) {
        struct slice handle = json_raw(handles, *node);
        buffer_puts(to, n ? "," : "");
        buffer_append(to, handle.data, handle.len);
    }
    buffer_putc(to, ']');
    if (sub_app_id)
        buffer_printf(to, ",\"SubAppId\":%" PRId64, sub_app_id);
    buffer_putc(to, '}');
    return n;
}
