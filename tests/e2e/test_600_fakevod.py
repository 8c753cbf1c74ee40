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


def test_retention(vod):
    vod.put([fakevod.upload(1)])
    vod.advance(4 * 24 * 3600 + 1)
    with pytest.raises(fakevod.ApiError, match="ResourceNotFound"):
        vod.PullEvents({})
