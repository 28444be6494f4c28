"""Small ONNX files that take and give what the checkpoint's two ONNX models do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_OPSET = 17
_IR_VERSION = 9


def write_speech_tokenizer(
    path: Path,
    *,
    tokens: int = 6561,
    names: tuple[str, str, str] = ("feats", "feats_length", "indices"),
) -> None:
    """A model from log-mel [1, 128, frames] and length [1] to token numbers [1, ceil(frames / 4)].

    tokens: how many different numbers there are. names: sound, length, result.
    The numbers depend on the sound near them, and frames past the length do not count.
    """
    sound, length, result = names
    pool = {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}
    nodes = [
        helper.make_node("Slice", [sound, "zero", length, "last_axis"], ["cut"]),
        helper.make_node("ReduceMean", ["cut"], ["level"], axes=[1], keepdims=1),
        helper.make_node("AveragePool", ["level"], ["half"], **pool),
        helper.make_node("AveragePool", ["half"], ["quarter"], **pool),
        helper.make_node("Mul", ["quarter", "scale"], ["scaled"]),
        helper.make_node("Floor", ["scaled"], ["floored"]),
        helper.make_node("Cast", ["floored"], ["whole"], to=TensorProto.INT32),
        helper.make_node("Mod", ["whole", "tokens"], ["token"]),
        helper.make_node("Squeeze", ["token", "channel_axis"], [result]),
    ]
    constants = {
        "zero": np.array([0], np.int32),
        "last_axis": np.array([2], np.int32),
        "channel_axis": np.array([1], np.int64),
        "scale": np.array(9973.0, np.float32),
        "tokens": np.array(tokens, np.int32),
    }
    inputs = [
        helper.make_tensor_value_info(sound, TensorProto.FLOAT, [1, 128, "frames"]),
        helper.make_tensor_value_info(length, TensorProto.INT32, [1]),
    ]
    output = helper.make_tensor_value_info(result, TensorProto.INT32, [1, "tokens"])
    _write(path, nodes, constants, inputs, output)


def write_speaker_encoder(
    path: Path, *, size: int = 192, names: tuple[str, str] = ("input", "output")
) -> None:
    """A model from fbank [1, frames, 80] to an embedding [1, size]: random mixes of its spread over time."""
    sound, result = names
    mix = np.random.default_rng(0).standard_normal((80, size), np.float32)
    nodes = [
        helper.make_node("Abs", [sound], ["spread"]),
        helper.make_node("ReduceMean", ["spread"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["mean", "mix"], [result]),
    ]
    inputs = [helper.make_tensor_value_info(sound, TensorProto.FLOAT, [1, "frames", 80])]
    output = helper.make_tensor_value_info(result, TensorProto.FLOAT, [1, size])
    _write(path, nodes, {"mix": mix}, inputs, output)


def _write(
    path: Path,
    nodes: list[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    inputs: list[onnx.ValueInfoProto],
    output: onnx.ValueInfoProto,
) -> None:
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, [output], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
    model.ir_version = _IR_VERSION
    onnx.checker.check_model(model)
    onnx.save(model, path)
