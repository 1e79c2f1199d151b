// The stages that take an address, and the page that the link in a mail leads to.

import assert from "node:assert/strict";
import { APPS } from "./browser.mjs";
import { wantsAccount } from "./register.mjs";
import { page } from "./stages.mjs";

const PASSWORD = "correct horse battery";
const REGISTER = "/_matrix/client/v3/register";
const PASSWORD_PATH = "/_matrix/client/v3/account/password";

export const config = (outside) => `
registration.enabled = true
registration.require = ["email"]
email.host = "127.0.0.1"
email.port = ${outside.mailPort}
email.tls = "none"
email.from = "Hearth <hearth@hearth.test>"
sms.url = "${outside.url}/sms"
federation.allow_loopback = true
`;

async function followsLink(person, path) {
    const other = await person.context.newPage();
    await other.goto(path);
    await other.keyboard.press("Tab");
    await other.keyboard.press("Enter");
    await other.getByText("Your address is confirmed").waitFor();
    await other.close();
}

// An account that has this address.
async function accountWith(server, outside, name, address) {
    const client_secret = `secret${name}`;
    const wanted = { email: address, client_secret, send_attempt: 1 };
    const { sid } = await server.must("POST", `${REGISTER}/email/requestToken`, wanted);
    const link = new URL(await outside.link(address), server.url);
    await fetch(link, { method: "POST", body: link.searchParams });
    const auth = { type: "m.login.email.identity", threepid_creds: { sid, client_secret } };
    return (await server.must("POST", REGISTER, { username: name, password: PASSWORD, auth })).user_id;
}

export const addresses = {
    async "confirms an address when the button is pressed, and not before"(person, server, outside) {
        const address = `${server.name("link")}@example.org`;
        const wanted = { email: address, client_secret: "s", send_attempt: 1 };
        await server.must("POST", `${REGISTER}/email/requestToken`, wanted);
        const link = await outside.link(address);
        await person.opens(link);
        await person.sees(address);
        await person.sees("Somebody wants to make an account on hearth.test");
        await person.looksAt("address");
        await person.presses("button");
        await person.sees("Your address is confirmed");
        await person.looksAt("address-confirmed");
    },

    async "says that a link is not good any more"(person) {
        await person.opens("/_hearth/client/email/confirm?token=x&client_secret=y&sid=z");
        await person.isTold("This link is not good any more");
        await person.looksAt("address-gone");
    },

    async "goes on to the page that the app wants only if people follow a link"(person, server, outside) {
        const address = `${server.name("next")}@example.org`;
        const next_link = "https://app.example.org/?a=1&b=<i>";
        const wanted = { email: address, client_secret: "s", send_attempt: 1, next_link };
        await server.must("POST", `${REGISTER}/email/requestToken`, wanted);
        await person.opens(await outside.link(address));
        await person.presses("button");
        await person.sees("go on to a page that this server does not know");
        assert.equal(await person.page.getAttribute("main a", "href"), "https://app.example.org/?a=1&b=%3Ci%3E");
        await person.looksAt("address-onward");
    },

    async "warns before a new password"(person, server, outside) {
        const address = `${server.name("reset")}@example.org`;
        const name = server.name("reset");
        await accountWith(server, outside, name, address);
        const { body } = await server.ask("POST", PASSWORD_PATH, { new_password: "another horse" });
        await person.opens(page("m.login.email.identity", body.session));
        await person.sees("change the password of your account");
        await person.writes("#stage-address", address);
        outside.messages.length = 0;
        await person.presses("#stage-address");
        await person.sees("A message is on its way");
        const link = await outside.link(address);
        const other = await person.context.newPage();
        await other.goto(link);
        await other.getByText("who asked can set the password then").waitFor();
        await other.close();
        await followsLink(person, link);
        await person.presses("form:first-of-type button");
        await person.heard();
        const again = { new_password: "another horse", auth: { session: body.session } };
        await server.must("POST", PASSWORD_PATH, again);
        await server.logsIn(name, "another horse");
    },

    async "goes through the stage of an address in its own page"(person, server, outside) {
        const address = `${server.name("stage")}@example.org`;
        const { body } = await server.ask("POST", REGISTER, { username: server.name("stage"), password: PASSWORD });
        await person.opens(page("m.login.email.identity", body.session));
        await person.looksAt("stage-email");
        await person.writes("#stage-address", "nobody@127.0.0.1");
        await person.presses("#stage-address");
        await person.isTold("That is no e-mail address");
        await person.focusIsOn("#stage-address");
        await person.writes("#stage-address", address);
        await person.presses("#stage-address");
        await person.sees(address);
        await person.looksAt("stage-email-sent");
        await person.presses("form:first-of-type button");
        await person.isTold("Nobody has confirmed that address yet");
        await person.looksAt("stage-email-not-yet");
        await followsLink(person, await outside.link(address));
        await person.presses("form:first-of-type button");
        assert.deepEqual(await person.heard(), [[]]);
        await server.must("POST", REGISTER, { username: server.name("stage"), auth: { session: body.session } });
    },

    async "goes through the stage of a phone in its own page"(person, server, outside) {
        const number = `+4477009${String(10_000 + server.number()).slice(-5)}`;
        const { body } = await server.ask("POST", REGISTER, { username: server.name("phone"), password: PASSWORD });
        await person.opens(page("m.login.msisdn", body.session));
        await person.looksAt("stage-phone");
        await person.writes("#stage-address", "07700900001");
        await person.presses("#stage-address");
        await person.isTold("Write the number with +");
        await person.writes("#stage-address", number);
        await person.presses("#stage-address");
        await person.sees("Type the code");
        await person.looksAt("stage-phone-sent");
        await person.writes("#stage-code", "nonsense");
        await person.presses("#stage-code");
        await person.isTold("That is not what was sent");
        await person.focusIsOn("#stage-code");
        await person.writes("#stage-code", /\d{6}/.exec(await outside.message(number))[0]);
        await person.presses("#stage-code");
        await person.heard();
        const { body: then } = await server.ask("POST", REGISTER, { auth: { session: body.session } });
        assert.deepEqual(then.completed, ["m.login.msisdn"]);
    },

    async "makes an account with an address without leaving the page"(person, server, outside) {
        const [user, address] = [server.name("ursula"), `${server.name("ursula")}@example.org`];
        await person.opens("/_matrix/static/client/register/");
        await wantsAccount(person, user);
        await person.sees("Enter your e-mail address");
        await person.writes("#stage-address", `other-${address}`);
        await person.presses("#stage-address");
        await person.presses("#stage .plain");
        await person.sees("Enter your e-mail address");
        await person.writes("#stage-address", address);
        await person.presses("#stage-address");
        await person.sees("A message is on its way");
        await person.looksAt("register-email");
        await followsLink(person, await outside.link(address));
        await person.presses("#stage form:first-of-type button");
        await person.heard();
        const identifier = { type: "m.id.thirdparty", medium: "email", address };
        await server.must("POST", "/_matrix/client/v3/login", {
            type: "m.login.password", identifier, password: PASSWORD,
        });

        await person.opens("/_matrix/static/client/login/");
        await person.writes("#user", address);
        await person.writes("#password", PASSWORD);
        await person.presses("#password");
        await person.sees(`You are @${user}:hearth.test`);
    },
};

for (const test of Object.values(addresses)) {
    test.app = APPS.stage;
}
addresses["makes an account with an address without leaving the page"].app = APPS.register;
