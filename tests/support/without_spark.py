"""The local Dataproc whose `spark-submit` is Python alone: all but Spark is as in the real one.

`faults.json` beside its data says what the next calls get instead of an answer: with a + before the
code, after they were carried out.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

import grpc

from pydag_emulators.dataproc import server
from pydag_emulators.dataproc.__main__ import main
from pydag_emulators.dataproc.spark import submit

lock, answer = threading.Lock(), server._answer
(data,) = (Path(word.removeprefix("--data=")) for word in sys.argv if word.startswith("--data="))


def faulty(call: Any, request: Any, context: Any) -> Any:
    with lock:
        file = data / "faults.json"
        faults = json.loads(file.read_text()) if file.exists() else []
        code = next((c for name, c in faults if type(request).__name__ == f"{name}Request"), None)
        if code:
            faults.remove([type(request).__name__.removesuffix("Request"), code])
            file.write_text(json.dumps(faults))
            if code.startswith("+"):
                call(request)
            status = getattr(grpc.StatusCode, code.removeprefix("+"))
            context.abort(status, "a fault that was ordered")
    return answer(call, request, context)


server._answer = faulty
submit.command = lambda _, job, files, __: [sys.executable, files.main, *job.pyspark_job.args]
sys.exit(main())
