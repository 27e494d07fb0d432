// Charts by uPlot, in the colours of the page.
import uPlot from "./vendor/uplot/uPlot.esm.js";
import { h, say } from "./dom.js";

const probe = document.body.appendChild(h("span", { hidden: true }));

// colour returns what a variable of the style sheet is in the present theme.
export function colour(name) {
	probe.style.color = `var(--${name})`;
	return getComputedStyle(probe).color;
}

// chart draws series over x. Series are {label, colour}; stacked ones come from the ground up. It returns set, which takes x and
// one row of numbers for each series, and stop. xText and yText make labels.
export function chart(box, { series, stacked, bars, log, xText, xSplits, yText, label, height = 190 }) {
	let plot, data, own;
	const legend = h("div", { class: "legend" }, series.map(one => {
		const value = h("span", { class: "num" });
		return h("span", { class: "key " + one.colour }, one.label, " ", value);
	}));
	const at = h("span", { class: "muted at" });
	legend.append(at);
	const canvas = h("div", { class: "plot", role: "img", "aria-label": label });
	box.append(legend, canvas);

	function make() {
		plot?.destroy();
		const muted = colour("muted"), line = colour("line");
		const axis = { stroke: muted, font: "11px system-ui, sans-serif", ticks: { show: false } };
		const order = stacked ? [...series.keys()].reverse() : [...series.keys()]; // what is behind is drawn first
		plot = new uPlot({
			width: Math.max(200, canvas.clientWidth), height,
			legend: { show: false },
			padding: [8, 18, 0, 0],
			cursor: { y: false, drag: { x: false, y: false }, points: { show: !stacked && !bars } },
			scales: { x: { time: false, range: bars ? (u, min, max) => [min - 0.5, max + 0.5] : undefined }, y: { range: (u, min, max) => [0, Math.max(log ? 1e-9 : 1, max * 1.08)] } },
			axes: [
				{ ...axis, grid: { show: false }, size: 26, values: (u, splits) => splits.map(xText), splits: xSplits, space: 60 },
				{ ...axis, grid: { stroke: line, width: 1 }, size: 58, values: (u, splits) => splits.map(v => yText(v)), space: 36 },
			],
			series: [{}, ...order.map(i => {
				const stroke = colour(series[i].colour);
				return {
					stroke, width: stacked || bars ? 0 : 1.75, points: { show: !stacked && !bars, size: 5, fill: stroke },
					fill: stacked || bars ? stroke + "" : undefined,
					paths: bars ? uPlot.paths.bars({ size: [stacked ? 0.82 : 0.4, 40], align: stacked ? 0 : i === 0 ? -1 : 1, radius: 0.15 }) : stacked ? uPlot.paths.stepped({ align: 1 }) : undefined,
					spanGaps: true,
				};
			})],
			hooks: { setCursor: [told] },
		}, drawn(order), canvas);
	}

	function drawn(order) {
		if (!stacked) return [data.x, ...data.rows];
		const sums = data.rows.map((row, i) => row.map((_, k) => data.rows.slice(0, i + 1).reduce((sum, r) => sum + (r[k] ?? 0), 0)));
		return [data.x, ...order.map(i => sums[i])];
	}

	// told writes the values under the pointer into the legend, or else the last ones.
	function told() {
		const k = plot?.cursor.idx;
		[...legend.querySelectorAll(".num")].forEach((e, i) => say(e, k == null || data.rows[i][k] == null ? "" : yText(data.rows[i][k])));
		say(at, k == null ? "" : xText(data.x[k], true));
	}

	const again = () => data && make();
	const watch = new ResizeObserver(() => {
		const width = canvas.clientWidth;
		if (width && plot && width !== own) plot.setSize({ width: own = width, height });
	});
	watch.observe(canvas);
	document.addEventListener("theme", again);
	return {
		set(x, ...rows) {
			data = { x, rows };
			if (!plot) make();
			else plot.setData(drawn(stacked ? [...series.keys()].reverse() : []));
			told();
		},
		stop() {
			watch.disconnect();
			document.removeEventListener("theme", again);
			plot?.destroy();
		},
	};
}
