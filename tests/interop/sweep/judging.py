"""Judge one type of Transformers' models beside eager attention: equal, refused, not attending, different."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface

from attnscope.errors import AttentionError
from attnscope.interop import transformers_register
from attnscope.interop.transformers import register
from attnscope.interop.transformers_attention import attention_of_transformers
from tests.interop.sweep import inputs as made
from tests.interop.sweep import tiny_models as tiny

UNIT = 2.0**-24
ROUNDINGS = 2000  # units of the largest number that layers before and after attention may round apart
GENERATED = 6


@dataclass
class Outcome:
    """What one type did.

    verdict: equal, refused, not attending, differs, or not run; cases: what was run; reason: of the last
    three.
    """

    model_type: str
    verdict: str
    model: str = ""
    reason: str = ""
    cases: list[str] = field(default_factory=list)


class Counted:
    """The attention that is registered, counting its calls."""

    calls = 0

    def __call__(self, *args: Any, **options: Any) -> Any:
        Counted.calls += 1
        return attention_of_transformers(*args, **options)


def blind(module: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> tuple[Any, None]:
    """An attention that is wrong: the mean of all values."""
    groups = query.shape[1] // value.shape[1]
    mean = value.repeat_interleave(groups, 1).mean(2, keepdim=True)
    return mean.expand(-1, -1, query.shape[2], -1).transpose(1, 2).contiguous(), None


def plain(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **options: Any
) -> tuple[Any, None]:
    """Attention by its formula; a query that sees no key is 0, as with attnscope."""
    mask, groups = attention_mask, query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scaling, softcap, sinks, bias = (
        options.get(name) for name in ("scaling", "softcap", "s_aux", "position_bias")
    )
    scores = query @ key.mT * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    scores = scores if softcap is None else softcap * torch.tanh(scores / softcap)
    scores = scores if bias is None else scores + bias
    if mask is not None and mask.dtype == torch.bool:
        mask = torch.where(mask, torch.zeros((), dtype=scores.dtype), torch.finfo(scores.dtype).min)
    scores = scores if mask is None else scores + mask
    if sinks is not None:
        scores = torch.cat([scores, sinks.reshape(1, -1, 1, 1).expand(*scores.shape[:3], 1)], dim=-1)
    weights = scores.softmax(-1)[..., : key.shape[2]]
    if mask is not None:
        weights = weights * (mask > torch.finfo(mask.dtype).min).any(-1, keepdim=True)
    return (weights @ value).transpose(1, 2).contiguous(), None


def prepare() -> None:
    """Register the implementations that are compared."""
    register()
    AttentionInterface.register(transformers_register.NAME, Counted())
    AttentionInterface.register("blind", blind)
    mask = AttentionMaskInterface
    mask.register("blind", mask()[transformers_register.NAME])
    AttentionInterface.register("plain", plain)
    mask.register("plain", mask()["eager"])
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)


def judge(model_type: str) -> Outcome:
    """Run a type's first model that can be built, and its generation."""
    tried: list[str] = []
    try:
        classes, configs = tiny.model_classes(model_type), list(tiny.configs(model_type))
    except Exception as error:  # noqa: BLE001  # whatever a foreign file raises is its outcome
        return Outcome(model_type, "not run", reason=brief(error))
    if not classes:
        return Outcome(model_type, "not run", reason="no model is built of this configuration alone")
    outcomes = []
    for kind in classes:
        for level, config in configs:
            try:
                model, given = runnable(kind, config())
            except Exception as error:  # noqa: BLE001
                tried.append(f"{kind.__name__}, {level}: {brief(error)}")
                continue
            outcomes.append(compared(model_type, model, given))
            break
    if not outcomes:
        return Outcome(model_type, "not run", classes[0].__name__, "; ".join(tried))
    worst = ("differs", "refused", "not attending", "equal")
    outcomes.sort(key=lambda each: worst.index(each.verdict))
    outcomes[0].cases = list(dict.fromkeys(case for each in outcomes for case in each.cases))
    return outcomes[0]


