// The page that makes an account.

import assert from "node:assert/strict";
import { APPS } from "./browser.mjs";

const PAGE = "/_matrix/static/client/register/";
const PASSWORD = "correct horse battery";

export async function wantsAccount(person, user, password = PASSWORD) {
    await person.writes("#user", user);
    await person.writes("#password", password);
    await person.presses("#account-form button");
}

export const open = {
    async "makes an account and tells the app"(person, server) {
        const user = server.name("nina");
        await person.opens(PAGE + "?device_id=NEW");
        await person.looksAt("register");
        await wantsAccount(person, user);
        const [[home_server, user_id, access_token]] = await person.heard();
        assert.equal(home_server, "hearth.test");
        assert.equal(user_id, `@${user}:hearth.test`);
        assert.equal((await server.whoami(access_token)).device_id, "NEW");
        await person.sees(`You are @${user}:hearth.test`);
        await person.focusIsOn("h1");
        await person.looksAt("register-done");
        assert.equal((await person.heard()).length, 1);
    },

    async "serves the apps of 2015"(person, server) {
        const user = server.name("oscar");
        await person.opens(PAGE);
        await wantsAccount(person, user);
        const [[, user_id, access_token]] = await person.heard();
        assert.equal((await server.whoami(access_token)).user_id, user_id);
    },

    async "opens no session that nobody would use"(person, server) {
        const user = server.name("peggy");
        await person.opens(PAGE);
        await wantsAccount(person, user);
        await person.sees("Log in with your app now");
        const { access_token } = await server.logsIn(user, PASSWORD);
        const { devices } = await server.must("GET", "/_matrix/client/v3/devices", undefined, access_token);
        assert.equal(devices.length, 1);
    },

    async "says what is wrong, and lets people try again"(person, server) {
        const taken = server.user(server.name("quinn"), PASSWORD);
        await person.opens(PAGE);
        await wantsAccount(person, taken);
        await person.isTold("taken");
        await person.focusIsOn("#user");
        await wantsAccount(person, "not a name!");
        await person.isTold("A username has the characters");
        await person.looksAt("register-wrong");
        const free = server.name("quentin");
        await wantsAccount(person, free);
        await person.sees(`You are @${free}:hearth.test`);
    },
};

open["makes an account and tells the app"].app = APPS.register;
open["serves the apps of 2015"].app = APPS.register2015;
