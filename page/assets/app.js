import { get, setToken } from "./api.js";
import { h, put, say } from "./dom.js";
import { shown } from "./format.js";
import entries from "./entries.js";
import entry from "./entry.js";
import figures from "./figures.js";
import why from "./why.js";

// A view draws itself into main. It may return what is to be done when it is left.
const views = { figures, entries, entry, why };
const main = document.getElementById("main");
const dialog = document.getElementById("dialog");
let leave, current;

// The address behind # is the view and its parameters: #/entries?host=example.com. #token=… is a token to be kept.
function go() {
	if (location.hash === "#main") return; // the link to skip the head
	const given = new URLSearchParams(location.hash.slice(1)).get("token");
	if (given) {
		setToken(given);
		history.replaceState(null, "", "#/");
	}
	const [, name, query] = /^#?\/?([^?]*)\??(.*)$/s.exec(location.hash);
	current = views[name] ? name : "figures";
	leave?.();
	dialog.close();
	main.className = current;
	main.replaceChildren();
	for (const a of document.querySelectorAll("nav a")) {
		a.toggleAttribute("aria-current", a.dataset.view === (current === "entry" ? "entries" : current));
	}
	document.title = "larder";
	leave = views[current](main, Object.fromEntries(new URLSearchParams(query)));
	scrollTo(0, 0);
}

function locked() {
	leave?.();
	leave = undefined;
	const input = h("input", { type: "password", name: "token", autocomplete: "off", required: true, "aria-label": "Token" });
	main.className = "locked";
	put(main, h("form", {
		class: "card narrow", submit: e => {
			e.preventDefault();
			setToken(input.value.trim());
			start();
		},
	}, h("h1", null, "A token, please"),
		h("p", null, "This page shows what a cache holds, to who knows its token. It was printed when the page was started, in a link that has it; paste either here."),
		h("div", { class: "inline" }, input, h("button", { class: "primary" }, "Open"))));
	input.addEventListener("input", () => input.value = input.value.replace(/^.*#token=/, ""));
	input.focus();
}

// Light and dark: what the system has, unless the user says otherwise.
const themes = ["system", "light", "dark"];

function theme(name) {
	if (name !== "system") document.documentElement.dataset.theme = name;
	else delete document.documentElement.dataset.theme;
	const button = document.getElementById("theme");
	say(button, { system: "◐", light: "○", dark: "●" }[name]);
	button.setAttribute("aria-label", "Colours: " + name);
	button.dataset.theme = name;
	document.dispatchEvent(new Event("theme"));
}

function nextTheme() {
	const next = themes[(themes.indexOf(localStorage.getItem("larder-theme") ?? "system") + 1) % themes.length];
	localStorage.setItem("larder-theme", next);
	theme(next);
}

const keys = [
	["1, 2, 3", "figures, entries, why"],
	["/", "search the entries"],
	["j, k", "the next, the previous one"],
	["Enter", "open it"],
	["n, p", "the next, the previous page"],
	["x", "remove what is shown, after a look at what that is"],
	["w", "why: what would happen to this request"],
	["u", "up, back to the list"],
	["t", "light or dark"],
	["Esc", "out of a field, or a dialog"],
];

function help() {
	put(dialog, h("h1", null, "Keys"),
		h("dl", { class: "keys" }, keys.map(([key, what]) => [h("dt", null, key.split(", ").map(k => h("kbd", null, k))), h("dd", null, what)])),
		h("div", { class: "buttons" }, h("button", { click: () => dialog.close(), class: "primary" }, "Close")));
	dialog.showModal();
}

// Keys that have data-key on an element click it, or focus it if it is a field; so all that they do can be done by mouse, too.
document.addEventListener("keydown", e => {
	if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return;
	const field = e.target.closest?.("input, textarea, select");
	if (e.key === "Escape" && field && !dialog.open) field.blur();
	if (field || dialog.open) return;
	const to = { 1: "#/", 2: "#/entries", 3: "#/why" }[e.key];
	const target = main.querySelector(`[data-key="${CSS.escape(e.key)}"]`);
	if (to) location.hash = to;
	else if (e.key === "?") help();
	else if (e.key === "t") nextTheme();
	else if (e.key === "j" || e.key === "k") move(e.key === "j" ? 1 : -1);
	else if (target?.matches("input")) {
		target.focus();
		target.select();
	} else if (target) target.click();
	else if (e.key === "/") location.hash = "#/entries?focus=1";
	else return;
	e.preventDefault();
});

// move goes to the next of what can be opened.
function move(by) {
	const rows = [...main.querySelectorAll("[data-row]")];
	const at = rows.indexOf(document.activeElement);
	rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by))]?.focus();
}

document.getElementById("theme").addEventListener("click", nextTheme);
document.getElementById("help").addEventListener("click", help);
document.getElementById("skip").addEventListener("click", e => {
	e.preventDefault();
	main.focus();
});
document.addEventListener("locked", locked);
addEventListener("hashchange", go);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("theme")));
theme(localStorage.getItem("larder-theme") ?? "system");

async function start() {
	go();
	const about = await get("about").catch(() => null);
	if (about) say(document.getElementById("name"), shown(about.name));
}

start();
