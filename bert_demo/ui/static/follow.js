// One token followed: the text's tokens to click, and where each head of each layer looks from it.
(function () {
  "use strict";
  const { say, make, fixed } = window.bertDemo;
  const MOST_OPTION = 90;
  // The layer and head that were enlarged, of which text and token: they stay while the answer to
  // the same is that of another moment of the run.
  let kept = {};
  let clicked = false;  // the button of the answer before, which had the focus, is gone

  // Buttons of which one is pressed.
  const choices = (names, pressed, label, act) => {
    const box = make("div", { class: "bf-choices", role: "group", "aria-label": label });
    names.forEach((name, i) => {
      const button = make("button", { class: "bd-choice", type: "button", text: name, "aria-pressed": String(i === pressed) });
      button.addEventListener("click", () => {
        for (const other of box.children) other.setAttribute("aria-pressed", String(other === button));
        act(i);
      });
      box.append(button);
    });
    return box;
  };

  window.bertDemo.tokenChoice = function (block, pick) {
    const box = make("div", { class: "bf-tokens" });
    if (block.texts.length > 1) {
      const menu = make("select", { class: "bf-texts", "aria-label": say("Text to follow a token in") });
      block.texts.forEach((text, i) => {
        const option = make("option", { value: i, text: text.length > MOST_OPTION ? `${text.slice(0, MOST_OPTION)}…` : text });
        option.selected = i === block.which;
        menu.append(option);
      });
      menu.addEventListener("change", () => pick([Number(menu.value), null]));
      box.append(menu);
    }
    box.append(make("p", { class: "bv-caption", text: say("Click a token to follow it") }));
    const row = choices(block.tokens, block.place, say("Tokens"), (i) => { clicked = row.contains(document.activeElement); pick([block.which, i]); });
    if (block.first < block.tokens.length) row.children[block.first].classList.add("bf-second");
    box.append(row);
    if (clicked) requestAnimationFrame(() => row.children[block.place].focus({ preventScroll: true }));
    clicked = false;
    return box;
  };

  // The same token once more, of the moment that is now asked about.
  window.bertDemo.followAgain = (id) => document.querySelector(`#${id} .bf-tokens [aria-pressed="true"]`)?.click();

  window.bertDemo.attention = function (block) {
    const { tokens, layers, whole, first } = block, two = first < tokens.length;
    const box = make("div", { class: "bf-attention" });
    const heads = make("div", { class: "bf-heads" }), large = make("div", { class: "bf-large" });
    const sum = (weights, from, to) => weights.slice(from, to).reduce((a, b) => a + b, 0);
    const asked = [...tokens, block.place, layers.length, layers[0].length].join(" ");
    const blue = (cell, share) => { cell.style.background = `color-mix(in srgb, var(--series-1) ${Math.round(100 * share)}%, var(--bd-cell))`; };
    const percent = (value) => `${fixed(100 * value, 0)}%`;

    const enlarge = (layer, head) => {
      kept = { asked, layer, head };
      for (const [i, row] of [...heads.children].entries()) row.setAttribute("aria-pressed", String(i === head));
      const weights = layers[layer][head], most = Math.max(...weights, 1e-9);
      const title = say("Layer {layer}, head {head}", { layer: layer + 1, head: head + 1 });
      const list = make("ul", {});
      weights.forEach((weight, i) => {
        const fill = make("span", { class: "bv-fill" });
        fill.style.width = `${(100 * weight) / most}%`;
        const item = make("li", { class: i === first && two ? "bf-bar bf-second" : "bf-bar" },
          make("span", { class: "bf-bar-token", text: tokens[i] }),
          make("span", { class: "bv-track", "aria-hidden": "true" }, fill),
          make("span", { class: "bv-share", text: percent(weight) }));
        list.append(item);
      });
      large.replaceChildren(make("p", { class: "bv-caption", text: title }), list);
      if (two) {
        const words = say("{one} of its attention stays in the first text, {other} goes to the second.", {
          one: percent(sum(weights, 0, first)), other: percent(sum(weights, first)) });
        large.append(make("p", { class: "bv-muted", text: words }));
      }
      if (whole.length) large.append(all(whole[layer][head]));
    };

    // Every token's row of the enlarged head; the followed one's is marked.
    const all = (rows) => {
      const grid = make("div", { class: "bf-all", role: "img", "aria-label": say("Where every token looks in this head, a row for each") });
      grid.style.setProperty("--n", tokens.length);
      rows.forEach((row, i) => {
        grid.append(make("span", { class: i === block.place ? "bf-all-token bf-all-place" : "bf-all-token", text: tokens[i] }));
        row.forEach((share, j) => {
          const cell = make("span", { class: "bf-all-cell", title: `${tokens[i]} → ${tokens[j]} ${share}%` });
          blue(cell, share / 100);
          grid.append(cell);
        });
      });
      return make("div", {}, make("p", { class: "bv-caption", text: say("Where every token looks in this head, a row for each") }), grid);
    };

    const show = (layer, head) => {
      heads.replaceChildren(...layers[layer].map((weights, head) => {
        const row = make("button", { class: "bf-head", type: "button", "aria-label": say("Layer {layer}, head {head}", { layer: layer + 1, head: head + 1 }) });
        weights.forEach((weight, i) => {
          const cell = make("span", { class: i === first && two ? "bf-cell bf-second" : "bf-cell", title: `${tokens[i]} ${percent(weight)}` });
          blue(cell, weight);
          row.append(cell);
        });
        row.addEventListener("click", () => enlarge(layer, head));
        return row;
      }));
      // What is worth a look is where it looks at others than itself, the ends and the average.
      const focus = layers[layer].map((weights) => Math.max(...weights.filter((_, i) => i !== block.place && i && i < tokens.length - 1), 0));
      enlarge(layer, head ?? focus.indexOf(Math.max(...focus)));
    };

    const same = kept.asked === asked, shown = same ? kept.layer : layers.length - 1;
    box.append(
      make("p", { class: "bv-caption", text: say("Where “{token}” looks, all heads of a layer", { token: tokens[block.place] }) }),
      choices(layers.map((_, i) => say("Layer {n}", { n: i + 1 })), shown, say("Layer"), (layer) => show(layer)),
      make("div", { class: "bf-both" }, heads, large));
    show(shown, same ? kept.head : undefined);
    return box;
  };
})();
