/** Single keys that act on the whole page. A visitor can turn them off (WCAG 2.1.4). */

const STORED = "mien-shortcuts";

/**
 * @param choice a checkbox that turns the keys on and off
 * @param help the button that shows the list of keys
 * @param isActive whether keys have a meaning now
 */
export function useKeys(
  choice: HTMLInputElement,
  help: HTMLElement,
  actions: Readonly<Record<string, () => void>>,
  isActive: () => boolean,
): void {
  try {
    choice.checked = localStorage.getItem(STORED) !== "off";
    choice.addEventListener("change", () => localStorage.setItem(STORED, choice.checked ? "on" : "off"));
  } catch {
    // Without storage, the choice applies to this page only.
  }
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !isActive()) return;
    const target = event.target as HTMLElement;
    // Fields take letters and arrows; buttons and links take the space bar.
    if (target.closest("input, select, textarea, [popover]")) return;
    if (event.key === " " && target.closest("button, a, summary")) return;
    if (event.key === "?") return help.click();
    const action = choice.checked ? actions[event.key.length === 1 ? event.key.toLowerCase() : event.key] : undefined;
    if (!action) return;
    event.preventDefault();
    action();
  });
}
