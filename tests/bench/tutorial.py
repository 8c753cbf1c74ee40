"""A receiver like the one of VOD's tutorial: Python's http.server, which prints what it is posted, line by line as on
a terminal."""
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Receiver(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer()

    def do_POST(self):
        print(self.path)
        print(self.rfile.read(int(self.headers["Content-Length"])).decode("utf-8"))
        self.answer()

    def answer(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()


sys.stdout.reconfigure(line_buffering=True)
server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
print(f"Started httpserver on port {sys.argv[1]}")
server.serve_forever()
