"""What to attribute, as the command line or a caller asks for it."""

from dataclasses import dataclass, replace
from pathlib import Path

from attnscope.inspection.request import EXAMPLE, EXAMPLE_DOCUMENTS, EXAMPLE_NEW_TOKENS
from attnscope.inspection.text import InspectionError

METHODS = ("knockout", "removal", "attention", "gradient", "sampled")
ABLATIONS = ("knockout", "removal")
LEVELS = ("document", "message", "paragraph", "sentence")
NEW_TOKENS = 64  # of a generated answer, at most
SAMPLES, FEWEST_SAMPLES = 64, 16


@dataclass(frozen=True)
class AttributionRequest:
    """What to attribute: a prompt, by its parts, and an answer.

    Parameters
    ----------
    question : str, optional
        The question after the documents. A model with a chat template reads both as one message of a user.
    documents : tuple of Path
        Text files: put before the question, or found in the messages of the chat.
    chat : Path, optional
        A JSON file of messages. If the last one is the assistant's, it is the answer.
    text : str, optional
        A prompt as the model shall read it, the name of a file, or "-" for standard input. Its last paragraph
        is the question, or what follows the last of `sources`.
    sources : tuple of str
        NAME:START-END in characters of the text. Default: its paragraphs.
    model : Path, optional
        A model folder or a GGUF file. Default: the hand-written model.
    answer : str, optional
        The answer, exactly as it follows the prompt. Default: the model generates it.
    new_tokens : int
        The most tokens of a generated answer.
    method : {"knockout", "removal", "attention", "gradient", "sampled"}
        How effects are measured.
    samples : int, optional
        Of the method sampled: how many random subsets are ablated. Default: 64.
    ablation : {"knockout", "removal"}, optional
        Of the method sampled: how a subset is ablated. Default: "knockout".
    by : {"document", "message", "paragraph", "sentence"}, optional
        The level of the sources. Default: documents or messages, then the sentences of those that matter.
    role_report : bool
        Of a chat: whether all sources of each role are also ablated together.
    inspected : bool
        Whether every layer is also observed on prompt and answer, for page().
    through_others : bool
        Whether knockout also runs removal, and reports the difference.

    Raises
    ------
    InspectionError
        If the arguments contradict each other.
    """

    question: str | None = None
    documents: tuple[Path, ...] = ()
    chat: Path | None = None
    text: str | None = None
    sources: tuple[str, ...] = ()
    model: Path | None = None
    answer: str | None = None
    new_tokens: int = NEW_TOKENS
    method: str = METHODS[0]
    samples: int | None = None
    ablation: str | None = None
    by: str | None = None
    through_others: bool = False
    role_report: bool = False
    inspected: bool = False

    def __post_init__(self) -> None:
        self._check_prompt()
        self._check_options()
        self._check_sampled()

    def _check_prompt(self) -> None:
        """Raise InspectionError unless there is one prompt, with sources."""
        given = {"--question": self.question, "--chat": self.chat, "TEXT": self.text}
        named = [name for name, value in given.items() if value is not None]
        if len(named) > 1:
            raise InspectionError(f"{' and '.join(named)} exclude each other. Give one of them.")
        if self.question is not None and not self.documents:
            raise InspectionError(
                "--question needs sources: give documents by --document FILE, or the whole prompt as TEXT."
            )
        if self.documents and self.question is None and self.chat is None:
            raise InspectionError(
                "--document needs a question: give --question, or the whole chat by --chat."
            )
        if self.sources and self.text is None:
            raise InspectionError("--source names characters of TEXT, but there is no TEXT. Give both.")

    def _check_options(self) -> None:
        """Raise InspectionError if an option is unknown, or does not fit the others."""
        if self.new_tokens < 1:
            raise InspectionError(f"new-tokens={self.new_tokens}, expected 1 or more.")
        for name, value, known in (
            ("method", self.method, METHODS),
            ("by", self.by, (None, *LEVELS)),
            ("ablation", self.ablation, (None, *ABLATIONS)),
        ):
            if value not in known:
                expected = ", ".join(each for each in known if each)
                raise InspectionError(f"{name}={value!r}, expected one of {expected}.")
        if self.by == "message" and self.chat is None:
            raise InspectionError("by='message' needs a chat. Give it by --chat, or choose another level.")
        if self.by == "document" and not self.documents and not self.is_example:
            raise InspectionError("by='document' needs documents. Give them by --document.")
        if self.role_report and (self.chat is None or self.method not in ABLATIONS):
            raise InspectionError(
                "role-report ablates the roles of a chat: it needs --chat, and knockout or removal. "
                "Give both, or leave it out."
            )
        if self.through_others and self.method != "knockout":
            raise InspectionError(
                f"through-others compares removal with knockout, but method={self.method!r}. "
                "Leave out one of them."
            )

    def _check_sampled(self) -> None:
        """Raise InspectionError if options of the method sampled are given to another, or out of range."""
        if self.method != "sampled" and (self.samples, self.ablation) != (None, None):
            raise InspectionError(
                f"samples and ablation are options of method='sampled', but method={self.method!r}. "
                "Leave them out, or choose that method."
            )
        if self.samples is not None and self.samples < FEWEST_SAMPLES:
            raise InspectionError(
                f"samples={self.samples}, expected {FEWEST_SAMPLES} or more: fewer show no effect."
            )

    @property
    def cuts(self) -> bool:
        """Whether sources are cut out of the text, and not hidden."""
        return "removal" in (self.method, self.ablation)

    @property
    def is_example(self) -> bool:
        """Whether there is no prompt, so that the example of the package is used."""
        return self.question is None and self.chat is None and self.text is None

    def or_example(self) -> "AttributionRequest":
        """Use the example of the package if there is no prompt: two documents and a question.

        Returns
        -------
        AttributionRequest
            A request with a prompt.
        """
        if not self.is_example:
            return self
        question = (EXAMPLE / "question.txt").read_text(encoding="utf-8")
        tokens = min(self.new_tokens, EXAMPLE_NEW_TOKENS) if self.model is None else self.new_tokens
        return replace(self, question=question, documents=EXAMPLE_DOCUMENTS, new_tokens=tokens)
