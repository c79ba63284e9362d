"""What to inspect, as the command line or a caller asks for it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from attnscope.inspection.text import InspectionError

EXAMPLE = Path(__file__).parent / "example"
EXAMPLE_DOCUMENTS = (EXAMPLE / "lovelace.txt", EXAMPLE / "hopper.txt")
EXAMPLE_NEW_TOKENS = 24  # the length of the answer that the hand-written model generates
LAYERS = re.compile(r"(\d{1,15})(?:-(\d{1,15}))?")


@dataclass(frozen=True)
class Request:
    """What to inspect.

    Parameters
    ----------
    text : str, optional
        A text, the name of a file, or "-" for standard input. With neither text nor chat, the example of the
        package.
    model : Path, optional
        A model folder or a GGUF file. Default: the hand-written model.
    chat : Path, optional
        A JSON file of messages, instead of a text.
    documents : tuple of Path
        Files that are put before the text, or found in the messages of the chat.
    segments : tuple of str
        NAME:START-END in tokens, instead of the segments that chat and documents define.
    rest : str, optional
        The segment of the tokens that `segments` leave out.
    layers : str, optional
        Such as "0-3,7". Default: all layers.
    new_tokens : int
        How many tokens the model generates before the whole text is inspected.
    reads : str, optional
        The segment whose share of the weight the report shows.

    Raises
    ------
    InspectionError
        If the arguments contradict each other.
    """

    text: str | None = None
    model: Path | None = None
    chat: Path | None = None
    documents: tuple[Path, ...] = ()
    segments: tuple[str, ...] = ()
    rest: str | None = None
    layers: str | None = None
    new_tokens: int = 0
    reads: str | None = None

    def __post_init__(self) -> None:
        if self.text is not None and self.chat is not None:
            raise InspectionError("TEXT and --chat FILE exclude each other. Give one of them.")
        if self.rest is not None and not self.segments:
            raise InspectionError(
                f"rest={self.rest!r} names the tokens that --segments leave out, "
                "but there are no --segments. Give both."
            )
        if self.new_tokens < 0:
            raise InspectionError(f"new-tokens={self.new_tokens}, expected 0 or more.")
        if self.documents and self.text is None and self.chat is None:
            raise InspectionError(
                "--document needs a question. Give it as TEXT, or give the whole chat by --chat FILE."
            )

    @property
    def is_example(self) -> bool:
        """Whether this is the example of the package."""
        return self.documents == EXAMPLE_DOCUMENTS

    def or_example(self, *, chats: bool) -> "Request":
        """Use the example if there is no text: a chat if the model has a chat template, else a question.

        The hand-written model then generates an answer.

        Parameters
        ----------
        chats : bool
            Whether the model has a chat template.

        Returns
        -------
        Request
            A request with a text or a chat.
        """
        if self.text is not None or self.chat is not None:
            return self
        new_tokens = self.new_tokens or (EXAMPLE_NEW_TOKENS if self.model is None else 0)
        example = replace(self, documents=(), new_tokens=new_tokens)
        if chats:
            return replace(example, chat=EXAMPLE / "chat.json", documents=EXAMPLE_DOCUMENTS)
        return replace(example, text=str(EXAMPLE / "question.txt"), documents=EXAMPLE_DOCUMENTS)

    def chosen_layers(self, available: Sequence[int]) -> list[int]:
        """Parse the layers to observe.

        Parameters
        ----------
        available : sequence of int
            The numbers of the model's layers with softmax attention, ascending: hybrid models have others,
            too.

        Returns
        -------
        list of int
            The numbers of the layers, ascending. A range is of those that are available.

        Raises
        ------
        InspectionError
            If `layers` has another form, or names layers that are not available.

        Examples
        --------
        >>> Request(layers="0-2,5").chosen_layers(range(6)), Request(layers="0-7").chosen_layers([4, 12])
        ([0, 1, 2, 5], [4])
        """
        if self.layers is None:
            return list(available)
        chosen: set[int] = set()
        for part in self.layers.split(","):
            found = LAYERS.fullmatch(part.strip())
            if found is None:
                raise InspectionError(f"layers={self.layers!r}, expected numbers and ranges such as 0-3,7.")
            first, last = int(found[1]), int(found[2] or found[1])
            named = {number for number in available if first <= number <= last}
            count = len(available)
            if list(available) == list(range(count)):
                if not first <= last < count:
                    raise InspectionError(
                        f"layers={self.layers!r}, expected layers from 0 to {count - 1}: "
                        f"the model has {count}."
                    )
            elif not named:
                raise InspectionError(
                    f"layers={self.layers!r}, expected some of {', '.join(map(str, available))}: "
                    "the model's other layers have no softmax attention."
                )
            chosen |= named
        return sorted(chosen)
