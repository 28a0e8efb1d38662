"""What a person does with a stage, and what they hear."""

import numpy as np

SILENT_DB = -70
# The mean power of each bin over some moments, once what was heard before has left the analyser.
_SPECTRUM = """async (element) => {
    const analyser = element.stage.analyser(), moments = 8;
    const pause = (ms) => new Promise((done) => setTimeout(done, ms));
    const levels = new Float32Array(analyser.frequencyBinCount), powers = new Float64Array(levels.length);
    await pause(250);
    for (let moment = 0; moment < moments; moment++) {
        await pause(60);
        analyser.getFloatFrequencyData(levels);
        levels.forEach((level, bin) => { powers[bin] += 10 ** (Math.max(level, -200) / 10) / moments; });
    }
    return [Array.from(powers), analyser.context.sampleRate];
}"""

# Samples that played at some moments, each with the time of the stage.
_SAMPLES = """async (element, moments) => {
    const analyser = element.stage.analyser(), heard = [];
    for (let moment = 0; moment < moments; moment++) {
        await new Promise((done) => setTimeout(done, moment ? 110 : 250));
        const played = new Float32Array(analyser.fftSize);
        analyser.getFloatTimeDomainData(played);
        heard.push([element.stage.state().time, Array.from(played)]);
    }
    return [heard, analyser.context.sampleRate];
}"""


class Person:
    """Somebody in front of a page with a stage."""

    def __init__(self, page):
        self.page, self.stage = page, page.locator(".avsep-stage").first
        self.stage.wait_for()

    def state(self):
        return self.stage.evaluate("(element) => element.stage.state()")

    def press(self, name):
        self.stage.get_by_role("button", name=name, exact=True).click()

    def name_of(self, number, before=""):
        """What a player is called on the stage."""
        return before + self.stage.locator(".avs-name b").nth(number - 1).inner_text()

    def restart(self, from_s=1.0):
        """Play on from a second after the start."""
        bar = self.stage.get_by_label("time", exact=True)
        bar.evaluate("(bar, time) => { bar.value = time; bar.dispatchEvent(new Event('input')); }", from_s)
        if not self.state()["playing"]:
            self.press("play")
        self.wait(f"state.playing && state.time > {from_s + 0.2}")

    def choose(self, name):
        self.stage.locator(".avs-switch").get_by_text(name, exact=True).click()

    def fade(self, number, value):
        """Drag a fader as the arrow keys do."""
        fader = self.stage.locator(".avs-fader").nth(number - 1)
        fader.focus()
        fader.press("Home" if value == 0 else "End")

    def click(self, x, y):
        """Click a place of the picture, given as shares of its width and height."""
        picture = self.stage.locator(".avs-picture")
        box = picture.bounding_box()
        picture.click(position={"x": x * box["width"], "y": y * box["height"]})

    def wait(self, condition):
        """Wait until a condition on the state holds, such as ``state.playing``."""
        handle = self.stage.element_handle()
        self.page.wait_for_function(
            f"(element) => {{ const state = element.stage.state(); return {condition}; }}", arg=handle
        )

    def hear(self, moments=6):
        """What plays at some moments: (time of the stage in s, samples (n,)) of each, and their rate in Hz."""
        heard, rate_hz = self.stage.evaluate(_SAMPLES, moments)
        return [(time_s, np.array(played)) for time_s, played in heard], rate_hz

    def spectrum(self):
        """What is heard: the mean power of each bin over half a second, and the frequency of each bin in Hz."""
        powers, rate = self.stage.evaluate(_SPECTRUM)
        return np.array(powers), np.arange(len(powers)) * rate / 2 / len(powers)

    def heard_db(self, *tones_hz):
        """The level of tones in what is heard, in dB."""
        power, bins_hz = self.spectrum()
        return [10 * np.log10(power[np.abs(bins_hz - tone) < 40].max()) for tone in tones_hz]
