"""The operations of convolutional networks: each with its gradient, as plain functions.

Convolution
    conv, conv_input_gradient, conv_weight_gradient, conv_transposed, bias_gradient
    dense, dense_input_gradient, dense_weight_gradient, flatten
Pooling
    max_pool, average_pool, global_average_pool, adaptive_average_pool, adaptive_max_pool
Normalisation
    batch_norm, batch_norm_inference, layer_norm, moments, Moments
    batch_norm_max_pool, Greatest
Functions of samples
    relu, leaky_relu, elu, sigmoid, tanh, softmax, log_softmax, dropout
Losses
    cross_entropy, mean_squared_error
Less error, less speed
    plain_sums

Arrays are (images, channels, *space), kernels (outputs, channels / groups, *taps). In memory the
images lie innermost (see :mod:`faltung.layers.memory`); any other layout is copied at the door.

>>> import numpy as np
>>> from faltung import layers
>>> layers.conv(np.ones((2, 1, 4, 4)), np.ones((3, 1, 3, 3)), padding="same").shape
(2, 3, 4, 4)
"""

from faltung.layers.activations import (
    dropout,
    elu,
    elu_gradient,
    leaky_relu,
    leaky_relu_gradient,
    log_softmax,
    log_softmax_gradient,
    relu,
    relu_gradient,
    sigmoid,
    sigmoid_gradient,
    softmax,
    softmax_gradient,
    tanh,
    tanh_gradient,
)
from faltung.layers.convolution import (
    bias_gradient,
    conv,
    conv_input_gradient,
    conv_transposed,
    conv_weight_gradient,
    dense,
    dense_input_gradient,
    dense_weight_gradient,
    flatten,
)
from faltung.layers.losses import cross_entropy, mean_squared_error
from faltung.layers.normpool import (
    Greatest,
    batch_norm_max_pool,
    batch_norm_max_pool_gradient,
)
from faltung.layers.norms import (
    Moments,
    batch_norm,
    batch_norm_gradient,
    batch_norm_inference,
    layer_norm,
    layer_norm_gradient,
    moments,
)
from faltung.layers.pooling import (
    adaptive_average_pool,
    adaptive_average_pool_gradient,
    adaptive_max_pool,
    adaptive_max_pool_gradient,
    average_pool,
    average_pool_gradient,
    global_average_pool,
    global_average_pool_gradient,
    max_pool,
    max_pool_gradient,
)
from faltung.layers.winograd import plain_sums

__all__ = [
    "Greatest",
    "Moments",
    "adaptive_average_pool",
    "adaptive_average_pool_gradient",
    "adaptive_max_pool",
    "adaptive_max_pool_gradient",
    "average_pool",
    "average_pool_gradient",
    "batch_norm",
    "batch_norm_gradient",
    "batch_norm_inference",
    "batch_norm_max_pool",
    "batch_norm_max_pool_gradient",
    "bias_gradient",
    "conv",
    "conv_input_gradient",
    "conv_transposed",
    "conv_weight_gradient",
    "cross_entropy",
    "dense",
    "dense_input_gradient",
    "dense_weight_gradient",
    "dropout",
    "elu",
    "elu_gradient",
    "flatten",
    "global_average_pool",
    "global_average_pool_gradient",
    "layer_norm",
    "layer_norm_gradient",
    "leaky_relu",
    "leaky_relu_gradient",
    "log_softmax",
    "log_softmax_gradient",
    "max_pool",
    "max_pool_gradient",
    "mean_squared_error",
    "moments",
    "plain_sums",
    "relu",
    "relu_gradient",
    "sigmoid",
    "sigmoid_gradient",
    "softmax",
    "softmax_gradient",
    "tanh",
    "tanh_gradient",
]
