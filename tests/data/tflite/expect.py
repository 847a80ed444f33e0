"""Writes FOLDER/NAME.npz for every NAME.tflite: x0, x1, ... and y0, y1, ... of four samples.

A filter with a memory (svdf) sees them one after the other; an LSTM starts anew with each.

tflite-runtime 2.14.0, resolver BUILTIN_REF. Usage: python expect.py FOLDER [NAME ...]
"""
import glob
import importlib
import os
import struct
import sys

import numpy as np
from tflite_runtime import interpreter as tfl

SAMPLES = 4

# The reference's SUM takes int8 for uint8 (README.md has the evidence). So it is given the uint8 model that means the
# same: every number and zero point 128 more. Input and output zero points of these models.
BIASED = {"sum_i8": (-1, 5)}

# The reference divides uint8 only (TFLite Micro also int8, with the same code): the twin with numbers 128 more.
TWINS = {"div_i8": "div_u8"}

# What tflite-runtime 2.14.0 does not know: run by ai-edge-litert 2, its reference kernels too.
LATER = ["quantize_from_i8_i16"]


def biased(path, zero_points):
    """The model with zero points that are 128 more."""
    model = open(path, "rb").read()
    for zero_point in map(lambda z: struct.pack("<q", z), zero_points):
        assert model.count(zero_point) == 1, path
    for z in zero_points:
        model = model.replace(struct.pack("<q", z), struct.pack("<q", z + 128))
    return model


def flipped(value):
    """Bytes of int8 as those of the uint8 that are 128 more, and back."""
    return (value.view(np.uint8) ^ 128).view(np.int8)


for path in sorted(glob.glob(sys.argv[1] + "/*.tflite")):
    name = os.path.basename(path)[: -len(".tflite")]
    if name in TWINS.values() or (sys.argv[2:] and name not in sys.argv[2:]):
        continue
    rng = np.random.default_rng(11)
    zero_points, twin = BIASED.get(name), TWINS.get(name)
    content = biased(path, zero_points) if zero_points else open(path.replace(name, twin or name), "rb").read()
    convert = flipped if zero_points or twin else lambda value: value
    try:
        interpreter = importlib.import_module("ai_edge_litert.interpreter") if name in LATER else tfl
        resolver = interpreter.OpResolverType.BUILTIN_REF
        model = interpreter.Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=resolver)
        model.allocate_tensors()
    except Exception as error:
        print(path, str(error).splitlines()[0])
        continue
    inputs, outputs = model.get_input_details(), model.get_output_details()

    def sample(detail):
        if detail["dtype"] == np.float32:
            return rng.uniform(-3, 3, detail["shape"]).astype(np.float32)
        dtype = np.int8 if twin else detail["dtype"]
        info = np.iinfo(dtype)
        value = rng.integers(info.min, info.max + 1, detail["shape"], dtype)
        if name == "div_i8":
            # No divisor is zero; and no numerator (of zero point -9) is so small that the quotient's shift reaches
            # 32, which C++ leaves undefined.
            value = np.where(value == 17, 18, np.where(abs(value + 9) < 8, -17, value)).astype(dtype)
        return value

    arrays = {f"x{i}": [] for i in range(len(inputs))} | {f"y{i}": [] for i in range(len(outputs))}
    for _ in range(SAMPLES):
        if "svdf" not in path:
            model.reset_all_variables()
        for i, detail in enumerate(inputs):
            value = sample(detail)
            model.set_tensor(detail["index"], convert(value).view(detail["dtype"]))
            arrays[f"x{i}"].append(value.reshape(value.shape[value.shape[0] == 1 :]))
        model.invoke()
        for i, detail in enumerate(outputs):
            value = convert(model.get_tensor(detail["index"]))
            arrays[f"y{i}"].append(value.reshape(value.shape[value.shape[0] == 1 :]).copy())
    np.savez_compressed(path[:-7], **{k: np.stack(v) for k, v in arrays.items()})
