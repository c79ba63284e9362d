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
    meaning : str
        The definition.
    unit : str
        The unit, or "".
    low, high : str
        What the ends of the scale mean.
    scale : str
        "share" for 0 to 1; "linear" or "log" for the range between the smallest and the largest head.
    """

    key: str
    label: str
    meaning: str
    unit: str = ""
    low: str = "none"
    high: str = "all"
    scale: str = "share"


READS_FROM = "reads:"
MEASURES = (
    Measure(
        "normalized_entropy",
        "normalized entropy",
        "entropy divided by its maximum, ln(visible keys)",
        low="peaked",
        high="uniform",
    ),
    Measure(
        "entropy",
        "entropy",
        "-sum w ln w over the visible keys of a token",
        unit="nats",
        low="peaked",
        high="uniform",
        scale="linear",
    ),
    Measure(
        "effective_keys",
        "effective keys",
        "e^entropy: the number of equally weighted keys with this entropy",
        unit="keys",
        low="few",
        high="many",
        scale="log",
    ),
    Measure("max_weight", "largest weight", "the weight of the strongest key of a token"),
    Measure(
        "first_mass",
        "first 4 tokens",
        "the weight on the first 4 tokens, which often act as attention sinks",
    ),
    Measure(
        "mean_distance",
        "distance",
        "the mean distance between a token and its keys, by weight",
        unit="tokens",
        low="near",
        high="far",
        scale="log",
    ),
    Measure(
        "sink_mass",
        "learned sink",
        "the weight on the learned sink of the head; all other measures are over its keys alone",
    ),
    Measure("previous_token", "previous token", "the weight on the token before"),
    Measure("first_token", "first token", "the weight on the first token of the text"),
    Measure("duplicate_token", "duplicate token", "the weight on earlier occurrences of the same token"),
    Measure(
        "induction",
        "induction",
        "the weight on the tokens that followed earlier occurrences of the same token",
    ),
)
SINK = "sink_mass"
KINDS = ("previous_token", "first_token", "duplicate_token", "induction")
BY_KEY = {measure.key: measure for measure in MEASURES}
NOT_AN_INFLUENCE = (
    "Attention weights show what a head reads, not what it changes. "
    "A key with a large weight can leave the output unchanged, and a key with a small weight can change it. "
    "To measure influence, remove something: ablate a head, or use at.observation.influence()."
)


def reads_from(segment: str, reader: str) -> Measure:
    """The weight that the tokens of one segment give to another. Inspection.values() accepts its key."""
    meaning = f"the weight that the tokens of {reader} give to {segment}"
    return Measure(READS_FROM + segment, f"weight on {segment}", meaning)
