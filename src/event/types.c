/* types.c: the table of event types and the payload key of each. */
#include "event/types.h"

#include <string.h>

const struct event_type event_types[] = {
    {"NewFileUpload", "FileUploadEvent", NULL, NULL, true},
    {"ProcedureStateChanged", "ProcedureStateChangeEvent", NULL, "ProcedureTask", false},
    {"FileDeleted", "FileDeleteEvent", NULL, NULL, true},
    {"PullComplete", "PullCompleteEvent", NULL, "PullUploadTask", false},
    {"EditMediaComplete", "EditMediaCompleteEvent", "EditMediaComplete", "EditMediaTask", false},
    {"SplitMediaComplete", "SplitMediaCompleteEvent", NULL, "SplitMediaTask", false},
    {"ComposeMediaComplete", "ComposeMediaCompleteEvent", NULL, "ComposeMediaTask", false},
    {"WechatPublishComplete", "WechatPublishCompleteEvent", "WechatPublishComplete", "WechatPublishTask",
     false},
    {"WechatMiniProgramPublishComplete", "WechatMiniProgramPublishCompleteEvent",
     "WechatMiniProgramPublishEvent", "WechatMiniProgramPublishTask", false},
    {"RemoveWatermark", "RemoveWatermarkCompleteEvent", NULL, "RemoveWatermarkTask", false},
    {"RestoreMediaComplete", "RestoreMediaCompleteEvent", NULL, NULL, false},
    {"RebuildMediaComplete", "RebuildMediaCompleteEvent", NULL, "RebuildMediaTask", false},
    {"ExtractTraceWatermarkComplete", "ExtractTraceWatermarkCompleteEvent", NULL, "ExtractTraceWatermarkTask",
     false},
    {"ExtractCopyRightWatermarkComplete", "ExtractCopyRightWatermarkCompleteEvent", NULL,
     "ExtractCopyRightWatermarkTask", false},
    {"ExtractBlindWatermarkComplete", "ExtractBlindWatermarkComplete", NULL, "ExtractBlindWatermarkTask",
     false},
    {"ReviewAudioVideoComplete", "ReviewAudioVideoCompleteEvent", NULL, "ReviewAudioVideoTask", false},
    {"ReduceMediaBitrateComplete", "ReduceMediaBitrateCompleteEvent", NULL, "ReduceMediaBitrateTask", false},
    {"DescribeFileAttributesComplete", "DescribeFileAttributesCompleteEvent", NULL,
     "DescribeFileAttributesTask", false},
    {"QualityInspectComplete", "QualityInspectCompleteEvent", NULL, "QualityInspectTask", false},
    {"QualityEnhanceComplete", "QualityEnhanceCompleteEvent", NULL, "QualityEnhanceTask", false},
    {"MediaCastStatusChanged", "MediaCastStatusChangedEvent", NULL, NULL, false},
    {"PersistenceComplete", "PersistenceCompleteEvent", NULL, NULL, false},
    {"ComplexAdaptiveDynamicStreamingComplete", "ComplexAdaptiveDynamicStreamingCompleteEvent", NULL,
     "ComplexAdaptiveDynamicStreamingTask", false},
    {"ProcessMediaByMPSComplete", "ProcessMediaByMPSCompleteEvent", NULL, "ProcessMediaByMPSTask", false},
    {"AigcImageTaskComplete", "AigcImageCompleteEvent", NULL, "AigcImageTask", false},
    {"AigcVideoTaskComplete", "AigcVideoCompleteEvent", NULL, "AigcVideoTask", false},
    {"AigcHunyuan3DTaskComplete", "AigcHunyuan3DCompleteEvent", NULL, NULL, false},
    {"SceneAigcImageCompleteEvent", "SceneAigcImageCompleteEvent", NULL, "SceneAigcImageTask", false},
    {"ProcessImageAsyncCompleteEvent", "ProcessImageAsyncCompleteEvent", NULL, "ProcessImageAsyncTask",
     false},
    {"CreateAigcAdvancedCustomElementCompleteEvent", "CreateAigcAdvancedCustomElementCompleteEvent", NULL,
     "CreateAigcAdvancedCustomElementTask", false},
    {"CreateAigcCustomVoiceCompleteEvent", "CreateAigcCustomVoiceCompleteEvent", NULL,
     "CreateAigcCustomVoiceTask", false},
    {"DescribeAigcFaceInfoAsyncComplete", "DescribeAigcFaceInfoAsyncCompleteEvent", NULL,
     "DescribeAigcFaceInfoAsyncTask", false},
    /* Of the API of 2017. */
    {"TranscodeComplete", "TranscodeCompleteEvent", NULL, "TranscodeTask", false},
    {"ConcatComplete", "ConcatCompleteEvent", NULL, "ConcatTask", false},
    {"ClipComplete", "ClipCompleteEvent", NULL, "ClipTask", false},
    {"CreateImageSpriteComplete", "CreateImageSpriteCompleteEvent", NULL, "CreateImageSpriteTask", false},
    {"CreateSnapshotByTimeOffsetComplete", "SnapshotByTimeOffsetCompleteEvent", NULL,
     "SnapshotByTimeOffsetTask", false},
    /* In the legacy envelope only, so its payload is `data`. */
    {"PorncheckComplete", NULL, NULL, NULL, false},
    {NULL, NULL, NULL, NULL, false},
};

static bool is(struct slice text, const char *name)
{
    return name && slice_equal(text, slice_of(name));
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
