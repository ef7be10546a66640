"""What every test shares: one thread, and assertions that explain themselves in the shared laws."""

from __future__ import annotations

import pytest
import torch

pytest.register_assert_rewrite("conformance")
torch.set_num_threads(1)
