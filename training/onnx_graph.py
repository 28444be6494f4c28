"""Writes networks as ONNX, layer by layer: small files, and no tracer between the network and the product."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

_OPSET: Final = 20
_IR_VERSION: Final = 9
FLOAT: Final = TensorProto.FLOAT
INT32: Final = TensorProto.INT32


class OnnxGraph:
    """Nodes in order. Weights are stored in half precision and computed with in float32."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._count = 0

    def node(self, kind: str, inputs: Sequence[str], name: str = "", **attributes: Any) -> str:
        """Append a node; its result's name."""
        result = name or self._name(kind)
        self._nodes.append(helper.make_node(kind, list(inputs), [result], **attributes))
        return result

    def constant(self, value: Any, kind: Any) -> str:
        """A constant of a numpy type."""
        name = self._name("constant")
        self._constants.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def weight(self, tensor: Tensor) -> str:
        """A weight in float32 that is kept in half precision."""
        half = self.constant(tensor.detach().half().numpy(), np.float16)
        return self.node("Cast", [half], to=TensorProto.FLOAT)

    def conv(self, x: str, layer: nn.Conv1d) -> str:
        """x [B, channels, n]."""
        inputs = [x, self.weight(layer.weight)]
        if layer.bias is not None:
            inputs.append(self.weight(layer.bias))
        padding = layer.padding
        assert isinstance(padding, tuple)
        return self.node(
            "Conv",
            inputs,
            strides=list(layer.stride),
            pads=[*padding, *padding],
            dilations=list(layer.dilation),
            group=layer.groups,
        )

    def linear(self, x: str, layer: nn.Linear) -> str:
        """x [..., in]."""
        product = self.node("MatMul", [x, self.weight(layer.weight.T)])
        return self.node("Add", [product, self.weight(layer.bias)])

    def layer_norm(self, x: str, layer: nn.LayerNorm) -> str:
        """x [..., size]."""
        inputs = [x, self.weight(layer.weight), self.weight(layer.bias)]
        return self.node("LayerNormalization", inputs, axis=-1, epsilon=layer.eps)

    def swap(self, x: str) -> str:
        """[B, a, b] -> [B, b, a]."""
        return self.node("Transpose", [x], perm=[0, 2, 1])

    def save(self, path: Path, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        """inputs, outputs: name to (type, shape)."""
        graph = helper.make_graph(
            self._nodes,
            "cosyserve",
            [helper.make_tensor_value_info(name, *about) for name, about in inputs.items()],
            [helper.make_tensor_value_info(name, *about) for name, about in outputs.items()],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
        model.ir_version = _IR_VERSION
        onnx.checker.check_model(model)
        onnx.save(model, path)

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind.lower()}_{self._count}"
