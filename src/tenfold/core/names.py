"""What settings may be called, in one place for the schema and for the code that obeys it.

The command line reads these without importing torch.
"""

from __future__ import annotations

from typing import Literal

__all__ = [
    "CostName",
    "FileFormat",
    "FormName",
    "LearnedRanks",
    "MetricKind",
    "OptimiserName",
    "PrecisionName",
    "SamplerName",
    "ScheduleName",
    "SelectorName",
    "SpaceName",
    "TargetName",
]

MetricKind = Literal["logits", "activations", "plain"]
"""Which moments weigh an error of a kernel: B, A and S; A and S alone; none (the Frobenius norm)."""

ScheduleName = Literal["cosine-cyclic", "exp-cyclic", "one-cycle", "step", "constant"]
"""How a learning rate goes; see `tenfold.train.schedules.rates`."""

OptimiserName = Literal["sgd", "muon"]
"""What steps the weights; see `tenfold.train.optimisers`."""

FormName = Literal["timed", "chain", "rebuilt"]
"""How chains are computed while they train; see `tenfold.train.execution.choose_execution`."""

PrecisionName = Literal["timed", "float32", "bfloat16"]
"""Precision of training passes; see `tenfold.train.execution.choose_execution`."""

SelectorName = Literal["allocation", "bayes", "evbmf", "energy", "uniform", "random"]
"""What chooses the ranks: a rule of `tenfold.ranks.select`, or Bayesian optimisation."""

SpaceName = Literal["corrections", "trends", "ranks"]
"""What Bayesian optimisation searches; see `tenfold.search.space`."""

SamplerName = Literal["tenfold", "gp", "tpe", "nsga2", "random"]
"""What proposes its trials; see `tenfold.search.sampler`."""

FileFormat = Literal["onnx", "pt2", "safetensors", "pte"]
"""What a network is exported to; see `tenfold.deploy.forms`."""

CostName = Literal["params", "macs", "size_bytes", "latency_ms"]
"""What a budget may limit."""

TargetName = Literal["onnxruntime", "torch"]
"""What runs the network whose latency is limited."""

LearnedRanks = Literal["allocation", "evbmf+bayes", "fixed"]
"""How learning-compression chooses ranks: by predicted rise under the budget; outer ones by weakened EVBMF,
inner ones by Bayesian optimisation; as the first, but once for all."""
