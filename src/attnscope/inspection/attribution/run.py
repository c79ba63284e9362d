"""Attribute an answer: read the prompt once, then ablate one source after the other."""

from collections.abc import Sequence
from time import perf_counter

import numpy as np

from attnscope.inspection.attribution.answer import Answer, given_answer, with_sentences
from attnscope.inspection.attribution.case import Case
from attnscope.inspection.attribution.effects import Fit, Run
from attnscope.inspection.attribution.prompt import Prompt, read_prompt
from attnscope.inspection.attribution.request import AttributionRequest
from attnscope.inspection.attribution.result import Attribution
from attnscope.inspection.attribution.scorer import Ids, Scorer
from attnscope.inspection.attribution.sources import (
    SENTENCE,
    Range,
    Source,
    Splitter,
    token_owners,
    tokens_of,
)
from attnscope.inspection.inspection import Inspection, provenance
from attnscope.inspection.run import Progress, load, observed
from attnscope.inspection.segments import MOST_SEGMENTS, TEMPLATE, Segments
from attnscope.inspection.subject import Subject, Tokens
from attnscope.inspection.text import InspectionError, shown_name

ANSWER, REST = "answer", "question"  # names of segments beside those of the sources
NO_SPLITTER = "sentences need pysbd: pip install 'attnscope[attribution]'"


def attribute(
    request: AttributionRequest | None = None, progress: Progress = lambda _share, _next: None
) -> Attribution:
    """Measure on which parts of a prompt an answer depends.

    `drop = log p(answer | prompt) - log p(answer | prompt without the source)`, teacher-forced, in nats. It
    is positive if the source raised the answer's probability.

    Parameters
    ----------
    request : AttributionRequest, optional
        The prompt, its sources, the answer, the model and the method. Default: the example of the package,
        read by the hand-written model.
    progress : callable, optional
        Called with the share that is done, 0 to 1, and the name of the next step.

    Returns
    -------
    Attribution
        The sources and their effects.

    Raises
    ------
    InspectionError
        If prompt, answer or model cannot be used; the message states what to do.
    UnsupportedProblemError
        If the model's attention cannot be replaced.

    Notes
    -----
    *knockout* hides the source from the rows of the question and the answer, in all layers; rows before them
    are unchanged, and a row always sees its own key. So it measures direct reading alone. *removal* cuts the
    source out of the text, and measures all of its effect. The prompt is read once: an ablation computes the
    rows of question and answer, a removal those from the first token that differs.

    *gradient* is the first-order estimate of a knockout, for all sources by one backward pass per sentence of
    the answer. *sampled* ablates random halves of the sources and fits a sparse linear model (LASSO): sources
    that replace each other, or only matter together, have effects. The values of these two are of sentences
    of the answer; its tokens have equal shares.

    By default, sources are documents, messages or paragraphs, and then the sentences of those whose drop is
    at least a tenth of the largest one, and 0.05 nats.

    References
    ----------
    Geva et al. 2023, arXiv:2304.14767, for knockout. Cohen-Wang et al. 2024, arXiv:2409.00729, for removal.

    Examples
    --------
    >>> found = attribute()
    >>> found.answer.text, found.top(1)[0].name
    (' the A-0 system in 1952.', 'hopper.txt, sentence 1')
    """
    request = AttributionRequest() if request is None else request
    progress(0.0, "loading the model")
    subject = load(request.model)
    request = request.or_example()
    started = perf_counter()
    splitter = splitter_for(request)
    fit = fit_for(request)
    prompt = read_prompt(request, subject, splitter)
    scorer = subject.scorer(hides=not request.cuts)
    progress(0.0, "reading the prompt")
    tokens, held, answer = read_answer(request, prompt, subject, scorer, splitter)
    case = Case(subject, scorer, prompt, tokens, held, answer.ids, answer.labels)
    run = Run(request, case, progress, fit)
    effects = run.effects(splitter)
    roles = run.by_role() if request.role_report else {}
    seconds = perf_counter() - started
    owners = finest_owners([each.source for each in effects], tokens, len(prompt.text))
    facts = provenance(prompt.name, len(tokens.ids), subject)
    if splitter is whole:
        facts["sources"] = NO_SPLITTER
    return Attribution(
        request.method,
        subject.name,
        prompt.text,
        answer,
        run.log_probs,
        tuple(effects),
        scorer.rows,
        seconds,
        facts,
        inspected(case, answer, progress) if request.inspected else None,
        owners,
        roles,
    )


