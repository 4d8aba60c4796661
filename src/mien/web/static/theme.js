// Runs before the first paint, so that the page does not flash in the wrong theme.
const chosen = (() => {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null;
  }
})();
if (chosen) document.documentElement.dataset.theme = chosen;

addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll("[data-theme-toggle]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const root = document.documentElement;
      const dark = root.dataset.theme
        ? root.dataset.theme === "dark"
        : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      dispatchEvent(new Event("themechange"));
      try {
        localStorage.setItem("theme", root.dataset.theme);
      } catch {
        // Without storage, the theme applies to this page only.
      }
    });
  }
});

// Times in the visitor's own time zone and form; without scripts they are in UTC.
addEventListener("DOMContentLoaded", () => {
  const { lang } = document.documentElement;
  // English is the fallback as well: its form of dates is the browser's.
  const locale = { en: [], ar: "ar-u-nu-latn" }[lang] ?? lang;
  for (const time of document.querySelectorAll("time[datetime]")) {
    const options = { dateStyle: "medium", timeStyle: "short" };
    time.textContent = new Date(time.dateTime).toLocaleString(locale, options);
  }
});
