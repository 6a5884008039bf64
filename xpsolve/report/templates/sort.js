for (const table of document.querySelectorAll("table.sortable"))
  table.querySelectorAll("thead th button").forEach((button, column) => button.addEventListener("click", () => {
    const th = button.parentElement, down = th.getAttribute("aria-sort") === "ascending", body = table.tBodies[0];
    const key = row => row.cells[column].dataset.key;
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
      return down ? -order : order;
    };
    body.append(...[...body.rows].sort(compare));
    table.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
    th.setAttribute("aria-sort", down ? "descending" : "ascending");
  }));
