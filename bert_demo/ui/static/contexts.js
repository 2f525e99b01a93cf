// The list of contexts: a text and a sense in each row, any number of rows.
(() => {
  "use strict";

  const { say } = window.bertDemo;

  const mount = (root, props, watch) => {
    root.replaceChildren();
    const list = document.createElement("ol");
    list.className = "bc-rows";
    const senses = document.createElement("datalist");
    senses.id = `bc-senses-${Math.random().toString(36).slice(2)}`;
    const add = document.createElement("button");
    add.type = "button";
    add.className = "bc-add";
    add.textContent = say("Add a context");
    root.append(list, senses, add);

    const read = () =>
      [...list.children].map((row) => {
        const [text, sense] = row.querySelectorAll("input");
        return { text: text.value, sense: sense.value };
      });

    const suggest = () => {
      const names = new Set(read().map(({ sense }) => sense.trim()).filter(Boolean));
      senses.replaceChildren(
        ...[...names].map((name) => {
          const option = document.createElement("option");
          option.value = name;
          return option;
        }),
      );
    };

    const store = () => {
      props.value = read();
      suggest();
    };

    const number = () => {
      [...list.children].forEach((row, i) => {
        const [text, sense] = row.querySelectorAll("input");
        text.setAttribute("aria-label", say("Context {n}", { n: i + 1 }));
        sense.setAttribute("aria-label", say("Sense of context {n}", { n: i + 1 }));
        row.querySelector("button").setAttribute("aria-label", say("Remove context {n}", { n: i + 1 }));
      });
    };

    const field = (className, value, placeholder) => {
      const input = document.createElement("input");
      input.type = "text";
      input.className = className;
      input.value = value;
      input.placeholder = placeholder;
      input.autocomplete = "off";
      input.spellcheck = false;
      input.addEventListener("input", store);
      return input;
    };

    const insert = (text, sense, before) => {
      const row = document.createElement("li");
      row.className = "bc-row";
      const words = field("bc-text", text, say("a sentence with the word in it"));
      words.maxLength = 2000;
      words.addEventListener("keydown", (event) => {
        if (event.key !== "Enter") return;
        event.preventDefault();
        const next = row.nextElementSibling || insert("", "", null);
        number();
        store();
        next.querySelector("input").focus();
      });
      words.addEventListener("paste", (event) => {
        const lines = event.clipboardData.getData("text/plain").split(/\r?\n/).filter((l) => l.trim());
        if (lines.length < 2) return;
        event.preventDefault();
        lines.forEach((line, i) => {
          if (i === 0 && !words.value.trim()) words.value = line.trim();
          else insert(line.trim(), "", row.nextElementSibling);
        });
        number();
        store();
      });
      const label = field("bc-sense", sense, say("sense"));
      label.maxLength = 60;
      label.setAttribute("list", senses.id);
      const remove = document.createElement("button");
      remove.type = "button";
      remove.className = "bc-remove";
      remove.textContent = "\u00d7";
      remove.addEventListener("click", () => {
        const next = row.nextElementSibling || row.previousElementSibling;
        row.remove();
        number();
        store();
        (next ? next.querySelector("input") : add).focus();
      });
      row.append(words, label, remove);
      list.insertBefore(row, before);
      return row;
    };

    const show = () => {
      const rows = Array.isArray(props.value) ? props.value : [];
      if (JSON.stringify(rows) === JSON.stringify(read())) return;
      list.replaceChildren();
      for (const { text, sense } of rows) insert(text, sense, null);
      number();
      suggest();
    };

    add.addEventListener("click", () => {
      const row = insert("", "", null);
      number();
      store();
      row.querySelector("input").focus();
    });
    watch("value", show);
    show();
  };

  window.bertDemo.mountContexts = mount;
})();
