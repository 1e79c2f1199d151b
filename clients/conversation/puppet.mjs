// A client made of matrix-js-sdk, moved by lines of JSON: {id, verb, arguments} in, {id, answer} or
// {id, error} out. What each verb does is said in actor.py.

import { createInterface } from "node:readline";
import * as sdk from "matrix-js-sdk";
import { logger } from "matrix-js-sdk/lib/logger.js";

logger.setLevel("error");
// Standard output belongs to the answers.
console.log = console.info = console.debug = console.warn = (...words) => console.error(...words);

const PAGE_EVENTS = 20;
const baseUrl = process.argv[2];
let client;
const seen = new Set();
let seenTwice = null;

const verbs = {
    async register(username, password) {
        const anonymous = sdk.createClient({ baseUrl });
        let session;
        try {
            session = await anonymous.registerRequest({ username, password });
        } catch (refusal) {
            if (refusal.httpStatus !== 401 || !refusal.data?.session) throw refusal;
            const auth = { type: "m.login.dummy", session: refusal.data.session };
            session = await anonymous.registerRequest({ username, password, auth });
        }
        client = sdk.createClient({
            baseUrl,
            userId: session.user_id,
            deviceId: session.device_id,
            accessToken: session.access_token,
            timelineSupport: true,
        });
        client.on(sdk.RoomEvent.Timeline, (event, room, toStart) => {
            const key = `${toStart} ${event.getId()}`;
            if (!event.isState() && event.status === null && seen.has(key)) seenTwice = key;
            seen.add(key);
        });
        // Detached: the timeline shows what the server said, in its order, not what was just sent from here.
        const options = { initialSyncLimit: 20, lazyLoadMembers: false, pendingEventOrdering: "detached" };
        await client.startClient(options);
        await new Promise((done) => client.on("sync", (state) => state === "PREPARED" && done()));
        return session.user_id;
    },

    async logInAgain(password) {
        const other = sdk.createClient({ baseUrl });
        const identifier = { type: "m.id.user", user: client.getUserId() };
        await other.loginRequest({ type: "m.login.password", identifier, password }).then(async (session) => {
            const second = sdk.createClient({ baseUrl, accessToken: session.access_token, userId: session.user_id });
            await second.logout(true);
        });
    },

    async logOut() {
        client.stopClient();
        await client.logout(true);
    },

    async createRoom(room_alias_name, name, topic, invite) {
        const options = { room_alias_name, name, topic, invite, preset: "public_chat", visibility: "public" };
        return (await client.createRoom(options)).room_id;
    },

    invite: (room, user) => client.invite(room, user).then(nothing),
    async join(room) {
        // Who comes back is shown the newest messages again.
        seen.clear();
        return (await client.joinRoom(room)).roomId;
    },

    leave: (room) => client.leave(room).then(nothing),
    kick: (room, user, reason) => client.kick(room, user, reason).then(nothing),
    ban: (room, user, reason) => client.ban(room, user, reason).then(nothing),
    unban: (room, user) => client.unban(room, user).then(nothing),
    say: async (room, body) => (await client.sendTextMessage(room, body)).event_id,
    rename: (name) => client.setDisplayName(name).then(nothing),
    type: (room, typing) => client.sendTyping(room, typing, 30_000).then(nothing),

    async edit(room, event_id, body) {
        await client.sendEvent(room, "m.room.message", {
            "msgtype": "m.text",
            "body": `* ${body}`,
            "m.new_content": { msgtype: "m.text", body },
            "m.relates_to": { rel_type: "m.replace", event_id },
        });
    },

    async react(room, event_id, key) {
        await client.sendEvent(room, "m.reaction", { "m.relates_to": { rel_type: "m.annotation", event_id, key } });
    },

    async redact(room, event_id) {
        await client.redactEvent(room, event_id, undefined, { reason: "a mistake" });
    },

    async read(room, event_id) {
        await client.sendReadReceipt(client.getRoom(room).findEventById(event_id));
    },

    async history(roomId) {
        const room = client.getRoom(roomId);
        const window = new sdk.TimelineWindow(client, room.getUnfilteredTimelineSet(), { windowLimit: 10_000 });
        await window.load(undefined, PAGE_EVENTS);
        while (window.canPaginate("b")) await window.paginate("b", PAGE_EVENTS);
        const messages = window.getEvents().filter((event) => event.getType() === "m.room.message");
        return messages.filter((event) => !event.isRedacted()).map((event) => event.getOriginalContent().body);
    },

    async observed(roomId) {
        if (seenTwice) throw new Error(`got ${seenTwice} twice`);
        const room = client.getRoom(roomId);
        if (!room) return { membership: "none", members: {}, messages: [], typing: [], receipts: {} };
        const members = room.currentState.getMembers();
        return {
            membership: room.getMyMembership(),
            name: room.name,
            unread: room.getUnreadNotificationCount(),
            members: Object.fromEntries(
                members.map((member) => [
                    member.userId,
                    { membership: member.membership, name: member.rawDisplayName },
                ]),
            ),
            typing: members.filter((member) => member.typing).map((member) => member.userId),
            receipts: Object.fromEntries(
                members.map((member) => [member.userId, room.getEventReadUpTo(member.userId, true)]),
            ),
            messages: room.getLiveTimeline().getEvents().filter(isMessage).map((event) => message(room, event)),
        };
    },
};

const nothing = () => null;

// What was refused stays behind as unsent and would hold up what is sent next.
function dropUnsent() {
    for (const room of client?.getRooms() ?? []) {
        const unsent = room.getPendingEvents().filter((event) => event.status === sdk.EventStatus.NOT_SENT);
        unsent.forEach((event) => client.cancelPendingEvent(event));
    }
}

function isMessage(event) {
    return event.getType() === "m.room.message" && event.status === null && !event.isRelation("m.replace");
}

function message(room, event) {
    const children = room.relations.getChildEventsForEvent(event.getId(), "m.annotation", "m.reaction");
    const reactions = {};
    for (const [key, events] of children?.getSortedAnnotationsByKey() ?? []) {
        reactions[key] = [...events].map((reaction) => reaction.getSender());
    }
    return {
        event_id: event.getId(),
        sender: event.getSender(),
        body: event.isRedacted() ? null : event.getContent().body,
        redacted: event.isRedacted(),
        reactions,
    };
}

for await (const line of createInterface({ input: process.stdin })) {
    const { id, verb, arguments: given } = JSON.parse(line);
    verbs[verb](...given).then(
        (answer) => process.stdout.write(JSON.stringify({ id, answer }) + "\n"),
        (error) => {
            dropUnsent();
            process.stdout.write(JSON.stringify({ id, error: `${verb}: ${error?.stack ?? error}` }) + "\n");
        },
    );
}
process.exit(0);
