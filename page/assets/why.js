import { post } from "./api.js";
import { h, put } from "./dom.js";
import { shown } from "./format.js";
import { address, problem, urlText } from "./parts.js";
import { table } from "./entries.js";

const modes = { "": "Nothing special", refresh: "Validate it first", "force-refresh": "Fetch it anew", stale: "Prefer what is stored", offline: "Never ask the origin", "offline-stale": "Never ask, stale or not", bypass: "Bypass the cache" };
const verdicts = {
	serve: ["hit", "Answered from the store"], "serve and refresh": ["stale", "Answered from the store, which is refreshed meanwhile"],
	validate: ["again", "The origin is asked whether the stored response still holds"], forward: ["miss", "The origin is asked"],
	refuse: ["past", "Refused with status 504"], bypass: ["past", "The cache takes no part in it"],
};

// why asks what would happen to a request now, and draws the way to the answer. Nothing is sent to the origin.
export default function why(main, params) {
	const out = h("div", { class: "answer", "aria-live": "polite" });
	const form = h("form", {
		class: "card question", submit: e => {
			e.preventDefault();
			ask(Object.fromEntries(new FormData(form)));
		},
	},
		h("div", { class: "inline" },
			h("label", { class: "method" }, h("span", null, "Method"), h("select", { name: "method" }, ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "QUERY", "OPTIONS"].map(m => h("option", { selected: m === params.method }, m)))),
			h("label", { class: "grow" }, h("span", null, "URL"), h("input", { name: "url", type: "text", inputmode: "url", required: true, value: params.url ?? "", placeholder: "https://example.com/", "data-key": "/", autocomplete: "off", autocapitalize: "none", spellcheck: "false" })),
			h("label", { class: "mode" }, h("span", null, "What it asks of the cache"), h("select", { name: "mode" }, Object.entries(modes).map(([v, t]) => h("option", { value: v, selected: v === params.mode }, t)))),
			h("button", { class: "primary" }, "Why?")),
		h("details", { open: !!params.header }, h("summary", null, "Header and body"),
			h("label", null, h("span", null, "Header, one field a line"), h("textarea", { name: "header", rows: 3, placeholder: "Accept-Language: de", spellcheck: "false" }, params.header ?? "")),
			h("label", null, h("span", null, "Body"), h("textarea", { name: "body", rows: 2, spellcheck: "false" }))));
	main.replaceChildren(h("h1", null, "What would happen to a request?"), h("p", { class: "lead" }, "Every question that the cache asks on the way to its answer. Nothing is sent."), form, out);

	async function ask(q) {
		out.setAttribute("aria-busy", "true");
		try {
			show(await post("why", null, q));
		} catch (err) {
			put(out, problem(err));
		}
		out.removeAttribute("aria-busy");
	}

	function show(e) {
		const [colour, text] = verdicts[e.action] ?? ["past", e.action];
		put(out,
			h("div", { class: "card verdict " + colour }, h("h2", null, text), h("p", null, h("span", { class: "method" }, shown(e.method)), urlText(e.url)),
				h("p", null, "Because: ", shown(e.reason), e.section && [" · ", section(e.section)])),
			h("ol", { class: "path" }, e.steps.map((step, i) => h("li", { class: [/^(yes|no)\b/.exec(step.answer)?.[1], step.settles && "settles " + colour, i === e.steps.length - 1 && "end"].filter(Boolean).join(" ") },
				h("div", { class: "step" }, h("h3", null, capital(step.question)), h("p", null, shown(step.answer)),
					(step.section || step.rule) && h("p", { class: "by" }, step.section && section(step.section), step.rule && h("span", { class: "tag" }, "rule " + shown(step.rule))),
					step.settles && h("span", { class: "badge" }, "This settles it"))))),
			e.stored.length > 0 && h("section", null, h("h2", null, e.stored.length === 1 ? "Stored for this request" : "Stored for such requests"), table(e.stored, new Date().toISOString(), e.selected)),
			!e.stored.length && h("p", { class: "muted" }, h("a", { href: address("entries", { text: e.url.replace(/[?#].*$/, "") }) }, "What is stored of this URL for others")));
	}

	if (params.url) form.requestSubmit();
	else form.elements.url.focus();
}

function capital(text) {
	return text[0].toUpperCase() + text.slice(1);
}

// section links to what the standard says.
function section(text) {
	const m = /^RFC (\d+)(?: §([\d.]+))?$/.exec(text);
	return m ? h("a", { class: "rfc", href: `https://www.rfc-editor.org/rfc/rfc${m[1]}${m[2] ? "#section-" + m[2] : ""}`, target: "_blank", rel: "noreferrer noopener" }, text) : shown(text);
}
