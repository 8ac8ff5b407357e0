new EventSource("/events").addEventListener("state", (event) => {
  document.getElementById("main").textContent = event.data;
});
