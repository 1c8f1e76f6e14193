"use strict";
// Spares the reload: posts the form as JSON, shows the draft while it is written and pulls what comes after.
// Without this file the form still works.
const talk = document.getElementById("talk");
const draft = document.getElementById("draft");
const form = document.getElementById("say");
const box = document.getElementById("text");
const notice = document.querySelector(".notice");
const page = `/chat/${talk.dataset.agent}`;
const url = `/api${page}/messages`;
let after = Number(talk.dataset.after);
let waiting = 0; // messages without an answer yet

function element(name, facts, ...inside) {
  const made = Object.assign(document.createElement(name), facts);
  made.append(...inside);
  return made;
}

function clock(time) {
  const when = new Date(time.dateTime);
  time.textContent = when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  time.title = when.toLocaleString();
}

function atEnd() {
  const root = document.documentElement;
  return root.scrollHeight - root.scrollTop - root.clientHeight < 120;
}

function toEnd() {
  document.documentElement.scrollTop = document.documentElement.scrollHeight;
}

function show(who, text, message) {
  if (message && document.getElementById(message.id)) return;
  talk.querySelector(".hint")?.remove();
  const item = element("li", { className: who }, element("p", { textContent: text }));
  if (message) {
    item.id = message.id;
    const time = element("time", { dateTime: new Date(message.at).toISOString() });
    clock(time);
    const links = ["receipt", "why"].map((name) =>
      element("a", { className: name, textContent: name, href: `${page}/${name === "why" ? "why" : "receipts"}/${message.id}` }),
    );
    item.append(element("p", { className: "meta" }, time, ...links));
  }
  const follow = who === "you" || atEnd();
  talk.append(item);
  if (follow) toEnd();
  return item;
}

function write(state, text) {
  const follow = atEnd();
  draft.hidden = !state;
  draft.className = `agent ${state}`;
  draft.firstChild.textContent = text;
  if (follow) toEnd();
}

function tell(text) {
  notice.textContent = text;
  notice.hidden = !text;
}

function take(messages) {
  if (messages.length) write("", "");
  for (const message of messages) show("agent", message.text, message);
}

// What the agent is writing now: signals, not messages. They end when the turn does.
function watch(id) {
  const signals = new EventSource(`/api${page}/signals?id=${encodeURIComponent(id)}`);
  const until = (state) => (event) => write(state, JSON.parse(event.data).text);
  signals.addEventListener("thinking", until("thinking"));
  signals.addEventListener("writing", until("writing"));
  signals.addEventListener("ended", () => signals.close());
  signals.onerror = () => signals.close(); // the answer comes without them
  return signals;
}

async function send(text, id) {
  for (let attempt = 0; attempt < 5; attempt++) {
    try {
      const answer = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ text, id, wait: 60 }),
      });
      if (answer.status !== 503) return await answer.json();
    } catch (error) {
      tell("The connection broke; trying again…");
    }
    await new Promise((done) => setTimeout(done, 500 * (attempt + 1)));
  }
  return { error: { message: "The agent cannot be reached. Your words are still in the box." } };
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = box.value.trim();
  if (!text) return;
  const id = form.elements.id.value;
  form.elements.id.value = crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2);
  box.value = "";
  grow();
  tell("");
  const said = show("you", text);
  waiting++;
  write("thinking", "");
  const signals = watch(id);
  const told = await send(text, id);
  signals.close();
  waiting--;
  if (!waiting) write("", "");
  if (told.error) {
    said.remove();
    box.value = text;
    form.elements.id.value = id;
    grow();
    tell(told.error.message);
  } else {
    tell(told.notice || "");
    take(told.messages);
  }
  box.focus();
});

function grow() {
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight + 2}px`;
}

box.addEventListener("input", grow);
box.addEventListener("keydown", (event) => {
  const phone = matchMedia("(pointer: coarse)").matches; // there, Enter makes a line and the button sends
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !phone) {
    event.preventDefault();
    form.requestSubmit();
  }
});

async function listen() {
  for (;;) {
    try {
      const answer = await fetch(`${url}?after=${after}&wait=25`);
      if (answer.ok) {
        const messages = (await answer.json()).messages;
        take(messages);
        // Only what was pulled in order moves the cursor: it tells the agent that all before it is here.
        for (const message of messages) after = Math.max(after, message.seq);
        continue;
      }
    } catch (error) {
      // the gate restarts or the network is away: try again below
    }
    await new Promise((done) => setTimeout(done, 2000));
  }
}

for (const time of talk.querySelectorAll("time")) clock(time);
toEnd();
listen();
