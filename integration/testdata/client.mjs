// Asks a server by fetch, and prints what comes back. The same lines must come from the origin and through the proxy.
import { createHash } from "node:crypto";

const base = process.argv[2];

async function tell(name, r, ...more) {
  const body = Buffer.from(await r.arrayBuffer());
  const sum = createHash("sha256").update(body).digest("hex").slice(0, 16);
  console.log(name, r.status, sum, body.length, ...more);
}

for (const name of ["text", "gzip", "big", "chunked", "gr%C3%BC%C3%9Fe?a=1&b=%20", "missing"]) {
  const r = await fetch(`${base}/${name}`);
  await tell(name, r, r.headers.get("content-type"), r.headers.get("x-double"));
}
let r = await fetch(base + "/redirect");
await tell("redirect", r, r.url.slice(base.length), r.redirected);
await tell("post", await fetch(base + "/echo", { method: "POST", body: JSON.stringify({ a: "b" }), headers: { "content-type": "application/json" } }));
const stream = new ReadableStream({
  start(c) {
    for (let i = 0; i < 1000; i++) c.enqueue(new TextEncoder().encode(`piece ${i}\n`));
    c.close();
  },
});
await tell("put", await fetch(base + "/echo", { method: "PUT", body: stream, duplex: "half" }));
r = await fetch(base + "/big", { method: "HEAD" });
await tell("head", r, r.headers.get("content-length"));
r = await fetch(base + "/big", { headers: { range: "bytes=10-19" } });
await tell("range", r, r.headers.get("content-range"));
r = await fetch(base + "/page");
const tag = r.headers.get("etag");
await r.arrayBuffer();
await tell("condition", await fetch(base + "/page", { headers: { "if-none-match": tag } }));
r = await fetch(base + "/events");
let events = "";
for await (const chunk of r.body) events += new TextDecoder().decode(chunk);
console.log("events", JSON.stringify(events));
try {
  await (await fetch(base + "/broken")).arrayBuffer();
  console.log("broken whole");
} catch (e) {
  console.log("broken", e.name);
}
