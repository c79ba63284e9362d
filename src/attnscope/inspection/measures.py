"""The measures that compare heads: one number per head, with its unit, scale and meaning."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A mean over the tokens of a head.

    Parameters
    ----------
    key : str
        The name in the JSON and on the command line.
    label : str
        The name for people.
    unit : str
        The unit, or "".
    low, high : str
        What the ends of the scale mean.
    scale : str
        "share" for 0 to 1; "linear" or "log" for the range between the smallest and the largest head.
    meaning : str
        The definition.
    """

    key: str
    label: str
    unit: str
    low: str
    high: str
    scale: str
    meaning: str


READS_FROM = "reads:"
# fmt: off
MEASURES = (
    Measure("normalized_entropy", "normalized entropy", "", "peaked", "uniform", "share",
            "entropy divided by its maximum, ln(visible keys)"),
    Measure("entropy", "entropy", "nats", "peaked", "uniform", "linear",
            "-sum w ln w over the visible keys of a token"),
    Measure("effective_keys", "effective keys", "keys", "few", "many", "log",
            "e^entropy: the number of equally weighted keys with this entropy"),
    Measure("max_weight", "largest weight", "", "none", "all", "share",
            "the weight of the strongest key of a token"),
    Measure("first_mass", "first 4 tokens", "", "none", "all", "share",
            "the weight on the first 4 tokens, which often act as attention sinks"),
    Measure("mean_distance", "distance", "tokens", "near", "far", "log",
            "the mean distance between a token and its keys, by weight"),
    Measure("sink_mass", "learned sink", "", "none", "all", "share",
            "the weight on the learned sink of the head; all other measures are over its keys alone"),
    Measure("previous_token", "previous token", "", "none", "all", "share",
            "the weight on the token before"),
    Measure("first_token", "first token", "", "none", "all", "share",
            "the weight on the first token of the text"),
    Measure("duplicate_token", "duplicate token", "", "none", "all", "share",
            "the weight on earlier occurrences of the same token"),
    Measure("induction", "induction", "", "none", "all", "share",
            "the weight on the tokens that followed earlier occurrences of the same token"),
)
# fmt: on
SINK = "sink_mass"
KINDS = ("previous_token", "first_token", "duplicate_token", "induction")
BY_KEY = {measure.key: measure for measure in MEASURES}
NOT_AN_INFLUENCE = (
    "Attention weights show what a head reads, not what it changes. A key with a large weight can leave the output "
    "unchanged, and a key with a small weight can change it. To measure influence, remove something: ablate a head, or "
    "use at.observation.influence()."
)


def reads_from(segment: str, reader: str) -> Measure:
    """The share of the weight that the tokens of one segment give to another; Inspection.values() knows its key."""
    meaning = f"the weight that the tokens of {reader} give to {segment}"
    return Measure(READS_FROM + segment, f"weight on {segment}", "", "none", "all", "share", meaning)
