"""Writes models that today's converter makes from no layer: SVDF, UNIDIRECTIONAL_SEQUENCE_LSTM, int8 PRELU and DIV,
and QUANTIZE between integers of different width.

The schema's classes come from TensorFlow 2.19.1, or from ai-edge-litert 2. Usage: python handmade.py FOLDER [NAME ...]
"""
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import flatbuffers
import numpy as np

try:
    from tensorflow.lite.python import schema_py_generated as s
except ImportError:
    from ai_edge_litert import schema_py_generated as s

folder, only = sys.argv[1], sys.argv[2:]
rng = np.random.default_rng(3)
TYPES = {np.dtype("float32"): 0, np.dtype("int32"): 2, np.dtype("int16"): 7, np.dtype("int8"): 9, np.dtype("uint8"): 3}


class Model:
    def __init__(self):
        self.tensors, self.buffers = [], [s.BufferT()]

    def tensor(self, name, shape, dtype, data=None, scale=None, zero_point=0, variable=False):
        t = s.TensorT()
        t.name, t.shape, t.type, t.isVariable, t.buffer = name, list(shape), TYPES[np.dtype(dtype)], variable, 0
        if scale is not None:
            t.quantization = s.QuantizationParametersT()
            t.quantization.scale, t.quantization.zeroPoint = [scale], [zero_point]
        if data is not None:
            buffer = s.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data, dtype).tobytes(), np.uint8)
            t.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.tensors.append(t)
        return len(self.tensors) - 1

    def write(self, name, code, version, options_type, options, inputs, output, intermediates=()):
        operator = s.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = 0, list(inputs), [output]
        operator.builtinOptionsType, operator.builtinOptions = options_type, options
        operator.intermediates = list(intermediates)
        graph = s.SubGraphT()
        given = [i for i in inputs if i >= 0 and self.tensors[i].buffer == 0 and not self.tensors[i].isVariable]
        graph.tensors, graph.operators, graph.inputs, graph.outputs = self.tensors, [operator], given, [output]
        graph.name = "main"
        op = s.OperatorCodeT()
        op.builtinCode, op.deprecatedBuiltinCode, op.version = code, code, version
        model = s.ModelT()
        model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [op], [graph], self.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        if not only or name in only:
            with open(f"{folder}/{name}.tflite", "wb") as file:
                file.write(builder.Output())


def svdf(name, integer):
    features, units, rank, memory = 6, 4, 2, 5
    filters = units * rank
    m = Model()
    if integer:
        x = m.tensor("x", [1, features], "int8", scale=0.05, zero_point=7)
        w = m.tensor("feature", [filters, features], "int8", rng.integers(-127, 128, [filters, features]), 0.01)
        v = m.tensor("time", [filters, memory], "int16", rng.integers(-30000, 30000, [filters, memory]), 2e-5)
        state = m.tensor("state", [1, filters * memory], "int16", scale=2e-4, variable=True)
        b = m.tensor("bias", [units], "int32", rng.integers(-30000, 30000, [units]), 2e-4 * 2e-5)
        y = m.tensor("y", [1, units], "int8", scale=0.04, zero_point=-11)
    else:
        x = m.tensor("x", [1, features], "float32")
        w = m.tensor("feature", [filters, features], "float32", rng.standard_normal([filters, features]))
        v = m.tensor("time", [filters, memory], "float32", rng.standard_normal([filters, memory]))
        state = m.tensor("state", [1, filters * memory], "float32", variable=True)
        b = m.tensor("bias", [units], "float32", rng.standard_normal(units))
        y = m.tensor("y", [1, units], "float32")
    options = s.SVDFOptionsT()
    options.rank, options.fusedActivationFunction = rank, 1
    m.write(name, s.BuiltinOperator.SVDF, 3 if integer else 1, s.BuiltinOptions.SVDFOptions, options, [x, w, v, b, state], y)


