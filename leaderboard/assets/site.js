// Sorts and filters tables and keeps what was chosen in the address. The pages are complete without it.
"use strict";
(function () {
  var MINUS = /\u2212/g;
  var STEPS = {
    ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], Home: [-Infinity, 0], End: [Infinity, 0]
  };

  // --- the state of a page, in its hash: `#q=mlp&family=shift&sort=shift-vector-table:4:descending` ------------------

  function readState() {
    var hash = location.hash.slice(1);
    return new URLSearchParams(hash.includes("=") ? hash : "");
  }

  function writeState(state) {
    var text = state.toString();
    // an address without a hash would scroll to the top
    history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
  }

  function setState(name, value) {
    var state = readState();
    if (value) state.set(name, value); else state.delete(name);
    writeState(state);
  }

  // --- sorting -------------------------------------------------------------------------------------------------------

  function key(cell, numeric) {
    if (!cell) return null;
    if (cell.hasAttribute("data-value")) {
      var value = cell.getAttribute("data-value");
      return value === "" ? null : Number(value);
    }
    if (!numeric) return cell.textContent.trim().toLowerCase();
    var found = parseFloat((cell.firstChild ? cell.firstChild.textContent : "").trim().replace(MINUS, "-").replace(/[,>]/g, ""));
    return isNaN(found) ? null : found;
  }

  function compare(a, b, sign) {
    // what has no value stays last, whichever way the rest is sorted
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a === "number") return sign * (a - b);
    return sign * (a < b ? -1 : a > b ? 1 : 0);
  }

  function sort(table, column, direction) {
    var heads = Array.from(table.tHead.rows[0].cells);
    var sign = direction === "ascending" ? 1 : -1;
    var numeric = heads[column].classList.contains("num");
    var body = table.tBodies[0];
    heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
    heads[column].setAttribute("aria-sort", direction);
    Array.from(body.rows)
      .map(function (row, place) { return { row: row, key: key(row.cells[column], numeric), place: place }; })
      .sort(function (a, b) { return compare(a.key, b.key, sign) || a.place - b.place; })
      .forEach(function (item) { body.appendChild(item.row); });
  }

  function makeSortable(table) {
    Array.from(table.tHead.rows[0].cells).forEach(function (head, column) {
      if (!head.hasAttribute("data-sort")) return;
      var button = document.createElement("button");
      button.type = "button";
      button.title = "Sort by this column";
      var link = head.querySelector("a");
      if (link) {
        // a heading that is a link stays one; its arrow sorts
        button.setAttribute("aria-label", "Sort by " + link.textContent);
      } else {
        while (head.firstChild) button.appendChild(head.firstChild);
      }
      head.appendChild(button);
      button.addEventListener("click", function () {
        var best = head.getAttribute("data-sort") || (head.classList.contains("num") ? "descending" : "ascending");
        var worst = best === "ascending" ? "descending" : "ascending";
        var direction = head.getAttribute("aria-sort") === best ? worst : best;
        sort(table, column, direction);
        if (table.id) setState("sort", [table.id, column, direction].join(":"));
      });
    });
  }

  function restoreSort() {
    var parts = (readState().get("sort") || "").split(":");
    var table = document.getElementById(parts[0]);
    var heads = table && table.tHead ? table.tHead.rows[0].cells : [];
    var column = Number(parts[1]);
    if (heads[column] && heads[column].hasAttribute("data-sort") && /^(a|de)scending$/.test(parts[2])) sort(table, column, parts[2]);
  }

  // --- filters -------------------------------------------------------------------------------------------------------

  function makeFilters(form) {
    var count = document.getElementById("filter-count");
    var fields = Array.from(form.elements).filter(function (field) { return field.name; });

    function wanted() {
      var found = {};
      fields.forEach(function (field) { found[field.name] = field.value.trim(); });
      return found;
    }

    function fits(element, name, value) {
      var own = element.getAttribute("data-" + name);
      return !value || own === null || own === value;
    }

    // a row of a board that names no algorithm was trained plainly
    function isTrainedBy(row, algorithm) {
      return !algorithm || !row.hasAttribute("data-slug") || (row.getAttribute("data-algorithm") || "erm") === algorithm;
    }

    function hasTag(tags, tag) { return !tag || tags.includes(tag); }

    function tagsOfRow(row) {
      return Array.from(row.querySelectorAll(".tag")).map(function (tag) { return tag.textContent; });
    }

    function apply() {
      var want = wanted();
      var entry = want.q.toLowerCase();
      var shown = 0, all = 0;
      document.querySelectorAll("section[data-protocol]").forEach(function (section) {
        section.hidden = !["protocol", "family", "input"].every(function (name) { return fits(section, name, want[name]); });
      });
      document.querySelectorAll("table.matrix").forEach(function (table) {
        var keep = Array.from(table.tHead.rows[0].cells).map(function (head) {
          var tags = head.getAttribute("data-tags");
          head.hidden = tags !== null && !hasTag(tags.split(" "), want.tag);
          return !head.hidden;
        });
        Array.from(table.tBodies[0].rows).forEach(function (row) {
          for (var i = 0; i < keep.length; i++) row.cells[i].hidden = !keep[i];
        });
        // a board none of whose tasks is left would be a list of names
        if (want.tag && !table.querySelector("th.task-head:not([hidden])")) table.closest("section").hidden = true;
      });
      document.querySelectorAll("tr[data-family]").forEach(function (row) {
        row.hidden = !(fits(row, "family", want.family) && fits(row, "input", want.input) && hasTag(tagsOfRow(row), want.tag));
      });
      document.querySelectorAll("table.filterable").forEach(function (table) {
        var visible = !table.closest("section").hidden;
        Array.from(table.tBodies[0].rows).forEach(function (row) {
          row.hidden = !row.cells[0].textContent.toLowerCase().includes(entry) || !isTrainedBy(row, want.algorithm);
          all += 1;
          if (visible && !row.hidden) shown += 1;
        });
      });
      document.querySelectorAll("table.matrix").forEach(settle);
      var narrowed = fields.some(function (field) { return field.value.trim(); });
      count.textContent = narrowed
        ? shown + " of " + all + " rows; ranks and means stay over all ranked tasks of a board and all its entries."
        : "";
    }

    function remember() {
      var state = readState();
      fields.forEach(function (field) {
        if (field.value.trim()) state.set(field.name, field.value.trim()); else state.delete(field.name);
      });
      writeState(state);
    }

    function restore() {
      var state = readState();
      fields.forEach(function (field) {
        field.value = state.get(field.name) || "";
        if (field.selectedIndex === -1) field.value = "";
      });
      apply();
      restoreSort();
    }

    form.hidden = false;
    form.addEventListener("submit", function (event) { event.preventDefault(); });
    form.addEventListener("input", function () { apply(); remember(); });
    form.addEventListener("reset", function () { setTimeout(function () { apply(); remember(); }); });
    window.addEventListener("hashchange", restore);
    restore();
  }

  // --- a cell of a board leads to its entry on the task's page -------------------------------------------------------

  // where a cell leads; what was skipped or not run has no entry there
  function way(table, cell) {
    var link = table.tHead.rows[0].cells[cell.cellIndex].querySelector("a");
    var entry = cell.classList.contains("absent") ? "" : "#" + cell.parentNode.getAttribute("data-slug");
    return link && link.getAttribute("href") + entry;
  }

  function isShown(cell) { return !cell.hidden && !cell.parentNode.hidden; }

  function waysOf(table) {
    return Array.from(table.tBodies[0].rows).map(function (row) {
      return Array.from(row.cells).filter(function (cell) { return isShown(cell) && cell.tagName === "TD" && way(table, cell); });
    }).filter(function (row) { return row.length; });
  }

  // One cell of a table has a real link, so that Tab stops once; arrow keys carry it from cell to cell.
  function carry(table, cell) {
    var link = table.querySelector("td > a") || document.createElement("a");
    if (link.parentNode) link.replaceWith.apply(link, Array.from(link.childNodes));
    if (!cell) return;
    link.href = way(table, cell);
    link.title = "Arrow keys move to other cells";
    link.append.apply(link, Array.from(cell.childNodes));
    cell.appendChild(link);
  }

  function settle(table) {
    var link = table.querySelector("td > a");
    if (!link || !isShown(link.parentNode)) carry(table, (waysOf(table)[0] || [])[0]);
  }

  // the names stay at the left while a table scrolls, and must not cover what has the focus
  function uncover(event) {
    var cell = event.target.closest("td");
    if (!cell) return;
    var names = cell.parentNode.cells[0].getBoundingClientRect(), left = cell.getBoundingClientRect().left;
    cell.closest(".scroll").scrollLeft -= Math.max(0, names.right - left);
  }

  function makeWays(table) {
    settle(table);
    table.addEventListener("focusin", uncover);
    table.addEventListener("click", function (event) {
      var cell = event.target.closest("td");
      if (!cell || event.target.closest("a") || String(getSelection())) return;
      var place = way(table, cell);
      if (place) location.href = place;
    });
    table.addEventListener("keydown", function (event) {
      var link = event.target, steps = STEPS[event.key];
      if (!steps || link.parentNode.tagName !== "TD" || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      var rows = waysOf(table);
      var y = rows.findIndex(function (row) { return row.includes(link.parentNode); });
      var x = rows[y].indexOf(link.parentNode);
      var row = rows[Math.min(Math.max(y + steps[1], 0), rows.length - 1)];
      event.preventDefault();
      carry(table, row[Math.min(Math.max(x + steps[0], 0), row.length - 1)]);
      link.focus();
    });
  }

  document.querySelectorAll("table.sortable").forEach(makeSortable);
  document.querySelectorAll("table.matrix").forEach(makeWays);
  var form = document.getElementById("filters");
  if (form) makeFilters(form); else restoreSort();
})();
