// The film of a run: what the model filled in and how alike it found one word's senses, frame by
// frame. A slider scrubs through training time; Play runs it; at its end it follows a live run.
(function () {
  "use strict";
  const { say, make, whole, fixed, duration } = window.bertDemo;
  const FILM_SECONDS = 8, IN_SIGHT = 4;

  // `hosts`: where its parts go, as the stage has them: guesses, map, bar and more.
  window.bertDemo.film = function (hosts) {
    let frames = [], shown = -1, following = true, timer = null;

    const slider = make("input", {
      type: "range", min: 0, max: 0, value: 0, step: 1, "aria-label": say("Moment of training"),
    });
    const play = make("button", { type: "button", class: "bd-button bd-film-play", text: say("Play") });
    const when = make("span", { class: "bd-film-when" });
    const blanks = make("div", { class: "bd-blanks" });
    const others = make("div", { class: "bd-blanks" });
    const matrix = make("div", { class: "bd-matrix" });
    const verdict = make("p", { class: "bd-note" });
    const mapTitle = make("h3", { class: "bd-h" });
    const mapHost = make("div", {});
    const map = window.bertDemo.senses(mapHost);
    const unread = make("p", { class: "bd-note" });
    hosts.guesses.append(blanks, unread);
    hosts.map.append(mapTitle, mapHost, verdict);
    hosts.bar.append(play, slider, when);
    hosts.more.append(
      make("summary", { text: say("More guesses, and how alike each text is to each other") }),
      make("div", { class: "bd-film-body" }, others,
        make("section", {}, matrix, make("p", { class: "bd-note",
          text: say("Each row and column is one text; the bluer, the more alike the model finds the word in both, the more orange, the less.") }))));

    slider.addEventListener("input", () => {
      stop();
      following = Number(slider.value) === frames.length - 1;
      show(Number(slider.value));
      hosts.moment(following ? null : frames[shown].step);
    });
    play.addEventListener("click", () => (timer ? stop() : start()));

    function start() {
      let place = shown >= frames.length - 1 ? 0 : shown;
      following = false;
      play.textContent = say("Stop");
      const pause = Math.min(600, Math.max(60, (FILM_SECONDS * 1000) / Math.max(frames.length, 1)));
      timer = setInterval(() => {
        show(place);
        if (++place >= frames.length) { stop(); following = true; }
      }, pause);
    }

    function stop() {
      clearInterval(timer);
      timer = null;
      play.textContent = say("Play");
    }

    function show(index) {
      shown = index;
      slider.value = index;
      const frame = frames[index];
      const words = say("step {n}, after {time}", { n: whole(frame.step), time: duration(frame.seconds) });
      when.textContent = words;
      slider.setAttribute("aria-valuetext", words);
      showBlanks(blanks, (frame.blanks || []).slice(0, IN_SIGHT));
      showBlanks(others, (frame.blanks || []).slice(IN_SIGHT));
      unread.textContent = [
        frame.unknown && say("It does not know: {words}.", { words: frame.unknown.join(", ") }),
        frame.unasked && say("It cannot be asked: {texts}.", { texts: frame.unasked.join("; ") }),
      ].filter(Boolean).join(" ");
      const found = frame.similarities;
      if (!found) return;
      mapTitle.textContent = say("{n} times “{word}”, by their vectors", { n: found.labels.length, word: found.word });
      map.show(found);
      showMatrix(found);
      verdict.textContent = "";
      if (frame.separation !== undefined && frame.separation !== null) {
        const sign = frame.separation >= 0 ? "+" : "−";
        verdict.textContent = say(
          "Same sense against other senses: {n}; 0 is no difference.",
          { n: sign + fixed(Math.abs(frame.separation), 2) });
      }
    }

    function showBlanks(host, items) {
      while (host.children.length > items.length) host.lastChild.remove();
      while (host.children.length < items.length) {
        host.append(make("div", { class: "bd-blank" },
          make("p", { class: "bd-blank-text" }), make("ol", {})));
      }
      items.forEach((item, i) => {
        const [text, list] = host.children[i].children;
        if (text.dataset.text !== item.text) {
          text.dataset.text = item.text;
          const [before, ...after] = item.text.split("<mask>");
          text.replaceChildren(before, make("span", { class: "bd-gap", text: "?" }),
            after.join("<mask>"));
        }
        while (list.children.length > item.words.length) list.lastChild.remove();
        while (list.children.length < item.words.length) {
          list.append(make("li", {}, make("span", { class: "bd-fill" }),
            make("span", { class: "bd-guess" }), make("span", { class: "bd-percent" })));
        }
        item.words.forEach(([word, share], j) => {
          const [bar, name, number] = list.children[j].children;
          bar.style.width = `${Math.max(0.5, share * 100)}%`;
          name.textContent = word;
          number.textContent = `${fixed((share * 100), share < 0.1 ? 1 : 0)}%`;
        });
      });
    }

    function showMatrix(found) {
      const n = found.labels.length, key = found.labels.join("\n");
      if (matrix.dataset.key !== key) {
        matrix.dataset.key = key;
        matrix.replaceChildren();
        matrix.style.setProperty("--n", n);
        const groups = found.senses || [];
        for (let i = 0; i < n; i++) {
          const first = i === 0 || groups[i] !== groups[i - 1];
          matrix.append(make("span", {
            class: "bd-row-label" + (first && i ? " bd-first" : ""),
            text: groups[i] && first ? groups[i] : "", title: found.labels[i],
          }));
          for (let j = 0; j < n; j++) {
            matrix.append(make("span", { class: "bd-cell" + (first && i ? " bd-first" : "") }));
          }
        }
      }
      const cells = matrix.querySelectorAll(".bd-cell");
      found.matrix.forEach((row, i) => row.forEach((value, j) => {
        const cell = cells[i * n + j];
        const share = Math.round(Math.min(1, Math.abs(value)) * 100);
        const hue = value >= 0 ? "var(--series-1)" : "var(--series-4)";
        cell.style.background = `color-mix(in srgb, ${hue} ${share}%, var(--bd-cell))`;
        cell.title = `${fixed(value, 2)}: “${found.labels[i]}”, “${found.labels[j]}”`;
      }));
      matrix.setAttribute("role", "img");
      matrix.setAttribute("aria-label",
        say("Similarities of {n} contexts, from −1 (orange) to 1 (blue), grouped by sense", { n }));
    }

    return {
      get frames() { return frames; },
      add(more) {
        if (!more.length) return;
        frames.push(...more);
        hosts.show(true);
        slider.max = frames.length - 1;
        const wanted = hosts.wanted();
        if (wanted && frames[frames.length - 1].step >= wanted) {
          following = false;
          show(frames.findIndex((frame) => frame.step >= wanted));
        }
        if (following && !timer) show(frames.length - 1);
      },
      reset() {
        stop();
        frames = [];
        following = true;
        map.reset();
        hosts.show(false);
      },
    };
  };
})();
