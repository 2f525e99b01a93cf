// The curves of a run as a Plotly figure: raw points faint, smoothed line strong, validation as
// markers, and the lines that give a loss its meaning.
(function () {
  "use strict";
  const { say, whole, fixed, separators, colour } = window.bertDemo;
  const NARROW = 600, FEWEST = 5, NEAR = 1.1;
  const NEAR_LINES = 0.2;  // of a plot's height, which is half of the words' beside a line

  // Exponential mean without the bias of its beginning. Its span grows along the curve, so that a
  // point once drawn stays where it is.
  function smooth(values) {
    const result = new Array(values.length);
    let sum = 0, weight = 0;
    for (let i = 0; i < values.length; i++) {
      const span = Math.min(60, Math.max(2, i / 10)), keep = 1 - 2 / (span + 1);
      sum = keep * sum + (1 - keep) * values[i];
      weight = keep * weight + (1 - keep);
      result[i] = sum / weight;
    }
    return result;
  }

  // As many points as can be seen: the raw line keeps the lowest and highest of each stretch.
  function thin(x, raw, smoothed, stretches) {
    const n = x.length;
    if (n <= 2 * stretches) return { rawX: x.slice(), raw: raw.slice(), x: x.slice(), smoothed };
    const out = { rawX: [], raw: [], x: [], smoothed: [] };
    for (let s = 0; s < stretches; s++) {
      const from = Math.floor((s * n) / stretches), to = Math.floor(((s + 1) * n) / stretches);
      let low = from, high = from;
      for (let i = from; i < to; i++) {
        if (raw[i] < raw[low]) low = i;
        if (raw[i] > raw[high]) high = i;
      }
      for (const i of low < high ? [low, high] : [high, low]) {
        out.rawX.push(x[i]);
        out.raw.push(raw[i]);
      }
      out.x.push(x[to - 1]);
      out.smoothed.push(smoothed[to - 1]);
    }
    return out;
  }

  // Scores on held-out text in two groups: during the run on some pairs, at its end on more. Where
  // both were taken at one step, the better one stands for it.
  function scored(validations) {
    const sizes = validations.map((v) => v.n), most = Math.max(...sizes);
    const all = most > sizes[0] ? validations.filter((v) => v.n === most) : [];
    const steps = new Set(all.map((v) => v.step));
    const some = validations.filter((v) => !steps.has(v.step));
    return [
      { events: some, whole: false, pairs: some.length && say("held out, {n} pairs", { n: whole(some[0].n) }) },
      { events: all, whole: true, pairs: all.length && say("at the end, {n} pairs", { n: whole(most) }) },
    ].filter(({ events }) => events.length);
  }

  // Recorded runs of these settings as if of this one's length: of a length between two of theirs
  // what lies between; none where this one is much shorter or longer than all of them.
  function reference(data) {
    const last = (name) => (data.columns[name] || []).slice(-1)[0], { start, end, references } = data;
    if (!start || !references || !references.length || last("step") < FEWEST) return null;
    const length = start.steps || (end && end.reason === "completed" ? end.step
      : (last("step") * (last("seconds") + last("seconds_left"))) / last("seconds"));
    const of = ({ steps }) => steps[steps.length - 1], all = references.slice().sort((a, b) => of(a) - of(b));
    const longer = all.find((one) => of(one) >= length) || all[all.length - 1];
    const shorter = all.slice().reverse().find((one) => of(one) <= length) || all[0];
    if (length * NEAR < of(shorter) || length > of(longer) * NEAR) return null;
    const share = longer === shorter ? 0 : Math.log(length / of(shorter)) / Math.log(of(longer) / of(shorter));
    const between = (low, high) => low.map((value, i) => value + share * (high[i] - value));
    return {
      runs: shorter.runs, steps: shorter.steps.map((step) => (step * length) / of(shorter)),
      bands: Object.fromEntries(Object.entries(shorter.bands).map(([name, ends]) =>
        [name, ends.map((values, i) => between(values, longer.bands[name][i]))])),
    };
  }

  // The band between the lowest and the highest of them, as far as this run has come.
  function band({ steps, bands }, name, end) {
    const [low, high] = bands[name] || [[], []], x = steps.filter((at) => at <= end);
    const n = x.length, y = [...low.slice(0, n), ...high.slice(0, n).reverse()];
    return { x: [...x, ...x.slice().reverse()], y };
  }

  function figure(data, task, byTime, run, width) {
    const narrow = width < NARROW, presenting = document.body.classList.contains("bd-present");
    const big = presenting ? 1.5 : 1;
    const clock = byTime ? "seconds" : "step", x = data.columns[clock] || [];
    const end = x.length ? x[x.length - 1] : 1;
    const text = colour("--bd-text"), grid = colour("--bd-grid"), faint = colour("--bd-faint");
    const lines = (data.start && data.start.baselines) || {};
    const logarithm = `ln ${whole(data.start ? data.start.vocab_size : 0)}`;
    const taught = Boolean(data.start && data.start.taught);
    const padded = Boolean(data.start && data.start.padded);
    const ofTraining = lines.unigram_train;  // of which runs of earlier versions knew nothing
    const values = { n: ofTraining === undefined ? "" : fixed(ofTraining, 2) };
    // Each line's words for a wide figure and for a narrow one, or none; dots for held-out text.
    const plots = task === "nli"
      ? [
        { name: "loss", title: taught ? say("Loss against the teacher; held out: against labels") : say("Loss"), colour: "--series-1",
          lines: [[lines.uniform, say("guessing<br>ln 3 ="), say("guessing<br>ln 3 =")]] },
        { name: "accuracy", title: taught ? say("Accuracy; on new pairs: agreement with the teacher") : say("Accuracy"), colour: "--series-3", share: true,
          lines: [[lines.chance, say("chance<br>="), say("chance<br>=")]] },
      ]
      : [
        { name: "mlm_loss", title: padded ? say("Loss with padding; held out without") : say("Masked words: loss"), colour: "--series-1",
          lines: [[lines.uniform, say("every word alike<br>{ln} =", { ln: logarithm }), `${logarithm}<br>=`],
            ofTraining === undefined
              ? [lines.unigram, say("word frequency,<br>held out ="), say("frequency,<br>held out ="), "dot"]
              : [lines.unigram, say("word frequency,<br>training {n}<br>held out =", values),
                say("frequency,<br>training {n}<br>held out =", values), "dot"],
            [ofTraining]] },
        { name: "nsp_loss", title: say("Next sentence: loss"), colour: "--series-2",
          lines: [[lines.coin, say("tossing a coin<br>ln 2 ="), say("a coin<br>ln 2 =")]] },
      ];
    const held = scored(data.validations), normal = byTime ? null : reference(data);
    const traces = [], annotations = [], shapes = [];
    plots.forEach((plot, i) => {
      const axis = i ? "y2" : "y", hue = colour(plot.colour), format = plot.share ? ".1%" : ".3f";
      const raw = data.columns[plot.name] || [];
      const thinned = thin(x, raw, smooth(raw), narrow ? 250 : 600);
      const shared = { type: "scatter", xaxis: "x", yaxis: axis, legendgroup: String(i) };
      if (normal) {
        traces.push({ ...shared, name: "normal", ...band(normal, plot.name, end), mode: "lines", fill: "toself",
          line: { color: hue, width: 0 }, fillcolor: `${hue}26`, hoverinfo: "skip", showlegend: false });
      }
      traces.push(
        { ...shared, name: say("each step"), x: thinned.rawX, y: thinned.raw, mode: "lines",
          line: { color: hue, width: 1 }, opacity: 0.28, hoverinfo: "skip", showlegend: false },
        { ...shared, name: say("smoothed"), x: thinned.x, y: thinned.smoothed, mode: "lines",
          line: { color: hue, width: 2.5 }, showlegend: false,
          hovertemplate: `%{y:${format}}<extra>${say("training, smoothed")}</extra>` },
        ...held.map(({ events, whole: all, pairs }) => ({
          ...shared, name: all ? say("at the end") : say("held out"), x: events.map((v) => v[clock]),
          y: events.map((v) => v[plot.name]), mode: "markers", showlegend: false,
          marker: { color: all ? hue : colour("--bd-paper"), size: all ? 10 : 8,
            symbol: all ? "diamond" : "circle", line: { color: hue, width: 2 } },
          hovertemplate: `%{y:${format}}<extra>${pairs}</extra>` })));
      const seen = [...thinned.raw, ...held.flatMap(({ events }) => events.map((v) => v[plot.name])),
        ...plot.lines.map(([value]) => value)].filter(Number.isFinite);
      // Of few words both lines are so near that the words beside them would meet.
      const near = (lines.uniform - lines.unigram) / (Math.max(...seen) - Math.min(...seen)) < NEAR_LINES;
      for (const [value, long, short, dash] of plot.lines) {
        if (value === undefined || value === null) continue;
        shapes.push({ type: "line", xref: "x domain", yref: axis, x0: 0, x1: 1, y0: value, y1: value,
          layer: "below", line: { color: faint, width: 1, dash: dash || "dash" } });
        // The axis makes room for points, not for lines.
        traces.push({ ...shared, x: [end], y: [value], mode: "markers", hoverinfo: "skip",
          marker: { opacity: 0 }, showlegend: false });
        if (!long) continue;
        const number = plot.share ? `${fixed(value * 100, 0)}%` : fixed(value, 2);
        // In the margin, where no curve can ever cross the words.
        annotations.push({ xref: "x domain", yref: axis, x: 1, xshift: 6, xanchor: "left",
          // The first of several stands on its line, so that the next has room.
          y: value, yanchor: plot.lines.length === 1 ? "middle" : value === lines.uniform ? "bottom" : near ? "top" : "middle",
          align: "left", showarrow: false,
          text: `${narrow ? short : long} ${number}`, font: { size: 11 * big, color: faint } });
      }
      annotations.push({ xref: "paper", yref: `${axis} domain`, x: 0, y: 1.03, xanchor: "left",
        yanchor: "bottom", text: `<b>${plot.title}</b>`, showarrow: false,
        font: { size: 13 * big, color: text } });
    });
    if (data.dropout && data.dropout[clock] <= end) {
      const at = data.dropout[clock];
      shapes.push({ type: "line", xref: "x", yref: "y domain", x0: at, x1: at, y0: 0, y1: 1, layer: "below",
        line: { color: faint, width: 1, dash: "dot" } });
      annotations.push({ xref: "x", yref: "y domain", x: at, y: 1, xanchor: "left", yanchor: "top", xshift: 3, showarrow: false,
        text: say("dropout begins"), hovertext: data.dropout.message, font: { size: 11 * big, color: faint } });
    }
    annotations.push({ xref: "x domain", yref: "y2 domain", y: 0, yanchor: "top", yshift: -20,
      x: 0, xanchor: "left", showarrow: false, font: { size: 11 * big, color: faint },
      text: [byTime ? say("seconds of training") : say("step"), ""].join("   ") + held.map(({ whole: all, pairs }) => `${all ? "◆" : "○"} ${pairs}`).join("   ")
        + (normal ? `${narrow ? "<br>" : "   "}▒ ${say("{n} such runs", { n: normal.runs })}` : ""), align: "left" });
    const y = { gridcolor: grid, zeroline: false, linecolor: grid, automargin: false,
      tickfont: { size: 11 * big }, fixedrange: false };
    const share = plots[1].share ? { tickformat: ".0%" } : {};
    const layout = {
      width: width || undefined, height: presenting ? Math.max(420, window.innerHeight - 420) : narrow && window.innerWidth < 900 ? 330 : 362,
      margin: { l: (narrow ? 40 : 48) * big, r: (narrow ? 98 : 108) * big, t: 26 * big, b: (normal && narrow ? 54 : 40) * big },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: 12 * big, color: text },
      separators, hovermode: "x unified", hoverdistance: -1, uirevision: `${run} ${clock}`, annotations, shapes,
      hoverlabel: { bgcolor: colour("--bd-paper"), bordercolor: grid, font: { color: text } },
      dragmode: window.matchMedia("(pointer: coarse)").matches ? false : "zoom",
      xaxis: { anchor: "y2", gridcolor: grid, zeroline: false, linecolor: grid, rangemode: "tozero", ...(x.length ? {} : { range: [0, 100], autorange: false }),
        hoverformat: byTime ? ".1f" : ",d", tickfont: { size: 11 * big } },
      yaxis: { ...y, domain: [0.56, 1] },
      yaxis2: { ...y, ...share, domain: [0, 0.42] },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: faint, activecolor: text },
    };
    return { traces, layout };
  }

  window.bertDemo.curves = { smooth, figure, reference };
})();
