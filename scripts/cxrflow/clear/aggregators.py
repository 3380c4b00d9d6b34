"""From the slices of a patient to one prediction: attention, multi-head attention, mean, maximum, and a classifier.

Shapes: N slices of B bags one after the other, `owner` (N,) the bag of each; features d wide, hidden layers h wide.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from cxrflow.clear.bags import bag_maxima, bag_softmax, bag_sums
from cxrflow.clear.downstream_settings import ATTENDING, AggregationSettings, Aggregator, TaskKind

FLATTEST = 1e-6


class AttentionPooling(nn.Module):
    """Ilse et al. 2018, equation 8 (`gated`: 9): a softmax of w(tanh(V h)), or of w(tanh(V h) sigm(U h))."""

    def __init__(self, hidden: int, gated: bool) -> None:
        super().__init__()
        self.content, self.score = nn.Linear(hidden, hidden), nn.Linear(hidden, 1)
        self.gate = nn.Linear(hidden, hidden) if gated else None

    def forward(self, slices: Tensor, owner: Tensor, bags: int) -> tuple[Tensor, Tensor]:
        """Return pooled slices (B, h) and the weight of each slice (N,)."""
        content = torch.tanh(self.content(slices))
        if self.gate is not None:
            content = content * torch.sigmoid(self.gate(slices))
        weights = bag_softmax(self.score(content), owner, bags)
        return bag_sums(weights * slices, owner, bags), weights[:, 0]


class MultiheadPooling(nn.Module):
    """Pooling by multi-head attention with one learnt query (Lee et al. 2019, equations 6 to 11, one seed vector)."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Parameter(torch.randn(hidden) * hidden**-0.5)
        self.before = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU())
        self.ask, self.key, self.value, self.out = (nn.Linear(hidden, hidden) for _ in range(4))
        self.norm, self.last_norm = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.after = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden))

    def forward(self, slices: Tensor, owner: Tensor, bags: int) -> tuple[Tensor, Tensor]:
        """Return pooled slices (B, h) and the weight of each slice (N,), the mean over heads."""
        seen = self.before(slices)
        keys, values = (layer(seen).unflatten(1, (self.heads, -1)) for layer in (self.key, self.value))
        query = self.ask(self.query).view(self.heads, -1)
        weights = bag_softmax((keys * query).sum(dim=2) * query.shape[1] ** -0.5, owner, bags)
        attended = bag_sums(weights[:, :, None] * values, owner, bags).flatten(1)
        pooled = self.norm(self.query + self.out(attended))
        return self.last_norm(pooled + self.after(pooled)), weights.mean(dim=1)


class MeanPooling(nn.Module):
    """The mean of the slices."""

    def forward(self, slices: Tensor, owner: Tensor, bags: int) -> tuple[Tensor, Tensor]:
        """Return pooled slices (B, h) and the same weight (N,) for all slices of a bag."""
        weights = bag_softmax(slices.new_zeros(len(slices), 1), owner, bags)
        return bag_sums(weights * slices, owner, bags), weights[:, 0]


class MaxPooling(nn.Module):
    """The maximum of each hidden feature over the slices."""

    def forward(self, slices: Tensor, owner: Tensor, bags: int) -> tuple[Tensor, Tensor]:
        """Return pooled slices (B, h), and as weight (N,) the share of the features whose maximum a slice has."""
        pooled = bag_maxima(slices, owner, bags)
        highest = (slices == pooled.index_select(0, owner)).to(slices.dtype)
        shared = highest / bag_sums(highest, owner, bags).index_select(0, owner)
        return pooled, shared.mean(dim=1).detach()


class OrderedClasses(nn.Module):
    """Logits of "at least class k + 1" from one score and a bias per step, which never rise with k."""

    def __init__(self, hidden: int, steps: int) -> None:
        super().__init__()
        self.score = nn.Linear(hidden, 1, bias=False)
        self.first, self.gaps = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(steps - 1))

    def forward(self, pooled: Tensor) -> Tensor:
        """Return (B, steps)."""
        falls = torch.cat([self.first, -nn.functional.softplus(self.gaps)]).cumsum(dim=0)
        return self.score(pooled) + falls


class BagClassifier(nn.Module):
    """Layers as in CLEAR: each slice through one, pooled, then a small classifier of all labels.

    Features are first brought to the mean and spread of the training slices, so that one learning rate suits all
    encoders. (As published they stay as they are.)
    """

    def __init__(
        self, aggregator: Aggregator, width: int, labels: int, kind: TaskKind, how: AggregationSettings
    ) -> None:
        super().__init__()
        hidden = how.hidden
        self.mean, self.spread = nn.Buffer(torch.zeros(width)), nn.Buffer(torch.ones(width))
        self.before = nn.Sequential(nn.Linear(width, hidden), nn.ReLU())
        self.pooling = _pooling(aggregator, how)
        last = OrderedClasses(hidden, labels) if kind == "ordinal" else nn.Linear(hidden, labels)
        self.classifier = nn.Sequential(
            nn.LayerNorm(hidden), nn.Linear(hidden, hidden), nn.Dropout(how.dropout), nn.SiLU(), last
        )

    def start_from(self, parts: Iterable[Tensor]) -> None:
        """Take mean and spread from training slices, some (n, d) of them at a time."""
        sums = torch.zeros(3, len(self.mean), dtype=torch.float64)
        for part in parts:
            exact = part.double()
            sums += torch.stack([torch.ones_like(exact[0]) * len(exact), exact.sum(dim=0), exact.square().sum(dim=0)])
        mean = sums[1] / sums[0]
        self.mean.copy_(mean)
        self.spread.copy_((sums[2] / sums[0] - mean.square()).clamp(min=FLATTEST**2).sqrt())

    def forward(self, features: Tensor, owner: Tensor, bags: int) -> tuple[Tensor, Tensor]:
        """Return logits (B, labels) and the weight of each slice (N,), which sum to 1 in each bag."""
        slices = self.before((features - self.mean) / self.spread)
        pooled, weights = self.pooling(slices, owner, bags)
        return self.classifier(pooled), weights


def _pooling(aggregator: Aggregator, how: AggregationSettings) -> nn.Module:
    if aggregator == "pma":
        return MultiheadPooling(how.hidden, how.heads)
    if aggregator in ATTENDING:
        return AttentionPooling(how.hidden, gated=aggregator == "gated_abmil")
    return MeanPooling() if aggregator == "mean" else MaxPooling()
