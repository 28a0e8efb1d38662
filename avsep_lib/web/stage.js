// The stage: a video and its players, who can be heard alone, together or in between, while the sound goes on.
//
// One file, two homes: `render` is what anywidget calls in a notebook, where the kernel answers for a place; a report
// calls `stage` itself, and a place there belongs to one of the players. No network, no dependencies.

const RAMP_S = 0.02; // in which a gain reaches what it was set to
const SHORT_S = 180; // up to here sounds are decoded whole, and run in step to the sample
const APART_S = 0.05; // media elements further apart than this are brought together
const FILM_APART_S = 0.15;
const LATE_S = 120; // after which a kernel is said not to answer
const EVERYBODY = "everybody";
const PLACE = "place";
let stages = 0;

/** Bytes out of what a notebook (views of memory) or a report (base64) gives. */
function bytes(source) {
  if (source.base64 !== undefined) return Uint8Array.from(atob(source.base64), (letter) => letter.charCodeAt(0));
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
}

/** An address of a source, be it bytes or already an address; `revoke` gives the memory back. */
function address(source, type) {
  if (source.href !== undefined) return { href: source.href, revoke() {} };
  const href = URL.createObjectURL(new Blob([bytes(source)], { type }));
  return { href, revoke: () => URL.revokeObjectURL(href) };
}

