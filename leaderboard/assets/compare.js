// Compares entries seed by seed, from the data in the page; the choice is in the address: `#with=one,other`.
"use strict";
(function () {
  var MOST = 4, LOW = -0.25, WIDTH = 240, PAD = 12, ROW = 12;
  var NOISE = 1e-6;  // scores have four decimals, what is smaller comes from computing
  var SVG = "http://www.w3.org/2000/svg";
  var data = JSON.parse(document.getElementById("data").textContent);
  var form = document.getElementById("choice"), place = document.getElementById("comparison");
  if (!form) return;
  var byId = {};
  data.entries.forEach(function (entry) { byId[entry.id] = entry; });

  // --- numbers -------------------------------------------------------------------------------------------------------

  function mean(values) { return values.reduce(function (a, b) { return a + b; }, 0) / values.length; }

  // mean and half the 95 % t interval, null for a single value
  function estimate(values) {
    var m = mean(values), n = values.length;
    if (n < 2) return { mean: m, half: null, n: n };
    var variance = values.reduce(function (a, b) { return a + (b - m) * (b - m); }, 0) / (n - 1);
    return { mean: m, half: data.t[Math.min(n - 1, data.t.length) - 1] * Math.sqrt(variance / n), n: n };
  }

  function bySeed(scores) {
    var found = {};
    if (typeof scores !== "string") scores.forEach(function (pair) { found[pair[0]] = pair[1]; });
    return found;
  }

  function sharedSeeds(tables) {
    return Object.keys(tables[0]).filter(function (seed) {
      return tables.every(function (table) { return seed in table; });
    });
  }

  function wins(first, second, seeds) {
    return seeds.reduce(function (n, seed) {
      return n + (second[seed] > first[seed] ? 1 : second[seed] === first[seed] ? 0.5 : 0);
    }, 0);
  }

  function difference(first, second, seeds) {
    return estimate(seeds.map(function (seed) { return second[seed] - first[seed]; }));
  }

  // what an interval of differences says; without any difference at all there is nothing to decide
  function says(found) {
    if (found.half === null) return "one seed";
    if (Math.abs(found.mean) + found.half < NOISE) return "equal";
    return found.mean - found.half > 0 ? "better" : found.mean + found.half < 0 ? "worse" : "undecided";
  }

  // --- words ---------------------------------------------------------------------------------------------------------

  function number(value, signed) {
    var text = Math.abs(value).toFixed(2);
    var sign = Number(text) === 0 ? "" : value < 0 ? "\u2212" : signed ? "+" : "";
    return sign + text;
  }

  function count(n, noun) { return n + " " + noun + (n === 1 ? "" : "s"); }

  function margin(found) {
    if (found.half === null) return "";
    return " \u00b1" + (found.half > NOISE && found.half < 0.005 ? "<0.01" : found.half.toFixed(2));
  }

  function named(entry) { return entry.alike ? entry.label + ", " + (entry.configuration || "default") : entry.label; }

  function title(entry) {
    var parts = [named(entry)];
    if (!entry.headline) parts.push(entry.protocol);
    return parts.join(", ");
  }

  // --- elements ------------------------------------------------------------------------------------------------------

  function make(name, attributes, children) {
    var element = document.createElement(name);
    Object.keys(attributes || {}).forEach(function (key) { element.setAttribute(key, attributes[key]); });
    (children || []).forEach(function (child) {
      element.appendChild(typeof child === "string" ? document.createTextNode(child) : child);
    });
    return element;
  }

  function draw(name, attributes, children) {
    var element = document.createElementNS(SVG, name);
    Object.keys(attributes).forEach(function (key) { element.setAttribute(key, attributes[key]); });
    (children || []).forEach(function (child) { element.appendChild(child); });
    return element;
  }

  function at(value) {
    var share = (Math.min(Math.max(value, LOW), 1) - LOW) / (1 - LOW);
    return (PAD + share * (WIDTH - 2 * PAD)).toFixed(1);
  }

  function dots(tables, seeds) {
    var height = ROW * tables.length + 6;
    var lines = [0, 1].map(function (v) { return draw("path", { "class": "anchor", d: "M" + at(v) + " 1V" + (height - 1) }); });
    var marks = tables.map(function (table, i) {
      var y = 9 + ROW * i;
      var found = estimate(seeds.map(function (seed) { return table[seed]; }));
      var parts = seeds.map(function (seed) { return draw("circle", { "class": "fill-" + i, cx: at(table[seed]), cy: y, r: 2.6, "fill-opacity": 0.55 }); });
      if (found.half !== null) parts.unshift(draw("path", { "class": "whisker stroke-" + i, d: "M" + at(found.mean - found.half) + " " + y + "H" + at(found.mean + found.half) }));
      if (found.mean - found.half < LOW) parts.push(head(i, PAD, y, -1));
      if (found.mean + found.half > 1) parts.push(head(i, WIDTH - PAD, y, 1));
      parts.push(draw("path", { "class": "stroke-" + i, "stroke-width": 2.4, d: "M" + at(found.mean) + " " + (y - 5) + "v10" }));
      return draw("g", {}, parts);
    });
    return draw("svg", { "class": "strip", viewBox: "0 0 " + WIDTH + " " + height, width: WIDTH, height: height, "aria-hidden": "true" }, lines.concat(marks));
  }

  // the end of an interval that goes on beyond the scale
  function head(i, x, y, way) {
    return draw("path", { "class": "head fill-" + i, d: "M" + x + " " + (y - 4) + "l" + 5 * way + " 4l" + -5 * way + " 4z" });
  }

  function key(i) {
    return draw("svg", { "class": "sign", viewBox: "-7 -7 14 14", width: 14, height: 14, "aria-hidden": "true" }, [draw("circle", { "class": "fill-" + i, r: 4.5 })]);
  }

  function numberCell(text, small) {
    return make("td", { "class": "num" }, small ? [text, make("small", {}, [small])] : [text]);
  }

  function table(caption, heads, rows, id) {
    var body = make("table", {}, [
      make("caption", { id: id }, [caption]),
      make("thead", {}, [make("tr", {}, heads.map(function (head, i) { return make("th", { scope: "col", "class": i ? "num" : "" }, [].concat(head)); }))]),
      make("tbody", {}, rows),
    ]);
    return make("div", { "class": "scroll", tabindex: 0, role: "region", "aria-labelledby": id }, [body]);
  }

  // --- the comparison ------------------------------------------------------------------------------------------------

  function shared(entries) {
    var found = [];
    data.tasks.forEach(function (task, i) {
      var tables = entries.map(function (entry) { return bySeed(entry.scores[i] || "not run"); });
      var seeds = sharedSeeds(tables);
      if (seeds.length) found.push({ task: task, tables: tables, seeds: seeds });
    });
    return found;
  }

  // per seed the mean over tasks, at the seeds that every task has
  function overall(tasks, k) {
    var seeds = sharedSeeds(tasks.map(function (t) { return sharedAsTable(t.seeds); }));
    var found = {};
    seeds.forEach(function (seed) { found[seed] = mean(tasks.map(function (t) { return t.tables[k][seed]; })); });
    return found;
  }

  function sharedAsTable(seeds) {
    var found = {};
    seeds.forEach(function (seed) { found[seed] = true; });
    return found;
  }

  function summary(entries, tasks) {
    var means = entries.map(function (_, k) { return overall(tasks, k); });
    var seeds = Object.keys(means[0]);
    var rows = entries.map(function (entry, k) {
      var own = seeds.map(function (seed) { return means[k][seed]; });
      var cells = [make("th", { scope: "row" }, [make("span", { "class": "entry" }, [key(k), title(entry)])])];
      if (!seeds.length) return make("tr", {}, cells.concat([numberCell("no common seed"), numberCell("\u2013"), numberCell("\u2013")]));
      var found = estimate(own);
      cells.push(numberCell(number(found.mean), margin(found)));
      if (!k) return make("tr", {}, cells.concat([numberCell("\u2013"), numberCell("\u2013")]));
      var beside = difference(means[0], means[k], seeds);
      var tally = { better: 0, worse: 0, undecided: 0, equal: 0, "one seed": 0 };
      tasks.forEach(function (t) { tally[says(difference(t.tables[0], t.tables[k], t.seeds))] += 1; });
      var words = Object.keys(tally).filter(function (w) { return tally[w]; }).map(function (w) { return tally[w] + " " + w; }).join(", ");
      return make("tr", {}, cells.concat([numberCell(number(beside.mean, true), margin(beside)), numberCell(words)]));
    });
    var caption = "Mean score over what all have, of any family and input, controls and optional tasks left out: " + count(tasks.length, "task") + ", " + count(seeds.length, "seed") + " on each of them";
    return table(caption, ["Entry", "Mean score", "Difference from the first", "Tasks by 95\u00a0% interval"], rows, "summary-caption");
  }

  function details(entries, tasks) {
    var heads = ["Task", "Seeds, \u22120.25 to 1"];
    entries.forEach(function (entry, k) { heads.push([key(k), " " + title(entry)]); });
    entries.slice(1).forEach(function (entry, k) { heads.push([key(k + 1), " minus first"]); heads.push([key(k + 1), " wins"]); });
    var rows = tasks.map(function (t) {
      var cells = [
        make("th", { scope: "row" }, [make("a", { href: t.task.page }, [t.task.name]), make("small", {}, [" " + t.task.family])]),
        make("td", {}, [dots(t.tables, t.seeds)]),
      ];
      t.tables.forEach(function (own) {
        var found = estimate(t.seeds.map(function (seed) { return own[seed]; }));
        cells.push(numberCell(number(found.mean), margin(found)));
      });
      t.tables.slice(1).forEach(function (own) {
        var found = difference(t.tables[0], own, t.seeds), word = says(found);
        var cell = numberCell(number(found.mean, true), margin(found));
        cell.className += " " + word.replace(" ", "-");
        cell.appendChild(make("small", { "class": "side" }, [" " + (word === "equal" ? "equal on every pair" : word)]));
        cells.push(cell, numberCell(wins(t.tables[0], own, t.seeds) + " of " + t.seeds.length));
      });
      return make("tr", {}, cells);
    });
    return table("Each task, at the seeds that all entries have", heads, rows, "details-caption");
  }

  function leftOut(entries) {
    var found = data.tasks.filter(function (_, i) {
      return entries.some(function (entry) { return entry.scores[i] !== undefined; }) &&
        !sharedSeeds(entries.map(function (entry) { return bySeed(entry.scores[i] || "not run"); })).length;
    });
    if (!found.length) return [];
    var names = found.map(function (task) { return task.name; }).join(", ");
    return [make("p", { "class": "without" }, ["Left out, since not all have a score there: " + names + "."])];
  }

  function show(ids) {
    var entries = ids.map(function (id) { return byId[id]; });
    place.replaceChildren();
    if (entries.length < 2) { place.appendChild(make("p", {}, ["Choose two entries."])); return; }
    var tasks = shared(entries);
    if (!tasks.length) {
      place.appendChild(make("p", {}, ["There is no task on which all of these have a score."]));
    } else {
      var ranked = tasks.filter(function (t) { return t.task.ranked; });
      if (ranked.length) place.appendChild(summary(entries, ranked));
      place.appendChild(details(entries, tasks));
    }
    leftOut(entries).forEach(function (element) { place.appendChild(element); });
  }

  // --- the choice ----------------------------------------------------------------------------------------------------

  function chosen() {
    return Array.from(form.querySelectorAll("select")).map(function (s) { return s.value; })
      .filter(function (id, i, all) { return id && all.indexOf(id) === i; });
  }

  function asked() {
    var text = new URLSearchParams(location.hash.slice(1)).get("with") || "";
    return text.split(",").filter(function (id, i, all) { return id && all.indexOf(id) === i; });
  }

  function fromAddress() {
    var known = asked().filter(function (id) { return Object.hasOwn(byId, id); }).slice(0, MOST);
    return asked().length ? known : fullest().slice(0, 2).map(function (entry) { return entry.id; });
  }

  // those with scores on the most tasks first
  function fullest() {
    function size(entry) { return Object.values(entry.scores).filter(Array.isArray).length; }
    return data.entries.slice().sort(function (a, b) { return size(b) - size(a); });
  }

  function options(select) {
    select.appendChild(make("option", { value: "" }, ["none"]));
    var groups = {};
    data.entries.forEach(function (entry) {
      var name = entry.headline ? "Headline protocol" : entry.protocol;
      groups[name] = groups[name] || select.appendChild(make("optgroup", { label: name }));
      groups[name].appendChild(make("option", { value: entry.id }, [named(entry)]));
    });
  }

  function restore() {
    var ids = fromAddress();
    form.querySelectorAll("select").forEach(function (select, i) { select.value = ids[i] || ""; });
    show(chosen());
    var unknown = asked().filter(function (id) { return !Object.hasOwn(byId, id); });
    if (unknown.length) place.prepend(make("p", { role: "status" }, ["Not among these results: " + unknown.join(", ").slice(0, 200) + "."]));
  }

  var labels = {};
  data.entries.forEach(function (entry) {
    var name = entry.label + "|" + entry.protocol;
    (labels[name] = labels[name] || []).push(entry);
  });
  Object.keys(labels).forEach(function (name) {
    if (labels[name].length > 1) labels[name].forEach(function (entry) { entry.alike = true; });
  });
  for (var i = 0; i < MOST; i++) {
    var select = make("select", { name: "entry-" + i });
    options(select);
    form.appendChild(make("label", {}, [i ? "Entry " + (i + 1) + " " : "First ", select]));
  }
  form.hidden = false;
  form.addEventListener("change", function () {
    history.replaceState(null, "", "#with=" + chosen().join(","));
    show(chosen());
  });
  window.addEventListener("hashchange", restore);
  restore();
})();
