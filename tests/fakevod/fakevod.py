"""fakevod: the part of the VOD API that delivers events or tells of what they would have said, with the rules of the real
one, for tests.

PullEvents, ConfirmEvents, DescribeEventConfig, ModifyEventConfig, DescribeEventsState, and what library.py has, over http, or
https with a certificate of its own. Used in the test's own process (FakeVod), or by itself: fakevod.py [PORT [EVENTS]].
The rules, with their sources, are those published for API 2018-07-17: a pull waits up to 5 s and gives at most 16 events;
what is not confirmed within 30 s comes back; a late confirm is refused; what nobody pulls is gone after 4 days; 100 calls
of an action a second; requests are signed with TC3-HMAC-SHA256 and may be 5 minutes off.
"""
import collections
import hashlib
import hmac
import http.server
import json
import os
import socket
import socketserver
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
import urllib.request

import library
from library import ApiError, Library

PULL_MAX = 16
LONG_POLL = 5.0
CONFIRM_WINDOW = 30.0
RETENTION = 4 * 24 * 3600.0
RATE = 100
SKEW = 300
VERSION = "2018-07-17"
PAYLOAD_KEYS = ("FileUploadEvent", "ProcedureStateChangeEvent", "FileDeleteEvent", "PullCompleteEvent",
                "EditMediaCompleteEvent", "ComposeMediaCompleteEvent", "TranscodeCompleteEvent")
ACTIONS = ("PullEvents", "ConfirmEvents", "DescribeEventConfig", "ModifyEventConfig", "DescribeEventsState", "DescribeTasks",
           "DescribeTaskDetail", "SearchMedia", "DescribeMediaInfos")


class Queued:
    """An event in the queue."""

    def __init__(self, event, now):
        self.event, self.since = event, now
        self.visible_at = now
        self.handle = None  # of the newest delivery
        self.pulled_at = None
        self.deliveries = 0
        self.confirmed = False


