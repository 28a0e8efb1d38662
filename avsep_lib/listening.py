"""What one listens to in a notebook: players at one common gain, and panels to look around with.

Players are never made louder one by one, so what is quiet in a mixture stays quiet; they need no network and stay in
the page that a notebook becomes. Panels only look at results: no later cell depends on them. Used by every notebook.
"""

import functools
import html
import inspect
import io
import textwrap
from collections.abc import Callable, Sequence

import anywidget
import ipywidgets as widgets
import numpy as np
import soundfile
import torch
import traitlets
from IPython.display import HTML, Audio, display
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from avsep_lib import plots, spectra, staging
from avsep_lib.duets import Separation
from avsep_lib.separators import BaseSeparator
from avsep_lib.settings import StudyError
from avsep_lib.sound_maps import ask_places
from avsep_lib.staging import PEAK, WEB
from avsep_lib.store import VideoStore
from avsep_lib.watching import Watched, look

_LONGEST_FILM_S = 60  # of a longer video, the stage shows a still picture
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


class Stage(anywidget.AnyWidget):
    """The widget that :func:`stage` makes.

    Attributes
    ----------
    heard : str
        ``everybody``, ``place``, or the number of a player, from 1.
    gains : list of float
        Of each player, from 0 to 1.
    place : tuple of float
        The place that was asked last, as shares of the picture's width and height. To set it, here or by a click, asks
        the separator.
    place_sound : bytes
        Its answer, a WAV file.
    problem : str
        Why there is none.
    """

    _esm = WEB / "stage.js"
    _css = WEB / "stage.css"

    scene = traitlets.Dict().tag(sync=True)
    players = traitlets.List().tag(sync=True)
    tracks = traitlets.List().tag(sync=True)
    picture = traitlets.Bytes().tag(sync=True)
    film = traitlets.Bytes().tag(sync=True)
    heard = traitlets.Unicode("everybody").tag(sync=True)
    gains = traitlets.List(traitlets.CFloat()).tag(sync=True)
    can_ask = traitlets.Bool().tag(sync=True)
    place = traitlets.Tuple(traitlets.Float(), traitlets.Float(), default_value=None, allow_none=True).tag(sync=True)
    place_sound = traitlets.Bytes().tag(sync=True)
    problem = traitlets.Unicode().tag(sync=True)
    answered = traitlets.Int().tag(sync=True)

    def __init__(self, answer: Callable[[float, float], bytes] | None, **values: object):
        super().__init__(can_ask=answer is not None, **values)
        self._answer = answer
        self.observe(self._answer_place, "place")

    def _answer_place(self, change: dict) -> None:
        """Ask the separator for a place, whether it was set here or by a click."""
        if self._answer is None or self.place is None:
            return
        problem, sound = "", b""
        try:
            sound = self._answer(*self.place)
        except Exception as error:  # the reader looks at the widget, not at the log of the kernel
            problem = str(error) or type(error).__name__
        with self.hold_sync():
            self.place_sound, self.problem = sound, problem
            self.answered += 1


def stage(separation: Separation, separator: BaseSeparator | None = None, seen: Watched | None = None) -> Stage:
    """The video and its players: who is heard can be changed while the sound goes on.

    A fader and a solo button for each player, a switch between them, and the picture, in which every place can be
    clicked and heard.

    Parameters
    ----------
    separation : Separation
    separator : BaseSeparator, optional
        It is asked for places that are clicked. Without it, a place is given to the player whose sound it has.
    seen : Watched, optional
        What ``look`` saw in the video; by default it looks when a place is asked first.

    Returns
    -------
    Stage
        Works without a browser too: ``widget.place = (0.2, 0.5)`` fills ``widget.place_sound``.
    """
    players, gain = staging.cast(separation)
    scene = staging.scene(separation)

    @functools.cache
    def watched() -> Watched:
        return look(separator, separation.path) if seen is None else seen

    def answer(x: float, y: float) -> bytes:
        sound = ask_places(separator, separation.path, [(x, y)], watched())[0]
        out = io.BytesIO()
        soundfile.write(out, np.clip(sound * gain, -1, 1), separator.sample_rate_hz, "PCM_16", format="WAV")
        return out.getvalue()

    return Stage(
        answer if separator is not None else None,
        scene=scene,
        players=players,
        tracks=[staging.compressed(track, gain) for track in separation.tracks],
        picture=staging.picture(separation),
        film=staging.film(separation) if scene["seconds"] <= _LONGEST_FILM_S else b"",
        gains=[1.0] * len(players),
    )


def source(*functions: Callable) -> HTML:
    """The source of functions of the library, to be read where they are used; never a copy."""
    parts = [textwrap.dedent(inspect.getsource(function)).rstrip() for function in functions]
    # Colours and font stand in the text itself, so that it looks the same in a notebook and in a page.
    return HTML(highlight("\n\n".join(parts), PythonLexer(), HtmlFormatter(noclasses=True, prestyles=_CODE)))


def _player(sound: np.ndarray, sample_rate_hz: int) -> str:
    """An audio element that holds its samples."""
    return Audio(np.clip(sound, -1, 1), rate=sample_rate_hz, normalize=False)._repr_html_().strip()
