"""Makes the models of this folder: one small TFLite file per operator and number format.

TensorFlow 2.19.1 converts; the expected outputs are made by `expect.py` with tflite-runtime 2.14.0,
reference kernels. Usage: python make.py FOLDER
"""
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
import numpy as np
import tensorflow as tf

folder = sys.argv[1]
only = sys.argv[2:] 
rng = np.random.default_rng(7)


def weights(*shape, scale=0.5):
    return tf.constant((rng.standard_normal(shape) * scale).astype(np.float32))


def convert(name, function, shapes, formats):
    if only and name not in only:
        return
    spec = [tf.TensorSpec([1] + s, tf.float32, name=f"x{i}") for i, s in enumerate(shapes)]
    concrete = tf.function(function, input_signature=spec).get_concrete_function()

    def samples():
        for _ in range(40):
            yield [rng.uniform(-3, 3, [1] + s).astype(np.float32) for s in shapes]

    for fmt in formats.split():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        if fmt == "hybrid":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        elif fmt != "f32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = samples
            if fmt == "i8":
                converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
                converter.inference_input_type = converter.inference_output_type = tf.int8
            else:
                converter.target_spec.supported_ops = [
                    tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
                ]
                converter.inference_input_type = converter.inference_output_type = tf.int16
        try:
            model = converter.convert()
        except Exception as error:
            print(f"{name}_{fmt}: {str(error).splitlines()[0][:150]}")
            continue
        with open(f"{folder}/{name}_{fmt}.tflite", "wb") as file:
            file.write(model)


ALL = "f32 i8 i16"
image = [4, 5, 3]
convert("sub", lambda a, b: a - b, [image, image], ALL)
convert("mul", lambda a, b: a * b, [image, image], ALL)
convert("mul_relu", lambda a, b: tf.nn.relu(a * b), [image, image], ALL)
convert("div", lambda a, b: a / (tf.abs(b) + 1.0), [image, image], "f32")
convert("minimum", lambda a, b: tf.minimum(a, b), [image, image], "f32 i8")
convert("maximum", lambda a, b: tf.maximum(a, b), [image, image], "f32 i8")
channel = weights(3)
convert("add_channels", lambda a: a + channel, [image], ALL)
convert("mul_channels", lambda a: a * channel, [image], ALL)
convert("sub_channels", lambda a: channel - a, [image], ALL)
convert("add_broadcast", lambda a, b: a + b, [image, [1, 5, 1]], ALL)
convert("leaky_relu", lambda a: tf.nn.leaky_relu(a, 0.3), [image], ALL)
convert("hard_swish", lambda a: a * tf.nn.relu6(a + 3.0) * (1 / 6.0), [image], "f32 i8")
convert("gelu", lambda a: tf.nn.gelu(a), [image], "f32 i8")
convert("gelu_tanh", lambda a: tf.nn.gelu(a, approximate=True), [image], "f32 i8")
slope = tf.constant([0.1, 0.3, -0.2])
convert("prelu", lambda a: tf.nn.relu(a) + slope * (a - tf.abs(a)) * 0.5, [image], "f32")
convert("relu", lambda a: tf.nn.relu(tf.transpose(a, [0, 2, 1, 3])), [image], ALL)
convert("logistic", lambda a: tf.sigmoid(a), [image], ALL)
convert("tanh", lambda a: tf.tanh(a), [image], ALL)
convert("pad", lambda a: tf.pad(a, [[0, 0], [1, 2], [0, 3], [0, 0]]), [image], ALL)
convert("pad_value", lambda a: tf.pad(a, [[0, 0], [1, 2], [0, 3], [2, 0]], constant_values=1.5), [image], "f32 i8")
convert("concat", lambda a, b: tf.concat([a, b, a], 2), [image, [4, 2, 3]], ALL)
convert("concat_channels", lambda a, b: tf.concat([a, b], -1), [image, [4, 5, 2]], "f32 i8")
convert("strided_slice", lambda a: a[:, 1:4:2, ::-1, :2], [image], ALL)
convert("strided_slice_shrink", lambda a: a[:, 2, 1:, ::2], [image], "f32 i8")
convert("slice", lambda a: tf.slice(a, [0, 1, 0, 1], [1, 2, -1, 2]), [image], ALL)
convert("transpose", lambda a: tf.transpose(a, [0, 3, 1, 2]), [image], ALL)
convert("split", lambda a: tf.split(a, 2, axis=1), [image], ALL)
convert("split_v", lambda a: tf.split(a, [1, 3, 1], axis=2), [image], "f32 i8")
convert("unpack", lambda a: tf.unstack(a, axis=3), [image], "f32 i8")
convert("pack", lambda a, b: tf.stack([a, b], axis=2), [image, image], "f32 i8")
for tag, kwargs in [("", {}), ("_corners", {"align_corners": True}), ("_centers", {"half_pixel_centers": True})]:
    convert("resize_nearest" + tag, lambda a: tf.raw_ops.ResizeNearestNeighbor(images=a, size=[7, 9], **kwargs), [image],
            "f32 i8" if tag else ALL)
