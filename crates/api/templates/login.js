
// Logs in, in each way that the server offers.

// Apps put their function into this object.
window.matrixLogin = window.matrixLogin || {};

const LOGIN = "/_matrix/client/v3/login";
// What this tab remembers while somebody is away at another site to log in.
const AWAY = "hearth-login-away";
const here = new URL(location.href);
const asked = here.searchParams;

// What the app wants of the session.
function wishes() {
    const wishes = {};
    for (const name of ["device_id", "initial_device_display_name"]) {
        if (asked.get(name)) {
            wishes[name] = asked.get(name);
        }
    }
    if (asked.has("refresh_token")) {
        wishes.refresh_token = asked.get("refresh_token") === "true";
    }
    return wishes;
}

function identifier(user) {
    const is_address = user.indexOf("@") > 0;
    return is_address
        ? { type: "m.id.thirdparty", medium: "email", address: user }
        : { type: "m.id.user", user };
}

async function logIn(credentials, field) {
    say("Logging in…");
    const reply = await ask("POST", LOGIN, { ...wishes(), ...credentials });
    say("");
    if (reply.status !== 200) {
        complain(reason(reply), field);
        return;
    }
    end("You are logged in", `You are ${reply.body.user_id}. You can go back to your app.`);
    tell(() => {
        const { onLogin } = window.matrixLogin;
        if (typeof onLogin === "function") {
            onLogin.call(window.matrixLogin, reply.body);
        } else if (typeof window.onLogin === "function") {
            window.onLogin(reply.body);
        } else {
            return false;
        }
        return true;
    });
}

function offerPassword() {
    const [user, password] = [element("user"), element("password")];
    element("password-form").hidden = false;
    showPassword(element("show"), password);
    onSend(element("password-form"), () => {
        const credentials = { identifier: identifier(user.value.trim()), password: password.value };
        return logIn({ type: "m.login.password", ...credentials }, password);
    });
}

function offerToken() {
    const token = element("login-token");
    element("token").hidden = false;
    onSend(element("token-form"), () => logIn({ type: "m.login.token", token: token.value.trim() }, token));
}

function offerSso(flow) {
    const providers = flow.identity_providers || [{ name: "single sign-on" }];
    for (const provider of providers) {
        const link = document.createElement("a");
        const id = provider.id ? "/" + encodeURIComponent(provider.id) : "";
        link.className = "button plain";
        link.textContent = "Continue with " + provider.name;
        link.href = `${base}${LOGIN}/sso/redirect${id}?redirectUrl=${encodeURIComponent(here.href)}`;
        link.addEventListener("click", () => sessionStorage.setItem(AWAY, "yes"));
        element("sso").append(link);
    }
    element("sso").hidden = false;
}

// Back from another site. Who did not leave from here was sent by somebody, perhaps to log in as them.
async function comeBack(token) {
    asked.delete("loginToken");
    history.replaceState(null, "", here.href);
    const left_here = sessionStorage.getItem(AWAY) === "yes";
    sessionStorage.removeItem(AWAY);
    if (left_here) {
        await logIn({ type: "m.login.token", token });
        return;
    }
    const form = element("returned");
    form.hidden = false;
    await new Promise((chosen) => {
        onSend(form, async () => {
            await logIn({ type: "m.login.token", token });
            chosen();
        });
        element("otherwise").addEventListener("click", chosen);
    });
    form.hidden = true;
}

async function begin() {
    const token = asked.get("loginToken");
    if (token) {
        await comeBack(token);
    }
    if (!element("password-form")) {
        return;
    }
    const reply = await ask("GET", LOGIN);
    if (reply.status !== 200) {
        complain(reason(reply));
        return;
    }
    const flow = (type) => reply.body.flows.find((flow) => flow.type === type);
    if (flow("m.login.password")) {
        offerPassword();
    }
    if (flow("m.login.sso")) {
        offerSso(flow("m.login.sso"));
    }
    if (flow("m.login.token")) {
        offerToken();
    }
}

begin();
