// The page's address holds what is shown: the tab, the run, the film's moment and what a tab was
// asked. Back and Forward go through the tabs that were opened; a link shows the same elsewhere.
(function () {
  "use strict";
  const { say } = window.bertDemo;
  // The tabs in the order of the page.
  const TABS = ["pretrain", "words", "finetune", "nli", "blank", "runs"];
  // What is said of one tab alone, and goes when another is opened.
  const OWN = {
    words: ["models", "layer", "word", "contexts"], nli: ["model", "premise", "hypothesis"],
    blank: ["model", "text"], pretrain: ["frame"], finetune: ["frame"], runs: [],
  };
  let brought = "", leading = false;

  const buttons = () => [...document.querySelectorAll("button[role=tab]")];
  const query = () => new URL(window.location.href).searchParams;

  // Write what is shown into the address, in place of the last entry of the browser's history or
  // as a new one.
  function write(change, push) {
    const url = new URL(window.location.href);
    change(url.searchParams);
    // A code in an address could be read off a projected page.
    url.searchParams.delete("admin");
    if (url.href === window.location.href) return;
    window.history[push ? "pushState" : "replaceState"](null, "", url);
  }

  // Values by name; an empty one is left out.
  function note(values) {
    write((params) => {
      for (const [name, value] of Object.entries(values)) {
        const text = typeof value === "string" ? value : value == null ? "" : JSON.stringify(value);
        if (text && text !== "[]") params.set(name, text);
        else params.delete(name);
      }
    });
  }

  function remember(run) {
    if (run) brought = "";
    write((params) => {
      if (run) params.set("run", run);
      else params.delete("run");
    });
  }

  // Open a tab, and bring a model along where one is named.
  function open(tab, model) {
    brought = model || "";
    buttons()[TABS.indexOf(tab)]?.click();
    window.scrollTo({ top: 0 });
  }

  // The id of the model that a tab that opens should show: the one brought along, or the run's.
  function carried() {
    const run = query().get("run");
    return brought || (run ? `run/${run}` : "");
  }

  function shownTab() {
    return TABS[buttons().findIndex((tab) => tab.getAttribute("aria-selected") === "true")];
  }

  function title() {
    const words = buttons()[TABS.indexOf(shownTab())]?.textContent.trim() || "";
    document.title = words ? `${words.replace(/^\d /, "")} · bert_demo` : "bert_demo";
  }

  function opened(tab) {
    if (!tab || leading) return;
    const before = query().get("tab") || TABS[0];
    write((params) => {
      params.set("tab", tab);
      for (const name of tab === before ? [] : OWN[before] || []) params.delete(name);
    }, tab !== before);
  }

  new MutationObserver(() => {
    if (!buttons().length) return;
    title();
  }).observe(document.documentElement, { subtree: true, attributeFilter: ["aria-selected"] });

  document.addEventListener("click", (event) => {
    const place = buttons().indexOf(event.target.closest?.("button[role=tab]"));
    if (place >= 0) opened(TABS[place]);
  });
  // Arrow keys go from tab to tab, as screen readers' users know it.
  document.addEventListener("keydown", (event) => {
    const all = buttons(), place = all.indexOf(document.activeElement);
    const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (place < 0 || !way) return;
    event.preventDefault();
    const next = all[(place + way + all.length) % all.length];
    next.click();
    next.focus();
  });
  window.addEventListener("popstate", () => {
    leading = true;
    buttons()[TABS.indexOf(query().get("tab") || TABS[0])]?.click();
    leading = false;
  });

  // The teacher's code is read at once and kept by the browser; here it would be projected.
  const asked = window.location.search;
  write(() => {});

  function presenting() {
    return query().get("present") === "1";
  }

  function present(on) {
    write((params) => (on ? params.set("present", "1") : params.delete("present")));
    document.body.classList.toggle("bd-present", on);
    window.dispatchEvent(new Event("resize"));
  }

  // The buttons of the page's head.
  function header(element) {
    const [link, show] = element.querySelectorAll("button");
    link.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(window.location.href);
        link.textContent = say("Copied");
      } catch (error) {
        window.prompt(say("The link to what is shown:"), window.location.href);
      }
      setTimeout(() => { link.textContent = say("Copy link"); }, 2000);
    });
    show.addEventListener("click", () => {
      present(!presenting());
      told();
    });
    const told = () => { show.textContent = presenting() ? say("Stop presenting") : say("Present"); };
    present(presenting());
    told();
    window.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && presenting()) show.click();
    });
  }

  Object.assign(window.bertDemo, { asked, note, remember, open, carried, header });
})();
