"""Writes FOLDER/NAME.npz for every NAME.tflite: x0, x1, ... and y0, y1, ... of four samples.

A filter with a memory (svdf) sees them one after the other; an LSTM starts anew with each.

tflite-runtime 2.14.0, resolver BUILTIN_REF. Usage: python expect.py FOLDER
"""
import glob
import sys

import numpy as np
from tflite_runtime import interpreter as tfl

SAMPLES = 4

for path in sorted(glob.glob(sys.argv[1] + "/*.tflite")):
    rng = np.random.default_rng(11)
    try:
        model = tfl.Interpreter(path, num_threads=1, experimental_op_resolver_type=tfl.OpResolverType.BUILTIN_REF)
        model.allocate_tensors()
    except Exception as error:
        print(path, str(error).splitlines()[0])
        continue
    inputs, outputs = model.get_input_details(), model.get_output_details()

    def sample(detail):
        if detail["dtype"] == np.float32:
            return rng.uniform(-3, 3, detail["shape"]).astype(np.float32)
        info = np.iinfo(detail["dtype"])
        return rng.integers(info.min, info.max + 1, detail["shape"], detail["dtype"])

    arrays = {f"x{i}": [] for i in range(len(inputs))} | {f"y{i}": [] for i in range(len(outputs))}
    for _ in range(SAMPLES):
        if "svdf" not in path:
            model.reset_all_variables()
        for i, detail in enumerate(inputs):
            value = sample(detail)
            model.set_tensor(detail["index"], value)
            arrays[f"x{i}"].append(value.reshape(value.shape[value.shape[0] == 1 :]))
        model.invoke()
        for i, detail in enumerate(outputs):
            value = model.get_tensor(detail["index"])
            arrays[f"y{i}"].append(value.reshape(value.shape[value.shape[0] == 1 :]).copy())
    np.savez_compressed(path[:-7], **{k: np.stack(v) for k, v in arrays.items()})
