"""Scoring from an S3-compatible server that answers 500 and cuts connections. Needs the packages `moto[server]` and
`s3fs`."""

from __future__ import annotations

import csv
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

s3fs = pytest.importorskip("s3fs")
werkzeug_app = pytest.importorskip("moto.moto_server.werkzeug_app")
serving = pytest.importorskip("werkzeug.serving")

pytestmark = pytest.mark.slow

SAMPLES = sorted((Path(__file__).parents[1] / "samples").glob("*-*.[sp]*"))
COPIES = 8
BROKEN = "relu-1-0.safetensors"
Application = Callable[[dict[str, Any], Callable[..., Any]], Any]


class Faulty:
    """A WSGI application that fails in turns: every third request for an object is answered 500, every seventh cut off
    in its middle, and requests for `broken` always fail."""

    def __init__(self, application: Application) -> None:
        self.application, self.counter = application, itertools.count(1)
        self.faults, self.broken = {"500": 0, "cut": 0}, ""
        self.failing = False

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if not self.failing or method not in ("GET", "HEAD") or path.count("/") < 2:
            return self.application(environ, start_response)
        number = next(self.counter)
        if (self.broken and path.endswith(self.broken)) or number % 3 == 0:
            self.faults["500"] += 1
            start_response("500 Internal Server Error", [("Content-Length", "0")])
            return []
        body = self.application(environ, start_response)
        if number % 7 or method != "GET":
            return body
        self.faults["cut"] += 1
        content = b"".join(body)
        return iter([content[: len(content) // 2]])  # the server then closes: fewer bytes than it promised


@pytest.fixture
def store() -> Iterator[tuple[Faulty, dict[str, str]]]:
    """The server, and the environment in which s3fs finds it."""
    faulty = Faulty(werkzeug_app.DomainDispatcherApplication(werkzeug_app.create_backend_app))
    server = serving.make_server("127.0.0.1", 0, faulty, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found = {
        "FSSPEC_S3_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
        "FSSPEC_S3_KEY": "nobody",
        "FSSPEC_S3_SECRET": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",  # the server's failures are ours to deal with
        "NO_PROXY": "127.0.0.1",
    }
    yield faulty, found
    server.shutdown()
    thread.join()


def scored(environment: dict[str, str], out: Path, *options: str) -> tuple[int, dict[str, dict[str, str]], str]:
    """Exit code, rows by the last part of their paths, and stderr."""
    command = [sys.executable, "-m", "nfn_cli", "predict-accuracy", "s3://zoo/nets", "-o", str(out), *options]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=300)
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    by_name = {row["path"].rpartition("/")[2]: row for row in rows}
    assert len(by_name) == len(rows)
    return done.returncode, by_name, done.stderr


def test_a_failing_server_costs_no_row(
    store: tuple[Faulty, dict[str, str]], assert_alike: Callable[[Any, Any], None], tmp_path: Path
) -> None:
    faulty, environment = store
    system = s3fs.S3FileSystem(
        endpoint_url=environment["FSSPEC_S3_ENDPOINT_URL"], key="nobody", secret="nothing", skip_instance_cache=True
    )
    system.mkdir("zoo")
    for sample in SAMPLES:
        for copy in range(COPIES):
            system.put_file(str(sample), f"zoo/nets/{sample.stem}-{copy}{sample.suffix}")
    code, expected, _ = scored(environment, tmp_path / "sound.csv")
    assert code == 0 and len(expected) == COPIES * len(SAMPLES)

    faulty.failing, faulty.broken = True, BROKEN
    code, found, stderr = scored(environment, tmp_path / "rows.csv")
    assert faulty.faults["500"] > 10 and faulty.faults["cut"] > 3
    assert code == 1 and "Traceback" not in stderr
    assert found[BROKEN]["error"].endswith("try again later")
    sound = sorted(expected.keys() - {BROKEN})
    assert found.keys() == expected.keys()
    assert_alike([found[name] for name in sound], [expected[name] for name in sound])

    faulty.broken = ""
    code, found, _ = scored(environment, tmp_path / "rows.csv", "--resume")
    assert code == 0 and found.keys() == expected.keys()
    assert_alike([found[name] for name in expected], list(expected.values()))
