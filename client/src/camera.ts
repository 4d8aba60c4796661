/** The server camera page: the video is one stream, the results are another. */

import { find, SERVER_UNREACHABLE } from "./page";
import { PeopleView } from "./people";
import { type FrameResult, serverMs } from "./result";
import { Timeline } from "./timeline";
import { decimal } from "./words";

const root = find("[data-server-camera]");
const pick = <T extends HTMLElement = HTMLElement>(name: string): T => find<T>(`[data-${name}]`, root);
const timeline = new Timeline(pick("timeline-title"), pick("plot"), pick("legend"));
const people = new PeopleView(pick("people"), pick("people-empty"), (id) => timeline.choose(id));
const toast = pick("toast");
const arrivals: number[] = [];

const events = new EventSource(root.dataset["serverCamera"] ?? "");
events.addEventListener("result", (event: MessageEvent<string>) => {
  const result = JSON.parse(event.data) as FrameResult;
  const now = performance.now();
  toast.hidden = true;
  people.show(result.faces, now, timeline.add(result.faces, result.timestamp_s ?? 0, now));
  arrivals.push(now);
  while (now - (arrivals[0] ?? now) > 2000) arrivals.shift();
  pick("fps").textContent = decimal(arrivals.length / 2);
  pick("server").textContent = serverMs(result).toFixed(0);
});
events.addEventListener("unavailable", (event: MessageEvent<string>) => {
  toast.textContent = (JSON.parse(event.data) as { message: string }).message;
  toast.hidden = false;
});
events.onerror = () => {
  toast.textContent = SERVER_UNREACHABLE;
  toast.hidden = false;
};
