// What a run would take, beside the form: a short list of facts, or why it cannot run here.
(function () {
  "use strict";
  const { make } = window.bertDemo;

  // What a form said stays in this browser, where it may.
  function keep(name, text) {
    try { localStorage.setItem(`bert_demo ${name}`, text); } catch (error) { /* not allowed */ }
  }

  function kept(name) {
    try { return localStorage.getItem(`bert_demo ${name}`) || ""; } catch (error) { return ""; }
  }

  window.bertDemo.keepName = (name) => keep("name", name || "");
  window.bertDemo.keepForm = (task, names, values) => keep(
    task, JSON.stringify(Object.fromEntries(names.map((name, i) => [name, values[i]]))));
  window.bertDemo.kept = () => JSON.stringify({
    name: kept("name"), pretraining: kept("pretraining"), nli: kept("nli") });

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
