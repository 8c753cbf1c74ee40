/* types.c: the table of event types and the payload key of each. */
#include "event/types.h"

#include <string.h>

const struct event_type event_types[] = {
    {"NewFileUpload", "FileUploadEvent", NULL, NULL},
    {"ProcedureStateChanged", "ProcedureStateChangeEvent", NULL, "ProcedureTask"},
    {"FileDeleted", "FileDeleteEvent", NULL, NULL},
    {"PullComplete", "PullCompleteEvent", NULL, "PullUploadTask"},
    {"EditMediaComplete", "EditMediaCompleteEvent", "EditMediaComplete", "EditMediaTask"},
    {"SplitMediaComplete", "SplitMediaCompleteEvent", NULL, "SplitMediaTask"},
    {"ComposeMediaComplete", "ComposeMediaCompleteEvent", NULL, "ComposeMediaTask"},
    {"WechatPublishComplete", "WechatPublishCompleteEvent", "WechatPublishComplete", "WechatPublishTask"},
    {"WechatMiniProgramPublishComplete", "WechatMiniProgramPublishCompleteEvent",
     "WechatMiniProgramPublishEvent", "WechatMiniProgramPublishTask"},
    {"RemoveWatermark", "RemoveWatermarkCompleteEvent", NULL, "RemoveWatermarkTask"},
    {"RestoreMediaComplete", "RestoreMediaCompleteEvent", NULL, NULL},
    {"RebuildMediaComplete", "RebuildMediaCompleteEvent", NULL, "RebuildMediaTask"},
    {"ExtractTraceWatermarkComplete", "ExtractTraceWatermarkCompleteEvent", NULL,
     "ExtractTraceWatermarkTask"},
    {"ExtractCopyRightWatermarkComplete", "ExtractCopyRightWatermarkCompleteEvent", NULL,
     "ExtractCopyRightWatermarkTask"},
    {"ExtractBlindWatermarkComplete", "ExtractBlindWatermarkComplete", NULL, "ExtractBlindWatermarkTask"},
    {"ReviewAudioVideoComplete", "ReviewAudioVideoCompleteEvent", NULL, "ReviewAudioVideoTask"},
    {"ReduceMediaBitrateComplete", "ReduceMediaBitrateCompleteEvent", NULL, "ReduceMediaBitrateTask"},
    {"DescribeFileAttributesComplete", "DescribeFileAttributesCompleteEvent", NULL,
     "DescribeFileAttributesTask"},
    {"QualityInspectComplete", "QualityInspectCompleteEvent", NULL, "QualityInspectTask"},
    {"QualityEnhanceComplete", "QualityEnhanceCompleteEvent", NULL, "QualityEnhanceTask"},
    {"MediaCastStatusChanged", "MediaCastStatusChangedEvent", NULL, NULL},
    {"PersistenceComplete", "PersistenceCompleteEvent", NULL, NULL},
    {"ComplexAdaptiveDynamicStreamingComplete", "ComplexAdaptiveDynamicStreamingCompleteEvent", NULL,
     "ComplexAdaptiveDynamicStreamingTask"},
    {"ProcessMediaByMPSComplete", "ProcessMediaByMPSCompleteEvent", NULL, "ProcessMediaByMPSTask"},
    {"AigcImageTaskComplete", "AigcImageCompleteEvent", NULL, "AigcImageTask"},
    {"AigcVideoTaskComplete", "AigcVideoCompleteEvent", NULL, "AigcVideoTask"},
    {"AigcHunyuan3DTaskComplete", "AigcHunyuan3DCompleteEvent", NULL, NULL},
    {"SceneAigcImageCompleteEvent", "SceneAigcImageCompleteEvent", NULL, "SceneAigcImageTask"},
    {"ProcessImageAsyncCompleteEvent", "ProcessImageAsyncCompleteEvent", NULL, "ProcessImageAsyncTask"},
    {"CreateAigcAdvancedCustomElementCompleteEvent", "CreateAigcAdvancedCustomElementCompleteEvent", NULL,
     "CreateAigcAdvancedCustomElementTask"},
    {"CreateAigcCustomVoiceCompleteEvent", "CreateAigcCustomVoiceCompleteEvent", NULL,
     "CreateAigcCustomVoiceTask"},
    {"DescribeAigcFaceInfoAsyncComplete", "DescribeAigcFaceInfoAsyncCompleteEvent", NULL,
     "DescribeAigcFaceInfoAsyncTask"},
    /* Of the API of 2017. */
    {"TranscodeComplete", "TranscodeCompleteEvent", NULL, "TranscodeTask"},
    {"ConcatComplete", "ConcatCompleteEvent", NULL, "ConcatTask"},
    {"ClipComplete", "ClipCompleteEvent", NULL, "ClipTask"},
    {"CreateImageSpriteComplete", "CreateImageSpriteCompleteEvent", NULL, "CreateImageSpriteTask"},
    {"CreateSnapshotByTimeOffsetComplete", "SnapshotByTimeOffsetCompleteEvent", NULL,
     "SnapshotByTimeOffsetTask"},
    /* In the legacy envelope only, so its payload is `data`. */
    {"PorncheckComplete", NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL},
};

static bool is(struct slice text, const char *name)
{
    return name && text.len && text.data[0] == *name && slice_equal(text, slice_of(name));
}

const struct event_type *event_type_by_name(struct slice name)
{
    for (const struct event_type *t = event_types; t->name; t++)
        if (is(name, t->name))
            return t;
    return NULL;
}

const struct event_type *event_type_by_payload_key(struct slice key)
{
    for (const struct event_type *t = event_types; t->name; t++)
        if (is(key, t->payload_key) || is(key, t->other_key))
            return t;
    return NULL;
}

bool event_may_repeat(const struct event *e)
{
    if (e->task_id)
        return strcmp(e->type, "MediaCastStatusChanged") == 0; /* the id of a cast, which is no task */
    if (strcmp(e->type, "FileDeleted") == 0)
        return e->of_parts;
    return strcmp(e->type, "NewFileUpload") != 0;
}
