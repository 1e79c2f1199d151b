// The pages of the stages of authentication, and the page that makes an account through all of them.

import assert from "node:assert/strict";
import { APPS } from "./browser.mjs";
import { loginToken } from "./login.mjs";
import { wantsAccount } from "./register.mjs";

const PASSWORD = "correct horse battery";
const REGISTER = "/_matrix/client/v3/register";

// What the server of `required` asks for, in this order.
export const config = (outside) => `
registration.enabled = true
registration.require = ["token", "recaptcha", "terms"]
registration.terms = [
    { id = "privacy", version = "1", name = "Privacy <policy>", url = "https://hearth.test/privacy" },
    { id = "rules", version = "2", name = "Rules of the house", url = "https://hearth.test/rules" },
]
captcha.site_key = "site-key"
captcha.secret = "secret"
captcha.verify_url = "${outside.url}/captcha"
federation.allow_loopback = true
`;

// The provider's script: a field in which people write that they are human.
const CAPTCHA_SCRIPT = `
window.grecaptcha = {
    render(box, { sitekey, theme, size }) {
        box.innerHTML = '<label>What are you? (' + sitekey + ', ' + theme + ', ' + size + ')' +
            '<input name="g-recaptcha-response"></label>';
    },
};
window.hearthCaptcha();`;

async function servesCaptcha(person) {
    const is_captcha = (url) => url.startsWith("https://www.google.com/recaptcha/api.js");
    person.expected = is_captcha;
    await person.context.route(
        (url) => is_captcha(url.href),
        (route) => route.fulfill({ contentType: "text/javascript", body: CAPTCHA_SCRIPT }),
    );
}

export const page = (stage, session, prefix = "v3") =>
    `/_matrix/client/${prefix}/auth/${stage}/fallback/web?session=${encodeURIComponent(session)}`;

async function beginsRegistration(server) {
    const { status, body } = await server.ask("POST", REGISTER, { username: server.name("stage"), password: PASSWORD });
    assert.equal(status, 401);
    return body.session;
}

async function completed(server, session) {
    const { body } = await server.ask("POST", REGISTER, { auth: { session } });
    return body.completed;
}

async function passesToken(person, server, session) {
    server.tokens = (server.tokens || 0) + 1;
    await person.opens(page("m.login.registration_token", session));
    await person.writes("#stage-token", server.registrationToken(`token${server.tokens}`));
    await person.presses("#stage-token");
}

