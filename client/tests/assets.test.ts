import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AssetError, loadSpec } from "../mien-web/src/assets";

let server: Server;
let assets: string;

beforeAll(async () => {
  server = createServer((request, response) => {
    if (request.url === "/page.json") return response.end("<!doctype html>");
    response.writeHead(200, { "Content-Length": 100 }).write('{"name":');
    return setTimeout(() => response.destroy(), 20);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  assets = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});

afterAll(() => server.close());

test.each([
  ["page", "expected the JSON of a model"],
  ["cut", "got no whole answer"],
])("says what is wrong with the spec of %s", async (name, message) => {
  const found = await loadSpec(assets, name).catch((error: unknown) => error);
  expect(found).toBeInstanceOf(AssetError);
  expect(String(found)).toContain(message);
});
