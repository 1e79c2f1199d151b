// A headless Chromium that watches what a page does, and a person who has only a keyboard.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SCREENSHOTS = fileURLToPath(new URL("screenshots/", import.meta.url));
const WAIT_MS_MAX = 15_000;
const TABS_MAX = 30;

// The width below which nobody's telephone is.
const NARROW_PX = 320;

export const SCREENS = {
    desktop: { viewport: { width: 1280, height: 800 }, colorScheme: "light" },
    phone: {
        viewport: { width: 360, height: 640 },
        deviceScaleFactor: 2,
        hasTouch: true,
        isMobile: true,
        colorScheme: "dark",
    },
};

function program() {
    const names = [process.env.HEARTH_TEST_CHROMIUM, "chromium", "chromium-browser", "google-chrome"];
    for (const name of names.filter(Boolean)) {
        const found = spawnSync("sh", ["-c", 'command -v "$0"', name], { encoding: "utf8" });
        if (found.status === 0) {
            return found.stdout.trim();
        }
    }
    throw new Error("there is no Chromium: scripts/test installs it");
}

export function launch() {
    return chromium.launch({ executablePath: program(), args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

// A person before a screen who opens pages of the server at `url`.
export class Person {
    static async at(browser, screen, url, { app } = {}) {
        const context = await browser.newContext({ ...SCREENS[screen], baseURL: url });
        context.setDefaultTimeout(WAIT_MS_MAX);
        const person = new Person(context, screen, url);
        // Before any script of the page, and in every page that it opens.
        await context.addInitScript(() => {
            document.addEventListener("securitypolicyviolation", (event) =>
                console.error(`policy: ${event.violatedDirective} forbids ${event.blockedURI}`),
            );
        });
        if (app) {
            await context.addInitScript(app);
        }
        context.on("page", (page) => person.#watch(page));
        person.page = await context.newPage();
        return person;
    }

    constructor(context, screen, url) {
        Object.assign(this, { context, screen, url, complaints: [] });
    }

    #watch(page) {
        page.on("console", (message) => {
            // A refusal is an answer like others; Chromium calls it an error.
            const refused = /^Failed to load resource: the server responded with a status of 4\d\d/;
            if (message.type() === "error" && !refused.test(message.text())) {
                this.complaints.push(message.text());
            }
        });
        page.on("pageerror", (error) => this.complaints.push(String(error)));
        page.on("request", (request) => {
            const { protocol, origin } = new URL(request.url());
            if (protocol.startsWith("http") && origin !== new URL(this.url).origin && !this.expected?.(request.url())) {
                this.complaints.push(`asked another server: ${request.url()}`);
            }
        });
    }

    async opens(path) {
        return await this.page.goto(path);
    }

    async text() {
        return await this.page.locator("main").innerText();
    }

    // Presses Tab until the element has the focus, and looks whether that can be seen.
    async goesTo(selector) {
        const { page } = this;
        for (let tabs = 0; tabs < TABS_MAX; tabs += 1) {
            const found = await page.evaluate((selector) => document.activeElement.matches(selector), selector);
            if (found) {
                const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
                assert.notEqual(outline, "none", `the focus on ${selector} can not be seen`);
                return;
            }
            await page.keyboard.press("Tab");
        }
        throw new Error(`Tab does not lead to ${selector}`);
    }

    // Writes into a field that Tab leads to, instead of what is there.
    async writes(selector, text) {
        await this.goesTo(selector);
        await this.page.keyboard.press("Control+A");
        await this.page.keyboard.type(text);
    }

    async presses(selector, key = "Enter") {
        await this.goesTo(selector);
        await this.page.keyboard.press(key);
    }

    async sees(text) {
        await this.page.locator("main").getByText(text).first().waitFor({ state: "visible" });
    }

    async isTold(text) {
        await this.page.getByRole("alert").filter({ hasText: text }).waitFor({ state: "visible" });
    }

    async focusIsOn(selector) {
        await this.page.waitForFunction((selector) => document.activeElement.matches(selector), selector);
    }

    // Waits for what the app heard.
    async heard(count = 1) {
        await this.page.waitForFunction((count) => (window.heard || []).length >= count, count);
        return await this.page.evaluate(() => window.heard);
    }

    // Looks at the page as it is: a picture, the rules of accessibility, and a narrow screen.
    async looksAt(name) {
        const { page } = this;
        mkdirSync(SCREENSHOTS, { recursive: true });
        await page.screenshot({ path: `${SCREENSHOTS}${name}-${this.screen}.png`, fullPage: true });
        await this.#isAccessible(name);
        const { viewport } = SCREENS[this.screen];
        await page.setViewportSize({ width: NARROW_PX, height: viewport.height });
        const width = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(width <= NARROW_PX, `${name} is ${width} px wide where the screen has ${NARROW_PX}`);
        await page.setViewportSize(viewport);
        this.isContent(name);
    }

    async #isAccessible(name) {
        await this.page.evaluate(AXE);
        const { violations } = await this.page.evaluate(() => window.axe.run());
        const said = violations.map(({ help, nodes }) => `${help}: ${nodes.map((node) => node.html).join(", ")}`);
        assert.deepEqual(said, [], `${name} can not be used by everybody`);
    }

    // Nothing went wrong that only the console says.
    isContent(name) {
        assert.deepEqual(this.complaints, [], name);
    }

    async leaves() {
        this.isContent("at the end");
        await this.context.close();
    }
}

// What apps put into the window, by the name of the page; what they hear is in `window.heard`.
export const APPS = {
    login: () => {
        window.heard = [];
        window.matrixLogin = { onLogin: (...values) => window.heard.push(values) };
    },
    login2015: () => {
        window.heard = [];
        window.onLogin = (...values) => window.heard.push(values);
    },
    register: () => {
        window.heard = [];
        window.matrixRegistration = { onRegistered: (...values) => window.heard.push(values) };
    },
    register2015: () => {
        window.heard = [];
        window.onRegistered = (...values) => window.heard.push(values);
    },
    stage: () => {
        window.heard = [];
        window.onAuthDone = (...values) => window.heard.push(values);
    },
};