function clock(seconds) {
  const whole = Math.floor(seconds + 1e-6);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** An element with attributes and children. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Sounds decoded whole, all on the clock of one audio context. */
function decodedSounds(context) {
  const analyser = new AnalyserNode(context, { fftSize: 4096, smoothingTimeConstant: 0 });
  analyser.connect(context.destination);
  const sounds = new Map(); // key -> { buffer, gain, source, level }
  let offset = 0;
  let since = null; // the context's time at `offset`, while it plays

  function begin(sound, when, from) {
    end(sound); // whoever drags the seek bar begins anew before the last beginning
    if (from >= sound.buffer.duration) return;
    sound.source = new AudioBufferSourceNode(context, { buffer: sound.buffer });
    sound.source.connect(sound.gain);
    sound.source.start(when, from);
  }
  function end(sound) {
    sound.source?.stop();
    sound.source?.disconnect();
    sound.source = null;
  }
  const time = () => (since === null ? offset : offset + Math.max(0, context.currentTime - since));
  return {
    analyser,
    time,
    times: () => [...sounds.keys()].map(time), // on one clock
    async put(key, source) {
      const buffer = await context.decodeAudioData(bytes(source).slice().buffer);
      const old = sounds.get(key);
      if (old) end(old);
      const sound = old ?? { gain: new GainNode(context, { gain: 0 }), level: 0 };
      if (!old) sound.gain.connect(analyser);
      sound.buffer = buffer;
      sounds.set(key, sound);
      if (since !== null) begin(sound, context.currentTime, time());
    },
    async start(from) {
      await context.resume();
      offset = from;
      since = context.currentTime + 0.01;
      for (const sound of sounds.values()) begin(sound, since, from);
    },
    stop() {
      offset = time();
      since = null;
      for (const sound of sounds.values()) end(sound);
    },
    level(key, value) {
      const sound = sounds.get(key);
      if (!sound) return;
      sound.level = value;
      const now = context.currentTime;
      sound.gain.gain.cancelScheduledValues(now);
      sound.gain.gain.setTargetAtTime(value, now, RAMP_S / 3);
      sound.gain.gain.setValueAtTime(value, now + 3 * RAMP_S);
    },
    levels: () => Object.fromEntries([...sounds].map(([key, sound]) => [key, sound.gain.gain.value])),
    close() {
      for (const sound of sounds.values()) end(sound);
      context.close();
    },
  };
}

/** Sounds too long to be decoded whole: media elements, kept together. */
function streamedSounds() {
  const sounds = new Map(); // key -> { element, revoke, level }
  let leader = null;
  let checked = 0;

  function ramp(sound) {
    const step = Math.sign(sound.level - sound.element.volume) * 0.2;
    if (Math.abs(sound.level - sound.element.volume) <= 0.2) sound.element.volume = sound.level;
    else {
      sound.element.volume += step;
      setTimeout(() => ramp(sound), (RAMP_S / 5) * 1000);
    }
  }
  return {
    analyser: null,
    time: () => leader?.element.currentTime ?? 0,
    times: () => [...sounds.values()].map(({ element }) => element.currentTime),
    async put(key, source) {
      const old = sounds.get(key);
      const isWav = source.byteLength > 0 && bytes(source)[0] === "R".charCodeAt(0); // a place's sound is; "RIFF"
      const { href, revoke } = address(source, isWav ? "audio/wav" : "audio/mp4");
      const element = new Audio(href);
      element.preload = "auto";
      await new Promise((done, failed) => {
        element.addEventListener("canplay", done, { once: true });
        element.addEventListener("error", () => failed(new Error(element.error.message)), { once: true });
      });
      element.volume = 0;
      old?.element.pause();
      old?.revoke();
      const sound = { element, revoke, level: 0 };
      sounds.set(key, sound);
      leader ??= sound;
      if (leader !== sound) {
        element.currentTime = leader.element.currentTime;
        if (!leader.element.paused) await element.play();
      }
    },
    async start(from) {
      const elements = [...sounds.values()].map(({ element }) => element);
      await Promise.all(
        elements.map((element) => {
          if (element.currentTime === from) return null;
          element.currentTime = from;
          return new Promise((done) => element.addEventListener("seeked", done, { once: true }));
        }),
      );
      await Promise.all(elements.map((element) => element.play()));
    },
    stop: () => sounds.forEach(({ element }) => element.pause()),
    ended: () => leader.element.ended,
    keepTogether() {
      if (performance.now() < checked + 1000) return; // a correction is heard, so they are rare
      checked = performance.now();
      for (const { element } of sounds.values()) {
        const apart = Math.abs(element.currentTime - leader.element.currentTime);
        if (apart > APART_S && !element.ended) element.currentTime = leader.element.currentTime;
      }
    },
    level(key, value) {
      const sound = sounds.get(key);
      if (sound) {
        sound.level = value;
        ramp(sound);
      }
    },
    levels: () => Object.fromEntries([...sounds].map(([key, sound]) => [key, sound.element.volume])),
    close: () => sounds.forEach(({ element, revoke }) => (element.pause(), revoke())),
  };
}

/**
 * Build a stage into an element.
 *
 * data.players: [{name, colour, confidence | null, part: [x0, y0, x1, y1], peaks: [0..1], track}], shares of the picture;
 * data.picture (JPEG), data.film (H.264, or null); each track, picture and film is bytes, {base64} or {href};
 * data.seconds, data.size: [width, height], data.owners: {rows, columns, of: [number of the player, from 1]} or null.
 * hooks.ask(x, y) -> Promise of a sound; without it, the player who owns the place is heard. hooks.heard(key),
 * hooks.fader(number, value) are told. Keys: "everybody", "place", or the number of a player, from 1.
 */
export function stage(root, data, hooks = {}) {
  const id = `avs-${++stages}`;
  const released = [];
  const keys = data.players.map((_, n) => String(n + 1));
  const faders = Object.fromEntries(keys.map((key) => [key, 1]));
  const now = { heard: EVERYBODY, at: 0, playing: false, starting: false, place: null, asking: 0, turn: 0, problem: "" };
  let sounds = null;
  let loading = null;
  let drawing = 0;

  // Picture
  const film = data.film ? make("video", { playsinline: "", preload: "auto", tabindex: "-1" }) : null;
  const still = make("img", { alt: "", draggable: "false" });
  const kept = (source, type) => {
    const { href, revoke } = address(source, type);
    released.push(revoke);
    return href;
  };
  still.src = kept(data.picture, "image/jpeg");
  if (film) {
    film.muted = true;
    film.poster = still.src;
    film.src = kept(data.film, "video/mp4");
  }
  const shades = data.players.map(({ part, colour, name }, n) => {
    const [x0, y0, x1, y1] = part.map((share) => 100 * share);
    const tag = make("span", { class: "avs-tag" }, `${n + 1} ${name}`);
    const shade = make("div", { class: "avs-shade", "aria-hidden": "true" }, tag);
    shade.style.cssText = `left:${x0}%;top:${y0}%;width:${x1 - x0}%;height:${y1 - y0}%`;
    shade.style.setProperty("--own", colour);
    shade.hidden = x0 === x1; // what is left of the sound has no place
    return shade;
  });
  const spot = make("div", { class: "avs-spot", "aria-hidden": "true" });
  const mark = make("div", { class: "avs-mark", "aria-hidden": "true" });
  const picture = make(
    "div",
    { class: "avs-picture", role: "application", tabindex: "0", "aria-describedby": `${id}-note` },
    film ?? still, ...shades, spot, mark,
  );
  picture.setAttribute("aria-label", "The picture. Arrow keys move the mark, Enter plays what sounds there.");
  picture.style.aspectRatio = `${data.size[0]} / ${data.size[1]}`;
  picture.style.setProperty("--ratio", data.size[0] / data.size[1]);

  // Time
  const button = make("button", { class: "avs-play", type: "button", "aria-label": "play" });
  const seeker = make("input", { class: "avs-seek", type: "range", min: 0, max: data.seconds, step: 0.01, value: 0 });
  seeker.setAttribute("aria-label", "time");
  const shown = make("span", { class: "avs-time" });
  const transport = make("div", { class: "avs-transport" }, button, seeker, shown);

  // Who is heard
  const choices = new Map();
  const choose = make("div", { class: "avs-switch", role: "radiogroup", "aria-label": "who is heard" });
  function addChoice(key, text, colour) {
    const radio = make("input", { type: "radio", name: id, value: key });
    const label = make("label", {}, radio, make("span", {}, text));
    if (colour) label.style.setProperty("--own", colour);
    radio.addEventListener("change", () => api.listen(key));
    choices.set(key, radio);
    choose.append(label);
  }
  addChoice(EVERYBODY, "everybody");
  data.players.forEach(({ name, colour }, n) => addChoice(keys[n], `${n + 1} ${name}`, colour));

  // Players
  const rows = data.players.map((player, n) => {
    const key = keys[n];
    const fader = make("input", { class: "avs-fader", type: "range", min: 0, max: 1, step: 0.01, value: 1 });
    fader.setAttribute("aria-label", `volume of ${n + 1} ${player.name}`);
    fader.addEventListener("input", () => api.fade(key, Number(fader.value)));
    const solo = make("button", { class: "avs-solo", type: "button", "aria-pressed": "false" }, "solo");
    solo.setAttribute("aria-label", `solo ${n + 1} ${player.name}`);
    solo.addEventListener("click", () => api.listen(now.heard === key ? EVERYBODY : key));
    const sure = player.confidence === null ? "" : `${Math.round(100 * player.confidence)}% sure`;
    const name = make(
      "div", { class: "avs-name" },
      make("b", {}, `${n + 1} ${player.name}`), make("small", {}, sure),
    );
    const wave = make("div", { class: "avs-wave", "aria-hidden": "true" });
    wave.innerHTML = waveform(player.peaks ?? []).repeat(2);
    wave.addEventListener("pointerdown", (event) => {
      const { left, width } = wave.getBoundingClientRect();
      api.seek(((event.clientX - left) / width) * data.seconds);
    });
    const row = make("div", { class: "avs-row", role: "group" }, name, wave, fader, solo);
    row.setAttribute("aria-label", `${n + 1} ${player.name}`);
    row.style.setProperty("--own", player.colour);
    return { row, fader, solo };
  });
  const note = make("p", { class: "avs-note", id: `${id}-note`, role: "status", "aria-live": "polite" });
  const players = make("div", { class: "avs-players" }, ...rows.map(({ row }) => row));
  const controls = make("div", { class: "avs-controls" }, transport, choose, players, note);
  const frame = make("div", { class: "avs-frame" }, picture, controls);
  // In JupyterLab the keys of the stage are its own, not the notebook's.
  const whole = make("div", { class: "avsep-stage", role: "group", "data-lm-suppress-shortcuts": "true" }, frame);
  whole.setAttribute("aria-label", data.title ? `players of ${data.title}` : "players");
  root.append(whole);

  const level = (key) => {
    if (key === PLACE) return now.heard === PLACE ? 1 : 0;
    return now.heard === EVERYBODY || now.heard === key ? faders[key] : 0;
  };

  function say(text, isProblem = false) {
    now.problem = isProblem ? text : "";
    note.textContent = text || hint();
    note.classList.toggle("avs-problem", isProblem);
  }
  function hint() {
    if (now.heard === PLACE) return "You hear what this place of the picture asks for.";
    return hooks.ask ? "Click a place in the picture to hear it." : "Click a player in the picture to hear them alone.";
  }

  /** Decode what is to be heard, once; the first gesture calls it. */
  function load() {
    loading ??= (async () => {
      sounds = data.seconds <= SHORT_S ? decodedSounds(new AudioContext()) : streamedSounds();
      await Promise.all(
        data.players.map(async ({ name, track }, n) => {
          try {
            await sounds.put(keys[n], track);
          } catch (error) {
            throw new Error(`the track of ${n + 1} ${name} cannot be played: ${error.message}`);
          }
        }),
      );
      keys.forEach((key) => sounds.level(key, level(key)));
    })();
    return loading;
  }

  function time() {
    const at = now.playing && sounds ? sounds.time() : now.at;
    return Math.min(at, data.seconds);
  }

  /** Bring what is seen up to what is. */
  function draw() {
    const at = time();
    frame.style.setProperty("--at", data.seconds ? at / data.seconds : 0);
    seeker.value = at;
    seeker.style.setProperty("--filled", data.seconds ? at / data.seconds : 0);
    shown.textContent = `${clock(at)} / ${clock(data.seconds)}`;
    seeker.setAttribute("aria-valuetext", `${clock(at)} of ${clock(data.seconds)}`);
    button.setAttribute("aria-label", now.playing ? "pause" : "play");
    whole.classList.toggle("avs-playing", now.playing);
    whole.classList.toggle("avs-asking", now.asking > 0);
    whole.classList.toggle("avs-placed", now.heard === PLACE);
    for (const [key, radio] of choices) radio.checked = key === now.heard;
    rows.forEach(({ row, fader, solo }, n) => {
      const heard = level(keys[n]);
      fader.value = faders[keys[n]];
      fader.style.setProperty("--filled", faders[keys[n]]);
      solo.setAttribute("aria-pressed", String(now.heard === keys[n]));
      row.classList.toggle("avs-silent", heard === 0);
      shades[n].classList.toggle("avs-solo-part", now.heard === keys[n]);
      shades[n].style.setProperty("--dark", now.heard === PLACE ? 0 : 1 - heard);
    });
    mark.hidden = now.place === null;
    if (now.place) {
      for (const element of [mark, spot]) {
        element.style.setProperty("--x", `${100 * now.place[0]}%`);
        element.style.setProperty("--y", `${100 * now.place[1]}%`);
      }
    }
    if (film) {
      const apart = Math.abs(film.currentTime - at);
      if (apart > (now.playing ? FILM_APART_S : 0.02) && !film.seeking) film.currentTime = at;
      if (now.playing && film.paused) film.play().catch(() => {});
      if (!now.playing && !film.paused) film.pause();
    }
  }

  function follow() {
    if (!now.playing) return;
    if (sounds.ended?.() || sounds.time() >= data.seconds - 0.005) {
      api.pause();
      api.seek(0);
    } else {
      sounds.keepTogether?.();
      draw();
      drawing = requestAnimationFrame(follow);
    }
  }

  const api = {
    element: whole,
    analyser: () => sounds?.analyser ?? null,
    times: () => sounds?.times() ?? [],
    /** Who is heard, where it is, what each sounds at: for tests, and for whoever builds on it. */
    state: () => ({
      heard: now.heard, playing: now.playing, time: time(), seconds: data.seconds, place: now.place,
      faders: { ...faders }, levels: sounds?.levels() ?? {}, asking: now.asking > 0, problem: now.problem,
      exact: data.seconds <= SHORT_S,
    }),
    async play() {
      if (now.playing || now.starting) return;
      try {
        now.starting = true;
        whole.classList.add("avs-loading");
        await load();
        await sounds.start(now.at);
        now.playing = true;
        follow();
      } catch (error) {
        say(error.message, true);
      } finally {
        now.starting = false;
        whole.classList.remove("avs-loading");
        draw();
      }
    },
    pause() {
      if (!now.playing) return;
      now.at = time();
      now.playing = false;
      cancelAnimationFrame(drawing);
      sounds.stop();
      draw();
    },
    async seek(seconds) {
      now.at = Math.max(0, Math.min(seconds, data.seconds - 0.001));
      if (now.playing) {
        sounds.stop();
        await sounds.start(now.at);
        if (!now.playing) sounds.stop(); // paused meanwhile
      }
      draw();
    },
    /** Choose who is heard, while the sound goes on. */
    listen(key) {
      if (!choices.has(key)) return;
      now.heard = key;
      if (key !== PLACE) {
        now.place = null;
        now.turn += 1; // an answer that is still to come is no longer wanted
      }
      for (const each of [...keys, PLACE]) sounds?.level(each, level(each));
      hooks.heard?.(key);
      say("");
      draw();
    },
    fade(key, value) {
      faders[key] = value;
      sounds?.level(key, level(key));
      hooks.fader?.(Number(key), value);
      draw();
    },
    /** Hear a place of the picture, given as shares of its width and height. */
    async ask(x, y) {
      if (!hooks.ask) {
        if (!data.owners) return;
        const { rows: high, columns: wide, of } = data.owners;
        const cell = Math.min(Math.floor(y * high), high - 1) * wide + Math.min(Math.floor(x * wide), wide - 1);
        api.listen(String(of[cell]));
        now.place = [x, y];
        await api.play();
        return;
      }
      const turn = ++now.turn;
      now.place = [x, y];
      now.asking += 1;
      say("Asking this place …");
      draw();
      try {
        const [sound] = await Promise.all([hooks.ask(x, y), load()]);
        if (turn !== now.turn) return; // another place was asked meanwhile
        await sounds.put(PLACE, sound);
        if (!choices.has(PLACE)) addChoice(PLACE, "this place");
        api.listen(PLACE);
        await api.play();
      } catch (error) {
        if (turn === now.turn) say(`This place cannot be heard: ${error.message}`, true);
      } finally {
        now.asking -= 1;
        draw();
      }
    },
    close() {
      api.pause();
      sounds?.close();
      released.forEach((revoke) => revoke());
      whole.remove();
    },
  };

  button.addEventListener("click", () => (now.playing ? api.pause() : api.play()));
  seeker.addEventListener("input", () => api.seek(Number(seeker.value)));
  picture.addEventListener("click", (event) => {
    const { left, top, width, height } = picture.getBoundingClientRect();
    api.ask((event.clientX - left) / width, (event.clientY - top) / height);
  });
  picture.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const [x, y] = now.place ?? [0.5, 0.5];
    if (event.key === "Enter") api.ask(x, y);
    else if (event.key === " ") button.click();
    else if (moves[event.key]) {
      const [dx, dy] = moves[event.key];
      now.place = [x + 0.05 * dx, y + 0.05 * dy].map((share) => Math.max(0.01, Math.min(share, 0.99)));
      draw();
    } else return;
    event.preventDefault();
  });
  say("");
  draw();
  whole.stage = api;
  return api;
}

