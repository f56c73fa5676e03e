"""What the forms that lie outside this package take, by `module:name`: one line for each, beside those in `forms`."""

from typing import Any, Final

_TEXT: Final = {"type": ["string", "number", "boolean"]}
_WORD: Final = {"type": "string", "minLength": 1}
_WORDS: Final = {"type": "array", "items": _TEXT, "minItems": 1}
_TEXTS: Final = {"type": "object", "additionalProperties": _TEXT}
_DURATION: Final = {
    "anyOf": [
        {"type": "number", "minimum": 0},
        {
            "type": "string",
            "pattern": r"^\s*(\d+(\.\d*)?|\.\d+)(\s*[A-Za-z]+(\s*(\d+(\.\d*)?|\.\d+)\s*[A-Za-z]+)*)?\s*$",
        },
    ]
}
_SIGNED: Final = {
    "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^\s*[-+]?\s*[\d.]+(\s*[A-Za-z]+[\d.]*)*\s*$"}]
}
_DAYTIME: Final = {
    "anyOf": [
        {"type": "number", "minimum": 0, "exclusiveMaximum": 86400},
        {"type": "string", "pattern": r"^\s*\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?\s*$"},
    ]
}
_TIME: Final = {"type": "string", "pattern": r"^\s*\d{4}.*([Zz]|[+-]\d{2}(:?\d{2})?(:?\d{2})?)\s*$"}
_WHOLE: Final = {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^\s*[-+]?\d+\s*$"}]}
_POSITIVE: Final = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^\d+$"}]}
_SIZE: Final = {"anyOf": [{"type": "number"}, _WORD]}
_NAMES: Final = {"type": "array", "items": _TEXT}
_STATUS: Final = {"type": "integer", "minimum": 0, "maximum": 255}
#: any JSON that the program makes something of
_ANY: Final[dict[str, Any]] = {"not": {"type": "null"}}

KNOWN: Final[dict[str, dict[str, Any]]] = {
    "apsis.actions.command:_argv": _WORDS,
    "apsis.actions.command:limit": _DURATION,
    "apsis.actions.email:_addresses": {"anyOf": [_WORD, {"type": "array", "items": _WORD, "minItems": 1}]},
    "apsis.actions.email:address": _WORD,
    "apsis.actions.webhook:_headers": _TEXTS,
    "apsis.actions.webhook:_method": _WORD,
    "apsis.actions.webhook:_url": _WORD,
    "apsis.calendars.finder:Calendars.parse": _WORD,
    "apsis.conditions.asked:_interval": _DURATION,
    "apsis.conditions.asked:_timeout": _DURATION,
    "apsis.conditions.command:_line": _WORD,
    "apsis.conditions.dependency:_exist": {"anyOf": [{"type": "boolean"}, _WORD, {"type": "array", "items": _WORD}]},
    "apsis.conditions.file:_newer_text": _TEXT,
    "apsis.conditions.file:_path_text": _WORD,
    "apsis.conditions.max_running:_positive": _POSITIVE,
    "apsis.jobs.params:_pattern": _TEXT,
    "apsis.jobs.policies:_backoff": {"type": "number", "minimum": 1},
    "apsis.programs.argv:argv_words": _WORDS,
    "apsis.programs.http:HttpSpec.read.<locals>.<lambda>": _ANY,
    "apsis.programs.http:_headers": _TEXTS,
    "apsis.programs.http:_method": _WORD,
    "apsis.programs.http:_status": {"type": ["integer", "string"]},
    "apsis.programs.http:_url": _WORD,
    "apsis.programs.limits:_cores": _SIZE,
    "apsis.programs.limits:_count": {"type": "integer"},
    "apsis.programs.limits:_cpu": _DURATION,
    "apsis.programs.options:_environment": {
        "type": "object",
        "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
    },
    "apsis.programs.options:_exit_codes": {"anyOf": [_STATUS, {"type": "array", "items": _STATUS, "minItems": 1}]},
    "apsis.programs.procstar:_amount": {"type": ["number", "string"]},
    "apsis.programs.python:_function": {"type": "string", "pattern": ":"},
    "apsis.programs.shell:command_text": _WORD,
    "apsis.programs.signals:parse_signal": {"type": ["string", "integer"]},
    "apsis.programs.sizes:parse_size": _SIZE,
    "apsis.programs.surroundings:_inherited": {"anyOf": [{"type": "boolean"}, _NAMES]},
    "apsis.programs.surroundings:_input_text": _TEXT,
    "apsis.programs.surroundings:_niceness": {"type": "integer", "minimum": -20, "maximum": 19},
    "apsis.programs.surroundings:_secrets": {"type": "object", "additionalProperties": _WORD},
    "apsis.programs.surroundings:_umask": {"type": ["string", "integer"]},
    "apsis.programs.values:mapping": {"type": "object"},
    "apsis.schedules.cron:_expression": _WORD,
    "apsis.schedules.explicit:_time": _TIME,
    "apsis.schedules.interval:interval_micros": _DURATION,
    "apsis.schedules.registry:_jitter": _DURATION,
    "apsis.schedules.shifts:date_count": _WHOLE,
    "apsis.schedules.shifts:day_shift": _WHOLE,
    "apsis.schedules.shifts:second_shift": _SIGNED,
    "apsis.times.daytimes:parse_daytime": _DAYTIME,
    "apsis.times.durations:parse_duration": _DURATION,
    "apsis.times.zones:find_zone": _WORD,
}
