// The list of runs: sorted by a click on a column, ticked for what is to be done with them. It
// asks for news while it is in sight. Names go in by textContent.
(() => {
  "use strict";

  const EVERY = 5000, MOST = 8;
  const { say, make, locale, states } = window.bertDemo;
  const COLUMNS = [
    ["title", say("Run"), 1],
    ["state", say("State"), 1],
    ["task", say("Task"), 1, "br-wide"],
    ["corpus", say("Text"), 1, "br-wide"],
    ["size", say("Model"), 1, "br-wide"],
    ["step", say("Steps"), -1, "br-number br-wide"],
    ["seconds", say("Time"), -1, "br-number br-wide"],
    ["result", say("Result"), -1],
    ["created", say("Started"), -1, "br-wide"],
  ];

  const mountRuns = (element, props, watch, trigger, server) => {
    let rows = [], chosen = new Set(), mine = new Set(), locked = [], column = "created", direction = -1;
    let drawn = "", timer = null;

    const search = make("input", { type: "search", class: "br-search", placeholder: say("Search"), "aria-label": say("Search the runs") });
    search.addEventListener("input", () => draw());
    const count = make("p", { class: "br-count", role: "status" });
    const head = make("tr", {});
    const body = make("tbody", {});
    const scroll = make("div", { class: "br-scroll", tabindex: "0", role: "region", "aria-label": say("All runs") },
      make("table", { class: "br-table" }, make("thead", {}, head), body));
    const nothing = make("p", { class: "br-nothing", text: say("There are no runs yet. Training a small model takes 30 seconds, in the tab Pretrain.") });
    element.replaceChildren(make("div", { class: "br-runs" }, search, scroll, nothing, count));

    head.append(make("th", { scope: "col" }, make("span", { class: "br-hidden", text: say("Ticked") })));
    for (const [name, label, first, look] of COLUMNS) {
      const button = make("button", { type: "button", text: label });
      button.addEventListener("click", () => {
        direction = column === name ? -direction : first;
        column = name;
        draw();
      });
      head.append(make("th", { scope: "col", class: look || "", "data-column": name }, button));
    }

    const key = (row) => (column in row.sort ? row.sort[column] : row[column]);

    const wanted = (row) => {
      const told = [row.title, row.note, states[row.state], row.task, row.corpus, row.size].join(" ").toLowerCase();
      return search.value.toLowerCase().split(/\s+/).every((word) => told.includes(word));
    };

    const sorted = () => rows.filter(wanted).sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      // What has no value comes last either way.
      if ((x ?? "") === "" || (y ?? "") === "") return ((x ?? "") === "") - ((y ?? "") === "");
      const order = typeof x === "number" ? x - y : String(x).localeCompare(String(y));
      return order * direction || b.created - a.created;
    });

    const when = (seconds) => new Date(seconds * 1000).toLocaleString(locale, {
      month: "short", day: "numeric", hour: "2-digit", minute: "2-digit",
    });

    const store = () => {
      props.value = { rows, chosen: [...chosen], mine: [...mine], locked };
      tell();
      trigger("select");
    };

    const tell = () => {
      const all = rows.length === 1 ? say("1 run") : say("{n} runs", { n: rows.length });
      const words = chosen.size ? say("{n} of {all} ticked", { n: chosen.size, all: rows.length }) : all;
      if (count.textContent !== words) count.textContent = words;
    };

    const line = (row) => {
      const tick = make("input", { type: "checkbox", "aria-label": say("Tick {run}", { run: row.title }) });
      tick.checked = chosen.has(row.id);
      tick.addEventListener("change", () => {
        if (tick.checked) chosen.add(row.id);
        else chosen.delete(row.id);
        store();
        draw();
      });
      const node = make("tr", { class: tick.checked ? "br-ticked" : "" }, make("td", {}, tick));
      for (const [name, , , look] of COLUMNS) {
        const cell = make("td", { class: look || "" });
        if (name === "title") {
          const place = [...chosen].indexOf(row.id);
          // As its curve is named and coloured below.
          if (place >= 0 && place < MOST) {
            const chip = make("span", { class: "br-chip", text: place + 1 });
            chip.style.background = `var(--series-${place + 1})`;
            cell.append(chip, " ");
          }
          cell.append(make("a", { href: `?run=${encodeURIComponent(row.id)}`, text: row.title }));
          if (row.note) cell.append(" ", make("span", { class: "br-detail", text: row.note }));
          if (mine.has(row.id)) cell.append(" ", make("span", { class: "br-mine", text: say("yours") }));
        } else if (name === "state") {
          cell.append(make("span", { class: "bd-badge", "data-state": row.state, text: states[row.state] || row.state }));
        } else if (name === "result") {
          cell.append(row.result);
          if (row.detail) cell.append(" ", make("span", { class: "br-detail", text: row.detail }));
        } else {
          cell.textContent = name === "created" ? when(row.created) : row[name];
        }
        node.append(cell);
      }
      return node;
    };

    const draw = () => {
      const now = JSON.stringify([rows, [...chosen], [...mine], column, direction, search.value]);
      if (now === drawn) return;
      drawn = now;
      const focused = body.contains(document.activeElement) ? document.activeElement.closest("tr").dataset.run : null;
      body.replaceChildren(...sorted().map((row) => {
        const node = line(row);
        node.dataset.run = row.id;
        return node;
      }));
      if (focused) body.querySelector(`tr[data-run="${CSS.escape(focused)}"] input`)?.focus({ preventScroll: true });
      for (const cell of head.querySelectorAll("[data-column]")) {
        const here = cell.dataset.column === column;
        cell.setAttribute("aria-sort", here ? (direction > 0 ? "ascending" : "descending") : "none");
      }
      scroll.hidden = rows.length === 0;
      search.hidden = rows.length < 2;
      nothing.hidden = rows.length > 0;
      tell();
    };

    const show = () => {
      const value = props.value || {};
      rows = value.rows || [];
      mine = new Set(value.mine || []);
      locked = value.locked || [];
      chosen = new Set(value.chosen || []);
      draw();
    };

    const ask = async () => {
      clearTimeout(timer);
      if (!element.isConnected) return;
      if (!document.hidden && element.offsetParent !== null) {
        try {
          rows = await server.current(null);
          const ids = new Set(rows.map((row) => row.id));
          chosen = new Set([...chosen].filter((id) => ids.has(id)));
          draw();
          // Curves of runs in training go on growing.
          if (rows.some((row) => chosen.has(row.id) && row.state === "running")) store();
        } catch {
          // The page may be restarting; the next time will tell.
        }
      }
      timer = setTimeout(ask, EVERY);
    };

    watch("value", show);
    show();
    timer = setTimeout(ask, EVERY);
  };

  // The list as it is for who is sure to delete the ticked runs, and none for who is not. Where none
  // may be deleted the server says why, and there is nothing to be sure about.
  const whenSure = (list, browser) => {
    const n = list.chosen.filter((id) => !list.locked.includes(id)).length;
    if (!n) return [list, browser];
    const words = n === 1 ? say("Delete this run and its model for good?")
      : say("Delete these {n} runs and their models for good?", { n });
    return [window.confirm(words) ? list : null, browser];
  };

  Object.assign(window.bertDemo, { mountRuns, whenSure });
})();
