"""What the gate counts, and how it is told to Prometheus: numbers under stable names, never a word anyone said.

Counting is plain arithmetic; the library that knows the format is loaded when somebody first asks.
"""

import time
from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client.core import Metric

Json = Any
Labels = tuple[str, ...]
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # seconds
WAITING = 10_000  # messages whose answer is timed

COUNTERS: Mapping[str, tuple[str, Labels]] = {
    "teehee_messages": ("Messages taken in.", ("agent", "source")),
    "teehee_answers": ("Messages answered with words.", ("agent", "source")),
    "teehee_turns_ended": ("Turns that ended without words, by the code of their end.", ("agent", "code")),
    "teehee_turns_postponed": ("Turns put off to be tried again, by the reason's code.", ("agent", "code")),
    "teehee_outcomes": ("Effects whose outcome was reported.", ("state",)),
    "teehee_egress_answers": (
        "Requests let out for the mind, by HTTP status or the gate's own code.",
        ("rule", "status"),
    ),
    "teehee_model_calls": ("Calls of the model that ended, by how.", ("agent", "result")),
    "teehee_model_tokens": ("Tokens of model calls, where the endpoint tells.", ("agent", "direction")),
    "teehee_actions": ("Actions that were chosen, by how they ended.", ("agent", "action", "result")),
    "teehee_traces_dropped": ("Turns that were not traced because too many were under way.", ()),
    "teehee_provider_failures": ("Providers that failed and were left out.", ("agent", "provider")),
}
HISTOGRAMS: Mapping[str, tuple[str, Labels]] = {
    "teehee_answer_seconds": (
        "From a message's arrival until its answer is committed or its turn has ended.",
        ("agent",),
    ),
    "teehee_egress_seconds": ("How long a request let out for the mind took.", ("rule",)),
}
GAUGES: Mapping[str, tuple[str, Labels]] = {
    "teehee_ready": ("1 when /readyz says so.", ()),
    "teehee_link_up": ("1 while this process is connected to the other.", ("peer",)),
    "teehee_agent_stopped": ("1 while the owner has stopped the agent.", ("agent",)),
    "teehee_messages_waiting": ("Messages kept whose turn has not ended.", ("agent",)),
    "teehee_info": ("Always 1; what runs here.", ("version", "trust")),
}


class Counts:
    """The numbers so far. Labels follow the order in the tables above."""

    def __init__(self) -> None:
        self.totals: Counter[tuple[str, Labels]] = Counter()
        self.spread: dict[tuple[str, Labels], list[float]] = {}  # how many in each bucket, then the sum
        self._came: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    def add(self, name: str, *labels: str) -> None:
        self.totals[name, labels] += 1

    def took(self, name: str, seconds: float, *labels: str) -> None:
        """One observation of a length of time."""
        held = self.spread.setdefault((name, labels), [0.0] * (len(BUCKETS) + 2))
        held[bisect_left(BUCKETS, seconds)] += 1
        held[-1] += seconds

    def came(self, agent: str, source: str, event: str) -> bool:
        """A message has arrived: its answer is timed from now. False when it is being timed already."""
        if (agent, source, event) in self._came:
            return False
        self._came[agent, source, event] = time.perf_counter()
        if len(self._came) > WAITING:
            self._came.popitem(last=False)
        return True

    def known(self, agent: str, source: str, event: str) -> None:
        """The message that came turned out to be one from before: nothing to time."""
        self._came.pop((agent, source, event), None)

    def answered(self, agent: str, source: str, event: str) -> None:
        """Its answer is committed; told again, nothing is counted."""
        if self._timed(agent, source, event):
            self.add("teehee_answers", agent, source)

    def ended(self, agent: str, source: str, event: str, code: str, *, final: bool) -> None:
        """Its turn ended without words, or was put off."""
        if not final:
            self.add("teehee_turns_postponed", agent, code)
        elif self._timed(agent, source, event):
            self.add("teehee_turns_ended", agent, code)

    def _timed(self, agent: str, source: str, event: str) -> bool:
        started = self._came.pop((agent, source, event), None)
        if started is not None:
            self.took("teehee_answer_seconds", time.perf_counter() - started, agent)
        return started is not None


def text(
    counts: Counts, told: Iterable[Json], gauges: Mapping[str, Mapping[Labels, float]], names: Mapping[str, str]
) -> bytes:
    """All of it in Prometheus' text format. `told` is what the mind counts: [name, labels, number]; `names` are
    the names of agents by their ids.
    """
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    totals = Counter(counts.totals)
    for name, labels, number in told:
        if name in COUNTERS and len(labels) == len(COUNTERS[name][1]):
            totals[name, tuple(map(str, labels))] += int(number)

    class Everything:
        def collect(self) -> Iterator["Metric"]:
            return _families(totals, counts.spread, gauges, names)

    registry.register(Everything())
    return generate_latest(registry)


def _families(
    totals: Mapping[tuple[str, Labels], int],
    spread: Mapping[tuple[str, Labels], list[float]],
    gauges: Mapping[str, Mapping[Labels, float]],
    names: Mapping[str, str],
) -> Iterator["Metric"]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    def named(labels: Labels) -> Labels:
        return tuple(names.get(label, label) for label in labels)

    for name, (meaning, keys) in COUNTERS.items():
        counter = CounterMetricFamily(name, meaning, labels=keys)
        for (of, labels), number in totals.items():
            if of == name:
                counter.add_metric(named(labels), number)
        yield counter
    for name, (meaning, keys) in HISTOGRAMS.items():
        histogram = HistogramMetricFamily(name, meaning, labels=keys)
        for (of, labels), held in spread.items():
            if of == name:
                histogram.add_metric(named(labels), *_cumulative(held))
        yield histogram
    for name, (meaning, keys) in GAUGES.items():
        gauge = GaugeMetricFamily(name, meaning, labels=keys)
        for labels, value in gauges.get(name, {}).items():
            gauge.add_metric(named(labels), value)
        yield gauge


def _cumulative(held: list[float]) -> tuple[list[tuple[str, float]], float]:
    buckets, total = [], 0.0
    for bound, number in zip((*map(str, BUCKETS), "+Inf"), held[:-1], strict=True):
        total += number
        buckets.append((bound, total))
    return buckets, held[-1]
