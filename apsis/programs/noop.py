"""The program that does nothing for a while: carried out by the scheduler itself, with no process."""

from dataclasses import dataclass
from typing import Any, ClassVar

from apsis.definitions.fields import Fields, shown
from apsis.programs.templated import Expand, duration_text, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class NoOp:
    """End after `duration` seconds, as told: true success, false failure, null error."""

    type: ClassVar[str] = "no-op"
    host: ClassVar[None] = None

    duration: float = 0.0
    success: bool | None = True

    def to_json(self) -> dict[str, Any]:
        """Return it as a run shows it."""
        return {"type": self.type, "duration": self.duration, "success": self.success}


@dataclass(frozen=True, slots=True, kw_only=True)
class NoOpSpec:
    """A `no-op` as a job file has it."""

    type: ClassVar[str] = "no-op"

    duration: str = "0"
    success: bool | None = True

    @classmethod
    def read(cls, fields: Fields) -> "NoOpSpec":
        """Take the keys of a `no-op`."""
        duration = fields.optional("duration", duration_text, "0")
        success = fields.take("success", True)
        if success is not None and not isinstance(success, bool):
            fields.refuse("success", f"expected true (success), false (failure) or null (error), got {shown(success)}")
        return cls(duration=duration, success=success)

    def bind(self, expand: Expand) -> NoOp:
        """Return the program for one run."""
        return NoOp(
            duration=seconds(expand(self.duration, "program.duration"), "program.duration"), success=self.success
        )

    def texts(self) -> dict[str, str]:
        """Return the texts with templates."""
        return {"program.duration": self.duration}

    def to_json(self) -> dict[str, Any]:
        """Return it as a job shows it."""
        return {"type": self.type, "duration": self.duration, "success": self.success}
