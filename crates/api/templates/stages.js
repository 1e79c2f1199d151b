
// Performs a stage of user-interactive authentication within another page: takes the stage's own page
// from the server, shows what is in it, and sends its forms.

function stageUrl(stage, session) {
    const path = `/_matrix/client/v3/auth/${encodeURIComponent(stage)}/fallback/web`;
    return `${base}${path}?session=${encodeURIComponent(session)}`;
}

// The page at `url`, or null if there is no answer. With `form` its fields are sent.
async function fetchPage(url, form) {
    const request = { credentials: "same-origin", cache: "no-store" };
    if (form) {
        request.method = "POST";
        request.body = new URLSearchParams(new FormData(form));
    }
    try {
        const response = await fetch(url, request);
        return new DOMParser().parseFromString(await response.text(), "text/html");
    } catch (failure) {
        return null;
    }
}

// Goes through `stage` in `place`. Answers nothing once it is completed, or why it can not be.
async function performStage(stage, session, place) {
    const url = stageUrl(stage, session);
    let page = await fetchPage(url);
    for (;;) {
        if (page === null) {
            return "The server does not answer. Check your connection and try again.";
        }
        if (page.querySelector("[data-done]")) {
            return undefined;
        }
        const found = page.getElementById("stage");
        if (!found) {
            const alert = page.querySelector("[role=alert]");
            return alert ? alert.textContent : "The server does not know this step.";
        }
        const form = await showStage(page, found, place);
        page = await fetchPage(url, form);
    }
}

// Shows what is in the page of a stage; answers the form that the user sends. What is done in another
// window tells so by a message, and the form is sent then.
function showStage(page, found, place) {
    const heading = document.createElement("h2");
    heading.tabIndex = -1;
    heading.textContent = page.getElementById("title").textContent;
    place.replaceChildren(heading, document.importNode(found, true));
    place.hidden = false;
    for (const aside of place.querySelectorAll("[data-alone]")) {
        aside.remove();
    }
    for (const link of place.querySelectorAll("a[data-away]")) {
        link.target = "_blank";
        link.rel = "opener";
    }
    showCaptcha(place);
    const wrong = place.querySelector("[aria-invalid]");
    (wrong || heading).focus();
    return new Promise((resolve) => {
        const heard = (event) => {
            if (event.origin === location.origin && event.data === "authDone") {
                sent(place.querySelector("form"));
            }
        };
        const sent = (form) => {
            removeEventListener("message", heard);
            resolve(form);
        };
        addEventListener("message", heard);
        if (place.querySelector("a[data-away]")) {
            const button = document.createElement("button");
            button.className = "plain";
            button.textContent = "I have done it";
            button.addEventListener("click", () => sent(null));
            place.append(button);
        }
        for (const form of place.querySelectorAll("form")) {
            form.addEventListener("submit", (event) => {
                event.preventDefault();
                sent(form);
            });
        }
    });
}