def finest_owners(sources: Sequence[Source], tokens: Tokens, characters: int) -> Ids:
    """The source of each token; -1 if it is between the sentences of its source."""
    owners = token_owners(sources, tokens, characters)
    wholes = {each.whole for each in sources}
    divided = [number for number, each in enumerate(sources) if each.name in wholes]
    return np.where(np.isin(owners, divided), -1, owners)


def inspected(case: Case, answer: Answer, progress: Progress) -> Inspection:
    """Every layer observed on prompt and answer; segments are the sources as given."""
    sources = [each for each in case.prompt.sources if not each.is_template]
    owners = token_owners(sources, case.tokens, len(case.prompt.text))
    labels = np.where(owners < 0, len(sources), owners)
    if not case.prompt.templated:  # blanks between documents belong to the one before
        owned = np.maximum.accumulate(np.where(owners < 0, 0, np.arange(len(owners))))
        labels[: case.held] = labels[owned[: case.held]]
    names = [each.name for each in sources]
    rest = TEMPLATE if case.prompt.templated else REST
    every = np.concatenate([labels, np.full(len(answer.ids), len(names) + 1)])
    used, numbered = np.unique(every, return_inverse=True)
    named = tuple([*names, rest, ANSWER][number] for number in used)
    segments = Segments(numbered, named) if len(named) <= MOST_SEGMENTS else None
    tokens = case.tokens.followed_by(answer.ids.tolist(), answer.pieces)
    return observed(case.subject, case.prompt.name, tokens, segments, case.subject.layers, progress)


def splitter_for(request: AttributionRequest) -> Splitter:
    """What splits texts into sentences: by default nothing does if pysbd is missing."""
    try:
        from attnscope.inspection.attribution.sentences import sentences
    except ImportError as error:
        if request.by == SENTENCE:
            raise InspectionError(f"by='sentence': {NO_SPLITTER}.") from error
        return whole
    return sentences


def fit_for(request: AttributionRequest) -> Fit | None:
    """What fits the linear model of the method sampled; None for other methods."""
    if request.method != "sampled":
        return None
    try:
        from attnscope.inspection.attribution.lasso import fit_lasso
    except ImportError as error:
        raise InspectionError(
            "method='sampled' needs scikit-learn: pip install 'attnscope[attribution]'."
        ) from error
    return fit_lasso


def whole(text: str) -> list[Range]:
    """The text itself as one sentence."""
    return [(0, len(text))] if text.strip() else []


def read_answer(
    request: AttributionRequest, prompt: Prompt, subject: Subject, scorer: Scorer, splitter: Splitter
) -> tuple[Tokens, int, Answer]:
    """The tokens of the prompt, which the scorer keeps; the first one of the question; the answer."""
    tokens = subject.tokenize(prompt.text, templated=prompt.templated)
    text = prompt.answer if request.answer is None else request.answer
    if len(tokens.ids) == 0:
        raise InspectionError(
            f"{shown_name(prompt.name)} has no token for {subject.name}. Give a longer text."
        )
    answer = None if text is None else given_answer(text, prompt, tokens, subject, splitter)
    check_context(prompt, tokens, request.new_tokens if answer is None else len(answer.ids), subject)
    held = first_row(tokens, prompt.question)
    scorer.keep(tokens.ids)
    if answer is None:
        generated = scorer.answer(held, tokens.ids[held:], request.new_tokens)
        if not generated:
            raise InspectionError(
                f"{subject.name} ends its answer at once, so there is none to attribute. "
                "Give one by --answer, or another question."
            )
        answer = with_sentences(generated, subject.pieces(generated), splitter)
    return tokens, held, answer


def check_context(prompt: Prompt, tokens: Tokens, answer: int, subject: Subject) -> None:
    """Raise InspectionError if prompt and answer do not fit into the context of the model."""
    count = len(tokens.ids)
    if subject.context is None or count + answer <= subject.context:
        return
    owned = tokens_of(prompt.sources, tokens, len(prompt.text)).sum(axis=1)
    longest = int(owned.argmax())
    raise InspectionError(
        f"{shown_name(prompt.name)} has {count:,} tokens and the answer {answer:,}, expected at most "
        f"{subject.context:,} in all, the context of {subject.name}. The longest source is "
        f"{shown_name(prompt.sources[longest].name)} with {owned[longest]:,} tokens: shorten it, "
        "or leave it out."
    )


def first_row(tokens: Tokens, character: int) -> int:
    """The token of a character; the last token if there is none, since that one predicts the answer."""
    after = np.flatnonzero((tokens.ends > character) & (tokens.starts < tokens.ends))
    last = len(tokens.ids) - 1
    return min(int(after[0]), last) if after.size else last
