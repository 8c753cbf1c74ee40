"""Clients that post events into a box, and count how each attempt ended."""

import collections
import json
import threading
import time


def upload(file_id, name="動物世界.mp4", **more):
    """A NewFileUpload of the given file, as VOD sends it."""
    return json.dumps({
        "EventType": "NewFileUpload",
        "FileUploadEvent": {
            "FileId": str(file_id),
            "MediaBasicInfo": {
                "Name": name, "Description": "", "ClassId": 0, "ClassName": "Others", "CoverUrl": "", "Type": "mp4",
                "MediaUrl": f"https://1500000001.vod2.example.com/{file_id}/f0.mp4", "TagSet": [],
                "StorageRegion": "ap-guangzhou-2", "SourceInfo": {"SourceType": "Upload", "SourceContext": ""}},
            "MetaData": {"Size": 10556516, "Container": "mov,mp4", "Bitrate": 1402048, "Height": 720, "Width": 1280,
                         "Duration": 60.2, "Rotate": 0},
            "ProcedureTaskId": "", **more},
        **{key: None for key in ("ProcedureStateChangeEvent", "FileDeleteEvent", "PullCompleteEvent")},
    }, ensure_ascii=False).encode()


def head(body, target="/", method="POST", close=True):
    return (f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n{'Connection: close' + chr(13) + chr(10) if close else ''}\r\n").encode()


def answer(s):
    """All that comes until the server closes."""
    received = b""
    while data := s.recv(65536):
        received += data
    return received


def post(s, body, **more):
    """Posts on a connected socket, closes it, returns the status."""
    with s:
        s.sendall(head(body, **more) + body)
        received = answer(s)
    assert received.startswith(b"HTTP/1.1 "), received[:100]
    return int(received.split()[1])


class Load:
    """Threads that post uploads of one file after another, a connection each, without pause, until stopped or until
    `total` are posted. Each pauses that long after a request. `outcomes` counts statuses and errors; `acknowledged` holds the files that got a 200."""

    def __init__(self, box, first, threads=2, total=None, pause=0):
        self.box, self.total, self.pause = box, total, pause
        self.outcomes = collections.Counter()
        self.acknowledged = set()
        self.next = first
        self.first = first
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        if self.total is None:
            self.stopping.set()
        for thread in self.threads:
            thread.join(120)
            assert not thread.is_alive(), "a client hangs"

    def _take(self):
        with self.lock:
            if self.stopping.is_set() or self.total is not None and self.next - self.first >= self.total:
                return None
            self.next += 1
            return self.next - 1

    def _run(self):
        while (file_id := self._take()) is not None:
            try:
                outcome = post(self.box.connect(), upload(file_id))
            except (OSError, AssertionError) as e:
                outcome = type(e).__name__
            with self.lock:
                self.outcomes[outcome] += 1
                if outcome == 200:
                    self.acknowledged.add(str(file_id))
            time.sleep(self.pause)


def recorded(box, *matches, **more):
    """How often the journal has each file: every entry of an event counts for the files that it names."""
    found = collections.Counter()
    for entry in box.journal("VOD_EVENT_TYPE=NewFileUpload", *matches, "--output-fields=VOD_FILE_ID", **more):
        ids = entry["VOD_FILE_ID"]
        found.update(ids if isinstance(ids, list) else [ids])
    return found


def every(seconds, times, action):
    """Does something a number of times, evenly spaced; this is the pace of a test, not a wait for something."""
    start = time.monotonic()
    for i in range(times):
        time.sleep(max(0, start + i * seconds - time.monotonic()))
        action()
