// People open every page of a real server in headless Chromium:
//
//   clients/run pages --server target/debug/hearth [--only WORDS]
//
// Each test runs before a desktop's screen in a light room and on a phone in the dark, with the
// keyboard alone. What the pages looked like is in clients/pages/screenshots.

import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { launch, Person, SCREENS } from "./browser.mjs";
import { Outside } from "./outside.mjs";
import { Server } from "./server.mjs";
import * as addresses from "./addresses.mjs";
import * as front from "./front.mjs";
import * as login from "./login.mjs";
import * as register from "./register.mjs";
import * as services from "./services.mjs";
import * as stages from "./stages.mjs";

const TEST_MS_MAX = 60_000;

// The tests, by the page and then by the kind of server.
const SUBJECTS = { front, login, register, stages, addresses, services };

// The kinds of servers, and the configuration of each, which may name services of others.
const KINDS = {
    open: () => `
registration.enabled = true
well_known.client = "https://matrix.hearth.test"
well_known.support_page = "https://hearth.test/help?a=1&b=2"
well_known.contacts = [
    { role = "m.role.admin", matrix_id = "@alice:hearth.test", email_address = "alice@hearth.test" },
    { role = "m.role.dpo", email_address = "privacy@hearth.test" },
]`,
    closed: () => "",
    required: stages.config,
    addresses: addresses.config,
    services: services.config,
    servicesRequired: services.configRequired,
};

const { values } = parseArgs({
    options: { server: { type: "string" }, only: { type: "string", default: "" } },
});
const counts = { passed: 0, failed: 0 };

function tests(kind) {
    const of = ([subject, kinds]) =>
        Object.entries(kinds[kind] || {}).map(([name, test]) => ({ name: `${subject} ${name}`, test }));
    return Object.entries(SUBJECTS).flatMap(of).filter(({ name }) => name.includes(values.only));
}

function inTime(work) {
    const late = (_, fail) => setTimeout(() => fail(new Error("it takes too long")), TEST_MS_MAX).unref();
    return Promise.race([work, new Promise(late)]);
}

async function run(browser, server, outside, screen, name, test) {
    const begun = performance.now();
    const person = await Person.at(browser, screen, server.url, { app: test.app });
    try {
        await inTime(test(person, server, outside));
        await person.leaves();
        console.log(`ok      ${name}, ${screen} (${((performance.now() - begun) / 1000).toFixed(1)} s)`);
        counts.passed += 1;
    } catch (error) {
        console.log(`FAILED  ${name}, ${screen}\n${error.stack}\n${person.complaints.join("\n")}`);
        console.log(await person.text().catch(() => "(there is no page)"));
        await person.context.close();
        counts.failed += 1;
    }
}

const browser = await launch();
const outside = await Outside.open();
for (const [kind, config] of Object.entries(KINDS)) {
    if (tests(kind).length === 0) {
        continue;
    }
    const server = await Server.start(resolve(values.server), config(outside));
    for (const { name, test } of tests(kind)) {
        for (const screen of Object.keys(SCREENS)) {
            await run(browser, server, outside, screen, name, test);
        }
    }
    await server.stop();
}
await browser.close();
outside.close();
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed || !counts.passed ? 1 : 0;
