// Of a drawn figure: texts that lie over one another, and texts that its edge cuts off, each as a sentence.
// A box is the text's own, turned as the text is, one pixel smaller on each side.
(box) => {
  const frame = box.getBoundingClientRect();
  const corners = (text) => {
    const { x, y, width, height } = text.getBBox(), m = text.getScreenCTM();
    const at = (a, b) => ({ x: m.a * a + m.c * b + m.e, y: m.b * a + m.d * b + m.f });
    return [at(x + 1, y + 2), at(x + width - 1, y + 2), at(x + width - 1, y + height - 2), at(x + 1, y + height - 2)];
  };
  // Two convex shapes are apart when a side of one of them has all of the other beyond it.
  const apart = (one, other) => one.some((a, i) => {
    const b = one[(i + 1) % 4], side = (p) => (b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x);
    return other.every((p) => side(p) <= 0);
  });
  const texts = [...box.querySelectorAll(".main-svg text")].filter((text) => text.textContent.trim() && !text.closest(".hoverlayer, .legendtoggle"))
    .map((text) => ({ words: text.textContent, at: corners(text), size: text.getBBox() })).filter((one) => one.size.width > 2);
  const found = [];
  texts.forEach((one, i) => {
    if (one.at.some((p) => p.x < frame.left || p.x > frame.right || p.y < frame.top || p.y > frame.bottom)) found.push(`cut off: ${one.words}`);
    for (const other of texts.slice(i + 1)) {
      if (!apart(one.at, other.at) && !apart(other.at, one.at)) found.push(`${one.words} | ${other.words}`);
    }
  });
  return found;
}
