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

// Blocks of commands are shown as such. Those that are only indented have no lines yet.
function findCommands() {
  for (const one of document.querySelectorAll(":is(.language-bash, .language-text) pre > code")) {
    if (!/^(neural|python3?|pip|hf|cp|printf)\b/.test(one.textContent)) continue;
    one.classList.add("commands");
    if (one.children.length) continue;
    one.replaceChildren(...one.textContent.split(/(?<=\n)/).map((text) => {
      const line = document.createElement("span");
      line.className = "line";
      line.textContent = text;
      return line;
    }));
  }
}

// An option does not break after its hyphens.
function keepOptions() {
  for (const one of document.querySelectorAll(":not(pre) > code, .commands")) {
    const walker = document.createTreeWalker(one, NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walker.nextNode()) texts.push(walker.currentNode);
    for (const text of texts) {
      const parts = text.data.split(/(?<![\w-])(--?[a-z][\w-]*)/);
      if (parts.length === 1) continue;
      text.replaceWith(...parts.map((part, number) => {
        if (number % 2 === 0) return part;
        const kept = document.createElement("span");
        kept.className = "option";
        kept.textContent = part;
        return kept;
      }));
    }
  }
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
findCommands();
keepOptions();
look();
matchPictures();
