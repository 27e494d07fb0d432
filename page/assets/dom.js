// Elements are made by h and s alone. Text from the cache only ever becomes text or the value of an attribute that runs nothing.

const svg = "http://www.w3.org/2000/svg";

// h makes an element. An attribute that is a function is a listener, false and null leave it out; children are nodes or text.
export function h(tag, attributes, ...children) {
	return fill(document.createElement(tag), attributes, children);
}

// s makes an element of SVG.
export function s(tag, attributes, ...children) {
	return fill(document.createElementNS(svg, tag), attributes, children);
}

function fill(e, attributes, children) {
	for (const [name, value] of Object.entries(attributes ?? {})) {
		if (typeof value === "function") e.addEventListener(name, value);
		else if (value === true) e.setAttribute(name, "");
		else if (value !== false && value != null) e.setAttribute(name, value);
	}
	e.append(...some(children));
	return e;
}

// put sets what is in an element.
export function put(e, ...children) {
	e.replaceChildren(...some(children));
}

function some(children) {
	return children.flat(Infinity).filter(c => c != null && c !== false);
}

// say sets text where it differs, so that what does not change is not drawn again.
export function say(e, text) {
	if (e.textContent !== text) e.textContent = text;
}
