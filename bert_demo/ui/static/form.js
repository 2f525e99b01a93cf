// What a run would take, beside the form: a short list of facts, or why it cannot run here; and
// the field for a text of one's own.
(function () {
  "use strict";
  const { make, say } = window.bertDemo;

  // What a form said stays in this browser, where it may.
  function keep(name, text) {
    try { localStorage.setItem(`bert_demo ${name}`, text); } catch (error) { /* not allowed */ }
  }

  function kept(name) {
    try { return localStorage.getItem(`bert_demo ${name}`) || ""; } catch (error) { return ""; }
  }

  window.bertDemo.keepName = (name) => keep("name", name || "");
  window.bertDemo.keepQuestions = (texts) => keep("questions", JSON.stringify(texts));
  window.bertDemo.keepForm = (task, names, values) => keep(
    task, JSON.stringify(Object.fromEntries(names.map((name, i) => [name, values[i]]))));
  window.bertDemo.kept = () => JSON.stringify({
    name: kept("name"), pretraining: kept("pretraining"), nli: kept("nli"),
    questions: kept("questions") });

  // A file that is dropped on the box for one's own text, or chosen there, is read here and put
  // into its field, as if it were pasted. A byte order mark says how it is written; else it is
  // UTF-8 if it can be, and Windows-1252 if most of its letters are ASCII; null for what is neither.
  const MOST_BYTES = 4000000;

  function decoded(bytes) {
    const mark = `${bytes[0]} ${bytes[1]}`;
    const name = mark === "255 254" ? "utf-16le" : mark === "254 255" ? "utf-16be" : "utf-8";
    try { return new TextDecoder(name, { fatal: true }).decode(bytes); } catch (error) {
      const text = new TextDecoder("windows-1252").decode(bytes);
      const count = (letters) => (text.match(letters) || []).length;
      return count(/[^\x00-\x7f]/g) > count(/[a-z]/gi) ? null : text;
    }
  }

  function fill(field, text) {
    field.value = text;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  async function readFile(box, file) {
    const note = box.querySelector(".bd-own-note");
    note.textContent = "";
    if (file.size > MOST_BYTES) {
      note.textContent = say("{name} is too large for the page; the command line reads it.", { name: file.name });
      return;
    }
    const text = decoded(new Uint8Array(await file.arrayBuffer()));
    if (text === null) {
      note.textContent = say("{path} seems to be in another encoding than UTF-8, UTF-16 or Windows-1252; save it as UTF-8.", { path: file.name });
      return;
    }
    if (text.includes("\0")) {
      note.textContent = say("{name} is no text; save it as text first.", { name: file.name });
      return;
    }
    fill(box.querySelector("textarea"), text);
    fill(box.querySelector(".bd-own-title textarea, .bd-own-title input"), file.name);
  }

  const boxOf = (event) => event.target.closest && event.target.closest(".bd-own");
  document.addEventListener("dragover", (event) => { if (boxOf(event)) event.preventDefault(); });
  document.addEventListener("drop", (event) => {
    const box = boxOf(event), file = event.dataTransfer && event.dataTransfer.files[0];
    if (!box || !file) return;
    event.preventDefault();
    readFile(box, file);
  });
  document.addEventListener("change", (event) => {
    const box = boxOf(event), file = event.target.type === "file" && event.target.files[0];
    if (box && file) readFile(box, file);
  });

  window.bertDemo.estimate = function (element, props, watch) {
    const host = make("div", { class: "bd-estimate", role: "status" });
    element.append(host);
    const show = () => {
      const { facts = [], refusal = "", note = "" } = props.value || {};
      const list = make("dl", { class: "bd-facts" });
      for (const [name, value] of facts) {
        list.append(make("dt", { text: name }), make("dd", { text: value }));
      }
      const parts = facts.length ? [list] : [];
      if (note) parts.push(make("p", { class: "bd-note", text: note }));
      if (refusal) parts.push(make("p", { class: "bd-refusal", text: refusal }));
      host.replaceChildren(...parts);
    };
    watch("value", show);
    show();
  };
})();
