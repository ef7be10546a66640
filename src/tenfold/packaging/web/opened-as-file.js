// Browsers load no modules from a folder that is opened by double-click: say so instead of staying empty.

if (location.protocol === "file:") {
  const problem = document.getElementById("problem");
  problem.textContent =
    "This folder has to come from a web server: copy it to any static one with https, or try it here by " +
    "“python3 -m http.server” inside the folder and open http://localhost:8000.";
  problem.hidden = false;
  document.getElementById("summary").textContent = "";
}