export const required = {
    async "goes through every stage in its own page, and tells the app each time"(person, server) {
        await servesCaptcha(person);
        const session = await beginsRegistration(server);
        const token = server.registrationToken(server.name("invitation"));
        await person.opens(page("m.login.registration_token", session, "v2_alpha"));
        await person.looksAt("stage-token");
        await person.writes("#stage-token", "wrong");
        await person.presses("#stage-token");
        await person.isTold("This registration token is not valid");
        await person.focusIsOn("#stage-token");
        await person.looksAt("stage-token-wrong");
        await person.writes("#stage-token", token);
        await person.presses("#stage-token");
        await person.sees("You can close this page");
        assert.deepEqual(await person.heard(), [[]]);
        await person.looksAt("stage-done");

        await person.opens(page("m.login.recaptcha", session, "r0"));
        await person.sees("What are you?");
        await person.looksAt("stage-captcha");
        await person.writes("[name=g-recaptcha-response]", "a robot");
        await person.presses("[type=submit]");
        await person.isTold("The answer to the captcha is not right");
        await person.writes("[name=g-recaptcha-response]", "human");
        await person.presses("[type=submit]");
        assert.deepEqual(await person.heard(), [[]]);

        await person.opens(page("m.login.terms", session, "api/v1"));
        await person.sees("Privacy <policy>");
        await person.looksAt("stage-terms");
        await person.presses("[type=checkbox]", "Space");
        await person.presses("[type=submit]");
        assert.deepEqual(await person.heard(), [[]]);
        const { status } = await server.ask("POST", REGISTER, { auth: { session }, password: PASSWORD });
        assert.equal(status, 200);
    },

    async "tells the window that opened it"(person, server) {
        const session = await beginsRegistration(server);
        await person.opens("/");
        const [popup] = await Promise.all([
            person.context.waitForEvent("page"),
            person.page.evaluate((url) => {
                window.heard = [];
                addEventListener("message", (event) => window.heard.push([event.data, event.origin]));
                window.open(url);
            }, page("m.login.registration_token", session)),
        ]);
        await popup.fill("#stage-token", server.registrationToken(server.name("popup")));
        await popup.press("#stage-token", "Enter");
        assert.deepEqual(await person.heard(), [["authDone", server.url]]);
        assert.deepEqual(await completed(server, session), ["m.login.registration_token"]);
    },

    async "says of a completed stage that it is completed"(person, server) {
        const session = await beginsRegistration(server);
        await passesToken(person, server, session);
        await person.heard();
        await person.opens(page("m.login.registration_token", session));
        await person.sees("You can close this page");
        assert.deepEqual(await person.heard(), [[]]);
    },

    async "says what to do when a session has ended or a stage is not the next"(person, server) {
        await person.opens(page("m.login.terms", "nothing <b>like</b> a session"));
        await person.isTold("unknown or has expired");
        await person.sees("start again from there");
        await person.looksAt("refused");
        await person.opens(page("m.login.terms", await beginsRegistration(server)));
        await person.isTold("not the step that comes next");
        await person.opens("/_matrix/client/v3/auth/m.login.terms/fallback/web");
        await person.isTold("names no session");
    },

    async "makes an account through all of them without leaving the page"(person, server) {
        await servesCaptcha(person);
        const user = server.name("rupert");
        await person.opens("/_matrix/static/client/register/");
        await wantsAccount(person, user);
        await person.sees("Enter your registration token");
        await person.focusIsOn("h2");
        await person.looksAt("register-token");
        await person.writes("#stage-token", "wrong");
        await person.presses("#stage-token");
        await person.isTold("This registration token is not valid");
        await person.focusIsOn("#stage-token");
        await person.writes("#stage-token", server.registrationToken(server.name("invited")));
        await person.presses("#stage-token");
        await person.sees("What are you?");
        await person.looksAt("register-captcha");
        await person.writes("[name=g-recaptcha-response]", "human");
        await person.presses("#stage [type=submit]");
        await person.sees("Rules of the house");
        await person.looksAt("register-terms");
        await person.presses("#stage [type=checkbox]", "Space");
        await person.presses("#stage [type=submit]");
        const [[home_server, user_id, access_token]] = await person.heard();
        assert.equal(home_server, "hearth.test");
        assert.equal((await server.whoami(access_token)).user_id, user_id);
    },

    async "keeps what was proved when the name turns out to be taken"(person, server) {
        await servesCaptcha(person);
        const [taken, free] = [server.name("sybil"), server.name("sybilla")];
        await person.opens("/_matrix/static/client/register/");
        await wantsAccount(person, taken);
        await person.writes("#stage-token", server.registrationToken(server.name("kept")));
        await person.presses("#stage-token");
        await person.sees("What are you?");
        server.user(taken, PASSWORD);
        await person.writes("[name=g-recaptcha-response]", "human");
        await person.presses("#stage [type=submit]");
        await person.isTold("taken");
        await person.focusIsOn("#user");
        await wantsAccount(person, free);
        await person.sees("Rules of the house");
        await person.presses("#stage [type=checkbox]", "Space");
        await person.presses("#stage [type=submit]");
        await person.sees(`You are @${free}:hearth.test`);
    },
};

export const open = {
    async "asks for the password before something that matters"(person, server) {
        const user = server.user(server.name("trent"), PASSWORD);
        const { access_token, device_id } = await server.logsIn(user, PASSWORD);
        const path = `/_matrix/client/v3/devices/${device_id}`;
        const { body } = await server.ask("DELETE", path, {}, access_token);
        await person.opens(page("m.login.password", body.session));
        await person.sees("remove devices from your account");
        await person.sees(`@${user}:hearth.test`);
        await person.looksAt("stage-password");
        await person.writes("#stage-password", "wrong");
        await person.presses("#stage-password");
        await person.isTold("Wrong password");
        await person.focusIsOn("#stage-password");
        await person.writes("#stage-password", PASSWORD);
        await person.presses("#stage-password");
        assert.deepEqual(await person.heard(), [[]]);
        await server.must("DELETE", path, { auth: { session: body.session } }, access_token);
    },

    async "takes a login token instead of the password"(person, server) {
        const user = server.user(server.name("victoria"), PASSWORD);
        const { access_token, device_id } = await server.logsIn(user, PASSWORD);
        const path = `/_matrix/client/v3/devices/${device_id}`;
        const { body } = await server.ask("DELETE", path, {}, access_token);
        await person.opens(page("m.login.token", body.session));
        await person.looksAt("stage-login-token");
        await person.writes("#stage-token", "wrong");
        await person.presses("#stage-token");
        await person.isTold("");
        await person.focusIsOn("#stage-token");
        await person.writes("#stage-token", await loginToken(server, user));
        await person.presses("#stage-token");
        assert.deepEqual(await person.heard(), [[]]);
        await server.must("DELETE", path, { auth: { session: body.session } }, access_token);
    },

    async "needs a press of a button for nothing"(person, server) {
        const session = await beginsRegistration(server);
        await person.opens(page("m.login.dummy", session));
        await person.looksAt("stage-dummy");
        await person.presses("[type=submit]");
        await person.heard();
    },
};

required["goes through every stage in its own page, and tells the app each time"].app = APPS.stage;
required["says of a completed stage that it is completed"].app = APPS.stage;
required["makes an account through all of them without leaving the page"].app = APPS.register;
for (const test of Object.values(open)) {
    test.app = APPS.stage;
}
