// What the theme does not do for those who cannot see or use a mouse, and for pictures.

// The theme puts the button that copies a block into a landmark of its own.
function unmarkButtons() {
  for (const one of document.querySelectorAll(".md-code__nav")) one.role = "presentation";
}

// A table that is wider than the screen can be scrolled by keys.
function reachTables() {
  document.querySelectorAll(".md-typeset__scrollwrap").forEach((one, number) => {
    const wide = one.scrollWidth > one.clientWidth;
    const told = { tabindex: 0, role: "region", "aria-label": `Table ${number + 1}` };
    for (const [name, value] of Object.entries(told)) {
      if (wide) one.setAttribute(name, value);
      else one.removeAttribute(name);
    }
  });
}

// Pictures for the dark are chosen by the page's palette, which may not be the system's.
function matchPictures() {
  const dark = document.body.dataset.mdColorScheme === "slate";
  for (const one of document.querySelectorAll("picture source")) one.media = dark ? "all" : "not all";
}

function look() {
  unmarkButtons();
  reachTables();
}

new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
new MutationObserver(matchPictures).observe(document.body, { attributeFilter: ["data-md-color-scheme"] });
addEventListener("resize", reachTables);
document.querySelector(".md-search").ariaLabel = "Search";
look();
matchPictures();