def lstm(name, integer, time_major=False, clip=0.0):
    time, features, units = 6, 4, 5
    m = Model()
    shape = [time, 1] if time_major else [1, time]
    if integer:
        x = m.tensor("x", shape + [features], "int8", scale=0.02, zero_point=3)
        scales = rng.uniform(0.004, 0.01, 8)
        state_scale, state_zero, cell = 0.0078, -4, 2.0**-11
        w = [m.tensor(f"w{g}", [units, features], "int8", rng.integers(-127, 128, [units, features]), scales[g]) for g in range(4)]
        r = [m.tensor(f"r{g}", [units, units], "int8", rng.integers(-127, 128, [units, units]), scales[4 + g]) for g in range(4)]
        b = [m.tensor(f"b{g}", [units], "int32", rng.integers(-4000, 4000, [units]), 0.02 * scales[g]) for g in range(4)]
        h = m.tensor("h", [1, units], "int8", scale=state_scale, zero_point=state_zero, variable=True)
        c = m.tensor("c", [1, units], "int16", scale=cell, variable=True)
        y = m.tensor("y", shape + [units], "int8", scale=state_scale, zero_point=state_zero)
        gates = [m.tensor(f"gate{g}", [], "int16", scale=2.0**-12) for g in range(4)]
        gates.append(m.tensor("hidden", [], "int8", scale=state_scale, zero_point=state_zero))
    else:
        x = m.tensor("x", shape + [features], "float32")
        w = [m.tensor(f"w{g}", [units, features], "float32", rng.standard_normal([units, features]) * 0.5) for g in range(4)]
        r = [m.tensor(f"r{g}", [units, units], "float32", rng.standard_normal([units, units]) * 0.5) for g in range(4)]
        b = [m.tensor(f"b{g}", [units], "float32", rng.standard_normal(units)) for g in range(4)]
        h = m.tensor("h", [1, units], "float32", variable=True)
        c = m.tensor("c", [1, units], "float32", variable=True)
        y = m.tensor("y", shape + [units], "float32")
        gates = []
    options = s.UnidirectionalSequenceLSTMOptionsT()
    options.fusedActivationFunction, options.timeMajor, options.cellClip = 4, time_major, clip
    inputs = [x, *w, *r, -1, -1, -1, *b, -1, -1, h, c, -1, -1, -1, -1]
    code = s.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM
    m.write(name, code, 3 if integer else 1, s.BuiltinOptions.UnidirectionalSequenceLSTMOptions, options, inputs, y, gates)


svdf("svdf_f32", False)
svdf("svdf_i8", True)
lstm("lstm_f32", False)
lstm("lstm_time_major_f32", False, True)
lstm("lstm_i8", True)
lstm("lstm_clipped_i8", True, False, 4.0)


def prelu(name):
    m = Model()
    x = m.tensor("x", [1, 4, 5, 6], "int8", scale=0.03, zero_point=-9)
    slopes = m.tensor("slopes", [1, 1, 6], "int8", rng.integers(-128, 128, [6]), 0.01, 4)
    y = m.tensor("y", [1, 4, 5, 6], "int8", scale=0.035, zero_point=3)
    m.write(name, s.BuiltinOperator.PRELU, 1, s.BuiltinOptions.NONE, None, [x, slopes], y)


def div(name, dtype, more):
    """Zero points are `more` than those of int8."""
    m = Model()
    a = m.tensor("a", [1, 4, 5, 6], dtype, scale=0.03, zero_point=-9 + more)
    # A divisor of 17 is zero: `expect.py` leaves it out.
    b = m.tensor("b", [1, 4, 5, 6], dtype, scale=0.05, zero_point=17 + more)
    y = m.tensor("y", [1, 4, 5, 6], dtype, scale=0.02, zero_point=5 + more)
    options = s.DivOptionsT()
    options.fusedActivationFunction = 0
    m.write(name, s.BuiltinOperator.DIV, 2, s.BuiltinOptions.DivOptions, options, [a, b], y)


def requantize(name, types):
    m = Model()
    scales = {"int8": (0.03, -9), "int16": (0.0002, 0)}
    x, y = [m.tensor(n, [1, 4, 5, 6], t, scale=scales[t][0], zero_point=scales[t][1]) for n, t in zip("xy", types)]
    m.write(name, s.BuiltinOperator.QUANTIZE, 2, s.BuiltinOptions.NONE, None, [x], y)


prelu("prelu_i8")
div("div_i8", "int8", 0)
div("div_u8", "uint8", 128)
requantize("quantize_from_i8_i16", ["int8", "int16"])
requantize("quantize_from_i16_i8", ["int16", "int8"])
