// What the page's own components share: plotly on demand, colours that follow the theme, words, and
// where the page scrolls to. Text always goes in by textContent: what a visitor typed is never markup.
(function () {
  "use strict";

  // The page's language and its translations stand before this script (assets.py).
  const { language, translations } = window.bertDemo;
  const root = document.documentElement;
  root.lang = language;
  // Gradio writes the browser's language there when it begins, once.
  new MutationObserver((_, observer) => {
    observer.disconnect();
    root.lang = language;
  }).observe(root, { attributeFilter: ["lang"] });
  // Dates follow the reader's own settings where the page is in its first language.
  const locale = language === "en" ? [] : language;

  // English words in the page's language, with values in place of the names in braces.
  function say(text, values) {
    const words = translations[text] ?? text;
    return values ? words.replace(/\{(\w+)\}/g, (_, name) => values[name]) : words;
  }

  let loading = null;

  function plotly() {
    // The address is in the page's head; the script is fetched when a figure first needs it.
    loading ??= new Promise((resolve, reject) => {
      if (window.Plotly) return resolve(window.Plotly);
      const script = document.createElement("script");
      script.src = document.querySelector('meta[name="bert-demo-plotly"]').content;
      script.onload = () => resolve(window.Plotly);
      script.onerror = () => { loading = null; reject(new Error("plotly.js did not load")); };
      document.head.append(script);
    });
    return loading;
  }

  function make(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name === "class") node.className = value;
      else if (name === "text") node.textContent = value;
      else if (value !== null && value !== undefined) node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  }

  // The same for a part of a picture.
  function draw(tag, attributes, text) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    return node;
  }

  function colour(name) {
    return getComputedStyle(document.body).getPropertyValue(name).trim();
  }

  function onThemeChange(callback) {
    let dark = document.body.classList.contains("dark");
    new MutationObserver(() => {
      const now = document.body.classList.contains("dark");
      if (now !== dark) { dark = now; callback(); }
    }).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  }

  const group = say("1,000").slice(1, -3), point = say("0.5").slice(1, -1);

  function whole(value) {
    return Math.round(value).toLocaleString("en-GB").replaceAll(",", group);
  }

  // A number with so many decimals, as the page's language writes it, with a true minus sign.
  function fixed(value, digits) {
    return value.toFixed(digits).replace(".", point).replace("-", "−");
  }

  function duration(seconds) {
    if (seconds < 10) return say("{n} s", { n: fixed(seconds, 1) });
    if (seconds < 120) return say("{n} s", { n: Math.round(seconds) });
    if (seconds < 7200) return say("{n} min", { n: Math.round(seconds / 60) });
    return say("{n} h", { n: fixed(seconds / 3600, 1) });
  }

  function bytes(count) {
    return count >= 1e9 ? fixed(count / 1e9, 1) + " GB" : Math.round(count / 1e6) + " MB";
  }

  // Takes whoever pressed a button to a node, and again while what is above it still grows, unless
  // he goes elsewhere.
  function goTo(node, block = "start") {
    if (!node) return;
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const go = (behavior) => node.scrollIntoView({ block, behavior });
    let seen = false;
    const growth = new ResizeObserver(() => { if (seen) go("auto"); seen = true; });
    const moves = ["wheel", "touchstart", "pointerdown", "keydown"];
    const leave = () => {
      growth.disconnect();
      for (const move of moves) window.removeEventListener(move, leave);
    };
    go(still ? "auto" : "smooth");
    growth.observe(document.body);
    for (const move of moves) window.addEventListener(move, leave, { passive: true });
    window.setTimeout(leave, 4000);
  }

  // On a phone the result lies below the form: whoever asks for it is taken there.
  function reveal(id) {
    const node = document.getElementById(id);
    if (!node || window.innerWidth > 900) return;
    const { top } = node.getBoundingClientRect();
    if (top < 0 || top >= window.innerHeight * 0.6) goTo(node);
  }

  Object.assign(window.bertDemo,
    { say, locale, plotly, make, draw, colour, onThemeChange, whole, fixed, separators: point + group, duration, bytes,
      goTo, reveal });
})();
