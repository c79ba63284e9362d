"""The memory of one layer's pages: which are held by how many, and which are free."""

from collections.abc import Iterable

from attnscope.cache.layout import MOST_PAGES, Arrays, Layout

FEWEST_PAGES = 16  # of an arena that grows


class Arena:
    """Pages that are handed out, shared and taken back. Whoever writes to a page must be its only holder.

    holders[page]    how many sequences hold the page; 0: it is free
    """

    def __init__(self, layout: Layout, most_pages: int | None) -> None:
        self.layout = layout
        self.most_pages = most_pages
        self.holders: list[int] = []
        self._free: list[int] = []
        self.arrays: Arrays = ()
        self._make_room(0 if most_pages is None else most_pages)

    @property
    def pages(self) -> int:
        return len(self.holders)

    @property
    def pages_held(self) -> int:
        return self.pages - len(self._free)

    @property
    def bytes_reserved(self) -> int:
        return sum(array.nbytes for array in self.arrays)

    @property
    def bytes_used(self) -> int:
        return self.pages_held * self.layout.page_bytes

    def pages_left(self) -> int:
        """How many more could be taken."""
        return len(self._free) + (MOST_PAGES - self.pages if self.most_pages is None else 0)

    def reserve(self, count: int) -> None:
        """Have so many pages free; the caller has asked pages_left() before."""
        if count > len(self._free):
            self._make_room(min(MOST_PAGES, max(FEWEST_PAGES, 2 * self.pages, self.pages_held + count)))

    def take(self, count: int) -> list[int]:
        """Free pages, held once from now on."""
        assert count <= len(self._free), "reserve() comes before take()"
        taken = [self._free.pop() for _ in range(count)]
        for page in taken:
            self.holders[page] = 1
        return taken

    def share(self, pages: Iterable[int]) -> None:
        """One more sequence holds them."""
        for page in pages:
            assert self.holders[page] > 0, "a free page cannot be shared"
            self.holders[page] += 1

    def give_back(self, pages: Iterable[int]) -> None:
        """One sequence less holds them; a page that nobody holds is free."""
        for page in pages:
            assert self.holders[page] > 0, "a free page cannot be given back"
            self.holders[page] -= 1
            if not self.holders[page]:
                self._free.append(page)

    def copy(self, page: int, to: int) -> None:
        """The page's tokens, for a sequence that goes on in a way of its own."""
        for array in self.arrays:
            array[to] = array[page]

    def _make_room(self, pages: int) -> None:
        """Arrays of so many pages. Whoever still reads the old ones keeps them alive."""
        old, more = self.arrays, range(self.pages, pages)
        arrays = self.layout.arrays(pages)
        for before, after in zip(old, arrays, strict=False):
            after[: len(before)] = before
        self.arrays = arrays
        self.holders += [0] * len(more)
        self._free += reversed(more)