def sign(secret_key, host, content_type, body, timestamp, service="vod"):
    """The TC3 signature of a POST, hex."""
    def mac(key, text):
        return hmac.new(key, text.encode(), hashlib.sha256).digest()
    canonical = "\n".join(["POST", "/", "", f"content-type:{content_type}\nhost:{host}\n", "content-type;host",
                           hashlib.sha256(body).hexdigest()])
    date = time.strftime("%Y-%m-%d", time.gmtime(timestamp))
    scope = f"{date}/{service}/tc3_request"
    text = "\n".join(["TC3-HMAC-SHA256", str(timestamp), scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = mac(mac(mac(("TC3" + secret_key).encode(), date), service), "tc3_request")
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class FakeVod(Library):
    """The service. Everything may be read and set while it runs; use the methods for what has to be done together."""

    def __init__(self, *, tls_dir=None, secret_id="AKIDfake", secret_key="fake-secret-key", token=None, sub_app_id=None,
                 long_poll=LONG_POLL, rate=RATE, inbox=None, port=0):
        super().__init__()
        self.secret_id, self.secret_key, self.token = secret_id, secret_key, token
        self.sub_app_id = sub_app_id      # that calls have to name; None: they need not
        self.long_poll, self.rate = long_poll, rate
        self.inbox = inbox                # a database to look into at each confirm
        self.skew = 0.0                   # added to the clock that signatures are checked by, and the Date header
        self.lock = threading.Condition()
        self.queue = collections.OrderedDict()  # id -> Queued, oldest first
        self.handles = {}                 # handle -> id
        self.next_handle = 1180000000000000000
        self.confirmed = []               # ids, in order
        self.early = []                   # ids that were confirmed before the inbox had them
        self.calls = collections.Counter()
        self.call_times = collections.defaultdict(collections.deque)  # of each action, in the last second
        self.rights = None                # the actions that the key may call; None: all
        self.bad_calls = []               # answers that were errors: (action, code)
        self.misbehaviour = collections.deque()
        self.config = {"Mode": "PULL", "NotificationUrl": "", "UploadMediaCompleteEventSwitch": "OFF",
                       "DeleteMediaCompleteEventSwitch": "OFF", "PersistenceCompleteEventSwitch": "OFF"}
        self.modified = []                # what ModifyEventConfig was sent
        self.offset = 0.0                 # of the clock that tests can move
        self.stopping = False
        self.server = Server(("127.0.0.1", port), Handler)
        self.server.vod = self
        self.scheme = "http"
        if tls_dir:
            self.certificate = make_certificate(tls_dir)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, os.path.join(tls_dir, "key.pem"))
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
            self.scheme = "https"
        self.port = self.server.server_address[1]
        self.endpoint = f"{self.scheme}://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with self.lock:
            self.stopping = True
            self.lock.notify_all()
        self.server.shutdown()
        self.server.server_close()

    # --- What tests do ------------------------------------------------------------------------------------

    def now(self):
        return time.monotonic() + self.offset

    def advance(self, seconds):
        """Moves the clock of deliveries on."""
        with self.lock:
            self.offset += seconds
            self.lock.notify_all()

    def wall(self):
        """The service's own clock, which a test may set."""
        return time.time() + self.skew + self.offset

    def put(self, events, *, ago=0):
        """Queues events, dicts without EventHandle; their ids are their FileId or TaskId. What they tell of happened `ago`
        seconds ago. Returns the ids."""
        ids = []
        with self.lock:
            for event in events:
                self.happen(event, ago)
                name = event_id(event)
                while name in self.queue:
                    name += "+"  # another one with the same id
                self.queue[name] = Queued(event, self.now())
                ids.append(name)
            self.lock.notify_all()
        return ids

    def lose(self):
        """The queue loses what is in it."""
        with self.lock:
            self.queue.clear()

    def push(self, url, events, *, drop=0, ago=0):
        """Posts events as in push mode, but every drop-th is lost on the way. Returns those that were lost."""
        lost = []
        for n, event in enumerate(events, 1):
            self.happen(event, ago)
            if drop and n % drop == 0:
                lost.append(event)
                continue
            body = json.dumps({**dict.fromkeys(PAYLOAD_KEYS), **event}, ensure_ascii=False).encode()
            with urllib.request.urlopen(url, body, timeout=10) as answer:
                assert answer.status == 200
        return lost

    def misbehave(self, kind, value=None, *, action=None, times=1):
        """The next calls (of the action, or any) go wrong: kind is error (value: the code), status (the HTTP status), delay
        (seconds, then as usual), silence (seconds, then nothing), cut (bytes of the answer that are sent), drip
        (seconds between bytes), lost (done, but this HTTP status is answered), length
        (added to Content-Length), text (sent instead), huge (bytes of it)."""
        with self.lock:
            self.misbehaviour.extend([(kind, value, action)] * times)

    def waiting(self):
        with self.lock:
            return len(self.queue)

    def wait_until(self, condition, seconds):
        """Waits until condition() holds, which is looked at after every call. Returns whether it does."""
        deadline = time.monotonic() + seconds
        with self.lock:
            while not condition():
                if time.monotonic() >= deadline or not self.lock.wait(deadline - time.monotonic()):
                    return condition()
        return True

    # --- The actions --------------------------------------------------------------------------------------

    def visible(self):
        now = self.now()
        for name in [n for n, q in self.queue.items() if now - q.since > RETENTION]:
            del self.queue[name]
        found = []
        for name, queued in self.queue.items():
            if queued.visible_at <= now:
                found.append((name, queued))
                if len(found) == PULL_MAX:
                    break
        return found

    def PullEvents(self, _):
        deadline = time.monotonic() + self.long_poll
        with self.lock:
            while not (found := self.visible()):
                left = deadline - time.monotonic()
                if left <= 0 or self.stopping:
                    raise ApiError("ResourceNotFound", "no more notifications can be pulled")
                self.lock.wait(min(left, 0.5))
            events = []
            for name, queued in found:
                self.next_handle += 1
                queued.handle = str(self.next_handle)
                queued.pulled_at = self.now()
                queued.visible_at = queued.pulled_at + CONFIRM_WINDOW
                queued.deliveries += 1
                self.handles[queued.handle] = name
                events.append({"EventHandle": queued.handle, **dict.fromkeys(PAYLOAD_KEYS), **queued.event})
            return {"EventSet": events}

    def ConfirmEvents(self, body):
        handles = body.get("EventHandles")
        if not isinstance(handles, list) or not 0 < len(handles) <= PULL_MAX:
            raise ApiError("InvalidParameterValue", "EventHandles: 1 to 16 are allowed")
        with self.lock:
            names = []
            for handle in handles:
                name = self.handles.get(handle)
                queued = self.queue.get(name)
                if name is None or (queued and queued.handle != handle):
                    raise ApiError("InvalidParameterValue", "unknown or outdated EventHandle")
                if queued and self.now() - queued.pulled_at > CONFIRM_WINDOW:
                    raise ApiError("InvalidParameterValue", "the EventHandle is no longer valid (4000)")
                if queued:
                    names.append(name)
            self.early += self.missing_in_inbox(names)
            for name in names:
                del self.queue[name]
            self.confirmed += names
        return {}

    def missing_in_inbox(self, names):
        if not self.inbox:
            return []
        db = sqlite3.connect(f"file:{self.inbox}?mode=ro", uri=True, timeout=10)
        try:
            return [n for n in names
                    if not db.execute("SELECT 1 FROM event_file WHERE file_id = ? UNION ALL "
                                      "SELECT 1 FROM event WHERE task_id = ?", (n, n)).fetchone()]
        finally:
            db.close()

    def DescribeEventConfig(self, _):
        with self.lock:
            return dict(self.config)

    def ModifyEventConfig(self, body):
        with self.lock:
            for name, value in body.items():
                if name in ("SubAppId", "SignKey"):
                    continue
                if name == "Mode" and value not in ("PUSH", "PULL") or \
                        name.endswith("Switch") and value not in ("ON", "OFF") or name not in self.config:
                    raise ApiError("InvalidParameter", name)
            key = body.get("SignKey")
            if key is not None and not (len(key) <= 32 and key.isascii() and key.isalnum()):
                raise ApiError("InvalidParameter", "SignKey")
            self.modified.append(body)
            self.config.update({n: v for n, v in body.items() if n in self.config})
        return {}

    def DescribeEventsState(self, _):
        with self.lock:
            return {"CountOfEventsToPull": len(self.queue)}

    # --- The call -----------------------------------------------------------------------------------------

    def authorize(self, headers, body):
        given = headers.get("Authorization", "")
        try:
            algorithm, rest = given.split(" ", 1)
            fields = dict(part.strip().split("=", 1) for part in rest.split(","))
            secret_id, _, service, _ = fields["Credential"].split("/")
            timestamp = int(headers["X-TC-Timestamp"])
        except (ValueError, KeyError, TypeError):
            raise ApiError("AuthFailure.SignatureFailure", "the Authorization header cannot be read") from None
        if algorithm != "TC3-HMAC-SHA256" or secret_id != self.secret_id:
            raise ApiError("AuthFailure.SecretIdNotFound")
        if abs(time.time() + self.skew - timestamp) > SKEW:
            raise ApiError("AuthFailure.SignatureExpire", "the timestamp is more than 5 minutes off")
        host = headers.get("Host", "")
        # Tencent's own client signs the name without the port, and calls the service by the first part of the name.
        hosts = {host, host.rsplit(":", 1)[0]}
        good = [sign(self.secret_key, h, headers.get("Content-Type", ""), body, timestamp, service) for h in hosts]
        if service not in ("vod", host.split(".")[0]) or not any(hmac.compare_digest(g, fields.get("Signature", ""))
                                                                     for g in good):
            raise ApiError("AuthFailure.SignatureFailure")
        if self.token and headers.get("X-TC-Token") != self.token:
            raise ApiError("AuthFailure.TokenFailure")

    def limit_rate(self, action):
        with self.lock:
            now, times = time.monotonic(), self.call_times[action]
            while times and now - times[0] > 1:
                times.popleft()
            if len(times) >= self.rate:
                raise ApiError("RequestLimitExceeded", f"{action}: {self.rate} calls a second are allowed")
            times.append(now)

    def answer(self, headers, body):
        """Returns the action and what it answers."""
        action = headers.get("X-TC-Action", "")
        with self.lock:
            self.calls[action] += 1
        try:
            if action not in ACTIONS:
                raise ApiError("InvalidAction")
            if headers.get("X-TC-Version") != VERSION:
                raise ApiError("NoSuchVersion")
            self.authorize(headers, body)
            if self.rights is not None and action not in self.rights:
                raise ApiError("UnauthorizedOperation", "you are not authorized to perform this operation")
            self.limit_rate(action)
            try:
                parameters = json.loads(body or b"{}")
            except ValueError:
                raise ApiError("InvalidParameter", "no JSON") from None
            if self.sub_app_id and parameters.get("SubAppId") != self.sub_app_id:
                raise ApiError("InvalidParameterValue", "SubAppId is missing or not yours")
            response = getattr(self, action)(parameters)
        except ApiError as error:
            response = self.error(action, error)
        response["RequestId"] = "00000000-fake"
        with self.lock:
            self.lock.notify_all()
        return {"Response": response}

    def error(self, action, error):
        with self.lock:
            self.bad_calls.append((action, error.code))
        return {"Error": {"Code": error.code, "Message": error.message}}

    def next_misbehaviour(self, action):
        with self.lock:
            for i, (kind, value, only) in enumerate(self.misbehaviour):
                if only in (None, action):
                    del self.misbehaviour[i]
                    return kind, value
        return None, None


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (OSError, ssl.SSLError)):  # not just a client that went away
            super().handle_error(request, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def setup(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().setup()

    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        return super().date_time_string((timestamp or time.time()) + self.server.vod.skew)

    def do_POST(self):
        vod = self.server.vod
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        action = self.headers.get("X-TC-Action", "")
        kind, value = vod.next_misbehaviour(action)
        if kind == "delay":
            vod.wait_until(lambda: vod.stopping, value)
        if kind == "silence":
            vod.calls[action] += 1
            vod.wait_until(lambda: vod.stopping, value)
            self.close_connection = True
            return
        if kind in ("status", "text", "huge"):
            vod.calls[action] += 1
        if kind == "status":
            self.reply(b"<html>out of order</html>", status=value)
        elif kind == "lost":  # what the call did is done, and a gateway loses the answer
            vod.answer(self.headers, body)
            self.reply(b"<html>bad gateway</html>", status=value)
        elif kind == "text":
            self.reply(value if isinstance(value, bytes) else value.encode())
        elif kind == "huge":
            self.reply(b'{"Response":{"EventSet":[],"x":"' + b"x" * value + b'"}}')
        elif kind == "error":
            vod.calls[action] += 1
            error = vod.error(action, ApiError(value))
            self.reply(json.dumps({"Response": {**error, "RequestId": "00000000-fake"}}).encode())
        else:
            answer = json.dumps(vod.answer(self.headers, body), ensure_ascii=False).encode()
            self.reply(answer, **({kind: value} if kind in ("cut", "drip", "length") else {}))

    def reply(self, body, status=200, cut=None, drip=None, length=0):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body) + length))
        self.end_headers()
        if cut is not None:
            self.wfile.write(body[:cut])
            self.close_connection = True
        elif drip is not None:
            for i in range(len(body)):
                if self.server.vod.stopping:
                    break
                self.wfile.write(body[i:i + 1])
                self.wfile.flush()
                self.server.vod.wait_until(lambda: self.server.vod.stopping, drip)
        else:
            self.wfile.write(body)
            self.close_connection = length != 0


