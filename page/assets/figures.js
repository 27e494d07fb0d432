import { get } from "./api.js";
import { chart } from "./charts.js";
import { h, put, s, say } from "./dom.js";
import { bytes, count, duration, percent, shown, took } from "./format.js";
import { address, empty, problem } from "./parts.js";

const outcomes = ["hits", "stale", "revalidated", "misses", "bypassed", "refused"];
const series = [
	{ label: "Hits", colour: "hit" }, { label: "Stale", colour: "stale" }, { label: "Revalidated", colour: "again" },
	{ label: "Misses", colour: "miss" }, { label: "Bypassed or refused", colour: "past" },
];
const seconds = 120;

const requests = c => outcomes.reduce((sum, o) => sum + c[o], 0);
const ratio = c => requests(c) ? (c.hits + c.stale) / requests(c) : 0;
const layers = c => [c.hits, c.stale, c.revalidated, c.misses, c.bypassed + c.refused];

// figures shows what the cache did, and does: it asks once a second while it is seen.
export default function figures(main) {
	const asking = new AbortController();
	const second = Array.from({ length: seconds }, () => [0, 0, 0, 0, 0]);
	let last, lastAt, timer, failed = false, had;

	const ring = s("circle", { class: "share", cx: 20, cy: 20, r: 16, pathLength: 100, "stroke-dasharray": "0 100" });
	const tile = (title, extra) => {
		const value = h("strong", null, "–"), note = h("span", { class: "muted" }, "\u00a0");
		return { value, note, box: h("div", { class: "tile card" }, extra, h("div", null, h("h2", null, title), value, note)) };
	};
	const tiles = {
		ratio: tile("From the store", s("svg", { viewBox: "0 0 40 40", width: 60, height: 60, "aria-hidden": true }, s("circle", { class: "rest", cx: 20, cy: 20, r: 16 }), ring)),
		saved: tile("Bytes saved"), time: tile("Time saved"), stored: tile("Stored"),
	};
	const trouble = h("div", { class: "trouble" });
	const none = h("div");
	const card = title => h("section", { class: "card" }, h("h2", null, title));
	const [live, hour, spread, means] = ["Requests a second, in the last two minutes", "Requests a minute, in the last hour",
		"How long answers take: with the cache, and without", "Mean time to the head, minute by minute"].map(card);
	const hosts = h("tbody"), happened = h("dl", { class: "counts" });
	const all = h("div", null,
		h("div", { class: "charts" }, live, hour, spread, means),
		h("section", { class: "card" }, h("h2", null, "By host"), h("div", { class: "scroll" }, h("table", { class: "hosts" },
			h("thead", null, h("tr", null, ["Host", "Requests", "", "Hits", "Saved", "With the cache", "Without"].map(c => h("th", { scope: "col" }, c)))), hosts))),
		h("section", { class: "card" }, h("h2", null, "What else happened"), happened));
	main.replaceChildren(h("h1", { class: "sr" }, "Figures"), trouble, h("div", { class: "tiles" }, Object.values(tiles).map(t => t.box)), none, all);

	const minuteText = t => new Date(t * 1000).toLocaleTimeString("sv", { hour: "2-digit", minute: "2-digit" });
	const bucketText = i => took(1e-6 * 2 ** i).replace(/\.0 /, " ");
	const charts = [
		chart(live, { label: "Requests a second", series, stacked: true, xText: v => v === 0 ? "now" : `${-v} s ago`, xSplits: () => [-120, -90, -60, -30, 0], yText: v => Number.isInteger(v) ? count(v) : "" }),
		chart(hour, { label: "Requests a minute", series, stacked: true, bars: true, xText: v => minuteText(v * 60), yText: v => Number.isInteger(v) ? count(v) : "" }),
		chart(spread, { label: "Answers by how long they took", series: [{ label: "From the store", colour: "hit" }, { label: "Of the origin", colour: "miss" }], bars: true,
			xText: (v, exact) => (exact ? "up to " : "") + bucketText(v), xSplits: (u, i, min, max) => Array.from({ length: 27 }, (_, k) => k).filter(k => k >= min && k <= max && k % 3 === 0), yText: v => Number.isInteger(v) ? count(v) : "" }),
		chart(means, { label: "Mean time to the head", series: [{ label: "From the store", colour: "hit" }, { label: "Of the origin", colour: "miss" }], log: true, xText: v => minuteText(v * 60), yText: v => v === 0 ? "0" : took(v) }),
	];

	async function tick() {
		if (document.hidden) return;
		try {
			show(await get("figures", null, asking.signal));
			if (failed) put(trouble);
			failed = false;
		} catch (err) {
			if (err.name === "AbortError" || err.status === 401) return;
			if (!failed) put(trouble, problem(err));
			failed = true;
		}
		timer = setTimeout(tick, 1000);
	}

	function show(f) {
		const now = Date.parse(f.now), t = f.total, n = requests(t);
		const is = n > 0;
		if (is !== had) {
			had = is;
			put(none, !is && empty("No request yet", "As soon as a program sends requests through this cache, they are counted here.", "What is stored is under Entries."));
			all.hidden = !is;
		}
		say(tiles.ratio.value, percent(ratio(t)));
		say(tiles.ratio.note, `${count(t.hits + t.stale)} of ${count(n)} requests`);
		ring.setAttribute("stroke-dasharray", `${ratio(t) * 100} 100`);
		say(tiles.saved.value, bytes(t.saved));
		say(tiles.saved.note, `${bytes(t.fetched)} fetched`);
		say(tiles.time.value, took(t.time_saved));
		say(tiles.time.note, t.store_mean && t.origin_mean ? `${took(t.store_mean)} instead of ${took(t.origin_mean)}` : "no comparison yet");
		say(tiles.stored.value, f.responses == null ? "–" : count(f.responses));
		say(tiles.stored.note, f.bytes == null ? "the store does not say" : f.responses === 1 ? "response, " + bytes(f.bytes) : "responses, " + bytes(f.bytes));
		if (!is) {
			last = layers(t);
			lastAt = now;
			return;
		}

		const sum = layers(t);
		if (last) {
			const passed = Math.max(1, Math.min(seconds, Math.round((now - lastAt) / 1000)));
			const grown = sum.map((v, i) => Math.max(0, v - last[i]) / passed);
			for (let i = 0; i < passed; i++) {
				second.shift();
				second.push(grown);
			}
		}
		last = sum;
		lastAt = now;
		charts[0].set(second.map((_, i) => i - seconds + 1), ...sum.map((_, k) => second.map(v => v[k])));

		const minute = Math.floor(now / 60000);
		const xs = Array.from({ length: 60 }, (_, i) => minute - 59 + i), by = new Map(f.minutes.map(m => [Math.floor(Date.parse(m.time) / 60000), m]));
		charts[1].set(xs, ...sum.map((_, k) => xs.map(x => by.has(x) ? layers(by.get(x))[k] : 0)));
		const some = f.store_times.map((v, i) => v + f.origin_times[i]);
		const from = Math.max(0, some.findIndex(Boolean) - 1), to = Math.min(26, some.findLastIndex(Boolean) + 1);
		const buckets = Array.from({ length: to - from + 1 }, (_, i) => from + i);
		charts[2].set(buckets, buckets.map(i => f.store_times[i]), buckets.map(i => f.origin_times[i]));
		charts[3].set(xs, xs.map(x => by.get(x)?.store_mean || null), xs.map(x => by.get(x)?.origin_mean || null));
		table(f.hosts);
		const st = f.stats;
		const rows = { "stored": st.Stored, "updated": st.Updated, "one download for several": st.Collapsed, "invalidated": st.Invalidated, "discarded": st.Discarded,
			"errors": st.Errors, "trouble with the store": st.StoreFailures, "damaged": st.Damaged };
		put(happened, Object.entries(rows).map(([name, v]) => h("div", { class: v && /errors|trouble|damaged/.test(name) && "bad" }, h("dt", null, name), h("dd", null, count(v)))),
			h("div", null, h("dt", null, "counted for"), h("dd", null, duration((now - Date.parse(f.since)) / 1000))));
	}

	function table(rows) {
		const most = Math.max(...rows.map(requests));
		const focus = document.activeElement?.dataset?.host;
		put(hosts, rows.map(c => {
			let x = 0;
			const width = 120 * requests(c) / most;
			const bar = s("svg", { class: "share-bar", viewBox: "0 0 120 10", width: 120, height: 10, "aria-hidden": true }, layers(c).map((v, i) => {
				const w = width * v / requests(c), rect = s("rect", { class: series[i].colour, x, width: w, height: 10 });
				x += w;
				return w > 0 && rect;
			}));
			return h("tr", null, h("td", null, c.host ? h("a", { href: address("entries", { host: c.host === "(others)" ? "" : c.host }), "data-row": true, "data-host": c.host }, shown(c.host)) : "–"),
				h("td", null, count(requests(c))), h("td", null, bar), h("td", null, percent(ratio(c))), h("td", null, bytes(c.saved)), h("td", null, took(c.store_mean)), h("td", null, took(c.origin_mean)));
		}));
		if (focus) hosts.querySelector(`[data-host="${CSS.escape(focus)}"]`)?.focus();
	}

	const seen = () => {
		clearTimeout(timer);
		if (!document.hidden) tick();
	};
	document.addEventListener("visibilitychange", seen);
	tick();
	return () => {
		asking.abort();
		clearTimeout(timer);
		document.removeEventListener("visibilitychange", seen);
		charts.forEach(c => c.stop());
	};
}
