"""Signals by name or number."""

import signal

import pytest

from apsis.definitions.fields import FormError
from apsis.programs.signals import parse_signal, signal_name


@pytest.mark.parametrize("value", ["TERM", "SIGTERM", "sigterm", "Term", 15, "15"])
def test_a_signal_is_read_in_each_of_its_forms(value):
    assert parse_signal(value) == signal.SIGTERM


@pytest.mark.parametrize("value", ["TREM", 0, 65, "", None, True, -9, 1.5, "SIG"])
def test_what_is_no_signal_is_refused(value):
    with pytest.raises(FormError):
        parse_signal(value)


def test_each_name_leads_back_to_its_number():
    for each in signal.Signals:
        assert parse_signal(signal_name(int(each))) == int(each)
