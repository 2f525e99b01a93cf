// One run, watched live: numbers, curves, the film, the result. It asks the page for what is new
// about once a second and draws into the same node, so zoom, hover and scroll stay as they are.
(function () {
  "use strict";
  const { say, make, whole, fixed, duration, bytes, remember, note: noteAddress, onThemeChange } = window.bertDemo;
  const { smooth, figure, reference } = window.bertDemo.curves, { sketch } = window.bertDemo;
  const { build, among, explain, question, senses, verdicts } = window.bertDemo.stage;
  const states = {
    queued: say("waiting"), running: say("training"), pausing: say("pausing"),
    stopping: say("stopping"), paused: say("paused"), stopped: say("stopped"),
    completed: say("finished"), failed: say("failed"), interrupted: say("interrupted"),
  };
  const plotlyWords = { locale: "page", locales: { page: { dictionary: {
    "Download plot as a PNG": say("Download plot as a PNG"), "Zoom": say("Zoom"), "Pan": say("Pan"),
    "Reset axes": say("Reset axes"),
  } } } };
  const BUSY = ["queued", "running", "pausing", "stopping"];

  window.bertDemo.live = function (element, props, server, trigger, watch, options) {
    const parts = build(element.querySelector(".bd-live") || element);
    let wanted = Number(new URLSearchParams(window.location.search).get("frame")) || null;
    const film = window.bertDemo.film({
      ...parts, moment: (step) => noteAddress({ frame: step }),
      // The moment that the address names, once.
      wanted: () => { const step = run ? wanted : null; wanted = null; return step; },
      show: (there) => { parts.film.hidden = parts.bar.hidden = parts.more.hidden = !there; },
    });
    const asking = question(parts.question, { label: options.next, go: () => window.bertDemo.open(options.tab, data.model) }, options.task === "nli" ? verdicts() : senses(options.collapsed));
    let run = null, data = fresh(), status = null, state = null, timer = null, misses = 0;
    let byTime = false, drawing = false, again = false, fetching = null, asked = 0, drawn = 0, playing = null;

    function fresh() {
      return { after: 0, start: null, end: null, columns: {}, validations: [] };
    }

    function follow() {
      const next = (props.value && props.value.run) || null;
      showOthers((props.value && props.value.others) || []);
      if (next === run && (run || playing)) return;
      run = next;
      begin();
      if (run) { remember(run); schedule(0); } else play();
    }

    function begin() {
      if (playing) playing.stop();
      playing = null;
      data = fresh();
      status = state = null;
      film.reset();
      asking.reset();
      parts.empty.hidden = run !== null;
      parts.body.hidden = run === null;
      parts.result.hidden = true;
    }

    // Where nobody trains, the run of a model that came along is shown again, in some seconds.
    async function play() {
      const mine = playing = { stop() {} };
      let whole = null;
      try {
        whole = await server.poll({ recorded: options.task });
      } catch (error) { /* the page is shown without it */ }
      if (!whole || whole.error || mine !== playing) return;
      parts.empty.hidden = true;
      parts.body.hidden = false;
      const again = () => {
        data = fresh();
        film.reset();
        playing = window.bertDemo.recorded(whole, take, () => element.offsetParent !== null && !document.hidden);
      };
      parts.again.onclick = again;
      again();
    }

    function showOthers(others) {
      parts.others.replaceChildren(...(others.length ? [say("In training now: ")] : []),
        ...others.flatMap((other, i) => [
          i ? ", " : "",
          make("a", { href: `?run=${encodeURIComponent(other.id)}`, text: other.title }),
        ]));
    }

    function schedule(wait) {
      clearTimeout(timer);
      timer = setTimeout(ask, wait);
    }

    function pace() {
      if (!status) return 500;
      if (BUSY.includes(status.state)) return data.columns.step ? 900 : 300;
      return status.state === "completed" ? null : 4000;
    }

    async function ask() {
      if (!run || !element.isConnected) return;
      if (document.hidden || element.offsetParent === null) return schedule(500);
      const mine = run, number = ++asked;
      try {
        const answer = await server.poll({ run, after: data.after });
        if (mine !== run || number !== asked) return;
        misses = 0;
        if (answer.error) { note(answer.error, true); return; }
        take(answer);
      } catch (error) {
        if (mine !== run) return;
        if (++misses >= 3) note(say("The connection to the page is lost; trying again."), true);
        return schedule(Math.min(10000, 1000 * misses));
      }
      const wait = pace();
      if (wait !== null) schedule(wait);
    }

    function take(answer) {
      if (answer.rewind) { data = fresh(); film.reset(); }
      data.after = answer.after;
      data.model = answer.model;
      data.start = answer.start || data.start;
      data.references = answer.references || data.references;
      // A run that goes on after its end has an end again later.
      data.end = answer.end || (answer.steps.step ? null : data.end);
      for (const [name, values] of Object.entries(answer.steps)) {
        const column = (data.columns[name] ??= []);
        for (const value of values) column.push(value);
      }
      data.validations.push(...answer.validations);
      data.dropout = answer.dropout || data.dropout;
      data.diagnosis = answer.diagnosis;
      film.add(answer.frames);
      status = answer.status;
      asking.update({ ...data, frames: film.frames });
      asking.way(playing || data.columns.step);
      show();
      draw();
      if (status.state !== state) { state = status.state; trigger("state"); }
    }

    function note(text, bad) {
      if (parts.message.textContent !== text) parts.message.textContent = text;
      parts.message.classList.toggle("bd-bad", Boolean(bad));
    }

    function last(name) {
      const column = data.columns[name];
      return column && column.length ? column[column.length - 1] : null;
    }

    function show() {
      const step = last("step"), start = data.start;
      parts.title.textContent = playing ? say("It knew nothing {time} ago. It read {corpus}.", { time: duration(status.seconds), corpus: status.corpus }) : status.title;
      const badge = playing ? say("Recorded") : states[status.state] || status.state;
      if (parts.badge.textContent !== badge) parts.badge.textContent = badge;
      parts.badge.dataset.state = playing ? "recorded" : status.state;
      parts.again.hidden = !playing;
      parts.again.disabled = !data.end;
      parts.body.toggleAttribute("data-recorded", Boolean(playing));
      note(playing ? "" : words(), status.state === "failed");
      diagnose();
      const nli = status.task === "nli";
      const left = data.end && !BUSY.includes(status.state) ? null : last("seconds_left");
      const spent = last("seconds");
      const share = playing ? spent / status.seconds
        : left === null || spent === null ? (data.end ? 1 : 0) : spent / (spent + left);
      parts.progress.style.width = `${Math.min(100, share * 100)}%`;
      const steps = start && start.steps ? say(" of {n}", { n: whole(start.steps) }) : "";
      const validation = data.validations[data.validations.length - 1];
      const held = (name) => (validation && validation[name] !== undefined
        ? say("held out {n}", { n: fixed(validation[name], 2) }) : "");
      const hundred = (name) => { const share = smoothed(name); return share === null ? null : say("{n} of 100", { n: Math.round(share * 100) }); };
      set("step", step === null ? null : whole(step), steps);
      const loss = smoothed(nli ? "loss" : "mlm_loss");
      if (nli) {
        const what = start && start.taught ? say("Loss against the teacher") : say("Loss");
        set("first", loss === null ? null : say("1 in {n} answers", { n: among(loss) }), held("loss"),
          loss === null ? what : start && start.taught ? `${what} ${fixed(loss, 2)}`
            : say("as unsure as among {n} of 3 · loss {loss}", { n: among(loss), loss: fixed(loss, 2) }));
        set("second", hundred("accuracy"), validation ? say("held out {n}", { n: `${fixed((validation.accuracy * 100), 1)}%` }) : "", say("pairs judged right"));
      } else {
        const second = smoothed("nsp_loss");
        const padded = start && start.padded;
        set("first", loss === null ? null : padded ? fixed(loss, 2) : say("1 in {n} words", { n: among(loss) }), held("mlm_loss"),
          padded ? say("loss of masked words and of padding") : loss === null ? say("Masked words, loss") : say("as unsure as among {n} of {all} · loss {loss}", { n: among(loss), all: whole(start ? start.vocab_size : 0), loss: fixed(loss, 2) }));
        set("second", hundred("nsp_accuracy"), held("nsp_loss"),
          second === null ? say("Next sentence, loss") : say("next sentences told apart · loss {loss}", { loss: fixed(second, 2) }));
      }
      if (start) explain(parts.lines, status.task, start, reference(data));
      const speed = last("examples_per_second");
      set("speed", speed === null ? null : whole(speed), "");
      const finished = data.end && !BUSY.includes(status.state);
      set("time", finished ? duration(data.end.seconds) : left === null ? null : duration(left),
        "", finished ? say("Time taken") : say("Time left"));
      const many = start && start.processes > 1 ? `${start.processes} × ` : "";
      set("device", start && start.device ? many + start.device.toUpperCase().split(":")[0] : null,
        start && start.precision ? `, ${start.precision}` : "");
      const memory = (data.end && data.end.peak_memory_bytes) || status.memory;
      set("memory", memory ? bytes(memory) : null, "");
      if (data.end && data.end.scores && data.end.scores.test) result(data.end.scores.test);
      else parts.result.hidden = true;
    }

    // Whether the curve is normal, beside what the run does. What is said already is not said twice:
    // a run that failed has said why, and of one that collapsed the question speaks in the end.
    // While it trains it takes the place of which text it is, so that nothing is pushed out of sight.
    function diagnose() {
      const found = data.diagnosis, told = status.state === "failed" || (found && found.name === "collapsed" && data.end);
      const words = found && !told ? found.words : "";
      if (parts.diagnosis.textContent !== words) parts.diagnosis.textContent = words;
      parts.diagnosis.dataset.state = found ? found.name : "";
      parts.diagnosis.hidden = !words;
      parts.message.hidden = Boolean(words) && status.state === "running";
    }

    function words() {
      return status.message || say("Getting ready.");
    }

    function set(name, value, unit, label) {
      const tile = parts.tiles[name];
      if (label) tile.label.textContent = label;
      tile.value.textContent = value === null ? "–" : value;
      tile.unit.textContent = value === null ? "" : unit || "";
      tile.box.hidden = value === null && !tile.main;
    }

    function smoothed(name) {
      const column = data.columns[name];
      return column && column.length ? smooth(column)[column.length - 1] : null;
    }

    function result(test) {
      parts.result.hidden = false;
      parts.resultText.textContent = say(
        "On {n} test pairs that it never saw, {share}% of its verdicts are right; a third would be chance.",
        { n: whole(test.n), share: fixed((test.accuracy * 100), 1) });
      const names = [say("entailment"), say("neutral"), say("contradiction")];
      const table = parts.confusion;
      table.replaceChildren(make("caption", { text: say("True label (rows) and verdict (columns)") }));
      table.append(make("tr", {}, make("td", {}),
        ...names.map((name) => make("th", { scope: "col", text: name }))));
      test.confusion.forEach((row, i) => {
        const sum = Math.max(1, row.reduce((a, b) => a + b, 0));
        table.append(make("tr", {}, make("th", { scope: "row", text: names[i] }),
          ...row.map((count, j) => {
            const cell = make("td", { text: whole(count), class: i === j ? "bd-right" : "" });
            const share = Math.round((50 * count) / sum);
            cell.style.background = `color-mix(in srgb, var(--series-1) ${share}%, transparent)`;
            return cell;
          })));
      });
    }

    // A plain picture, until Plotly has come.
    function drawPlainly() {
      drawn = parts.plot.clientWidth;
      sketch(parts.plot, figure(data, status.task, byTime, run, drawn));
      fetching ??= window.bertDemo.plotly().then(draw).catch(cannotDraw);
    }

    function cannotDraw() {
      fetching = null;
      note(say("The curves cannot be drawn in this browser."), true);
    }

    async function draw() {
      if (!window.Plotly) return drawPlainly();
      if (drawing) { again = true; return; }
      drawing = true;
      try {
        drawn = parts.plot.clientWidth;
        const plotly = window.Plotly;
        if (parts.plot.querySelector(".bd-sketch")) parts.plot.replaceChildren();
        const { traces, layout } = figure(data, status.task, byTime, run, drawn);
        await plotly.react(parts.plot, traces, layout, {
          displaylogo: false, ...plotlyWords,
          // Where nothing hovers it would always be there, over the words above the curves.
          displayModeBar: window.matchMedia("(hover: none)").matches ? false : "hover",
          modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
        });
        parts.plot.setAttribute("aria-label", describe());
      } catch (error) {
        cannotDraw();
      } finally {
        drawing = false;
        if (again) { again = false; draw(); }
      }
    }

    function describe() {
      const name = status.task === "nli" ? "loss" : "mlm_loss", value = smoothed(name);
      return value === null ? say("Curves of the run, empty so far")
        : say("Curves of the run: at step {n} the loss is {loss}", { n: whole(last("step")), loss: fixed(value, 3) });
    }

    parts.axis.addEventListener("click", () => {
      byTime = !byTime;
      parts.axis.textContent = byTime ? say("Show by steps") : say("Show by seconds");
      if (status) draw();
    });
    onThemeChange(() => status && draw());
    new ResizeObserver(() => {
      const width = parts.plot.clientWidth;
      if (status && width && Math.abs(width - drawn) > 1) draw();
    }).observe(parts.plot);
    // The buttons lie over the corner of the headline, which ends before them.
    const stage = element.closest(".bd-stage"), controls = stage && stage.querySelector(".bd-controls");
    if (controls) new ResizeObserver(() => stage.style.setProperty("--controls", `${controls.offsetWidth}px`)).observe(controls);
    document.addEventListener("visibilitychange", () => !document.hidden && run && schedule(0));
    watch("value", follow);
    // Asked for when a button was pressed, whose effect should be seen at once.
    element.addEventListener("bd-now", () => schedule(0));
    follow();
  };

  window.bertDemo.states = states;
})();
