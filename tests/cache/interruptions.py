"""A call that is interrupted at one of its bytecodes, as a signal handler or a MemoryError can do."""

import dis
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import attnscope as at

# The files whose functions change a cache
TRACED = {
    str(Path(at.cache.__file__).parent / name)
    for name in ("kv_cache.py", "store.py", "layer.py", "arena.py", "windows.py")
}
Operation = Callable[[at.KVCache], Any]


class Interruption(BaseException):
    """What a signal handler raises."""


@dataclass
class Interrupted:
    """Calls an operation and raises before its bytecode number `when`, counted in TRACED files.

    Returns whether it raised: an operation may be over before.
    """

    when: int
    at_instruction: tuple[CodeType, int] | None = None

    def __call__(self, operation: Operation, cache: at.KVCache) -> bool:
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            operation(cache)
        except Interruption:
            sys.settrace(before)
            self._release_lock(cache)
            return True
        finally:
            sys.settrace(before)
        return False

    def _enter(self, frame: FrameType, event: str, arg: object) -> Any:
        if frame.f_code.co_filename not in TRACED:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._step

    def _step(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "opcode":
            if self.when == 0:
                self.at_instruction = (frame.f_code, frame.f_lasti)
                raise Interruption
            self.when -= 1
        return self._step

    def _release_lock(self, cache: at.KVCache) -> None:
        """A tracer can raise between the end of a `with` block and the release of its lock.

        No signal is handled there: the interpreter looks for signals after calls and jumps, and these
        instructions only load constants.
        """
        if cache._store.lock._is_owned():  # type: ignore[attr-defined]
            assert self.at_instruction is not None
            code, offset = self.at_instruction
            rest = [each.opname for each in dis.get_instructions(code) if each.offset >= offset]
            called = next(i for i, name in enumerate(rest) if name.startswith("CALL"))
            harmless = {"LOAD_CONST", "PRECALL", "SWAP", "NOP", "POP_TOP", "STORE_FAST", "COPY"}
            assert set(rest[:called]) <= harmless, (code.co_qualname, rest[: called + 1])
            cache._store.lock.release()
