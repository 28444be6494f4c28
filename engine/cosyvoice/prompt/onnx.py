"""The two ONNX models of a checkpoint: sound to speech tokens, sound to a speaker embedding.

They run on onnxruntime. Inputs are told apart by type and rank, not by name: exports differ there.
Both objects may be called from several threads at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
import torch
from torch import Tensor

_FLOAT: Final = "tensor(float)"
_INTEGERS: Final = {"tensor(int32)": np.int32, "tensor(int64)": np.int64}
_FATAL_ONLY: Final = 4
"""Log level: what goes wrong is raised as OnnxModelError, and the library's own lines name addresses."""


class OnnxModelError(Exception):
    """The file is not an ONNX model, not the expected one, or failed on an input. Names the file."""


class SpeechTokenizer:
    """`speech_tokenizer_v2.onnx`.

    threads: CPU threads of one call. cuda: run on the GPU if this onnxruntime can; else on the CPU.
    Raises OnnxModelError.
    """

    def __init__(self, path: Path, *, threads: int = 1, cuda: bool = False) -> None:
        self._path = path
        self._session = _open(path, threads, cuda)
        inputs = self._session.get_inputs()
        sound = [i for i in inputs if i.type == _FLOAT and len(i.shape) == 3]
        length = [i for i in inputs if i.type in _INTEGERS and len(i.shape) == 1]
        if len(inputs) != 2 or len(sound) != 1 or len(length) != 1:
            raise OnnxModelError(
                f"{path} is not a speech tokenizer: it should take a float [1, 128, frames] and an "
                f"integer [1], it takes {_described(inputs)}"
            )
        self._sound: str = sound[0].name
        self._length: str = length[0].name
        self._length_type = _INTEGERS[length[0].type]

    def __call__(self, log_mel: Tensor) -> Tensor:
        """Speech tokens [tokens], int32, 25 a second, of a `whisper_log_mel` [1, 128, frames].

        Raises OnnxModelError.
        """
        found = _run(
            self._session,
            self._path,
            {
                self._sound: log_mel.detach().cpu().numpy(),
                self._length: np.array([log_mel.shape[2]], dtype=self._length_type),
            },
        )
        if not np.issubdtype(found.dtype, np.integer):
            raise OnnxModelError(f"{self._path} gave {found.dtype}, not token numbers")
        return torch.from_numpy(found.reshape(-1).astype(np.int32))


class SpeakerEncoder:
    """`campplus.onnx`. size: length of the embedding the model needs. Raises OnnxModelError."""

    def __init__(self, path: Path, *, size: int = 192, threads: int = 1) -> None:
        self._path = path
        self._size = size
        self._session = _open(path, threads, cuda=False)
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type != _FLOAT or len(inputs[0].shape) != 3:
            raise OnnxModelError(
                f"{path} is not a speaker encoder: it should take a float [1, frames, 80], "
                f"it takes {_described(inputs)}"
            )
        self._sound: str = inputs[0].name

    def __call__(self, fbank: Tensor) -> Tensor:
        """The embedding [size], float32, of a `speaker_fbank` [frames, 80].

        Raises OnnxModelError.
        """
        found = _run(self._session, self._path, {self._sound: fbank[None].detach().cpu().numpy()})
        embedding = found.reshape(-1).astype(np.float32)
        if embedding.shape[0] != self._size:
            raise OnnxModelError(
                f"{self._path} gave an embedding of {embedding.shape[0]}, not {self._size}"
            )
        if not np.isfinite(embedding).all():
            raise OnnxModelError(f"{self._path} gave an embedding that is not finite")
        return torch.from_numpy(embedding)


def _open(path: Path, threads: int, cuda: bool) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    # Waiting threads would spin, which takes the processor from those who decode.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers = ["CPUExecutionProvider"]
    if cuda and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        providers.insert(0, "CUDAExecutionProvider")
    if not path.is_file():
        raise OnnxModelError(f"{path} is missing")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # its exceptions share no base but this
        raise OnnxModelError(f"{path} cannot be loaded: {_first_line(error)}") from error


def _run(session: Any, path: Path, inputs: dict[str, np.ndarray]) -> np.ndarray:
    try:
        found = session.run(None, inputs)[0]
    except Exception as error:  # its exceptions share no base but this
        raise OnnxModelError(f"{path} failed: {_first_line(error)}") from error
    if not isinstance(found, np.ndarray):
        raise OnnxModelError(f"{path} gave no tensor")
    return found


def _described(inputs: Any) -> str:
    return ", ".join(f"{i.name}: {i.type} {list(i.shape)}" for i in inputs) or "nothing"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