def event_id(event):
    for key, payload in event.items():
        if isinstance(payload, dict):
            return payload.get("TaskId") or payload.get("FileId") or payload["CastId"]
    raise ValueError("an event without a payload")


def upload(file_id, name="clip.mp4"):
    """A NewFileUpload event of ours."""
    return {"EventType": "NewFileUpload",
            "FileUploadEvent": {"FileId": str(file_id), "ProcedureTaskId": "",
                                "MediaBasicInfo": {"Name": name, "Type": "mp4",
                                                   "MediaUrl": f"https://1300000042.vod2.example.com/{file_id}/f0.mp4"}}}


def flow(task_id, file_id, status="FINISH", failed=False, **more):
    """A ProcedureStateChanged event of ours, of a flow with one transcoding."""
    result = {"Type": "Transcode", "TranscodeTask": {
        "Status": "PROCESSING" if status != "FINISH" else "FAIL" if failed else "SUCCESS",
        "ErrCode": 60000 if failed else 0, "ErrCodeExt": "SourceFileError" if failed else "", "Message": "", "Progress": 100,
        "Input": {"Definition": 100030}, "Output": None}}
    return {"EventType": "ProcedureStateChanged",
            "ProcedureStateChangeEvent": {"TaskId": task_id, "Status": status, "ErrCode": 0, "Message": "",
                                          "FileId": str(file_id), "FileName": "clip", "MediaProcessResultSet": [result],
                                          "TasksNotifyMode": "Finish", "SessionContext": "", "SessionId": "", **more}}


def make_certificate(folder):
    certificate = os.path.join(folder, "cert.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", os.path.join(folder, "key.pem"),
                    "-out", certificate], check=True, stderr=subprocess.DEVNULL)
    return certificate


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    vod = FakeVod(port=port)
    vod.put(upload(5285890784000000000 + i) for i in range(int(sys.argv[2]) if len(sys.argv) > 2 else 0))
    print(f"{vod.endpoint} TENCENTCLOUD_SECRET_ID={vod.secret_id} TENCENTCLOUD_SECRET_KEY={vod.secret_key}", flush=True)
    try:
        vod.thread.join()
    except KeyboardInterrupt:
        vod.close()


if __name__ == "__main__":
    main()
