"""``report.html`` as somebody has it who was sent it: opened from a folder, without a network."""

import pytest
from person import SILENT_DB, Person
from tones import HIGH_HZ, LOW_HZ, tone_duet

from avsep_lib import films, report


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    duet = tone_duet(folder)
    report.write_report(duet, folder, films.write_videos(duet, folder), notes=["A note."])
    return folder


@pytest.fixture(params=[(1200, "light"), (360, "dark")], ids=["wide", "narrow"])
def person(request, chromium, folder, shots):
    width, scheme = request.param
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    page, problems = context.new_page(), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda asked: asked.url.startswith("http") and problems.append(asked.url))
    page.goto((folder / "report.html").as_uri())
    yield Person(page)
    page.screenshot(path=shots / f"{request.node.name}.png", full_page=True)
    context.close()
    assert not problems


def seek(person, seconds):
    bar = person.stage.get_by_label("time", exact=True)
    bar.evaluate("(bar, seconds) => { bar.value = seconds; bar.dispatchEvent(new Event('input')); }", seconds)


def test_players_are_switched_while_the_sound_goes_on(person):
    person.press("play")
    person.wait("state.playing && state.time > 0.3")
    low, high = person.heard_db(LOW_HZ, HIGH_HZ)
    assert min(low, high) > SILENT_DB + 30
    before = person.state()["time"]
    person.choose("2 flute")
    low, high = person.heard_db(LOW_HZ, HIGH_HZ)
    assert low < SILENT_DB and high > SILENT_DB + 30
    after = person.state()
    assert after["playing"] and after["time"] > before and after["heard"] == "2"
    person.choose("everybody")
    assert min(person.heard_db(LOW_HZ, HIGH_HZ)) > SILENT_DB + 30


def test_faders_and_solo(person):
    person.press("play")
    person.wait("state.playing")
    person.fade(1, 0)
    low, high = person.heard_db(LOW_HZ, HIGH_HZ)
    assert low < SILENT_DB and high > SILENT_DB + 30
    person.fade(2, 0)
    assert max(person.heard_db(LOW_HZ, HIGH_HZ)) < SILENT_DB
    person.fade(1, 1)
    person.press("solo 1 cello")
    low, high = person.heard_db(LOW_HZ, HIGH_HZ)
    assert low > SILENT_DB + 30 and high < SILENT_DB
    person.press("solo 1 cello")
    assert person.state()["heard"] == "everybody"


def test_a_click_on_a_player_plays_them(person):
    person.click(0.2, 0.5)
    person.wait("state.playing")
    low, high = person.heard_db(LOW_HZ, HIGH_HZ)
    assert low > SILENT_DB + 30 and high < SILENT_DB
    person.click(0.8, 0.5)
    low, high = person.heard_db(LOW_HZ, HIGH_HZ)
    assert low < SILENT_DB and high > SILENT_DB + 30


def test_picture_follows_and_the_end_rewinds(person):
    person.press("play")
    person.wait("state.playing && state.time > 1")
    film = "(film) => film.currentTime"
    assert person.stage.locator("video").evaluate(film) == pytest.approx(person.state()["time"], abs=0.5)
    person.press("pause")
    seek(person, 30)
    assert not person.state()["playing"] and person.state()["time"] == 30
    assert person.stage.locator("video").evaluate(film) == pytest.approx(30, abs=0.1)
    seek(person, 59.5)
    person.press("play")
    person.wait("!state.playing && state.time === 0")


def test_a_dragged_seek_bar_leaves_no_sound_behind(person):
    person.press("play")
    person.wait("state.playing")
    bar = person.stage.get_by_label("time", exact=True)
    bar.evaluate("(bar) => { for (bar.value of [9, 14, 20, 27]) bar.dispatchEvent(new Event('input')); }")
    person.wait("state.playing && state.time > 27.2")
    person.press("pause")
    assert max(person.heard_db(LOW_HZ, HIGH_HZ)) < SILENT_DB


def test_keys_are_enough(person):
    person.stage.locator(".avs-picture").focus()
    for key in ("ArrowRight", "ArrowRight", "Enter"):
        person.page.keyboard.press(key)
    person.wait("state.playing && state.heard === '2'")
    person.page.keyboard.press(" ")
    person.wait("!state.playing")


def test_nothing_is_wider_than_the_screen(person):
    wide, screen = person.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= screen


def test_films_play(person):
    film = person.page.locator(".films video").first
    film.scroll_into_view_if_needed()
    film.evaluate("(film) => { film.muted = true; return film.play(); }")
    assert film.evaluate("(film) => film.videoWidth") == 320


@pytest.mark.parametrize("largest", [report.LARGEST_PAGE, 1000], ids=["within", "beside"])
def test_long_sounds_are_streamed(chromium, tmp_path, monkeypatch, largest):
    duet = tone_duet(tmp_path, seconds=200.0, fps=1, rate_hz=11_025)
    monkeypatch.setattr(report, "LARGEST_PAGE", largest)
    page = chromium.new_page(offline=True)
    page.goto(report.write_report(duet, tmp_path).as_uri())
    person = Person(page)
    person.press("play")
    person.wait("state.playing && state.time > 0.5")
    assert not person.state()["exact"]
    person.choose("2 flute")
    person.wait("state.levels[1] === 0 && state.levels[2] === 1")
    seek(person, 150)
    person.wait("state.playing && state.time > 150.5")
    places = person.stage.evaluate("(element) => element.stage.times()")
    assert max(places) - min(places) < 0.06
    seek(person, 199)
    person.wait("!state.playing && state.time === 0")
    page.close()
