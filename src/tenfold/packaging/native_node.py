"""A node of an ONNX graph with what is known about its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

__all__ = ["Node", "Unsupported"]

Array = NDArray[np.float32]


class Unsupported(Exception):  # noqa: N818  says what it is; `read` makes an ExportError of it
    """What about a node is not covered."""


@dataclass(frozen=True)
class Node:
    """A node with what is known about its inputs.

    Attributes:
        proto: as the file has it.
        constants: values that depend on no image.
        sizes: dimensions of values, with a batch of 1.
        same: values that are another one under a new name.
    """

    proto: onnx.NodeProto
    constants: Mapping[str, NDArray[Any]]
    sizes: Mapping[str, tuple[int, ...]]
    same: Mapping[str, str]

    @property
    def operator(self) -> str:
        """Its operator."""
        return str(self.proto.op_type)

    @property
    def name(self) -> str:
        """Its name; if it has none, that of its output."""
        return str(self.proto.name or self.proto.output[0])

    @property
    def output(self) -> str:
        """The value it makes."""
        return str(self.proto.output[0])

    def input(self, index: int = 0) -> str:
        """The value it reads, by the name under which it is computed."""
        name = str(self.proto.input[index])
        if name in self.constants:
            raise Unsupported("a constant where a value of the image is expected")
        return self.same.get(name, name)

    def constant(self, index: int) -> NDArray[Any] | None:
        """An input that must not depend on the image; None where it is left out."""
        if len(self.proto.input) <= index or not self.proto.input[index]:
            return None
        name = self.proto.input[index]
        if name not in self.constants:
            raise Unsupported(f"input {index} ({name!r}) depends on the image; only constants are covered")
        return self.constants[name]

    def weight(self, index: int) -> Array:
        """An input that must be there and be constant."""
        found = self.constant(index)
        if found is None:
            raise Unsupported(f"input {index} is missing")
        return found.astype(np.float32)

    def size(self, index: int = 0) -> tuple[int, ...]:
        """The dimensions of an input."""
        return self._size(self.proto.input[index])

    def output_size(self) -> tuple[int, ...]:
        """The dimensions of the output."""
        return self._size(self.output)

    def _size(self, name: str) -> tuple[int, ...]:
        if name not in self.sizes:
            raise Unsupported(f"the dimensions of {name!r} are not known before it runs")
        return self.sizes[name]

    def attribute(self, name: str, default: Any) -> Any:
        """A setting, text as str."""
        for attribute in self.proto.attribute:
            if attribute.name == name:
                value = onnx.helper.get_attribute_value(attribute)
                return value.decode() if isinstance(value, bytes) else value
        return default

    def frame(self, *inputs: int) -> dict[str, Any]:
        """Name, inputs (the first one by default) and output of a step made of this node."""
        names = tuple(self.input(index) for index in inputs or (0,))
        return {"node": self.name, "inputs": names, "output": self.output}