kernel = weights(3, 2, 4, 3)
convert("transpose_conv", lambda a: tf.nn.conv2d_transpose(a, kernel, [1, 8, 10, 4], [2, 2], "SAME"), [image], ALL)
bias = weights(4)
convert("transpose_conv_bias", lambda a: tf.nn.bias_add(tf.nn.conv2d_transpose(a, kernel, [1, 9, 10, 4], [2, 2], "VALID"), bias), [image], "f32 i8")
convert("log_softmax", lambda a: tf.nn.log_softmax(a), [image], "f32 i8")
convert("softmax", lambda a: tf.nn.softmax(a * 1.0), [image], ALL)
convert("mean_all", lambda a: tf.reduce_mean(a, [1, 2, 3]), [image], ALL)
convert("mean_row", lambda a: tf.reduce_mean(a, [1], keepdims=True), [image], ALL)
convert("mean_channels", lambda a: tf.reduce_mean(a, [3]), [image], ALL)
convert("sum", lambda a: tf.reduce_sum(a, [2]), [image], "f32 i8")
convert("reduce_max", lambda a: tf.reduce_max(a, [1, 2]), [image], "f32 i8")
matrix = weights(6, 4)
convert("dense", lambda a: tf.nn.bias_add(tf.matmul(a, matrix), bias), [[6]], ALL)
convert("dense_rows", lambda a: tf.nn.relu(tf.tensordot(a, matrix, [[2], [0]]) + bias), [[5, 6]], ALL + " hybrid")
convert("batch_matmul", lambda a, b: tf.matmul(a, b), [[5, 6], [6, 4]], "f32 i8")
filters = weights(3, 3, 3, 4)
convert("conv", lambda a: tf.nn.relu6(tf.nn.bias_add(tf.nn.conv2d(a, filters, 1, "SAME"), bias)), [image], ALL)
convert("conv_dilated", lambda a: tf.nn.conv2d(a, filters, 1, "VALID", dilations=[1, 2]), [[7, 8, 3]], "f32 i8")
depth = weights(3, 3, 3, 2)
convert("depthwise", lambda a: tf.nn.depthwise_conv2d(a, depth, [1, 1, 1, 1], "SAME"), [image], ALL)
grouped = weights(3, 3, 2, 4)
convert("conv_grouped", lambda a: tf.nn.conv2d(a, grouped, 1, "SAME"), [[4, 5, 4]], "f32 i8")
line = weights(3, 3, 4)
convert("conv1d", lambda a: tf.nn.conv1d(a, line, 1, "SAME"), [[9, 3]], "f32 i8")
# Dynamic range leaves small weights as they are: these have more than 1024 values.
big_filters, big_matrix, big_depth = weights(3, 3, 8, 16), weights(40, 30), weights(3, 3, 64, 2)
convert("conv", lambda a: tf.nn.relu(tf.nn.conv2d(a, big_filters, 1, "SAME")), [[4, 5, 8]], "hybrid")
convert("dense", lambda a: tf.matmul(a, big_matrix), [[40]], "hybrid")
convert("depthwise", lambda a: tf.nn.depthwise_conv2d(a, big_depth, [1, 1, 1, 1], "SAME"), [[1, 3, 64]], "hybrid")
convert("two_outputs", lambda a, b: (a + b, tf.nn.relu(a - b)), [image, image], "f32 i8")


def dynamic_reshape(a):
    shape = tf.shape(a)
    return tf.nn.relu(tf.reshape(a, tf.stack([shape[0], shape[1] * shape[2], 3])))


spec = [tf.TensorSpec([None, 4, 5, 3], tf.float32)]
converter = tf.lite.TFLiteConverter.from_concrete_functions(
    [tf.function(dynamic_reshape, input_signature=spec).get_concrete_function()])
if not only or "shape_arithmetic" in only:
    open(f"{folder}/shape_arithmetic_f32.tflite", "wb").write(converter.convert())
