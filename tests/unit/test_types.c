/* test_types.c: the table of event types. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "event/types.h"

static void assert_row(const char *name, const char *payload_key)
{
    const struct event_type *t = event_type_by_payload_key(slice_of(payload_key));
    if (!t || strcmp(t->name, name) != 0)
        fail_msg("%s is not of %s", payload_key, name);
    assert_ptr_equal(event_type_by_name(slice_of(name)), t);
}

/* Those whose key follows from no rule. */
static void test_irregular_keys(void **state)
{
    (void)state;
    assert_row("NewFileUpload", "FileUploadEvent");
    assert_row("ProcedureStateChanged", "ProcedureStateChangeEvent");
    assert_row("FileDeleted", "FileDeleteEvent");
    assert_row("EditMediaComplete", "EditMediaCompleteEvent");
    assert_row("EditMediaComplete", "EditMediaComplete");
    assert_row("WechatPublishComplete", "WechatPublishCompleteEvent");
    assert_row("WechatPublishComplete", "WechatPublishComplete");
    assert_row("WechatMiniProgramPublishComplete", "WechatMiniProgramPublishCompleteEvent");
    assert_row("WechatMiniProgramPublishComplete", "WechatMiniProgramPublishEvent");
    assert_row("RemoveWatermark", "RemoveWatermarkCompleteEvent");
    assert_row("ExtractBlindWatermarkComplete", "ExtractBlindWatermarkComplete");
    assert_row("AigcImageTaskComplete", "AigcImageCompleteEvent");
    assert_row("AigcVideoTaskComplete", "AigcVideoCompleteEvent");
    assert_row("AigcHunyuan3DTaskComplete", "AigcHunyuan3DCompleteEvent");
    assert_row("SceneAigcImageCompleteEvent", "SceneAigcImageCompleteEvent");
    assert_row("CreateSnapshotByTimeOffsetComplete", "SnapshotByTimeOffsetCompleteEvent");
}

static void test_look_up(void **state)
{
    (void)state;
    static const char *const unknown[] = {"", "data", "newFileUpload", "NewFileUpload ", "NewFileUploa"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        assert_null(event_type_by_name(slice_of(unknown[i])));
        assert_null(event_type_by_payload_key(slice_of(unknown[i])));
    }
    assert_null(event_type_by_payload_key(slice_of("NewFileUpload")));
    assert_null(event_type_by_name(slice_of("FileUploadEvent")));
    /* Of the legacy format only. */
    assert_non_null(event_type_by_name(slice_of("PorncheckComplete")));
}

/* A name or a key that stood in two rows would make the second unreachable. */
static void test_no_row_twice(void **state)
{
    (void)state;
    size_t n = 0;
    for (const struct event_type *t = event_types; t->name; t++, n++) {
        assert_ptr_equal(event_type_by_name(slice_of(t->name)), t);
        if (t->payload_key)
            assert_ptr_equal(event_type_by_payload_key(slice_of(t->payload_key)), t);
        if (t->other_key)
            assert_ptr_equal(event_type_by_payload_key(slice_of(t->other_key)), t);
    }
    assert_int_equal(n, 38);
}

static void test_what_may_repeat(void **state)
{
    (void)state;
    assert_false(event_may_repeat(&(struct event){.type = "NewFileUpload"}));
    assert_false(event_may_repeat(&(struct event){.type = "FileDeleted"}));
    assert_true(event_may_repeat(&(struct event){.type = "FileDeleted", .of_parts = true}));
    assert_false(event_may_repeat(&(struct event){.type = "ProcedureStateChanged", .task_id = "t"}));
    assert_true(event_may_repeat(&(struct event){.type = "MediaCastStatusChanged", .task_id = "c"}));
    assert_true(event_may_repeat(&(struct event){.type = "RestoreMediaComplete"}));
    assert_true(event_may_repeat(&(struct event){.type = "Brand new"}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_irregular_keys),
        cmocka_unit_test(test_look_up),
        cmocka_unit_test(test_no_row_twice),
        cmocka_unit_test(test_what_may_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
