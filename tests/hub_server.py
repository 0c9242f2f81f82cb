"""A hub on this machine: the few calls of the Hugging Face hub that sharing needs."""

import base64
import hashlib
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_API = re.compile(r"/api/models/(?P<name>[\w.-]+/[\w.-]+)/(?P<what>\w+)/(?P<revision>[\w.-]+)")
_FILE = re.compile(r"/(?P<name>[\w.-]+/[\w.-]+)/resolve/(?P<revision>[\w.-]+)/(?P<file>[^?]+)")


class Hub:
    """The repositories of a hub, and how it misbehaves.

    Attributes:
        files: the content of every file, by repository and path.
        requests: the method and path of every request.
        status: the status of every answer; 200 is a well-behaved hub.
        delay: seconds before every answer.
        body: what is sent instead of files, by path.
    """

    def __init__(self):
        self.files, self.requests, self.body = {}, [], {}
        self.status, self.delay = 200, 0.0
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def sha(self, name):
        content = repr(sorted(self.files[name].items())).encode()
        return hashlib.sha1(content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._answer()

    def do_HEAD(self):
        self._answer()

    def do_POST(self):
        self._answer()

    def _answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length)
        path = self.path.partition("?")[0]
        self.hub.requests.append((self.command, path))
        time.sleep(self.hub.delay)
        if self.hub.status != 200:
            return self._send(b"{}", status=self.hub.status)
        if path == "/api/repos/create":
            return self._create(json.loads(content))
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if found := _API.fullmatch(path):
            return self._api(content, **found.groupdict())
        if found := _FILE.fullmatch(path):
            return self._file(**found.groupdict())
        return self._json({"error": "not found"}, status=404)

    def _create(self, request):
        name = f"{request.get('organization') or 'me'}/{request['name']}"
        self.hub.files.setdefault(name, {})
        self._json({"url": f"{self.hub.address}/{name}", "name": name, "id": name})

    def _api(self, content, name, what, revision):
        if name not in self.hub.files:
            return self._send(b"{}", status=404, headers={"X-Error-Code": "RepoNotFound"})
        if what == "preupload":
            asked = json.loads(content)["files"]
            modes = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked
            ]
            return self._json({"files": modes})
        if what == "commit":
            return self._commit(content, name)
        if revision not in ("main", self.hub.sha(name)):
            return self._send(b"{}", status=404, headers={"X-Error-Code": "RevisionNotFound"})
        if what == "tree":
            return self._json(
                [
                    {"type": "file", "path": file, "size": len(data), "oid": _oid(data)}
                    for file, data in self.hub.files[name].items()
                ]
            )
        siblings = [{"rfilename": file} for file in self.hub.files[name]]
        return self._json(
            {"id": name, "sha": self.hub.sha(name), "siblings": siblings, "private": False}
        )

    def _commit(self, content, name):
        for line in content.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                value = entry["value"]
                self.hub.files[name][value["path"]] = base64.b64decode(value["content"])
        sha = self.hub.sha(name)
        url = f"{self.hub.address}/{name}/commit/{sha}"
        self._json({"success": True, "commitOid": sha, "commitUrl": url, "hookOutput": ""})

    def _file(self, name, revision, file):
        data = self.hub.files.get(name, {}).get(file)
        if data is None:
            return self._send(b"{}", status=404, headers={"X-Error-Code": "EntryNotFound"})
        headers = {"ETag": f'"{_oid(data)}"', "X-Repo-Commit": self.hub.sha(name)}
        self._send(self.hub.body.get(file, data), headers=headers)

    def _json(self, content, status=200):
        self._send(json.dumps(content).encode(), status, {"Content-Type": "application/json"})

    def _send(self, data, status=200, headers=None):
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _oid(data):
    return hashlib.sha1(data).hexdigest()
