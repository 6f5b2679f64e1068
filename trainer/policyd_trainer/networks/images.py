"""Convolutions for an image of any size. Large images get large strides, tiny images small kernels.

For 84 x 84 they are the layers of Mnih et al. 2015 with half the channels; for 10 x 10
those of MinAtar (Young and Tian 2019): one layer of 3 x 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

LARGE = 60  # pixels of the shorter side, above which the first layers have stride 4
SMALL = 10  # pixels of the shorter side, up to which the last layer has stride 1
CHANNELS = (16, 32, 32, 32)  # of each layer


@dataclass(frozen=True)
class Convolution:
    """One layer without padding, with ReLU after it.

    [channels_in, height, width] -> [channels, ...].
    """

    channels_in: int
    channels: int
    kernel: int
    stride: int
    height: int  # of the output
    width: int  # of the output

    @property
    def size(self) -> int:
        """The number of parameters: weights and biases."""
        return self.channels * (self.fan_in + 1)

    @property
    def fan_in(self) -> int:
        """The number of weights per output channel."""
        return self.channels_in * self.kernel**2

    @property
    def flattened(self) -> int:
        """The number of numbers in the output."""
        return self.channels * self.height * self.width


def convolutions(image: tuple[int, int, int]) -> tuple[Convolution, ...]:
    """The layers for an image of (height, width, channels). Its sides have at least 3 pixels."""
    height, width, channels = image
    layers: list[Convolution] = []
    while min(height, width) > SMALL and len(layers) < len(CHANNELS) - 1:
        kernel, stride = (8, 4) if min(height, width) > LARGE else (4, 2)
        layers.append(_layer(channels, height, width, kernel, stride, CHANNELS[len(layers)]))
        height, width, channels = layers[-1].height, layers[-1].width, layers[-1].channels
    layers.append(_layer(channels, height, width, 3, 1, CHANNELS[len(layers)]))
    return tuple(layers)


def _layer(channels_in: int, height: int, width: int, kernel: int, stride: int, channels: int) -> Convolution:
    def reduced(side: int) -> int:
        return math.floor((side - kernel) / stride) + 1

    return Convolution(channels_in, channels, kernel, stride, reduced(height), reduced(width))
