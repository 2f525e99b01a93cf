// Draws a page part from plain data: headings, sentences, tables, bars and charts. All words go in
// by textContent, so nothing that a person typed or a vocabulary holds can become code.
(() => {
  "use strict";

  const element = (tag, className, text) => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined && text !== null) node.textContent = String(text);
    return node;
  };

  // "var(--name)" is looked up now: Plotly knows no CSS variables.
  const variable = /^var\((--[\w-]+)\)$/;
  const resolved = (value, styles) => {
    if (typeof value === "string") {
      const match = variable.exec(value);
      return match ? styles.getPropertyValue(match[1]).trim() : value;
    }
    if (Array.isArray(value)) return value.map((item) => resolved(item, styles));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, resolved(v, styles)]));
    }
    return value;
  };

  const options = { displayModeBar: false, responsive: false };

  // The hover texts of a heat map of contexts: both sides' texts for each cell.
  const hovers = (trace) =>
    trace.pairs ? { ...trace, text: trace.pairs.map((a) => trace.pairs.map((b) => `${a}<br>${b}`)) } : trace;

  const draw = async (node) => {
    const library = await window.bertDemo.plotly();
    const { figure } = node;
    if (!figure || !node.isConnected || !node.clientWidth) return;
    const { data, layout } = resolved(figure, getComputedStyle(node));
    // Plotly keeps what it is given and writes into it.
    await library.react(node, data.map(hovers), { ...layout, width: node.clientWidth }, options);
  };

  const resizes = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.clientWidth && target.clientWidth !== target.drawnWidth) {
        target.drawnWidth = target.clientWidth;
        draw(target);
      }
    }
  });

  const chart = (block, pool) => {
    const box = element("figure", "bv-chart");
    const node = pool.get(block.key) || element("div");
    pool.delete(block.key);
    node.className = "bv-plot";
    node.dataset.key = block.key;
    node.style.height = `${block.height}px`;
    node.setAttribute("role", "figure");
    node.setAttribute("aria-label", block.label);
    node.figure = block.figure;
    box.append(element("figcaption", "bv-caption", block.label), node);
    return box;
  };

  const table = (block, pick) => {
    const whole = element("div");
    const box = element("div", "bv-scroll");
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", block.caption);
    const node = element("table", "bv-table");
    node.setAttribute("aria-label", block.caption);
    const head = node.createTHead().insertRow();
    for (const name of block.columns) {
      const cell = element("th", "", name);
      cell.scope = "col";
      head.append(cell);
    }
    const body = node.createTBody();
    block.rows.forEach((row, place) => {
      const line = body.insertRow();
      row.forEach((value, i) => {
        const cell = element("td", typeof value === "number" || block.numbers.includes(i) ? "bv-number" : "", value);
        line.append(cell);
      });
      if (block.tones?.[place]) line.classList.add(`bv-row-${block.tones[place]}`);
      if (!block.picks || block.fixed?.includes(place)) return;
      // The button is for keyboards and screen readers; its click is the row's.
      const button = element("button", "bv-pick", row[0]);
      button.type = "button";
      line.cells[0].replaceChildren(button);
      line.classList.add("bv-picks");
      line.addEventListener("click", () => {
        // Whoever marks words to copy them does not ask for anything.
        if (window.getSelection().isCollapsed) pick(place);
      });
    });
    box.append(node);
    whole.append(element("p", "bv-caption", block.caption), box);
    return whole;
  };

  const bars = (block) => {
    const box = element("div", "bv-bars");
    if (block.title) box.append(element("p", "bv-caption", block.title));
    const list = element("ul");
    for (const { label, share, colour } of block.rows) {
      const item = element("li", "bv-bar");
      const track = element("span", "bv-track");
      track.setAttribute("aria-hidden", "true");
      const fill = element("span", "bv-fill");
      fill.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
      if (variable.test(colour)) fill.style.background = colour;
      track.append(fill);
      const percent = share * 100;
      const number = percent > 0 && percent < 0.1 ? "< 0.1" : window.bertDemo.fixed(percent, 1);
      item.append(element("span", "bv-label", label), track, element("span", "bv-share", `${number}%`));
      list.append(item);
    }
    box.append(list);
    return box;
  };

  // Words coloured by what they do: blue for, orange against, each with its sign in numbers too.
  const effects = (block) => {
    const box = element("div", "bv-effects");
    const signed = (value) => {
      const points = Math.round(value);
      return points ? `${points > 0 ? "+" : "\u2212"}${Math.abs(points)}` : "0";
    };
    const most = Math.max(5, ...block.lines.flatMap((line) => line.words.map((word) => Math.abs(word[1]))));
    for (const { name, words } of block.lines) {
      const list = element("ul", "bv-words");
      list.setAttribute("aria-label", name);
      for (const [word, first, second] of words) {
        const item = element("li", "bv-word");
        const shown = element("span", "bv-word-text", word);
        const hue = first > 0 ? "--series-1" : "--series-2";
        const strength = Math.round(55 * Math.abs(first) / most);
        shown.style.background = `color-mix(in srgb, var(${hue}) ${strength}%, transparent)`;
        const numbers = element("span", "bv-word-numbers", `${signed(first)} ${signed(second)}`);
        if (first * second < 0 && Math.min(Math.abs(first), Math.abs(second)) >= 5) item.classList.add("bv-disputed");
        item.append(shown, numbers);
        list.append(item);
      }
      box.append(element("p", "bv-caption", name), list);
    }
    box.append(element("p", "bv-muted", block.legend));
    return box;
  };

  const details = (block, pool, pick) => {
    const box = element("details", "bv-details");
    box.open = Boolean(block.open);
    box.asked = box.open;
    box.append(element("summary", "", block.summary), ...block.blocks.map((b) => build(b, pool, pick)));
    return box;
  };

  const columns = (block, pool, pick) => {
    const box = element("div", "bv-columns");
    box.style.setProperty("--bv-count", block.parts.length);
    for (const part of block.parts) {
      const column = element("div", "bv-column");
      column.append(...part.map((b) => build(b, pool, pick)));
      box.append(column);
    }
    return box;
  };

  const question = (block) => {
    const box = element("div", "bd-question");
    const words = element("p", "", block.text);
    const choices = element("div", "bd-choices");
    for (const option of block.options) {
      const choice = element("button", "bd-choice", option);
      choice.type = "button";
      choice.addEventListener("click", () => {
        for (const other of choices.children) other.setAttribute("aria-pressed", String(other === choice));
        words.textContent = `${window.bertDemo.say("You said “{sense}”.", { sense: option })} ${block.answer}`;
      });
      choices.append(choice);
    }
    box.append(words, choices);
    return box;
  };

  const link = (block) => {
    const node = element("a", "bv-text bv-link", block.url);
    if (/^https?:\/\//.test(block.url)) node.href = block.url;
    node.target = "_blank";
    node.rel = "noopener";
    return node;
  };

  const build = (block, pool, pick) => {
    switch (block.kind) {
      case "heading":
        return element("h2", "bv-heading", block.text);
      case "text":
        return element("p", `bv-text bv-${block.tone}`, block.text);
      case "table":
        return table(block, pick);
      case "bars":
        return bars(block);
      case "effects":
        return effects(block);
      case "followed":
        return window.bertDemo.tokenChoice(block, pick);
      case "attention":
        return window.bertDemo.attention(block);
      case "chart":
        return chart(block, pool);
      case "link":
        return link(block);
      case "details":
        return details(block, pool, pick);
      case "columns":
        return columns(block, pool, pick);
      case "question":
        return question(block);
      case "jump": {
        const button = element("button", "bd-choice bv-jump", block.label);
        button.type = "button";
        button.addEventListener("click", () => {
          const folded = document.querySelector(`#${block.target} details`);
          if (!folded) return;
          folded.open = true;
          folded.scrollIntoView({ block: "start" });
        });
        return button;
      }
      case "confusion":
        return window.bertDemo.confusion(block, pick);
      case "sorts":
        return window.bertDemo.sorts(block);
      case "next": {
        const button = element("button", "bd-next", block.label);
        button.type = "button";
        button.addEventListener("click", () => window.bertDemo.open(block.tab, block.model));
        return button;
      }
      default:
        return element("p", "bv-text", "");
    }
  };

  const mount = (root, props, watch, trigger) => {
    root.replaceChildren();
    const spoken = element("p", "bv-spoken");
    spoken.setAttribute("role", "status");
    const content = element("div", "bv-view");
    root.append(spoken, content);

    const pick = (row) => trigger("select", Array.isArray(row) ? { cell: row } : { row });

    const show = () => {
      const value = props.value || { blocks: [] };
      // A chart that stays keeps its node: nothing flickers when the layer slider moves.
      const pool = new Map();
      for (const node of content.querySelectorAll(".bv-plot")) pool.set(node.dataset.key, node);
      const before = [...content.querySelectorAll("details")];
      content.style.minHeight = `${content.offsetHeight}px`;
      content.replaceChildren(...value.blocks.map((block) => build(block, pool, pick)));
      content.style.minHeight = "";
      content.querySelectorAll("details").forEach((node, i) => {
        // What the reader opened or closed stays so, unless the content asks for another state.
        if (before[i] && before[i].asked === node.asked) node.open = before[i].open;
      });
      for (const node of pool.values()) {
        resizes.unobserve(node);
        if (window.Plotly) window.Plotly.purge(node);
      }
      for (const node of content.querySelectorAll(".bv-plot")) {
        node.drawnWidth = node.clientWidth;
        draw(node);
        resizes.observe(node);
      }
      if (value.spoken !== spoken.textContent) spoken.textContent = value.spoken || "";
    };

    window.bertDemo.onThemeChange(() => content.querySelectorAll(".bv-plot").forEach(draw));
    watch("value", show);
    show();
  };

  window.bertDemo.mountView = mount;
})();
