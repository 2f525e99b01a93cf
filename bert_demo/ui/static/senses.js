// The map of one word's senses: a dot for each text, near to those that the model finds alike.
(function () {
  "use strict";
  const { say, draw } = window.bertDemo;
  const WIDTH = 380, HEIGHT = 172, EDGE = 24;

  // Places in the plane whose distances are nearest to those of vectors with these cosines:
  // classical scaling (Torgerson, 1952), by power iteration.
  function places(cosines) {
    const n = cosines.length;
    const rows = cosines.map((row) => row.reduce((a, b) => a + b, 0) / n);
    const mean = rows.reduce((a, b) => a + b, 0) / n;
    const centred = cosines.map((row, i) => row.map((c, j) => c - rows[i] - rows[j] + mean));
    const axes = [];
    for (let axis = 0; axis < 2; axis++) {
      let vector = Array.from({ length: n }, (_, i) => Math.cos(1 + i * (axis + 1))), value = 0;
      for (let round = 0; round < 60; round++) {
        const next = centred.map((row) => row.reduce((sum, c, j) => sum + c * vector[j], 0));
        for (const other of axes) {
          const along = next.reduce((sum, x, i) => sum + x * other.unit[i], 0);
          next.forEach((_, i) => { next[i] -= along * other.unit[i]; });
        }
        value = Math.hypot(...next);
        if (value < 1e-9) break;
        vector = next.map((x) => x / value);
      }
      axes.push({ unit: vector, size: Math.sqrt(Math.max(0, value)) });
    }
    return vectorPairs(axes, n);
  }

  function vectorPairs([first, second], n) {
    return Array.from({ length: n }, (_, i) => [
      first.unit[i] * first.size, second.unit[i] * second.size]);
  }

  // Turned and mirrored to lie as the map before it did, so that what moves is what was learnt.
  function aligned(points, before) {
    if (!before || before.length !== points.length) return points;
    const fit = (mirror) => {
      let along = 0, across = 0;
      points.forEach(([x, y], i) => {
        const [u, v] = before[i], w = y * mirror;
        along += x * u + w * v;
        across += x * v - w * u;
      });
      return { mirror, gain: Math.hypot(along, across), angle: Math.atan2(across, along) };
    };
    const [plain, turned] = [fit(1), fit(-1)];
    const { mirror, angle } = plain.gain >= turned.gain ? plain : turned;
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    return points.map(([x, y]) => [c * x - s * y * mirror, s * x + c * y * mirror]);
  }

  // The name of a sense stands beside its dots, where it covers least: dots, other names, edges.
  function labels(groups) {
    const dots = groups.flatMap((group) => group.points), placed = [];
    for (const group of groups) {
      const half = 5 + group.name.length * 3.8;
      const xs = group.points.map((p) => p[0]), ys = group.points.map((p) => p[1]);
      const cx = xs.reduce((a, b) => a + b, 0) / xs.length, cy = ys.reduce((a, b) => a + b, 0) / ys.length;
      const spots = [
        [cx, Math.min(...ys) - 11], [cx, Math.max(...ys) + 20],
        [Math.max(...xs) + half + 9, cy + 4], [Math.min(...xs) - half - 9, cy + 4],
      ].map(([x, y]) => [Math.min(WIDTH - half, Math.max(half, x)), Math.min(HEIGHT - 3, Math.max(12, y))]);
      const covers = ([x, y]) =>
        dots.filter((d) => Math.abs(d[0] - x) < half + 4 && Math.abs(d[1] - y + 4) < 12).length
        + 9 * placed.filter((o) => Math.abs(o.x - x) < o.half + half && Math.abs(o.y - y) < 15).length;
      const [x, y] = spots.reduce((best, spot) => (covers(spot) < covers(best) ? spot : best));
      placed.push({ name: group.name, x, y, half });
    }
    return placed;
  }

  window.bertDemo.senses = function (host) {
    const picture = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "bd-map", role: "img" });
    host.append(picture);
    let before = null;

    return {
      show(found) {
        const texts = found.labels, senses = found.senses || texts.map(() => "");
        const points = aligned(places(found.matrix), before);
        before = points;
        const reach = (axis) => Math.max(1e-6, ...points.map((p) => Math.abs(p[axis])));
        const scale = Math.min((WIDTH / 2 - EDGE) / reach(0), (HEIGHT / 2 - EDGE) / reach(1));
        const names = [...new Set(senses)];
        const at = points.map(([x, y]) => [WIDTH / 2 + x * scale, HEIGHT / 2 + 6 - y * scale]);
        if (picture.querySelectorAll("circle").length !== texts.length) {
          picture.replaceChildren(
            ...texts.map(() => draw("circle", { r: 5.5 })), ...names.map(() => draw("text", {})));
        }
        const dots = picture.querySelectorAll("circle"), words = picture.querySelectorAll("text");
        at.forEach(([x, y], i) => {
          dots[i].style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`;
          dots[i].style.fill = `var(--series-${1 + (names.indexOf(senses[i]) % 8)})`;
          if (!dots[i].firstChild) dots[i].append(draw("title", {}, texts[i]));
          dots[i].firstChild.textContent = texts[i];
        });
        const groups = names.map((name) => ({ name, points: at.filter((_, i) => senses[i] === name) }));
        labels(groups).forEach((label, i) => {
          words[i].setAttribute("x", label.x.toFixed(1));
          words[i].setAttribute("y", label.y.toFixed(1));
          words[i].textContent = label.name;
        });
        picture.setAttribute("aria-label", say("Map of {n} texts with “{word}”: the nearer two dots, the more alike the model finds the word in them.", { n: texts.length, word: found.word }));
      },
      reset() { before = null; picture.replaceChildren(); },
    };
  };

  // How much nearer a sense is to itself than to the sense that is nearest to it.
  function apart(found, sense) {
    const of = found.senses.map((name) => name === sense);
    const mean = (i, chosen) => {
      const values = found.matrix[i].filter((_, j) => j !== i && chosen(j));
      return values.reduce((a, b) => a + b, 0) / Math.max(1, values.length);
    };
    const others = [...new Set(found.senses)].filter((name) => name !== sense);
    const members = of.flatMap((is, i) => (is ? [i] : []));
    const over = (chosen) => members.reduce((sum, i) => sum + mean(i, chosen), 0) / members.length;
    return over((j) => of[j]) - Math.max(...others.map((name) => over((j) => found.senses[j] === name)));
  }

  const PARTED = 0.3;

  // The sense that parted from the others first, for good, with its step; null where none did.
  window.bertDemo.partedFirst = function (frames) {
    const told = frames.filter((frame) => frame.similarities);
    if (told.length < 2) return null;
    const first = [...new Set(told[0].similarities.senses)].flatMap((sense) => {
      const since = told.findLastIndex((frame) => apart(frame.similarities, sense) < PARTED) + 1;
      if (since > told.length - 2) return [];
      return [{ sense, step: told[since].step, gap: apart(told[since].similarities, sense) }];
    });
    return first.sort((a, b) => a.step - b.step || b.gap - a.gap)[0] || null;
  };
})();
