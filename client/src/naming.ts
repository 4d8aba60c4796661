import { find, SERVER_UNREACHABLE } from "./page";

/** Offer to name the session that was saved, and to open it. */
export function askForName(
  root: HTMLElement,
  sessionId: string,
  showMessage: (text: string, bad: boolean, forMs: number) => void,
): void {
  const pick = <T extends HTMLElement>(name: string): T => find<T>(`[data-${name}]`, root);
  const form = pick<HTMLFormElement>("saved");
  const name = pick<HTMLInputElement>("saved-name");
  const link = pick<HTMLAnchorElement>("saved-link");
  link.href = `${link.pathname.replace(/sessions\/.*/, "sessions")}/${sessionId}`;
  const when = new Date().toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  name.value = `Live, ${when}`;
  form.showPopover();
  name.select();
  form.onsubmit = (event) => {
    event.preventDefault();
    form.hidePopover();
    void fetch(`/api/v1${link.pathname}`, {
      method: "PATCH",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ name: name.value.trim() || `Live, ${when}` }),
    }).then(
      ({ ok }) => {
        if (ok) showMessage("Named. The session is in your sessions.", false, 2500);
        else showMessage("The name could not be saved.", true, 4000);
      },
      () => showMessage(SERVER_UNREACHABLE, true, 4000),
    );
  };
}
