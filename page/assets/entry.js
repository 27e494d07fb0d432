import { blob, get } from "./api.js";
import { code } from "./code.js";
import { h, put, s } from "./dom.js";
import { bytes, clock, duration, shown, shownText } from "./format.js";
import { address, empty, freshness, problem, remove, status, urlText } from "./parts.js";
import { table } from "./entries.js";

// entry shows one stored response.
export default function entry(main, params) {
	const asking = new AbortController();
	const urls = [];
	put(main, h("p", { class: "muted", role: "status" }, "Looking …"));
	get("entry", { id: params.id, url: params.url }, asking.signal).then(show, err => {
		if (err.name === "AbortError") return;
		put(main, err.status === 404 ? empty("It is not stored any more", "It has been removed, or replaced by a newer response.") : problem(err, () => entry(main, params)),
			h("p", { class: "center" }, h("a", { class: "button", "data-key": "u", href: "#/entries" }, "To the list")));
	});

	function show({ entry: e, row, life, preview, variants, as_of }) {
		const gone = () => location.hash = "#/entries";
		const host = /^[a-z]+:\/\/([^/?#]+)/.exec(e.url)?.[1];
		put(main,
			h("p", { class: "crumbs" }, h("a", { "data-key": "u", title: "Up (u)", href: "#/entries" }, "Entries"), host && [" / ", h("a", { href: address("entries", { host }) }, shown(host))]),
			h("h1", { class: "entry-url" }, e.method !== "GET" && h("span", { class: "method" }, shown(e.method)), urlText(e.url)),
			h("div", { class: "bar" },
				h("p", { class: "facts" }, status(e.status), h("span", null, shown(preview.type || "no type")), h("span", { class: "num" }, bytes(e.size)), freshness(row, as_of)),
				h("div", { class: "inline" },
					h("a", { class: "button", "data-key": "w", title: "What would happen to this request now (w)", href: address("why", { url: e.url, method: e.method, header: selecting(e) }) }, "Why?"),
					h("button", { type: "button", "data-key": "x", title: "Remove (x)", click: () => remove({ id: e.id, url: e.url }, "Remove this response", gone) }, "Remove …"),
					variants.length > 1 && h("button", { type: "button", click: () => remove({ url: e.url }, "Remove all of this URL", gone) }, "All of this URL …"))),
			h("section", { class: "card" }, h("h2", null, "Its life"), timeline(life)),
			h("section", { class: "card" }, h("h2", null, "Body"), body(e, preview)),
			h("div", { class: "columns" },
				h("section", { class: "card" }, h("h2", null, "Head of the response"), fields(e.header), e.trailer && [h("h3", null, "Trailer"), fields(e.trailer)]),
				h("section", { class: "card" }, h("h2", null, "How it is kept"), details(e))),
			variants.length > 1 && h("section", null, h("h2", null, "All that is stored of this URL"), table(variants, as_of, e.id)));
	}

	function body(e, p) {
		const raw = { id: e.id, url: e.url };
		const note = [];
		if (p.range) note.push("a part of the body: " + shown(p.range));
		if (p.coding) note.push(p.unpacked ? "unpacked from " + shown(p.coding) : "packed as " + shown(p.coding));
		if (p.sniffed) note.push("its type is a guess");
		if (p.width) note.push(`${p.width} × ${p.height} pixels`);
		if (p.text && !p.whole) note.push("the beginning");
		const out = h("div", { class: "body" });
		if (p.error) out.append(h("div", { class: "problem" }, h("strong", null, "The body cannot be read."), " ", shown(p.error)));
		if (p.kind === "empty" && !p.error) out.append(h("p", { class: "muted" }, "There is none."));
		if (p.image) out.append(picture(raw, p));
		if (p.text) out.append(code(shownText(p.text), p.language));
		out.append(h("div", { class: "bar" }, h("p", { class: "muted" }, note.join(" · ")),
			p.kind !== "empty" && (e.size <= 64 << 20 ? h("button", { type: "button", click: ev => save(ev.target, raw, e) }, "Save " + bytes(e.size))
				: h("span", { class: "muted" }, "larder show --body writes it to a file"))));
		return out;
	}

	// picture shows an image by its bytes, since an img cannot send the token. A drawing (SVG) becomes a data: URL, which has no
	// origin wherever it is opened.
	function picture(raw, p) {
		const img = h("img", { alt: "The stored image", width: p.width || null, height: p.height || null });
		const box = h("div", { class: "picture" }, img);
		img.addEventListener("error", () => put(box, h("p", { class: "muted" }, "This is no image that the browser can show.")));
		if (p.language) img.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(p.text);
		else blob("body", raw, asking.signal).then(b => {
			urls.push(URL.createObjectURL(b));
			img.src = urls.at(-1);
		}, err => err.name !== "AbortError" && put(box, problem(err)));
		return box;
	}

	async function save(button, raw, e) {
		button.disabled = true;
		try {
			const b = await blob("body", raw, asking.signal);
			const url = URL.createObjectURL(new Blob([b], { type: "application/octet-stream" }));
			const name = e.url.replace(/[?#].*$/, "").split("/").pop().replace(/[^\w.-]+/g, "_").replace(/^\.+/, "") || "body";
			h("a", { href: url, download: name }).click();
			setTimeout(() => URL.revokeObjectURL(url), 60000);
		} catch (err) {
			if (err.name !== "AbortError") button.after(problem(err));
		}
		button.disabled = false;
	}

	return () => {
		asking.abort();
		urls.forEach(url => URL.revokeObjectURL(url));
	};
}

// selecting are the fields that a request must have to get this response, as lines.
function selecting(e) {
	return Object.entries(e.request_header ?? {}).filter(([, v]) => v).map(([name, v]) => name + ": " + v.join(", ")).join("\n");
}

function fields(header) {
	const rows = Object.keys(header).sort().flatMap(name => (header[name] ?? [null]).map(v => [name, v]));
	if (!rows.length) return h("p", { class: "muted" }, "It has no fields.");
	return h("dl", { class: "fields" }, rows.map(([name, v]) => h("div", null, h("dt", null, shown(name)), h("dd", null, v == null ? h("em", null, "not sent") : shown(v)))));
}

function details(e) {
	const when = t => t ? clock(t) : "for ever";
	const rows = [
		["Received", clock(e.received)],
		["Age", duration(e.age)],
		["Fresh until", when(e.fresh_until) + (e.set_ttl ? `, as a rule or the caller said (${e.set_ttl})` : "")],
		["Kept until", when(e.keep_until)],
		["Protocol", shown(e.proto)],
		["Id", h("code", null, e.id)],
		["Key", h("code", null, e.key)],
	];
	if (e.tags?.length) rows.splice(4, 0, ["Tags", e.tags.map(t => h("a", { class: "tag", href: address("entries", { tag: t }) }, shown(t)))]);
	const list = [h("dl", { class: "fields" }, rows.map(([name, v]) => h("div", null, h("dt", null, name), h("dd", null, v))))];
	if (e.request_header && Object.keys(e.request_header).length) list.push(h("h3", null, "Selected by these fields of the request"), fields(e.request_header));
	return list;
}

// timeline draws the life of a response. Its scale is bent, so that minutes can be seen beside months.
function timeline({ moments, spans }) {
	const width = 1000, left = 12, right = 12, room = width - left - right;
	const x = at => left + at * room;
	const names = { fresh: "fresh", "stale-while-revalidate": "stale, while it is validated", "stale-if-error": "stale, if the origin fails", kept: "kept" };
	const now = moments.find(m => m.name === "now");
	const bands = spans.map((span, i) => {
		const y = 10 + i * 22, from = x(span.at), to = x(span.to_at);
		return s("g", { class: "span " + span.name },
			s("title", null, names[span.name] ?? span.name),
			s("rect", { x: from, y, width: Math.max(3, to - from), height: 14, rx: 4 }));
	});
	const height = 10 + spans.length * 22 + 6;
	const marks = moments.map(m => s("line", { class: m.name === "now" ? "now" : "", x1: x(m.at), x2: x(m.at), y1: 4, y2: height }));
	const picture = s("svg", { class: "timeline", viewBox: `0 0 ${width} ${height + 4}`, preserveAspectRatio: "none", role: "img",
		"aria-label": "The life of the response: " + moments.map(m => `${m.name} ${clock(m.time)}`).join(", ") }, marks, bands);
	const t = Date.parse(now.time);
	return h("div", { class: "life" }, picture,
		h("div", { class: "legend" }, spans.map(span => h("span", { class: "key " + span.name }, names[span.name] ?? span.name))),
		h("ol", { class: "moments" }, moments.map(m => {
			const by = (Date.parse(m.time) - t) / 1000;
			return h("li", { class: m.name === "now" && "now" }, h("span", null, m.name), h("time", { datetime: m.time, title: clock(m.time) },
				m.name === "now" ? clock(m.time) : by < 0 ? duration(-by) + " ago" : "in " + duration(by)));
		})));
}
