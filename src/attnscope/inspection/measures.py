"""What heads are compared by: a number a head, each with its unit and what its ends mean."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A mean over the tokens of a head.

    scale    "share": from 0 to 1; "linear" and "log": from the least to the most that a head of this model has
    """

    key: str
    label: str
    unit: str
    low: str
    high: str
    scale: str
    meaning: str


READS_FROM = "reads:"
MEASURES = (
    Measure("normalized_entropy", "spread", "", "one key", "all alike", "share",
            "entropy over the most it could be, ln of the visible keys"),
    Measure("entropy", "entropy", "nats", "sharp", "diffuse", "linear",
            "-sum w ln w over the keys of a token"),
    Measure("effective_keys", "effective keys", "keys", "few", "many", "log",
            "e^entropy: how many keys of equal weight have this entropy"),
    Measure("max_weight", "largest weight", "", "none", "all", "share",
            "the weight of a token's strongest key"),
    Measure("first_mass", "first 4 tokens", "", "none", "all", "share",
            "the weight on the first 4 tokens, where sinks are"),
    Measure("mean_distance", "distance", "tokens", "near", "far", "log",
            "how far from a token the keys are that it reads"),
    Measure("previous_token", "previous token", "", "none", "all", "share",
            "the weight on the token just before"),
    Measure("first_token", "first token", "", "none", "all", "share",
            "the weight on the very first token"),
    Measure("duplicate_token", "duplicate token", "", "none", "all", "share",
            "the weight on earlier tokens that are the same"),
    Measure("induction", "induction", "", "none", "all", "share",
            "the weight on what came after earlier tokens that are the same"),
)  # fmt: skip


def reads_from(segment: str, reader: str) -> Measure:
    """What the tokens of one segment read from another, as a measure: Inspection.values() finds it by its key."""
    meaning = f"what the tokens of {reader} read from {segment}"
    return Measure(READS_FROM + segment, f"what is read from {segment}", "", "none", "all", "share", meaning)


KINDS = ("previous_token", "first_token", "duplicate_token", "induction")
BY_KEY = {measure.key: measure for measure in MEASURES}
NOT_AN_INFLUENCE = (
    "A weight says what was read, not what it did: heavy keys whose values change nothing and light ones whose values change "
    "much both exist. To see an influence, take something away: at.observation.influence(), or ablate a head."
)
