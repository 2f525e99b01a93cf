// The moments that a run has kept: a slider, and Play, which asks about one after the other.
(function () {
  "use strict";
  const { say, make, whole } = window.bertDemo;
  const PAUSE = 900;

  window.bertDemo.mountMoments = function (root, props, watch, trigger) {
    const play = make("button", { type: "button", class: "bd-button bd-film-play" });
    const slider = make("input", { type: "range", min: 0, step: 1, "aria-label": say("Moment of training") });
    const when = make("span", { class: "bd-film-when" });
    const bar = make("div", { class: "bd-film-bar" }, make("span", { class: "bd-film-as", text: say("As it was") }), play, slider, when);
    root.replaceChildren(bar);
    let timer = null;

    const steps = () => (props.value && props.value.steps) || [];
    const words = (place) => place < steps().length
      ? say("after step {n}", { n: whole(steps()[place]) }) : say("at the end");

    function show() {
      const place = steps().indexOf(props.value && props.value.at);
      bar.hidden = !steps().length;
      slider.max = steps().length;
      slider.value = place < 0 ? steps().length : place;
      tell();
    }

    function tell() {
      when.textContent = words(Number(slider.value));
      slider.setAttribute("aria-valuetext", when.textContent);
    }

    function ask() {
      tell();
      const at = steps()[Number(slider.value)] ?? null;
      props.value = { ...props.value, at };
      trigger("select", { at });
    }

    function stop() {
      clearInterval(timer);
      timer = null;
      play.textContent = say("Play");
    }

    function next() {
      slider.value = Number(slider.value) + 1;
      ask();
      if (Number(slider.value) >= steps().length) stop();
    }

    // What is passed over on the way is not asked about.
    slider.addEventListener("input", () => { stop(); tell(); });
    slider.addEventListener("change", ask);
    play.addEventListener("click", () => {
      if (timer) return stop();
      if (Number(slider.value) >= steps().length) slider.value = -1;
      timer = setInterval(next, PAUSE);
      play.textContent = say("Stop");
      if (Number(slider.value) <= 0) { slider.value = 0; ask(); } else next();
    });
    stop();
    watch("value", show);
    show();
  };
})();
