"use strict";

// What the scripts of all pages have in common.

const base = location.href.split("/_matrix/")[0];
const element = (id) => document.getElementById(id);

// Asks the server; answers the status and the JSON. Without an answer the status is 0.
async function ask(method, path, body) {
    const request = { method, credentials: "omit", cache: "no-store" };
    if (body !== undefined) {
        request.headers = { "Content-Type": "application/json" };
        request.body = JSON.stringify(body);
    }
    try {
        const response = await fetch(base + path, request);
        return { status: response.status, body: await response.json() };
    } catch (failure) {
        return { status: 0, body: { error: "The server does not answer. Check your connection and try again." } };
    }
}

// Why the server refused, for people.
function reason(reply) {
    const wait_ms = reply.body.retry_after_ms;
    if (reply.status === 429 && wait_ms) {
        const seconds = Math.ceil(wait_ms / 1000);
        return `Too many attempts. Wait ${seconds === 1 ? "a second" : seconds + " seconds"}, then try again.`;
    }
    return reply.body.error || `The server answered with the status ${reply.status}.`;
}

// Says what went wrong and leads to the field where it can be put right.
function complain(text, field) {
    forgive();
    element("error").textContent = text;
    if (field) {
        field.setAttribute("aria-invalid", "true");
        field.focus();
    }
}

function forgive() {
    element("error").textContent = "";
    for (const field of document.querySelectorAll("[aria-invalid]")) {
        field.removeAttribute("aria-invalid");
    }
}

function say(text) {
    element("status").textContent = text;
}

// Does `work` when `form` is sent, once at a time. The button keeps the focus meanwhile.
function onSend(form, work) {
    const button = form.querySelector("button");
    form.addEventListener("submit", async (event) => {
        event.preventDefault();
        if (button.getAttribute("aria-disabled") === "true") {
            return;
        }
        forgive();
        button.setAttribute("aria-disabled", "true");
        try {
            await work();
        } finally {
            button.removeAttribute("aria-disabled");
        }
    });
}

// The page is at its end: only `text` remains, under a new heading.
function end(heading, text) {
    const title = element("title");
    for (const other of [...title.parentNode.children]) {
        if (other !== title) {
            other.remove();
        }
    }
    const paragraph = document.createElement("p");
    paragraph.textContent = text;
    title.textContent = heading;
    title.after(paragraph);
    document.title = heading;
    title.focus();
}

// How long an app may take to put its function into the window after the page has loaded.
const TOLD_MS_MAX = 10000;

// Tells the app the outcome, once: `attempt` answers whether it found somebody to tell.
function tell(attempt) {
    const begun = Date.now();
    const again = () => {
        if (!attempt() && Date.now() - begun < TOLD_MS_MAX) {
            setTimeout(again, 100);
        }
    };
    again();
}

// A tick that makes the password readable.
function showPassword(tick, password) {
    tick.addEventListener("change", () => {
        password.type = tick.checked ? "text" : "password";
    });
}
