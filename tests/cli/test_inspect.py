"""`nfn inspect`: table, lines, JSON; files that cannot be read; heads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.cli.conftest import Nfn

SAMPLES = Path(__file__).parents[1] / "samples"
RELU = SAMPLES / "relu-1.safetensors"
