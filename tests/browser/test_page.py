"""The page from login to a restart of the web process, as a person sees it."""

import re

import pytest
from playwright.sync_api import WebSocketRoute, expect
from visitor import Visitor

from harness.installation import Installation, until

pytestmark = pytest.mark.browser


def test_a_wrong_token_is_refused_and_said(visitor: Visitor) -> None:
    visitor.expects_complaint("401")
    visitor.open("/jobs")
    visitor.log_in("not the token")
    expect(visitor.page.locator("#token-error")).to_contain_text("this token is not known")
    expect(visitor.page).to_have_title(re.compile("Log in"))
    visitor.log_in()
    expect(visitor.page.get_by_role("heading", name="Jobs")).to_be_visible()


def test_a_run_appears_without_reloading(visitor: Visitor, installation: Installation) -> None:
    visitor.enter()
    visitor.mark()
    run = installation.make("greet", args={"name": "Ada"})[0]
    row = visitor.row(run["run_id"])
    expect(row).to_contain_text("greet")
    expect(row).to_contain_text("name=Ada")
    expect(row).to_contain_text("Success")
    assert visitor.is_marked()


def test_output_is_shown_as_it_comes(visitor: Visitor, installation: Installation) -> None:
    visitor.enter()
    run_id = installation.make("talk/slowly", args={"count": "120"})[0]["run_id"]
    visitor.row(run_id).click()
    lines = visitor.page.locator(".viewer-line")
    expect(visitor.page.get_by_text("line 20", exact=True)).to_be_visible()
    assert installation.run(run_id)["state"] == "running"
    expect(visitor.page.get_by_role("log")).to_contain_text("that was all", timeout=30_000)
    expect(lines.last).to_have_attribute("data-n", "121")
    expect(visitor.page.get_by_text("End of the output.")).to_be_visible()


def test_following_is_ended_by_scrolling_up_and_taken_up_by_f(visitor: Visitor, installation: Installation) -> None:
    visitor.enter()
    run_id = installation.make("talk/slowly", args={"count": "400"})[0]["run_id"]
    visitor.row(run_id).click()
    follow = visitor.page.get_by_role("checkbox", name="follow")
    expect(follow).to_be_checked()
    log = visitor.page.get_by_role("log")
    expect(visitor.page.get_by_text("line 60", exact=True)).to_be_visible()
    log.hover()
    visitor.page.mouse.wheel(0, -600)
    expect(follow).not_to_be_checked()
    place = log.evaluate("element => element.scrollTop")
    expect(visitor.page.get_by_role("button", name="f to follow")).to_be_visible()
    assert log.evaluate("element => element.scrollTop") == place
    visitor.page.keyboard.press("f")
    expect(follow).to_be_checked()
    until(lambda: log.evaluate("e => e.scrollTop + e.clientHeight >= e.scrollHeight - 20"), 5, "the end to be in view")
    installation.call("POST", f"/runs/{run_id}/kill", {})


def test_a_kill_is_asked_for_first_and_escape_cancels_it(visitor: Visitor, installation: Installation) -> None:
    visitor.enter()
    run_id = installation.make("stay")[0]["run_id"]
    expect(visitor.row(run_id)).to_contain_text("Running")
    visitor.choose(run_id, "Kill…")
    dialog = visitor.page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"Kill {run_id} stay?")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    visitor.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert installation.run(run_id)["state"] == "running"
    visitor.choose(run_id, "Kill…")
    dialog.get_by_role("button", name="Kill", exact=True).click()
    expect(visitor.page.get_by_role("status").get_by_text("is killed")).to_be_visible()
    expect(visitor.row(run_id)).to_contain_text(re.compile("Failure|Success"))
    assert installation.run(run_id)["exit"]["signal"] == 9


def test_an_action_that_comes_too_late_says_why(visitor: Visitor, installation: Installation) -> None:
    visitor.expects_complaint("409")
    run_id = installation.make("stay")[0]["run_id"]
    visitor.enter(f"/runs/{run_id}")
    visitor.page.get_by_role("button", name="Kill…").click()
    installation.call("POST", f"/runs/{run_id}/kill", {})
    until(lambda: installation.run(run_id)["exit"] is not None, 20, "the run to end")
    visitor.page.get_by_role("dialog").get_by_role("button", name="Kill", exact=True).click()
    alert = visitor.page.get_by_role("alert")
    expect(alert).to_contain_text(f"Cannot kill {run_id}")
    expect(alert).to_contain_text("HTTP 409")
    expect(alert).to_contain_text("request ")


def test_the_page_survives_a_restart_of_web(visitor: Visitor, installation: Installation) -> None:
    visitor.expects_complaint("WebSocket connection")
    visitor.expects_complaint("ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET")
    visitor.enter()
    before = installation.make("greet", args={"name": "before"})[0]["run_id"]
    expect(visitor.row(before)).to_contain_text("Success")
    visitor.mark()
    pid = installation.service("web")
    installation.control("restart", "web")
    assert installation.service("web") != pid
    after = installation.make("greet", args={"name": "after"})[0]["run_id"]
    expect(visitor.row(after)).to_contain_text("Success", timeout=20_000)
    expect(visitor.row(before)).to_have_count(1)
    visitor.connected()
    assert visitor.is_marked()


def test_output_is_followed_over_a_crash_of_web(visitor: Visitor, installation: Installation) -> None:
    visitor.expects_complaint("WebSocket connection")
    visitor.expects_complaint(
        "ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|ERR_INCOMPLETE|ERR_CONTENT_LENGTH"
    )
    run_id = installation.make("talk/slowly", args={"count": "200"})[0]["run_id"]
    visitor.enter(f"/runs/{run_id}")
    visitor.mark()
    expect(visitor.page.get_by_text("line 10", exact=True)).to_be_attached()
    installation.kill("web")
    log = visitor.page.get_by_role("log")
    expect(log).to_contain_text("that was all", timeout=40_000)
    expect(visitor.page.locator(".viewer-line").last).to_have_attribute("data-n", "201")
    expect(visitor.page.get_by_role("checkbox", name="follow")).to_be_checked()
    assert visitor.is_marked()


def test_a_lost_connection_is_shown_and_the_rows_stay(visitor: Visitor, installation: Installation) -> None:
    run_id = installation.make("greet")[0]["run_id"]
    sockets: list[WebSocketRoute] = []
    away = False

    def between(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        if away:
            socket.close(code=1011)
        else:
            socket.connect_to_server()

    visitor.page.route_web_socket(re.compile("/api/v1/ws"), between)
    visitor.enter()
    visitor.mark()
    expect(visitor.row(run_id)).to_contain_text("Success")
    away = True
    sockets[-1].close(code=1011)
    chip = visitor.page.locator(".connection")
    expect(chip).to_contain_text(re.compile(r"as of \d\d:\d\d:\d\d"))
    expect(visitor.page.locator(".shell")).to_have_class(re.compile("stale"))
    expect(visitor.row(run_id)).to_contain_text("Success")
    missed = installation.make("greet")[0]["run_id"]
    # asking the page something is what lets Playwright tell of new sockets
    until(lambda: visitor.is_marked() and len(sockets) >= 3, 20, "further attempts")
    away = False
    visitor.connected()
    expect(visitor.row(missed)).to_contain_text("Success")
    expect(visitor.row(run_id)).to_have_count(1)
    expect(visitor.page.locator(".shell")).not_to_have_class(re.compile("stale"))
