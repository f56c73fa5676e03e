"""A world (`tests/unit/runs/runs_stage.py`) that also keeps what its core has asked to be looked at."""

from runs_stage import World

from apsis.runs.core.effects import Effects
from apsis.runs.core.inputs import ConditionSaid, Input
from apsis.runs.core.said import Question
from apsis.runs.run import Run

NO_OP = {"type": "no-op"}


class AskedWorld(World):
    """Somebody looks at conditions here: `asked` is what is open, by run."""

    def begin(self) -> None:
        self.asked: dict[str, Question] = {}
        super().begin()

    def decide(self, event: Input) -> Effects:
        effects = super().decide(event)
        for run_id, question in effects.questions.items():
            if question is None:
                self.asked.pop(run_id, None)
            else:
                self.asked[run_id] = question
        return effects

    def say(self, run: Run, what: str, text: str = "", index: int | None = None) -> None:
        """Tell the core what was found for a run, and let all come to rest."""
        question = self.asked.get(run.run_id)
        number = index if index is not None else question.index if question else 0
        self.step(ConditionSaid(run.run_id, number, what, text))
        self.settle()

    def step_said(self, run_id: str, what: str) -> None:
        self.step(ConditionSaid(run_id, 0, what, "too late"))

    def states(self, *runs: Run) -> list[str]:
        return [self.run(run.run_id).state.value for run in runs]