def brief(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


def runnable(kind: Any, config: Any) -> tuple[Any, made.Inputs]:
    """A model, and inputs that it answers with eager attention."""
    config._attn_implementation = "eager"
    model = tiny.built(kind, config)
    first: Exception | None = None
    for given in made.candidates(model):
        try:
            answered = run(model, "eager", given)
        except Exception as error:  # noqa: BLE001
            first = first or error
            continue
        if any(each.numel() for each in answered):
            return model, given
    raise first or ValueError("no inputs fit")


def run(model: Any, implementation: str, given: made.Inputs) -> list[Any]:
    """All numbers of what a model returns."""
    attend_by(model, implementation)
    torch.manual_seed(0)
    with torch.inference_mode():
        return list(numbers(model(**given)))


def attend_by(model: Any, implementation: str) -> None:
    """As from_pretrained(attn_implementation=...) does: for all configurations inside."""
    model.config._attn_implementation = implementation
    for part in model.modules():
        if hasattr(part, "config") and hasattr(part.config, "_attn_implementation"):
            part.config._attn_implementation = implementation


def numbers(answered: Any) -> Iterator[Any]:
    """The floating-point tensors within an answer, caches left out."""
    if isinstance(answered, torch.Tensor):
        if answered.is_floating_point():
            yield answered.double()
    elif isinstance(answered, dict):
        for name, each in answered.items():
            if name not in ("past_key_values", "attentions"):
                yield from numbers(each)
    elif isinstance(answered, (list, tuple)):
        for each in answered:
            yield from numbers(each)


def cases(model: Any, given: made.Inputs) -> Iterator[tuple[str, made.Inputs, Any]]:
    """Inputs by name, and which tokens are real."""
    yield "plain", given, None
    if "input_ids" not in given or "attention_mask" in given:
        return
    for side, padded in {"left padding": slice(0, 4), "right padding": slice(7, None)}.items():
        real = torch.ones((made.BATCH, made.TOKENS), dtype=torch.long)
        real[1, padded] = 0
        yield side, {**given, "attention_mask": real}, real.bool()


def compared(model_type: str, model: Any, given: made.Inputs) -> Outcome:
    """All cases of a model, and its generation."""
    outcome = Outcome(model_type, "equal", type(model).__name__)
    Counted.calls = 0
    try:
        for name, each, real in cases(model, given):
            compare(outcome, model, name, each, real)
        if outcome.verdict == "equal" and not Counted.calls:
            outcome.verdict = "not attending"
        elif outcome.verdict == "equal":
            if not differing(run(model, "blind", given), run(model, "eager", given), None):
                return Outcome(model_type, "not run", outcome.model, "a wrong attention would not be noticed")
            generate(model, given, outcome)
    except AttentionError as error:
        outcome.verdict, outcome.reason = "refused", brief(error)
    except Exception as error:  # noqa: BLE001  # what eager does not raise
        return differs(outcome, f"raises {brief(error)}")
    return outcome


def compare(outcome: Outcome, model: Any, name: str, given: made.Inputs, real: Any) -> None:
    """One case; what eager cannot run is none."""
    try:
        eager = run(model, "eager", given)
    except Exception:  # noqa: BLE001
        return
    ours = run(model, "attnscope", given)
    difference = differing(ours, eager, real)
    if difference and real is not None and not differing(ours, run(model, "plain", given), None):
        difference, name = "", f"{name}, read out at padding"
    if difference and equals_sdpa(model, given, ours, real):
        difference, name = "", f"{name}, as sdpa, from which eager differs"
    outcome.cases.append(name)
    if difference:
        differs(outcome, f"{name}: {difference}")


def equals_sdpa(model: Any, given: made.Inputs, ours: list[Any], real: Any) -> bool:
    """Whether the answer is that of sdpa: some models' eager attention is wrong."""
    if not model._supports_sdpa:
        return False
    return not differing(ours, run(model, "sdpa", given), real)


def differs(outcome: Outcome, reason: str) -> Outcome:
    outcome.verdict, outcome.reason = "differs", reason
    return outcome


def differing(ours: list[Any], eager: list[Any], real: Any) -> str:
    """How two answers differ beyond rounding at real tokens; "" if they do not."""
    if [each.shape for each in ours] != [each.shape for each in eager]:
        shapes = [[list(each.shape) for each in answer][:4] for answer in (ours, eager)]
        return f"shapes {shapes[0]} instead of {shapes[1]}"
    for number, (one, other) in enumerate(zip(ours, eager, strict=True)):
        if real is not None and one.shape[:2] == real.shape:
            one, other = one[real], other[real]
        if not torch.equal(one.isfinite(), other.isfinite()):
            return f"output {number} is finite elsewhere"
        one, other = one[one.isfinite()], other[other.isfinite()]
        allowed = ROUNDINGS * UNIT * max(1.0, float(other.abs().max())) if other.numel() else 0.0
        error = float((one - other).abs().max()) if other.numel() else 0.0
        if error > allowed:
            return f"output {number} differs by {error:.2g}, largest {float(other.abs().max()):.2g}"
    return ""


def generate(model: Any, given: made.Inputs, outcome: Outcome) -> None:
    """A few tokens after a padded batch; the logits, since tokens can tie."""
    if not model.can_generate() or outcome.verdict != "equal":
        return
    real = torch.ones((made.BATCH, made.TOKENS), dtype=torch.long)
    real[1, :4] = 0
    asked = {name: each for name, each in given.items() if name != "decoder_input_ids"}
    asked |= {"attention_mask": real} if "input_ids" in asked else {}
    options = {"max_new_tokens": GENERATED, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    options |= {"return_dict_in_generate": True, "output_logits": True}

    def logits(implementation: str) -> list[Any]:
        attend_by(model, implementation)
        torch.manual_seed(0)
        return list(numbers(list(model.generate(**asked, **options).logits)))

    try:
        eager = logits("eager")
    except Exception:  # noqa: BLE001  # not every model generates alone
        return
    difference = differing(logits("attnscope"), eager, None)
    outcome.cases.append("generation")
    if difference:
        differs(outcome, f"generation: {difference}")
