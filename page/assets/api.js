// Asking the server. The token, where there is one, is kept for this tab, and sent by this module alone: unlike a cookie, it goes to no
// other port of the same host.

let token = sessionStorage.getItem("larder-token") ?? "";

export function setToken(t) {
	token = t;
	sessionStorage.setItem("larder-token", t);
}

export class Problem extends Error {
	constructor(status, text) {
		super(text);
		this.status = status;
	}
}

async function ask(path, params, options = {}) {
	const query = new URLSearchParams();
	for (const [name, value] of Object.entries(params ?? {})) {
		if (value) query.set(name, value);
	}
	let resp;
	try {
		resp = await fetch("api/" + path + (query.size ? "?" + query : ""), {
			...options,
			headers: { ...options.headers, ...(token && { Authorization: "Bearer " + token }) },
			credentials: "same-origin",
			redirect: "error",
		});
	} catch (err) {
		if (err.name === "AbortError") throw err;
		throw new Problem(0, "The server does not answer. Is it still running?");
	}
	if (resp.ok) return resp;
	const text = (await resp.text()).trim();
	if (resp.status === 401) document.dispatchEvent(new Event("locked"));
	throw new Problem(resp.status, text || resp.statusText);
}

export async function get(path, params, signal) {
	return (await ask(path, params, { signal })).json();
}

export async function post(path, params, body) {
	return (await ask(path, params, { method: "POST", body: body && JSON.stringify(body), headers: { "Content-Type": "application/json" } })).json();
}

export async function blob(path, params, signal) {
	return (await ask(path, params, { signal })).blob();
}
