// Draw each .ptl-figure from its numbers when it comes near the screen; once more in other colours when the theme changes,
// and with its panels below one another where the page is narrow.
(function () {
  const colours = () =>
    document.documentElement.dataset.theme === "dark" ? { ink: "#CED6DD", grid: "#48566B" } : { ink: "#333333", grid: "#DDDDDD" };

  function layout(figure, c) {
    const made = structuredClone(figure.layout || {});
    const axis = { gridcolor: c.grid, linecolor: c.ink, zerolinecolor: c.grid, tickcolor: c.ink };
    const house = ((made.template = made.template || {}).layout = made.template.layout || {});
    house.font = { ...house.font, color: c.ink };
    house.xaxis = { ...house.xaxis, ...axis };
    house.yaxis = { ...house.yaxis, ...axis };
    house.paper_bgcolor = house.plot_bgcolor = made.paper_bgcolor = made.plot_bgcolor = "rgba(0,0,0,0)";
    delete made.width;
    return { ...made, autosize: true };
  }

  const NARROW = 500, UNDER = 95; // pixels: below this width panels are stacked; what the names below a panel need

  function stacked(made) {
    const names = Object.keys(made).filter((key) => /^xaxis\d*$/.test(key)).map((key) => key.slice(5));
    const place = (n) => [-(made["yaxis" + n].domain ?? [0, 1])[1], made["xaxis" + n].domain[0]];
    names.sort((a, b) => place(a)[0] - place(b)[0] || place(a)[1] - place(b)[1]);
    const rows = new Set(names.map((n) => place(n)[0])).size;
    const one = Math.max(240, (made.height ?? 380) / rows);
    names.forEach((n, i) => {
      const top = 1 - i / names.length, first = made["yaxis" + names[0]];
      made["xaxis" + n].domain = [0, 1];
      Object.assign(made["yaxis" + n], { domain: [top - (1 - UNDER / one) / names.length, top], title: first.title, showticklabels: first.showticklabels ?? true });
    });
    made.height = one * names.length;
    return made;
  }

  // Lines in black or dark grey would not be seen on a dark page, nor a pale grid beside them.
  const visible = (value, c) =>
    c.ink === "#333333" ? value : JSON.parse(JSON.stringify(value).replace(/"#(00|33|44|55|66)\1\1"/g, `"${c.ink}"`).replace(/"#DDDDDD"/gi, `"${c.grid}"`));

  const fitted = (box, figure, c) => {
    const made = layout(figure, c);
    return made.meta?.narrow === "stacked" && box.clientWidth < NARROW ? stacked(made) : made;
  };

  function draw(box) {
    const c = colours();
    const figure = (box.numbers ??= JSON.parse(box.querySelector("script").textContent));
    Plotly.react(box, visible(figure.data, c), visible(fitted(box, figure, c), c), { responsive: true, displayModeBar: false });
    box.style.minHeight = "";
  }

  function start() {
    const boxes = [...document.querySelectorAll(".ptl-figure")];
    const near = new IntersectionObserver((entries) => entries.forEach((e) => e.isIntersecting && !e.target.numbers && draw(e.target)), { rootMargin: "600px" });
    boxes.forEach((box) => near.observe(box));
    const again = () => boxes.forEach((box) => box.numbers && draw(box));
    new MutationObserver(again).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    window.addEventListener("beforeprint", () => boxes.forEach(draw));
  }

  document.readyState === "loading" ? document.addEventListener("DOMContentLoaded", start) : start();
})();
