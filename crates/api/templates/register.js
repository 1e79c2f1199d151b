
// Makes an account, through all the stages that the server asks for.

// Apps put their function into this object.
window.matrixRegistration = window.matrixRegistration || {};

const REGISTER = "/_matrix/client/v3/register";
const form = element("account-form");
const place = element("stage-place");
const asked = new URLSearchParams(location.search);
// The session of the last attempt: what was proved in it need not be proved again.
let session;

// The function of the app, if it is there.
function listener() {
    const { onRegistered } = window.matrixRegistration;
    if (typeof onRegistered === "function") {
        return onRegistered.bind(window.matrixRegistration);
    }
    return typeof window.onRegistered === "function" ? window.onRegistered : undefined;
}

function wish() {
    const wish = { username: element("user").value.trim(), password: element("password").value };
    for (const name of ["device_id", "initial_device_display_name"]) {
        if (asked.get(name)) {
            wish[name] = asked.get(name);
        }
    }
    // In a browser of its own nobody could use the session.
    wish.inhibit_login = listener() === undefined;
    return wish;
}

// The stage that comes next on the shortest way.
function nextStage(flows, completed) {
    const left = (flow) => flow.stages.filter((stage) => !completed.includes(stage));
    const ways = flows.map(left).sort((one, other) => one.length - other.length);
    return ways.length ? ways[0][0] : undefined;
}

// Asks for the account until no stage is left; answers the last reply.
async function goThrough(wish) {
    let auth = session ? { session } : undefined;
    for (let before; ; ) {
        say("Asking the server…");
        const reply = await ask("POST", REGISTER, auth ? { ...wish, auth } : wish);
        say("");
        const { flows, completed } = reply.body;
        if (reply.status !== 401 || !flows) {
            return reply;
        }
        session = reply.body.session;
        const stage = nextStage(flows, completed || []);
        if (stage === undefined || (stage === before && !reply.body.errcode)) {
            return { status: 0, body: { error: "The server asks for something that this page can not do." } };
        }
        before = stage;
        if (stage === "m.login.dummy") {
            auth = { type: stage, session };
            continue;
        }
        form.hidden = true;
        const why = await performStage(stage, session, place);
        place.hidden = true;
        auth = { session };
        if (why !== undefined) {
            session = undefined;
            return { status: 0, body: { error: why } };
        }
    }
}

function registered(account, told_later) {
    if (!told_later) {
        end("Your account is ready", `You are ${account.user_id}. Log in with your app now.`);
        return;
    }
    end("Your account is ready", `You are ${account.user_id}. You can go back to your app.`);
    tell(() => {
        const listening = listener();
        if (listening) {
            // Apps have always got the name of the server first.
            listening(account.home_server, account.user_id, account.access_token);
        }
        return listening !== undefined;
    });
}

async function register() {
    const wished = wish();
    const reply = await goThrough(wished);
    if (reply.status === 200) {
        registered(reply.body, !wished.inhibit_login);
        return;
    }
    form.hidden = false;
    const about_password = reply.body.errcode === "M_WEAK_PASSWORD";
    complain(reason(reply), about_password ? element("password") : element("user"));
}

form.hidden = false;
showPassword(element("show"), element("password"));
onSend(form, register);
