"""What a run measured, as frozen rows that go to JSON and back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from tenfold.core.errors import RunError
from tenfold.core.plan import Choice

__all__ = ["LatencyReport", "LayerReport", "Measures", "Report"]


@dataclass(frozen=True)
class Measures:
    """The figures of one network.

    Attributes:
        accuracy: percent of the test set classified correctly, in [0, 100]; None without labels.
        params: numbers in all tensors that ship.
        macs: multiply-adds at batch 1, convolutions and linear layers, bias not counted.
        size_bytes: size of the ONNX file; None if it was not exported.
        latency_ms: median milliseconds for one image in ONNX Runtime; None if it was not measured.
    """

    params: int
    macs: int
    accuracy: float | None = None
    size_bytes: int | None = None
    latency_ms: float | None = None


@dataclass(frozen=True)
class LayerReport:
    """What became of one layer.

    Attributes:
        name: qualified name in the original network.
        choice: how it was factorised, or None if it was kept.
        reason: why it was kept; empty if it was factorised.
        params: (before, after).
        macs: (before, after), at batch 1.
        error: ||W - W_hat|| / ||W||, Frobenius, of the kernel as it ships; 0 for a kept layer.
        predicted_rise: cost the metric predicts for the fit, in units of the squared logit error.
        measured_rise: the same, measured with this layer alone replaced; None if it was not.
    """

    name: str
    choice: Choice | None
    reason: str
    params: tuple[int, int]
    macs: tuple[int, int]
    error: float
    predicted_rise: float
    measured_rise: float | None = None


@dataclass(frozen=True)
class LatencyReport:
    """What became of a budget on latency, for one image.

    Attributes:
        target: the runtime, "onnxruntime" or "torch".
        threads: its threads.
        predicted_ms: of the plan: a share of `original_ms`, from times of its layers.
        measured_ms: of the network that was made, a median.
        original_ms: of the original, measured in turns with it.
    """

    target: str
    threads: int
    predicted_ms: float
    measured_ms: float
    original_ms: float

    @property
    def sentence(self) -> str:
        """All of it, for people."""
        off = 100 * (self.predicted_ms / self.measured_ms - 1)
        where = f"{self.target}, {self.threads} thread{'s' if self.threads > 1 else ''}"
        return (
            f"latency in {where}: predicted {self.predicted_ms:.3f} ms, measured {self.measured_ms:.3f} ms "
            f"(prediction {off:+.1f} %), original {self.original_ms:.3f} ms"
        )


@dataclass(frozen=True)
class Report:
    """The result of a run: `before`, `after`, and how it came about.

    Attributes:
        before: the network as given.
        after: the network as it ships: after a fine-tuning the snapshot that the held-out images chose.
        after_last: the same after the last epoch; None without fine-tuning.
        layers: one row a layer that could be considered, in network order.
        settings: every setting of the run, defaults filled in.
        seconds: wall time by phase.
        versions: of Python and the packages that matter.
        history: what the training phases recorded, one mapping a point.
        latency: predicted and measured; None without a budget on latency.
    """

    before: Measures
    after: Measures
    layers: tuple[LayerReport, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    history: tuple[dict[str, Any], ...] = ()
    after_last: Measures | None = None
    latency: LatencyReport | None = None

    def to_json(self) -> str:
        """The text of report.json."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read what `to_json` wrote.

        Raises:
            RunError: the text is not that.
        """
        try:
            rows = json.loads(text)
            layers = tuple(_read_layer(row) for row in rows.pop("layers"))
            before, after = (Measures(**rows.pop(key)) for key in ("before", "after"))
            last, latency = (rows.pop(key, None) for key in ("after_last", "latency"))
            return cls(
                before=before,
                after=after,
                layers=layers,
                history=tuple(rows.pop("history")),
                after_last=last and Measures(**last),
                latency=latency and LatencyReport(**latency),
                **rows,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(
                f"this is no report.json that tenfold wrote ({error!r}): run the job again"
            ) from error


def _read_layer(row: dict[str, Any]) -> LayerReport:
    """One layer, with tuples where JSON has lists."""
    choice = row["choice"] and Choice(row["choice"]["scheme"], tuple(row["choice"]["rank"]))
    return LayerReport(
        **{**row, "choice": choice, "params": tuple(row["params"]), "macs": tuple(row["macs"])}
    )
