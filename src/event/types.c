/* types.c: the table of event types and the payload key of each. */
#include "event/types.h"

#include <string.h>

const struct event_type event_types[] = {
    {"NewFileUpload", "FileUploadEvent", NULL, true},
    {"ProcedureStateChanged", "ProcedureStateChangeEvent", NULL, false},
    {"FileDeleted", "FileDeleteEvent", NULL, true},
    {"PullComplete", "PullCompleteEvent", NULL, false},
    {"EditMediaComplete", "EditMediaCompleteEvent", "EditMediaComplete", false},
    {"SplitMediaComplete", "SplitMediaCompleteEvent", NULL, false},
    {"ComposeMediaComplete", "ComposeMediaCompleteEvent", NULL, false},
    {"WechatPublishComplete", "WechatPublishCompleteEvent", "WechatPublishComplete", false},
    {"WechatMiniProgramPublishComplete", "WechatMiniProgramPublishCompleteEvent",
     "WechatMiniProgramPublishEvent", false},
    {"RemoveWatermark", "RemoveWatermarkCompleteEvent", NULL, false},
    {"RestoreMediaComplete", "RestoreMediaCompleteEvent", NULL, false},
    {"RebuildMediaComplete", "RebuildMediaCompleteEvent", NULL, false},
    {"ExtractTraceWatermarkComplete", "ExtractTraceWatermarkCompleteEvent", NULL, false},
    {"ExtractCopyRightWatermarkComplete", "ExtractCopyRightWatermarkCompleteEvent", NULL, false},
    {"ExtractBlindWatermarkComplete", "ExtractBlindWatermarkComplete", NULL, false},
    {"ReviewAudioVideoComplete", "ReviewAudioVideoCompleteEvent", NULL, false},
    {"ReduceMediaBitrateComplete", "ReduceMediaBitrateCompleteEvent", NULL, false},
    {"DescribeFileAttributesComplete", "DescribeFileAttributesCompleteEvent", NULL, false},
    {"QualityInspectComplete", "QualityInspectCompleteEvent", NULL, false},
    {"QualityEnhanceComplete", "QualityEnhanceCompleteEvent", NULL, false},
    {"MediaCastStatusChanged", "MediaCastStatusChangedEvent", NULL, false},
    {"PersistenceComplete", "PersistenceCompleteEvent", NULL, false},
    {"ComplexAdaptiveDynamicStreamingComplete", "ComplexAdaptiveDynamicStreamingCompleteEvent", NULL, false},
    {"ProcessMediaByMPSComplete", "ProcessMediaByMPSCompleteEvent", NULL, false},
    {"AigcImageTaskComplete", "AigcImageCompleteEvent", NULL, false},
    {"AigcVideoTaskComplete", "AigcVideoCompleteEvent", NULL, false},
    {"AigcHunyuan3DTaskComplete", "AigcHunyuan3DCompleteEvent", NULL, false},
    {"SceneAigcImageCompleteEvent", "SceneAigcImageCompleteEvent", NULL, false},
    {"ProcessImageAsyncCompleteEvent", "ProcessImageAsyncCompleteEvent", NULL, false},
    {"CreateAigcAdvancedCustomElementCompleteEvent", "CreateAigcAdvancedCustomElementCompleteEvent", NULL,
     false},
    {"CreateAigcCustomVoiceCompleteEvent", "CreateAigcCustomVoiceCompleteEvent", NULL, false},
    {"DescribeAigcFaceInfoAsyncComplete", "DescribeAigcFaceInfoAsyncCompleteEvent", NULL, false},
    /* Of the API of 2017. */
    {"TranscodeComplete", "TranscodeCompleteEvent", NULL, false},
    {"ConcatComplete", "ConcatCompleteEvent", NULL, false},
    {"ClipComplete", "ClipCompleteEvent", NULL, false},
    {"CreateImageSpriteComplete", "CreateImageSpriteCompleteEvent", NULL, false},
    {"CreateSnapshotByTimeOffsetComplete", "SnapshotByTimeOffsetCompleteEvent", NULL, false},
    /* In the legacy envelope only, so its payload is `data`. */
    {"PorncheckComplete", NULL, NULL, false},
    {NULL, NULL, NULL, false},
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
