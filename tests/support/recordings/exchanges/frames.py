"""What clients of the two task dialects send."""

from __future__ import annotations

import json
from typing import Any

SPEECH = "/api-ws/v1/audio/speech"
INFERENCE = "/api-ws/v1/inference"


def frame(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def command(action: str, task_id: str, **payload: Any) -> str:
    return frame({"header": {"action": action, "task_id": task_id}, "payload": payload})


def run_task(task_id: str, **parameters: Any) -> str:
    """Of the native dialect."""
    asked = {"mode": "fast_replication", "reference_audio_id": "plain", "output_format": "pcm"}
    return command("run-task", task_id, model="cosyvoice-v2", parameters=asked | parameters)


def run_hosted(task_id: str, *, model: str = "cosyvoice-v2", **parameters: Any) -> str:
    """Of the DashScope dialect."""
    asked = {"voice": "plain", "format": "pcm", "sample_rate": 24000}
    return command("run-task", task_id, model=model, parameters=asked | parameters, input={})


def go_on(task_id: str, text: str | None = None, **more: Any) -> str:
    return command("continue-task", task_id, input=_input(text) | more)


def finish(task_id: str, text: str | None = None, **more: Any) -> str:
    return command("finish-task", task_id, input=_input(text) | more)


def cancel(task_id: str, played_ms: Any = None) -> str:
    heard = {} if played_ms is None else {"input": {"played_ms": played_ms}}
    return command("cancel-task", task_id, **heard)


def _input(text: str | None) -> dict[str, Any]:
    return {} if text is None else {"text": text}
