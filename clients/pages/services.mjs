// Proving who one is at another service: to log in, and as a stage.

import assert from "node:assert/strict";
import { APPS } from "./browser.mjs";
import { wantsAccount } from "./register.mjs";
import { page } from "./stages.mjs";

// Where the server says that it is; in truth it is on a port that nobody knew before.
const PUBLIC = "https://matrix.hearth.test";

const provider = (outside, id, name) => `
[[oauth2.providers]]
id = "${id}"
name = "${name}"
client_id = "hearth"
client_secret = "secret"
authorization_url = "${outside.url}/authorize"
token_url = "${outside.url}/token"
userinfo_url = "${outside.url}/userinfo"
`;

export const config = (outside) => `
well_known.client = "${PUBLIC}"
registration.enabled = true
federation.allow_loopback = true
${provider(outside, "outside", "Outside & Co")}
${provider(outside, "other", "The other one")}
`;

export const configRequired = (outside) => `registration.require = ["oauth2"]\n${config(outside)}`;

// Lets somebody go to the service, where they are called `name`, and finds the way back.
async function isKnownOutside(person, server, outside, name) {
    outside.person = name;
    person.expected = (url) => url.startsWith(outside.url) || url.startsWith(PUBLIC);
    await person.context.route(`${PUBLIC}/**`, (route) => {
        const { pathname, search } = new URL(route.request().url());
        return route.fulfill({ status: 302, headers: { location: server.url + pathname + search } });
    });
}

async function logsIn(person) {
    await person.opens("/_matrix/static/client/login/?device_id=OUTSIDE");
    await person.sees("Continue with Outside & Co");
    await person.looksAt("login-services");
    await person.presses("#sso a");
    await person.sees("You have logged in at Outside & Co");
    await person.looksAt("service-allow");
    await person.presses("button");
    const [[response]] = await person.heard();
    return response;
}

export const services = {
    async "logs in through another service"(person, server, outside) {
        const name = server.name("victor");
        await isKnownOutside(person, server, outside, name);
        const response = await logsIn(person);
        assert.equal(response.user_id, `@${name}:hearth.test`);
        assert.equal((await server.whoami(response.access_token)).device_id, "OUTSIDE");
    },

    async "goes through the stage at another service"(person, server, outside) {
        const name = server.name("walter");
        await isKnownOutside(person, server, outside, name);
        const { access_token, device_id } = await logsIn(person);
        const path = `/_matrix/client/v3/devices/${device_id}`;
        const { body } = await server.ask("DELETE", path, {}, access_token);
        await person.opens(page("m.login.sso", body.session));
        await person.sees("remove devices from your account");
        await person.looksAt("stage-services");
        await person.presses("#stage a");
        await person.sees("You can close this page");
        await person.page.evaluate(() => {
            window.heard = [];
            window.onAuthDone = () => window.heard.push([]);
        });
        await person.heard();
        await server.must("DELETE", path, { auth: { session: body.session } }, access_token);
    },

    async "lets people choose where the app names no service"(person, server, outside) {
        await isKnownOutside(person, server, outside, server.name("wendy"));
        await person.opens(`/_matrix/client/v3/login/sso/redirect?redirectUrl=${encodeURIComponent(server.url)}`);
        await person.sees("Continue with The other one");
        await person.looksAt("service-choose");
    },

    async "says what to do when the service refuses"(person, server, outside) {
        await isKnownOutside(person, server, outside, "nobody");
        await person.opens("/_matrix/static/client/login/");
        await person.presses("#sso a");
        await person.isTold("did not let you in");
        await person.looksAt("service-refused");
    },
};

export const servicesRequired = {
    async "makes an account after another window has shown who one is"(person, server, outside) {
        const name = server.name("xavier");
        await isKnownOutside(person, server, outside, name);
        await person.opens("/_matrix/static/client/register/");
        await wantsAccount(person, name);
        await person.sees("Show who you are");
        await person.looksAt("register-services");
        const popup = person.context.waitForEvent("page");
        await person.presses("#stage a");
        await (await popup).getByText("You can close this page").waitFor();
        const [[, user_id]] = await person.heard();
        assert.equal(user_id, `@${name}:hearth.test`);
    },

    async "makes an account when the other window could say nothing"(person, server, outside) {
        const name = server.name("yvonne");
        await isKnownOutside(person, server, outside, name);
        await person.opens("/_matrix/static/client/register/");
        await wantsAccount(person, name);
        await person.sees("Show who you are");
        await person.page.evaluate(() => document.querySelector("#stage a").setAttribute("rel", "noopener"));
        const popup = person.context.waitForEvent("page");
        await person.presses("#stage a");
        await (await popup).getByText("You can close this page").waitFor();
        await person.presses("#stage-place > button");
        const [[, user_id]] = await person.heard();
        assert.equal(user_id, `@${name}:hearth.test`);
    },
};

for (const test of Object.values(servicesRequired)) {
    test.app = APPS.register;
}
services["logs in through another service"].app = APPS.login;
services["goes through the stage at another service"].app = APPS.login;
