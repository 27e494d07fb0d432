// Colours for code, as elements: the library's own HTML is not used, so that there is no HTML made from what is shown.
import highlight from "./vendor/highlight/core.min.js";
import css from "./vendor/highlight/css.min.js";
import javascript from "./vendor/highlight/javascript.min.js";
import json from "./vendor/highlight/json.min.js";
import xml from "./vendor/highlight/xml.min.js";
import { h } from "./dom.js";

for (const [name, language] of Object.entries({ css, javascript, json, xml })) highlight.registerLanguage(name, language);

export function code(text, language) {
	const root = language ? highlight.highlight(text, { language, ignoreIllegals: true })._emitter.rootNode.children : [text];
	return h("pre", { class: "code", tabindex: "0" }, h("code", null, root.map(node)));
}

function node(n) {
	if (typeof n === "string") return n;
	return h("span", n.scope && { class: "hl-" + n.scope.split(/[.:]/)[0] }, n.children.map(node));
}
