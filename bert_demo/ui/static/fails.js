// What "Where it fails" shows beside the usual parts: a confusion matrix whose cells are buttons, small
// bars of accuracy, and the place where one's own table is dropped. All words go in by textContent.
(() => {
  "use strict";
  const { say, make, whole, fixed } = window.bertDemo;
  const percent = (share, digits = 0) => `${fixed(share * 100, digits)}%`;

  const confusion = (block, pick) => {
    const { names, counts, chosen } = block;
    const box = make("div", { class: "bf-box" });
    const grid = make("table", { class: "bf-matrix", "aria-label": block.caption });
    const head = grid.createTHead().insertRow();
    head.append(make("td", {}), ...names.map((name) => make("th", { scope: "col", text: name })));
    const body = grid.createTBody();
    const cells = [];
    counts.forEach((row, i) => {
      const line = body.insertRow();
      line.append(make("th", { scope: "row", text: names[i] }));
      const sum = row.reduce((a, b) => a + b, 0);
      row.forEach((n, j) => {
        const share = sum ? n / sum : 0;
        const values = { n: whole(n), right: names[i], said: names[j] };
        const button = make("button", {
          type: "button", class: `bf-cell ${i === j ? "bf-right" : "bf-wrong"}`,
          "aria-pressed": String(i === chosen[0] && j === chosen[1]),
          "aria-label": say("{n} pairs: right is “{right}”, it says “{said}”", values),
        }, make("b", { text: whole(n) }), make("span", { text: percent(share) }));
        button.style.setProperty("--bf-share", `${Math.round(8 + share * 42)}%`);
        button.addEventListener("click", () => {
          for (const other of cells) other.setAttribute("aria-pressed", String(other === button));
          pick([i, j]);
        });
        cells.push(button);
        line.insertCell().append(button);
      });
    });
    // Arrow keys go from cell to cell; Tab goes on to the pairs.
    grid.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -names.length, ArrowDown: names.length }[event.key];
      const next = cells[cells.indexOf(document.activeElement) + step];
      if (!next) return;
      event.preventDefault();
      next.focus();
    });
    box.append(make("p", { class: "bv-caption", text: block.caption }), grid);
    return box;
  };

  const sorts = (block) => {
    const box = make("div", { class: "bf-sorts" });
    box.append(make("p", { class: "bv-caption", text: block.title }));
    const list = make("ul", {});
    for (const { label, share, error, note } of block.rows) {
      const track = make("span", { class: "bf-track", "aria-hidden": "true" });
      const part = (name, left, right) => {
        const node = make("span", { class: name });
        node.style.left = percent(Math.max(0, left), 2);
        if (right !== undefined) node.style.width = percent(Math.min(1, right) - Math.max(0, left), 2);
        track.append(node);
      };
      part("bf-fill", 0, share);
      part("bf-chance", 1 / 3);
      part("bf-overall", block.overall);
      part("bf-error", share - 2 * error, share + 2 * error);
      const words = make("span", { class: "bf-label", text: label });
      const number = make("span", { class: "bv-share", text: percent(share) });
      list.append(make("li", {}, words, track, number, make("small", { text: note })));
    }
    box.append(list, make("p", { class: "bv-text bv-muted", text: block.reading }));
    return box;
  };

  const mostBytes = 7_000_000;
  let dropped = null;

  const mountTable = (root) => {
    const told = make("span", { class: "bf-told", role: "status", text: say("Drop a .csv, .tsv, .txt, .json or .jsonl here") });
    const input = make("input", { type: "file", accept: ".csv,.tsv,.txt,.json,.jsonl" });
    const zone = make("label", { class: "bf-drop" }, told, make("span", { class: "bd-button", text: say("Choose a file") }), input);
    const take = async (file) => {
      if (!file) return;
      dropped = null;
      if (file.size > mostBytes) {
        told.textContent = say("{name} is larger than {n} MB.", { name: file.name, n: mostBytes / 1e6 });
        return;
      }
      const bytes = new Uint8Array(await file.arrayBuffer());
      let text = "";
      for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
      dropped = JSON.stringify({ name: file.name, data: btoa(text) });
      told.textContent = say("{name} is ready: judge it.", { name: file.name });
    };
    input.addEventListener("change", () => take(input.files[0]));
    zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("bf-over"); });
    zone.addEventListener("dragleave", () => zone.classList.remove("bf-over"));
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("bf-over");
      take(event.dataTransfer.files[0]);
    });
    root.replaceChildren(zone);
  };

  Object.assign(window.bertDemo, { confusion, sorts, mountTable, droppedTable: () => dropped ?? "" });
})();