/** Peaks (0..1) as a filled curve around its middle. */
function waveform(peaks) {
  const above = peaks.map((peak, n) => `${n},${50 - 48 * Math.max(peak, 0.015)}`);
  const below = peaks.map((peak, n) => `${n},${50 + 48 * Math.max(peak, 0.015)}`).reverse();
  const width = Math.max(peaks.length - 1, 1);
  return `<svg viewBox="0 0 ${width} 100" preserveAspectRatio="none"><polygon points="${[...above, ...below].join(" ")}"/></svg>`;
}

/** The stage in a notebook: the kernel answers for a place. */
function render({ model, el }) {
  let answered = null; // of the place that was asked last
  const tracks = model.get("tracks");
  const film = model.get("film");
  const data = {
    ...model.get("scene"),
    players: model.get("players").map((player, n) => ({ ...player, track: tracks[n] })),
    picture: model.get("picture"),
    film: film?.byteLength ? film : null,
  };
  const ask = (x, y) =>
    new Promise((done, failed) => {
      const late = setTimeout(() => failed(new Error("the kernel does not answer; is it still running?")), LATE_S * 1000);
      answered = () => {
        clearTimeout(late);
        if (model.get("problem")) failed(new Error(model.get("problem")));
        else done(model.get("place_sound"));
      };
      const same = String(model.get("place")) === String([x, y]);
      model.set("place", [same ? x + 1e-6 : x, y]); // only what changes is told, and the same place may be asked again
      model.save_changes();
    });
  const told = (name, value) => (model.set(name, value), model.save_changes());
  const hooks = {
    heard: (key) => told("heard", key),
    fader: (number, value) => told("gains", model.get("gains").map((gain, n) => (n + 1 === number ? value : gain))),
    ask: model.get("can_ask") ? ask : undefined,
  };
  const api = stage(el, data, hooks);
  const onAnswer = () => answered?.();
  const onHeard = () => model.get("heard") !== api.state().heard && api.listen(model.get("heard"));
  const onGains = () =>
    model.get("gains").forEach((gain, n) => {
      if (gain !== api.state().faders[n + 1]) api.fade(String(n + 1), gain);
    });
  model.on("change:answered", onAnswer);
  model.on("change:heard", onHeard);
  model.on("change:gains", onGains);
  onHeard();
  onGains();
  return () => {
    model.off("change:answered", onAnswer);
    model.off("change:heard", onHeard);
    model.off("change:gains", onGains);
    api.close();
  };
}

export default { render };
