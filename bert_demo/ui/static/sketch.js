// A figure of curves.js as a plain picture: drawn at once, where Plotly is still on its way.
(function () {
  "use strict";
  const { draw, colour, fixed, whole } = window.bertDemo;
  const TICKS = 4;
  const pointed = new WeakMap();  // where a pointer rests on a picture that is drawn anew and anew

  function steps(low, high) {
    const rough = (high - low) / TICKS || 1, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((n) => n * power >= rough);
    const found = [];
    for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(at);
    return found;
  }

  // The values under the pointer or a finger: what Plotly shows there too, once it has come.
  function readings(host, picture, lines, { x, scales, inside, spelt, ink }) {
    const marks = draw("g", {}), of = (line, at) => line.x.reduce((near, value, i) =>
      (Math.abs(value - at) < Math.abs(line.x[near] - at) ? i : near), 0);
    function show() {
      const at = pointed.get(host);
      marks.replaceChildren();
      if (at === undefined || !lines.length || !lines[0].x.length) return;
      const here = x(lines[0].x[of(lines[0], inside(at))]), end = here > host.clientWidth / 2;
      const text = { "text-anchor": end ? "end" : "start", "font-size": 12, "font-weight": 650,
        "paint-order": "stroke", stroke: colour("--bd-paper"), "stroke-width": 4 };
      marks.append(draw("line", { x1: here, x2: here, y1: 0, y2: picture.getAttribute("height"), stroke: ink, opacity: 0.4 }));
      for (const line of lines) {
        const i = of(line, inside(at)), y = scales[line.yaxis](line.y[i]);
        marks.append(draw("circle", { cx: here, cy: y, r: 4, fill: line.line.color }),
          draw("text", { ...text, x: here + (end ? -8 : 8), y: y - 8, fill: ink }, `${spelt(line.yaxis, line.y[i])} (${whole(line.x[i])})`));
      }
    }
    picture.append(marks);
    picture.addEventListener("pointermove", (event) => { pointed.set(host, event.clientX - picture.getBoundingClientRect().left); show(); });
    picture.addEventListener("pointerleave", () => { pointed.delete(host); show(); });
    show();
  }

  window.bertDemo.sketch = function (host, { traces, layout }) {
    const { width, height, margin } = layout;
    const wide = (width || host.clientWidth) - margin.l - margin.r, tall = height - margin.t - margin.b;
    if (wide <= 0) return;
    const picture = draw("svg", { width: wide + margin.l + margin.r, height, class: "bd-sketch" });
    const ends = Math.max(1, ...traces.flatMap((t) => t.x.filter(Number.isFinite)));
    const x = (value) => margin.l + (value / ends) * wide;
    const ink = layout.font.color, grid = layout.xaxis.gridcolor;
    const axes = { y: layout.yaxis, y2: layout.yaxis2 }, scales = {};
    for (const [name, axis] of Object.entries(axes)) {
      const values = traces.filter((t) => t.yaxis === name).flatMap((t) => t.y).filter(Number.isFinite);
      const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
      const room = (high - low || 1) * 0.06, bottom = low - room, top = high + room;
      const from = margin.t + (1 - axis.domain[1]) * tall, size = (axis.domain[1] - axis.domain[0]) * tall;
      scales[name] = (value) => from + (1 - (value - bottom) / (top - bottom)) * size;
      for (const value of steps(bottom, top)) {
        const y = scales[name](value), share = axis.tickformat === ".0%";
        picture.append(draw("line", { x1: margin.l, x2: margin.l + wide, y1: y, y2: y, stroke: grid }),
          draw("text", { x: margin.l - 6, y: y + 4, "text-anchor": "end", "font-size": 11, fill: ink },
            share ? `${Math.round(value * 100)}%` : String(Number(value.toFixed(3)))));
      }
    }
    for (const value of steps(0, ends)) {
      picture.append(draw("text", { x: x(value), y: height - margin.b + 16, "text-anchor": "middle", "font-size": 11, fill: ink }, String(value)));
    }
    for (const shape of layout.shapes) {
      const upright = shape.xref === "x", y = upright ? null : scales[shape.yref](shape.y0), { domain } = axes.y;
      const ends = upright ? { x1: x(shape.x0), x2: x(shape.x0), y1: margin.t, y2: margin.t + (domain[1] - domain[0]) * tall }
        : { x1: margin.l, x2: margin.l + wide, y1: y, y2: y };
      picture.append(draw("line", { ...ends, stroke: shape.line.color, "stroke-dasharray": upright ? "1 3" : "5 4" }));
    }
    for (const trace of traces) {
      const y = scales[trace.yaxis];
      if (trace.mode === "lines") {
        const points = trace.x.map((at, i) => `${x(at).toFixed(1)},${y(trace.y[i]).toFixed(1)}`);
        picture.append(draw("polyline", { points: points.join(" "), fill: trace.fillcolor || "none", stroke: trace.line.color, "stroke-width": trace.line.width, opacity: trace.opacity || 1 }));
      } else if (trace.marker.opacity !== 0) {
        trace.x.forEach((at, i) => picture.append(draw("circle", { cx: x(at), cy: y(trace.y[i]), r: trace.marker.size / 2, fill: trace.marker.color, stroke: trace.marker.line.color, "stroke-width": 2 })));
      }
    }
    for (const note of layout.annotations) {
      const axis = axes[note.yref.split(" ")[0]], inDomain = note.yref.endsWith("domain");
      const top = margin.t + (1 - axis.domain[1]) * tall;
      const at = note.x === 1 ? margin.l + wide + (note.xshift || 0) : note.xref === "paper" || note.x === 0 ? margin.l : x(note.x);
      const lines = note.text.replace(/<\/?b>/g, "").split("<br>");
      const y = inDomain ? top + (note.yanchor === "top" && note.y ? 12 : note.y ? -8 : (axis.domain[1] - axis.domain[0]) * tall + 32) : scales[note.yref](note.y) + 4 - (lines.length - 1) * 7;
      lines.forEach((line, i) => picture.append(draw("text", { x: at, y: y + 14 * i, "text-anchor": note.xanchor === "right" ? "end" : "start", "font-size": note.font.size, "font-weight": note.text.startsWith("<b>") ? 650 : 400, fill: note.font.color }, line)));
    }
    const lines = traces.filter((trace) => trace.mode === "lines" && trace.hovertemplate);
    readings(host, picture, lines, {
      x, scales, ink, inside: (at) => ((at - margin.l) / wide) * ends,
      spelt: (axis, value) => (axes[axis].tickformat === ".0%" ? `${Math.round(value * 100)}%` : fixed(value, 3)),
    });
    host.replaceChildren(picture);
  };
})();
