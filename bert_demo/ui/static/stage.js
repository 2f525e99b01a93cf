// The stage of a run: where its numbers, curves, film, question and the way on stand.
(function () {
  "use strict";
  const { say, make, whole, fixed } = window.bertDemo;

  function build(host) {
    const tiles = {};
    const tile = (name, label, kind) => {
      const value = make("span", { class: "bd-value", text: "–" });
      const unit = make("span", { class: "bd-unit" });
      const title = make("span", { class: "bd-label", text: label });
      const box = make("div", { class: `bd-tile${kind || ""}` }, value, title, unit);
      tiles[name] = { label: title, value, unit, box, main: Boolean(kind) };
      return box;
    };
    const parts = { tiles };
    parts.title = make("h2", { class: "bd-title" });
    parts.badge = make("span", { class: "bd-badge", role: "status" });
    parts.message = make("p", { class: "bd-message" });
    parts.diagnosis = make("p", { class: "bd-diagnosis", hidden: "" });
    parts.progress = make("div", {});
    parts.plot = make("div", { class: "bd-plot", role: "figure" });
    parts.axis = make("button", {
      type: "button", class: "bd-button bd-axis",
      title: say("Draw the curves by steps or by seconds"),
    });
    parts.guesses = make("div", { class: "bd-guesses" });
    parts.map = make("div", { class: "bd-senses" });
    parts.more = make("details", { class: "bd-more" });
    parts.lines = make("details", { class: "bd-more" });
    parts.again = make("button", { type: "button", class: "bd-button", hidden: "", text: say("Play again") });
    parts.bar = make("div", { class: "bd-film-bar" }, parts.again);
    parts.axis.textContent = say("Show by seconds");
    parts.question = make("div", { class: "bd-question" });
    parts.resultText = make("p", {});
    parts.confusion = make("table", { class: "bd-confusion" });
    parts.result = make("section", { class: "bd-result", hidden: "" },
      make("h3", { class: "bd-h3", text: say("The test") }), parts.resultText,
      make("div", { class: "bd-scroll" }, parts.confusion));
    parts.film = make("div", { class: "bd-film", hidden: "" }, parts.map, parts.guesses);
    parts.body = make("div", { class: "bd-run", hidden: "" },
      make("div", { class: "bd-head" }, parts.badge, parts.title,
        make("div", { class: "bd-says" }, parts.message, parts.diagnosis)),
      make("div", { class: "bd-progress", "aria-hidden": "true" }, parts.progress),
      make("div", { class: "bd-tiles" },
        tile("first", say("Loss"), " bd-main"), tile("second", say("Loss"), " bd-main"),
        make("div", { class: "bd-rest" },
          tile("step", say("steps")), tile("speed", say("pairs a second")),
          tile("time", say("Time left")), tile("device", ""), tile("memory", say("memory")))),
      make("div", { class: "bd-pictures" },
        make("div", { class: "bd-plot-frame" }, parts.plot), parts.film),
      parts.bar, parts.question, parts.result, parts.more,
      make("div", { class: "bd-foot" }, parts.lines, parts.axis));
    parts.empty = host.querySelector(".bd-empty") || make("div", { class: "bd-empty" });
    parts.others = parts.empty.querySelector(".bd-others") || make("p", {});
    host.append(parts.empty, parts.body);
    return parts;
  }

  // A loss in words: how many equally likely answers would leave one as unsure.
  function among(loss) {
    const n = Math.exp(loss);
    return n < 10 ? fixed(n, 1).replace(/\.0$/, "") : whole(n);
  }

  // What the dashed lines say, each in two sentences.
  function explain(host, task, start, normal) {
    const lines = task === "nli"
      ? [[say("guessing"), say("Whoever guesses among three answers has a loss of ln 3 = 1.10 and is right one time in three. A curve at this line has learnt nothing yet.")]]
      : [[say("every word alike"), say("A model that knows nothing finds all {n} words equally likely. Its loss is the logarithm of their number.", { n: whole(start.vocab_size || 0) })],
        [say("word frequency"), say("This is the loss of somebody who knows how often each word occurs and never looks at the sentence. Below this line the model uses the words around the gap.")],
        [say("tossing a coin"), say("Half of the second sentences really follow the first, so a coin is right half the time and has a loss of ln 2 = 0.69. Below this line the model knows what follows what.")]];
    if (normal) lines.push([say("the faint band"), say("From the lowest to the highest of recorded runs of the same settings with other seeds, {n} of each length; between two lengths, what lies between. A normal curve lies in it or near it.", { n: normal.runs })]);
    host.replaceChildren(make("summary", { text: say("What do the lines mean?") }),
      make("p", { class: "bd-note", text: say("A loss says how surprised the model is by the right answer; lower is better.") }),
      make("dl", { class: "bd-facts" }, ...lines.flatMap(([name, text]) => [
        make("dt", { text: name }), make("dd", { text })])));
  }

  // What is asked of a pretraining: `choices`, and at the end the `truth` in words and the right
  // one. From `collapsed` on, the mean cosine of vectors says that a model tells no words apart.
  const senses = (collapsed) => ({
    guess: say("Guess first: which sense will part from the others first?"),
    choices({ frames }) {
      const latest = frames[frames.length - 1], found = latest && latest.similarities;
      const names = found ? [...new Set(found.senses)] : [];
      return names.length < 2 ? [] : names;
    },
    warning({ frames }) {
      const latest = frames[frames.length - 1];
      return latest && latest.alike >= collapsed && say("All its vectors are alike (mean cosine {n}): it tells no word from another, and fine-tuning it stays at chance. That is what steps too large leave of a BERT; start the first card to see one that learns.", { n: fixed(latest.alike, 2) });
    },
    answer({ frames }) {
      const found = window.bertDemo.partedFirst(frames);
      return [found ? found.sense : null, found
        ? say("“{sense}” parted first, at step {n}.", { sense: found.sense, n: whole(found.step) })
        : say("No sense has parted from the others for good.")];
    },
  });

  // What is asked of a fine-tuning: how often it is right of 100 held-out pairs, in three bands.
  const BANDS = [[0, 45], [45, 65], [65, 100]];
  const verdicts = () => {
    const names = [say("below 45, near chance"), say("45 to 65"), say("above 65")];
    return {
      guess: say("Guess first: of 100 pairs that it has not seen, how many will it judge right?"),
      choices: ({ columns }) => (columns.step ? names : []),
      warning: () => false,
      answer({ validations, end }) {
        const last = validations[validations.length - 1];
        const scores = (end.scores && end.scores.test) || last;
        if (!scores) return [null, say("It was not scored on pairs that it has not seen.")];
        const share = scores.accuracy * 100;
        return [names[BANDS.findIndex(([, most]) => share < most || most === 100)],
          say("It is right {n} times in 100; a third would be chance.", { n: fixed(share, 0) })];
      },
    };
  };

  // Something to guess before one looks; the end of the run answers it.
  function question(host, next, about) {
    let asked = "", said = null, run = { frames: [], columns: {} };
    const words = make("p", {}), choices = make("div", { class: "bd-choices" });
    const go = make("button", { type: "button", class: "bd-next", text: next.label, hidden: "" });
    go.addEventListener("click", next.go);
    host.append(words, choices, make("div", { class: "bd-way" }, go));

    function choice(name) {
      const button = make("button", { type: "button", class: "bd-choice", text: name, "aria-pressed": "false" });
      button.addEventListener("click", () => {
        said = name;
        for (const other of choices.children) other.setAttribute("aria-pressed", String(other === button));
        tell();
      });
      return button;
    }

    function tell() {
      const warning = run.end && about.warning(run), names = warning ? [] : about.choices(run);
      if (asked !== names.join("\n")) {
        asked = names.join("\n");
        choices.replaceChildren(...names.map(choice));
      }
      words.textContent = warning || (!names.length ? ""
        : run.end ? answered()
          : said ? say("You say “{sense}”. The end of the run tells.", { sense: said }) : about.guess);
    }

    function answered() {
      const [right, truth] = about.answer(run);
      const yours = !said ? "" : said === right
        ? say("You said so.") : say("You said “{sense}”.", { sense: said });
      return `${truth} ${yours}`;
    }

    return {
      update(shown) { run = shown; tell(); },
      way(open) { go.hidden = !open; },
      reset() { said = null; run = { frames: [], columns: {} }; tell(); },
    };
  }

  window.bertDemo.stage = { build, among, explain, question, senses, verdicts };
})();
