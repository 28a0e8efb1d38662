"""A stand-in for YouTube: a server on this machine, and the extractor of yt-dlp that asks it."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

from yt_dlp.extractor.common import InfoExtractor
from yt_dlp.utils import ExtractorError


class StandIn(InfoExtractor):
    """Takes the addresses of YouTube and asks the server at ``address`` instead."""

    _VALID_URL = r"https://www\.youtube\.com/watch\?v=(?P<id>[A-Za-z0-9_-]{11})$"
    address = ""

    def _real_extract(self, url):
        name = self._match_id(url)
        said = self._download_json(f"{self.address}/info/{name}", name)
        if "error" in said:
            raise ExtractorError(said["error"], expected=True)
        formats = [{**one, "url": f"{self.address}{one['url']}"} for one in said["formats"]]
        return {"id": name, "title": "../../a title", "formats": formats, **said["about"]}


@contextmanager
def serving():
    """Gives ``videos`` (by name: bytes, or what is said instead), ``asked``, ``slow_s`` for a block, ``extractor``."""
    state = SimpleNamespace(videos={}, asked=[], slow_s=0.0, at_once=0, most_at_once=0, about={}, lock=threading.Lock())

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            with state.lock:
                state.asked.append((self.path, self.headers.get("Range", ""), self.headers.get("Cookie", "")))
            _, what, name = self.path.split("/")
            if what == "info":
                return self.answer(200, json.dumps(self.info(name)).encode())
            content = state.videos[name.split(".")[0]]
            if isinstance(content, dict):
                content = content[name.split(".")[1]]
            start = int((self.headers.get("Range") or "bytes=0-").split("=")[1].split("-")[0])
            return self.answer(206 if start else 200, content, start)

        def info(self, name):
            content = state.videos.get(name, "Video unavailable")
            if isinstance(content, list):  # one after the other, and the last one for good
                content = content.pop(0) if len(content) > 1 else content[0]
                state.videos[name + "*"] = content
            if isinstance(content, str):
                return {"error": content}
            if isinstance(content, dict):
                picture = {
                    "format_id": "p",
                    "url": f"/media/{name}.p",
                    "ext": "mp4",
                    "vcodec": "avc1",
                    "acodec": "none",
                }
                sound = {"format_id": "s", "url": f"/media/{name}.s", "ext": "m4a", "vcodec": "none", "acodec": "mp4a"}
                formats = [{**picture, "height": 240, "width": 320}, sound]
            else:
                sizes = ((144, "small"), (360, "right"), (720, "large"))
                coded = {"ext": "mp4", "vcodec": "avc1", "acodec": "mp4a"}
                formats = [
                    {**coded, "format_id": word, "url": f"/media/{name}.{word}", "height": px, "width": px * 4 // 3}
                    for px, word in sizes
                ]
            return {
                "formats": formats,
                "about": {"duration": 8.0, "channel_id": "UC" + name, **state.about.get(name, {})},
            }

        def answer(self, code, content, start=0):
            if start >= len(content):
                code, content = 416, b""
            self.send_response(code)
            self.send_header("Content-Length", str(max(len(content) - start, 0)))
            if code == 416:
                self.send_header("Content-Range", f"bytes */{start}")
            elif start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            with state.lock:
                state.at_once += 1
                state.most_at_once = max(state.most_at_once, state.at_once)
            try:
                for place in range(start, len(content), 4096):
                    self.wfile.write(content[place : place + 4096])
                    time.sleep(state.slow_s)
            except OSError:
                pass  # whoever asked is gone
            with state.lock:
                state.at_once -= 1

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    state.address = f"http://127.0.0.1:{server.server_port}"
    state.extractor = type("StandInIE", (StandIn,), {"address": state.address})
    yield state
    server.shutdown()
    server.server_close()
