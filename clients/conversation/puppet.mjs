// A client made of matrix-js-sdk, moved by lines of JSON: {id, verb, arguments} in, {id, answer} or
// {id, error} out. What each verb does is said in actor.py, and in puppet_views.mjs.

import { createInterface } from "node:readline";
import * as sdk from "matrix-js-sdk";
import { logger } from "matrix-js-sdk/lib/logger.js";
import * as views from "./puppet_views.mjs";

logger.setLevel("error");
// Standard output belongs to the answers.
console.log = console.info = console.debug = console.warn = (...words) => console.error(...words);

const baseUrl = process.argv[2];
let client;
const seen = new Set();
let seenTwice = null;

const verbs = {
    async enter(way, username, password, options) {
        const session = await { login, register, registerGuest }[way](username, password);
        client = sdk.createClient({
            baseUrl,
            userId: session.user_id,
            deviceId: session.device_id,
            accessToken: session.access_token,
            timelineSupport: true,
        });
        client.setGuest(way === "registerGuest");
        client.on(sdk.RoomEvent.Timeline, (event, room, toStart, removed, data) => {
            if (data.timeline.getTimelineSet() !== room?.getUnfilteredTimelineSet()) return;
            const key = `${toStart} ${event.getId()}`;
            if (!event.isState() && event.status === null && seen.has(key)) seenTwice = key;
            seen.add(key);
        });
        // Detached: the timeline shows what the server said, in its order, not what was just sent from here.
        const usual = { initialSyncLimit: 20, lazyLoadMembers: false, pendingEventOrdering: "detached" };
        await client.startClient({ ...usual, ...options });
        await new Promise((done) => client.on("sync", (state) => state === "PREPARED" && done()));
        return session.user_id;
    },

    async logInAgain(password) {
        const session = await login(client.getUserId(), password);
        const second = sdk.createClient({ baseUrl, accessToken: session.access_token, userId: session.user_id });
        await second.logout(true);
    },

    async logOut() {
        client.stopClient();
        await client.logout(true);
    },

    // Any method of MatrixClient.
    sdk: async (method, ...given) => plain(await client[method](...given.map((value) => value ?? undefined))),

    invite: (room, user) => client.invite(room, user),
    async join(room) {
        // Who comes back is shown the newest messages again.
        seen.clear();
        return (await client.joinRoom(room)).roomId;
    },

    knock: (room, reason) => client.knockRoom(room, { reason }),
    leave: (room) => client.leave(room),
    kick: (room, user, reason) => client.kick(room, user, reason),
    ban: (room, user, reason) => client.ban(room, user, reason),
    unban: (room, user) => client.unban(room, user),
    say: async (room, body) => (await client.sendTextMessage(room, body)).event_id,
    send: async (room, type, content) => (await client.sendEvent(room, type, content)).event_id,
    rename: (name) => client.setDisplayName(name),
    type: (room, typing, timeout_ms = 30_000) => client.sendTyping(room, typing, timeout_ms),

    async setState(room, type, stateKey, content) {
        return (await client.sendStateEvent(room, type, content, stateKey)).event_id;
    },

    async edit(room, event_id, body) {
        await client.sendEvent(room, "m.room.message", {
            "msgtype": "m.text",
            "body": `* ${body}`,
            "m.new_content": { msgtype: "m.text", body },
            "m.relates_to": { rel_type: "m.replace", event_id },
        });
    },

    async react(room, event_id, key) {
        const relation = { rel_type: "m.annotation", event_id, key };
        return (await client.sendEvent(room, "m.reaction", { "m.relates_to": relation })).event_id;
    },

    redact: (room, event_id) => client.redactEvent(room, event_id, undefined, { reason: "a mistake" }),

    observed(roomId) {
        if (seenTwice) throw new Error(`got ${seenTwice} twice`);
        return views.observed(client, roomId);
    },
};

async function register(username, password) {
    const anonymous = sdk.createClient({ baseUrl });
    try {
        return await anonymous.registerRequest({ username, password });
    } catch (refusal) {
        if (refusal.httpStatus !== 401 || !refusal.data?.session) throw refusal;
        const auth = { type: "m.login.dummy", session: refusal.data.session };
        return await anonymous.registerRequest({ username, password, auth });
    }
}

const registerGuest = () => sdk.createClient({ baseUrl }).registerGuest();

function login(user, password) {
    const identifier = { type: "m.id.user", user };
    return sdk.createClient({ baseUrl }).loginRequest({ type: "m.login.password", identifier, password });
}

// What was refused stays behind as unsent and would hold up what is sent next.
function dropUnsent() {
    for (const room of client?.getRooms() ?? []) {
        const unsent = room.getPendingEvents().filter((event) => event.status === sdk.EventStatus.NOT_SENT);
        unsent.forEach((event) => client.cancelPendingEvent(event));
    }
}

// The SDK's objects as JSON: an event is as the server sent it, anything else large is its id.
function plain(value) {
    if (value instanceof sdk.MatrixEvent) return value.event;
    if (value instanceof sdk.Room) return value.roomId;
    if (Array.isArray(value)) return value.map(plain);
    if (value && Object.getPrototypeOf(value) === Object.prototype) {
        return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
    }
    return value ?? null;
}

// The SDK's own loops may fail while the server restarts; only what is asked for is answered for.
process.on("unhandledRejection", (reason) => console.error("unhandled:", reason));

for await (const line of createInterface({ input: process.stdin })) {
    const { id, verb, arguments: given } = JSON.parse(line);
    const work = verbs[verb] ? async () => verbs[verb](...given) : async () => views[verb](client, ...given);
    work().then(
        (answer) => process.stdout.write(JSON.stringify({ id, answer: plain(answer) }) + "\n"),
        (error) => {
            dropUnsent();
            process.stdout.write(JSON.stringify({ id, error: `${verb}: ${error?.stack ?? error}` }) + "\n");
        },
    );
}
process.exit(0);
