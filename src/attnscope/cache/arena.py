"""The pages of one layer: their memory, how many sequences refer to each, and which are free."""

from collections.abc import Iterable

from attnscope.cache.layout import MOST_PAGES, Arrays, Layout

FEWEST_PAGES = 16  # of an arena that grows


class Arena:
    """Arrays of pages, with a reference count per page.

    The counts follow from the sequences' page tables, which are the truth. They are kept because counting
    reads every table. After an interrupted change they are wrong, and recount() derives them again.

    Parameters
    ----------
    layout : Layout
        Sizes of a page.
    most_pages : int or None
        A fixed number of pages, or None for an arena that grows.
    """

    def __init__(self, layout: Layout, most_pages: int | None) -> None:
        self.layout = layout
        self.most_pages = most_pages
        self.arrays: Arrays = layout.arrays(0)
        self.reference_counts: list[int] = []
        self._free: list[int] = []  # taken from the end
        self._grow(0 if most_pages is None else most_pages)

    @property
    def pages(self) -> int:
        return len(self.reference_counts)

    @property
    def free_pages(self) -> int:
        return len(self._free)

    @property
    def used_pages(self) -> int:
        return self.pages - len(self._free)

    @property
    def bytes_reserved(self) -> int:
        return sum(array.nbytes for array in self.arrays)

    @property
    def bytes_used(self) -> int:
        return self.used_pages * self.layout.page_bytes

    def available_pages(self) -> int:
        """How many pages are free, counting those that the arena could still grow by."""
        return len(self._free) + (MOST_PAGES - self.pages if self.most_pages is None else 0)

    def reserve(self, count: int) -> None:
        """Grow until `count` pages are free. The caller checked available_pages() before."""
        if count > len(self._free):
            self._grow(min(MOST_PAGES, max(FEWEST_PAGES, 2 * self.pages, self.used_pages + count)))

    def next_free(self, count: int) -> list[int]:
        """The free pages that take(count) will take, in this order."""
        assert count <= len(self._free), "reserve() comes before next_free()"
        return self._free[: -count - 1 : -1]

    def take(self, count: int) -> None:
        """Count one reference to each of next_free(count)."""
        for page in self.next_free(count):
            self.reference_counts[page] = 1
        del self._free[len(self._free) - count :]

    def add_references(self, pages: Iterable[int]) -> None:
        for page in pages:
            assert self.reference_counts[page] > 0, "a free page cannot be shared"
            self.reference_counts[page] += 1

    def remove_references(self, pages: Iterable[int]) -> None:
        """Count one reference less per page; pages without references are free."""
        for page in pages:
            assert self.reference_counts[page] > 0, "a free page cannot be given back"
            self.reference_counts[page] -= 1
            if not self.reference_counts[page]:
                self._free.append(page)

    def recount(self, tables: Iterable[Iterable[int]]) -> None:
        """Derive the counts and the free pages from the pages of all sequences."""
        counts = [0] * len(self.arrays[0])
        for pages in tables:
            for page in pages:
                counts[page] += 1
        self.reference_counts = counts
        self._free = [page for page in reversed(range(len(counts))) if not counts[page]]

    def copy(self, page: int, to: int) -> None:
        """Copy a page's tokens, for a sequence that continues on its own."""
        for array in self.arrays:
            array[to] = array[page]

    def _grow(self, pages: int) -> None:
        """Move to arrays of so many pages. Calls that still read the old arrays keep them alive."""
        more = range(self.pages, pages)
        arrays = self.layout.arrays(pages)
        for old, new in zip(self.arrays, arrays, strict=True):
            new[: len(old)] = old
        self.arrays = arrays
        self.reference_counts += [0] * len(more)
        self._free += reversed(more)
