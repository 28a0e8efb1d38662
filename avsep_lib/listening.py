"""What one listens to in a notebook: players at one common gain, and panels to look around with.

Players are never made louder one by one, so what is quiet in a mixture stays quiet; they need no network and stay in
the page that a notebook becomes. Panels only look at results: no later cell depends on them. Used by every notebook.
"""

import html
import inspect
import textwrap
from collections.abc import Callable, Sequence

import ipywidgets as widgets
import numpy as np
import torch
from IPython.display import HTML, Audio, display
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from avsep_lib import plots, spectra
from avsep_lib.duets import Separation
from avsep_lib.settings import StudyError
from avsep_lib.store import VideoStore

PEAK = 0.9
"""Where the loudest of the sounds that are heard together peaks."""

_CODE = "font-family:monospace;line-height:1.35;margin:0;padding:6px 10px;border-left:3px solid #0B5A8A"
_CELL = "text-align:left;padding:2px 14px 2px 0;vertical-align:middle;border:none;background:none"


def common_gain(sounds: Sequence[np.ndarray]) -> float:
    """The one factor that brings the loudest of several sounds to ``PEAK``; 1 if all are silent."""
    loudest = max((float(np.abs(sound).max()) for sound in sounds if len(sound)), default=0.0)
    return PEAK / loudest if loudest > 0 else 1.0


def players(sounds: dict[str, np.ndarray], sample_rate_hz: int, gain: float | None = None) -> HTML:
    """A table of labelled players, all at the same gain, 16 bit.

    Parameters
    ----------
    sounds : dict of float arrays, shape (L,)
        By label.
    sample_rate_hz : int
    gain : float, optional
        Factor for all; by default the one that brings the loudest to a peak of 0.9.

    Returns
    -------
    HTML
        As the last value of a cell it is shown. The sounds are part of it.

    Raises
    ------
    StudyError
        If a sound has more than one channel, or there is none.
    """
    for label, sound in sounds.items():
        if np.ndim(sound) != 1 or not len(sound):
            raise StudyError(f"{label}: a player needs samples of shape (L,), not {np.shape(sound)}")
    if not sounds:
        raise StudyError("there is nothing to play; give a dictionary of label and samples")
    gain = common_gain(list(sounds.values())) if gain is None else gain
    rows = (
        f'<tr style="background:none"><td style="{_CELL};min-width:9em">{html.escape(label)}</td>'
        f'<td style="{_CELL}">{_player(np.asarray(sound) * gain, sample_rate_hz)}</td></tr>'
        for label, sound in sounds.items()
    )
    return HTML(f'<table style="border:none;margin:0">{"".join(rows)}</table>')


def show_clip(store: VideoStore, video_id: str, start: int = 0) -> None:
    """One clip of a video: its frames, its waveform and spectrogram, and a player.

    Parameters
    ----------
    store : VideoStore
        Prepared for the video.
    video_id : str
    start : int
        First sample.
    """
    settings, sound = store.settings, store.window(video_id, start)
    spec = spectra.stft(torch.from_numpy(sound), settings.n_fft, settings.hop)
    times = store.picture_times_s(start)
    display(plots.frames(store.pictures(video_id, start), [f"{time:.1f} s" for time in times], columns=4))
    figure = plots.Picture(figsize=(plots.WIDTH, 3), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[1, 2.4])
    plots.waveform(sound, settings.sample_rate_hz, upper, video_id)
    upper.set_xlabel("")
    plots.spectrogram(spec.abs(), settings, "linear", lower)
    display(figure, players({video_id: sound}, settings.sample_rate_hz))


def browse_clips(store: VideoStore, video_ids: Sequence[str]) -> widgets.Widget:
    """Choose a video and a place in it, and see :func:`show_clip` of it."""
    rate = store.settings.sample_rate_hz
    video = widgets.Dropdown(options=list(video_ids), description="video")
    second = widgets.FloatSlider(0, min=0, max=1, step=0.5, description="from (s)", continuous_update=False)

    def fit_range(_=None) -> None:
        second.max = max(store.last_start(video.value) / rate, 0.01)

    def show(video_id: str, from_s: float) -> None:
        show_clip(store, video_id, min(int(from_s * rate), store.last_start(video_id)))

    fit_range()
    video.observe(fit_range, "value")
    shown = widgets.interactive_output(show, {"video_id": video, "from_s": second})
    return widgets.VBox([widgets.HBox([video, second]), shown])


def remix(separation: Separation, gains: Sequence[float]) -> np.ndarray:
    """The tracks of a separation added up with a gain for each player, float (L,)."""
    return np.asarray(gains, np.float32) @ separation.estimates


def listen_panel(separation: Separation) -> widgets.Widget:
    """A fader for each player of a duet, and the sound that they make together.

    The gain of the player stays that of the mixture, so a fader is heard as what it is.
    """
    gain = common_gain([separation.mixture, *separation.estimates])
    faders = {
        f"{n} {player.instrument}": widgets.FloatSlider(
            1.0, min=0.0, max=1.0, step=0.05, description=plots.readable(player.instrument), continuous_update=False
        )
        for n, player in enumerate(separation.players, start=1)
    }

    def show(**values: float) -> None:
        mixed = remix(separation, [values[name] for name in faders])
        # All tracks together can exceed the loudest of them.
        display(players({"what you mixed": np.clip(mixed * gain, -1, 1)}, separation.sample_rate_hz, gain=1.0))

    return widgets.VBox([*faders.values(), widgets.interactive_output(show, faders)])


def source(*functions: Callable) -> HTML:
    """The source of functions of the library, to be read where they are used; never a copy."""
    parts = [textwrap.dedent(inspect.getsource(function)).rstrip() for function in functions]
    # Colours and font stand in the text itself, so that it looks the same in a notebook and in a page.
    return HTML(highlight("\n\n".join(parts), PythonLexer(), HtmlFormatter(noclasses=True, prestyles=_CODE)))


def _player(sound: np.ndarray, sample_rate_hz: int) -> str:
    """An audio element that holds its samples."""
    return Audio(np.clip(sound, -1, 1), rate=sample_rate_hz, normalize=False)._repr_html_().strip()
