"""The old path of ``minattn.scaling.blockwise``, which stays importable."""

from minattn.scaling.blockwise import blockwise_attend as blockwise_attend
