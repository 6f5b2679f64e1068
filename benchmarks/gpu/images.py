"""Catch as images: a ball falls, a paddle below moves to catch it. It lives on a device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Catch:
    """M games of 84 x 84 pixels. A catch gives 1 and a miss -1; either ends the episode.

    The ball's column follows from the numbers of the game and of the episode, without a random
    number.
    """

    size, cells, actions = 84, 12, 3
    is_capturable = True

    def __init__(self, num_envs: int, device: torch.device) -> None:
        self.num_envs = num_envs
        self._pixels = torch.arange(self.size, device=device) // (self.size // self.cells)  # each pixel's
        self._numbers = torch.arange(num_envs, device=device)
        self._episode = torch.zeros(num_envs, dtype=torch.int64, device=device)
        self._row = torch.zeros_like(self._episode)  # of the ball
        self._paddle = torch.full_like(self._episode, self.cells // 2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Tensor, dict[str, Any]]:
        """Returns the first images [M, 84, 84]."""
        del seed, options
        self._row.zero_()
        return self._image(), {}

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Any]]:
        """Moves the paddle left, not at all, or right. The ball falls by one cell."""
        self._paddle.copy_((self._paddle + actions - 1).clamp(0, self.cells - 1))
        self._row += 1
        final = self._image()
        landed = self._row == self.cells - 1
        rewards = landed * (2.0 * (self._paddle == self._column()) - 1.0)
        self._episode += landed
        self._row *= ~landed
        return self._image(), rewards, landed, torch.zeros_like(landed), {"final_obs": final}

    def _column(self) -> Tensor:
        return (self._numbers * 7919 + self._episode * 104729) // 31 % self.cells

    def _image(self) -> Tensor:
        rows, columns = self._pixels[None, :, None], self._pixels[None, None, :]
        ball = (rows == self._row[:, None, None]) & (columns == self._column()[:, None, None])
        paddle = (rows == self.cells - 1) & (columns == self._paddle[:, None, None])
        return (ball | paddle).to(torch.uint8) * 255
