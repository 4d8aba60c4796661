import { find, SERVER_UNREACHABLE } from "./page";
import { dateTime, t } from "./words";

/** The name of a session that begins now, in the language and time zone of the visitor. */
export function proposedName(): string {
  return t("Live, %(time)s", { time: dateTime(new Date()) });
}

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
  const proposed = proposedName();
  name.value = proposed;
  form.showPopover();
  name.select();
  form.onsubmit = (event) => {
    event.preventDefault();
    form.hidePopover();
    // Not the button that ended the recording: another press of Enter would start the next one.
    pick("stage").focus({ preventScroll: true });
    void fetch(`/api/v1${link.pathname}`, {
      method: "PATCH",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ name: name.value.trim() || proposed }),
    }).then(
      ({ ok }) => {
        if (ok) showMessage(t("Named. The session is in your sessions."), false, 2500);
        else showMessage(t("The name could not be saved."), true, 4000);
      },
      () => showMessage(SERVER_UNREACHABLE, true, 4000),
    );
  };
}
