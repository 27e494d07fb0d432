// What numbers, times and foreign text look like.

const units = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(n) {
	let unit = 0;
	while (n >= 1023.5 && unit < units.length - 1) {
		n /= 1024;
		unit++;
	}
	return (unit === 0 || n >= 9.95 ? Math.round(n) : n.toFixed(1)) + " " + units[unit];
}

export function count(n) {
	return Math.round(n).toLocaleString("en").replaceAll(",", "\u202f"); // a narrow space
}

export function responses(n) {
	return count(n) + (n === 1 ? " response" : " responses");
}

export function percent(share) {
	if (share > 0.999 && share < 1) return "99.9 %";
	return (share * 100).toFixed(share > 0 && share < 0.1 || share >= 0.995 && share < 1 ? 1 : 0) + " %";
}

// duration shows seconds in their largest unit, as the command does.
export function duration(sec) {
	if (sec < 0) sec = 0;
	for (const [name, size, most] of [["s", 1, 59], ["m", 60, 59], ["h", 3600, 47]]) {
		if (Math.round(sec / size) <= most) return Math.round(sec / size) + " " + name;
	}
	const days = Math.round(sec / 86400);
	return days < 1000 ? days + " d" : Math.round(days / 365.25) + " y";
}

// took shows seconds that something took, from microseconds on.
export function took(sec) {
	if (sec <= 0) return "–";
	for (const [name, size] of [["µs", 1e-6], ["ms", 1e-3]]) {
		const n = sec / size;
		if (n < 999.5) return (n < 9.95 ? n.toFixed(1) : Math.round(n)) + " " + name;
	}
	if (sec < 9.95) return sec.toFixed(1) + " s";
	return duration(sec);
}

export function clock(t) {
	return new Date(t).toLocaleString("sv"); // 2026-11-24 20:15:00
}

// shown makes visible what would hide or reorder text: control and format characters, and what was no UTF-8.
export function shown(text) {
	return String(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escaped);
}

// shownText is shown for text of several lines.
export function shownText(text) {
	return String(text).replaceAll("\r\n", "\n").replace(/(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escaped);
}

function escaped(c) {
	return "\\u{" + c.codePointAt(0).toString(16) + "}";
}

// splitURL returns a URL's parts, to be set in different tones.
export function splitURL(url) {
	const m = /^([a-z]+:\/\/)([^/?#]*)([^?#]*)(.*)$/is.exec(url);
	return m ? { scheme: m[1], host: m[2], path: m[3] || "/", query: m[4] } : { scheme: "", host: "", path: url, query: "" };
}
