"""fakevod keeps the rules of the real service, and Tencent's own client finds nothing wrong with it."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "fakevod"))
import fakevod  # noqa: E402

SDK = "tencentcloud-sdk-nodejs-vod@4.1.287"


@pytest.fixture(scope="module")
def modules():
    """The folder that npm put the client into; kept between runs, since it is large."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not installed, so Tencent's own client cannot be tried")
    folder = TESTS.parent / "build" / "npm"
    if not (folder / "node_modules" / SDK.split("@")[0]).exists():
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder, SDK],
                              capture_output=True, text=True, timeout=240)
        if done.returncode != 0:
            pytest.skip(f"npm cannot install {SDK}: {done.stderr[-300:]}")
    return folder


def call(modules, vod, action, parameters, secret_key=None):
    environment = {**os.environ, "NODE_EXTRA_CA_CERTS": getattr(vod, "certificate", "")}
    done = subprocess.run(["node", TESTS / "fakevod" / "sdk.js", modules, vod.scheme + "://", f"127.0.0.1:{vod.port}",
                           vod.secret_id, secret_key or vod.secret_key, action, json.dumps(parameters)],
                          capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(params=["http", "https"])
def vod(request, tmp_path):
    with fakevod.FakeVod(tls_dir=str(tmp_path) if request.param == "https" else None, long_poll=0.2) as service:
        yield service


def test_the_client_pulls_and_confirms(modules, vod):
    vod.put(fakevod.upload(5285890784000000000 + i, "動物世界.mp4") for i in range(20))
    first = call(modules, vod, "PullEvents", {})
    assert len(first["EventSet"]) == 16
    assert first["EventSet"][0]["FileUploadEvent"]["MediaBasicInfo"]["Name"] == "動物世界.mp4"
    assert "RequestId" in call(modules, vod, "ConfirmEvents",
                               {"EventHandles": [e["EventHandle"] for e in first["EventSet"]]})
    second = call(modules, vod, "PullEvents", {})
    assert len(second["EventSet"]) == 4
    assert call(modules, vod, "DescribeEventsState", {})["CountOfEventsToPull"] == 4
    vod.advance(31)
    late = call(modules, vod, "ConfirmEvents", {"EventHandles": [second["EventSet"][0]["EventHandle"]]})
    assert late["code"] == "InvalidParameterValue"
    assert len(call(modules, vod, "PullEvents", {})["EventSet"]) == 4


def test_the_client_changes_settings(modules, vod):
    call(modules, vod, "ModifyEventConfig", {"Mode": "PUSH", "NotificationUrl": "http://192.0.2.1:8080",
                                             "UploadMediaCompleteEventSwitch": "ON"})
    config = call(modules, vod, "DescribeEventConfig", {})
    assert config["Mode"] == "PUSH"
    assert config["NotificationUrl"] == "http://192.0.2.1:8080"
    assert config["UploadMediaCompleteEventSwitch"] == "ON"
    assert config["DeleteMediaCompleteEventSwitch"] == "OFF"


def test_an_empty_queue_is_resource_not_found(modules, vod):
    assert call(modules, vod, "PullEvents", {})["code"] == "ResourceNotFound"


def test_wrong_keys(modules, vod):
    assert call(modules, vod, "PullEvents", {}, secret_key="other")["code"] == "AuthFailure.SignatureFailure"
    vod.secret_id = "AKIDother"
    assert call(modules, vod, "PullEvents", {}, secret_key="x")["code"] == "AuthFailure.SignatureFailure"


def test_a_clock_that_is_off(modules, vod):
    vod.skew = 400
    assert call(modules, vod, "PullEvents", {})["code"] == "AuthFailure.SignatureExpire"


def test_sub_app_id(modules, vod):
    vod.sub_app_id = 1500000001
    assert call(modules, vod, "DescribeEventConfig", {})["code"] == "InvalidParameterValue"
    assert call(modules, vod, "DescribeEventConfig", {"SubAppId": 1500000001})["Mode"] == "PULL"


# --- What the API still tells of files and tasks ----------------------------------------------------------------------

FILE = 5285890784000000000


def test_what_is_sent_exists(modules, vod):
    vod.put([fakevod.upload(FILE), fakevod.flow("1500000001-Procedure-1", FILE, SessionContext="mine")], ago=60)
    task, = call(modules, vod, "DescribeTasks", {})["TaskSet"]
    assert (task["TaskId"], task["Status"], task["FileId"], task["TaskType"], task["SessionContext"]) == \
        ("1500000001-Procedure-1", "FINISH", str(FILE), "Procedure", "mine")
    detail = call(modules, vod, "DescribeTaskDetail", {"TaskId": "1500000001-Procedure-1"})
    assert detail["ProcedureTask"] == fakevod.flow("1500000001-Procedure-1", FILE, SessionContext="mine")[
        "ProcedureStateChangeEvent"]
    assert detail["EditMediaTask"] is None and detail["FinishTime"] == task["FinishTime"]
    found = call(modules, vod, "SearchMedia", {"Filters": ["basicInfo", "metaData"]})
    assert found["TotalCount"] == 1 and found["MediaInfoSet"][0]["FileId"] == str(FILE)
    assert found["MediaInfoSet"][0]["BasicInfo"]["Name"] == "clip.mp4"
    infos = call(modules, vod, "DescribeMediaInfos", {"FileIds": [str(FILE), "1"]})
    assert [i["FileId"] for i in infos["MediaInfoSet"]] == [str(FILE)] and infos["NotExistFileIdSet"] == ["1"]
    vod.delete_file(str(FILE))
    assert call(modules, vod, "DescribeMediaInfos", {"FileIds": [str(FILE)]})["NotExistFileIdSet"] == [str(FILE)]
    assert call(modules, vod, "DescribeTasks", {"FileId": str(FILE)})["TaskSet"]
    assert call(modules, vod, "DescribeTaskDetail", {"TaskId": "other"})["code"] == "ResourceNotFound"


def test_pages_of_tasks(modules, vod):
    for i in range(25):
        vod.happen(fakevod.flow(f"t-{i}", FILE), ago=1000 - i)
    vod.happen(fakevod.flow("running", FILE, "PROCESSING"))
    oldest_first = {"Sort": {"Field": "FinishTime", "Order": "Asc"}, "FinishTime": {"After": "2020-01-01T00:00:00Z"}}
    seen, token = [], None
    while token != "":
        page = call(modules, vod, "DescribeTasks", {**oldest_first, **({"ScrollToken": token} if token else {})})
        seen.append([t["TaskId"] for t in page["TaskSet"]])
        token = page["ScrollToken"]
    assert [len(page) for page in seen] == [10, 10, 5]
    assert sum(seen, []) == [f"t-{i}" for i in range(25)]
    assert len(call(modules, vod, "DescribeTasks", {"Status": "PROCESSING"})["TaskSet"]) == 1
    for limit in (0, 101):
        assert call(modules, vod, "DescribeTasks", {"Limit": limit})["code"] == "InvalidParameterValue.Limit"
    assert call(modules, vod, "DescribeTasks", {"ScrollToken": "made-up"})["code"] == "InvalidParameterValue"


def test_the_ends_of_a_time_range(vod):
    now = int(vod.wall())
    for i, end in enumerate((now - 20, now - 10, now)):
        vod.tasks[f"t-{i}"] = fakevod.library.Task("ProcedureTask", {}, task_id=f"t-{i}", file_id="", status="FINISH",
                                                   created=end, finished=end)
        vod.files[str(i)] = (end, {"BasicInfo": None, "MetaData": None})
    wanted = {"After": fakevod.library.iso(now - 20), "Before": fakevod.library.iso(now)}
    assert [t["TaskId"] for t in vod.DescribeTasks({"FinishTime": wanted})["TaskSet"]] == ["t-1", "t-0"]
    assert [m["FileId"] for m in vod.SearchMedia({"CreateTime": wanted})["MediaInfoSet"]] == ["2", "1", "0"]


def test_tasks_are_known_for_three_days(vod):
    vod.happen(fakevod.flow("t", FILE), ago=72 * 3600 - 200)
    assert len(vod.DescribeTasks({})["TaskSet"]) == 1
    vod.advance(300)
    assert vod.DescribeTasks({})["TaskSet"] == []
    with pytest.raises(fakevod.ApiError, match="ResourceNotFound"):
        vod.DescribeTaskDetail({"TaskId": "t"})


def test_no_search_past_5000(vod):
    for i in range(5001):
        vod.files[str(i)] = (int(vod.wall()) - i, {"BasicInfo": None, "MetaData": None})
    assert vod.SearchMedia({})["TotalCount"] == 5000
    assert len(vod.SearchMedia({"Offset": 4900, "Limit": 100})["MediaInfoSet"]) == 100
    with pytest.raises(fakevod.ApiError, match="InvalidParameterValue.Limit"):
        vod.SearchMedia({"Offset": 4901, "Limit": 100})
    with pytest.raises(fakevod.ApiError, match="InvalidParameterValue.FileIds"):
        vod.DescribeMediaInfos({"FileIds": [str(i) for i in range(21)]})


def test_rights_and_rates_are_of_an_action(modules, vod):
    vod.rights = {"DescribeTasks"}
    assert call(modules, vod, "DescribeTaskDetail", {"TaskId": "t"})["code"] == "UnauthorizedOperation"
    vod.rate = 1
    vod.limit_rate("SearchMedia")
    vod.limit_rate("DescribeMediaInfos")
    with pytest.raises(fakevod.ApiError, match="RequestLimitExceeded"):
        vod.limit_rate("SearchMedia")
    vod.rate = 0
    assert call(modules, vod, "DescribeTasks", {})["code"] == "RequestLimitExceeded"


def test_retention(vod):
    vod.put([fakevod.upload(1)])
    vod.advance(4 * 24 * 3600 + 1)
    with pytest.raises(fakevod.ApiError, match="ResourceNotFound"):
        vod.PullEvents({})
