"""Finding runs and jobs: the filter, the keyboard, the list of jobs and its dialog."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect
from visitor import Visitor

from harness.installation import Installation, until

pytestmark = pytest.mark.browser


def test_the_filter_works_while_it_is_typed(visitor: Visitor, installation: Installation) -> None:
    good = installation.make("greet", args={"name": "Grace"})[0]["run_id"]
    bad = installation.make("fail")[0]["run_id"]
    visitor.enter()
    expect(visitor.row(good)).to_be_visible()
    expect(visitor.row(bad)).to_contain_text("exit 3")
    visitor.filter("state:failure")
    expect(visitor.row(good)).to_have_count(0)
    expect(visitor.row(bad)).to_be_visible()
    expect(visitor.page).to_have_url(re.compile(r"q=state:failure"))
    visitor.page.reload()
    expect(visitor.row(bad)).to_be_visible()
    expect(visitor.row(good)).to_have_count(0)
    visitor.page.get_by_role("button", name="Clear the filter").click()
    expect(visitor.row(good)).to_be_visible()


def test_a_bad_filter_keeps_the_result_and_marks_what_is_wrong(visitor: Visitor, installation: Installation) -> None:
    run_id = installation.make("fail")[0]["run_id"]
    visitor.enter("/runs?q=job:fail")
    expect(visitor.row(run_id)).to_contain_text("Failure")
    visitor.filter("job:fail state:faliure")
    field = visitor.page.get_by_role("textbox", name="Filter runs")
    expect(field).to_have_attribute("aria-invalid", "true")
    message = visitor.page.locator("#filter-message")
    expect(message).to_contain_text("faliure")
    expect(message).to_contain_text("^^^^")
    assert "faliure" in "".join(visitor.page.locator(".mirror .bad").all_text_contents())
    expect(visitor.row(run_id)).to_be_visible()
    visitor.filter("job:fail state:failure")
    expect(field).not_to_have_attribute("aria-invalid", "true")
    expect(visitor.row(run_id)).to_be_visible()


def test_a_filter_that_finds_nothing_says_so(visitor: Visitor, installation: Installation) -> None:
    installation.make("fail")
    visitor.enter("/runs?q=job:nowhere")
    expect(visitor.page.get_by_role("heading", name="No run matches")).to_be_visible()


def test_the_list_is_walked_by_keys(visitor: Visitor, installation: Installation) -> None:
    run_id = installation.make("greet")[0]["run_id"]
    visitor.enter()
    expect(visitor.row(run_id)).to_contain_text("Success")
    keyboard = visitor.page.keyboard
    for _ in range(3):
        keyboard.press("j")
    keyboard.press("k")
    active = visitor.page.locator("#active-run")
    expect(active).to_have_count(1)
    chosen = active.get_attribute("data-run")
    keyboard.press("Enter")
    expect(visitor.page).to_have_url(re.compile(f"/runs/{chosen}$"))
    keyboard.press("g")
    keyboard.press("j")
    expect(visitor.page).to_have_url(re.compile("/jobs$"))
    keyboard.press("/")
    expect(visitor.page.get_by_role("textbox", name="Filter jobs")).to_be_focused()
    keyboard.type("gr?j")
    expect(visitor.page).to_have_url(re.compile("/jobs"))


def test_rows_stand_in_order_for_those_who_hear_the_page(visitor: Visitor, installation: Installation) -> None:
    installation.make("greet", count=60)
    until(lambda: installation.count("job:greet is:active") == 0, 30, "the runs to end")
    visitor.enter()
    grid = visitor.page.get_by_role("grid", name="Runs")
    expect(grid).to_have_attribute("aria-rowcount", re.compile(r"\d\d+"))
    grid.hover()
    positions = "[...document.querySelectorAll('.grid-row.run')].map(row => Number(row.ariaRowIndex))"

    def in_order() -> bool:
        found = visitor.page.evaluate(positions)
        return len(found) > 10 and found == list(range(found[0], found[0] + len(found)))

    for distance in (-330, -170, -410):
        before = visitor.page.evaluate(positions)
        visitor.page.mouse.wheel(0, distance)
        until(lambda before=before: visitor.page.evaluate(positions) != before, 5, "other rows")
        until(in_order, 5, "the rows to be in order")


def test_home_and_end_go_to_the_ends_of_all_runs(visitor: Visitor, installation: Installation) -> None:
    # more than one window holds
    installation.make("nothing", count=700)
    visitor.enter("/runs?q=job:nothing")
    grid = visitor.page.get_by_role("grid", name="Runs")
    expect(grid).to_have_attribute("aria-rowcount", "701")
    active = visitor.page.locator("#active-run")
    grid.press("Home")
    expect(active).to_have_attribute("aria-rowindex", "2")
    grid.press("End")
    expect(active).to_have_attribute("aria-rowindex", "701")


def test_a_job_is_run_from_the_list_of_jobs(visitor: Visitor, installation: Installation) -> None:
    visitor.enter("/jobs")
    visitor.page.get_by_role("textbox", name="Filter jobs").press_sequentially("polite")
    expect(visitor.page.locator("tr[data-job]")).to_have_count(1)
    visitor.page.get_by_role("button", name="Run greet").click()
    dialog = visitor.page.get_by_role("dialog")
    expect(dialog.get_by_label("name")).to_have_value("world")
    dialog.get_by_label("name").fill("Emmy & <b>co</b>")
    dialog.get_by_label("tone").select_option("gruff")
    dialog.get_by_role("button", name="Run now").click()
    expect(dialog).to_be_hidden()
    visitor.page.get_by_role("status").get_by_role("link", name=re.compile("Open r")).click()
    expect(visitor.page.get_by_role("heading", level=1)).to_contain_text("name=Emmy & <b>co</b>")
    run_id = visitor.page.url.rsplit("/", 1)[1]
    assert installation.run(run_id)["args"] == {"name": "Emmy & <b>co</b>", "tone": "gruff"}


def test_a_broken_job_file_is_shown_with_its_place(visitor: Visitor, installation: Installation) -> None:
    broken = installation.home / "jobs" / "broken.yaml"
    visitor.enter("/jobs")
    expect(visitor.page.locator("tr[data-job]")).not_to_have_count(0)
    broken.write_text("program: {type: shel, command: true}\n")
    installation.call("POST", "/jobs/reload", {})
    strip = visitor.page.get_by_label("Job files with errors")
    expect(strip).to_contain_text(re.compile(r"broken\.yaml:\d+:\d+"))
    expect(strip).to_contain_text("shel")
    broken.unlink()
    installation.call("POST", "/jobs/reload", {})
    expect(strip).to_have_count(0)


def test_a_job_page_shows_its_runs_as_they_come(visitor: Visitor, installation: Installation) -> None:
    visitor.enter("/job/talk/in%20colour")
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("talk/in colour")
    run_id = installation.make("talk/in colour")[0]["run_id"]
    expect(visitor.page.get_by_role("link", name=run_id, exact=True)).to_be_visible()


def test_what_a_program_prints_is_text_in_colour_and_never_markup(visitor: Visitor, installation: Installation) -> None:
    run_id = installation.make("talk/in colour")[0]["run_id"]
    visitor.enter(f"/runs/{run_id}")
    log = visitor.page.get_by_role("log")
    expect(log.locator(".fg1")).to_have_text("red")
    expect(log).to_contain_text('plain <img src=x onerror="window.broken=1">')
    expect(log.get_by_text("100%", exact=True)).to_be_visible()
    assert visitor.page.evaluate("window.broken") is None


def test_a_long_output_is_read_from_both_ends(visitor: Visitor, installation: Installation) -> None:
    run_id = installation.make("talk/much")[0]["run_id"]
    until(lambda: installation.run(run_id)["state"] == "success", 20, "the run to end")
    visitor.enter(f"/runs/{run_id}")
    log = visitor.page.get_by_role("log")
    expect(log).to_contain_text("number 60000")
    expect(visitor.page.locator(".viewer-line")).to_have_count(
        visitor.page.evaluate("document.querySelectorAll('.viewer-line').length")
    )
    assert visitor.page.evaluate("document.querySelectorAll('*').length") < 1_500
    log.press("Home")
    expect(log.get_by_text("number 1", exact=True)).to_be_visible()
    expect(visitor.page.get_by_role("checkbox", name="follow")).not_to_be_checked()
    log.press("End")
    expect(log.get_by_text("number 60000", exact=True)).to_be_visible()


def test_the_theme_is_kept_and_set_before_the_page_is_drawn(visitor: Visitor) -> None:
    visitor.enter()
    visitor.page.get_by_role("button", name="Dark theme").click()
    html = visitor.page.locator("html")
    expect(html).to_have_attribute("data-theme", "dark")
    # the page's own scripts are held back: what sets the theme does not wait for them
    visitor.page.route(re.compile(r"/assets/index-.*\.js"), lambda route: route.abort())
    visitor.expects_complaint("ERR_FAILED")
    visitor.page.reload()
    expect(html).to_have_attribute("data-theme", "dark")


def test_a_command_of_ones_own_is_run(visitor: Visitor, installation: Installation) -> None:
    visitor.enter("/new?kind=command")
    visitor.page.get_by_label("Command", exact=True).fill("echo one; echo two")
    visitor.page.get_by_role("button", name="Run now").click()
    visitor.page.get_by_role("link", name=re.compile(r"^r\d+$")).click()
    expect(visitor.page.get_by_role("log")).to_contain_text("two")


def test_services_are_shown_and_one_is_restarted(visitor: Visitor, installation: Installation) -> None:
    visitor.enter("/control")
    row = visitor.page.locator("tr[data-service=store]")
    pid = installation.service("store")
    expect(row).to_contain_text(str(pid))
    visitor.page.get_by_role("button", name="Restart store").click()
    dialog = visitor.page.get_by_role("dialog")
    button = dialog.get_by_role("button", name="Restart")
    expect(button).to_be_disabled()
    dialog.get_by_role("textbox").fill("restart")
    button.click()
    until(lambda: installation.processes().get("store", pid) != pid, 20, "another store")
    expect(row).to_contain_text(str(installation.service("store")), timeout=20_000)


def test_what_is_not_there_is_said(visitor: Visitor, installation: Installation) -> None:
    visitor.expects_complaint("404")
    visitor.enter("/runs/r999999")
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("r999999")
    expect(visitor.page.get_by_text("no run r999999")).to_be_visible()
    visitor.page.goto(f"{installation.url}/job/no/such")
    expect(visitor.page.get_by_text("This job is not loaded now")).to_be_visible()


def test_the_page_that_is_tested_is_the_one_that_is_shipped() -> None:
    index = Path(__file__).parents[2] / "web/apsis_web/static/index.html"
    assert "<script>" not in index.read_text()
