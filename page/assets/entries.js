import { get } from "./api.js";
import { h, put } from "./dom.js";
import { bytes, count, duration, responses, shown } from "./format.js";
import { address, empty, freshness, problem, remove, status, urlText } from "./parts.js";

const filters = ["text", "host", "match", "tag", "status", "state"];
const orders = { new: "Newest first", old: "Oldest first", large: "Largest first", small: "Smallest first", url: "By URL", fresh: "Fresh longest", stale: "Stale longest" };

// entries lists what is stored. What is asked for is in the address, so that it can be gone back to.
export default function entries(main, params) {
	const asking = new AbortController();
	const filter = Object.fromEntries(filters.map(f => [f, params[f] ?? ""]));
	const order = orders[params.order] ? params.order : "new";
	const filtered = Object.values(filter).some(Boolean);

	const field = (name, label, attributes) => h("label", { class: name }, h("span", null, label),
		h("input", { name, value: filter[name], autocomplete: "off", autocapitalize: "none", spellcheck: "false", ...attributes }));
	const choice = (name, label, options, value) => h("label", { class: name }, h("span", null, label),
		h("select", { name, change: () => form.requestSubmit() }, Object.entries(options).map(([v, text]) => h("option", { value: v, selected: v === value }, text))));
	const statuses = { "": "Any", "2xx": "2xx", "3xx": "3xx", "4xx": "4xx", "5xx": "5xx" };
	if (filter.status) statuses[filter.status] ??= filter.status;
	const hosts = h("datalist", { id: "hosts" }), tags = h("datalist", { id: "tags" });
	const form = h("form", {
		class: "filters", role: "search", submit: e => {
			e.preventDefault();
			const next = Object.fromEntries(new FormData(form));
			for (const [name, v] of Object.entries(next)) next[name] = v.trim();
			if (next.order === "new") delete next.order;
			const to = address("entries", next);
			if (location.hash === to) load();
			else location.hash = to;
		},
	},
		field("text", "Search", { type: "search", placeholder: "part of a URL", "data-key": "/", title: "Search (/)" }),
		field("host", "Host", { list: "hosts", placeholder: "example.com" }),
		field("match", "Pattern", { placeholder: "**.example.com/v1/**", title: "[scheme://]host[:port][/path]: * is one label of the host or any part of one path segment, ** any number of them" }),
		field("tag", "Tag", { list: "tags", placeholder: "any" }),
		choice("status", "Status", statuses, filter.status),
		choice("state", "State", { "": "Any", fresh: "Fresh", stale: "Stale" }, filter.state),
		choice("order", "Order", orders, order),
		hosts, tags,
		h("button", { class: "primary" }, "Show"));

	const summary = h("p", { class: "summary", role: "status" }, "Looking …");
	const tools = h("div", { class: "inline" });
	const list = h("div", { class: "list", "aria-busy": "true" });
	const pages = h("nav", { class: "pages", "aria-label": "Pages" });
	put(main, h("h1", { class: "sr" }, "Entries"), form, h("div", { class: "bar" }, summary, tools), list, pages);
	if (params.focus) form.elements.text.focus();

	async function load(patient) {
		list.setAttribute("aria-busy", "true");
		try {
			show(await get("entries", { ...filter, order, after: params.after, as_of: params.as_of, patient }, asking.signal));
		} catch (err) {
			if (err.name === "AbortError") return;
			summary.textContent = "";
			put(list, problem(err, () => load(patient)));
		}
		list.removeAttribute("aria-busy");
	}

	function show(l) {
		put(hosts, ...l.hosts.map(t => h("option", { value: t.name })));
		put(tags, ...l.tags.map(t => h("option", { value: t.name })));
		put(summary, h("strong", null, (l.whole ? "" : "at least ") + responses(l.matches)), ` · ${bytes(l.bytes)} · ${count(l.stale)} stale`,
			l.damaged > 0 && ` · ${count(l.damaged)} damaged`);
		put(tools,
			!l.whole && h("button", { type: "button", title: "The store is large, and only part of it was looked at", click: () => load(1) }, "Look at all of it"),
			filtered && h("a", { class: "button", href: "#/entries" }, "Clear"),
			l.matches > 0 && h("button", { type: "button", "data-key": "x", title: "Look at what would be removed (x)",
				click: () => remove(filter, filtered ? "Remove what matches" : "Remove everything", load) }, filtered ? "Remove these …" : "Remove all …"),
		);
		if (!l.entries.length) {
			put(list, filtered || params.after ? empty("Nothing matches", "No stored response satisfies all of these filters.")
				: empty("Nothing is stored yet", "What is fetched through this cache, and may be kept, will be listed here."));
		} else {
			put(list, table(l.entries, l.as_of));
		}
		const page = Number(params.page ?? 1);
		put(pages,
			page > 1 && h("button", { type: "button", "data-key": "p", title: "The page before (p)", click: () => history.back() }, "← Before"),
			(page > 1 || l.next) && h("span", { class: "muted" }, "Page " + count(page)),
			l.next && h("a", { class: "button", "data-key": "n", title: "The next page (n)",
				href: address("entries", { ...filter, order: params.order, as_of: l.as_of, after: l.next, page: page + 1 }) }, "Next →"));
	}

	load();
	return () => asking.abort();
}

export function table(rows, asOf, current) {
	return h("table", { class: "entries" },
		h("thead", null, h("tr", null, ["Status", "URL", "Type", "Size", "Age", "Fresh"].map(c => h("th", { scope: "col", class: c.toLowerCase() }, c)))),
		h("tbody", null, rows.map(e => h("tr", { class: e.id === current && "current" },
			h("td", { class: "status" }, status(e.status)),
			h("td", { class: "url" },
				h("a", { href: address("entry", { id: e.id, url: e.url }), "data-row": true }, e.method !== "GET" && h("span", { class: "method" }, shown(e.method)), urlText(e.url)),
				e.tags.map(t => h("a", { class: "tag", href: address("entries", { tag: t }) }, shown(t))),
				e.vary.length > 0 && h("span", { class: "tag", title: "selected by these fields of the request" }, "by " + shown(e.vary.join(", ")))),
			h("td", { class: "type" }, shown(e.type)),
			h("td", { class: "size" }, bytes(e.size)),
			h("td", { class: "age" }, duration(e.age)),
			h("td", { class: "fresh" }, freshness(e, asOf))))));
}
