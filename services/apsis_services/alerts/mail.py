"""Sending a mail by SMTP: one attempt. Runs in a worker."""

import smtplib
import socket
import ssl
from email.message import EmailMessage
from email.utils import formatdate, getaddresses
from typing import Any

from msgspec.structs import replace

from apsis.config import Smtp
from apsis.home import Home
from apsis_services.alerts.orders import Order, Outcome, Verdict
from apsis_services.alerts.texts import account, expanded, headline
from apsis_services.supervisor.starting.secret_files import Secrets

_LONGEST_SUBJECT = 500


def send(order: Order) -> Outcome:
    """Hand the mail to the server."""
    message = compose(order)
    smtp = order.smtp
    place = f"the mail server {smtp.host}:{port_of(smtp)}"
    try:
        with _connected(smtp) as server:
            if smtp.auth is not None:
                password = _password(order)
                server.login(smtp.auth.username, password)
            return _hand_over(server, message, order)
    except smtplib.SMTPRecipientsRefused as error:
        return _nobody(error.recipients, place)
    except smtplib.SMTPAuthenticationError as error:
        text = f"{place} does not know us: {_said(error.smtp_code, error.smtp_error)}"
        return Outcome(verdict=Verdict.UNREACHABLE, text=text)
    except smtplib.SMTPResponseException as error:
        kind = Verdict.REFUSED if error.smtp_code >= 500 and _is_of_the_mail(error) else Verdict.UNREACHABLE
        return Outcome(verdict=kind, text=f"{place} refused it: {_said(error.smtp_code, error.smtp_error)}")
    except (OSError, smtplib.SMTPException) as error:
        # TimeoutError, ssl.SSLError and socket.gaierror are OSErrors
        return Outcome(verdict=Verdict.UNREACHABLE, text=f"{place} cannot be reached: {error or type(error).__name__}")


def port_of(smtp: Smtp) -> int:
    """Return the port of the server."""
    return smtp.port or (465 if smtp.tls == "tls" else 25)


def compose(order: Order) -> EmailMessage:
    """Return the mail; raises BindError where a template cannot be expanded."""
    letter, action = order.letter, order.letter.action
    subject, body = action.get("subject"), action.get("body")
    message = EmailMessage()
    # a line end in a header would let an arg write headers of its own
    title = expanded(order, subject, "subject") if subject is not None else headline(letter)
    message["Subject"] = " ".join(title.split())[:_LONGEST_SUBJECT]
    message["From"] = sender_of(order)
    message["To"] = ", ".join(action["to"])
    message["Date"] = formatdate(localtime=False)
    message["Message-ID"] = f"<{letter.event_id}@{_domain(sender_of(order))}>"
    message["X-Apsis-Event-Id"] = letter.event_id
    message["Auto-Submitted"] = "auto-generated"
    text = expanded(order, body, "body") if body is not None else account(letter)
    message.set_content(f"{text}\n\n{order.remark}\n" if order.remark else f"{text}\n")
    if order.output:
        message.add_attachment(
            order.output, maintype="application", subtype="octet-stream", filename=f"{letter.run_id}-output.txt"
        )
    return message


def sender_of(order: Order) -> str:
    """Return whom the mail is from."""
    return str(order.letter.action.get("from") or order.smtp.sender or f"apsis@{socket.getfqdn()}")


def _domain(sender: str) -> str:
    return getaddresses([sender])[0][1].rpartition("@")[2] or "localhost"


def _connected(smtp: Smtp) -> smtplib.SMTP:
    port = port_of(smtp)
    if smtp.tls == "tls":
        return smtplib.SMTP_SSL(smtp.host, port, timeout=smtp.timeout, context=ssl.create_default_context())
    server = smtplib.SMTP(smtp.host, port, timeout=smtp.timeout)
    if smtp.tls == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server


def _password(order: Order) -> str:
    auth = order.smtp.auth
    if auth is None or auth.secret is None:
        return (auth.password or "") if auth is not None else ""
    from pathlib import Path

    return Secrets(Home(Path(order.home)), order.secrets).resolve({"it": auth.secret})["it"]


def _hand_over(server: smtplib.SMTP, message: EmailMessage, order: Order) -> Outcome:
    action = order.letter.action
    refused = server.send_message(message, to_addrs=[address for _, address in getaddresses(action["to"])])
    if not refused:
        return Outcome(verdict=Verdict.DELIVERED, text="the mail server took it")
    told = "; ".join(f"{to}: {_said(*answer)}" for to, answer in refused.items())
    later = {to for to, (code, _) in refused.items() if code < 500}
    if not later:
        return Outcome(verdict=Verdict.DELIVERED, text=f"the mail server took it, but not for {told}")
    left: dict[str, Any] = {**action, "to": [to for to in action["to"] if getaddresses([to])[0][1] in later]}
    return Outcome(verdict=Verdict.AGAIN, text=f"not yet for {told}", left=replace(order.letter, action=left))


def _nobody(recipients: dict[str, tuple[int, bytes]], place: str) -> Outcome:
    told = "; ".join(f"{to}: {_said(*answer)}" for to, answer in recipients.items())
    never = all(code >= 500 for code, _ in recipients.values())
    return Outcome(verdict=Verdict.REFUSED if never else Verdict.AGAIN, text=f"{place} takes nothing for {told}")


def _is_of_the_mail(error: smtplib.SMTPResponseException) -> bool:
    return isinstance(error, smtplib.SMTPDataError | smtplib.SMTPSenderRefused)


def _said(code: int, words: bytes | str) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return " ".join(f"{code} {text}".split())[:300]
