// The page that logs in.

import assert from "node:assert/strict";
import { APPS } from "./browser.mjs";

const PAGE = "/_matrix/static/client/login/";
const PASSWORD = "correct horse battery";

async function entersPassword(person, user, password) {
    await person.writes("#user", user);
    await person.writes("#password", password);
    await person.presses("#password");
}

// A token with which another app of `user` can log in.
export async function loginToken(server, user) {
    const { access_token } = await server.logsIn(user, PASSWORD);
    const path = "/_matrix/client/v1/login/get_token";
    const { body } = await server.ask("POST", path, {}, access_token);
    const identifier = { type: "m.id.user", user };
    const auth = { type: "m.login.password", identifier, password: PASSWORD, session: body.session };
    return (await server.must("POST", path, { auth }, access_token)).login_token;
}

export const open = {
    async "logs in by password and tells the app"(person, server) {
        const user = server.user(server.name("alice"), PASSWORD);
        await person.opens(PAGE + "?device_id=KITCHEN&initial_device_display_name=Kitchen%20%3Cb%3E&refresh_token=true");
        await person.sees("Username");
        await person.looksAt("login");
        await entersPassword(person, user, PASSWORD);
        const [[response]] = await person.heard();
        assert.equal(response.user_id, `@${user}:hearth.test`);
        assert.equal(response.device_id, "KITCHEN");
        assert.ok(response.refresh_token);
        assert.equal((await server.whoami(response.access_token)).device_id, "KITCHEN");
        const { devices } = await server.must("GET", "/_matrix/client/v3/devices", undefined, response.access_token);
        assert.equal(devices[0].display_name, "Kitchen <b>");
        await person.sees(`You are @${user}:hearth.test`);
        await person.focusIsOn("h1");
        await person.looksAt("login-done");
        assert.equal((await person.heard()).length, 1);
    },

    async "says what is wrong, and lets people try again"(person, server) {
        const user = server.user(server.name("bob"), PASSWORD);
        await person.opens(PAGE);
        await entersPassword(person, user, "wrong");
        await person.isTold("Wrong username or password");
        await person.focusIsOn("#password");
        await person.looksAt("login-wrong");
        await entersPassword(person, user, PASSWORD);
        assert.equal((await person.heard()).length, 1);
    },

    async "shows the password to whoever wants to see it"(person) {
        await person.opens(PAGE);
        await person.writes("#password", PASSWORD);
        await person.presses("#show", "Space");
        assert.equal(await person.page.getAttribute("#password", "type"), "text");
        await person.presses("#show", "Space");
        assert.equal(await person.page.getAttribute("#password", "type"), "password");
    },

    async "logs in by token"(person, server) {
        const user = server.user(server.name("carol"), PASSWORD);
        await person.opens(PAGE);
        await person.presses("summary");
        await person.writes("#login-token", "wrong");
        await person.presses("#token-form button");
        await person.isTold("This login token is not valid");
        await person.looksAt("login-token");
        await person.writes("#login-token", await loginToken(server, user));
        await person.presses("#token-form button");
        const [[response]] = await person.heard();
        assert.equal(response.user_id, `@${user}:hearth.test`);
    },

    async "asks before it takes a login that somebody else may have sent"(person, server) {
        const user = server.user(server.name("dave"), PASSWORD);
        await person.opens(`${PAGE}?device_id=X&loginToken=${await loginToken(server, user)}`);
        await person.sees("Continue only if you have just asked for it");
        assert.ok(!person.page.url().includes("loginToken"));
        assert.equal(await person.page.locator("#password-form").isVisible(), false);
        await person.looksAt("login-returned");
        await person.presses("#returned [type=submit]");
        const [[response]] = await person.heard();
        assert.equal(response.device_id, "X");
    },

    async "lets people refuse a login that was sent to them"(person) {
        await person.opens(`${PAGE}?loginToken=sent`);
        await person.presses("#otherwise");
        await person.goesTo("#user");
        assert.equal(await person.page.locator("#returned").isVisible(), false);
    },

    async "serves the address of 2015 and its apps"(person, server) {
        const user = server.user(server.name("erin"), PASSWORD);
        await person.opens("/_matrix/client/api/v1/login/fallback");
        await entersPassword(person, `@${user}:hearth.test`, PASSWORD);
        const [[response]] = await person.heard();
        assert.equal(response.home_server, "hearth.test");
        assert.ok(response.access_token);
    },

    async "tells apps through the frame that they catch, and those that come late"(person, server) {
        const user = server.user(server.name("frank"), PASSWORD);
        await person.opens(PAGE);
        await entersPassword(person, user, PASSWORD);
        await person.sees("You are logged in");
        // As apps on phones do it: the frame's address is what they catch.
        await person.page.evaluate(() => {
            window.heard = [];
            window.matrixLogin.onLogin = (response) => {
                const frame = document.createElement("iframe");
                frame.setAttribute("src", "js:" + JSON.stringify({ action: "onLogin", response }));
                document.documentElement.appendChild(frame);
                frame.parentNode.removeChild(frame);
                window.heard.push([response]);
            };
        });
        const [[response]] = await person.heard();
        assert.equal(response.user_id, `@${user}:hearth.test`);
    },

    async "offers other sites, and takes the login with which people come back"(person, server) {
        const user = server.user(server.name("grace"), PASSWORD);
        const token = await loginToken(server, user);
        const identity_providers = [{ id: "example", name: "Example <i>" }, { id: "b", name: "Another" }];
        const flows = [{ type: "m.login.sso", identity_providers }, { type: "m.login.token" }];
        await person.page.route("**/_matrix/client/v3/login", (route) =>
            route.request().method() === "GET" ? route.fulfill({ json: { flows } }) : route.continue(),
        );
        await person.page.route("**/login/sso/redirect/**", (route) => {
            const back = new URL(new URL(route.request().url()).searchParams.get("redirectUrl"));
            back.searchParams.set("loginToken", token);
            return route.fulfill({ status: 302, headers: { location: back.href } });
        });
        await person.opens(PAGE + "?device_id=SSO");
        await person.sees("Continue with Example <i>");
        assert.equal(await person.page.locator("#password-form").isVisible(), false);
        await person.looksAt("login-sso");
        await person.presses("#sso a");
        const [[response]] = await person.heard();
        assert.equal(response.user_id, `@${user}:hearth.test`);
        assert.equal(response.device_id, "SSO");
    },
};

open["logs in by password and tells the app"].app = APPS.login;
open["says what is wrong, and lets people try again"].app = APPS.login;
open["logs in by token"].app = APPS.login;
open["asks before it takes a login that somebody else may have sent"].app = APPS.login;
open["serves the address of 2015 and its apps"].app = APPS.login2015;
open["offers other sites, and takes the login with which people come back"].app = APPS.login;
