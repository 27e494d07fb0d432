// What several views are made of.
import { get, post } from "./api.js";
import { h, put, s } from "./dom.js";
import { bytes, count, duration, responses, shown, splitURL } from "./format.js";

const dialog = document.getElementById("dialog");

export function address(view, params) {
	const query = new URLSearchParams(Object.entries(params ?? {}).filter(([, v]) => v));
	return "#/" + view + (query.size ? "?" + query : "");
}

// urlText sets the path of a URL before the rest.
export function urlText(url) {
	const u = splitURL(url);
	return h("bdi", { class: "url" }, h("span", null, shown(u.scheme + u.host)), shown(u.path), h("span", null, shown(u.query)));
}

export function status(code) {
	return h("span", { class: "status s" + String(code)[0] }, String(code));
}

// freshness says how long a response is still fresh, or since when it is not, and draws how much of that time is left.
export function freshness(e, asOf) {
	const end = e.fresh_until && Date.parse(e.fresh_until), now = Date.parse(asOf), start = Date.parse(e.received);
	const left = !end ? 1 : end <= start ? 0 : Math.max(0, Math.min(1, (end - now) / (end - start)));
	const text = !end ? "for ever" : e.fresh ? duration((end - now) / 1000) : duration((now - end) / 1000) + " ago";
	return h("span", { class: e.fresh ? "fresh" : "stale", title: e.fresh ? "fresh" : "stale" },
		s("svg", { viewBox: "0 0 32 4", width: 32, height: 4, "aria-hidden": true },
			s("rect", { class: "rest", width: 32, height: 4, rx: 2 }), left > 0 && s("rect", { width: Math.max(3, 32 * left), height: 4, rx: 2 })),
		h("span", { class: "sr" }, e.fresh ? "fresh, for " : "stale since "), text);
}

export function problem(err, again) {
	return h("div", { class: "problem", role: "alert" }, h("strong", null, err.status ? "That did not work." : "No answer."), " ", shown(err.message),
		again && h("button", { type: "button", click: again }, "Try again"));
}

export function empty(title, ...text) {
	return h("div", { class: "empty" }, s("svg", { viewBox: "0 0 24 24", width: 56, height: 56, "aria-hidden": true },
		s("path", { d: "M7 2.500h10v3H7zM7.500 6c0 2-2.600 2.400-2.600 5V19A2.200 2.200 0 0 0 7.100 21.200h9.800a2.200 2.200 0 0 0 2.200-2.200v-8c0-2.600-2.600-3-2.600-5" })),
		h("h2", null, title), text.map(t => h("p", null, t)));
}

let hiding;

export function toast(text) {
	const t = document.getElementById("toast");
	t.textContent = text;
	t.classList.add("on");
	clearTimeout(hiding);
	hiding = setTimeout(() => t.classList.remove("on"), 4000);
}

// remove shows what matches a filter, and removes just that if the user agrees; what is stored meanwhile stays.
export async function remove(filter, title, done) {
	const body = h("div", { class: "removal", "aria-live": "polite" }, h("p", { class: "muted" }, "Looking …"));
	const go = h("button", { type: "button", class: "danger", disabled: true }, "Remove");
	const cancel = h("button", { type: "button", click: () => dialog.close() }, "Keep");
	put(dialog, h("h1", null, title), body, h("div", { class: "buttons" }, cancel, go));
	dialog.showModal();
	const all = !Object.values(filter).some(Boolean);
	let asOf;
	const look = async patient => {
		try {
			const list = await get("entries", { ...filter, rows: 8, order: "large", patient });
			asOf = list.as_of;
			const about = (list.whole ? "" : "at least ") + responses(list.matches);
			put(body,
				h("p", null, list.matches ? h("strong", null, about) : "Nothing that is stored matches.",
					list.matches > 0 && ", " + bytes(list.bytes) + (all ? ": all that is stored." : ".")),
				h("ul", { class: "plain" }, list.entries.map(e => h("li", null, status(e.status), urlText(e.url), h("span", { class: "num" }, bytes(e.size))))),
				list.matches > list.entries.length && h("p", { class: "muted" }, "and " + count(list.matches - list.entries.length) + " more",
					list.hosts.length > 1 && ", of " + list.hosts.slice(0, 3).map(t => `${shown(t.name)} (${count(t.matches)})`).join(", ") + (list.hosts.length > 3 ? " …" : "")),
				!list.whole && h("p", null, "The store is large, and not all of it was looked at. ",
					h("button", { type: "button", click: () => look(1) }, "Look at all of it")));
			go.disabled = !list.matches;
			go.textContent = list.matches ? "Remove " + about : "Remove";
			if (list.matches) go.focus();
		} catch (err) {
			put(body, problem(err, () => look(patient)));
		}
	};
	go.addEventListener("click", async () => {
		go.disabled = true;
		go.textContent = "Removing …";
		try {
			const { removed } = await post("purge", { ...filter, as_of: asOf, all: all && "1" });
			dialog.close();
			toast("Removed " + responses(removed));
			done();
		} catch (err) {
			put(body, problem(err));
			go.textContent = "Remove";
		}
	});
	await look();
}
