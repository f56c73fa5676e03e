"""What the core is told of the config."""

from apsis.actions import ScheduleAction
from apsis.actions.configured import read_configured
from apsis.config import Config
from apsis.runs.core.settings import Settings


def settings_of(config: Config) -> Settings:
    """Return the settings of the core as a config has them."""
    return Settings(
        horizon=config.schedule.horizon,
        max_ahead=config.schedule.max_ahead,
        max_age=config.schedule.max_age,
        waiting_max=config.waiting.max_time,
        max_bytes=config.output.max_bytes,
        actions=tuple(each for each in read_configured(config.action) if isinstance(each, ScheduleAction)),
        resources=config.resources,
    )
