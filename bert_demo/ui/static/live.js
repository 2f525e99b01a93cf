// One run, watched live: numbers, curves, the film, the result. It asks the page for what is new
// about once a second and draws into the same node, so zoom, hover and scroll stay as they are.
(function () {
  "use strict";
  const { say, make, whole, duration, bytes, remember, onThemeChange } = window.bertDemo;
  const { smooth, figure } = window.bertDemo.curves;
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

  window.bertDemo.live = function (element, props, server, trigger, watch) {
    const parts = build(element.querySelector(".bd-live") || element);
    const film = window.bertDemo.film(parts.film);
    let run = null, data = fresh(), status = null, state = null, timer = null, misses = 0;
    let byTime = false, drawing = false, again = false, asked = 0, drawn = 0;

    function fresh() {
      return { after: 0, start: null, end: null, columns: {}, validations: [] };
    }

    function follow() {
      const next = (props.value && props.value.run) || null;
      showOthers((props.value && props.value.others) || []);
      if (next === run) return;
      run = next;
      data = fresh();
      status = state = null;
      film.reset();
      parts.empty.hidden = run !== null;
      parts.body.hidden = run === null;
      parts.result.hidden = true;
      if (run) { remember(run); schedule(0); }
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
      data.start = answer.start || data.start;
      // A run that goes on after its end has an end again later.
      data.end = answer.end || (answer.steps.step ? null : data.end);
      for (const [name, values] of Object.entries(answer.steps)) {
        const column = (data.columns[name] ??= []);
        for (const value of values) column.push(value);
      }
      data.validations.push(...answer.validations);
      film.add(answer.frames);
      status = answer.status;
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
      parts.title.textContent = status.title;
      const badge = states[status.state] || status.state;
      if (parts.badge.textContent !== badge) parts.badge.textContent = badge;
      parts.badge.dataset.state = status.state;
      note(words(), status.state === "failed");
      const nli = status.task === "nli";
      const left = BUSY.includes(status.state) ? last("seconds_left") : null;
      const spent = last("seconds");
      const share = left === null || spent === null ? (data.end ? 1 : 0) : spent / (spent + left);
      parts.progress.style.width = `${Math.min(100, share * 100)}%`;
      const steps = start && start.steps ? say(" of {n}", { n: whole(start.steps) }) : "";
      const validation = data.validations[data.validations.length - 1];
      const held = (name) => (validation && validation[name] !== undefined
        ? say("held out {n}", { n: validation[name].toFixed(2) }) : "");
      set("step", step === null ? null : whole(step), steps);
      if (nli) {
        set("first", smoothLast("loss"), held("loss"),
          start && start.taught ? say("Loss against the teacher") : say("Loss"));
        const accuracy = smoothLast("accuracy", 100);
        const share = validation && `${(validation.accuracy * 100).toFixed(1)}%`;
        const heldOut = validation ? say("held out {n}", { n: share }) : "";
        set("second", accuracy === null ? null : accuracy + "%", heldOut, say("Accuracy"));
      } else {
        set("first", smoothLast("mlm_loss"), held("mlm_loss"), say("Masked words, loss"));
        set("second", smoothLast("nsp_loss"), held("nsp_loss"), say("Next sentence, loss"));
      }
      const speed = last("examples_per_second");
      set("speed", speed === null ? null : whole(speed), say(" a second"));
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

    function words() {
      return status.message || say("Getting ready.");
    }

    function set(name, value, unit, label) {
      const tile = parts.tiles[name];
      if (label) tile.label.textContent = label;
      tile.value.textContent = value === null ? "–" : value;
      tile.unit.textContent = value === null ? "" : unit || "";
    }

    function smoothLast(name, scale) {
      const column = data.columns[name];
      if (!column || !column.length) return null;
      const value = smooth(column)[column.length - 1];
      return scale ? (value * scale).toFixed(1) : value.toFixed(3);
    }

    function result(test) {
      parts.result.hidden = false;
      parts.resultText.textContent = say(
        "On {n} test pairs that it never saw, {share}% of its verdicts are right; a third would be chance.",
        { n: whole(test.n), share: (test.accuracy * 100).toFixed(1) });
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
            const share = Math.round((75 * count) / sum);
            cell.style.background = `color-mix(in srgb, var(--series-1) ${share}%, transparent)`;
            return cell;
          })));
      });
    }

    async function draw() {
      if (drawing) { again = true; return; }
      drawing = true;
      try {
        const plotly = await window.bertDemo.plotly();
        drawn = parts.plot.clientWidth;
        const { traces, layout } = figure(data, status.task, byTime, run, drawn);
        await plotly.react(parts.plot, traces, layout, {
          displaylogo: false, ...plotlyWords,
          // Where nothing hovers it would always be there, over the words above the curves.
          displayModeBar: window.matchMedia("(hover: none)").matches ? false : "hover",
          modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
        });
        parts.plot.setAttribute("aria-label", describe());
      } catch (error) {
        note(say("The curves cannot be drawn in this browser."), true);
      } finally {
        drawing = false;
        if (again) { again = false; draw(); }
      }
    }

    function describe() {
      const name = status.task === "nli" ? "loss" : "mlm_loss", value = smoothLast(name);
      return value === null ? say("Curves of the run, empty so far")
        : say("Curves of the run: at step {n} the loss is {loss}", { n: whole(last("step")), loss: value });
    }

    parts.axis.addEventListener("click", () => {
      byTime = !byTime;
      parts.axis.textContent = byTime ? say("by seconds") : say("by steps");
      if (status) draw();
    });
    onThemeChange(() => status && draw());
    new ResizeObserver(() => {
      const width = parts.plot.clientWidth;
      if (status && width && Math.abs(width - drawn) > 1) draw();
    }).observe(parts.plot);
    document.addEventListener("visibilitychange", () => !document.hidden && run && schedule(0));
    watch("value", follow);
    // Asked for when a button was pressed, whose effect should be seen at once.
    element.addEventListener("bd-now", () => schedule(0));
    follow();
  };

  window.bertDemo.states = states;

  function build(host) {
    const tiles = {};
    const tile = (name, label) => {
      const value = make("span", { class: "bd-value", text: "–" });
      const unit = make("span", { class: "bd-unit" });
      const title = make("span", { class: "bd-label", text: label });
      tiles[name] = { label: title, value, unit };
      return make("div", { class: "bd-tile" }, title, make("div", {}, value, unit));
    };
    const parts = { tiles };
    parts.title = make("h3", { class: "bd-title" });
    parts.badge = make("span", { class: "bd-badge", role: "status" });
    parts.message = make("p", { class: "bd-message" });
    parts.progress = make("div", {});
    parts.plot = make("div", { class: "bd-plot", role: "img" });
    parts.axis = make("button", {
      type: "button", class: "bd-button bd-axis", text: say("by steps"),
      title: say("Draw the curves by steps or by seconds"),
    });
    parts.film = make("div", {});
    parts.resultText = make("p", {});
    parts.confusion = make("table", { class: "bd-confusion" });
    parts.result = make("section", { class: "bd-result", hidden: "" },
      make("h3", { class: "bd-h3", text: say("The test") }), parts.resultText,
      make("div", { class: "bd-scroll" }, parts.confusion));
    parts.body = make("div", { class: "bd-run", hidden: "" },
      make("div", { class: "bd-head" }, parts.title, parts.badge), parts.message,
      make("div", { class: "bd-progress", "aria-hidden": "true" }, parts.progress),
      make("div", { class: "bd-tiles" },
        tile("step", say("Step")), tile("first", say("Loss")), tile("second", say("Loss")),
        tile("speed", say("Pairs")), tile("time", say("Time left")), tile("device", say("Device")),
        tile("memory", say("Memory"))),
      parts.result, make("div", { class: "bd-plot-frame" }, parts.plot, parts.axis), parts.film);
    parts.empty = host.querySelector(".bd-empty") || make("div", { class: "bd-empty" });
    parts.others = parts.empty.querySelector(".bd-others") || make("p", {});
    host.append(parts.empty, parts.body);
    return parts;
  }
})();
