/** Runs the networks beside the page, so that it never waits. */

import { Analyzer } from "./analyzer";
import type { FrameResult } from "./documents";
import type { Pixels } from "./pixels";
import type { Call, Reply, Request } from "./protocol";
import { FaceStream } from "./stream";

interface Scope {
  onmessage: ((event: MessageEvent<Call>) => void) | null;
  postMessage(reply: Reply): void;
}

const scope = self as unknown as Scope;
const streams = new Map<number, FaceStream>();
let analyzer: Analyzer | undefined;
let canvas: OffscreenCanvas | undefined;
// Calls are answered in order: a stream needs its frames one after the other.
let last: Promise<unknown> = Promise.resolve();

scope.onmessage = ({ data: { id, ...request } }) => {
  last = last.then(() => answer(request as Request)).then(
    (result) => {
      scope.postMessage({ id, result });
      // In the background; what fails is tried again when it is needed.
      if (result) analyzer?.openRest().catch(() => undefined);
    },
    (error: unknown) => {
      const { name, message } = error instanceof Error ? error : new Error(String(error));
      scope.postMessage({ id, error: { name, message } });
    },
  );
};

async function answer(request: Request): Promise<FrameResult | null> {
  switch (request.type) {
    case "create":
      analyzer = await Analyzer.create(request.options);
      return null;
    case "analyze":
      return required().analyze(pixelsOf(request.image), request.options);
    case "open":
      streams.set(request.stream, new FaceStream(required(), request.options));
      return null;
    case "frame": {
      const stream = streams.get(request.stream);
      const image = pixelsOf(request.image);
      if (!stream) throw new Error("expected an open stream, got a frame of one that was closed");
      if (request.options) stream.options = request.options;
      return stream.update(image, request.timestampS);
    }
    case "close":
      streams.delete(request.stream);
      return null;
    case "dispose":
      streams.clear();
      await analyzer?.dispose();
      analyzer = undefined;
      return null;
  }
}

function required(): Analyzer {
  if (!analyzer) throw new Error("expected a call of create before, got none");
  return analyzer;
}

function pixelsOf(image: ImageBitmap): Pixels {
  const { width, height } = image;
  if (canvas?.width !== width || canvas.height !== height) canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("expected a 2D canvas in the worker, got none; use a current browser");
  // White below transparent pixels, as in Python.
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.drawImage(image, 0, 0);
  image.close();
  return context.getImageData(0, 0, width, height);
}
