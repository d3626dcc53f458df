"""The services' networks as they run in NumPy, and the same as ONNX graphs: what bench/smaller.py compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

Node = tuple[str, list[str], str, dict[str, Any]]


@dataclass(frozen=True)
class Network:
    """One network.

    Attributes:
        run: its answer in NumPy to `inputs`.
        inputs: by name, with a first axis of one.
        weights: by name.
        nodes: ONNX operators: kind, inputs, output, attributes; the last one's output is the answer.
    """

    run: Callable[[], np.ndarray]
    inputs: Mapping[str, np.ndarray]
    weights: Mapping[str, np.ndarray]
    nodes: list[Node]

    @property
    def bytes(self) -> int:
        """Of all weights."""
        return sum(array.nbytes for array in self.weights.values())


def autoencoder(folder: Path) -> Network:
    from components.services.recommend.autoencoder import taste
    from components.services.recommend.bundle import read_bundle

    arrays = read_bundle(folder).arrays
    counted = np.zeros((1, len(arrays["decoder.bias"])), dtype=np.float32)
    counted[0, ::120] = 1.0
    weights = {
        "in": np.ascontiguousarray(arrays["encoder.weight"].T), "in0": arrays["encoder.bias"],
        "out": np.ascontiguousarray(arrays["decoder.weight"].T), "out0": arrays["decoder.bias"],
        "one": np.array(1, np.float32), "axis": np.array([1], np.int64),
    }  # fmt: skip
    nodes: list[Node] = [
        ("ReduceL2", ["counted", "axis"], "length", {"keepdims": 1}), ("Max", ["length", "one"], "norm", {}),
        ("Div", ["counted", "norm"], "scaled", {}), ("MatMul", ["scaled", "in"], "reached", {}),
        ("Add", ["reached", "in0"], "moved", {}), ("Tanh", ["moved"], "code", {}),
        ("MatMul", ["code", "out"], "said", {}), ("Add", ["said", "out0"], "logits", {}),
        ("Softmax", ["logits"], "answer", {"axis": 1}),
    ]  # fmt: skip
    rows = sparse.csr_array(counted)
    return Network(lambda: taste(arrays, rows), {"counted": counted}, weights, nodes)


def clicks(folder: Path) -> Network:
    from components.services.ads.bundle import read_bundle
    from components.services.ads.forward import beside

    bundle = read_bundle(folder)
    arrays, ads = bundle.arrays, len(bundle.catalogue)
    starts = bundle.space.starts
    context = np.broadcast_to(starts[5:], (ads, len(starts) - 5))
    ids = np.column_stack([bundle.space.of_ad[1:], context]).astype(np.int64)
    told = np.random.default_rng(1).normal(size=(ads, arrays["line.weight"].shape[1])).astype(np.float32)
    turned = {f"{layer}.weight" for layer in ("inner", "line", "outer")}
    weights = {
        name.replace(".", "_"): np.ascontiguousarray(array.T if name in turned else array, dtype=np.float32)
        for name, array in bundle.weights.items()
    }
    weights |= {"flat": np.array([ads, -1], np.int64), "axes": np.array([1, 2], np.int64)}
    nodes: list[Node] = [
        ("Gather", ["deep_weight", "ids"], "deep", {"axis": 0}), ("Reshape", ["deep", "flat"], "wide_in", {}),
        ("Concat", ["wide_in", "told"], "inside", {"axis": 1}), ("MatMul", ["inside", "inner_weight"], "reached", {}),
        ("Add", ["reached", "inner_bias"], "moved", {}), ("Tanh", ["moved"], "code", {}),
        ("MatMul", ["code", "outer_weight"], "bent", {}), ("MatMul", ["told", "line_weight"], "straight", {}),
        ("Add", ["straight", "line_bias"], "line", {}), ("Gather", ["wide_weight", "ids"], "names", {"axis": 0}),
        ("ReduceSum", ["names", "axes"], "summed", {"keepdims": 0}), ("Reshape", ["summed", "flat"], "wide", {}),
        ("Add", ["line", "bent"], "both", {}), ("Add", ["both", "wide"], "answer", {}),
    ]  # fmt: skip
    return Network(lambda: beside(bundle, ids, told)[:, None], {"ids": ids, "told": told}, weights, nodes)


OF = {("recommend", "autoencoder"): autoencoder, ("ads", "network"): clicks}
"""Networks by service and candidate."""


def as_onnx(network: Network, where: Path) -> dict[str, Path]:
    """Write the network as a graph in single precision, and quantised, and return both."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from onnxruntime.quantization import QuantType, quantize_dynamic

    kinds = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64}
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output], **more) for kind, inputs, output, more in network.nodes],
        "network",
        [helper.make_tensor_value_info(name, kinds[one.dtype], one.shape) for name, one in network.inputs.items()],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, [None, None])],
        [numpy_helper.from_array(array, name) for name, array in network.weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    whole, small = where / "network.onnx", where / "network-int8.onnx"
    onnx.save(model, whole)
    quantize_dynamic(whole, small, weight_type=QuantType.QInt8, per_channel=True)
    return {"ONNX": whole, "ONNX int8": small}


def session(path: Path, inputs: Mapping[str, np.ndarray]) -> Callable[[], np.ndarray]:
    """Return what runs a graph on `inputs`, in one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    loaded = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: np.asarray(loaded.run(None, dict(inputs))[0])
