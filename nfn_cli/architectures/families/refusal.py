"""Why a network is not recognised: a cause and a remedy, without the file, which the caller knows."""

from __future__ import annotations


class Refusal(Exception):
    """A configuration or its tensors are not understood."""

    def __init__(self, cause: str, remedy: str = "give the module itself (--model)") -> None:
        self.cause = cause
        self.remedy = remedy
        super().__init__(f"{cause}; {remedy}")
