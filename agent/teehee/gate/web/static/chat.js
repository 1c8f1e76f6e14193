"use strict";
// Spares the reload: posts the form as JSON and pulls what comes after. Without this file the form still works.
const talk = document.getElementById("talk");
const form = document.getElementById("say");
const box = document.getElementById("text");
const notice = document.querySelector(".notice");
const url = `/api/chat/${talk.dataset.agent}/messages`;
let after = Number(talk.dataset.after);

function show(who, text, effect) {
  if (effect && document.getElementById(effect)) return;
  talk.querySelector(".hint")?.remove();
  const item = document.createElement("li");
  item.className = who;
  const words = document.createElement("p");
  words.textContent = text;
  item.append(words);
  if (effect) {
    item.id = effect;
    const receipt = document.createElement("a");
    receipt.className = "receipt";
    receipt.href = `/api/receipts/${effect}`;
    receipt.textContent = "receipt";
    item.append(" ", receipt);
  }
  talk.append(item);
  item.scrollIntoView({ block: "end" });
}

function tell(text) {
  notice.textContent = text;
  notice.hidden = !text;
}

function take(messages) {
  for (const message of messages) show("agent", message.text, message.id);
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
  tell("");
  show("you", text);
  const told = await send(text, id);
  if (told.error) {
    box.value = text;
    form.elements.id.value = id;
    tell(told.error.message);
  } else {
    tell(told.notice || "");
    take(told.messages);
  }
});

box.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
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
listen();
