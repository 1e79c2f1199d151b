// Services of others that the server asks: a provider of captchas, a mail server, a service that sends text
// messages, and one at which people have accounts.

import assert from "node:assert/strict";
import { createServer as createHttpServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { createInterface } from "node:readline";

const MESSAGE_MS_MAX = 10_000;

export class Outside {
    static async open() {
        const outside = new Outside();
        outside.http = createHttpServer((request, response) => outside.#answer(request, response));
        outside.smtp = createTcpServer((socket) => outside.#takeMail(socket));
        for (const server of [outside.http, outside.smtp]) {
            await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
        }
        return outside;
    }

    constructor() {
        // Whoever has got a message, and its text.
        this.messages = [];
        // Who has logged in at the service; «nobody» is refused.
        this.person = "nobody";
    }

    get url() {
        return `http://127.0.0.1:${this.http.address().port}`;
    }

    get mailPort() {
        return this.smtp.address().port;
    }

    close() {
        this.http.close();
        this.smtp.close();
    }

    // The text of the newest message for `address`.
    async message(address) {
        for (const begun = performance.now(); performance.now() - begun < MESSAGE_MS_MAX; ) {
            const found = this.messages.findLast((message) => message.to === address);
            if (found) {
                return found.text;
            }
            await new Promise((later) => setTimeout(later, 20));
        }
        return assert.fail(`no message for ${address}`);
    }

    // The link in it, without the name of the server.
    async link(address) {
        const text = await this.message(address);
        const found = /https?:\/\/[^/\s"]+(\/_hearth\/[^\s"<]+)/.exec(text);
        assert.ok(found, text);
        return found[1];
    }

    async #answer(request, response) {
        let body = "";
        for await (const bytes of request) {
            body += bytes;
        }
        response.setHeader("Content-Type", "application/json");
        const { pathname, searchParams } = new URL(request.url, this.url);
        if (pathname === "/authorize") {
            const back = new URL(searchParams.get("redirect_uri"));
            back.searchParams.set("state", searchParams.get("state"));
            const outcome = this.person === "nobody" ? ["error", "access_denied"] : ["code", this.person];
            back.searchParams.set(...outcome);
            response.writeHead(302, { Location: back.href }).end();
        } else if (pathname === "/token") {
            const access_token = new URLSearchParams(body).get("code");
            response.end(JSON.stringify({ access_token, token_type: "Bearer" }));
        } else if (pathname === "/userinfo") {
            const preferred_username = request.headers.authorization.replace("Bearer ", "");
            response.end(JSON.stringify({ sub: preferred_username, preferred_username }));
        } else if (request.url === "/captcha") {
            // The answer to all of them is «human».
            const asked = new URLSearchParams(body);
            const success = asked.get("secret") === "secret" && asked.get("response") === "human";
            response.end(JSON.stringify({ success }));
        } else if (request.url === "/sms") {
            this.messages.push(JSON.parse(body));
            response.end("{}");
        } else {
            response.writeHead(404).end("{}");
        }
    }

    // As much of SMTP (RFC 5321) as a client needs.
    async #takeMail(socket) {
        const answer = (line) => socket.write(`${line}\r\n`);
        let to;
        let text;
        answer("220 outside");
        for await (const line of createInterface({ input: socket, crlfDelay: Infinity })) {
            if (text !== undefined && line === ".") {
                this.messages.push({ to, text: readable(text) });
                text = undefined;
                answer("250 taken");
            } else if (text !== undefined) {
                text += `${line}\n`;
            } else if (line.startsWith("RCPT")) {
                to = /<(.*)>/.exec(line)[1];
                answer("250 go on");
            } else if (line === "DATA") {
                text = "";
                answer("354 go on");
            } else if (line === "QUIT") {
                answer("221 bye");
                socket.end();
            } else {
                answer("250 outside");
            }
        }
    }
}

// The text behind quoted-printable (RFC 2045), as far as links go.
function readable(text) {
    const byte = (_, digits) => String.fromCharCode(parseInt(digits, 16));
    return text.replace(/=\n/g, "").replace(/=([0-9A-F]{2})/g, byte);
}
