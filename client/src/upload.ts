/** The photo and video pages: choose, drop or paste a file, which is analyzed on this device or sent to the server. */

import { offerCorrections } from "./correct";
import { linkFaces } from "./faces";
import { deviceAddresses, find, showPlace } from "./page";
import { notice, PhotoAnalyzer } from "./photo";
import { drawInLanguage } from "./pictures";
import { offerPriors } from "./prior";
import { analyzeVideo, uploadVideo } from "./video";
import { t } from "./words";

const form = find<HTMLFormElement>("[data-drop]");
const input = find<HTMLInputElement>('input[type="file"]', form);
const title = find(".drop-title");
const isVideo = form.dataset["drop"] === "video";

document.documentElement.classList.add("js");
const result = document.querySelector<HTMLElement>(".result[data-result]");
if (result) connect(result);
input.addEventListener("change", () => input.files?.length && onFile());
addEventListener("paste", (event) => useFiles(event.clipboardData?.files));
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
  useFiles(event.dataTransfer?.files);
});

function connect(shown: HTMLElement): void {
  linkFaces(shown);
  offerCorrections(shown);
  void drawInLanguage(shown).catch(() => undefined).then(() => offerPriors(shown));
}

function useFiles(files: FileList | undefined): void {
  if (!files?.length || (isVideo && form.hasAttribute("aria-busy"))) return;
  input.files = files;
  onFile();
}

/** A photo is analyzed at once, or after those that are under way; a video has options to set first. */
function onFile(): void {
  if (isVideo) title.textContent = input.files?.[0]?.name ?? title.textContent;
  else form.requestSubmit();
}

const engineChoice = form.querySelector<HTMLSelectElement>("[data-engine-choice]");
const photos = new PhotoAnalyzer(deviceAddresses(form));
if (!isVideo) {
  const prepare = () => form.dataset["engine"] === "device" && photos.prepare();
  input.addEventListener("click", prepare, { once: true });
  addEventListener("dragenter", prepare, { once: true });
}

/** Where files are analyzed: `data-engine` of the form says what is in use. */
function use(engine: string): void {
  form.dataset["engine"] = engine;
  if (engineChoice) engineChoice.value = engine;
  showPlace(engine);
}

if (engineChoice) {
  engineChoice.addEventListener("change", () => use(engineChoice.value));
  // Models of one's own are on the server.
  const model = form.querySelector<HTMLSelectElement>("[data-model-choice]");
  model?.addEventListener("change", () => use(model.value ? "server" : "device"));
  use(engineChoice.dataset["engineChoice"] ?? "device");
}
document.addEventListener("submit", (event) => {
  const sent = event.target as HTMLFormElement;
  if (sent !== form && !sent.closest(".samples")) return;
  event.preventDefault();
  if (form.hasAttribute("aria-busy")) return;
  void whileBusy(() => (isVideo ? sendVideo() : showPhotos(sent, event.submitter)));
});

/** One task at a time; the form says that it runs. */
async function whileBusy(task: () => Promise<void>): Promise<void> {
  const titleBefore = title.textContent;
  const buttons = document.querySelectorAll<HTMLButtonElement>("[data-drop] button[type=submit], .samples button");
  form.setAttribute("aria-busy", "true");
  for (const button of buttons) button.disabled = true;
  title.removeAttribute("role");
  title.textContent = t("Analyzing…");
  try {
    await task();
    if (!isVideo) title.textContent = t("Drop other photos here");
  } catch (error) {
    title.textContent = isVideo && error instanceof Error ? error.message : titleBefore;
    title.setAttribute("role", "alert");
  }
  for (const button of buttons) button.disabled = false;
  form.removeAttribute("aria-busy");
  if (!isVideo && input.files?.length) form.requestSubmit();
}

async function showPhotos(sent: HTMLFormElement, submitter: HTMLElement | null): Promise<void> {
  // The submitter was disabled a moment ago.
  const sample = submitter instanceof HTMLButtonElement && submitter.name === "sample" ? submitter : null;
  if (form.dataset["engine"] !== "device") {
    const data = new FormData(sent);
    if (sample) data.set("sample", sample.value);
    const model = form.querySelector<HTMLSelectElement>("[data-model-choice]");
    if (model) data.set("model", model.value);
    input.value = "";
    replaceResult(await answerOf(data));
  } else {
    try {
      const chosen = [...(input.files ?? [])];
      input.value = "";
      const files = sample ? [await sampleFile(sample)] : chosen;
      const count = files.length;
      replaceResult(await photos.show(files, (number) => {
        if (count > 1) title.textContent = t("Analyzing %(number)s of %(count)s…", { number, count });
      }));
    } catch (error) {
      console.warn(`mien: ${error instanceof Error ? error.message : String(error)}`);
      const maySend = engineChoice?.closest("label")?.hidden === false;
      if (maySend) use("server");
      replaceResult(notice(maySend
        ? t("This browser cannot analyze photos itself. Choose the file again to send it to the server.")
        : t("This browser cannot analyze frames. Use a current browser.")));
    }
  }
}

async function sampleFile(sample: HTMLButtonElement): Promise<File> {
  const blob = await (await fetch(find<HTMLImageElement>("img", sample).src)).blob();
  return new File([blob], sample.value, { type: blob.type });
}

/** The server's answer to photos: the elements of their results, or what is wrong. */
async function answerOf(data: FormData): Promise<HTMLElement> {
  try {
    const answer = await fetch(location.pathname, { method: "POST", body: data, headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.querySelector<HTMLElement>("main > [data-result]");
    if (found) return document.adoptNode(found);
    // The page's own, or that of an error page, whose first words are also those of the page without a photo.
    const said = page.querySelector("main > .notice") ?? page.querySelector("main > .lead.narrow > h1 + p");
    const message = said?.textContent?.trim();
    return notice(message || t("The server does not respond. Try again in a moment."));
  } catch {
    return notice(t("Server unreachable. Try again."));
  }
}

function replaceResult(shown: HTMLElement): void {
  for (const old of document.querySelectorAll<HTMLElement>("[data-result]")) {
    for (const shown of old.querySelectorAll("img, image, a[download]")) {
      const held = shown.getAttribute("src") ?? shown.getAttribute("href") ?? "";
      if (held.startsWith("blob:")) URL.revokeObjectURL(held);
    }
    old.remove();
  }
  for (const old of document.querySelectorAll<HTMLElement>("main > .notice")) old.hidden = true;
  // The result is what one sees first; who hears the page still needs its heading.
  const heading = document.querySelector<HTMLElement>("main > .lead > h1");
  heading?.classList.add("visually-hidden");
  heading?.parentElement?.replaceWith(heading);
  form.classList.add("small");
  form.before(shown);
  if (shown.matches(".result")) connect(shown);
  shown.scrollIntoView({ block: "nearest" });
}

async function sendVideo(): Promise<void> {
  const video = input.files?.[0];
  if (!video) return;
  const bar = find<HTMLProgressElement>("[data-upload]");
  const stop = find<HTMLButtonElement>("[data-stop]", form);
  const onDevice = form.dataset["engine"] === "device";
  const ended = new AbortController();
  title.textContent = onDevice ? t("Analyzing…") : video.name;
  bar.hidden = false;
  bar.value = 0;
  stop.hidden = !onDevice;
  stop.onclick = () => ended.abort();
  try {
    const show = (share: number, text: string): void => {
      bar.value = share;
      title.textContent = text;
    };
    location.assign(await (onDevice ? analyzeVideo(video, form, show, ended.signal) : uploadVideo(video, form, bar)));
  } finally {
    bar.hidden = stop.hidden = true;
  }
}
