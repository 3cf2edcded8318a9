"use strict";
// Sliders ask for the list anew, photos are sent to be searched with, clips play where one points;
// "/" goes to the field of users and items.

const list = document.getElementById("list");
const blend = document.getElementById("blend");
let asked = 0;

async function refresh() {
  const query = new URLSearchParams({ id: list.dataset.user });
  for (const slider of blend.querySelectorAll("input")) {
    if (slider.value !== slider.dataset.start) query.set(slider.name, slider.value);
  }
  const mine = ++asked;
  const answer = await fetch("/user/list?" + query);
  const text = await answer.text();
  if (mine !== asked || !answer.ok) return;
  list.innerHTML = text; // made and escaped by this server's own templates
  if (list.querySelector("[data-waiting]")) setTimeout(refresh, 1500);
  else blend.querySelectorAll("input").forEach((slider) => (slider.disabled = false));
}

function told(slider) {
  const value = Number(slider.value);
  const text = slider.max === "3" ? "× " + value.toFixed(2) : value ? value.toFixed(2) : "off";
  slider.closest("label").querySelector("output").textContent = text;
}

if (list && blend) {
  let later = 0;
  blend.addEventListener("input", (event) => {
    told(event.target);
    clearTimeout(later);
    later = setTimeout(refresh, 90);
  });
  blend.addEventListener("reset", () => setTimeout(() => {
    blend.querySelectorAll("input").forEach(told);
    refresh();
  }));
  if (list.querySelector("[data-waiting]")) setTimeout(refresh, 1500);
}
if (document.querySelector("[data-waiting=page]")) setTimeout(() => location.reload(), 3000);

const search = document.getElementById("search");
search?.addEventListener("submit", async (event) => {
  const photo = document.getElementById("photo").files[0];
  if (!photo) return; // a text alone has an address of its own
  event.preventDefault();
  const query = new URLSearchParams({ q: search.elements.q.value });
  const answer = await fetch("/search?" + query, { method: "POST", body: photo });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const found = page.querySelector("main") ?? page.body;
  document.getElementById("found").replaceChildren(...found.childNodes);
});

function play(event) {
  const photo = event.target.closest?.(".photo, a, li")?.querySelector("[data-clip]");
  if (!photo || photo.dataset.playing) return;
  const image = photo.parentElement.querySelector("img");
  const still = image.src;
  photo.dataset.playing = "yes";
  image.src = photo.dataset.clip;
  const stop = () => {
    image.src = still;
    delete photo.dataset.playing;
  };
  photo.closest("a, .photo").addEventListener("pointerleave", stop, { once: true });
  photo.closest("a, .photo").addEventListener("blur", stop, { once: true });
}
document.addEventListener("pointerover", (event) => event.target.closest(".photo") && play(event));
document.addEventListener("focusin", play);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.closest("input, select, textarea")) {
    event.preventDefault();
    document.querySelector("input[type=search]").focus();
  }
});
