/** Dropping a file on the page, or pasting one, is choosing it. */

import { find } from "./page";

export function acceptFiles(onChosen: (form: HTMLFormElement) => void): void {
  document.documentElement.classList.add("js");
  const form = find<HTMLFormElement>("[data-drop]");
  const input = find<HTMLInputElement>('input[type="file"]', form);
  const take = (files: FileList | undefined): boolean => {
    if (!files?.length) return false;
    input.files = files;
    onChosen(form);
    return true;
  };
  input.addEventListener("change", () => input.files?.length && onChosen(form));
  addEventListener("paste", (event) => take(event.clipboardData?.files));
  addEventListener("dragover", (event) => {
    event.preventDefault();
    form.classList.add("over");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) form.classList.remove("over");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    take(event.dataTransfer?.files);
  });
}
