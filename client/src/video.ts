/** The video page: uploads with a bar, because a video takes a while. */

import { acceptFiles } from "./drop";
import { find } from "./page";

interface Outcome {
  id?: string;
  error?: { message: string };
}

const form = find<HTMLFormElement>("[data-drop]");
const input = find<HTMLInputElement>('input[type="file"]', form);
const bar = find<HTMLProgressElement>("[data-upload]");
const title = find(".drop-title");
const button = find<HTMLButtonElement>('button[type="submit"]', form);

acceptFiles(() => {
  title.textContent = input.files?.[0]?.name ?? title.textContent;
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const video = input.files?.[0];
  if (!video) return;
  const checked = (name: string): string =>
    String(find<HTMLInputElement>(`input[name="${name}"]`, form).checked);
  const data = new FormData();
  data.set("video", video);
  data.set("every", find<HTMLInputElement>('input[name="every"]', form).value);
  data.set("annotate", checked("annotate"));
  data.set("blur_faces", checked("blur_faces"));
  upload(data);
});

function upload(data: FormData): void {
  const request = new XMLHttpRequest();
  button.disabled = true;
  bar.hidden = false;
  request.upload.onprogress = ({ loaded, total }) => {
    bar.value = total ? loaded / total : 0;
  };
  request.onload = () => {
    const outcome = JSON.parse(request.responseText) as Outcome;
    if (outcome.id) location.assign(`/jobs/${outcome.id}`);
    else fail(outcome.error?.message ?? "That did not work.");
  };
  request.onerror = () => fail("The server could not be reached. Try again.");
  request.open("POST", "/api/v1/videos");
  request.send(data);
}

function fail(message: string): void {
  bar.hidden = true;
  button.disabled = false;
  title.textContent = message;
  title.setAttribute("role", "alert");
}
