"""Networks: layers, training, and files of what was learnt.

Layers
    Conv, ConvTransposed, Dense, Flatten
    MaxPool, AveragePool, GlobalAveragePool, AdaptiveAveragePool, AdaptiveMaxPool
    BatchNorm, LayerNorm, Standardise, Scale, Dropout, Add, Concatenate
    ReLU, LeakyReLU, ELU, Sigmoid, Tanh, Softmax
Networks
    Sequential, Graph; lenet5, alexnet, small_cnn, series_cnn
Training
    Trainer, Augment, SGD, Adam, adamw, Constant, Cosine, OneCycle
What was learnt
    save, load, classes, probabilities, confusion, folded, dense_from_conv, conv_from_dense

Images are (images, channels, *space), as in :mod:`faltung.layers`; shapes of layers are those of
one image. What is random follows a seed, and results have the same bits for any number of threads.

>>> from faltung import nn
>>> nn.lenet5().output_shape
(10,)
"""

from faltung.nn.activations import (
    ELU,
    Add,
    Concatenate,
    Dropout,
    Flatten,
    LeakyReLU,
    ReLU,
    Scale,
    Sigmoid,
    Softmax,
    Tanh,
)
from faltung.nn.augmentation import Augment
from faltung.nn.connection import Counts, conv_from_dense, dense_from_conv
from faltung.nn.convolution import Conv, ConvTransposed, Dense
from faltung.nn.evaluation import classes, confusion, probabilities
from faltung.nn.folding import folded
from faltung.nn.layer import INFERENCE, Layer, Mode, Weight
from faltung.nn.models import alexnet, lenet5, series_cnn, small_cnn
from faltung.nn.network import Graph, Sequential
from faltung.nn.norms import BatchNorm, LayerNorm, Standardise
from faltung.nn.optimisers import SGD, Adam, Constant, Cosine, OneCycle, adamw
from faltung.nn.pooling import (
    AdaptiveAveragePool,
    AdaptiveMaxPool,
    AveragePool,
    GlobalAveragePool,
    MaxPool,
)
from faltung.nn.saving import load, save
from faltung.nn.training import Epoch, Trainer

__all__ = [
    "ELU",
    "INFERENCE",
    "SGD",
    "Adam",
    "AdaptiveAveragePool",
    "AdaptiveMaxPool",
    "Add",
    "Augment",
    "AveragePool",
    "BatchNorm",
    "Concatenate",
    "Constant",
    "Conv",
    "ConvTransposed",
    "Cosine",
    "Counts",
    "Dense",
    "Dropout",
    "Epoch",
    "Flatten",
    "GlobalAveragePool",
    "Graph",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "MaxPool",
    "Mode",
    "OneCycle",
    "ReLU",
    "Scale",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Standardise",
    "Tanh",
    "Trainer",
    "Weight",
    "adamw",
    "alexnet",
    "classes",
    "confusion",
    "conv_from_dense",
    "dense_from_conv",
    "folded",
    "lenet5",
    "load",
    "probabilities",
    "save",
    "series_cnn",
    "small_cnn",
]
