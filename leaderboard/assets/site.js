// Sorts tables and filters their entries. The pages are complete without it.
"use strict";
(function () {
  function key(cell) {
    if (cell.hasAttribute("data-value")) {
      var text = cell.getAttribute("data-value");
      return text === "" ? null : Number(text);
    }
    return cell.textContent.trim().toLowerCase();
  }

  function compare(a, b, sign) {
    // what has no value stays last, whichever way the rest is sorted
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a === "number") return sign * (a - b);
    return sign * (a < b ? -1 : a > b ? 1 : 0);
  }

  function sort(table, column, direction) {
    var sign = direction === "ascending" ? 1 : -1;
    var body = table.tBodies[0];
    Array.from(body.rows)
      .map(function (row, place) { return { row: row, key: key(row.cells[column]), place: place }; })
      .sort(function (a, b) { return compare(a.key, b.key, sign) || a.place - b.place; })
      .forEach(function (item) { body.appendChild(item.row); });
  }

  function makeSortable(table) {
    var heads = Array.from(table.tHead.rows[0].cells);
    heads.forEach(function (head, column) {
      if (!head.hasAttribute("data-sort")) return;
      var button = document.createElement("button");
      button.type = "button";
      button.title = "Sort by this column";
      var link = head.querySelector("a");
      if (link) {
        // a heading that is a link stays one; its arrow sorts
        button.setAttribute("aria-label", "Sort by " + link.textContent);
        head.appendChild(button);
      } else {
        while (head.firstChild) button.appendChild(head.firstChild);
        head.appendChild(button);
      }
      button.addEventListener("click", function () {
        var numeric = head.classList.contains("num");
        var current = head.getAttribute("aria-sort");
        var next = current ? (current === "ascending" ? "descending" : "ascending") : (numeric ? "descending" : "ascending");
        heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", next);
        sort(table, column, next);
      });
    });
  }

  function makeFilter(input) {
    var count = document.getElementById("filter-count");
    var rows = Array.from(document.querySelectorAll("table.filterable tbody tr"));
    input.closest("p").hidden = false;
    input.addEventListener("input", function () {
      var wanted = input.value.trim().toLowerCase();
      var shown = 0;
      rows.forEach(function (row) {
        row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
        if (!row.hidden) shown += 1;
      });
      count.textContent = wanted ? shown + " of " + rows.length + " rows" : "";
    });
  }

  document.querySelectorAll("table.sortable").forEach(makeSortable);
  var input = document.getElementById("filter");
  if (input) makeFilter(input);
})();
