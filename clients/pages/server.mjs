// A hearth server in a process of its own, and what a test does with it beside its pages: an ordinary
// client, and its operator. On SQLite only, which is nothing to the pages.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export class Server {
    // Starts one with these further lines of its configuration.
    static async start(binary, lines) {
        const folder = mkdtempSync(join(tmpdir(), "hearth-pages-"));
        const config = join(folder, "hearth.toml");
        const own = `server_name = "hearth.test"\ndata_dir = "${folder}"\nlisten.client = "127.0.0.1:0"`;
        writeFileSync(config, `${own}\nlimits.enabled = false\n${lines}\n`);
        const log = openSync(join(folder, "log"), "w");
        const process = spawn(binary, ["serve", "--config", config], { stdio: ["ignore", "pipe", log] });
        closeSync(log);
        const server = new Server(binary, folder, config, process);
        for await (const line of createInterface({ input: process.stdout })) {
            const found = /http:\/\/127\.0\.0\.1:\d+/.exec(line);
            if (found) {
                server.url = found[0];
                process.stdout.resume();
                return server;
            }
        }
        throw new Error(`the server ended before it listened:\n${server.log()}`);
    }

    constructor(binary, folder, config, process) {
        Object.assign(this, { binary, folder, config, process, numbers: 0 });
    }

    log() {
        return readFileSync(join(this.folder, "log"), "utf8");
    }

    // Ends it, and looks whether it had anything to complain about.
    async stop() {
        this.process.kill("SIGTERM");
        const [code] = this.process.exitCode === null ? await once(this.process, "exit") : [this.process.exitCode];
        const log = this.log();
        rmSync(this.folder, { recursive: true });
        assert.equal(code, 0, `the server ended with ${code}:\n${log}`);
        assert.ok(!log.includes(" ERROR ") && !log.includes("panicked"), log);
    }

    // Any request; answers the status and the JSON.
    async ask(method, path, body, token) {
        const headers = token ? { Authorization: `Bearer ${token}` } : {};
        const response = await fetch(this.url + path, { method, headers, body: body && JSON.stringify(body) });
        return { status: response.status, body: await response.json() };
    }

    async must(method, path, body, token) {
        const reply = await this.ask(method, path, body, token);
        assert.equal(reply.status, 200, `${path}: ${JSON.stringify(reply.body)}`);
        return reply.body;
    }

    // A name that nobody has yet.
    name(prefix) {
        return `${prefix}${this.number()}`;
    }

    // A number that is nobody's yet.
    number() {
        this.numbers += 1;
        return this.numbers;
    }

    // An account made by the operator.
    user(name, password) {
        const words = ["user", "create", name, "--password-file", "-", "--config", this.config];
        execFileSync(this.binary, words, { input: password, stdio: ["pipe", "pipe", "inherit"] });
        return name;
    }

    registrationToken(token) {
        const words = ["registration-token", "create", "--token", token, "--config", this.config];
        execFileSync(this.binary, words, { stdio: ["pipe", "pipe", "inherit"] });
        return token;
    }

    async logsIn(user, password) {
        const identifier = { type: "m.id.user", user };
        return await this.must("POST", "/_matrix/client/v3/login", { type: "m.login.password", identifier, password });
    }

    async whoami(token) {
        return await this.must("GET", "/_matrix/client/v3/account/whoami", undefined, token);
    }
}
