"""The interpreter's small free blocks, used up in the zygote, so that what a shim makes lies close together.

Blocks that imports have given back are strewn over the heap. A shim would take them one by one, and with each
have a page copied; where none is left, it gets them from pages that hold nothing else.
"""

from typing import Final

_STEP: Final = 16
_LARGEST: Final = 512
#: a new pool begins at a multiple of this
_POOL: Final = 16384
#: length of a pool's own header: where its first block lies
_HEADER: Final = 48
#: blocks of one size taken at most, should this interpreter order them in another way
_MOST: Final = 4000


def fill_pools() -> list[object]:
    """Take up the free blocks of each size until a new pool begins; they are free again when the list is dropped."""
    taken: list[object] = []
    overhead = b"".__sizeof__()
    for size in range(_STEP, _LARGEST + 1, _STEP):
        for number in range(_MOST):
            block = bytes(size - overhead) if size >= overhead else float(number) if size > _STEP else object()
            taken.append(block)
            if id(block) % _POOL == _HEADER:
                break
    return taken
